/* The double's Mailgun, called by our own provider: answers, counts of each provider, events with
 * signatures that ingest's code accepts, faults of one provider, on reused connections, for a time.
 */
#include "cases.h"
#include "double.h"

#include "base/clock.h"
#include "send/provider.h"

#include <stdio.h>
#include <string.h>

#define S(lit) MILL_STR_INIT(lit)

static struct {
    struct double_state d;
    struct mill_http *http;
    struct mill_server *hook;
    char url[64], hook_url[64];
    union mill_account_room mailgun;
    struct mill_account sendgrid;
    atomic_int posts, refused;
    pthread_mutex_t lock;
    struct mill_event seen[16]; /* as our provider reads them */
    size_t seen_n;
    struct mill_arena mem;
} world;

static enum mill_code on_event(void *arg, const struct mill_split *one, struct mill_err *err)
{
    (void)arg;
    assert_true(world.seen_n < 16);
    return mill_provider_mailgun.parse_event(one->raw, &world.mem, &world.seen[world.seen_n++],
                                             err);
}

static void on_hook(void *app, struct mill_exchange *x)
{
    static const struct mill_webhook_conf conf = {"another, sign-fake", 60000};
    const struct mill_webhook *w = mill_provider_mailgun.webhook;
    struct mill_webhook_keys keys;
    struct mill_str body = mill_exchange_body(x);
    const struct mill_webhook_post post = {.body = body, .now_us = mill_now_us()};
    struct mill_err err;
    bool good = !mill_webhook_keys_read(&keys, w, &conf, &err) && !w->verify(&keys, &post, &err);

    (void)app;
    pthread_mutex_lock(&world.lock);
    if (good && mill_provider_mailgun.split(body, on_event, NULL, &err))
        good = false;
    pthread_mutex_unlock(&world.lock);
    atomic_fetch_add(good ? &world.posts : &world.refused, 1);
    mill_exchange_answer(x, good ? 200 : 401, (struct mill_map){0}, MILL_STR(""));
}

static const struct mill_route hook_routes[] = {{"POST", "/hook", on_hook, 2 << 20}, {0}};

static int setup(void **state)
{
    const struct mill_server_conf hook = {.listen = "127.0.0.1:0", .routes = hook_routes};
    const struct mill_http_conf one = {.max_connections = 1};
    struct mill_err err;

    (void)state;
    unsetenv("http_proxy");
    pthread_mutex_init(&world.lock, NULL);
    if (mill_server_start(&world.hook, &hook, &err) || mill_http_new(&world.http, &one, &err))
        return -1;
    snprintf(world.hook_url, sizeof world.hook_url, "http://127.0.0.1:%u/hook",
             mill_server_port(world.hook));
    world.d = (struct double_state){.listen = "127.0.0.1:0",
                                    .mailgun_key = "key-fake",
                                    .mailgun_webhook_url = world.hook_url,
                                    .mailgun_signing_key = "sign-fake",
                                    .threads = 1,
                                    .flush_ms = 10,
                                    .deliver_ms = 5};
    if (double_start(&world.d, &err))
        return -1;
    snprintf(world.url, sizeof world.url, "http://127.0.0.1:%u", mill_server_port(world.d.server));
    world.sendgrid = (struct mill_account){.url = world.url, .secret = "SG.fake"};
    world.mailgun.base = (struct mill_account){.url = world.url, .secret = "key-fake"};
    for (const struct mill_opt *o = mill_provider_mailgun.opts; o->name; o++)
        if (!strcmp(o->name, "mailgun-domain"))
            *(const char **)(void *)(world.mailgun.bytes + o->off) = "mg.example";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mill_http_free(world.http);
    double_stop(&world.d);
    mill_server_stop(world.hook);
    mill_arena_release(&world.mem);
    pthread_mutex_destroy(&world.lock);
    return 0;
}

