/* table BROKERS REGISTRY FOLDER TOPIC COUNT: fills a compacted topic with COUNT outcomes of the
 * ledger, then starts a table of it three times: without a file, with that of the life before, and
 * with 1000 records that came meanwhile. Prints one line each. */
#include "bench_util.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "kafka/producer.h"
#include "mail/records.h"
#include "table.h"
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { MORE = 1000, LOOKS = 100000 };

static void die(const char *what, const struct mill_err *err)
{
    fprintf(stderr, "table: %s: %s: %s\n", what, err->where, err->text);
    exit(1);
}

static size_t key_of(char *out, size_t size, long i)
{
    return (size_t)snprintf(out, size, "0190c5f8-7b4a-7c3e-9d21-%012ld/0/1/send", i);
}

static atomic_long undelivered;

static void on_delivery(void *arg, enum mill_delivery d, int32_t partition, int64_t offset,
                        const char *reason)
{
    (void)arg, (void)partition, (void)offset, (void)reason;
    if (d != MILL_DELIVERED)
        atomic_fetch_add(&undelivered, 1);
}

static void fill(struct mill_producer *p, struct mill_codec *c, int32_t schema, const char *topic,
                 long from, long to)
{
    struct mill_ledger r = {.kind = MILL_LEDGER_OUTCOME,
                            .attempt = 1,
                            .provider = MILL_STR("sendgrid"),
                            .provider_id =
                                MILL_STR("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"),
                            .outcome = MILL_OUTCOME_ACCEPTED,
                            .fingerprint = MILL_STR("9f86d081884c7d659a2feaa0c55ad015"),
                            .at = 1770000000000000,
                            .tenant = MILL_STR("acme"),
                            .accepted_at = 1770000000000000};
    struct mill_err err = {0};
    struct mill_buf b;
    char key[64];

    mill_buf_init(&b, 1 << 16);
    for (long i = from; i < to; i++) {
        struct mill_str k = {key, key_of(key, sizeof key, i)};
        enum mill_code code;
        r.request_id = (struct mill_str){key, 36};
        r.message_id = (struct mill_str){key, 38};
        mill_buf_reset(&b);
        if (!mill_frame_add(&b, schema) || mill_codec_encode(c, &r, &b, &err))
            die("encode", &err);
        while ((code = mill_producer_send(p, topic, -1, k, mill_buf_view(&b), (struct mill_map){0},
                                          on_delivery, NULL, &err)) == MILL_E_IO)
            usleep(10000);
        if (code)
            die("produce", &err);
    }
    while (mill_producer_queued(p))
        usleep(10000);
    mill_buf_release(&b);
    if (atomic_load(&undelivered)) {
        mill_fail(&err, MILL_E_IO, topic, "%ld records were not delivered",
                  atomic_load(&undelivered));
        die("fill", &err);
    }
}

static void look(struct mill_table *t, long count)
{
    double began = bench_now_s();
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    struct mill_ledger r;
    char key[64];

    for (long i = 0; i < LOOKS; i++) {
        struct mill_str k = {key, key_of(key, sizeof key, i * 7919 % count)};
        mill_arena_reset(&mem);
        if (mill_table_get(t, k, &mem, &r, &err))
            die("look", &err);
    }
    mill_arena_release(&mem);
    printf("{\"bench\":\"table_get\",\"value\":%.2f,\"unit\":\"us\"}\n",
           (bench_now_s() - began) / LOOKS * 1e6);
}

static void life(const struct mill_table_conf *conf, const char *name, long count)
{
    double began = bench_now_s(), cpu = bench_cpu_s();
    struct mill_table_stats s;
    struct mill_table *t = NULL;
    struct mill_err err = {0};

    if (mill_table_start(&t, conf, &err))
        die("start", &err);
    while (!mill_table_caught_up(t))
        usleep(1000);
    mill_table_stats(t, &s);
    printf("{\"bench\":\"%s\",\"value\":%.2f,\"unit\":\"s\",\"keys\":%llu,\"read\":%llu,"
           "\"file_mb\":%.0f,\"cpu_s\":%.2f,\"rss_mb\":%.0f}\n",
           name, bench_now_s() - began, (unsigned long long)s.records, (unsigned long long)s.read,
           (double)s.bytes / 1e6, bench_cpu_s() - cpu, bench_rss_mb());
    if (s.records != (unsigned long long)count)
        fprintf(stderr, "table: %ld keys were written\n", count);
    if (!strcmp(name, "table_restart"))
        look(t, count);
    fflush(stdout);
    mill_table_stop(t);
}

int main(int argc, char **argv)
{
    const long count = argc == 6 ? strtol(argv[5], NULL, 10) : 0;
    struct mill_table_conf conf = {.kafka = {.client_id = "bench"},
                                   .name = "bench",
                                   .desc = &mill_ledger_desc,
                                   .max_bytes = UINT64_C(8) << 30};
    struct mill_registry *registry = NULL;
    struct mill_producer *p = NULL;
    struct mill_codec *codec = NULL;
    struct mill_err err = {0};
    char subject[300];
    int32_t schema = 0;

    if (count < 1)
        return 2;
    conf.kafka.brokers = argv[1];
    conf.registry = argv[2];
    conf.state_dir = argv[3];
    conf.topic = argv[4];
    snprintf(subject, sizeof subject, "%s-value", argv[4]);
    if (mill_codec_new(&codec, &mill_ledger_desc, &err) ||
        mill_registry_new(&registry, argv[2], 10000, &err) ||
        mill_registry_register(registry, subject, mill_str(mill_ledger_desc.avsc), &schema, &err) ||
        mill_producer_new(&p, &conf.kafka, &err))
        die("setup", &err);
    fill(p, codec, schema, argv[4], 0, count);
    life(&conf, "table_rebuild", count);
    life(&conf, "table_restart", count);
    fill(p, codec, schema, argv[4], count, count + MORE);
    life(&conf, "table_restart_1000_behind", count + MORE);
    mill_producer_free(p, 5000);
    mill_registry_free(registry);
    mill_codec_free(codec);
    return 0;
}
