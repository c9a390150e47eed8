/* Prism, with SendGrid's own description of v3 mail/send, judges the calls that our provider
 * builds: it stands in front of the double and lets only valid ones through. Needs
 * ../shared/reference (or $MILL_SHARED) and Prism in the user cache; else skipped. */
#include "base/clock.h"
#include "double.h"
#include "send/provider.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { READY_MS = 60000, MANY = 1000 };

static struct {
    char prism[1024], spec[1024], judge_url[64];
    struct double_state d;
    struct mill_http *http;
    pid_t pid;
    struct mill_address many[MANY];
    char many_text[MANY][32];
} world;

/* --- messages --------------------------------------------------------------------------------- */

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct mill_address one[] = {{S("a@example.com"), {0}}};
static const struct mill_address named[] = {{S("b@example.com"), S("Jos\xc3\xa9 \"Q\" \\ O'Neil")},
                                            {S("c@xn--bcher-kva.example"), {0}}};
static const struct mill_address copies[] = {{S("d@example.com"), {0}},
                                             {S("e@example.com"), S("E")}};
static const struct mill_str categories[] = {S("one"), S("two \xe2\x82\xac")};
static const struct mill_pair headers[] = {{S("X-Campaign"), S("42")}, {S("List-Id"), S("<l.x>")}};
static const struct mill_pair metadata[] = {{S("order"), S("17")},
                                            {S("empty"), S("")},
                                            {S("mill_message_id"), S("forged")},
                                            {S("quote\""), S("line\nbreak\x01\x7f")}};
static const struct mill_attachment attachments[] = {{.filename = S("a.txt"),
                                                      .type = S("text/plain"),
                                                      .disposition = S("attachment"),
                                                      .content = S("hello\0world")},
                                                     {.filename = S("logo.png"),
                                                      .type = S("image/png"),
                                                      .disposition = S("inline"),
                                                      .content_id = S("logo"),
                                                      .content = S("\x89PNG")},
                                                     {.filename = S("bare"), .content = S("x")}};

#define BASE      .tenant = S("t"), .from = {S("me@example.com"), {0}}, .to = {one, 1}
#define WITH_TEXT BASE, .subject = S("Hello"), .text = S("text")

static const struct row {
    const char *name;
    struct mill_message m;
} rows[] = {
    {"text", {WITH_TEXT}},
    {"html", {BASE, .subject = S("s"), .html = S("<p>&amp; \xe2\x82\xac</p>")}},
    {"both", {WITH_TEXT, .html = S("<p>x</p>")}},
    {"without tenant",
     {.from = {S("me@example.com"), S("Me")}, .to = {one, 1}, .subject = S("s"), .text = S("x")}},
    {"names",
     {.tenant = S("t"),
      .from = {S("me@example.com"), S("Me, Inc")},
      .to = {named, 2},
      .subject = S("\xf0\x9f\x98\x80"),
      .text = S("x")}},
    {"copies", {WITH_TEXT, .cc = {copies, 1}, .bcc = {copies + 1, 1}}},
    {"reply to one", {WITH_TEXT, .reply_to = {named, 1}}},
    {"reply to two", {WITH_TEXT, .reply_to = {named, 2}}},
    {"categories", {WITH_TEXT, .categories = {categories, 2}}},
    {"headers", {WITH_TEXT, .headers = {headers, 2}}},
    {"metadata", {WITH_TEXT, .metadata = {metadata, 4}}},
    {"attachments", {WITH_TEXT, .attachments = {attachments, 3}}},
    {"template", {BASE, .template_id = S("d-0123456789abcdef0123456789abcdef")}},
    {"template with data",
     {BASE, .subject = S("s"), .template_id = S("d-1"),
      .template_data = S("{\"name\":\"x\",\"list\":[1,{\"a\":null}]}")}},
    {"1000 recipients",
     {.from = {S("me@example.com"), {0}},
      .to = {world.many, MANY},
      .subject = S("s"),
      .text = S("x")}},
    {"everything",
     {WITH_TEXT, .html = S("<p>x</p>"), .cc = {copies, 1}, .bcc = {copies + 1, 1},
      .reply_to = {named, 1}, .categories = {categories, 2}, .headers = {headers, 2},
      .metadata = {metadata, 2}, .attachments = {attachments, 3}}},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* What the judge must refuse: it is of no use if it lets everything through. */
static const char *const refused[] = {
    "{}",
    "{\"personalizations\":[],\"from\":{\"email\":\"a@example.com\"},\"subject\":\"s\","
    "\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"not-an-email\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"a@example.com\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"a@example.com\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}],"
    "\"unheard_of\":1}",
};

