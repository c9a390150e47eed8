#define _XOPEN_SOURCE 700 /* nftw */
#include "lab.h"

#include "base/clock.h"
#include "net/http_server.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 20000, PLENTY = 1000 };

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), abort())

/* ---- a registry that knows one schema, id 1, whatever is registered ---- */

static char lab_schema[8192];

static void lab_json(struct mill_exchange *x, unsigned status, struct mill_str body)
{
    const struct mill_pair h = {MILL_STR("Content-Type"), MILL_STR("application/json")};

    mill_exchange_answer(x, status, (struct mill_map){&h, 1}, body);
}

static void lab_register(void *app, struct mill_exchange *x)
{
    struct mill_str body = mill_exchange_body(x);

    (void)app;
    mill_str_cut(body, lab_schema, sizeof lab_schema);
    lab_json(x, 200, MILL_STR("{\"id\":1}"));
}

static void lab_by_id(void *app, struct mill_exchange *x)
{
    (void)app;
    if (mill_str_is(mill_exchange_path(x), "/schemas/ids/1") && lab_schema[0])
        lab_json(x, 200, mill_str(lab_schema));
    else
        lab_json(x, 404, MILL_STR("{\"error_code\":40403,\"message\":\"no such schema\"}"));
}

static void lab_latest(void *app, struct mill_exchange *x)
{
    (void)app;
    lab_json(x, 404, MILL_STR("{\"error_code\":40401,\"message\":\"no such subject\"}"));
}

static const struct mill_route lab_routes[] = {
    {"GET", "/subjects/*", lab_latest, 0},
    {"POST", "/subjects/*", lab_register, 65536},
    {"GET", "/schemas/ids/*", lab_by_id, 0},
    {0},
};

/* ---- the cluster ---- */

void lab_open(struct lab *lab)
{
    struct mill_server_conf conf = {.listen = "127.0.0.1:0", .routes = lab_routes, .app = lab};
    struct mill_err err = {0};
    char text[256];
    rd_kafka_conf_t *rc = rd_kafka_conf_new();

    memset(lab, 0, sizeof *lab);
    snprintf(lab->dir, sizeof lab->dir, "%s/mill-lab-XXXXXX", P_tmpdir);
    if (!mkdtemp(lab->dir))
        DIE("mkdtemp");
    rd_kafka_conf_set(rc, "log_level", "3", text, sizeof text);
    rd_kafka_conf_set(rc, "message.max.bytes", "4194304", text, sizeof text);
    lab->rk = rd_kafka_new(RD_KAFKA_PRODUCER, rc, text, sizeof text);
    lab->mock = lab->rk ? rd_kafka_mock_cluster_new(lab->rk, 1) : NULL;
    if (!lab->mock)
        DIE("mock cluster: %s", text);
    rd_kafka_mock_group_initial_rebalance_delay_ms(lab->mock, 100);
    snprintf(lab->brokers, sizeof lab->brokers, "%s", rd_kafka_mock_cluster_bootstraps(lab->mock));
    rd_kafka_brokers_add(lab->rk, lab->brokers);
    if (mill_server_start(&lab->registry, &conf, &err))
        DIE("registry: %s: %s", err.where, err.text);
    snprintf(lab->registry_url, sizeof lab->registry_url, "http://127.0.0.1:%u",
             mill_server_port(lab->registry));
}

static int lab_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Ended by the test: no longer ours to kill. */
static void lab_forget(struct lab *lab, pid_t pid)
{
    for (size_t i = 0; i < sizeof lab->stages / sizeof *lab->stages; i++)
        if (lab->stages[i] == pid)
            lab->stages[i] = 0;
}

void lab_close(struct lab *lab)
{
    /* What a failed test left running. */
    for (size_t i = 0; i < sizeof lab->stages / sizeof *lab->stages; i++)
        if (lab->stages[i]) {
            kill(lab->stages[i], SIGKILL);
            waitpid(lab->stages[i], NULL, 0);
        }
    mill_server_stop(lab->registry);
    rd_kafka_mock_cluster_destroy(lab->mock);
    rd_kafka_destroy(lab->rk);
    nftw(lab->dir, lab_unlink, 8, FTW_DEPTH | FTW_PHYS); /* tables too */
}

