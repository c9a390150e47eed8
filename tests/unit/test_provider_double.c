/* The provider double: what it answers, counts, posts, and the faults it is told to have. The
 * webhook's receiver checks signatures with the code that ingest uses. */
#include "double.h"

#include "base/clock.h"
#include "mail/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct double_state d;
    struct mill_http *http;
    struct mill_server *hook;
    struct mill_verify_key *verify;
    char base[64], hook_url[64], key_file[64];
    uint32_t timeout_ms;                      /* of a call to the double */
    atomic_int posts, bad_signatures, answer; /* answer: status of the hook */
    pthread_mutex_t lock;
    struct mill_buf last; /* body of the last good post */
};

static void on_hook(void *app, struct mill_exchange *x)
{
    struct world *w = app;
    struct mill_str body = mill_exchange_body(x);
    bool good = !mill_signature_verify(
        w->verify, mill_exchange_header(x, "X-Twilio-Email-Event-Webhook-Timestamp"), body,
        mill_exchange_header(x, "X-Twilio-Email-Event-Webhook-Signature"), NULL);

    atomic_fetch_add(&w->posts, 1);
    if (!good)
        atomic_fetch_add(&w->bad_signatures, 1);
    pthread_mutex_lock(&w->lock);
    mill_buf_reset(&w->last);
    mill_buf_str_add(&w->last, body);
    pthread_mutex_unlock(&w->lock);
    mill_exchange_answer(x, good ? (unsigned)atomic_load(&w->answer) : 401, (struct mill_map){0},
                         MILL_STR(""));
}

static const struct mill_route hook_routes[] = {{"POST", "/hook", on_hook, 2 << 20}, {0}};

static void make_key(struct world *w)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int fd;
    FILE *f;

    snprintf(w->key_file, sizeof w->key_file, "%s/mill-key-XXXXXX", P_tmpdir);
    fd = mkstemp(w->key_file);
    f = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    EVP_PKEY_free(key);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct mill_server_conf hook = {.listen = "127.0.0.1:0", .routes = hook_routes, .app = w};
    const struct mill_http_conf http = {.max_connections = 32, .reply_max_bytes = 64 << 20};
    struct mill_buf public_key;
    struct mill_err err;

    if (!w)
        return -1;
    unsetenv("http_proxy");
    pthread_mutex_init(&w->lock, NULL);
    mill_buf_init(&w->last, 4 << 20);
    atomic_store(&w->answer, 200);
    w->timeout_ms = 20000;
    make_key(w);
    if (mill_server_start(&w->hook, &hook, &err) || mill_http_new(&w->http, &http, &err))
        return -1;
    snprintf(w->hook_url, sizeof w->hook_url, "http://127.0.0.1:%u/hook",
             mill_server_port(w->hook));
    w->d = (struct double_state){.listen = "127.0.0.1:0",
                                 .key = "SG.fake-key",
                                 .webhook_url = w->hook_url,
                                 .webhook_key = w->key_file,
                                 .threads = 1,
                                 .flush_ms = 10,
                                 .deliver_ms = 5};
    mill_buf_init(&public_key, 1024);
    if (double_start(&w->d, &err) || !double_public_key(&w->d, &public_key) ||
        mill_verify_key_new(&w->verify, mill_buf_view(&public_key), &err))
        return -1;
    mill_buf_release(&public_key);
    snprintf(w->base, sizeof w->base, "http://127.0.0.1:%u", mill_server_port(w->d.server));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    mill_http_free(w->http);
    double_stop(&w->d);
    mill_server_stop(w->hook);
    mill_verify_key_free(w->verify);
    mill_buf_release(&w->last);
    pthread_mutex_destroy(&w->lock);
    unlink(w->key_file);
    free(w);
    return 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

#define MAIL(id, to, more)                                                                         \
    "{\"personalizations\":[{\"to\":[{\"email\":\"" to "\"}],\"custom_args\":{"                    \
    "\"mill_message_id\":\"" id                                                                    \
    "\",\"mill_tenant\":\"t\"}}],\"from\":{\"email\":\"me@example.com\"},"                         \
    "\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]" more "}"

