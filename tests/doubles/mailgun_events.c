/* Mailgun's webhook: one event a post, signed in its body. */
#include "double.h"

#include "base/clock.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SendGrid's word, by which the scripts of events.c go; Mailgun's, and what it carries. */
static const struct {
    const char *sendgrid, *event, *more;
} words[] = {
    {"processed", "accepted", "\"method\":\"http\""},
    {"delivered", "delivered",
     "\"delivery-status\":{\"code\":250,\"message\":\"OK\",\"description\":\"\",\"attempt-no\":1,"
     "\"tls\":true}"},
    {"bounce", "failed",
     "\"severity\":\"permanent\",\"reason\":\"bounce\",\"delivery-status\":{\"code\":550,"
     "\"enhanced-code\":\"5.1.1\",\"message\":\"550 5.1.1 no such user\",\"attempt-no\":1}"},
    {"dropped", "failed",
     "\"severity\":\"permanent\",\"reason\":\"suppress-bounce\",\"delivery-status\":{\"code\":605,"
     "\"message\":\"\",\"description\":\"Not delivering to previously bounced address\"}"},
    {"deferred", "failed",
     "\"severity\":\"temporary\",\"reason\":\"generic\",\"delivery-status\":{\"code\":451,"
     "\"enhanced-code\":\"4.7.1\",\"message\":\"4.7.1 try again later\",\"retry-seconds\":600}"},
    {"spamreport", "complained", ""},
    {"open", "opened", "\"ip\":\"198.51.100.7\""},
    {"click", "clicked", "\"ip\":\"198.51.100.7\",\"url\":\"https://example.com/a?b=c\""},
    {"unsubscribe", "unsubscribed", "\"ip\":\"198.51.100.7\""},
    {"abducted", "abducted", "\"by\":\"a name that nobody knows\""},
};

static void event_variables(struct mill_buf *b, const json_t *mail)
{
    const json_t *who = json_array_get(json_object_get(mail, "personalizations"), 0);
    char *variables = mill_json_canonical(json_object_get(who, "custom_args"));
    const json_t *tags = json_object_get(mail, "categories");
    char *list = tags ? mill_json_canonical(tags) : NULL;

    mill_buf_printf(b, ",\"user-variables\":%s,\"tags\":%s", variables ? variables : "{}",
                    list ? list : "[]");
    free(variables);
    free(list);
}

static void event_headers(struct mill_buf *b, const json_t *mail, const char *id,
                          struct mill_str email)
{
    mill_buf_printf(b, ",\"message\":{\"headers\":{\"message-id\":\"%s\",\"to\":", id);
    mill_buf_json(b, email);
    mill_buf_puts(b, ",\"from\":");
    mill_buf_json(b, mill_json_str(mail, "from"));
    mill_buf_puts(b, ",\"subject\":");
    mill_buf_json(b, mill_json_str(mail, "subject"));
    mill_buf_puts(b, "},\"attachments\":[],\"size\":586}");
}

void double_mailgun_event(struct mill_buf *b, const json_t *mail, const char *id,
                          struct mill_str email, const char *event, const char *more, int64_t at_us)
{
    const char *own = event, *with = "";
    char event_id[23];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(words[i].sendgrid, event)) {
            own = words[i].event;
            with = words[i].more;
        }
    }
    double_random_id(event_id, sizeof event_id);
    mill_buf_printf(b,
                    "{\"event\":\"%s\",\"id\":\"%s\",\"timestamp\":%lld.%06lld,\"recipient\":", own,
                    event_id, (long long)(at_us / 1000000), (long long)(at_us % 1000000));
    mill_buf_json(b, email);
    mill_buf_puts(b, ",\"log-level\":\"info\",\"flags\":{\"is-routed\":false,"
                     "\"is-authenticated\":true,\"is-system-test\":false,\"is-test-mode\":false}");
    event_headers(b, mail, id, email);
    event_variables(b, mail);
    if (strstr(own, "opened") || strstr(own, "clicked"))
        mill_buf_printf(b,
                        ",\"client-info\":{\"user-agent\":\"Mozilla/5.0 (double)\",\"bot\":\"%s\"}",
                        strstr(more, "sg_machine_open\":true") ? "apple" : "");
    if (with[0])
        mill_buf_printf(b, ",%s", with);
    mill_buf_putc(b, '}');
}

void double_mailgun_post(struct mill_buf *b, const struct double_state *d, struct mill_str data,
                         bool broken)
{
    unsigned char random[25], mac[MILL_SHA256_BYTES];
    char token[51], signed_text[80], hex[2 * MILL_SHA256_BYTES + 1];
    const char *key = d->mailgun_signing_key ? d->mailgun_signing_key : "";
    long long now = mill_now_us() / 1000000;
    int n;

    if (!mill_random(random, sizeof random))
        abort();
    mill_hex(random, sizeof random, token);
    n = snprintf(signed_text, sizeof signed_text, "%lld%s", now, token);
    if (!mill_hmac_sha256(mill_str(key), (struct mill_str){signed_text, (size_t)n}, mac))
        abort();
    mill_hex(mac, sizeof mac, hex);
    if (broken)
        hex[0] = hex[0] == '0' ? '1' : '0';
    mill_buf_printf(b,
                    "{\"signature\":{\"timestamp\":\"%lld\",\"token\":\"%s\",\"signature\":\"%s\"},"
                    "\"event-data\":",
                    now, token, hex);
    mill_buf_str_add(b, data);
    mill_buf_putc(b, '}');
}
