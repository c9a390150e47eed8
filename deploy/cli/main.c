/* sendmill: the operator's command. The verbs are the table at the end. */
#include "cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 8, ARGS_MAX = 64 };

static volatile sig_atomic_t main_stop;

static void main_on_signal(int sig)
{
    (void)sig;
    main_stop = 1;
}

bool cli_stopped(void)
{
    return main_stop != 0;
}

int cli_fail(const struct mill_err *err)
{
    fprintf(stderr, "sendmill: %s: %s\n", err->where, err->text);
    return err->code == MILL_E_KAFKA ? MILL_EXIT_UNREACHABLE : mill_exit_of(err->code);
}

#define OFF(member) offsetof(struct cli_conf, member)
static struct mill_opt main_opts[] = {
    {.name = "brokers",
     .type = MILL_OPT_STR,
     .off = OFF(brokers),
     .def = "127.0.0.1:9092",
     .help = "Kafka brokers; also from BROKERS"},
    {.name = "registry",
     .type = MILL_OPT_STR,
     .off = OFF(registry),
     .def = "http://127.0.0.1:8081",
     .help = "base URL of the schema registry; also from REGISTRY"},
    {.name = "topology",
     .type = MILL_OPT_STR,
     .off = OFF(topology),
     .help = "topology files, a.json:b.json; also from SENDMILL_TOPOLOGY"},
    {.name = "output",
     .type = MILL_OPT_STR,
     .off = OFF(output),
     .def = "table",
     .help = "table, or json: one object a line (-o)"},
    {.name = "from",
     .type = MILL_OPT_STR,
     .off = OFF(from),
     .help = "start, end, 47, -3 (before the end), @RFC3339, @unix seconds, @-1h"},
    {.name = "to",
     .type = MILL_OPT_STR,
     .off = OFF(to),
     .help = "where to end, as --from; without it tail follows"},
    {.name = "count",
     .type = MILL_OPT_U32,
     .off = OFF(count),
     .help = "end after so many records; 0 = no limit"},
    {.name = "class", .type = MILL_OPT_STR, .off = OFF(cls), .help = "dlq ls: only this class"},
    {.name = "stage", .type = MILL_OPT_STR, .off = OFF(stage), .help = "dlq ls: only this stage"},
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
     .help = "topics apply: say what would be done (-n)"},
    {.name = "rdkafka.",
     .type = MILL_OPT_PREFIX,
     .off = OFF(rdkafka),
     .help = "any librdkafka property"},
    {0},
};
#undef OFF

static const struct cli_verb main_verbs[] = {
    {"topics list", "", 0, "topics of the broker: partitions, records", cli_topics_list},
    {"topics check", "", 0, "compare broker and registry with the topology; exit 1 on a difference",
     cli_topics_check},
    {"topics apply", "", 0, "create topics, set their settings, register schemas",
     cli_topics_apply},
    {"tail", "TOPIC", 1, "records of a topic, decoded, as they come", cli_tail},
    {"dlq ls", "", 0, "dead letters: when, class, stage, place, reason", cli_dlq_ls},
    {"dlq show", "PARTITION/OFFSET", 1, "one dead letter: reason, place, decoded beside raw",
     cli_dlq_show},
};

static void main_help(const struct mill_opt_set *sets)
{
    printf("sendmill: look into the pipeline and set it up\n\n"
           "  sendmill topics apply\n  sendmill tail mail.events --from @-1h -o json\n"
           "  sendmill dlq ls --class poison\n  sendmill dlq show 0/17\n\nverbs:\n");
    for (size_t i = 0; i < sizeof main_verbs / sizeof *main_verbs; i++) {
        const struct cli_verb *v = &main_verbs[i];
        printf("  %-13s %-17s %s\n", v->name, v->args, v->help);
    }
    printf(
        "\nexit codes: 0 done, 1 the answer is no, 2 usage, 66 no such thing, 69 not reachable,\n"
        "77 not permitted, 78 configuration\n\n");
    mill_opts_help("sendmill", "options, on either side of the verb", sets, stdout);
}

/* Does the flag take the next word as its value? */
static bool main_takes_value(const char *flag)
{
    static const char *const modes[] = {"help", "version", "check-config", "print-config",
                                        "describe"};

    if (strchr(flag, '='))
        return false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(flag, modes[i]))
            return false;
    for (const struct mill_opt *o = main_opts; o->name; o++)
        if (!strcmp(flag, o->name))
            return o->type != MILL_OPT_BOOL;
    return true;
}

/* Words to words, flags to flags; -o, -n and -h are the only short ones. */
static bool main_split(int argc, char **argv, char **flags, int *flags_n, const char **words,
                       size_t *words_n)
{
    flags[(*flags_n)++] = argv[0];
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        if (*flags_n + 2 >= ARGS_MAX || *words_n == WORDS_MAX)
            return false;
        if (!strcmp(a, "-n"))
            flags[(*flags_n)++] = (char *)(uintptr_t) "--dry-run";
        else if (!strcmp(a, "-h"))
            flags[(*flags_n)++] = (char *)(uintptr_t) "--help";
        else if (!strcmp(a, "-o") && i + 1 < argc) {
            flags[(*flags_n)++] = (char *)(uintptr_t) "--output";
            flags[(*flags_n)++] = argv[++i];
        } else if (strncmp(a, "--", 2) != 0) {
            words[(*words_n)++] = a;
        } else {
            flags[(*flags_n)++] = a;
            if (main_takes_value(a + 2) && i + 1 < argc)
                flags[(*flags_n)++] = argv[++i];
        }
    }
    return true;
}

