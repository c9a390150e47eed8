#include "cases.h"

#include "alloc_fail.h"
#include "base/json.h"
#include "base/opt.h"
#include <sys/stat.h>
#include <unistd.h>

struct conf {
    const char *brokers, *key;
    uint32_t port;
    uint64_t max_bytes, drain_ms;
    bool deep;
    struct mill_map rdkafka;
};

static const struct mill_opt opts[] = {
    {.name = "brokers",
     .type = MILL_OPT_STR,
     .off = offsetof(struct conf, brokers),
     .def = "127.0.0.1:9092",
     .help = "host:port list"},
    {.name = "port",
     .type = MILL_OPT_U32,
     .off = offsetof(struct conf, port),
     .min = 1,
     .max = 65535,
     .def = "80"},
    {.name = "max-bytes",
     .type = MILL_OPT_BYTES,
     .off = offsetof(struct conf, max_bytes),
     .def = "2MiB"},
    {.name = "drain-ms", .type = MILL_OPT_MS, .off = offsetof(struct conf, drain_ms), .def = "10s"},
    {.name = "deep", .type = MILL_OPT_BOOL, .off = offsetof(struct conf, deep)},
    {.name = "rdkafka.", .type = MILL_OPT_PREFIX, .off = offsetof(struct conf, rdkafka)},
    {.name = "api-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct conf, key),
     .flags = MILL_OPT_SECRET},
    {0},
};

struct must {
    const char *topic;
};
static const struct mill_opt must_opts[] = {
    {.name = "topic",
     .type = MILL_OPT_STR,
     .off = offsetof(struct must, topic),
     .flags = MILL_OPT_REQUIRED,
     .help = "the topic"},
    {0},
};

enum { ARGS = 6, ENVS = 3 };

/* One run: what is in the file, the environment, the flags; what comes of it. */
struct run {
    const char *name;
    const char *file; /* NULL = no --config */
    const char *env[ENVS];
    const char *args[ARGS];
    enum mill_code code;
    const char *where, *text; /* of a failure: the end of where, a part of text */
    const char *printed;      /* of a success: a part of --print-config */
};

static char dir[48];
static char conf_path[64], key_path[64];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void set_env(const struct run *run, bool on)
{
    for (size_t i = 0; i < ENVS && run->env[i]; i++) {
        char name[128];
        const char *equals = strchr(run->env[i], '=');
        mill_str_cut((struct mill_str){run->env[i], (size_t)(equals - run->env[i])}, name,
                     sizeof name);
        if (on)
            setenv(name, equals + 1, 1);
        else
            unsetenv(name);
    }
}

static enum mill_code load(const struct run *run, struct mill_opts **o, struct conf *conf,
                           enum mill_opt_mode *mode, struct mill_err *err)
{
    const struct mill_opt_set sets[] = {{opts, conf}, {0}};
    char *argv[ARGS + 2] = {(char *)(uintptr_t) "mill-test"};
    char config[128];
    enum mill_code code;
    int argc = 1;

    if (run->file) {
        write_file(conf_path, run->file);
        snprintf(config, sizeof config, "--config=%s", conf_path);
        argv[argc++] = config;
    }
    for (size_t i = 0; i < ARGS && run->args[i]; i++)
        argv[argc++] = (char *)(uintptr_t)run->args[i];
    set_env(run, true);
    code = mill_opts_load(o, "size-gate", sets, argc, argv, mode, err);
    set_env(run, false);
    return code;
}

static char *printed(const struct mill_opts *o)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    mill_opts_print(o, f);
    fclose(f);
    return text;
}

