/* POST /v3/mail/send as SendGrid answers it. */
#include "double.h"

#include "base/clock.h"
#include <stdio.h>

void double_answer_error(struct mill_exchange *x, unsigned status, const char *field,
                         const char *message)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};
    struct mill_buf body;

    mill_buf_init(&body, 4096);
    mill_buf_puts(&body, "{\"errors\":[{\"message\":");
    mill_buf_json(&body, mill_str(message));
    mill_buf_puts(&body, ",\"field\":");
    if (field)
        mill_buf_json(&body, mill_str(field));
    else
        mill_buf_puts(&body, "null");
    mill_buf_puts(&body, "}]}");
    mill_exchange_answer(x, status, (struct mill_map){&type, 1}, mill_buf_view(&body));
    mill_buf_release(&body);
}

void double_sendgrid_answer(struct mill_exchange *x, unsigned status, const char *id,
                            uint32_t retry_after_s)
{
    char seconds[16], reset[24];
    struct mill_pair h[6];
    size_t n = 0;
    struct mill_str body = MILL_STR("");

    if (status < 300)
        h[n++] = (struct mill_pair){MILL_STR("X-Message-Id"), mill_str(id)};
    else if (status == 429)
        body = MILL_STR("{\"errors\":[{\"field\":null,\"message\":\"too many requests\"}]}");
    else
        body = MILL_STR("{\"errors\":[{\"message\":\"as asked\",\"field\":null}]}");
    if (status >= 300)
        h[n++] = (struct mill_pair){MILL_STR("Content-Type"), MILL_STR("application/json")};
    if (retry_after_s) {
        snprintf(seconds, sizeof seconds, "%u", retry_after_s);
        h[n++] = (struct mill_pair){MILL_STR("Retry-After"), mill_str(seconds)};
    }
    if (status == 429) {
        snprintf(reset, sizeof reset, "%lld",
                 (long long)(mill_now_us() / 1000000 + (retry_after_s ? retry_after_s : 1)));
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Limit"), MILL_STR("600")};
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Remaining"), MILL_STR("0")};
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Reset"), mill_str(reset)};
    }
    mill_exchange_answer(x, status, (struct mill_map){h, n}, body);
}

static bool mail_authorized(const struct double_state *d, const struct mill_exchange *x)
{
    struct mill_str auth = mill_exchange_header(x, "Authorization");

    if (!mill_str_starts(auth, "Bearer "))
        return false;
    auth = (struct mill_str){auth.p + 7, auth.n - 7};
    return d->key && d->key[0] ? mill_str_is(auth, d->key) : mill_str_starts(auth, "SG.");
}

void double_on_mail(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    const char *field = NULL, *message = NULL;
    json_t *mail = NULL;
    char id[23];

    double_random_id(id, sizeof id);
    if (!mail_authorized(d, x))
        double_answer_error(x, 401, NULL,
                            "The provided authorization grant is invalid, expired, or revoked");
    else if (!mill_str_starts(mill_exchange_header(x, "Content-Type"), "application/json"))
        double_answer_error(x, 415, NULL, "Content-Type should be application/json.");
    else if (mill_json_parse(mill_exchange_body(x), &mail, NULL))
        double_answer_error(x, 400, NULL, "Bad Request");
    else if (!double_mail_valid(x, mail, &field, &message))
        double_answer_error(x, 400, field, message);
    else
        double_take(d, x, DOUBLE_SENDGRID, mail, id);
    json_decref(mail);
}
