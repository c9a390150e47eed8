/* A token is base64url(payload ‖ tag). Payload: version 1, seconds since 1970 (5 bytes), then
 * tenant, address, category and message id, each behind its length (2 bytes); numbers with the
 * highest byte first. Tag: the first 16 bytes of HMAC-SHA256(key, label ‖ payload). */
#include "mail/unsubscribe.h"

#include "base/hash.h"

enum {
    UNSUBSCRIBE_VERSION = 1,
    UNSUBSCRIBE_HEAD = 6, /* version and time */
    UNSUBSCRIBE_TAG = 16,
    UNSUBSCRIBE_PARTS = 4,
    UNSUBSCRIBE_PAYLOAD_MAX = 1800,
    UNSUBSCRIBE_ADDRESS_MAX = 320,
    UNSUBSCRIBE_PART_MAX = 1024,
};

/* Says what is signed, so that no other use of the same key can be taken for a token. */
#define UNSUBSCRIBE_LABEL "sendmill unsubscribe 1\n"
enum { LABEL_BYTES = sizeof UNSUBSCRIBE_LABEL - 1 };

enum mill_code mill_unsubscribe_keys_read(struct mill_unsubscribe_keys *out, struct mill_str text,
                                          struct mill_err *err)
{
    out->n = 0;
    while (text.n) {
        struct mill_str line = mill_str_take(&text, '\n');
        while (line.n) {
            struct mill_str key = mill_str_trim(mill_str_take(&line, ','));
            if (!key.n)
                continue;
            if (key.n < MILL_UNSUBSCRIBE_KEY_MIN)
                return mill_fail(err, MILL_E_CONFIG, "unsubscribe-key",
                                 "a key is shorter than %d characters", MILL_UNSUBSCRIBE_KEY_MIN);
            if (out->n == MILL_UNSUBSCRIBE_KEYS_MAX)
                return mill_fail(err, MILL_E_CONFIG, "unsubscribe-key", "more than %d keys",
                                 MILL_UNSUBSCRIBE_KEYS_MAX);
            out->v[out->n++] = key;
        }
    }
    return MILL_OK;
}

static void unsubscribe_number(struct mill_buf *out, uint64_t v, unsigned bytes)
{
    while (bytes--)
        mill_buf_putc(out, (char)(v >> 8 * bytes & 0xff));
}

/* @param signed_part label and payload @return false when the crypto library failed */
static bool unsubscribe_tag(struct mill_str key, struct mill_str signed_part, char *tag)
{
    unsigned char mac[MILL_SHA256_BYTES];

    if (!mill_hmac_sha256(key, signed_part, mac))
        return false;
    memcpy(tag, mac, UNSUBSCRIBE_TAG);
    return true;
}

static bool unsubscribe_fits(const struct mill_unsubscribe *u)
{
    return u->address.n && u->address.n <= UNSUBSCRIBE_ADDRESS_MAX &&
           u->tenant.n <= UNSUBSCRIBE_PART_MAX && u->category.n <= UNSUBSCRIBE_PART_MAX &&
           u->message_id.n <= UNSUBSCRIBE_PART_MAX && u->issued >= 0 &&
           u->tenant.n + u->address.n + u->category.n + u->message_id.n + UNSUBSCRIBE_HEAD +
                   2 * UNSUBSCRIBE_PARTS <=
               UNSUBSCRIBE_PAYLOAD_MAX;
}

/* Standard base64 into the alphabet of URLs, in place and without padding. */
static void unsubscribe_to_url(struct mill_buf *out, size_t from)
{
    for (size_t i = from; i < out->n; i++)
        out->p[i] = (char)(out->p[i] == '+' ? '-' : out->p[i] == '/' ? '_' : out->p[i]);
    while (out->n > from && out->p[out->n - 1] == '=')
        out->p[--out->n] = '\0';
}

enum mill_code mill_unsubscribe_make(const struct mill_unsubscribe *u,
                                     const struct mill_unsubscribe_keys *keys, struct mill_buf *out,
                                     struct mill_err *err)
{
    const struct mill_str parts[UNSUBSCRIBE_PARTS] = {u->tenant, u->address, u->category,
                                                      u->message_id};
    struct mill_buf raw;
    char tag[UNSUBSCRIBE_TAG];
    size_t from = out->n;
    enum mill_code rc = MILL_E_NOMEM;