void lab_topic(struct lab *lab, const char *topic, int partitions)
{
    if (rd_kafka_mock_topic_create(lab->mock, topic, partitions, 1))
        DIE("cannot create %s", topic);
}

void lab_produce(struct lab *lab, const char *topic, int32_t partition, struct mill_str key,
                 struct mill_str value, const char *const *headers)
{
    rd_kafka_headers_t *hdrs = rd_kafka_headers_new(4);
    rd_kafka_resp_err_t e;

    for (; headers && *headers; headers++) {
        const char *eq = strchr(*headers, '=');
        rd_kafka_header_add(hdrs, *headers, eq - *headers, eq + 1, -1);
    }
    e = rd_kafka_producev(lab->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY((void *)(uintptr_t)key.p, key.n),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value.p, value.n),
                          RD_KAFKA_V_HEADERS(hdrs), RD_KAFKA_V_END);
    if (e || rd_kafka_flush(lab->rk, WAIT_MS))
        DIE("produce to %s: %s", topic, rd_kafka_err2str(e));
}

struct mill_str lab_note(struct mill_str text)
{
    static char b[LAB_NOTE_MAX + 16];
    uint64_t zigzag = (uint64_t)text.n * 2;
    size_t at = 5;

    if (text.n > LAB_NOTE_MAX)
        DIE("a note of %zu bytes", text.n);
    memcpy(b, "\0\0\0\0\1", 5);
    for (; zigzag > 127; zigzag >>= 7)
        b[at++] = (char)(zigzag | 0x80);
    b[at++] = (char)zigzag;
    memcpy(b + at, text.p, text.n);
    return (struct mill_str){b, at + text.n};
}

void lab_put(struct lab *lab, int32_t partition, const char *key, const char *text)
{
    lab_produce(lab, "notes", partition, mill_str(key), lab_note(mill_str(text)), NULL);
}

