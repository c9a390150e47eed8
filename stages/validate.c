/**
 * @file validate.c
 * @brief Requests that are in order become messages, one for each personalization.
 *
 * in   mail.requests   request.avsc   key request_id, or none
 * out  mail.messages   message.avsc   key message_id
 *      mail.status     status.avsc    key request_id: REJECTED; key message_id: VALID, by option
 *
 * The rules are mail/request_rules.h, which ingest asks too: a request that ingest accepted is
 * refused here only where this stage has narrower options. What a producer left out is filled in:
 * request_id from mill.origin, accepted_at from the time in it, the fingerprint from the content.
 * Domains become A-labels.
 *
 * DONE    all messages are emitted
 * REJECT  a field is wrong, or a message is over the broker's limit; err names the first fields
 * RETRY   out of memory
 *
 * State: none. Nothing here looks at the clock when the record has a time, so a replay gives the
 * same messages, byte for byte.
 */
#include "base/clock.h"
#include "mail/address.h"
#include "mail/ids.h"
#include "mail/request_rules.h"
#include "mail/split.h"
#include "stage.h"

struct validate_conf {
    bool deliverable_only;
    bool status_valid;
};

enum { OUT_MESSAGES, OUT_STATUS };

static const struct mill_opt opts[] = {
    {.name = "deliverable-only",
     .type = MILL_OPT_BOOL,
     .off = offsetof(struct validate_conf, deliverable_only),
     .def = "no",
     .help = "refuse addresses that RFC 5321 allows but providers do not deliver to"},
    {.name = "status-valid",
     .type = MILL_OPT_BOOL,
     .off = offsetof(struct validate_conf, status_valid),
     .def = "no",
     .help = "emit a status VALID for each message (the message itself says as much)"},
    {0},
};

static const struct mill_port in_ports[] = {{"requests", "mail.requests", &mill_request_desc}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_MESSAGES] = {"messages", "mail.messages", &mill_message_desc},
    [OUT_STATUS] = {"status", "mail.status", &mill_status_desc},
    {0},
};

/** When the request was first seen: the last part of mill.origin, which no hop changes. A producer
 *  may stamp its records with anything, so what is before 2000 is not taken for a time. */
static int64_t validate_seen_us(const struct mill_record *in)
{
    static const int64_t year_2000 = INT64_C(946684800) * 1000000;
    size_t at = in->origin.n;
    int64_t us;

    while (at && in->origin.p[at - 1] != '/')
        at--;
    if (at && mill_str_i64((struct mill_str){in->origin.p + at, in->origin.n - at}, &us) &&
        us >= year_2000)
        return us;
    return in->timestamp_us >= year_2000 ? in->timestamp_us : mill_now_us();
}

static enum mill_code validate_status(struct mill_ctx *ctx, const struct mill_request *r,
                                      struct mill_str id, int state, struct mill_str reason,
                                      struct mill_err *err)
{
    const struct mill_status status = {
        .message_id = id,
        .request_id = r->request_id,
        .tenant = r->tenant,
        .state = state,
        .cls = state == MILL_STATE_REJECTED ? MILL_STR("poison") : (struct mill_str){0},
        .reason = reason,
        .at = r->accepted_at,
    };

    return mill_emit(ctx, OUT_STATUS, id, &status, err);
}

/** Say so where somebody may look for this request; the record itself goes to the failures. */
static enum mill_verdict validate_reject(struct mill_ctx *ctx, const struct mill_request *r,
                                         const struct mill_err *err)
{
    struct mill_err ignored;

    if (mill_id_ok(r->request_id) && mill_str_utf8(r->tenant))
        (void)!validate_status(ctx, r, r->request_id, MILL_STATE_REJECTED, mill_str(err->text),
                               &ignored);
    return MILL_REJECT;
}

/** What the producer left out. @param fingerprint room for one */
static enum mill_code validate_fill(const struct mill_record *in, struct mill_request *r,
                                    char request_id[MILL_UUID_TEXT], char *fingerprint,
                                    struct mill_err *err)
{
    if (!r->accepted_at)
        r->accepted_at = validate_seen_us(in);
    if (!r->request_id.p) {
        if (!mill_request_id_of_origin(in->origin, request_id))
            return mill_fail(err, MILL_E_NOMEM, "request_id", "the crypto library failed");
        r->request_id = mill_str(request_id);
    }
    if (!r->fingerprint.p) {
        if (!mill_request_fingerprint(r, fingerprint))
            return mill_fail(err, MILL_E_NOMEM, "fingerprint", "the crypto library failed");
        r->fingerprint = mill_str(fingerprint);
    }
    return MILL_OK;
}

static enum mill_verdict validate_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                            struct mill_err *err)
{
    const struct validate_conf *conf = mill_conf(ctx);
    struct mill_request r;
    struct mill_message m;
    struct mill_faults faults;
    char request_id[MILL_UUID_TEXT], fingerprint[MILL_FINGERPRINT_SIZE];
    const struct mill_rules rules = {
        .mailbox_flags = conf->deliverable_only ? MILL_MAILBOX_DELIVERABLE : 0,
        .now_us = validate_seen_us(in),
    };
    enum mill_code rc = MILL_OK;

    memcpy(&r, in->value, sizeof r);
    if (validate_fill(in, &r, request_id, fingerprint, err))
        return MILL_RETRY;
    mill_faults_init(&faults, NULL);
    mill_request_check(&r, &rules, &faults);
    rc = mill_faults_err(&faults, err);
    if (rc == MILL_E_DATA)
        return validate_reject(ctx, &r, err);
    for (size_t i = 0; i < r.personalizations.n && !rc; i++) {
        rc = mill_request_split(&r, i, mill_batch_arena(ctx), &m, err);
        if (!rc)
            rc = mill_emit(ctx, OUT_MESSAGES, m.message_id, &m, err);
        if (!rc && conf->status_valid)
            rc =
                validate_status(ctx, &r, m.message_id, MILL_STATE_VALID, (struct mill_str){0}, err);
    }
    if (rc == MILL_E_DATA)
        return MILL_REJECT;
    return rc ? MILL_RETRY : MILL_DONE;
}

MILL_STAGE(validate) = {
    .name = "validate",
    .summary = "requests that are in order become messages, one for each personalization",
    .in = in_ports,
    .out = out_ports,
    .opts = opts,
    .conf_size = sizeof(struct validate_conf),
    .told = "tenant",
    .on_record = validate_on_record,
};