    if (!keys->n)
        return mill_fail(err, MILL_E_STATE, "unsubscribe-key", "is not set");
    if (!unsubscribe_fits(u))
        return mill_fail(err, MILL_E_DATA, "unsubscribe link", "no address, or a part is too long");
    mill_buf_init(&raw, LABEL_BYTES + UNSUBSCRIBE_PAYLOAD_MAX + UNSUBSCRIBE_TAG);
    mill_buf_puts(&raw, UNSUBSCRIBE_LABEL);
    unsubscribe_number(&raw, UNSUBSCRIBE_VERSION, 1);
    unsubscribe_number(&raw, (uint64_t)u->issued / 1000000, 5);
    for (size_t i = 0; i < UNSUBSCRIBE_PARTS; i++) {
        unsubscribe_number(&raw, parts[i].n, 2);
        mill_buf_str_add(&raw, parts[i]);
    }
    if (raw.failed || !unsubscribe_tag(keys->v[0], mill_buf_view(&raw), tag) ||
        !mill_buf_add(&raw, tag, sizeof tag) ||
        !mill_base64_add(out, (struct mill_str){raw.p + LABEL_BYTES, raw.n - LABEL_BYTES})) {
        mill_fail(err, rc, "unsubscribe link", "out of memory, or over its limit");
        goto out;
    }
    unsubscribe_to_url(out, from);
    rc = MILL_OK;
out:
    mill_buf_release(&raw);
    return rc;
}

/* The bytes of a token behind the label. @return false when it is no base64url */
static bool unsubscribe_bytes(struct mill_str token, struct mill_buf *text, struct mill_buf *raw)
{
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (c == '+' || c == '/' || c == '=')
            return false;
        mill_buf_putc(text, (char)(c == '-' ? '+' : c == '_' ? '/' : c));
    }
    while (text->n % 4 && !text->failed)
        mill_buf_putc(text, '=');
    mill_buf_puts(raw, UNSUBSCRIBE_LABEL);
    return !text->failed && mill_base64_decode(raw, mill_buf_view(text));
}

/* @param rest cut from its front @return absent when it is too short */
static struct mill_str unsubscribe_part(struct mill_str *rest)
{
    struct mill_str part = {0};
    size_t n;

    if (rest->n < 2)
        return part;
    n = (size_t)(unsigned char)rest->p[0] << 8 | (unsigned char)rest->p[1];
    if (n > rest->n - 2)
        return part;
    part = (struct mill_str){rest->p + 2, n};
    *rest = (struct mill_str){part.p + n, rest->n - 2 - n};
    return part;
}

/* Only bytes that we signed come here; they are read with care all the same. */
static bool unsubscribe_parse(struct mill_unsubscribe *out, struct mill_str payload)
{
    struct mill_str *const parts[UNSUBSCRIBE_PARTS] = {&out->tenant, &out->address, &out->category,
                                                       &out->message_id};
    uint64_t seconds = 0;

    if (payload.n < UNSUBSCRIBE_HEAD || payload.p[0] != UNSUBSCRIBE_VERSION)
        return false;
    for (size_t i = 1; i < UNSUBSCRIBE_HEAD; i++)
        seconds = seconds << 8 | (unsigned char)payload.p[i];
    out->issued = (int64_t)seconds * 1000000;
    payload = (struct mill_str){payload.p + UNSUBSCRIBE_HEAD, payload.n - UNSUBSCRIBE_HEAD};
    for (size_t i = 0; i < UNSUBSCRIBE_PARTS; i++) {
        *parts[i] = unsubscribe_part(&payload);
        if (!parts[i]->p)
            return false;
    }
    return !payload.n && out->address.n;
}

enum mill_code mill_unsubscribe_read(struct mill_unsubscribe *out, struct mill_str token,
                                     const struct mill_unsubscribe_keys *keys,
                                     struct mill_arena *arena, struct mill_err *err)
{
    struct mill_buf text, raw;
    struct mill_str tag, payload;
    char want[UNSUBSCRIBE_TAG];
    bool fits = false;
    enum mill_code rc = MILL_E_AUTH;

    *out = (struct mill_unsubscribe){0};
    mill_buf_init(&text, MILL_UNSUBSCRIBE_TOKEN_MAX + 4);
    mill_buf_init(&raw, LABEL_BYTES + MILL_UNSUBSCRIBE_TOKEN_MAX);
    if (!token.n || token.n > MILL_UNSUBSCRIBE_TOKEN_MAX ||
        !unsubscribe_bytes(token, &text, &raw) ||
        raw.n < LABEL_BYTES + UNSUBSCRIBE_HEAD + UNSUBSCRIBE_TAG) {
        mill_fail(err, rc, "unsubscribe link", "is none of ours");
        goto out;
    }
    raw.n -= UNSUBSCRIBE_TAG;
    tag = (struct mill_str){raw.p + raw.n, UNSUBSCRIBE_TAG};
    for (size_t i = 0; i < keys->n; i++)
        if (unsubscribe_tag(keys->v[i], mill_buf_view(&raw), want))
            fits |= mill_equal_secret(tag, (struct mill_str){want, sizeof want});
    payload = mill_arena_dup(arena, (struct mill_str){raw.p + LABEL_BYTES, raw.n - LABEL_BYTES});
    if (!payload.p)
        rc = mill_fail(err, MILL_E_NOMEM, "unsubscribe link", "out of memory");
    else if (!fits || !unsubscribe_parse(out, payload))
        mill_fail(err, rc, "unsubscribe link", "is none of ours");
    else
        rc = MILL_OK;
out:
    mill_buf_release(&text);
    mill_buf_release(&raw);
    return rc;
}