struct got {
    enum mill_http_end end;
    long status;
    int64_t took_ms;
    char id[64], retry_after[16], reset[24];
    char *body;
};

static void on_got(void *arg, const struct mill_http_reply *r)
{
    struct got *g = arg;

    g->end = r->end;
    g->status = r->status;
    g->took_ms = r->took_ms;
    mill_str_cut(mill_http_header(r, "X-Message-Id"), g->id, sizeof g->id);
    mill_str_cut(mill_http_header(r, "Retry-After"), g->retry_after, sizeof g->retry_after);
    mill_str_cut(mill_http_header(r, "X-RateLimit-Reset"), g->reset, sizeof g->reset);
    g->body = strndup(r->body.p, r->body.n);
}

static struct got request(struct world *w, const char *method, const char *path, const char *auth,
                          const char *body)
{
    const struct mill_pair headers[] = {{MILL_STR("Authorization"), mill_str(auth)},
                                        {MILL_STR("Content-Type"), MILL_STR("application/json")}};
    char url[128];
    struct got g = {0};
    struct mill_err err;
    const struct mill_http_call call = {.method = method,
                                        .url = url,
                                        .headers = {headers, 2},
                                        .body = mill_str(body ? body : ""),
                                        .timeout_ms = w->timeout_ms,
                                        .done = on_got,
                                        .arg = &g};

    snprintf(url, sizeof url, "%s%s", w->base, path);
    assert_int_equal(mill_http_submit(w->http, &call, &err), MILL_OK);
    while (mill_http_poll(w->http, 1000))
        continue;
    return g;
}

static struct got send_mail(struct world *w, const char *body)
{
    struct got g = request(w, "POST", "/v3/mail/send", "Bearer SG.fake-key", body);

    free(g.body);
    g.body = NULL;
    return g;
}

static json_t *get_json(struct world *w, const char *path)
{
    struct got g = request(w, "GET", path, "", NULL);
    json_t *o;

    assert_int_equal(g.status, 200);
    o = json_loads(g.body, 0, NULL);
    assert_non_null(o);
    free(g.body);
    return o;
}

static json_int_t calls(struct world *w, const char *path, const char *id)
{
    json_t *o = get_json(w, path);
    json_int_t n = json_integer_value(json_object_get(o, id));

    json_decref(o);
    return n;
}

static void behave(struct world *w, const char *json, long status)
{
    struct got g = request(w, "PUT", "/behaviour", "", json);

    if (g.status != status)
        fail_msg("%s: %ld %s", json, g.status, g.body);
    free(g.body);
}

