#include "mail/rules.h"

#include "base/json.h"
#include "mail/address.h"
#include "mail/charset.h"

static const struct mill_charset ftext = MILL_SET_FTEXT;
static const struct mill_charset token = MILL_SET_TOKEN;
static const struct mill_charset hex = MILL_SET_HEX;

const char *rules_line(struct mill_str s, bool tab)
{
    bool utf8 = false;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\r' || c == '\n')
            return "has a line break";
        if ((c < 0x20 && !(tab && c == '\t')) || c == 0x7f)
            return "has a control character";
        utf8 = utf8 || c >= 0x80;
    }
    return utf8 && !mill_str_utf8(s) ? "is no UTF-8" : NULL;
}

size_t rules_chars(struct mill_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

void rules_address(const struct rules_walk *w, const struct mill_step *at,
                   const struct mill_address *a, bool recipient)
{
    const char *why = mill_mailbox_scan(a->email, w->rules->mailbox_flags, NULL);

    mill_faults_why(w->out, MILL_AT(at, "email"), why);
    why = rules_line(a->name, false);
    if (why)
        mill_faults_add(w->out, MILL_AT(at, "name"), "%s", why);
    else if (a->name.n > MILL_NAME_BYTES_MAX)
        mill_faults_add(w->out, MILL_AT(at, "name"), "is longer than 256 bytes");
    else if (recipient && a->name.n &&
             (memchr(a->name.p, ';', a->name.n) || memchr(a->name.p, ',', a->name.n)))
        mill_faults_add(w->out, MILL_AT(at, "name"), "a recipient's name may not have ; or ,");
}

/* Recipients seen in one personalization: open addressing, never more than half full. */
enum { SEEN_SLOTS = 2048 };
struct rules_seen {
    struct mill_str v[MILL_RECIPIENTS_MAX];
    uint16_t slot[SEEN_SLOTS]; /**< index in v, plus 1 */
    uint16_t n;
};

/** @return false when the address (whatever its case) has been seen */
static bool rules_seen_add(struct rules_seen *seen, struct mill_str email)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < email.n; i++) {
        unsigned char c = (unsigned char)email.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c)) * 16777619u;
    }
    for (size_t at = h % SEEN_SLOTS;; at = (at + 1) % SEEN_SLOTS) {
        if (!seen->slot[at]) {
            seen->v[seen->n++] = email;
            seen->slot[at] = seen->n;
            return true;
        }
        if (mill_str_ieq(seen->v[seen->slot[at] - 1], email))
            return false;
    }
}

static void rules_list(const struct rules_walk *w, const struct mill_step *at,
                       struct mill_str field, struct mill_addresses list, struct rules_seen *seen)
{
    struct mill_step step = {.up = at, .name = field, .indexed = true};

    for (size_t i = 0; i < list.n; i++) {
        step.index = i;
        rules_address(w, &step, &list.v[i], true);
        if (seen && !rules_seen_add(seen, list.v[i].email))
            mill_faults_add(w->out, MILL_AT(&step, "email"),
                            "the address is there twice in to, cc and bcc");
    }
}

void rules_recipients(const struct rules_walk *w, const struct mill_step *at,
                      const struct mill_personalization *p)
{
    size_t n = p->to.n + p->cc.n + p->bcc.n;
    bool check = n > 1 && n <= MILL_RECIPIENTS_MAX;
    struct rules_seen seen;

    if (!p->to.n)
        mill_faults_add(w->out, MILL_AT(at, "to"), "at least one recipient is needed");
    if (check) {
        seen.n = 0;
        memset(seen.slot, 0, sizeof seen.slot);
    }
    rules_list(w, at, MILL_STR("to"), p->to, check ? &seen : NULL);
    rules_list(w, at, MILL_STR("cc"), p->cc, check ? &seen : NULL);
    rules_list(w, at, MILL_STR("bcc"), p->bcc, check ? &seen : NULL);
}

