#include "lake/policy.h"

#include "base/hash.h"

static const char *const policy_words[] = {
    [MILL_KEEP] = "keep", [MILL_DROP] = "drop", [MILL_HASH] = "hash", [MILL_MASK] = "mask"};

/** Next piece of a list, spaces around it cut. */
static struct mill_str policy_next(struct mill_str *rest, char stop)
{
    return mill_str_trim(mill_str_take(rest, stop));
}

static bool policy_is(struct mill_str pattern, struct mill_str topic)
{
    if (pattern.n && pattern.p[pattern.n - 1] == '*')
        return topic.n >= pattern.n - 1 && !memcmp(topic.p, pattern.p, pattern.n - 1);
    return pattern.n && mill_str_eq(pattern, topic);
}

bool mill_policy_names(struct mill_str list, struct mill_str topic)
{
    while (list.n)
        if (policy_is(policy_next(&list, ','), topic))
            return true;
    return false;
}

static enum mill_code policy_rule(struct mill_str text, struct mill_policy_rule *out,
                                  struct mill_err *err)
{
    struct mill_str rest = text;

    out->path = policy_next(&rest, '=');
    rest = mill_str_trim(rest);
    for (size_t i = 0; i < sizeof policy_words / sizeof *policy_words; i++)
        if (out->path.n && mill_str_is(rest, policy_words[i])) {
            out->guard = (enum mill_guard)i;
            return MILL_OK;
        }
    return mill_fail(err, MILL_E_CONFIG, "columns",
                     "\"%.*s\" is not FIELD=keep, drop, hash or mask", MILL_FMT(text));
}

enum mill_code mill_policy_read(struct mill_str text, struct mill_str topic,
                                struct mill_policy_rule *rules, size_t *n, struct mill_err *err)
{
    *n = 0;
    while (text.n) {
        struct mill_str entry = policy_next(&text, ';'), name;
        bool ours;

        if (!entry.n)
            continue;
        name = policy_next(&entry, ':');
        if (!name.n || !entry.n)
            return mill_fail(err, MILL_E_CONFIG, "columns", "an entry is not TOPIC:FIELD=RULE,…");
        ours = policy_is(name, topic);
        while (entry.n) {
            struct mill_policy_rule rule;
            enum mill_code rc = policy_rule(policy_next(&entry, ','), &rule, err);
            if (rc)
                return rc;
            if (ours && rules)
                rules[*n] = rule;
            *n += ours;
        }
    }
    return MILL_OK;
}

enum mill_guard mill_policy_of(const struct mill_policy *p, struct mill_str path,
                               enum mill_guard within)
{
    for (size_t i = p ? p->n : 0; i-- > 0;)
        if (mill_str_eq(p->v[i].path, path))
            return p->v[i].guard;
    return within;
}

bool mill_policy_hashes(const struct mill_policy *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].guard == MILL_HASH)
            return true;
    return false;
}

bool mill_policy_apply(const struct mill_policy *p, enum mill_guard guard, struct mill_str text,
                       struct mill_buf *out)
{
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];
    const char *at = NULL;

    mill_buf_reset(out);
    if (guard == MILL_HASH) {
        if (!mill_hmac_sha256(p->key, text, digest))
            return false;
        mill_hex(digest, sizeof digest, hex);
        mill_buf_puts(out, hex);
        return !out->failed;
    }
    for (size_t i = 0; i < text.n; i++)
        at = text.p[i] == '@' ? text.p + i : at;
    mill_buf_puts(out, "***");
    if (at)
        mill_buf_str_add(out, (struct mill_str){at, (size_t)(text.p + text.n - at)});
    return !out->failed;
}
