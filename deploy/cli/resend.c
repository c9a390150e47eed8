/* sendmill resend: mails go out once more, on purpose. The only verb that makes a provider call.
 *
 * Each message is published to mail.messages again, so that it takes the whole way and is archived
 * like any other, with a fresh resend_id: of the ledger only attempts with that id count for it.
 * All of them are one transaction, with one resend id. */
#include "ask.h"
#include "avro/codec.h"
#include "avro/registry.h"
#include "base/clock.h"
#include "base/hash.h"
#include "kafka/transact.h"
#include "mail/records.h"
#include "mailid.h"
#include "scan.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAILS_MAX = 100000, SHOWN = 3, VALUE_MAX = 8 << 20 };
static const char MESSAGES[] = "mail.messages";

/** The newest record of a message. */
struct resend_mail {
    struct mill_str key, raw;
    struct mill_pair headers[3]; /**< what every hop carries on */
    size_t headers_n;
};

struct resend {
    struct cli *cli;
    struct mailid id;
    struct mill_registry *registry;
    struct mill_codec *codec;
    struct resend_mail *mails;
    size_t mails_n, mails_size;
    size_t live; /**< mails[0..live) stand in mail.messages: a dead letter of them adds nothing */
    struct mill_arena mem, one; /**< for all, of one */
    struct mill_buf buf;
    char resend_id[MILL_UUID_TEXT];
    int32_t schema;
    struct scan scan;
    enum mill_code code; /**< of a callback */
    struct mill_err err;
};

/* ---- which mails ---- */

static struct resend_mail *resend_find(struct resend *r, struct mill_str key)
{
    for (size_t i = 0; i < r->mails_n; i++)
        if (mill_str_eq(r->mails[i].key, key))
            return &r->mails[i];
    return NULL;
}

static struct resend_mail *resend_new(struct resend *r, struct mill_str key)
{
    struct resend_mail *v = r->mails;

    if (r->mails_n == MAILS_MAX)
        return NULL;
    if (r->mails_n == r->mails_size) {
        size_t size = r->mails_size ? 2 * r->mails_size : 16;
        v = realloc(r->mails, size * sizeof *v);
        if (!v)
            return NULL;
        r->mails = v;
        r->mails_size = size;
    }
    v = &r->mails[r->mails_n++];
    *v = (struct resend_mail){.key = mill_arena_dup(&r->mem, key)};
    return v->key.p ? v : NULL;
}

static bool resend_keep(struct resend *r, struct resend_mail *m, const struct mill_record *in)
{
    static const char *const carried[] = {"mill.origin", "traceparent", "tracestate"};

    m->raw = mill_arena_dup(&r->mem, in->raw);
    m->headers_n = 0;
    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++) {
        struct mill_str value = mill_header(in, carried[i]);
        if (!value.p)
            continue;
        m->headers[m->headers_n] =
            (struct mill_pair){mill_str(carried[i]), mill_arena_dup(&r->mem, value)};
        if (!m->headers[m->headers_n++].value.p)
            return false;
    }
    return m->raw.p != NULL;
}

static bool resend_each(void *arg, const struct mill_record *in)
{
    struct resend *r = arg;
    bool letter = strcmp(in->topic, MESSAGES) != 0;
    struct resend_mail *m;

    if (!in->raw.p || !mailid_owns(&r->id, in->key) || !memchr(in->key.p, '/', in->key.n) ||
        (letter && (!mill_str_is(mill_header(in, "mill.stage"), "send") ||
                    mill_header(in, "mill.cut-from-bytes").p)))
        return false;
    m = resend_find(r, in->key);
    if (letter && m && (size_t)(m - r->mails) < r->live)
        return false;
    if (!m)
        m = resend_new(r, in->key);
    if (!m || !resend_keep(r, m, in))
        r->code = mill_fail(&r->err, MILL_E_NOMEM, in->topic, "too many, or out of memory");
    r->scan.stop = r->code != MILL_OK;
    return true;
}

static enum mill_code resend_look(struct resend *r, const char *topic)
{
    struct scan_bounds all = {0};
    int64_t now_ms = mill_now_us() / 1000;
    enum mill_code code;

    r->scan = (struct scan){
        .topic = topic,
        .range = {{PLACE_TIME, mailid_since_ms(&r->id, now_ms)}, {PLACE_END, 0}},
        .each = resend_each,
        .arg = r,
    };
    if (strcmp(topic, MESSAGES) != 0) /* a dead letter is older than its topic's records */
        r->scan.range.from = (struct place){PLACE_START, 0};
    code = scan_range(r->cli, &r->scan, &r->err);
    if (!code)
        code = scan_bounds_find(r->cli, &r->scan, &all, &r->err);
    r->scan.only = 1 + mill_partition(r->id.request, all.n);
    scan_bounds_release(&all);
    if (!code)
        code = scan_run(r->cli, &r->scan, &r->err);
    return code ? code : r->code;
}

static enum mill_code resend_collect(struct resend *r)
{
    enum mill_code code = resend_look(r, MESSAGES);

    r->live = r->mails_n;
    if (!code && (!r->mails_n || !r->id.message))
        code = resend_look(r, "mail.dlq");
    if (!code && (!r->mails_n || !r->id.message))
        code = resend_look(r, "mail.parked");
    return code;
}

/* ---- as records ---- */

static enum mill_code resend_decode(struct resend *r, const struct resend_mail *m,
                                    struct mill_message *out)
{
    struct mill_str body, schema;
    int32_t id;
    enum mill_code code = mill_frame_split(m->raw, &id, &body, &r->err);

