/* The options of sendmill, and how its words are told from its flags. */
#include "cli.h"

#include <stdlib.h>

#define OFF(member) offsetof(struct cli_conf, member)
static const struct mill_opt options[] = {
    {.name = "topology",
     .type = MILL_OPT_STR,
     .off = OFF(topology),
     .help = "topology files, a.json:b.json; also from SENDMILL_TOPOLOGY"},
    {.name = "output",
     .type = MILL_OPT_STR,
     .off = OFF(output),
     .def = "table",
     .help = "table, or json: one object a line (-o; --json, --json=key,offset for some members)"},
    {.name = "fields",
     .type = MILL_OPT_STR,
     .off = OFF(fields),
     .help = "json: only these members, with commas between"},
    {.name = "from",
     .type = MILL_OPT_STR,
     .off = OFF(from),
     .help = "start, end, 47, +3, -3, @2026-02-14, @RFC 3339, @unix seconds or ms, @-1h; or both "
             "ends: 12:47, @-48h:-24h, @-1m:end"},
    {.name = "to",
     .type = MILL_OPT_STR,
     .off = OFF(to),
     .help = "where to end, as --from; without it tail follows"},
    {.name = "count",
     .type = MILL_OPT_U32,
     .off = OFF(count),
     .help = "end after so many records; 0 = no limit"},
    {.name = "class", .type = MILL_OPT_STR, .off = OFF(cls), .help = "dlq: only this class"},
    {.name = "stage",
     .type = MILL_OPT_STR,
     .off = OFF(stage),
     .help = "dlq: only this stage; replay: to this stage, or these, with commas between"},
    {.name = "reason",
     .type = MILL_OPT_STR,
     .off = OFF(reason),
     .help = "dlq: only where the reason contains this; pause: why"},
    {.name = "category",
     .type = MILL_OPT_STR,
     .off = OFF(category),
     .help = "suppressions: only mail of this category; none: all mail"},
    {.name = "tenant",
     .type = MILL_OPT_STR,
     .off = OFF(tenant),
     .help = "cancel, suppressions: whose mail"},
    {.name = "rate",
     .type = MILL_OPT_U32,
     .off = OFF(rate),
     .max = 1000000,
     .help = "redrive, replay: so many records a second at most; 0 = no limit"},
    {.name = "resume",
     .type = MILL_OPT_STR,
     .off = OFF(resume),
     .help = "replay: go on with this run"},
    {.name = "yes",
     .type = MILL_OPT_BOOL,
     .off = OFF(yes),
     .help = "redrive, replay: do it without a question"},
    {.name = "confirm",
     .type = MILL_OPT_STR,
     .off = OFF(confirm),
     .help = "resend: do it without a question; the number of mails that go out again"},
    {.name = "no-input", .type = MILL_OPT_BOOL, .off = OFF(no_input), .help = "never ask"},
    {.name = "topic",
     .type = MILL_OPT_STR,
     .off = OFF(topic),
     .def = "mail.dlq",
     .help = "dlq: the dead-letter topic"},
    {.name = "replication",
     .type = MILL_OPT_U32,
     .off = OFF(replication),
     .def = "1",
     .min = 1,
     .max = 100,
     .help = "topics apply: copies of a new topic"},
    {.name = "dry-run",
     .type = MILL_OPT_BOOL,
     .off = OFF(dry_run),
     .help = "say what would be done, do nothing (-n)"},
    MILL_S3_OPT_ROWS(struct cli_conf, s3, 0),
    {.name = "engine",
     .type = MILL_OPT_STR,
     .off = OFF(engine),
     .def = "duckdb",
     .help = "lake ddl: athena, duckdb, spark or trino"},
    {.name = "since",
     .type = MILL_OPT_STR,
     .off = OFF(since),
     .def = "2024-01-01",
     .help = "lake ddl: first day of Athena's partitions"},
    {.name = "hours",
     .type = MILL_OPT_BOOL,
     .off = OFF(hours),
     .help = "lake ddl: the topic's files lie by dt and hour"},
    {.name = "rejected",
     .type = MILL_OPT_BOOL,
     .off = OFF(rejected),
     .help = "lake ddl: of the topic's records that were no rows, with the reason"},
    {.name = "columns",
     .type = MILL_OPT_STR,
     .off = OFF(columns),
     .help = "lake ddl: as the sink has it, and with its default: what it drops is no column"},
    {.name = "meta-columns",
     .type = MILL_OPT_STR,
     .off = OFF(meta_columns),
     .def = "",
     .help = "lake ddl: as the sink has it"},
    {.name = "group",
     .type = MILL_OPT_STR,
     .off = OFF(group),
     .help = "audit: the sink's consumer group; what it has committed must be in the lake"},
    {.name = "exact",
     .type = MILL_OPT_BOOL,
     .off = OFF(exact),
     .help = "lake ddl: for DuckDB; by one listing, right also while lake compact is at work"},
    {.name = "older-than",
     .type = MILL_OPT_MS,
     .off = OFF(older_than_ms),
     .def = "1d",
     .help = "lake compact: a day's files are merged when its end (UTC) is so long ago"},
    {.name = "grace",
     .type = MILL_OPT_MS,
     .off = OFF(grace_ms),
     .def = "2h",
     .min = 1000,
     .max = UINT64_C(30) * 86400 * 1000,
     .help = "lake compact: how long a merged file waits before its parts are deleted; the same in "
             "all runs, and at least four times the sinks' put-within"},
    {.name = "target-bytes",
     .type = MILL_OPT_BYTES,
     .off = OFF(target_bytes),
     .def = "256MiB",
     .min = 1 << 20,
     .max = UINT64_C(4) << 30,
     .help = "lake compact: size of a merged file, by what its parts have; files of half of it and "
             "more stay as they are"},
    {.name = "parquet-lib",
     .type = MILL_OPT_STR,
     .off = OFF(parquet_lib),
     .def = "",
     .help = "path of libmill_parquet.so; default ../lib/sendmill beside the program's folder"},
    {0},
};
#undef OFF

