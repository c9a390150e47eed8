/* The events that a mail causes: what happens to it is said by the recipient's local part. */
#include "double.h"

#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One event: its name, when (in units of --deliver-ms), and what it carries beside the usual. */
struct step {
    const char *event;
    unsigned after;
    const char *more; /* JSON members */
    bool no_message_id;
};

#define DELIVERED                                                                                  \
    {                                                                                              \
        "delivered", 1, "\"response\":\"250 2.0.0 OK\",\"ip\":\"192.0.2.10\",\"tls\":1", 0         \
    }
#define PROCESSED                                                                                  \
    {                                                                                              \
        "processed", 0, "\"pool\":{\"name\":\"double\",\"id\":1}", 0                               \
    }
#define OPEN(machine)                                                                              \
    {                                                                                              \
        "open", 2,                                                                                 \
            "\"ip\":\"198.51.100.7\",\"useragent\":\"Mozilla/5.0 "                                 \
            "(double)\",\"sg_content_type\":\"html\","                                             \
            "\"sg_machine_open\":" machine,                                                        \
            0                                                                                      \
    }

static const struct {
    const char *local;
    struct step steps[4];
} scripts[] = {
    {"bounce",
     {PROCESSED,
      {"bounce", 1,
       "\"type\":\"bounce\",\"status\":\"5.1.1\",\"reason\":\"550 5.1.1 no such user\","
       "\"bounce_classification\":\"Invalid Address\",\"ip\":\"192.0.2.10\",\"tls\":1",
       0}}},
    {"blocked",
     {PROCESSED,
      {"bounce", 1,
       "\"type\":\"blocked\",\"status\":\"5.7.1\",\"reason\":\"550 5.7.1 refused by policy\","
       "\"bounce_classification\":\"Reputation\",\"ip\":\"192.0.2.10\",\"tls\":1",
       0}}},
    {"asyncbounce",
     {PROCESSED,
      DELIVERED,
      {"bounce", 3,
       "\"type\":\"bounce\",\"status\":\"5.2.2\",\"reason\":\"552 5.2.2 mailbox full\","
       "\"bounce_classification\":\"Mailbox Unavailable\"",
       true}}},
    {"dropped", {{"dropped", 0, "\"reason\":\"Bounced Address\",\"status\":\"5.0.0\"", 0}}},
    {"deferred",
     {PROCESSED,
      {"deferred", 1, "\"response\":\"451 4.7.1 try again later\",\"attempt\":\"1\"", 0},
      {"delivered", 2, "\"response\":\"250 2.0.0 OK\",\"ip\":\"192.0.2.10\",\"tls\":1", 0}}},
    {"complaint", {PROCESSED, DELIVERED, {"spamreport", 2, "", 0}}},
    {"open", {PROCESSED, DELIVERED, OPEN("false")}},
    {"machineopen", {PROCESSED, DELIVERED, OPEN("true")}},
    {"click",
     {PROCESSED,
      DELIVERED,
      OPEN("false"),
      {"click", 3,
       "\"ip\":\"198.51.100.7\",\"useragent\":\"Mozilla/5.0 (double)\","
       "\"url\":\"https://example.com/a?b=c\",\"url_offset\":{\"index\":0,\"type\":\"html\"}",
       0}}},
    {"unsubscribe", {PROCESSED, DELIVERED, {"unsubscribe", 2, "", 0}}},
    {"unknown", {PROCESSED, {"abducted", 1, "\"by\":\"a name that nobody knows\"", 0}}},
    {"silent", {{0}}},
    {"", {PROCESSED, DELIVERED}}, /* everybody else */
};

enum { SCRIPTS = sizeof scripts / sizeof *scripts, STEPS = 4 };

static const struct step *events_script(struct mill_str email)
{
    size_t n = 0;

    while (n < email.n && email.p[n] != '@' && email.p[n] != '+')
        n++;
    for (size_t i = 0; i < SCRIPTS - 1; i++)
        if (mill_str_ieq((struct mill_str){email.p, n}, mill_str(scripts[i].local)))
            return scripts[i].steps;
    return scripts[SCRIPTS - 1].steps;
}

/* Custom args stand at the top level of an event; a name of SendGrid's own wins. */
static bool events_reserved(const char *key)
{
    static const char *const names[] = {"email",
                                        "timestamp",
                                        "event",
                                        "sg_event_id",
                                        "sg_message_id",
                                        "smtp-id",
                                        "category",
                                        "ip",
                                        "reason",
                                        "status",
                                        "response",
                                        "attempt",
                                        "type",
                                        "tls",
                                        "url",
                                        "url_offset",
                                        "useragent",
                                        "pool",
                                        "bounce_classification",
                                        "sg_machine_open",
                                        "sg_content_type",
                                        "asm_group_id"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(key, names[i]))
            return true;
    return false;
}

