/* What a record of a mail's way says; see trace.h. */
#include "base/clock.h"
#include "trace.h"

#include <stdlib.h>

static const char *what_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static long long what_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* "a, b" or nothing: a label only where there is something to say. */
static struct mill_str what_if(struct mill_arena *a, const char *before, const char *text,
                               const char *after)
{
    return *text ? mill_arena_printf(a, "%s%s%s", before, text, after) : MILL_STR("");
}

static struct mill_str what_address(const json_t *list)
{
    const json_t *first = json_array_get(list, 0);

    return first ? mill_json_str(first, "email") : MILL_STR("nobody");
}

static struct mill_str what_request(struct mill_arena *a, const json_t *v, const json_t *h)
{
    const json_t *p = json_object_get(v, "personalizations");
    struct mill_str to = what_address(json_object_get(json_array_get(p, 0), "to"));
    struct mill_str at = what_if(a, ", to be sent at ", what_text(v, "send_at"), "");

    (void)h;
    return mill_arena_printf(
        a, "request of tenant \"%s\" by \"%s\": \"%s\" to %.*s, %zu messages%.*s",
        what_text(v, "tenant"), what_text(v, "client"), what_text(v, "subject"), MILL_FMT(to),
        json_array_size(p), MILL_FMT(at));
}

static struct mill_str what_message(struct mill_arena *a, const json_t *v, const json_t *h)
{
    struct mill_str to = what_address(json_object_get(v, "to"));
    struct mill_str resend = what_if(a, ", resend ", what_text(v, "resend_id"), "");

    (void)h;
    return mill_arena_printf(a, "message %s to %.*s%.*s", what_text(v, "message_id"), MILL_FMT(to),
                             MILL_FMT(resend));
}

static struct mill_str what_ledger(struct mill_arena *a, const json_t *v, const json_t *h)
{
    struct mill_str id = what_if(a, ", id ", what_text(v, "provider_id"), "");
    const char *outcome = what_text(v, "outcome");

    (void)h;
    return mill_arena_printf(a, "%s %s, attempt %lld at %s%s%s%.*s", what_text(v, "kind"),
                             what_text(v, "message_id"), what_number(v, "attempt"),
                             *what_text(v, "provider") ? what_text(v, "provider") : "nobody",
                             *outcome && strcmp(outcome, "NONE") != 0 ? ": " : "",
                             strcmp(outcome, "NONE") != 0 ? outcome : "", MILL_FMT(id));
}

static struct mill_str what_status(struct mill_arena *a, const json_t *v, const json_t *h)
{
    struct mill_str cls = what_if(a, " (", what_text(v, "class"), ")");
    struct mill_str reason = what_if(a, ": ", what_text(v, "reason"), "");

    (void)h;
    return mill_arena_printf(a, "%s is %s%.*s%.*s", what_text(v, "message_id"),
                             what_text(v, "state"), MILL_FMT(cls), MILL_FMT(reason));
}

static struct mill_str what_callback_event(struct mill_arena *a, const json_t *v, const json_t *h)
{
    (void)h;
    return mill_arena_printf(a, "event %lld of a callback of %s, %s/%lld/%lld",
                             what_number(v, "index"), what_text(v, "provider"),
                             what_text(v, "callback_topic"), what_number(v, "callback_partition"),
                             what_number(v, "callback_offset"));
}

static struct mill_str what_event(struct mill_arena *a, const json_t *v, const json_t *h)
{
    struct mill_str reason = what_if(a, ": ", what_text(v, "reason"), "");
    struct mill_str at = what_if(a, " at ", what_text(v, "occurred_at"), "");

    (void)h;
    return mill_arena_printf(
        a, "%s %s%.*s%s%.*s", what_text(v, "type"), what_text(v, "recipient"), MILL_FMT(at),
        json_is_true(json_object_get(v, "matched")) ? "" : ", not matched", MILL_FMT(reason));
}

static struct mill_str what_cancellation(struct mill_arena *a, const json_t *v, const json_t *h)
{
    (void)h;
    return mill_arena_printf(a, "tenant \"%s\" asks to cancel it", what_text(v, "tenant"));
}

/* ---- raw records: their headers say it ---- */

static const char *what_header(const json_t *headers, const char *name)
{
    const json_t *h;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)headers, i, h)
    {
        if (!strcmp(what_text(h, "key"), name))
            return what_text(h, "value");
    }
    return "";
}

static struct mill_str what_failure(struct mill_arena *a, const json_t *h, const char *of)
{
    return mill_arena_printf(a, "%s of %s, class %s, attempt %s: %s", of,
                             what_header(h, "mill.stage"), what_header(h, "mill.class"),
                             what_header(h, "mill.attempt"),
                             what_header(h, "__connect.errors.exception.message"));
}

static struct mill_str what_delay(struct mill_arena *a, const json_t *h)
{
    const char *due = what_header(h, "mill.due");
    char text[32] = "?";
    int64_t ms;

    if (mill_str_i64(mill_str(due), &ms) && ms > 0 && ms < INT64_MAX / 1000)
        mill_time_text(ms * 1000, text, sizeof text);
    return mill_arena_printf(a, "waits until %s for %s", text, what_header(h, "mill.target"));
}

static struct mill_str what_raw(struct mill_arena *a, const char *topic, const json_t *h)
{
    struct mill_str t = mill_str(topic);

    if (mill_str_starts(t, "mail.delay."))
        return what_delay(a, h);
    if (mill_str_starts(t, "mail.retry.")) {
        struct mill_str redriven =
            what_if(a, ", redriven ", what_header(h, "mill.redrives"), " times");
        return mill_arena_printf(a, "goes to %s again%.*s", topic + strlen("mail.retry."),
                                 MILL_FMT(redriven));
    }
    if (mill_str_is(t, "mail.parked"))
        return what_failure(a, h, "parked, redriven too often: failure");
    return what_failure(a, h, mill_str_is(t, "mail.dlq") ? "dead letter" : "failure");
}

struct mill_str trace_what(struct mill_arena *a, const char *schema, const json_t *record)
{
    static const struct {
        const char *schema;
        struct mill_str (*what)(struct mill_arena *a, const json_t *value, const json_t *headers);
    } kinds[] = {
        {"request.avsc", what_request},
        {"message.avsc", what_message},
        {"ledger.avsc", what_ledger},
        {"status.avsc", what_status},
        {"callback_event.avsc", what_callback_event},
        {"event.avsc", what_event},
        {"cancellation.avsc", what_cancellation},
    };
    const json_t *value = json_object_get(record, "value"),
                 *headers = json_object_get(record, "headers");

    if (!schema)
        return what_raw(a, what_text(record, "topic"), headers);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(schema, kinds[i].schema) && json_is_object(value))
            return kinds[i].what(a, value, headers);
    return json_is_object(value)
               ? MILL_STR("a record")
               : mill_arena_printf(a, "cannot be decoded: %s", what_text(record, "value_error"));
}
