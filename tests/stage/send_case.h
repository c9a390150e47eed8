/**
 * @file send_case.h
 * @brief What the tests of the stage `send` share: a message, a start, what was emitted as text.
 */
#ifndef MILL_SEND_CASE_H
#define MILL_SEND_CASE_H

#include "base/clock.h"
#include "mail/records.h"
#include "stage/send_peer.h"
#include "stage_test.h"
#include "timer.h"

extern const struct mill_stage mill_stage_send;

#define KEY "MILL_SEND_SENDGRID_KEY" /* a secret is no flag */

enum { LEDGER };
enum { OUT_LEDGER, OUT_STATUS, OUT_DELAY };

/* ---- messages ---- */

/** "NAME@x.example" asks the provider for the script NAME@; the id is r-1/0. */
static inline struct mill_message message(const struct mill_address *to)
{
    return (struct mill_message){
        .message_id = MILL_STR("r-1/0"),
        .request_id = MILL_STR("r-1"),
        .tenant = MILL_STR("acme"),
        .accepted_at = mill_now_us(),
        .fingerprint = MILL_STR("f1"),
        .from = {.email = MILL_STR("from@x.example")},
        .to = {to, 1},
        .subject = MILL_STR("Hello"),
        .text = MILL_STR("Text"),
    };
}

#define TO(name)                                                                                   \
    &(const struct mill_address)                                                                   \
    {                                                                                              \
        .email = MILL_STR(name "@x.example")                                                       \
    }

static inline struct mill_ctx *start_timed(const char *timeout, const char *option,
                                           const char *second)
{
    char url[64];

    snprintf(url, sizeof(url), "--sendgrid-url=http://127.0.0.1:%u", peer.port);
    atomic_store(&peer.requests, 0);
    return fake_new(&mill_stage_send, url, "--concurrency=1", timeout, option, second, NULL);
}

/** For what the provider answers. */
static inline struct mill_ctx *start(const char *option, const char *second)
{
    return start_timed("--call-timeout-ms=10s", option, second);
}

/** For a provider that hangs. */
static inline struct mill_ctx *start_hurried(const char *option)
{
    return start_timed("--call-timeout-ms=1s", option, NULL);
}

static inline int calls(void)
{
    return atomic_load(&peer.requests);
}

/** What was emitted to the ledger comes into the table, as the topic would bring it. */
static inline void commit(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < fake_emits(ctx); i++) {
        const struct fake_emit *e = fake_emit(ctx, i);
        char key[200];
        if (e->port == OUT_LEDGER) {
            mill_str_cut(e->key, key, sizeof(key));
            fake_table_put(ctx, LEDGER, key, e->value);
        }
    }
    fake_forget(ctx);
}

/** Times differ in each run: cut out of the golden text. */
static inline void expect(const struct mill_ctx *ctx, const char *want)
{
    static const char *const times[] = {",\"accepted_at\":", " mill.due="};
    static char got[16384];

    snprintf(got, sizeof(got), "%s", stage_text(ctx, &mill_stage_send));
    for (size_t i = 0; i < 2; i++) {
        char *at;
        while ((at = strstr(got, times[i]))) {
            const char *end = at + strlen(times[i]);
            end += strspn(end, "0123456789");
            memmove(at, end, strlen(end) + 1);
        }
    }
    if (strcmp(got, want))
        fail_msg("emitted:\n%sexpected:\n%s", got, want);
}

/** Until when a forward to a delay topic is to wait, without what the timer is early. */
static inline int64_t waits_until_ms(const struct mill_ctx *ctx, size_t emit)
{
    int64_t due = 0;

    assert_true(mill_str_i64(mill_map_get(fake_emit(ctx, emit)->headers, "mill.due"), &due));
    return due - MILL_TIMER_EARLY_MS;
}

/** It waits so long from a time that was not before began_ms. */
static inline void assert_waits(const struct mill_ctx *ctx, size_t emit, int64_t began_ms,
                                int64_t wait_ms)
{
    assert_in_range(waits_until_ms(ctx, emit) - wait_ms, began_ms, mill_now_us() / 1000);
}

/* ---- what is emitted ---- */

#define L(n, kind, rest)                                                                           \
    "ledger r-1/0/" n "/send {\"message_id\":\"r-1/0\",\"kind\":\"" kind "\",\"attempt\":" n       \
    ",\"provider\":\"sendgrid\"," rest "\"fingerprint\":\"f1\",\"at\":\"now\","                    \
    "\"request_id\":\"r-1\",\"tenant\":\"acme\"}\n"
#define INTENT(n)     L(n, "INTENT", "\"outcome\":\"NONE\",")
#define OUTCOME(n, o) L(n, "OUTCOME", "\"outcome\":\"" o "\",")
#define STATUS(n, state, rest)                                                                     \
    "status r-1/0 {\"message_id\":\"r-1/0\",\"request_id\":\"r-1\",\"tenant\":\"acme\","           \
    "\"state\":\"" state "\"," rest "\"attempt\":" n ",\"at\":\"now\"}\n"
#define CLAIM                                                                                      \
    "ledger r-1/claim {\"message_id\":\"r-1\",\"kind\":\"CLAIM\",\"attempt\":0,"                   \
    "\"outcome\":\"NONE\",\"fingerprint\":\"f1\",\"at\":\"now\",\"request_id\":\"r-1\","           \
    "\"tenant\":\"acme\"}\n"
#define FIRST CLAIM INTENT("1")
#define DOUBT(n)                                                                                   \
    "ledger r-1/0/" n "/doubt {\"message_id\":\"r-1/0\",\"kind\":\"DOUBT\",\"attempt\":" n         \
    ",\"provider\":\"sendgrid\",\"outcome\":\"UNKNOWN\",\"fingerprint\":\"f1\",\"at\":\"now\","    \
    "\"request_id\":\"r-1\",\"tenant\":\"acme\"}\n"
#define WAITS(tier)                                                                                \
    "> mail.delay." tier " -1 r-1/0 mill.target=mail.retry.send mill.target-partition=0\n"
#define WHY(cls, reason)                                                                           \
    "\"class\":\"" cls "\",\"reason\":\"" reason "\",\"provider\":\"sendgrid\","

/** Run a record of message m at an offset of its own. */
static inline enum mill_verdict again(struct mill_ctx *ctx, const struct mill_message *m,
                                      struct mill_err *err)
{
    struct mill_record in = fake_record(ctx, 0, "r-1/0", m);

    *err = (struct mill_err){0};
    return fake_run(ctx, &in, err);
}

/** Another life of send, which has only the ledger. */
static inline enum mill_verdict next_life(const struct mill_ledger *record, const char *key,
                                          const struct mill_message *m, const char *want,
                                          const char *cls)
{
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};
    enum mill_verdict v;

    fake_table_put(ctx, LEDGER, key, record);
    v = again(ctx, m, &err);
    expect(ctx, want);
    if (cls)
        assert_string_equal(err.cls, cls);
    fake_free(ctx);
    return v;
}

static inline struct mill_ledger ledger(int kind, int outcome)
{
    return (struct mill_ledger){
        .message_id = MILL_STR("r-1/0"),
        .kind = kind,
        .attempt = 1,
        .provider = MILL_STR("sendgrid"),
        .outcome = outcome,
        .fingerprint = MILL_STR("f1"),
    };
}

#endif