    if (!code && !mill_codec_knows(r->codec, id)) {
        code = mill_registry_schema(r->registry, id, &schema, &r->err);
        if (!code)
            code = mill_codec_learn(r->codec, id, schema, &r->err);
    }
    if (!code)
        code = mill_codec_decode(r->codec, id, body, &r->one, out, &r->err);
    if (!code && !mill_str_eq(out->message_id, m->key))
        code = mill_fail(&r->err, MILL_E_DATA, "message_id", "is not the record's key");
    return code;
}

static enum mill_code resend_show(struct resend *r)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && i < r->mails_n; i++) {
        struct mill_message msg;
        const struct mill_address *to;
        code = resend_decode(r, &r->mails[i], &msg);
        if (code || i >= SHOWN) {
            mill_arena_reset(&r->one);
            continue;
        }
        to = msg.to.n ? msg.to.v : NULL;
        fprintf(stderr, "  %s to %s: %s%s\n", text_safe(&r->one, msg.message_id),
                text_safe(&r->one, to ? to->email : MILL_STR("nobody")),
                text_safe(&r->one, msg.subject),
                msg.expires_at.has && msg.expires_at.v < mill_now_us()
                    ? "  # its expires_at is over: send refuses it"
                    : "");
        mill_arena_reset(&r->one);
    }
    if (!code && r->mails_n > SHOWN)
        fprintf(stderr, "  … and %zu more\n", r->mails_n - SHOWN);
    return code;
}

static enum mill_code resend_one(struct resend *r, struct mill_transact *tx,
                                 const struct resend_mail *m)
{
    struct mill_message msg;
    enum mill_code code = resend_decode(r, m, &msg);

    if (code)
        return code;
    msg.resend_id = mill_str(r->resend_id);
    msg.resend_at = (struct mill_opt_i64){true, mill_now_us()};
    msg.send_at = (struct mill_opt_i64){false, 0}; /* again means now */
    mill_buf_reset(&r->buf);
    if (!mill_frame_add(&r->buf, r->schema))
        return mill_fail(&r->err, MILL_E_NOMEM, MESSAGES, "out of memory");
    code = mill_codec_encode(r->codec, &msg, &r->buf, &r->err);
    if (!code)
        code = mill_transact_send(tx, MESSAGES, -1, m->key, mill_buf_view(&r->buf),
                                  (struct mill_map){m->headers, m->headers_n}, &r->err);
    mill_arena_reset(&r->one);
    return code;
}

static enum mill_code resend_publish(struct resend *r)
{
    struct mill_transact *tx = NULL;
    char id[64];
    enum mill_code code = mill_registry_register(
        r->registry, "mail.messages-value", mill_str(mill_message_desc.avsc), &r->schema, &r->err);

    if (!code && !mill_uuid7(r->resend_id))
        code = mill_fail(&r->err, MILL_E_NOMEM, "resend_id", "no random bytes");
    snprintf(id, sizeof id, "sendmill.resend.%s", r->resend_id);
    if (!code)
        code = mill_transact_new(&tx, &r->cli->kafka, id, &r->err);
    for (size_t i = 0; !code && i < r->mails_n; i++)
        code = resend_one(r, tx, &r->mails[i]);
    if (!code)
        code = mill_transact_commit(tx, &r->err);
    mill_transact_free(tx);
    return code;
}

/* ---- what is said ---- */

static int resend_go(struct resend *r)
{
    char what[100], more[32];
    enum mill_code code = resend_show(r);
    int rc;

    if (code)
        return cli_fail(&r->err);
    snprintf(what, sizeof what, "%zu mails go out AGAIN", r->mails_n);
    if (r->cli->conf.dry_run) {
        snprintf(more, sizeof more, " --confirm=%zu", r->mails_n);
        fprintf(stderr, "%s\n", what);
        ask_again(r->cli, "dry run; next: ", more);
        return MILL_EXIT_OK;
    }
    rc = ask_count(r->cli, what, r->mails_n);
    if (rc)
        return rc;
    code = resend_publish(r);
    if (code == MILL_E_IO)
        fprintf(stderr,
                "nobody knows whether they go; look before you do it again: sendmill trace "
                "%s\n",
                r->cli->args[0]);
    if (code)
        return cli_fail(&r->err);
    if (r->cli->format == CLI_JSON) {
        json_t *o =
            json_pack("{s:s,s:I}", "resend_id", r->resend_id, "mails", (json_int_t)r->mails_n);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%zu mails go out again, resend %s\n", r->mails_n, r->resend_id);
    }
    fprintf(stderr, "next: sendmill trace %s\n", r->cli->args[0]);
    return MILL_EXIT_OK;
}

int cli_resend(struct cli *cli)
{
    struct resend r = {.cli = cli};
    enum mill_code code;
    int rc;

    if (!mailid_parse(cli->args[0], &r.id))
        return cli_usage("\"%s\" is no id of a request or message", cli->args[0]);
    mill_buf_init(&r.buf, VALUE_MAX);
    code = mill_registry_new(&r.registry, cli->conf.common.registry, CLI_REGISTRY_MS, &r.err);
    if (!code)
        code = mill_codec_new(&r.codec, &mill_message_desc, &r.err);
    if (!code)
        code = resend_collect(&r);
    if (code)
        rc = cli_fail(&r.err);
    else if (cli_stopped())
        rc = CLI_INTERRUPTED;
    else if (r.mails_n)
        rc = resend_go(&r);
    else
        rc = MILL_EXIT_NOENT;
    if (rc == MILL_EXIT_NOENT && !code)
        fprintf(stderr, "sendmill: no message of %s is in %s or the DLQ\n", cli->args[0], MESSAGES);
    mill_codec_free(r.codec);
    mill_registry_free(r.registry);
    mill_buf_release(&r.buf);
    mill_arena_release(&r.one);
    mill_arena_release(&r.mem);
    free(r.mails);
    return rc;
}