static const struct run good_runs[] = {
    {.name = "default", .printed = "brokers = 127.0.0.1:9092  # default\n"},
    {.name = "file over default", .file = "brokers = f:1\n", .printed = "opt.conf:1\n"},
    {.name = "environment over file",
     .file = "port=1\n",
     .env = {"MILL_SIZE_GATE_PORT=2"},
     .printed = "port = 2  # MILL_SIZE_GATE_PORT\n"},
    {.name = "flag over environment",
     .file = "port=1\n",
     .env = {"MILL_SIZE_GATE_PORT=2"},
     .args = {"--port=3"},
     .printed = "port = 3  # --port\n"},
    {.name = "flag over file",
     .file = "port = 1\n",
     .args = {"--port", "3"},
     .printed = "port = 3  # --port\n"},
    {.name = "comments and blanks",
     .file = "# a\n\n  \t\n  port = 7   # seven\n#\n",
     .printed = "port = 7"},
    {.name = "a # inside a value", .file = "brokers = a#b\n", .printed = "brokers = a#b  # "},
    {.name = "carriage returns",
     .file = "port = 7\r\nbrokers = x\r\n",
     .printed = "brokers = x  # "},
    {.name = "no newline at the end", .file = "port = 7", .printed = "port = 7"},
    {.name = "= in a value", .file = "brokers = a=b\n", .printed = "brokers = a=b"},
    {.name = "long value",
     .file = "brokers = "
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaz\n",
     .printed = "aaaz  #"},
    {.name = "bool without a value", .args = {"--deep", "--port=3"}, .printed = "deep = true"},
    {.name = "bool with a value", .args = {"--deep=no"}, .printed = "deep = no"},
    {.name = "prefix pairs",
     .file = "rdkafka.a = 1\nrdkafka.b = 2\n",
     .args = {"--rdkafka.a=3", "--rdkafka.c", "4"},
     .printed = "rdkafka.a = 3  # --rdkafka.a\nrdkafka.b = 2  # "},
    {.name = "prefix by environment",
     .env = {"MILL_SIZE_GATE_RDKAFKA_LINGER_MS=5"},
     .printed = "rdkafka.linger.ms = 5  # MILL_SIZE_GATE_RDKAFKA_LINGER_MS\n"},
    {.name = "secret by environment",
     .env = {"MILL_SIZE_GATE_API_KEY=hunter2"},
     .printed = "api-key = ********  # MILL_SIZE_GATE_API_KEY\n"},
    {.name = "password of the broker",
     .env = {"MILL_SIZE_GATE_RDKAFKA_SASL_PASSWORD=hunter2"},
     .printed = "rdkafka.sasl.password = ********  # "},
    {.name = "other program's variable",
     .env = {"MILL_OTHER_PORT=nonsense"},
     .printed = "port = 80  # default\n"},
    {.name = "not set", .printed = "# api-key =   # not set\n"},
};

static void good_case(void **state)
{
    const struct run *run = *state;
    struct mill_err err = {0};
    struct mill_opts *o = NULL;
    struct conf conf = {0};
    enum mill_opt_mode mode;
    char *text;

    if (load(run, &o, &conf, &mode, &err))
        fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(mode, MILL_MODE_RUN);
    text = printed(o);
    assert_null(strstr(text, "hunter2"));
    if (!strstr(text, run->printed))
        fail_msg("%s\nis not in\n%s", run->printed, text);
    free(text);
    mill_opts_free(o);
}