/** Short flags and other words for the long ones. */
static const struct {
    const char *flag, *means;
    bool value; /**< takes the next word */
} aliases[] = {
    {"-n", "--dry-run", false},         {"-h", "--help", false},          {"-o", "--output", true},
    {"--json", "--output=json", false}, {"--no-confirm", "--yes", false}, {"-y", "--yes", false},
};

static char *options_word(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* Does the flag take the next word as its value? */
static bool options_take(const char *flag)
{
    static const char *const modes[] = {"help", "version", "check-config", "print-config",
                                        "describe"};

    if (strchr(flag, '='))
        return false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(flag, modes[i]))
            return false;
    for (const struct mill_opt *o = options; o->name; o++)
        if (!strcmp(flag, o->name))
            return o->type != MILL_OPT_BOOL;
    return true;
}

/* @return how many of the words were used; 0 = it is no alias */
static int options_alias(int left, char **argv, char **flags, int *flags_n)
{
    if (!strncmp(argv[0], "--json=", 7)) {
        flags[(*flags_n)++] = options_word("--output=json");
        flags[(*flags_n)++] = options_word("--fields");
        flags[(*flags_n)++] = argv[0] + 7;
        return 1;
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (strcmp(argv[0], aliases[i].flag) != 0 || (aliases[i].value && left < 2))
            continue;
        flags[(*flags_n)++] = options_word(aliases[i].means);
        if (!aliases[i].value)
            return 1;
        flags[(*flags_n)++] = argv[1];
        return 2;
    }
    return 0;
}

bool cli_split(int argc, char **argv, char **flags, int *flags_n, const char **words,
               size_t *words_n)
{
    flags[(*flags_n)++] = argv[0];
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        int used;
        if (*flags_n + 4 > CLI_WORDS_MAX || *words_n == CLI_WORDS_MAX)
            return false;
        used = options_alias(argc - i, argv + i, flags, flags_n);
        if (used) {
            i += used - 1;
        } else if (!strncmp(a, "--", 2) || (a[0] == '-' && a[1])) {
            flags[(*flags_n)++] = a;
            if (a[1] == '-' && options_take(a + 2) && i + 1 < argc)
                flags[(*flags_n)++] = argv[++i];
        } else {
            words[(*words_n)++] = a;
        }
    }
    return true;
}

enum mill_code cli_options(struct cli_conf *conf, struct mill_opt_set *sets,
                           struct mill_opts **opts, int argc, char **argv, enum mill_opt_mode *mode,
                           struct mill_err *err)
{
    /* The names that deploy/local/env exports stand in where no option is given. */
    static const char *const names[][2] = {{"BROKERS", "MILL_SENDMILL_BROKERS"},
                                           {"REGISTRY", "MILL_SENDMILL_REGISTRY"},
                                           {"SENDMILL_TOPOLOGY", "MILL_SENDMILL_TOPOLOGY"},
                                           {"S3_ENDPOINT", "MILL_SENDMILL_S3_ENDPOINT"},
                                           {"S3_BUCKET", "MILL_SENDMILL_S3_BUCKET"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i][0]) && setenv(names[i][1], getenv(names[i][0]), 0))
            return mill_fail(err, MILL_E_NOMEM, names[i][1], "out of memory");
    sets[0] = (struct mill_opt_set){options, conf};
    sets[1] = (struct mill_opt_set){mill_client_opts, &conf->common};
    sets[2] = (struct mill_opt_set){0};
    return mill_opts_load(opts, "sendmill", sets, argc, argv, mode, err);
}