static const struct {
    const char *name, *auth, *body;
    long status;
    const char *field;
} checks[] = {
    {"good", "Bearer SG.fake-key", MAIL("a/0", "x@example.com", ""), 202, NULL},
    {"sandbox", "Bearer SG.fake-key",
     MAIL("a/1", "x@example.com", ",\"mail_settings\":{\"sandbox_mode\":{\"enable\":true}}"), 200,
     NULL},
    {"wrong key", "Bearer SG.other", MAIL("a/2", "x@example.com", ""), 401, "null"},
    {"no key", "", MAIL("a/2", "x@example.com", ""), 401, "null"},
    {"no JSON", "Bearer SG.fake-key", "{", 400, "null"},
    {"list", "Bearer SG.fake-key", "[]", 400, "\"body\""},
    {"unknown parameter", "Bearer SG.fake-key", MAIL("a/2", "x@example.com", ",\"x\":1"), 400,
     "\"x\""},
    {"no recipients", "Bearer SG.fake-key", "{\"personalizations\":[]}", 400,
     "\"personalizations\""},
    {"bad address", "Bearer SG.fake-key", MAIL("a/2", "not-an-email", ""), 400,
     "\"personalizations.0.to.0\""},
    {"twice the same", "Bearer SG.fake-key",
     "{\"personalizations\":[{\"to\":[{\"email\":\"a@b\"},{\"email\":\"a@b\"}]}]}", 400,
     "\"personalizations.0\""},
    {"no sender", "Bearer SG.fake-key",
     "{\"personalizations\":[{\"to\":[{\"email\":\"a@b\"}]}],\"subject\":\"s\","
     "\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
     400, "\"from.email\""},
    {"no subject", "Bearer SG.fake-key",
     "{\"personalizations\":[{\"to\":[{\"email\":\"a@b\"}]}],\"from\":{\"email\":\"a@b\"},"
     "\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
     400, "\"subject\""},
    {"no content", "Bearer SG.fake-key",
     "{\"personalizations\":[{\"to\":[{\"email\":\"a@b\"}]}],\"from\":{\"email\":\"a@b\"},"
     "\"subject\":\"s\"}",
     400, "\"content\""},
    {"reserved header", "Bearer SG.fake-key",
     MAIL("a/2", "x@example.com", ",\"headers\":{\"Subject\":\"x\"}"), 400, "\"headers.Subject\""},
    {"send_at text", "Bearer SG.fake-key", MAIL("a/2", "x@example.com", ",\"send_at\":\"1\""), 400,
     "\"send_at\""},
    {"send_at too late", "Bearer SG.fake-key",
     MAIL("a/2", "x@example.com", ",\"send_at\":99999999999"), 400, "\"send_at\""},
    {"same category twice", "Bearer SG.fake-key",
     MAIL("a/2", "x@example.com", ",\"categories\":[\"a\",\"a\"]"), 400, "\"categories\""},
    {"attachment without name", "Bearer SG.fake-key",
     MAIL("a/2", "x@example.com", ",\"attachments\":[{\"content\":\"eA==\"}]"), 400,
     "\"attachments.0.filename\""},
    {"both reply_to", "Bearer SG.fake-key",
     MAIL("a/2", "x@example.com", ",\"reply_to\":{},\"reply_to_list\":[]"), 400, "\"reply_to\""},
};

static void test_checks(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct got g = request(w, "POST", "/v3/mail/send", checks[i].auth, checks[i].body);
        char want[128];

        if (g.status != checks[i].status)
            fail_msg("%s: %ld %s", checks[i].name, g.status, g.body);
        snprintf(want, sizeof want, "\"field\":%s}", checks[i].field ? checks[i].field : "");
        if (checks[i].field && !strstr(g.body, want))
            fail_msg("%s: %s", checks[i].name, g.body);
        assert_int_equal(strlen(g.id), g.status < 300 ? 22 : 0);
        free(g.body);
    }
    assert_int_equal(calls(w, "/calls", "a/0"), 1);
    assert_int_equal(calls(w, "/calls", "a/1"), 0); /* sandbox sends nothing */
    assert_int_equal(calls(w, "/calls", "a/2"), 0);
}

/* --- events ----------------------------------------------------------------------------------- */

static json_t *wait_events(struct world *w, size_t n)
{
    const int64_t until_ms = mill_tick_ms() + 60000;
    json_t *events = get_json(w, "/events");

    while (json_array_size(events) < n && mill_tick_ms() < until_ms) {
        usleep(10000);
        json_decref(events);
        events = get_json(w, "/events");
    }
    assert_int_equal(json_array_size(events), n);
    return events;
}

static const char *text(const json_t *event, const char *key)
{
    const char *s = json_string_value(json_object_get(event, key));

    return s ? s : "";
}

static const struct {
    const char *to, *events;
} scripts[] = {
    {"anybody@example.com", "processed delivered "},
    {"bounce@example.com", "processed bounce "},
    {"Bounce+17@example.com", "processed bounce "},
    {"blocked@example.com", "processed bounce "},
    {"asyncbounce@example.com", "processed delivered bounce "},
    {"dropped@example.com", "dropped "},
    {"deferred@example.com", "processed deferred delivered "},
    {"complaint@example.com", "processed delivered spamreport "},
    {"open@example.com", "processed delivered open "},
    {"machineopen@example.com", "processed delivered open "},
    {"click@example.com", "processed delivered open click "},
    {"unsubscribe@example.com", "processed delivered unsubscribe "},
    {"unknown@example.com", "processed abducted "},
    {"silent@example.com", ""},
};