static const struct run bad_runs[] = {
    {.name = "unknown key",
     .file = "port = 1\n\nbrokerz = x\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:3",
     .text = "brokerz"},
    {.name = "repeated key",
     .file = "port = 1\nport = 1\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:2",
     .text = "second time"},
    {.name = "repeated pair",
     .file = "rdkafka.a = 1\nrdkafka.b = 1\nrdkafka.a = 2\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:3",
     .text = "rdkafka.a"},
    {.name = "prefix alone",
     .file = "rdkafka. = 1\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:1",
     .text = "unknown"},
    {.name = "no equals",
     .file = "port\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:1",
     .text = "key = value"},
    {.name = "no key",
     .file = "= 1\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:1",
     .text = "key = value"},
    {.name = "latin-1",
     .file = "brokers = caf\xE9\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:1",
     .text = "UTF-8"},
    {.name = "value in the file",
     .file = "\nport = x\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:2",
     .text = "port must be a number"},
    {.name = "value in the environment",
     .env = {"MILL_SIZE_GATE_PORT="},
     .code = MILL_E_CONFIG,
     .where = "MILL_SIZE_GATE_PORT",
     .text = "number"},
    {.name = "too small",
     .args = {"--port=0"},
     .code = MILL_E_CONFIG,
     .where = "--port",
     .text = "between 1 and 65535"},
    {.name = "too large",
     .args = {"--port=65536"},
     .code = MILL_E_CONFIG,
     .where = "--port",
     .text = "between"},
    {.name = "past 64 bits",
     .args = {"--max-bytes=18446744073709551616"},
     .code = MILL_E_CONFIG,
     .where = "--max-bytes",
     .text = "number"},
    {.name = "past 64 bits by its unit",
     .args = {"--max-bytes=99999999999GiB"},
     .code = MILL_E_CONFIG,
     .where = "--max-bytes",
     .text = "number"},
    {.name = "unknown unit",
     .args = {"--max-bytes=1MB"},
     .code = MILL_E_CONFIG,
     .where = "--max-bytes",
     .text = "KiB"},
    {.name = "time unit",
     .args = {"--drain-ms=1w"},
     .code = MILL_E_CONFIG,
     .where = "--drain-ms",
     .text = "ms s m h d"},
    {.name = "negative",
     .args = {"--port=-1"},
     .code = MILL_E_CONFIG,
     .where = "--port",
     .text = "number"},
    {.name = "bool",
     .args = {"--deep=maybe"},
     .code = MILL_E_CONFIG,
     .where = "--deep",
     .text = "true or false"},
    {.name = "secret on a flag",
     .args = {"--api-key=hunter2"},
     .code = MILL_E_CONFIG,
     .where = "--api-key",
     .text = "environment"},
    {.name = "secret in a file",
     .file = "api-key = hunter2\n",
     .code = MILL_E_CONFIG,
     .where = "opt.conf:1",
     .text = "environment"},
    {.name = "password on a flag",
     .args = {"--rdkafka.sasl.password=hunter2"},
     .code = MILL_E_CONFIG,
     .where = "--rdkafka.sasl.password",
     .text = "environment"},
    {.name = "secret's file missing",
     .args = {"--api-key=@/nowhere/key"},
     .code = MILL_E_CONFIG,
     .where = "--api-key",
     .text = "/nowhere/key: No such file"},
    {.name = "file missing",
     .args = {"--config=/nowhere/x.conf"},
     .code = MILL_E_CONFIG,
     .where = "/nowhere/x.conf",
     .text = "No such file"},
    {.name = "file by environment missing",
     .env = {"MILL_SIZE_GATE_CONFIG=/nowhere/y.conf"},
     .code = MILL_E_CONFIG,
     .where = "/nowhere/y.conf",
     .text = "No such file"},
    {.name = "unknown flag",
     .args = {"--prot=1"},
     .code = MILL_E_STATE,
     .where = "--prot=1",
     .text = "unknown"},
    {.name = "no flag", .args = {"x"}, .code = MILL_E_STATE, .where = "x", .text = "--"},
    {.name = "flag without its value",
     .args = {"--port"},
     .code = MILL_E_STATE,
     .where = "--port",
     .text = "value"},
    {.name = "double dash",
     .args = {"--"},
     .code = MILL_E_STATE,
     .where = "--",
     .text = "no option"},
    {.name = "mode with a value",
     .args = {"--help=x"},
     .code = MILL_E_STATE,
     .where = "--help=x",
     .text = "unknown"},
};