bool mill_header_reserved(struct mill_str name)
{
    static const char *const reserved[] = {/* SendGrid sets these or refuses them */
                                           "x-sg-id", "x-sg-eid", "received", "dkim-signature",
                                           "content-type", "content-transfer-encoding", "to",
                                           "from", "subject", "reply-to", "cc", "bcc",
                                           /* written by send */
                                           "date", "message-id", "mime-version", "return-path"};

    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (mill_str_ieq(name, mill_str(reserved[i])))
            return true;
    return name.n >= 7 && mill_str_ieq((struct mill_str){name.p, 7}, MILL_STR("x-mill-"));
}

void rules_headers(const struct rules_walk *w, const struct mill_step *at, struct mill_map m)
{
    if (m.n > MILL_HEADERS_MAX) {
        mill_faults_add(w->out, at, "has more than 100 headers");
        return;
    }
    for (size_t i = 0; i < m.n; i++) {
        struct mill_str name = m.v[i].key, value = m.v[i].value;
        const struct mill_step *here = MILL_AT_KEY(at, name);
        const char *why = rules_line(value, true);
        if (!mill_all_in(&ftext, name))
            mill_faults_add(w->out, here, "is no header name");
        else if (name.n > MILL_ID_BYTES_MAX)
            mill_faults_add(w->out, here, "the header's name is longer than 128 bytes");
        else if (mill_header_reserved(name))
            mill_faults_add(w->out, here, "this header may not be set by the request");
        else if (why)
            mill_faults_add(w->out, here, "the header %s", why);
        else if (value.n > MILL_HEADER_BYTES_MAX)
            mill_faults_add(w->out, here, "the header is longer than 8192 bytes");
        for (size_t k = 0; k < i; k++)
            if (mill_str_ieq(m.v[k].key, name))
                mill_faults_add(w->out, here, "the header is there twice");
    }
}

/** Bytes that a pair takes in a JSON object: quotes, colon, comma. */
static size_t rules_pair_bytes(const struct mill_pair *p)
{
    return p->key.n + p->value.n + 6;
}

static bool rules_has(struct mill_map m, struct mill_str key, size_t before, size_t *at)
{
    for (size_t i = 0; i < before; i++) {
        if (mill_str_eq(m.v[i].key, key)) {
            *at = i;
            return true;
        }
    }
    return false;
}

void rules_metadata(const struct rules_walk *w, const struct mill_step *at, struct mill_map m,
                    struct mill_map base)
{
    size_t bytes = 0, old;

    for (size_t i = 0; i < m.n; i++)
        bytes += rules_pair_bytes(&m.v[i]);
    for (size_t i = 0; i < base.n && bytes <= MILL_CUSTOM_BYTES_MAX; i++)
        bytes += rules_has(m, base.v[i].key, m.n, &old) ? 0 : rules_pair_bytes(&base.v[i]);
    if (bytes > MILL_CUSTOM_BYTES_MAX) {
        mill_faults_add(w->out, at, "is over 10000 bytes as JSON");
        return;
    }
    for (size_t i = 0; i < m.n; i++) {
        struct mill_str key = m.v[i].key;
        const struct mill_step *here = MILL_AT_KEY(at, key);
        const char *why = rules_line(key, false);
        if (!key.n)
            mill_faults_add(w->out, at, "has an empty key");
        else if (why)
            mill_faults_add(w->out, here, "the key %s", why);
        else if (mill_str_starts(key, "mill_"))
            mill_faults_add(w->out, here, "keys that start with mill_ are Sendmill's own");
        else if (m.v[i].value.n && memchr(m.v[i].value.p, '\0', m.v[i].value.n))
            mill_faults_add(w->out, here, "the value has a NUL");
        else if (!mill_str_utf8(m.v[i].value))
            mill_faults_add(w->out, here, "the value is no UTF-8");
        else if (rules_has(m, key, i, &old))
            mill_faults_add(w->out, here, "the key is there twice");
    }
}