static void test_scripts(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char body[1024], names[128] = "";
        struct got g;
        size_t n = 0;
        json_t *events, *e;
        size_t k;

        for (const char *c = scripts[i].events; *c; c++)
            n += *c == ' ';
        snprintf(body, sizeof body, MAIL("s/0", "%s", ",\"categories\":[\"a\"%s]"), scripts[i].to,
                 i % 2 ? ",\"b\"" : "");
        free(request(w, "DELETE", "/calls", "", NULL).body);
        g = send_mail(w, body);
        assert_int_equal(g.status, 202);
        events = wait_events(w, n);
        json_array_foreach(events, k, e)
        {
            size_t at = strlen(names);
            bool async = !strcmp(text(e, "event"), "bounce") && n == 3;
            snprintf(names + at, sizeof names - at, "%s ", text(e, "event"));
            assert_string_equal(text(e, "email"), scripts[i].to);
            assert_string_equal(text(e, "mill_message_id"), "s/0"); /* flattened */
            assert_string_equal(text(e, "mill_tenant"), "t");
            assert_int_equal(strlen(text(e, "sg_event_id")), 28);
            assert_int_equal(json_is_array(json_object_get(e, "category")), i % 2);
            assert_true(llabs(json_integer_value(json_object_get(e, "timestamp")) -
                              mill_now_us() / 1000000) < 10);
            if (async)
                assert_null(json_object_get(e, "sg_message_id"));
            else
                assert_memory_equal(text(e, "sg_message_id"), g.id, strlen(g.id));
        }
        assert_string_equal(names, scripts[i].events);
        json_decref(events);
    }
    assert_int_equal(atomic_load(&w->bad_signatures), 0);
    assert_true(atomic_load(&w->posts) > 0);
    pthread_mutex_lock(&w->lock); /* as SendGrid writes it */
    assert_memory_equal(w->last.p, "[{", 2);
    assert_memory_equal(w->last.p + w->last.n - 4, "}]\r\n", 4);
    pthread_mutex_unlock(&w->lock);
}

static void test_reserved_args(void **state)
{
    struct world *w = *state;
    json_t *events;

    send_mail(w, "{\"personalizations\":[{\"to\":[{\"email\":\"dropped@b\"}],\"custom_args\":"
                 "{\"event\":\"mine\",\"a\":\"1\"}}],\"custom_args\":{\"a\":\"2\",\"b\":\"3\"},"
                 "\"from\":{\"email\":\"a@b\"},\"subject\":\"s\",\"template_id\":\"d-1\"}");
    events = wait_events(w, 1);
    assert_string_equal(text(json_array_get(events, 0), "event"), "dropped");
    assert_string_equal(text(json_array_get(events, 0), "a"), "1");
    assert_string_equal(text(json_array_get(events, 0), "b"), "3");
    json_decref(events);
    assert_int_equal(calls(w, "/calls", "(none)"), 1);
}

/* A receiver that is down gets everything later, once. */
static void test_webhook_faults(void **state)
{
    struct world *w = *state;
    int64_t began_ms;
    json_t *events;

    atomic_store(&w->answer, 503);
    send_mail(w, MAIL("h/0", "x@example.com", ""));
    while (atomic_load(&w->posts) < 2)
        usleep(1000);
    json_decref(wait_events(w, 0));
    atomic_store(&w->answer, 204);
    json_decref(wait_events(w, 2));

    free(request(w, "DELETE", "/calls", "", NULL).body);
    behave(w, "{\"webhooks\":{\"duplicate_every\":1}}", 204);
    send_mail(w, MAIL("h/1", "dropped@example.com", ""));
    json_decref(wait_events(w, 2));

    free(request(w, "DELETE", "/calls", "", NULL).body);
    behave(w, "{\"webhooks\":{\"fail_every\":1}}", 204);
    assert_int_equal(atomic_load(&w->bad_signatures), 0);
    send_mail(w, MAIL("h/2", "dropped@example.com", ""));
    json_decref(wait_events(w, 1));
    assert_int_equal(atomic_load(&w->bad_signatures), 1);

    free(request(w, "DELETE", "/calls", "", NULL).body);
    behave(w, "{\"webhooks\":{\"drop_every\":1}}", 204);
    send_mail(w, MAIL("h/3", "dropped@example.com", ""));
    while (atomic_load(&w->d.posts_dropped) < 1)
        usleep(1000);
    behave(w, "{\"webhooks\":{\"delay_ms\":100}}", 204);
    began_ms = mill_tick_ms();
    send_mail(w, MAIL("h/4", "dropped@example.com", ""));
    events = wait_events(w, 1);
    assert_true(mill_tick_ms() - began_ms >= 100);
    assert_string_equal(text(json_array_get(events, 0), "mill_message_id"), "h/4");
    json_decref(events);
}