static void bad_case(void **state)
{
    const struct run *run = *state;
    struct mill_err err = {0};
    struct mill_opts *o = NULL;
    struct conf conf = {0};
    enum mill_opt_mode mode;
    size_t at;

    assert_int_equal(load(run, &o, &conf, &mode, &err), run->code);
    at = strlen(err.where) - strlen(run->where);
    assert_true(strlen(err.where) >= strlen(run->where));
    assert_string_equal(err.where + at, run->where);
    if (!strstr(err.text, run->text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, run->text);
    assert_null(strstr(err.text, "hunter2"));
    mill_opts_free(o);
}

static void opt_values(void **state)
{
    const struct run run = {
        .args = {"--max-bytes=3KiB", "--drain-ms=2m", "--deep=on", "--port=4294967"}};
    const struct run fine = {.args = {"--max-bytes=3 KiB", "--drain-ms=1500", "--deep=on",
                                      "--port=443", "--rdkafka.x=y"}};
    struct mill_opts *o = NULL;
    struct conf conf = {0};
    enum mill_opt_mode mode;

    (void)state;
    assert_int_equal(load(&run, &o, &conf, &mode, NULL), MILL_E_CONFIG);
    mill_opts_free(o);
    assert_int_equal(load(&fine, &o, &conf, &mode, NULL), MILL_OK);
    assert_int_equal(conf.max_bytes, 3072);
    assert_int_equal(conf.drain_ms, 1500);
    assert_int_equal(conf.port, 443);
    assert_true(conf.deep);
    assert_int_equal(conf.rdkafka.n, 1);
    assert_true(mill_str_is(mill_map_get(conf.rdkafka, "x"), "y"));
    assert_null(conf.key);
    mill_opts_free(o);
}

static const struct secret_row {
    const char *name, *content, *want; /* want NULL = refused */
} secret_rows[] = {
    {"newline dropped", "sk_fake_1\n", "sk_fake_1"},
    {"only one newline", "sk_fake_1\n\n", "sk_fake_1\n"},
    {"none there", "sk_fake_1", "sk_fake_1"},
    {"empty", "", ""},
};

static void secret_case(void **state)
{
    const struct secret_row *row = *state;
    char flag[128];
    struct run run = {.args = {flag}};
    struct mill_opts *o = NULL;
    struct conf conf = {0};
    enum mill_opt_mode mode;

    write_file(key_path, row->content);
    snprintf(flag, sizeof flag, "--api-key=@%s", key_path);
    assert_int_equal(load(&run, &o, &conf, &mode, NULL), MILL_OK);
    assert_string_equal(conf.key, row->want);
    mill_opts_free(o);
}

/* What cannot be a secret is not taken for a part of one; the message does not show it. */
static void secret_refused(void **state)
{
    static char large[(64 << 10) + 1];
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } rows[] = {{"hunter\0two", 10, "no text"}, {large, sizeof large, "too large"}};
    char flag[128];
    struct run run = {.args = {flag}};

    (void)state;
    memset(large, 'x', sizeof large);
    snprintf(flag, sizeof flag, "--api-key=@%s", key_path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *f = fopen(key_path, "w");
        struct mill_opts *o = NULL;
        struct conf conf = {0};
        struct mill_err err = {0};
        enum mill_opt_mode mode;
        assert_non_null(f);
        assert_int_equal(fwrite(rows[i].bytes, 1, rows[i].n, f), rows[i].n);
        fclose(f);
        assert_int_equal(load(&run, &o, &conf, &mode, &err), MILL_E_CONFIG);
        assert_non_null(strstr(err.text, rows[i].why));
        assert_null(strstr(err.text, "hunter"));
        mill_opts_free(o);
    }
}

static void opt_required(void **state)
{
    static const char *const args[] = {"x", "--topic=", "--topic=t"};
    const enum mill_code want[] = {MILL_E_CONFIG, MILL_E_CONFIG, MILL_OK};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct must conf = {0};
        const struct mill_opt_set sets[] = {{must_opts, &conf}, {0}};
        char *argv[] = {(char *)(uintptr_t) "x", (char *)(uintptr_t)args[i], NULL};
        struct mill_err err = {0};
        struct mill_opts *o;
        enum mill_opt_mode mode;
        assert_int_equal(mill_opts_load(&o, "p", sets, i ? 2 : 1, argv, &mode, &err), want[i]);
        assert_string_equal(err.where, want[i] ? "topic" : "");
        mill_opts_free(o);
    }
}