void lab_topics(struct lab *lab)
{
    static const char *const names[] = {"notes", "retry", "copies", "intents", "failures"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        lab_topic(lab, names[i], 4);
}

size_t lab_asked(const struct lab *lab, int16_t api)
{
    size_t n = 0, found = 0;
    rd_kafka_mock_request_t **v = rd_kafka_mock_get_requests(lab->mock, &n);

    for (size_t i = 0; i < n; i++)
        found += rd_kafka_mock_request_api_key(v[i]) == api;
    rd_kafka_mock_request_destroy_array(v, n);
    return found;
}

bool lab_wait_asked(const struct lab *lab, int16_t api, size_t n)
{
    int64_t until = mill_tick_ms() + WAIT_MS;

    while (lab_asked(lab, api) < n && mill_tick_ms() < until)
        usleep(10000);
    return lab_asked(lab, api) >= n;
}

void lab_refuse(struct lab *lab, int16_t api, rd_kafka_resp_err_t e)
{
    for (int i = 0; i < PLENTY; i++)
        rd_kafka_mock_push_request_errors(lab->mock, api, 1, e);
}

/* ---- the stage's process ---- */

pid_t lab_stage(struct lab *lab, const char *mode)
{
    return lab_stage_with(lab, mode, NULL);
}

pid_t lab_stage_with(struct lab *lab, const char *mode, const char *option)
{
    return lab_stage_options(lab, mode, (const char *const[]){option, NULL});
}

static void lab_run(const struct lab *lab, const char *mode, const char *const *options)
{
    const char *argv[32] = {
        "stage",      "stage",           mode,          "--brokers",   lab->brokers,
        "--registry", lab->registry_url, "--state-dir", lab->dir,      "--failures-topic",
        "failures",   "--retry-topic",   "retry",       "--log-level", "warn"};
    size_t n = 15;

    while (*options && n < sizeof argv / sizeof *argv - 1)
        argv[n++] = *options++;
    execv("/proc/self/exe", (char **)(uintptr_t)argv);
    _exit(127);
}

pid_t lab_stage_options(struct lab *lab, const char *mode, const char *const *options)
{
    pid_t pid = fork();

    if (!pid)
        lab_run(lab, mode, options);
    if (pid < 0)
        DIE("fork");
    for (size_t i = 0; i < sizeof lab->stages / sizeof *lab->stages; i++)
        if (!lab->stages[i]) {
            lab->stages[i] = pid;
            break;
        }
    return pid;
}

int lab_wait(struct lab *lab, pid_t pid)
{
    int64_t until = mill_tick_ms() + 30000;
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) != pid) {
        if (mill_tick_ms() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            DIE("the stage did not end");
        }
        usleep(10000);
    }
    lab_forget(lab, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int lab_stop(struct lab *lab, pid_t pid, int sig)
{
    kill(pid, sig);
    return lab_wait(lab, pid);
}

/* ---- reading back ---- */

static void lab_take(struct lab_record *r, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *hdrs = NULL;
    rd_kafka_timestamp_type_t type;
    size_t at = 0;

    memset(r, 0, sizeof *r);
    mill_str_cut((struct mill_str){m->key, m->key_len}, r->key, sizeof r->key);
    r->value_bytes = m->len;
    memcpy(r->value, m->payload ? m->payload : "", m->len < sizeof r->value ? m->len : 0);
    r->partition = m->partition;
    r->timestamp_ms = rd_kafka_message_timestamp(m, &type);
    rd_kafka_message_headers(m, &hdrs);
    for (size_t i = 0; hdrs && i < rd_kafka_header_cnt(hdrs); i++) {
        const char *name;
        const void *value;
        size_t n;
        rd_kafka_header_get_all(hdrs, i, &name, &value, &n);
        at += (size_t)snprintf(r->headers + at, sizeof r->headers - at, "%s=%.*s\n", name, (int)n,
                               (const char *)value);
    }
}

static int32_t lab_partitions(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *md = NULL;
    int32_t n;

    if (rd_kafka_metadata(rk, 0, rkt, &md, WAIT_MS))
        DIE("%s: no metadata", topic);
    n = md->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(rkt);
    return n;
}

/* @param all out: a bit for each partition */
static rd_kafka_t *lab_consumer(struct lab *lab, const char *topic, unsigned *all)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    rd_kafka_conf_t *rc = rd_kafka_conf_new();
    char text[256];
    rd_kafka_t *rk;
    int32_t n;

    rd_kafka_conf_set(rc, "bootstrap.servers", lab->brokers, text, sizeof text);
    rd_kafka_conf_set(rc, "group.id", "lab", text, sizeof text);
    rd_kafka_conf_set(rc, "enable.auto.commit", "false", text, sizeof text);
    rd_kafka_conf_set(rc, "enable.partition.eof", "true", text, sizeof text);
    rd_kafka_conf_set(rc, "fetch.wait.max.ms", "50", text, sizeof text);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, rc, text, sizeof text);
    rd_kafka_poll_set_consumer(rk);
    n = lab_partitions(rk, topic);
    *all = (1U << n) - 1;
    for (int32_t p = 0; p < n; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

size_t lab_read(struct lab *lab, const char *topic, struct lab_record *v, size_t most, size_t n)
{
    unsigned all, ends = 0;
    rd_kafka_t *rk = lab_consumer(lab, topic, &all);
    int64_t until = mill_tick_ms() + WAIT_MS, settle = 0;
    size_t got = 0;

    while (got < most && mill_tick_ms() < until && (!settle || mill_tick_ms() < settle)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 50);
        if (m && !m->err)
            lab_take(&v[got++], m);
        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ends |= 1U << m->partition;
        if (m)
            rd_kafka_message_destroy(m);
        if (ends == all && got >= n && !settle)
            settle = mill_tick_ms() + 500;
    }
    if (got < most && ends != all)
        DIE("%s: not read to its end", topic);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return got;
}