/** type "/" subtype, then parameters: *( ";" SP token "=" ( token | quoted-string ) ). */
static bool rules_media_type(struct mill_str s)
{
    size_t i = mill_span(&token, s, 0), n;

    if (!i || i == s.n || s.p[i] != '/')
        return false;
    n = mill_span(&token, s, ++i);
    for (i += n; n && i < s.n; i += n) {
        if (s.p[i++] != ';')
            return false;
        while (i < s.n && s.p[i] == ' ')
            i++;
        n = mill_span(&token, s, i);
        if (!n || i + n == s.n || s.p[i + n] != '=')
            return false;
        i += n + 1;
        n = mill_span(&token, s, i);
        if (!n && i < s.n && s.p[i] == '"') {
            const char *end = memchr(s.p + i + 1, '"', s.n - i - 1);
            n = end ? (size_t)(end - (s.p + i)) + 1 : 0;
        }
    }
    return n > 0;
}

static void rules_content(const struct rules_walk *w, const struct mill_step *at,
                          const struct mill_attachment *a)
{
    const struct mill_blob_ref *ref = a->ref;

    if ((a->content.p != NULL) == (ref != NULL))
        mill_faults_add(w->out, MILL_AT(at, "content"),
                        ref ? "is there beside ref: one of the two" : "is missing");
    else if (a->content.p && !a->content.n)
        mill_faults_add(w->out, MILL_AT(at, "content"), "is empty");
    if (!ref)
        return;
    if (ref->sha256.n != 64 || !mill_all_in(&hex, ref->sha256))
        mill_faults_add(w->out, MILL_AT(MILL_AT(at, "ref"), "sha256"), "is not 64 hex digits");
    if (ref->bytes <= 0)
        mill_faults_add(w->out, MILL_AT(MILL_AT(at, "ref"), "bytes"), "is not above 0");
    if (!ref->key.n || ref->key.n > 1024 || rules_line(ref->key, false))
        mill_faults_add(w->out, MILL_AT(MILL_AT(at, "ref"), "key"), "is no object key");
}

/** A name of at most 256 bytes on one line, without the bytes of `bad`. */
static void rules_file_name(const struct rules_walk *w, const struct mill_step *at,
                            struct mill_str s, const char *bad)
{
    const char *why = rules_line(s, false);

    if (why)
        mill_faults_add(w->out, at, "%s", why);
    else if (s.n > MILL_NAME_BYTES_MAX)
        mill_faults_add(w->out, at, "is longer than 256 bytes");
    for (const char *c = bad; *c && s.n; c++)
        if (memchr(s.p, *c, s.n))
            mill_faults_add(w->out, at, "may not have '%c'", *c);
}

void rules_attachment(const struct rules_walk *w, const struct mill_step *at,
                      const struct mill_attachment *a)
{
    if (!a->filename.n)
        mill_faults_add(w->out, MILL_AT(at, "filename"), "is missing");
    rules_file_name(w, MILL_AT(at, "filename"), a->filename, "/\\");
    rules_file_name(w, MILL_AT(at, "content_id"), a->content_id, "<> ");
    if (a->type.n && (rules_line(a->type, false) || !rules_media_type(a->type) ||
                      a->type.n > MILL_NAME_BYTES_MAX))
        mill_faults_add(w->out, MILL_AT(at, "type"), "is no media type");
    if (a->disposition.n && !mill_str_is(a->disposition, "attachment") &&
        !mill_str_is(a->disposition, "inline"))
        mill_faults_add(w->out, MILL_AT(at, "disposition"), "is neither attachment nor inline");
    rules_content(w, at, a);
}

void rules_json(const struct rules_walk *w, const struct mill_step *at, struct mill_str text)
{
    struct mill_err err = {0};
    json_t *json = NULL;

    if (!text.p)
        return;
    if (mill_json_parse(text, &json, &err) == MILL_E_NOMEM)
        w->out->nomem = true;
    else if (err.code)
        mill_faults_add(w->out, at, "is no JSON: %s: %s", err.where, err.text);
    else if (!json_is_object(json))
        mill_faults_add(w->out, at, "is no JSON object");
    json_decref(json);
}
