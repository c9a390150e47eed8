#include "base/opt_priv.h"

#include <ctype.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20 }; /* bytes of an option file */

extern char **environ;

static enum mill_code opt_nomem(struct mill_err *err)
{
    return mill_fail(err, MILL_E_NOMEM, "options", "out of memory");
}

enum mill_code opt_new(struct mill_opts **out, const char *program, const struct mill_opt_set *sets,
                       struct mill_err *err)
{
    struct mill_opts *o = calloc(1, sizeof *o);
    size_t n = 0;

    *out = o;
    if (!o)
        return opt_nomem(err);
    o->program = program;
    for (const struct mill_opt_set *set = sets; set->opts; set++)
        for (const struct mill_opt *opt = set->opts; opt->name; opt++)
            n++;
    o->slots = calloc(n + 1, sizeof *o->slots);
    if (!o->slots)
        return opt_nomem(err);
    for (const struct mill_opt_set *set = sets; set->opts; set++) {
        for (const struct mill_opt *opt = set->opts; opt->name; opt++) {
            struct opt_slot *slot = &o->slots[o->n++];
            enum mill_code rc;
            slot->opt = opt;
            slot->to = (char *)set->conf + opt->off;
            if (!opt->def || opt->type == MILL_OPT_PREFIX)
                continue;
            rc = opt_set(o, slot, mill_str(opt->def), OPT_DEFAULT, "default", err);
            if (rc)
                return rc;
        }
    }
    return MILL_OK;
}

struct opt_slot *opt_find(struct mill_opts *o, struct mill_str name, struct mill_str *key)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct mill_opt *opt = o->slots[i].opt;
        size_t len = strlen(opt->name);
        if (opt->type == MILL_OPT_PREFIX) {
            if (name.n <= len || !mill_str_starts(name, opt->name))
                continue;
            *key = (struct mill_str){name.p + len, name.n - len};
            return &o->slots[i];
        }
        if (mill_str_is(name, opt->name))
            return &o->slots[i];
    }
    return NULL;
}

static enum mill_code opt_apply(struct mill_opts *o, struct opt_slot *slot, struct mill_str key,
                                struct mill_str text, enum opt_source source, const char *origin,
                                struct mill_err *err)
{
    if (slot->opt->type == MILL_OPT_PREFIX)
        return opt_set_pair(o, slot, key, text, source, origin, err);
    return opt_set(o, slot, text, source, origin, err);
}

/* What stands before a comment: # at the start, or after white space. */
static struct mill_str opt_uncomment(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '#' && (i == 0 || isspace((unsigned char)s.p[i - 1])))
            return (struct mill_str){s.p, i};
    return s;
}

/* The same key twice in one file: which was meant? */
static bool opt_repeated(const struct opt_slot *slot, struct mill_str key, const char *file)
{
    struct mill_str name = mill_str(file);

    if (slot->opt->type != MILL_OPT_PREFIX)
        return slot->line != 0;
    for (const struct opt_pair *p = slot->pairs; p; p = p->next)
        if (mill_str_eq(p->key, key) && mill_str_starts(mill_str(p->origin), file) &&
            p->origin[name.n] == ':')
            return true;
    return false;
}

static enum mill_code opt_line(struct mill_opts *o, struct mill_str line, const char *file,
                               unsigned no, struct mill_err *err)
{
    struct mill_str origin = mill_arena_printf(&o->arena, "%s:%u", file, no), name, value,
                    key = {0};
    const char *equals;
    struct opt_slot *slot;

    if (!origin.p)
        return opt_nomem(err);
    line = mill_str_trim(opt_uncomment(line));
    if (!line.n)
        return MILL_OK;
    if (!mill_str_utf8(line))
        return mill_fail(err, MILL_E_CONFIG, origin.p, "no UTF-8");
    equals = memchr(line.p, '=', line.n);
    if (!equals || equals == line.p)
        return mill_fail(err, MILL_E_CONFIG, origin.p, "a line must be: key = value");
    name = mill_str_trim((struct mill_str){line.p, (size_t)(equals - line.p)});
    value = mill_str_trim((struct mill_str){equals + 1, line.n - (size_t)(equals + 1 - line.p)});
    slot = opt_find(o, name, &key);
    if (!slot)
        return mill_fail(err, MILL_E_CONFIG, origin.p, "unknown option \"%.*s\"", MILL_FMT(name));
    if (opt_repeated(slot, key, file))
        return mill_fail(err, MILL_E_CONFIG, origin.p, "\"%.*s\" stands here a second time",
                         MILL_FMT(name));
    slot->line = no;
    return opt_apply(o, slot, key, value, OPT_FILE, origin.p, err);
}