static const struct mode_row {
    const char *name, *flag;
    enum mill_opt_mode mode;
} mode_rows[] = {
    {"help", "--help", MILL_MODE_HELP},
    {"version", "--version", MILL_MODE_VERSION},
    {"check", "--check-config", MILL_MODE_CHECK},
    {"print", "--print-config", MILL_MODE_PRINT},
    {"describe", "--describe", MILL_MODE_DESCRIBE},
};

static void mode_case(void **state)
{
    const struct mode_row *row = *state;
    const struct run run = {.args = {"--port=5", row->flag}};
    struct mill_opts *o = NULL;
    struct conf conf = {0};
    enum mill_opt_mode mode;

    assert_int_equal(load(&run, &o, &conf, &mode, NULL), MILL_OK);
    assert_int_equal(mode, row->mode);
    mill_opts_free(o);
}

static void opt_texts(void **state)
{
    struct conf conf = {0};
    struct must must = {0};
    const struct mill_opt_set sets[] = {{opts, &conf}, {must_opts, &must}, {0}};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    json_t *rows, *row;

    (void)state;
    mill_opts_help("size-gate", "stops what is large", sets, f);
    fclose(f);
    assert_non_null(strstr(text, "size-gate: stops what is large\n"));
    assert_non_null(strstr(text, "--port=N\n"));
    assert_non_null(strstr(text, "the topic (required)\n"));
    assert_non_null(strstr(text, "MILL_SIZE_GATE_<OPTION>"));
    free(text);
    f = open_memstream(&text, &n);
    assert_true(mill_opts_describe(sets, f));
    fclose(f);
    assert_int_equal(mill_json_parse((struct mill_str){text, n}, &rows, NULL), MILL_OK);
    assert_int_equal(json_array_size(rows), 8);
    row = json_array_get(rows, 1);
    assert_true(mill_str_is(mill_json_str(row, "name"), "port"));
    assert_true(mill_str_is(mill_json_str(row, "type"), "number"));
    assert_true(mill_str_is(mill_json_str(row, "default"), "80"));
    assert_int_equal(json_integer_value(json_object_get(row, "max")), 65535);
    assert_true(json_is_true(json_object_get(json_array_get(rows, 6), "secret")));
    json_decref(rows);
    free(text);
}

/* Fail each allocation in turn: an error each time, and nothing leaks. */
static void opt_no_memory(void **state)
{
    const struct run run = {.file = "port = 1\nrdkafka.a = b\n",
                            .env = {"MILL_SIZE_GATE_RDKAFKA_Z=1"},
                            .args = {"--deep", "--rdkafka.c=d"}};
    enum mill_code code;
    long n = 0;

    (void)state;
    do {
        struct mill_opts *o = NULL;
        struct conf conf = {0};
        enum mill_opt_mode mode;
        alloc_fail_in = ++n;
        code = load(&run, &o, &conf, &mode, NULL);
        mill_opts_free(o);
        assert_true(code == MILL_OK || code == MILL_E_NOMEM);
    } while (code);
    assert_true(n > 3);
    alloc_fail_in = 0;
    mill_opts_free(NULL);
}

int main(void)
{
    const struct CMUnitTest opt_tests[] = {
        cmocka_unit_test(opt_values), cmocka_unit_test(opt_required), cmocka_unit_test(opt_texts),
        cmocka_unit_test(opt_no_memory), cmocka_unit_test(secret_refused)};
    int failed;

    snprintf(dir, sizeof dir, "%s/mill-opt-%ld", P_tmpdir, (long)getpid());
    if (mkdir(dir, 0700))
        return 1;
    snprintf(conf_path, sizeof conf_path, "%s/opt.conf", dir);
    snprintf(key_path, sizeof key_path, "%s/key", dir);
    failed = TABLE(good_runs, good_case) + TABLE(bad_runs, bad_case) +
             TABLE(secret_rows, secret_case) + TABLE(mode_rows, mode_case) + TESTS(opt_tests);
    unlink(conf_path);
    unlink(key_path);
    rmdir(dir);
    return failed;
}