/* --- faults ----------------------------------------------------------------------------------- */

static const struct {
    const char *name, *rule;
    enum mill_http_end end;
    long status;
    int went_out; /* of one call */
} faults[] = {
    {"none", "{}", MILL_HTTP_REPLIED, 202, 1},
    {"status", "{\"status\":503}", MILL_HTTP_REPLIED, 503, 0},
    {"5xx that sent all the same", "{\"status\":500,\"accept\":true}", MILL_HTTP_REPLIED, 500, 1},
    {"202 that did not send", "{\"status\":202,\"accept\":false}", MILL_HTTP_REPLIED, 202, 0},
    {"other message", "{\"message_id\":\"f/9\",\"status\":503}", MILL_HTTP_REPLIED, 202, 1},
    {"this message", "{\"message_id\":\"f/0\",\"status\":400}", MILL_HTTP_REPLIED, 400, 0},
    {"reset before", "{\"reset\":\"before_body\"}", MILL_HTTP_LOST, 0, 0},
    {"reset after", "{\"reset\":\"after_body\"}", MILL_HTTP_LOST, 0, 1},
    {"hang", "{\"hang\":true}", MILL_HTTP_LOST, 0, 0},
    {"hang, sent", "{\"hang\":true,\"accept\":true}", MILL_HTTP_LOST, 0, 1},
    {"late", "{\"late_ms\":100}", MILL_HTTP_REPLIED, 202, 1},
    {"first rule wins",
     "{\"faults\":[{\"message_id\":\"f/1\",\"status\":500},{\"status\":429},"
     "{\"status\":503}]}",
     MILL_HTTP_REPLIED, 429, 0},
    {"never", "{\"rate\":0,\"status\":503}", MILL_HTTP_REPLIED, 202, 1},
    {"always", "{\"rate\":1,\"status\":503}", MILL_HTTP_REPLIED, 503, 0},
    {"used up", "{\"times\":0,\"status\":503}", MILL_HTTP_REPLIED, 202, 1},
};

static void test_faults(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct got g;

        free(request(w, "DELETE", "/calls", "", NULL).body);
        behave(w, faults[i].rule, 204);
        w->timeout_ms = strstr(faults[i].rule, "hang") ? 2000 : 20000;
        g = send_mail(w, MAIL("f/0", "silent@example.com", ""));
        w->timeout_ms = 20000;
        if (g.end != faults[i].end || g.status != faults[i].status)
            fail_msg("%s: end %d, status %ld", faults[i].name, (int)g.end, g.status);
        if (calls(w, "/calls", "f/0") != faults[i].went_out)
            fail_msg("%s: sent %d", faults[i].name, (int)calls(w, "/calls", "f/0"));
        if (!strcmp(faults[i].name, "late"))
            assert_true(g.took_ms >= 100);
        if (!strcmp(faults[i].name, "hang"))
            assert_true(g.took_ms >= 1900);
        if (strcmp(faults[i].name, "reset before"))
            assert_int_equal(calls(w, "/calls?all=1", "f/0"), 1);
    }
    free(request(w, "DELETE", "/behaviour", "", NULL).body);
    assert_int_equal(send_mail(w, MAIL("f/0", "silent@example.com", "")).status, 202);
}

