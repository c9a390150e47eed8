#include "base/opt_priv.h"

#include <ctype.h>
#include <stdlib.h>

static const char *const type_names[] = {
    [MILL_OPT_STR] = "string", [MILL_OPT_U32] = "number", [MILL_OPT_BYTES] = "bytes",
    [MILL_OPT_MS] = "time",    [MILL_OPT_BOOL] = "bool",  [MILL_OPT_PREFIX] = "prefix",
};

static const struct {
    const char *name, *value, *help;
} common[] = {
    {"config", "FILE", "read options from FILE (key = value; a # after white space comments)"},
    {"check-config", NULL, "read all options, say what is wrong, exit"},
    {"print-config", NULL, "print the effective options with their origin, exit"},
    {"describe", NULL, "print ports, options and metrics as JSON, exit"},
    {"version", NULL, "print the version, exit"},
    {"help", NULL, "print this, exit"},
};

static const char *opt_value_name(const struct mill_opt *opt)
{
    switch (opt->type) {
    case MILL_OPT_STR:
        return opt->flags & MILL_OPT_SECRET ? "@FILE" : "TEXT";
    case MILL_OPT_U32:
        return "N";
    case MILL_OPT_BYTES:
        return "BYTES";
    case MILL_OPT_MS:
        return "TIME";
    case MILL_OPT_BOOL:
        return "BOOL";
    case MILL_OPT_PREFIX:
        break;
    }
    return "VALUE";
}

static void opt_help_row(const struct mill_opt *opt, FILE *to)
{
    char head[64];
    bool prefix = opt->type == MILL_OPT_PREFIX;

    snprintf(head, sizeof head, "--%s%s", opt->name, prefix ? "KEY" : "");
    fprintf(to, "  %s=%s", head, opt_value_name(opt));
    fprintf(to, "\n      %s", opt->help ? opt->help : "");
    if (opt->def)
        fprintf(to, " [%s]", opt->def);
    if (opt->flags & MILL_OPT_REQUIRED)
        fputs(" (required)", to);
    if (opt->flags & MILL_OPT_SECRET)
        fputs(" (secret: by environment or @/path only)", to);
    fputc('\n', to);
}

/* MILL_<PROGRAM>_: what a name looks like as a variable. */
static void opt_print_env(const char *name, FILE *to)
{
    for (; *name; name++)
        fputc(isalnum((unsigned char)*name) ? toupper((unsigned char)*name) : '_', to);
}

void mill_opts_help(const char *program, const char *summary, const struct mill_opt_set *sets,
                    FILE *to)
{
    fprintf(to, "%s: %s\n\noptions:\n", program, summary ? summary : "");
    for (; sets && sets->opts; sets++)
        for (const struct mill_opt *opt = sets->opts; opt->name; opt++)
            opt_help_row(opt, to);
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        fprintf(to, "  --%s%s%s\n      %s\n", common[i].name, common[i].value ? "=" : "",
                common[i].value ? common[i].value : "", common[i].help);
    fputs("\nAn option may also stand in the file of --config, or in the environment as MILL_", to);
    opt_print_env(program, to);
    fputs("_<OPTION>\n(upper case, _ for - and .). A flag wins over the environment, and that over "
          "the file.\n",
          to);
}

bool opt_key_is_secret(const struct mill_opt *opt, struct mill_str key)
{
    static const char *const marks[] = {"password", "secret", "sasl.jaas", ".pem", ".token"};

    if (opt->flags & MILL_OPT_SECRET)
        return true;
    for (size_t m = 0; opt->type == MILL_OPT_PREFIX && m < sizeof marks / sizeof *marks; m++)
        for (size_t i = 0; i < key.n; i++)
            if (mill_str_starts((struct mill_str){key.p + i, key.n - i}, marks[m]))
                return true;
    return false;
}

void mill_opts_print(const struct mill_opts *o, FILE *to)
{
    static const char mask[] = "********";

    for (size_t i = 0; i < o->n; i++) {
        const struct opt_slot *s = &o->slots[i];
        const char *shown = s->text ? s->text : "";
        if (s->opt->type == MILL_OPT_PREFIX) {
            for (const struct opt_pair *p = s->pairs; p; p = p->next)
                fprintf(to, "%s%s = %s  # %s\n", s->opt->name, p->key.p,
                        opt_key_is_secret(s->opt, p->key) ? mask : p->value.p, p->origin);
            continue;
        }
        if (s->opt->flags & MILL_OPT_SECRET && s->text)
            shown = mask;
        fprintf(to, "%s%s = %s  # %s\n", s->text ? "" : "# ", s->opt->name, shown,
                s->origin ? s->origin : "not set");
    }
}

static void opt_describe_row(const struct mill_opt *opt, struct mill_buf *b)
{
    mill_buf_puts(b, "{\"name\":");
    mill_buf_json(b, mill_str(opt->name));
    mill_buf_printf(b, ",\"type\":\"%s\",\"default\":", type_names[opt->type]);
    if (opt->def)
        mill_buf_json(b, mill_str(opt->def));
    else
        mill_buf_puts(b, "null");
    if (opt->min || opt->max)
        mill_buf_printf(b, ",\"min\":%llu,\"max\":%llu", (unsigned long long)opt->min,
                        (unsigned long long)opt->max);
    mill_buf_printf(b, ",\"required\":%s,\"secret\":%s,\"help\":",
                    opt->flags & MILL_OPT_REQUIRED ? "true" : "false",
                    opt->flags & MILL_OPT_SECRET ? "true" : "false");
    mill_buf_json(b, mill_str(opt->help ? opt->help : ""));
    mill_buf_putc(b, '}');
}

bool mill_opts_describe(const struct mill_opt_set *sets, FILE *to)
{
    struct mill_buf b;
    bool ok, first = true;

    mill_buf_init(&b, 1 << 20);
    mill_buf_putc(&b, '[');
    for (; sets && sets->opts; sets++) {
        for (const struct mill_opt *opt = sets->opts; opt->name; opt++) {
            if (!first)
                mill_buf_putc(&b, ',');
            first = false;
            opt_describe_row(opt, &b);
        }
    }
    ok = mill_buf_putc(&b, ']') && fwrite(b.p, 1, b.n, to) == b.n;
    mill_buf_release(&b);
    return ok;
}

void mill_opts_free(struct mill_opts *o)
{
    if (!o)
        return;
    mill_arena_release(&o->arena);
    free(o->slots);
    free(o);
}
