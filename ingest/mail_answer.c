/**
 * @file mail_answer.c
 * @brief What the caller of POST /v1/mail and /v1/mail/batch is told, and the count of it.
 */
#include "mail_call.h"

#include "base/clock.h"

enum { MAIL_ANSWER_BYTES = 64 << 20 };

static void mail_count(const struct mail_call *call)
{
    for (size_t i = 0; i < call->n; i++) {
        size_t outcome = MAILS_REFUSED;
        if (call->items[i].replayed)
            outcome = MAILS_REPLAYED;
        else if (!call->items[i].problem)
            outcome = MAILS_ACCEPTED;
        else if (call->items[i].problem == PROBLEM_OUTCOME_UNKNOWN)
            outcome = MAILS_UNKNOWN;
        else if (ingest_problem_status(call->items[i].problem) >= 500)
            outcome = MAILS_UNAVAILABLE;
        mill_metric_add(call->by.app->metrics, M_MAILS, outcome, 1);
    }
}

static void mail_add_accepted(struct mill_buf *out, const struct mail_item *item)
{
    char at[32];

    mill_buf_printf(out, "\"id\":\"%s\",\"accepted_at\":\"%s\",\"message_ids\":[", item->id,
                    mill_time_text(item->accepted_at, at, sizeof at));
    for (size_t i = 0; i < item->messages; i++)
        mill_buf_printf(out, "%s\"%s/%zu\"", i ? "," : "", item->id, i);
    mill_buf_putc(out, ']');
}

static struct ingest_refusal mail_refusal(const struct mail_item *item)
{
    return (struct ingest_refusal){.problem = item->problem,
                                   .detail = item->detail,
                                   .wrong = item->wrong,
                                   .wrong_n = item->wrong_n};
}

/* Of the whole call: nothing was new. */
static struct mill_map mail_replayed(const struct mail_call *call)
{
    static const struct mill_pair yes = {MILL_STR_INIT("Idempotent-Replayed"),
                                         MILL_STR_INIT("true")};

    for (size_t i = 0; i < call->n; i++)
        if (!call->items[i].replayed)
            return (struct mill_map){0};
    return (struct mill_map){&yes, 1};
}

static void mail_answer_one(struct mail_call *call)
{
    const struct mail_item *item = call->items;
    struct ingest_refusal r = mail_refusal(item);
    struct mill_buf body;

    if (item->problem) {
        ingest_refuse(call->by.app, call->by.x, &r, (struct mill_str){0});
        return;
    }
    mill_buf_init(&body, MAIL_ANSWER_BYTES);
    mill_buf_puts(&body, "{\"status\":\"accepted\",");
    mail_add_accepted(&body, item);
    mill_buf_putc(&body, '}');
    ingest_reply(call->by.app, call->by.x, 202, mail_replayed(call), &body);
    mill_buf_release(&body);
}

static void mail_add_results(struct mill_buf *out, const struct mail_call *call, size_t accepted)
{
    mill_buf_printf(out, "\"accepted\":%zu,\"refused\":%zu,\"results\":[", accepted,
                    call->n - accepted);
    for (size_t i = 0; i < call->n; i++) {
        const struct mail_item *item = &call->items[i];
        struct ingest_refusal r = mail_refusal(item);
        unsigned status = item->problem ? ingest_problem_status(item->problem) : 202;
        mill_buf_printf(out, "%s{\"index\":%zu,\"status\":%u,", i ? "," : "", i, status);
        if (item->problem) {
            mill_buf_puts(out, "\"problem\":");
            ingest_problem_add(out, &r, (struct mill_str){0});
        } else {
            mail_add_accepted(out, item);
            mill_buf_puts(out, item->replayed ? ",\"replayed\":true" : "");
        }
        mill_buf_putc(out, '}');
    }
    mill_buf_putc(out, ']');
}

/* 202: all accepted. 200: some not, see each. 503: none accepted, and some could be later. */
static void mail_answer_batch(struct mail_call *call)
{
    enum ingest_problem worst = 0;
    size_t accepted = 0;
    struct mill_buf body;

    for (size_t i = 0; i < call->n; i++) {
        enum ingest_problem p = call->items[i].problem;
        accepted += !p;
        if (p == PROBLEM_OUTCOME_UNKNOWN || (p == PROBLEM_UNAVAILABLE && !worst))
            worst = p;
    }
    mill_buf_init(&body, MAIL_ANSWER_BYTES);
    mill_buf_putc(&body, accepted || !worst ? '{' : ',');
    mail_add_results(&body, call, accepted);
    if (accepted || !worst) {
        mill_buf_putc(&body, '}');
        ingest_reply(call->by.app, call->by.x, accepted == call->n ? 202 : 200, mail_replayed(call),
                     &body);
    } else {
        ingest_refuse(call->by.app, call->by.x, &(struct ingest_refusal){.problem = worst},
                      mill_buf_view(&body));
    }
    mill_buf_release(&body);
}

void ingest_mail_settle(struct mail_call *call)
{
    if (atomic_fetch_sub(&call->waiting, 1) != 1)
        return;
    ingest_quota_give(call->by.app->quota, call->by.who.tenant, (uint32_t)call->n);
    mail_count(call);
    if (call->batch)
        mail_answer_batch(call);
    else
        mail_answer_one(call);
}