static const struct cli_verb *main_verb(struct cli *cli, const char **words, size_t n)
{
    for (size_t i = 0; i < sizeof main_verbs / sizeof *main_verbs; i++) {
        const struct cli_verb *v = &main_verbs[i];
        const char *space = strchr(v->name, ' ');
        size_t used = space ? 2 : 1, first = space ? (size_t)(space - v->name) : strlen(v->name);
        if (n < used || strlen(words[0]) != first || strncmp(words[0], v->name, first) != 0 ||
            (space && strcmp(words[1], space + 1) != 0))
            continue;
        cli->args = words + used;
        cli->args_n = n - used;
        return v;
    }
    return NULL;
}

static int main_verb_run(struct cli *cli, const char **words, size_t n)
{
    const struct cli_verb *v = main_verb(cli, words, n);
    struct sigaction stop = {.sa_handler = main_on_signal};

    if (!v) {
        fprintf(stderr, "sendmill: no verb is called \"%s%s%s\"; see sendmill --help\n", words[0],
                n > 1 ? " " : "", n > 1 ? words[1] : "");
        return MILL_EXIT_USAGE;
    }
    if (cli->args_n != v->args_n) {
        fprintf(stderr, "usage: sendmill %s %s\n", v->name, v->args);
        return MILL_EXIT_USAGE;
    }
    if (strcmp(cli->conf.output, "json") != 0 && strcmp(cli->conf.output, "jsonl") != 0 &&
        strcmp(cli->conf.output, "table") != 0) {
        fprintf(stderr, "sendmill: output: \"%s\" is neither table nor json\n", cli->conf.output);
        return MILL_EXIT_USAGE;
    }
    cli->format = cli->conf.output[0] == 'j' ? CLI_JSON : CLI_TABLE;
    cli->kafka = (struct mill_kafka_conf){cli->conf.brokers, "sendmill", cli->conf.rdkafka};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    return v->run(cli);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    const struct mill_opt_set sets[] = {{main_opts, &cli.conf}, {0}};
    struct mill_opts *opts = NULL;
    struct mill_err err = {0};
    enum mill_opt_mode mode = MILL_MODE_RUN;
    char *flags[ARGS_MAX];
    const char *words[WORDS_MAX];
    size_t words_n = 0;
    int flags_n = 0, rc = MILL_EXIT_USAGE;
    enum mill_code code;

    /* The names that deploy/local/env exports stand in where no option is given. */
    if (getenv("BROKERS"))
        main_opts[0].def = getenv("BROKERS");
    if (getenv("REGISTRY"))
        main_opts[1].def = getenv("REGISTRY");
    if (getenv("SENDMILL_TOPOLOGY"))
        main_opts[2].def = getenv("SENDMILL_TOPOLOGY");
    mill_log_setup("sendmill", MILL_ERROR);
    if (!main_split(argc, argv, flags, &flags_n, words, &words_n)) {
        fprintf(stderr, "sendmill: too many words\n");
        return MILL_EXIT_USAGE;
    }
    code = mill_opts_load(&opts, "sendmill", sets, flags_n, flags, &mode, &err);
    if (code && mode != MILL_MODE_HELP) {
        fprintf(stderr, "sendmill: %s: %s\n", err.where, err.text);
        rc = code == MILL_E_STATE ? MILL_EXIT_USAGE : mill_exit_of(code);
    } else if (mode == MILL_MODE_HELP || (mode == MILL_MODE_RUN && !words_n)) {
        main_help(sets);
        rc = mode == MILL_MODE_HELP ? MILL_EXIT_OK : MILL_EXIT_USAGE;
    } else if (mode == MILL_MODE_VERSION) {
        printf("sendmill %s (librdkafka %s)\n", MILL_VERSION, mill_kafka_version());
        rc = MILL_EXIT_OK;
    } else if (mode == MILL_MODE_PRINT) {
        mill_opts_print(opts, stdout);
        rc = MILL_EXIT_OK;
    } else if (mode == MILL_MODE_DESCRIBE) {
        printf("{\"name\":\"sendmill\",\"summary\":\"the operator's command\",\"in\":[],\"out\":[],"
               "\"metrics\":[],\"options\":");
        rc = mill_opts_describe(sets, stdout) && printf("}\n") > 0 ? MILL_EXIT_OK : MILL_EXIT_BUG;
    } else if (mode == MILL_MODE_CHECK) {
        rc = MILL_EXIT_OK;
    } else {
        rc = main_verb_run(&cli, words, words_n);
    }
    mill_opts_free(opts);
    return rc;
}