static int forget(void **state)
{
    static const struct double_behaviour none;
    (void)state;
    pthread_mutex_lock(&world.d.lock);
    world.d.behaviour = none;
    world.d.reset_before = false;
    for (size_t i = 0; i < DOUBLE_PROVIDERS; i++) {
        json_object_clear(world.d.calls[i]);
        json_object_clear(world.d.attempts[i]);
    }
    pthread_mutex_unlock(&world.d.lock);
    pthread_mutex_lock(&world.lock);
    world.seen_n = 0;
    pthread_mutex_unlock(&world.lock);
    atomic_store(&world.posts, 0);
    atomic_store(&world.refused, 0);
    return 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

struct ended {
    const struct mill_provider *provider;
    bool done;
    enum mill_http_end end;
    struct mill_arena *mem;
    struct mill_answer answer;
};

static void on_reply(void *arg, const struct mill_http_reply *r)
{
    struct ended *e = arg;

    e->done = true;
    e->end = r->end;
    e->provider->classify(r, e->mem, &e->answer);
}

static struct mill_answer call(const struct mill_provider *p, struct mill_message *m,
                               struct mill_arena *mem)
{
    const struct mill_account *a =
        p == &mill_provider_mailgun ? &world.mailgun.base : &world.sendgrid;
    struct mill_outgoing out = {0};
    struct ended e = {.provider = p, .mem = mem};
    struct mill_err err;

    assert_int_equal(p->build(a, m, 0, &out, &err), MILL_OK);
    out.http.timeout_ms = 20000;
    out.http.done = on_reply;
    out.http.arg = &e;
    assert_int_equal(mill_http_submit(world.http, &out.http, &err), MILL_OK);
    while (!e.done)
        mill_http_poll(world.http, 1000);
    mill_buf_release(&out.body);
    mill_arena_release(&out.mem);
    return e.answer;
}

static const struct mill_str tags[] = {S("a"), S("b")};

static struct mill_message message(const char *id, const struct mill_address *to)
{
    return (struct mill_message){.message_id = mill_str(id),
                                 .tenant = S("acme"),
                                 .from = {S("me@x.example"), S("Me, Inc")},
                                 .to = {to, 1},
                                 .categories = {tags, 2},
                                 .subject = S("s"),
                                 .text = S("--x\r\n\r\ntext")};
}

static enum mill_outcome once(const struct mill_provider *p, const char *id)
{
    static const struct mill_address to[] = {{S("silent@x.example"), {NULL, 0}}};
    struct mill_message m = message(id, to);
    struct mill_arena mem = {0};
    struct mill_answer a = call(p, &m, &mem);

    mill_arena_release(&mem);
    return a.outcome;
}

static void ask(const char *method, const char *path, const char *body, char *out, size_t size)
{
    char url[200];
    struct mill_buf reply;
    struct mill_http_call c = {.method = method, .body = mill_str(body)};

    snprintf(url, sizeof url, "%s%s", world.url, path);
    c.url = url;
    mill_buf_init(&reply, 65536);
    assert_int_equal(mill_http_wait(world.http, &c, NULL, &reply, NULL), MILL_OK);
    mill_str_cut(mill_buf_view(&reply), out, size);
    mill_buf_release(&reply);
}

static void behave(const char *json)
{
    char out[200];

    ask("PUT", "/behaviour", json, out, sizeof out);
    assert_string_equal(out, "");
}

static const char *counts(const char *path)
{
    static char out[2000];

    ask("GET", path, "", out, sizeof out);
    return out;
}

static void wait_posts(int n)
{
    const int64_t until = mill_tick_ms() + 60000;

    while (atomic_load(&world.posts) < n && mill_tick_ms() < until)
        mill_http_poll(world.http, 10);
    assert_int_equal(atomic_load(&world.posts), n);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void accepted_and_reported(void **state)
{
    static const struct mill_address to[] = {{S("click@x.example"), S("C, \"D\"")}};
    static const enum mill_event_type want[] = {MILL_EVENT_PROCESSED, MILL_EVENT_DELIVERED,
                                                MILL_EVENT_OPENED, MILL_EVENT_CLICKED};
    struct mill_message m = message("r-1/0", to);
    struct mill_arena mem = {0};
    struct mill_answer a = call(&mill_provider_mailgun, &m, &mem);
    unsigned types = 0;

    (void)state;
    assert_int_equal(a.outcome, MILL_OUTCOME_ACCEPTED);
    assert_int_equal(a.provider_id.n, 22 + 11); /* without its brackets */
    wait_posts(4);
    for (size_t i = 0; i < 4; i++) {
        const struct mill_event *e = &world.seen[i];

        assert_true(mill_str_is(e->message_id, "r-1/0"));
        assert_true(mill_str_eq(e->provider_id, a.provider_id));
        assert_true(mill_str_is(e->recipient, "click@x.example"));
        assert_int_equal(e->categories.n, 2);
        types |= 1u << e->type;
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(types & 1u << want[i]);
    mill_arena_release(&mem);
}

static void bounced(void **state)
{
    static const struct mill_address to[] = {{S("bounce@x.example"), {NULL, 0}}};
    struct mill_message m = message("r-1/0", to);
    struct mill_arena mem = {0};
    bool seen = false;

    (void)state;
    (void)call(&mill_provider_mailgun, &m, &mem);
    wait_posts(2);
    for (size_t i = 0; i < 2; i++)
        seen |= world.seen[i].type == MILL_EVENT_BOUNCED &&
                mill_str_is(world.seen[i].bounce_class, "Invalid Address");
    assert_true(seen);
    mill_arena_release(&mem);
}

static void bad_signature_first(void **state)
{
    static const struct mill_address to[] = {{S("dropped@x.example"), {NULL, 0}}};
    struct mill_message m = message("r-1/0", to);
    struct mill_arena mem = {0};

    (void)state;
    behave("{\"webhooks\":{\"fail_every\":1,\"duplicate_every\":1}}");
    (void)call(&mill_provider_mailgun, &m, &mem);
    wait_posts(2);
    assert_int_equal(atomic_load(&world.refused), 1);
    assert_true(mill_str_eq(world.seen[0].event_id, world.seen[1].event_id));
    mill_arena_release(&mem);
}

static void counts_of_each(void **state)
{
    (void)state;
    assert_int_equal(once(&mill_provider_mailgun, "r-1/0"), MILL_OUTCOME_ACCEPTED);
    assert_int_equal(once(&mill_provider_sendgrid, "r-1/0"), MILL_OUTCOME_ACCEPTED);
    assert_int_equal(once(&mill_provider_sendgrid, "r-1/1"), MILL_OUTCOME_ACCEPTED);
    assert_string_equal(counts("/calls"), "{\"r-1/0\":2,\"r-1/1\":1}");
    assert_string_equal(counts("/calls?provider=mailgun"), "{\"r-1/0\":1}");
    assert_string_equal(counts("/calls?provider=sendgrid"), "{\"r-1/0\":1,\"r-1/1\":1}");
    behave("{\"provider\":\"mailgun\",\"status\":400}");
    assert_int_equal(once(&mill_provider_mailgun, "r-1/2"), MILL_OUTCOME_PERMANENT);
    assert_int_equal(once(&mill_provider_sendgrid, "r-1/3"), MILL_OUTCOME_ACCEPTED);
    assert_string_equal(counts("/calls?provider=mailgun"), "{\"r-1/0\":1}");
    assert_string_equal(counts("/calls?provider=mailgun&all=1"), "{\"r-1/0\":1,\"r-1/2\":1}");
}

static void throttled_for_a_time(void **state)
{
    static const struct mill_address to[] = {{S("silent@x.example"), {NULL, 0}}};
    struct mill_message m = message("r-1/0", to);
    struct mill_arena mem = {0};
    const int64_t began_ms = mill_tick_ms();
    enum mill_outcome outcome = MILL_OUTCOME_THROTTLED;
    struct mill_answer a;

    (void)state;
    behave("{\"provider\":\"mailgun\",\"status\":429,\"retry_after\":7,\"for_ms\":2000}");
    a = call(&mill_provider_mailgun, &m, &mem);
    assert_int_equal(a.outcome, MILL_OUTCOME_THROTTLED);
    assert_int_equal(a.wait_ms, 7000);
    while (outcome == MILL_OUTCOME_THROTTLED && mill_tick_ms() - began_ms < 60000) {
        mill_http_poll(world.http, 50);
        outcome = once(&mill_provider_mailgun, "r-1/0");
    }
    assert_int_equal(outcome, MILL_OUTCOME_ACCEPTED);
    assert_true(mill_tick_ms() - began_ms >= 2000);
    mill_arena_release(&mem);
}

static void five_hundred_but_sent(void **state)
{
    (void)state;
    behave("{\"status\":500,\"accept\":true}");
    assert_int_equal(once(&mill_provider_mailgun, "r-1/0"), MILL_OUTCOME_UNKNOWN);
    assert_string_equal(counts("/calls"), "{\"r-1/0\":1}");
}

/* libcurl must not send it again by itself: one call, and nobody knows. */
static void reset_on_reused(void **state)
{
    (void)state;
    behave("{\"reset\":\"after_body\",\"reused\":true,\"provider\":\"mailgun\"}");
    /* That request has opened the only connection. */
    assert_int_equal(once(&mill_provider_mailgun, "r-1/0"), MILL_OUTCOME_UNKNOWN);
    assert_int_equal(once(&mill_provider_mailgun, "r-1/1"), MILL_OUTCOME_ACCEPTED); /* a new one */
    assert_int_equal(once(&mill_provider_mailgun, "r-1/2"), MILL_OUTCOME_UNKNOWN);
    assert_string_equal(counts("/calls?all=1"), "{\"r-1/0\":1,\"r-1/1\":1,\"r-1/2\":1}");
}

/* A fixed latency is a rule without an end. */
static void latency(void **state)
{
    const int64_t from = mill_tick_ms();

    (void)state;
    behave("{\"provider\":\"mailgun\",\"late_ms\":60}");
    assert_int_equal(once(&mill_provider_mailgun, "r-1/0"), MILL_OUTCOME_ACCEPTED);
    assert_int_equal(once(&mill_provider_mailgun, "r-1/1"), MILL_OUTCOME_ACCEPTED);
    assert_true(mill_tick_ms() - from >= 120);
}

static const struct wrong {
    const char *name, *path, *auth, *type, *body;
    long status;
    const char *text;
} wrongs[] = {
#define AUTH "Basic YXBpOmtleS1mYWtl" /* api:key-fake */
#define PATH "/v3/mg.example/messages"
#define TYPE "multipart/form-data; boundary=B"
#define F(name, value)                                                                             \
    "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
    {"good", PATH, AUTH, TYPE,
     F("from", "a@x.example") F("to", "silent@x.example, \"B, C\" <silent@y.example>")
         F("subject", "s") F("text", "x") "--B--\r\n",
     200, "Queued"},
    {"another key", PATH, "Basic YXBpOmtleQ==", TYPE, "", 401, "Forbidden"},
    {"no key", PATH, "", TYPE, "", 401, "Forbidden"},
    {"no such path", "/v3/mg.example/other", AUTH, TYPE, "", 404, "Not Found"},
    {"no domain", "/v3//messages", AUTH, TYPE, "", 404, "Not Found"},
    {"no form", PATH, AUTH, "application/json", "{}", 400, "multipart"},
    {"a form cut short", PATH, AUTH, TYPE, F("from", "a@x.example"), 400, "multipart"},
    {"no to", PATH, AUTH, TYPE, F("from", "a@x.example") F("text", "x") "--B--\r\n", 400,
     "to parameter is missing"},
    {"a to that is none", PATH, AUTH, TYPE, F("to", "a") F("text", "x") "--B--\r\n", 400,
     "not a valid address"},
    {"no from", PATH, AUTH, TYPE, F("to", "a@x.example") F("text", "x") "--B--\r\n", 400,
     "from parameter is missing"},
    {"no content", PATH, AUTH, TYPE, F("from", "a@x.example") F("to", "a@x.example") "--B--\r\n",
     400, "Need at least one"},
    {"html and template", PATH, AUTH, TYPE,
     F("from", "a@x.example") F("to", "a@x.example") F("html", "x") F("template", "t") "--B--\r\n",
     400, "Only one"},
};

static void wrong_row(void **state)
{
    const struct wrong *row = *state;
    const struct mill_pair h[] = {{MILL_STR("Authorization"), mill_str(row->auth)},
                                  {MILL_STR("Content-Type"), mill_str(row->type)}};
    struct mill_http_call c = {.method = "POST", .headers = {h, 2}, .body = mill_str(row->body)};
    char url[200];
    struct mill_buf reply;
    long status = 0;

    snprintf(url, sizeof url, "%s%s", world.url, row->path);
    c.url = url;
    mill_buf_init(&reply, 65536);
    assert_int_equal(mill_http_wait(world.http, &c, &status, &reply, NULL), MILL_OK);
    assert_int_equal(status, row->status);
    assert_non_null(strstr(reply.p, row->text));
    mill_buf_release(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(accepted_and_reported, forget),
        cmocka_unit_test_setup(bounced, forget),
        cmocka_unit_test_setup(bad_signature_first, forget),
        cmocka_unit_test_setup(counts_of_each, forget),
        cmocka_unit_test_setup(throttled_for_a_time, forget),
        cmocka_unit_test_setup(five_hundred_but_sent, forget),
        cmocka_unit_test_setup(reset_on_reused, forget),
        cmocka_unit_test_setup(latency, forget),
    };
    int failed = setup(NULL);

    if (!failed)
        failed = TESTS(tests) + (forget(NULL), 0) + TABLE(wrongs, wrong_row);
    teardown(NULL);
    return failed;
}
