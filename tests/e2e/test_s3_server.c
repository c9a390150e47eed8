/* The S3 client against a real S3 server (versitygw in the user cache), started here on a free port
 * over an empty folder. Skipped where it is not installed. */
#include "base/log.h"
#include "net/s3.h"
#include "net/s3_upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char program[1024], root[64], data[96], side[96], iam[96], endpoint[64];
    pid_t pid;
} gw;

static bool find_program(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char pattern[512];
    glob_t found = {0};
    bool ok;

    if (cache && cache[0])
        snprintf(pattern, sizeof pattern, "%s/sendmill/versitygw/*/versitygw", cache);
    else
        snprintf(pattern, sizeof pattern, "%s/.cache/sendmill/versitygw/*/versitygw",
                 home ? home : "");
    ok = !glob(pattern, 0, NULL, &found) && found.gl_pathc;
    if (ok)
        snprintf(gw.program, sizeof gw.program, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return ok;
}

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void make_dir(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", gw.root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static bool listens(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = !connect(fd, (struct sockaddr *)&a, sizeof a);

    close(fd);
    return ok;
}

static int gw_start(void **state)
{
    unsigned port = free_port();
    char address[32], bucket[128];

    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "fake-access", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "fake-secret-of-the-test", 1);
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("http_proxy");
    snprintf(gw.root, sizeof gw.root, "%s/mill-s3-XXXXXX", P_tmpdir);
    if (!mkdtemp(gw.root))
        return -1;
    make_dir(gw.data, sizeof gw.data, "data");
    make_dir(gw.side, sizeof gw.side, "side");
    make_dir(gw.iam, sizeof gw.iam, "iam");
    snprintf(bucket, sizeof bucket, "%s/lake", gw.data);
    assert_int_equal(mkdir(bucket, 0700), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    snprintf(gw.endpoint, sizeof gw.endpoint, "http://%s", address);
    gw.pid = fork();
    if (!gw.pid) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        execl(gw.program, gw.program, "--port", address, "--access", "fake-access", "--secret",
              "fake-secret-of-the-test", "--iam-dir", gw.iam, "--keep-alive", "--quiet", "posix",
              "--sidecar", gw.side, gw.data, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && !listens(port); i++)
        usleep(20000);
    return listens(port) ? 0 : -1;
}

static void remove_tree(const char *path)
{
    pid_t pid = fork();

    if (!pid) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static int gw_stop(void **state)
{
    (void)state;
    if (gw.pid > 0) {
        kill(gw.pid, SIGTERM);
        waitpid(gw.pid, NULL, 0);
    }
    if (gw.root[0])
        remove_tree(gw.root);
    return 0;
}

static struct mill_s3 *client(void)
{
    const struct mill_s3_conf conf = {
        .endpoint = gw.endpoint, .region = "us-east-1", .bucket = "lake", .timeout_ms = 20000};
    struct mill_s3 *s;
    struct mill_err err;

    if (mill_s3_new(&s, &conf, &err))
        fail_msg("%s", err.text);
    return s;
}

#define OBJECT "topic=mail.events/dt=2026-01-02/mail.events+Ab_-d+3+0-99.parquet"

static const struct mill_pair plan[] = {{{"plan", 4}, {"S=0 E=100", 9}}};

static void test_object(void **state)
{
    struct mill_s3 *s = client();
    struct mill_buf got;
    struct mill_s3_head head;
    enum mill_s3_put how;
    struct mill_err err;
    char *big = calloc(1, 5 << 20);

    (void)state;
    assert_non_null(big);
    big[(5 << 20) - 1] = 'z';
    mill_buf_init(&got, 8 << 20);
    assert_int_equal(mill_s3_head(s, OBJECT, &head, &err), MILL_E_NOENT);
    if (mill_s3_put_new(s, OBJECT, MILL_STR("0123456789"), (struct mill_map){plan, 1}, &how, &err))
        fail_msg("%s", err.text);
    assert_int_equal(how, MILL_S3_CREATED);
    assert_int_equal(
        mill_s3_put_new(s, OBJECT, MILL_STR("other"), (struct mill_map){0}, &how, &err), MILL_OK);
    assert_int_equal(how, MILL_S3_EXISTS);
    assert_int_equal(mill_s3_get(s, OBJECT, &got, &err), MILL_OK);
    assert_string_equal(got.p, "0123456789");
    assert_int_equal(mill_s3_head(s, OBJECT, &head, &err), MILL_OK);
    assert_int_equal(head.bytes, 10);
    assert_true(mill_str_is(mill_map_get(head.meta, "plan"), "S=0 E=100"));
    mill_buf_reset(&got);
    assert_int_equal(mill_s3_get_range(s, OBJECT, 8, 2, &got, &err), MILL_OK);
    assert_string_equal(got.p, "89");
    mill_buf_reset(&got);
    if (mill_s3_put_new(s, "big", (struct mill_str){big, 5 << 20}, (struct mill_map){0}, &how,
                        &err))
        fail_msg("%s", err.text);
    assert_int_equal(mill_s3_get_range(s, "big", (5 << 20) - 1, 1, &got, &err), MILL_OK);
    assert_string_equal(got.p, "z");
    assert_int_equal(mill_s3_delete(s, "big", &err), MILL_OK);
    assert_int_equal(mill_s3_delete(s, OBJECT, &err), MILL_OK);
    assert_int_equal(mill_s3_get(s, OBJECT, &got, &err), MILL_E_NOENT);
    assert_int_equal(mill_s3_delete(s, OBJECT, &err), MILL_OK);
    mill_buf_release(&got);
    free(big);
    mill_s3_free(s);
}

/* Fills and uploads 12 MiB + 1 in parts of 5 MiB, piece by piece. */
enum { PIECE = 700 * 1000, UPLOAD = (12 << 20) + 1 };

static enum mill_code upload(struct mill_s3 *s, const char *key, char fill, enum mill_s3_put *how,
                             struct mill_err *err)
{
    struct mill_s3_upload *u = NULL;
    char *piece = malloc(PIECE);
    enum mill_code code =
        mill_s3_upload_new(&u, s, key, (struct mill_map){plan, 1}, MILL_S3_PART_MIN, err);

    assert_non_null(piece);
    memset(piece, fill, PIECE);
    for (size_t at = 0; at < UPLOAD && !code; at += PIECE)
        code = mill_s3_upload_add(
            u, (struct mill_str){piece, UPLOAD - at < PIECE ? UPLOAD - at : PIECE}, err);
    if (!code)
        code = mill_s3_upload_finish(u, how, err);
    mill_s3_upload_free(u);
    free(piece);
    return code;
}

static size_t uploads_left(void)
{
    char pattern[160];
    glob_t found = {0};
    size_t n;

    snprintf(pattern, sizeof pattern, "%s/lake/.sgwtmp/multipart/*/*", gw.data);
    n = glob(pattern, 0, NULL, &found) ? 0 : found.gl_pathc;
    globfree(&found);
    return n;
}

/* One that is dropped half way: its parts are at the server, then no more. */
static void drop_upload(struct mill_s3 *s, const char *bytes)
{
    struct mill_s3_upload *u = NULL;
    struct mill_err err;

    assert_int_equal(
        mill_s3_upload_new(&u, s, "dropped", (struct mill_map){0}, MILL_S3_PART_MIN, &err),
        MILL_OK);
    if (mill_s3_upload_add(u, (struct mill_str){bytes, 6 << 20}, &err))
        fail_msg("%s", err.text);
    assert_int_equal(uploads_left(), 1);
    mill_s3_upload_free(u);
    assert_int_equal(uploads_left(), 0);
}

/* In parts: whole with its metadata, only if nothing is there, and nothing is left over. */
static void test_upload(void **state)
{
    struct mill_s3 *s = client();
    struct mill_s3_head head;
    struct mill_buf got;
    enum mill_s3_put how;
    struct mill_err err;
    char *large = calloc(1, 40 << 20);

    (void)state;
    assert_non_null(large);
    mill_buf_init(&got, 100);
    for (int i = 0; i < 2; i++) {
        if (upload(s, OBJECT, i ? 'b' : 'a', &how, &err))
            fail_msg("%s", err.text);
        assert_int_equal(how, i ? MILL_S3_EXISTS : MILL_S3_CREATED);
        assert_int_equal(mill_s3_head(s, OBJECT, &head, &err), MILL_OK);
        assert_int_equal(head.bytes, UPLOAD);
        assert_true(mill_str_is(mill_map_get(head.meta, "plan"), "S=0 E=100"));
    }
    assert_int_equal(mill_s3_get_range(s, OBJECT, (5 << 20) - 1, 2, &got, &err), MILL_OK);
    assert_string_equal(got.p, "aa");
    if (mill_s3_put_large(s, "large", (struct mill_str){large, 40 << 20}, (struct mill_map){0},
                          &how, &err))
        fail_msg("%s", err.text);
    assert_int_equal(how, MILL_S3_CREATED);
    assert_int_equal(uploads_left(), 0);
    drop_upload(s, large);
    assert_int_equal(mill_s3_delete(s, OBJECT, &err), MILL_OK);
    assert_int_equal(mill_s3_delete(s, "large", &err), MILL_OK);
    mill_buf_release(&got);
    free(large);
    mill_s3_free(s);
}

static bool on_key(void *arg, const char *key, uint64_t bytes)
{
    char want[64];
    int *n = arg;

    snprintf(want, sizeof want, "many/topic=a b+&<%05d", *n);
    assert_string_equal(key, want);
    assert_int_equal(bytes, 1);
    return ++*n;
}

static void test_list(void **state)
{
    enum { N = 1205 }; /* more than a page */
    struct mill_s3 *s = client();
    enum mill_s3_put how;
    struct mill_err err;
    int n = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        char key[64];
        snprintf(key, sizeof key, "many/topic=a b+&<%05d", i);
        if (mill_s3_put_new(s, key, MILL_STR("x"), (struct mill_map){0}, &how, &err))
            fail_msg("%s", err.text);
    }
    if (mill_s3_list(s, "many/topic=a b+&", on_key, &n, &err))
        fail_msg("%s", err.text);
    assert_int_equal(n, N);
    mill_s3_free(s);
}

/* Sixteen writers of one name, a few of them in parts: one creates it, the others are told. */
struct racer {
    pthread_t thread;
    struct mill_s3 *s;
    int round;
    bool parts; /* an upload in parts, else one PUT */
    atomic_int *created;
    enum mill_code code;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    char key[32], body[32];
    enum mill_s3_put how;

    snprintf(key, sizeof key, "race-%d", r->round);
    snprintf(body, sizeof body, "by %p", arg);
    r->code = r->parts
                  ? upload(r->s, key, (char)r->round, &how, NULL)
                  : mill_s3_put_new(r->s, key, mill_str(body), (struct mill_map){0}, &how, NULL);
    if (!r->code && how == MILL_S3_CREATED)
        atomic_fetch_add(r->created, 1);
    return NULL;
}

static void test_race(void **state)
{
    enum { WRITERS = 16, ROUNDS = 10 };
    struct racer r[WRITERS];

    (void)state;
    for (int i = 0; i < WRITERS; i++)
        r[i].s = client();
    for (int round = 0; round < ROUNDS; round++) {
        atomic_int created = 0;
        for (int i = 0; i < WRITERS; i++) {
            r[i].round = round;
            r[i].created = &created;
            r[i].parts = i < (round < 3 ? 3 : 0);
            assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
        }
        for (int i = 0; i < WRITERS; i++) {
            pthread_join(r[i].thread, NULL);
            assert_int_equal(r[i].code, MILL_OK);
        }
        assert_int_equal(created, 1);
    }
    for (int i = 0; i < WRITERS; i++)
        mill_s3_free(r[i].s);
}

static void test_refused(void **state)
{
    struct mill_s3_conf other = {
        .endpoint = gw.endpoint, .region = "us-east-1", .bucket = "nowhere", .timeout_ms = 5000};
    struct mill_s3 *s;
    struct mill_buf got;
    enum mill_s3_put how;
    struct mill_err err;

    (void)state;
    mill_buf_init(&got, 100);
    assert_int_equal(mill_s3_new(&s, &other, &err), MILL_OK);
    assert_int_equal(mill_s3_put_new(s, "x", MILL_STR("x"), (struct mill_map){0}, &how, &err),
                     MILL_E_CONFIG);
    mill_s3_free(s);
    setenv("AWS_SECRET_ACCESS_KEY", "wrong", 1);
    s = client();
    assert_int_equal(mill_s3_get(s, "x", &got, &err), MILL_E_AUTH);
    mill_s3_free(s);
    setenv("AWS_SECRET_ACCESS_KEY", "fake-secret-of-the-test", 1);
    mill_buf_release(&got);
}

/* A server that is gone is an outage. */
static void test_outage(void **state)
{
    struct mill_s3 *s = client();
    enum mill_s3_put how;
    struct mill_err err;

    (void)state;
    kill(gw.pid, SIGKILL);
    waitpid(gw.pid, NULL, 0);
    gw.pid = 0;
    assert_int_equal(mill_s3_put_new(s, "later", MILL_STR("x"), (struct mill_map){0}, &how, &err),
                     MILL_E_IO);
    mill_s3_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_outage), /* the last: the server is gone after it */
    };

    if (!find_program()) {
        puts("SKIP: no versitygw in the cache; deploy/local/setup builds it");
        return 77;
    }
    mill_log_setup("test", MILL_WARN);
    return cmocka_run_group_tests_name("s3_server", tests, gw_start, gw_stop);
}