static void events_args(struct mill_buf *b, const json_t *args, const json_t *over)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)args, key, v)
    {
        if (events_reserved(key) || json_object_get(over, key))
            continue;
        mill_buf_putc(b, ',');
        mill_buf_json(b, mill_str(key));
        mill_buf_putc(b, ':');
        mill_buf_json(b, mill_json_text(v));
    }
}

/* One category stands as text, several as a list: SendGrid shows both. */
static void events_category(struct mill_buf *b, const json_t *list)
{
    size_t n = json_array_size(list);

    if (!n)
        return;
    mill_buf_puts(b, n > 1 ? ",\"category\":[" : ",\"category\":");
    for (size_t i = 0; i < n; i++) {
        mill_buf_puts(b, i ? "," : "");
        mill_buf_json(b, mill_json_text(json_array_get(list, i)));
    }
    mill_buf_puts(b, n > 1 ? "]" : "");
}

struct mail {
    enum double_provider from;
    const json_t *mail, *personalization;
    const char *id;
    size_t recipient; /* running number */
};

static void events_render(struct mill_buf *b, const struct mail *m, struct mill_str email,
                          const struct step *s, int64_t at_s)
{
    static const char *const with_smtp_id[] = {"processed", "dropped", "delivered", "deferred",
                                               "bounce"};
    char event_id[29];

    double_random_id(event_id, sizeof event_id);
    mill_buf_puts(b, "{\"email\":");
    mill_buf_json(b, email);
    mill_buf_printf(b, ",\"timestamp\":%lld", (long long)at_s);
    for (size_t i = 0; i < sizeof with_smtp_id / sizeof *with_smtp_id; i++)
        if (!strcmp(s->event, with_smtp_id[i]))
            mill_buf_printf(b, ",\"smtp-id\":\"<%s@double.invalid>\"", m->id);
    mill_buf_printf(b, ",\"event\":\"%s\"", s->event);
    events_category(b, json_object_get(m->mail, "categories"));
    mill_buf_printf(b, ",\"sg_event_id\":\"%s\"", event_id);
    if (!s->no_message_id)
        mill_buf_printf(b, ",\"sg_message_id\":\"%s.recvd-double-%zu-0\"", m->id, m->recipient);
    events_args(b, json_object_get(m->personalization, "custom_args"), NULL);
    events_args(b, json_object_get(m->mail, "custom_args"),
                json_object_get(m->personalization, "custom_args"));
    if (s->more[0])
        mill_buf_printf(b, ",%s", s->more);
    mill_buf_putc(b, '}');
}

static void events_add(struct double_state *d, enum double_provider from, struct mill_buf *b,
                       int64_t due_ms)
{
    size_t n;
    char *json;

    if (d->n_events == d->events_size) {
        size_t size = d->events_size ? 2 * d->events_size : 256;
        struct double_event *more = realloc(d->events, size * sizeof *more);
        if (!more)
            abort();
        d->events = more;
        d->events_size = size;
    }
    json = mill_buf_detach(b, &n);
    if (!json)
        abort(); /* a double that loses events proves nothing */
    d->events[d->n_events++] = (struct double_event){from, due_ms, json, n};
}

static void events_recipient(struct double_state *d, const struct mail *m, struct mill_str email)
{
    const struct step *steps = events_script(email);
    const int64_t now_ms = mill_tick_ms(), now_us = mill_now_us();

    for (size_t i = 0; i < STEPS && steps[i].event; i++) {
        int64_t after_ms = (int64_t)(steps[i].after * d->deliver_ms);
        struct mill_buf b;

        mill_buf_init(&b, DOUBLE_POST_BYTES);
        if (m->from == DOUBLE_MAILGUN)
            double_mailgun_event(&b, m->mail, m->id, email, steps[i].event, steps[i].more,
                                 now_us + after_ms * 1000);
        else
            events_render(&b, m, email, &steps[i], (now_us + after_ms * 1000) / 1000000);
        events_add(d, m->from, &b, now_ms + after_ms + d->behaviour.delay_ms);
    }
}

void double_queue_events(struct double_state *d, enum double_provider from, const json_t *mail,
                         const char *id)
{
    static const char *const lists[] = {"to", "cc", "bcc"};
    const json_t *all = json_object_get(mail, "personalizations");
    struct mail m = {.from = from, .mail = mail, .id = id};
    const char *url = from == DOUBLE_MAILGUN ? d->mailgun_webhook_url : d->webhook_url;

    if (!url || !url[0])
        return;
    for (size_t i = 0; i < json_array_size(all); i++) {
        m.personalization = json_array_get(all, i);
        for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
            const json_t *people = json_object_get(m.personalization, lists[l]);
            for (size_t k = 0; k < json_array_size(people); k++, m.recipient++)
                events_recipient(d, &m, mill_json_str(json_array_get(people, k), "email"));
        }
    }
}

void double_drop_events(struct double_state *d)
{
    for (size_t i = 0; i < d->n_events; i++)
        free(d->events[i].json);
    d->n_events = 0;
}