enum mill_code opt_text(struct mill_opts *o, struct mill_str text, const char *name,
                        struct mill_err *err)
{
    unsigned no = 0;

    while (text.n) {
        enum mill_code rc = opt_line(o, mill_str_take(&text, '\n'), name, ++no, err);
        if (rc)
            return rc;
    }
    return MILL_OK;
}

static enum mill_code opt_file(struct mill_opts *o, const char *path, struct mill_err *err)
{
    char reason[128];
    struct mill_buf b;
    enum mill_code rc;
    int failed;

    mill_buf_init(&b, FILE_MAX);
    failed = mill_buf_add_file(&b, path);
    if (failed)
        rc = mill_fail(err, opt_file_code(failed), path, "cannot read the option file: %s",
                       mill_errno_text(failed, reason, sizeof reason));
    else
        rc = opt_text(o, mill_buf_view(&b), path, err);
    mill_buf_release(&b);
    return rc;
}

/* MILL_<PROGRAM>_<NAME>, upper case, _ for all that is no letter or digit. */
static struct mill_str opt_env_name(struct mill_opts *o, const char *name)
{
    struct mill_str s = mill_arena_printf(&o->arena, "MILL_%s_%s", o->program, name);

    for (char *p = (char *)s.p; p && *p; p++)
        *p = (char)(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_');
    return s;
}

/* MILL_VALIDATE_RDKAFKA_SASL_PASSWORD=x is rdkafka.sasl.password: _ stands for the dot. */
static enum mill_code opt_env_pairs(struct mill_opts *o, struct opt_slot *slot,
                                    struct mill_str prefix, struct mill_err *err)
{
    for (char **e = environ; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        struct mill_str name, key;
        enum mill_code rc;
        if (!equals || !mill_str_starts(mill_str(*e), prefix.p) || equals <= *e + prefix.n)
            continue;
        name = mill_arena_dup(&o->arena, (struct mill_str){*e, (size_t)(equals - *e)});
        key = mill_arena_dup(&o->arena, (struct mill_str){*e + prefix.n, name.n - prefix.n});
        if (!name.p || !key.p)
            return opt_nomem(err);
        for (char *p = (char *)key.p; *p; p++)
            *p = (char)(*p == '_' ? '.' : tolower((unsigned char)*p));
        rc = opt_set_pair(o, slot, key, mill_str(equals + 1), OPT_ENV, name.p, err);
        if (rc)
            return rc;
    }
    return MILL_OK;
}

static enum mill_code opt_env(struct mill_opts *o, struct mill_err *err)
{
    for (size_t i = 0; i < o->n; i++) {
        struct opt_slot *slot = &o->slots[i];
        struct mill_str name = opt_env_name(o, slot->opt->name);
        enum mill_code rc = MILL_OK;
        const char *value;
        if (!name.p)
            return opt_nomem(err);
        if (slot->opt->type == MILL_OPT_PREFIX)
            rc = opt_env_pairs(o, slot, name, err);
        else if ((value = getenv(name.p)))
            rc = opt_set(o, slot, mill_str(value), OPT_ENV, name.p, err);
        if (rc)
            return rc;
    }
    return MILL_OK;
}

/* A flag on the command line, split into its parts. */
struct flag {
    struct mill_str name, value; /**< value.p == NULL: none given */
};

static enum mill_code flag_next(struct mill_opts *o, int argc, char **argv, int *i, struct flag *f,
                                struct mill_err *err)
{
    const char *arg = argv[*i], *equals;
    struct mill_str key;
    struct opt_slot *slot;

