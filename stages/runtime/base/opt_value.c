/* One text becomes one value: numbers with units, secrets from files, pairs of a prefix. */
#include "base/opt_priv.h"

#include <errno.h>

enum { SECRET_MAX = 64 << 10 }; /* bytes of a file named by @/path */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};
static const struct unit time_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static bool opt_number(struct mill_str s, const struct unit *units, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (i == 0)
        return false;
    while (i < s.n && s.p[i] == ' ')
        i++;
    for (; units->name; units++) {
        if (!mill_str_is((struct mill_str){s.p + i, s.n - i}, units->name))
            continue;
        if (v > UINT64_MAX / units->factor)
            return false;
        *out = v * units->factor;
        return true;
    }
    return false;
}

static bool opt_bool(struct mill_str s, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (mill_str_is(s, words[i])) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

enum mill_code opt_file_code(int errnum)
{
    return errnum == ENOMEM ? MILL_E_NOMEM : MILL_E_CONFIG;
}

/* The content of the file that @/path names, without one trailing newline. */
static enum mill_code opt_read_secret(struct mill_opts *o, const char *path, const char *origin,
                                      struct mill_str *out, struct mill_err *err)
{
    char reason[128];
    struct mill_buf b;
    enum mill_code rc = MILL_OK;
    int failed;

    mill_buf_init(&b, SECRET_MAX);
    failed = mill_buf_add_file(&b, path);
    if (!failed && b.n && memchr(b.p, '\0', b.n))
        failed = EILSEQ;
    if (failed) {
        rc = mill_fail(
            err, opt_file_code(failed), origin, "cannot read the secret's file %s: %s", path,
            failed == EILSEQ ? "it is no text" : mill_errno_text(failed, reason, sizeof reason));
        goto out;
    }
    if (b.n && b.p[b.n - 1] == '\n')
        b.n--;
    *out = mill_arena_dup(&o->arena, mill_buf_view(&b));
    if (!out->p)
        rc = mill_fail(err, MILL_E_NOMEM, origin, "out of memory");
out:
    if (b.p)
        explicit_bzero(b.p, b.n);
    mill_buf_release(&b);
    return rc;
}

/* The text that counts: a copy in the arena, or what a secret's @/path leads to. */
static enum mill_code opt_resolve(struct mill_opts *o, struct mill_str text, bool secret,
                                  enum opt_source source, const char *origin, struct mill_str *out,
                                  struct mill_err *err)
{
    *out = mill_arena_dup(&o->arena, text);
    if (!out->p)
        return mill_fail(err, MILL_E_NOMEM, origin, "out of memory");
    if (memchr(out->p, '\0', out->n))
        return mill_fail(err, MILL_E_CONFIG, origin, "value with a NUL byte");
    if (!secret || source == OPT_DEFAULT)
        return MILL_OK;
    if (mill_str_starts(*out, "@/"))
        return opt_read_secret(o, out->p + 1, origin, out, err);
    /* Flags are seen by every user of the machine, files are copied around. */
    if (source != OPT_ENV && out->n)
        return mill_fail(err, MILL_E_CONFIG, origin,
                         "a secret is given by the environment or as @/path of its file");
    return MILL_OK;
}

static enum mill_code opt_check_range(const struct mill_opt *opt, uint64_t v, const char *origin,
                                      struct mill_err *err)
{
    uint64_t max = opt->max;

    if (opt->type == MILL_OPT_U32 && (!max || max > UINT32_MAX))
        max = UINT32_MAX;
    if (v < opt->min || (max && v > max))
        return mill_fail(err, MILL_E_CONFIG, origin, "%s must be between %llu and %llu", opt->name,
                         (unsigned long long)opt->min, (unsigned long long)max);
    return MILL_OK;
}

static enum mill_code opt_store_number(struct opt_slot *slot, struct mill_str text,
                                       const char *origin, struct mill_err *err)
{
    const struct mill_opt *opt = slot->opt;
    const struct unit *units = opt->type == MILL_OPT_BYTES ? byte_units
                               : opt->type == MILL_OPT_MS  ? time_units
                                                           : no_units;
    enum mill_code rc;
    uint64_t v;

    if (!opt_number(text, units, &v))
        return mill_fail(err, MILL_E_CONFIG, origin, "%s must be a number%s, not \"%.*s\"",
                         opt->name,
                         opt->type == MILL_OPT_BYTES ? " of bytes (B KiB MiB GiB)"
                         : opt->type == MILL_OPT_MS  ? " with a unit (ms s m h d)"
                                                     : "",
                         MILL_FMT(text));
    rc = opt_check_range(opt, v, origin, err);
    if (rc)
        return rc;
    if (opt->type == MILL_OPT_U32)
        *(uint32_t *)slot->to = (uint32_t)v;
    else
        *(uint64_t *)slot->to = v;
    return MILL_OK;
}

enum mill_code opt_set(struct mill_opts *o, struct opt_slot *slot, struct mill_str text,
                       enum opt_source source, const char *origin, struct mill_err *err)
{
    const struct mill_opt *opt = slot->opt;
    struct mill_str value;
    enum mill_code rc =
        opt_resolve(o, text, opt->flags & MILL_OPT_SECRET, source, origin, &value, err);

    if (rc)
        return rc;
    switch (opt->type) {
    case MILL_OPT_STR:
        *(const char **)slot->to = value.p;
        break;
    case MILL_OPT_BOOL:
        if (!opt_bool(value, slot->to))
            return mill_fail(err, MILL_E_CONFIG, origin, "%s must be true or false, not \"%.*s\"",
                             opt->name, MILL_FMT(value));
        break;
    default:
        rc = opt_store_number(slot, value, origin, err);
        if (rc)
            return rc;
    }
    slot->text = value.p;
    slot->origin = origin;
    return MILL_OK;
}

/* Write the pairs as the map that the program sees. */
static enum mill_code opt_publish_pairs(struct mill_opts *o, struct opt_slot *slot,
                                        struct mill_err *err)
{
    struct mill_pair *v = mill_arena_calloc(&o->arena, slot->pairs_n, sizeof *v);
    size_t n = 0;

    if (!v)
        return mill_fail(err, MILL_E_NOMEM, slot->opt->name, "out of memory");
    for (const struct opt_pair *p = slot->pairs; p; p = p->next)
        v[n++] = (struct mill_pair){p->key, p->value};
    *(struct mill_map *)slot->to = (struct mill_map){v, n};
    return MILL_OK;
}

enum mill_code opt_set_pair(struct mill_opts *o, struct opt_slot *slot, struct mill_str key,
                            struct mill_str text, enum opt_source source, const char *origin,
                            struct mill_err *err)
{
    struct opt_pair **at = &slot->pairs;
    struct mill_str value;
    enum mill_code rc =
        opt_resolve(o, text, opt_key_is_secret(slot->opt, key), source, origin, &value, err);

    if (rc)
        return rc;
    while (*at && !mill_str_eq((*at)->key, key))
        at = &(*at)->next;
    if (!*at) {
        struct opt_pair *p = mill_arena_calloc(&o->arena, 1, sizeof *p);
        if (p)
            p->key = mill_arena_dup(&o->arena, key);
        if (!p || !p->key.p)
            return mill_fail(err, MILL_E_NOMEM, origin, "out of memory");
        *at = p;
        slot->pairs_n++;
    }
    (*at)->value = value;
    (*at)->origin = origin;
    return opt_publish_pairs(o, slot, err);
}
