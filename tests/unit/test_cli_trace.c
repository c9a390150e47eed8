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

int main(void)
{
    return TABLE(rows, it_is_said);
}
