#include "mail/ids.h"

#include "mail/request_rules.h"

struct mill_str mill_message_id(struct mill_str request_id, int64_t index, char *out)
{
    char digits[20];
    size_t n = request_id.n, k = 0;
    uint64_t v = index < 0 ? 0 : (uint64_t)index;

    if (n > MILL_ID_BYTES_MAX)
        return (struct mill_str){0};
    if (n)
        memcpy(out, request_id.p, n);
    out[n++] = '/';
    do {
        digits[k++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (k)
        out[n++] = digits[--k];
    out[n] = '\0';
    return (struct mill_str){out, n};
}

/* The first part says what kind of name it is, so that an origin is never taken for a key. */
bool mill_request_id_of_origin(struct mill_str origin, char out[MILL_UUID_TEXT])
{
    const struct mill_str parts[] = {MILL_STR("origin"), origin};

    return mill_uuid5(parts, 2, out);
}

bool mill_request_id_of_key(struct mill_str client, struct mill_str key, char out[MILL_UUID_TEXT])
{
    const struct mill_str parts[] = {MILL_STR("idempotency-key"), client, key};

    return mill_uuid5(parts, 3, out);
}

/** Absent and empty are the same here: providers are not consistent about it. */
static struct mill_str ids_present(struct mill_str s)
{
    return s.p ? s : MILL_STR("");
}

bool mill_event_id(const struct mill_event_facts *f, char *out)
{
    const struct mill_str parts[] = {
        ids_present(f->provider),  ids_present(f->provider_id), ids_present(f->event),
        ids_present(f->recipient), ids_present(f->timestamp),   ids_present(f->url),
        ids_present(f->reason),
    };
    unsigned char digest[MILL_SHA256_BYTES];

    if (!mill_sha256_parts(parts, sizeof parts / sizeof parts[0], digest))
        return false;
    mill_hex(digest, (MILL_EVENT_ID_SIZE - 1) / 2, out);
    return true;
}
