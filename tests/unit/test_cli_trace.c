/* What the records of a mail's way say in a trace. */
#include "cases.h"
#include "trace.h"

#include <string.h>

#define HEADERS                                                                                    \
    "[{'key':'mill.stage','value':'send'},{'key':'mill.class','value':'transient'},"               \
    "{'key':'mill.attempt','value':'2'},{'key':'mill.due','value':'1771034400000'},"               \
    "{'key':'mill.target','value':'mail.retry.send'},{'key':'mill.redrives','value':'1'},"         \
    "{'key':'__connect.errors.exception.message','value':'no answer'}]"

static const struct row {
    const char *name, *schema, *record, *want; /**< record with ' for " */
} rows[] = {
    {"request", "request.avsc",
     "{'value':{'tenant':'t','client':'c','subject':'Hi','send_at':null,"
     "'personalizations':[{'to':[{'email':'a@b.org'}]},{'to':[]}]}}",
     "request of tenant \"t\" by \"c\": \"Hi\" to a@b.org, 2 messages"},
    {"scheduled request", "request.avsc",
     "{'value':{'tenant':'','client':'','subject':null,'send_at':'2026-02-14T00:00:00Z'}}",
     "request of tenant \"\" by \"\": \"\" to nobody, 0 messages, to be sent at "
     "2026-02-14T00:00:00Z"},
    {"message", "message.avsc", "{'value':{'message_id':'r/0','to':[{'email':'a@b.org'}]}}",
     "message r/0 to a@b.org"},
    {"resent message", "message.avsc",
     "{'value':{'message_id':'r/0','to':[{'email':'a@b.org'}],'resend_id':'x'}}",
     "message r/0 to a@b.org, resend x"},
    {"intent", "ledger.avsc",
     "{'value':{'kind':'INTENT','message_id':'r/0','attempt':1,'provider':'sendgrid',"
     "'outcome':'NONE'}}",
     "INTENT r/0, attempt 1 at sendgrid"},
    {"outcome", "ledger.avsc",
     "{'value':{'kind':'OUTCOME','message_id':'r/0','attempt':1,'provider':'sendgrid',"
     "'outcome':'ACCEPTED','provider_id':'p1'}}",
     "OUTCOME r/0, attempt 1 at sendgrid: ACCEPTED, id p1"},
    {"status", "status.avsc",
     "{'value':{'message_id':'r/0','state':'RETRYING','class':'throttled','reason':'429'}}",
     "r/0 is RETRYING (throttled): 429"},
    {"callback event", "callback_event.avsc",
     "{'value':{'index':3,'provider':'sendgrid','callback_topic':'mail.callbacks',"
     "'callback_partition':1,'callback_offset':17}}",
     "event 3 of a callback of sendgrid, mail.callbacks/1/17"},
    {"event", "event.avsc",
     "{'value':{'type':'BOUNCED','recipient':'a@b.org','matched':true,'reason':'550 no'}}",
     "BOUNCED a@b.org: 550 no"},
    {"unmatched event", "event.avsc",
     "{'value':{'type':'OPENED','recipient':'a@b.org','matched':false}}",
     "OPENED a@b.org, not matched"},
    {"cancellation", "cancellation.avsc", "{'value':{'tenant':'t'}}",
     "tenant \"t\" asks to cancel it"},
    {"a stage of one's own", "screened.avsc", "{'value':{}}", "a record"},
    {"not decoded", "status.avsc", "{'value_error':'no frame'}", "cannot be decoded: no frame"},
    {"failure", NULL, "{'topic':'mail.failures','headers':" HEADERS "}",
     "failure of send, class transient, attempt 2: no answer"},
    {"dead letter", NULL, "{'topic':'mail.dlq','headers':" HEADERS "}",
     "dead letter of send, class transient, attempt 2: no answer"},
    {"delay", NULL, "{'topic':'mail.delay.10s','headers':" HEADERS "}",
     "waits until 2026-02-14T02:00:00.000000Z for mail.retry.send"},
    {"delay without a time", NULL, "{'topic':'mail.delay.10s','headers':[]}", "waits until ? for "},
    {"retry", NULL, "{'topic':'mail.retry.send','headers':" HEADERS "}",
     "goes to send again, redriven 1 times"},
    {"parked", NULL, "{'topic':'mail.parked','headers':" HEADERS "}",
     "parked, redriven too often: failure of send, class transient, attempt 2: no answer"},
    {"no headers at all", NULL, "{'topic':'mail.dlq'}", "dead letter of , class , attempt : "},
};

static void it_is_said(void **state)
{
    const struct row *row = *state;
    struct mill_arena mem = {0};
    char text[2048];
    json_t *o;

    mill_str_cut(mill_str(row->record), text, sizeof text);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    o = json_loads(text, 0, NULL);
    assert_non_null(o);
    assert_string_equal(trace_what(&mem, row->schema, o).p, row->want);
    json_decref(o);
    mill_arena_release(&mem);
}

static const struct {
    const char *before, *next; /**< state/attempt; before "" = nothing yet */
    bool stands;
} words[] = {
    {"", "RETRYING/1", true},
    {"", "TOO_LATE/0", true}, /* all that there is */
    {"RETRYING/1", "DEAD_LETTER/0", true},
    {"RETRYING/1", "SENT/2", true},
    {"SENT/1", "DEAD_LETTER/0", false}, /* another copy was sent meanwhile */
    {"SENT/1", "EXPIRED/0", false},     /* a replay in a year */
    {"SENT/1", "RETRYING/2", false},    /* a resend: the first has gone out */
    {"SENT/1", "DUPLICATE/0", false},
    {"SENT/1", "TOO_LATE/0", false},
    {"SENT/1", "FAILED/1", true},  /* the provider dropped it after all */
    {"SENT/2", "FAILED/1", false}, /* of the call before */
    {"FAILED/1", "SENT/2", true},
    {"FAILED/1", "RETRYING/2", true}, /* redriven */
    {"SENT/1", "DELIVERED/1", true},
    {"DELIVERED/1", "SENT/1", false}, /* the event was quicker than the outcome */
    {"DELIVERED/1", "BOUNCED/1", true},
    {"DELIVERED/1", "DEAD_LETTER/0", false},
    {"DEAD_LETTER/0", "RETRYING/1", true},
    {"DEAD_LETTER/0", "SENT/1", true},
    {"UNKNOWN/1", "SENT/1", true},
    {"UNKNOWN/1", "HELD/1", true},
};

static json_t *word(const char *text)
{
    int n = (int)strcspn(text, "/");

    return json_pack("{s:s,s:o,s:I}", "message_id", "r/0", "state", json_stringn(text, (size_t)n),
                     "attempt", (json_int_t)(text[n + 1] - '0'));
}

/* The fold over mail.status. */
static void state_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_t *states = json_object();
        json_t *before = words[i].before[0] ? word(words[i].before) : NULL;
        json_t *next = word(words[i].next);

        if (before)
            trace_state(states, before);
        trace_state(states, next);
        if (words[i].stands != (json_object_get(states, "r/0") == next))
            fail_msg("%s, then %s", words[i].before, words[i].next);
        json_decref(before);
        json_decref(next);
        json_decref(states);
    }
}

int main(void)
{
    const struct CMUnitTest t[] = {cmocka_unit_test(state_stands)};

    return TABLE(rows, it_is_said) + TESTS(t);
}