static void test_throttle(void **state)
{
    struct world *w = *state;
    int refused = 0;

    behave(w, "{\"every\":3,\"times\":2,\"status\":429,\"retry_after\":7}", 204);
    for (int i = 1; i <= 12; i++) {
        struct got g = send_mail(w, MAIL("t/0", "silent@example.com", ""));

        if (g.status != 429)
            continue;
        refused++;
        assert_int_equal(i % 3, 0);
        assert_string_equal(g.retry_after, "7");
        assert_true(strtoll(g.reset, NULL, 10) > mill_now_us() / 1000000);
    }
    assert_int_equal(refused, 2);
    assert_int_equal(calls(w, "/calls", "t/0"), 10);
    assert_int_equal(calls(w, "/calls?all=1", "t/0"), 12);
}

static void test_bad_behaviour(void **state)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"x\":1}",
                                      "{\"status\":99}",
                                      "{\"status\":\"503\"}",
                                      "{\"rate\":2}",
                                      "{\"every\":-1}",
                                      "{\"hang\":1}",
                                      "{\"reset\":\"now\"}",
                                      "{\"message_id\":\"\"}",
                                      "{\"reset\":\"before_body\",\"message_id\":\"a\"}",
                                      "{\"reset\":\"before_body\",\"accept\":true}",
                                      "{\"faults\":{}}",
                                      "{\"faults\":[1]}",
                                      "{\"faults\":[],\"status\":500}",
                                      "{\"webhooks\":[]}",
                                      "{\"webhooks\":{\"x\":1}}",
                                      "{\"webhooks\":{\"delay_ms\":true}}"};
    struct world *w = *state;

    behave(w, "{\"status\":503}", 204);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        behave(w, bad[i], 400);
    assert_int_equal(send_mail(w, MAIL("b/0", "x@example.com", "")).status, 503); /* as it was */
}

/* --- load ------------------------------------------------------------------------------------- */

struct load {
    struct world *w;
    struct mill_http_call call;
    size_t left, ok;
};

static void on_load(void *arg, const struct mill_http_reply *r)
{
    struct load *l = arg;
    struct mill_err err;

    l->ok += r->end == MILL_HTTP_REPLIED && r->status == 202;
    if (l->left) {
        l->left--;
        assert_int_equal(mill_http_submit(l->w->http, &l->call, &err), MILL_OK);
    }
}

/* Every call is counted, every event posted and listed, under load. With sanitizers the rate is a
 * third of a release build's; the floor only says that nothing waits for a timer per call. */
static void test_load(void **state)
{
    enum { N = 5000, AT_ONCE = 32 };
    struct world *w = *state;
    const struct mill_pair headers[] = {{MILL_STR("Authorization"), MILL_STR("Bearer SG.fake-key")},
                                        {MILL_STR("Content-Type"), MILL_STR("application/json")}};
    char url[128];
    struct load l = {.w = w, .left = N - AT_ONCE};
    struct mill_err err;
    int64_t start = mill_tick_ms(), took;

    snprintf(url, sizeof url, "%s/v3/mail/send", w->base);
    l.call = (struct mill_http_call){.method = "POST",
                                     .url = url,
                                     .headers = {headers, 2},
                                     .body = mill_str(MAIL("l/0", "x@example.com", "")),
                                     .done = on_load,
                                     .arg = &l};
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(mill_http_submit(w->http, &l.call, &err), MILL_OK);
    while (mill_http_poll(w->http, 1000))
        continue;
    took = mill_tick_ms() - start;
    print_message("%d calls in %lld ms: %lld/s\n", N, (long long)took,
                  (long long)N * 1000 / (took ? took : 1));
    assert_int_equal(l.ok, N);
    assert_int_equal(calls(w, "/calls", "l/0"), N);
    json_decref(wait_events(w, (size_t)2 * N));
    took = mill_tick_ms() - start;
    print_message("and its %d events posted after %lld ms, %d posts\n", 2 * N, (long long)took,
                  atomic_load(&w->posts));
    assert_int_equal(atomic_load(&w->bad_signatures), 0);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_checks), ROW(test_scripts),  ROW(test_reserved_args), ROW(test_webhook_faults),
        ROW(test_faults), ROW(test_throttle), ROW(test_bad_behaviour), ROW(test_load),
    };

    return cmocka_run_group_tests_name("provider_double", tests, NULL, NULL);
}