/* --- the judge -------------------------------------------------------------------------------- */

static bool newest(const char *pattern, char *out, size_t size)
{
    glob_t found = {0};
    bool ok = !glob(pattern, 0, NULL, &found) && found.gl_pathc;

    if (ok)
        snprintf(out, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return ok;
}

static const char *find_parts(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *shared = getenv("MILL_SHARED");
    char pattern[512];

    snprintf(pattern, sizeof pattern, "%s/overlays/tsg_mail_v3.overlay.json",
             shared && shared[0] ? shared : "../../shared/reference");
    if (!newest(pattern, world.spec, sizeof world.spec))
        return "no ../shared/reference with SendGrid's description";
    if (cache && cache[0])
        snprintf(pattern, sizeof pattern, "%s/sendmill/prism/*/prism", cache);
    else
        snprintf(pattern, sizeof pattern, "%s/.cache/sendmill/prism/*/prism", home ? home : "");
    if (!newest(pattern, world.prism, sizeof world.prism))
        return "no Prism in the cache; deploy/local/setup prism installs it";
    return NULL;
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

static bool judge_ready(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    const int64_t until = mill_tick_ms() + READY_MS;
    bool ok = false;

    while (!ok && mill_tick_ms() < until && waitpid(world.pid, NULL, WNOHANG) == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        ok = !connect(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (!ok)
            usleep(100000);
    }
    return ok;
}

static int setup(void **state)
{
    struct mill_err err;
    char double_url[64], port_text[16];
    unsigned port = free_port();

    (void)state;
    unsetenv("http_proxy");
    for (int i = 0; i < MANY; i++) {
        snprintf(world.many_text[i], sizeof world.many_text[i], "r%d@example.com", i);
        world.many[i].email = mill_str(world.many_text[i]);
    }
    world.d = (struct double_state){
        .listen = "127.0.0.1:0", .key = "SG.fake-key", .threads = 1, .flush_ms = 100};
    if (double_start(&world.d, &err) || mill_http_new(&world.http, NULL, &err))
        return -1;
    snprintf(double_url, sizeof double_url, "http://127.0.0.1:%u",
             mill_server_port(world.d.server));
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(world.judge_url, sizeof world.judge_url, "http://127.0.0.1:%u", port);
    world.pid = fork();
    if (!world.pid) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execl(world.prism, world.prism, "proxy", "--errors", "-h", "127.0.0.1", "-p", port_text,
              world.spec, double_url, (char *)NULL);
        _exit(127);
    }
    return judge_ready(port) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (world.pid > 0) {
        kill(world.pid, SIGTERM);
        waitpid(world.pid, NULL, 0);
    }
    mill_http_free(world.http);
    double_stop(&world.d);
    return 0;
}

/* --- cases ------------------------------------------------------------------------------------ */

struct verdict {
    bool done;
    enum mill_http_end end;
    struct mill_arena *mem;
    struct mill_answer answer;
    long status;
    char body[2000];
};

static void on_reply(void *arg, const struct mill_http_reply *r)
{
    struct verdict *v = arg;

    v->done = true;
    v->end = r->end;
    v->status = r->status;
    mill_str_cut(r->body, v->body, sizeof v->body);
    mill_provider_sendgrid.classify(r, v->mem, &v->answer);
}

static void call(struct mill_http_call *c, struct verdict *v)
{
    struct mill_err err;

    c->timeout_ms = 20000;
    c->done = on_reply;
    c->arg = v;
    assert_int_equal(mill_http_submit(world.http, c, &err), MILL_OK);
    while (!v->done)
        mill_http_poll(world.http, 1000);
}

static void test_built(void **state)
{
    const size_t i = (size_t)(uintptr_t)*state;
    const struct mill_account account = {.url = world.judge_url, .secret = "SG.fake-key"};
    struct mill_message m = rows[i].m;
    struct mill_outgoing out = {0};
    struct mill_arena mem = {0};
    struct verdict v = {.mem = &mem};
    struct mill_err err;
    char id[32];

    snprintf(id, sizeof id, "oracle/%zu", i);
    m.message_id = mill_str(id);
    if (mill_provider_sendgrid.build(&account, &m, mill_now_us(), &out, &err))
        fail_msg("%s: %s", err.where, err.text);
    call(&out.http, &v);
    if (v.status != 202)
        fail_msg("%ld %s\nfor %.*s", v.status, v.body, MILL_FMT(out.http.body));
    assert_int_equal(v.answer.outcome, MILL_OUTCOME_ACCEPTED);
    assert_int_equal(v.answer.provider_id.n, 22); /* the double's, through the judge */
    pthread_mutex_lock(&world.d.lock);            /* and the double knows it by our id */
    assert_int_equal(json_integer_value(json_object_get(world.d.calls, id)), 1);
    pthread_mutex_unlock(&world.d.lock);
    mill_arena_release(&mem);
    mill_arena_release(&out.mem);
    mill_buf_release(&out.body);
}

static void test_judge_refuses(void **state)
{
    const struct mill_pair h[] = {{MILL_STR("Authorization"), MILL_STR("Bearer SG.fake-key")},
                                  {MILL_STR("Content-Type"), MILL_STR("application/json")}};
    char url[128];

    (void)state;
    snprintf(url, sizeof url, "%s/v3/mail/send", world.judge_url);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct mill_arena mem = {0};
        struct verdict v = {.mem = &mem};
        struct mill_http_call c = {
            .method = "POST", .url = url, .headers = {h, 2}, .body = mill_str(refused[i])};

        call(&c, &v);
        if (v.status != 422)
            fail_msg("%ld %s\nfor %s", v.status, v.body, refused[i]);
        mill_arena_release(&mem);
    }
}

/* The judge checks answers too: those of the double are as SendGrid describes them. */
static void test_double_answers(void **state)
{
#define MAIL(to)                                                                                   \
    "{\"personalizations\":[{\"to\":[" to "]}],\"from\":{\"email\":\"a@example.com\"},"            \
    "\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}"
#define TO "{\"email\":\"a@example.com\"}"
    static const struct {
        const char *auth, *body;
        unsigned fault; /* status that is asked for */
        long status;
        enum mill_outcome outcome;
    } answers[] = {
        {"Bearer SG.other", MAIL(TO), 0, 401, MILL_OUTCOME_CREDENTIAL},
        {"Bearer SG.fake-key", MAIL(TO "," TO), 0, 400, MILL_OUTCOME_PERMANENT},
        {"Bearer SG.fake-key", MAIL(TO), 413, 413, MILL_OUTCOME_PERMANENT},
        {"Bearer SG.fake-key", MAIL(TO), 429, 429, MILL_OUTCOME_THROTTLED},
        {"Bearer SG.fake-key", MAIL(TO), 500, 500, MILL_OUTCOME_TRANSIENT},
    };
    char url[128];

    (void)state;
    snprintf(url, sizeof url, "%s/v3/mail/send", world.judge_url);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct mill_pair h[] = {{MILL_STR("Authorization"), mill_str(answers[i].auth)},
                                      {MILL_STR("Content-Type"), MILL_STR("application/json")}};
        struct mill_arena mem = {0};
        struct verdict v = {.mem = &mem};
        struct mill_http_call c = {
            .method = "POST", .url = url, .headers = {h, 2}, .body = mill_str(answers[i].body)};

        pthread_mutex_lock(&world.d.lock);
        world.d.behaviour = (struct double_behaviour){
            .n_faults = answers[i].fault ? 1 : 0,
            .faults = {{.rate = -1, .times = 1, .status = answers[i].fault}}};
        pthread_mutex_unlock(&world.d.lock);
        call(&c, &v);
        if (v.status != answers[i].status || strstr(v.body, "prism"))
            fail_msg("%ld %s", v.status, v.body);
        assert_int_equal(v.answer.outcome, answers[i].outcome);
        mill_arena_release(&mem);
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2];
    const char *missing = find_parts();

    if (missing) {
        printf("SKIP: %s\n", missing);
        return 77;
    }
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_built, NULL, NULL, (void *)(uintptr_t)i};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_judge_refuses);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_double_answers);
    return cmocka_run_group_tests_name("sendgrid", tests, setup, teardown);
}