    *i += 1;
    if (strncmp(arg, "--", 2) || !arg[2])
        return mill_fail(err, MILL_E_STATE, arg, "no option; they start with --");
    equals = strchr(arg, '=');
    f->name = (struct mill_str){arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2)};
    f->value = mill_str(equals ? equals + 1 : NULL);
    slot = opt_find(o, f->name, &key);
    if (f->value.p || (!slot && !mill_str_is(f->name, "config")))
        return MILL_OK;
    if (slot && slot->opt->type == MILL_OPT_BOOL) {
        f->value = MILL_STR("true");
    } else {
        if (*i >= argc)
            return mill_fail(err, MILL_E_STATE, arg, "the option needs a value");
        f->value = mill_str(argv[(*i)++]);
    }
    return MILL_OK;
}

static bool flag_mode(const struct flag *f, enum mill_opt_mode *mode)
{
    static const struct {
        const char *name;
        enum mill_opt_mode mode;
    } modes[] = {
        {"help", MILL_MODE_HELP},          {"version", MILL_MODE_VERSION},
        {"check-config", MILL_MODE_CHECK}, {"print-config", MILL_MODE_PRINT},
        {"describe", MILL_MODE_DESCRIBE},
    };

    for (size_t i = 0; i < sizeof modes / sizeof *modes && !f->value.p; i++) {
        if (mill_str_is(f->name, modes[i].name)) {
            *mode = modes[i].mode;
            return true;
        }
    }
    return false;
}

/* Twice over the flags: first for --config and the mode (apply = false), then for the values. */
static enum mill_code opt_flags(struct mill_opts *o, int argc, char **argv, bool apply,
                                const char **config, enum mill_opt_mode *mode, struct mill_err *err)
{
    for (int i = 1; i < argc;) {
        struct mill_str key = {0}, origin;
        struct opt_slot *slot;
        struct flag f;
        enum mill_code rc = flag_next(o, argc, argv, &i, &f, err);
        if (rc)
            return rc;
        if (flag_mode(&f, mode))
            continue;
        slot = opt_find(o, f.name, &key);
        if (mill_str_is(f.name, "config"))
            *config = f.value.p;
        else if (!slot)
            return mill_fail(err, MILL_E_STATE, argv[i - 1], "unknown option");
        if (!slot || !apply)
            continue;
        origin = mill_arena_printf(&o->arena, "--%.*s", MILL_FMT(f.name));
        if (!origin.p)
            return opt_nomem(err);
        rc = opt_apply(o, slot, key, f.value, OPT_FLAG, origin.p, err);
        if (rc)
            return rc;
    }
    return MILL_OK;
}

static enum mill_code opt_check_required(const struct mill_opts *o, struct mill_err *err)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct opt_slot *slot = &o->slots[i];
        if (slot->opt->flags & MILL_OPT_REQUIRED && (!slot->text || !*slot->text))
            return mill_fail(err, MILL_E_CONFIG, slot->opt->name, "the option must be given");
    }
    return MILL_OK;
}

enum mill_code mill_opts_load(struct mill_opts **out, const char *program,
                              const struct mill_opt_set *sets, int argc, char **argv,
                              enum mill_opt_mode *mode, struct mill_err *err)
{
    const char *config = NULL;
    struct mill_str env_config;
    enum mill_code rc = opt_new(out, program, sets, err);
    struct mill_opts *o = *out;

    *mode = MILL_MODE_RUN;
    if (rc)
        return rc;
    rc = opt_flags(o, argc, argv, false, &config, mode, err);
    if (rc || *mode == MILL_MODE_HELP || *mode == MILL_MODE_VERSION || *mode == MILL_MODE_DESCRIBE)
        return rc;
    env_config = opt_env_name(o, "config");
    if (!env_config.p)
        return opt_nomem(err);
    if (!config)
        config = getenv(env_config.p);
    if (config && *config)
        rc = opt_file(o, config, err);
    if (!rc)
        rc = opt_env(o, err);
    if (!rc)
        rc = opt_flags(o, argc, argv, true, &config, mode, err);
    if (!rc && *mode != MILL_MODE_PRINT)
        rc = opt_check_required(o, err);
    return rc;
}
