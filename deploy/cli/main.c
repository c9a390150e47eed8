/* sendmill: the operator's command. The verbs are a table. */
#include "base/buf.h"
#include "cli.h"
#include "text.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

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
    struct mill_arena mem = {0};

    fprintf(stderr, "sendmill: %s: %s\n", text_safe(&mem, mill_str(err->where)),
            text_safe(&mem, mill_str(err->text)));
    mill_arena_release(&mem);
    return err->code == MILL_E_KAFKA || err->code == MILL_E_IO ? MILL_EXIT_UNREACHABLE
                                                               : mill_exit_of(err->code);
}

int cli_usage(const char *fmt, ...)
{
    va_list ap;

    fputs("sendmill: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return MILL_EXIT_USAGE;
}

void cli_print(const struct cli *cli, const json_t *o)
{
    struct mill_str rest = mill_str(cli->conf.fields);
    json_t *some = cli->conf.fields ? json_object() : NULL;

    while (some && rest.n) {
        struct mill_str name = mill_str_trim(mill_str_take(&rest, ','));
        char key[128];
        mill_str_cut(name, key, sizeof key);
        json_object_set(some, key, json_object_get(o, key));
    }
    json_dumpf(some ? some : o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    fflush(stdout);
    json_decref(some);
}

static const struct cli_verb verbs[] = {
    {"trace", "ID", 1, 1, "the whole way of one mail (request or message), in time order",
     cli_trace},
    {"tail", "TOPIC", 1, 1, "records of a topic, decoded, as they come", cli_tail},
    {"dlq ls", "", 0, 0, "dead letters: when, class, stage, place, reason", cli_dlq_ls},
    {"dlq show", "PARTITION/OFFSET", 1, 1, "one dead letter: reason, place, decoded beside raw",
     cli_dlq_show},
    {"dlq redrive", "[PARTITION/OFFSET…]", 0, CLI_WORDS_MAX,
     "send dead letters back to the stage that failed on them; counts first", cli_dlq_redrive},
    {"replay", "TOPIC", 0, 1, "send a part of a topic through its stage once more; counts first",
     cli_replay},
    {"resend", "ID", 1, 1, "mail it again: the only verb that does; asks for the number of mails",
     cli_resend},
    {"cancel", "ID", 1, 1, "ask that a scheduled mail is not sent (--tenant)", cli_cancel},
    {"pause", "CATEGORY", 1, 1, "hold back a category's mail", cli_pause},
    {"resume", "CATEGORY", 1, 1, "let it go again", cli_resume},
    {"pauses", "", 0, 0, "categories that are held back", cli_pauses},
    {"suppressions ls", "", 0, 0, "addresses that are not mailed", cli_suppressions_ls},
    {"suppressions add", "ADDRESS", 1, 1,
     "do not mail it any more (--tenant, --category: only that one's)", cli_suppressions_add},
    {"suppressions lift", "ADDRESS", 1, 1, "mail it again", cli_suppressions_lift},
    {"topics list", "", 0, 0, "topics of the broker: partitions, records", cli_topics_list},
    {"topics check", "", 0, 0,
     "compare broker and registry with the topology; exit 1 on a difference", cli_topics_check},
    {"topics apply", "", 0, 0, "create topics, set their settings, register schemas",
     cli_topics_apply},
#ifdef MILL_LAKE
    {"audit", "[TOPIC]", 0, 1, "is each offset in the lake exactly once? exit 1 if not", cli_audit},
    {"lake compact", "[TOPIC]", 0, 1,
     "merge the small files of closed days; each run goes on where the last one ended",
     cli_lake_compact},
    {"lake ddl", "TOPIC", 1, 1, "the statement by which --engine reads the topic's files",
     cli_lake_ddl},
#endif
};
enum { VERBS_N = sizeof verbs / sizeof *verbs };

static const char exit_codes[] =
    "  0    done\n"
    "  1    it ran, and the answer is \"no\" or \"not all\"\n"
    "  2    usage: an unknown verb or flag, or a question that nobody is there to answer\n"
    "  3    asked, and declined\n"
    "  66   no such topic, record or mail\n"
    "  69   broker or registry not reachable\n"
    "  70   a fault of sendmill itself\n"
    "  71   out of memory\n"
    "  75   it may work later\n"
    "  77   not permitted\n"
    "  78   configuration\n"
    "  130  interrupted (Ctrl-C); what was done stays done, and how to go on is said\n";

static void main_help(const struct mill_opt_set *sets)
{
    printf("sendmill: look into the pipeline and set it up\n\n"
           "  sendmill trace 01a1fd52-e7b6-7018-8f00-c83adaad66b2\n"
           "  sendmill tail mail.events --from @-1h -o json\n"
           "  sendmill dlq ls --class poison\n  sendmill dlq show 0/17\n"
           "  sendmill topics apply\n\nverbs:\n");
    for (size_t i = 0; i < VERBS_N; i++)
        printf("  %-17s %-21s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    printf("  %-17s %-21s %s\n\nexit codes:\n%s\n", "help", "VERB | exit-codes", "this",
           exit_codes);
    mill_opts_help("sendmill", "options, on either side of the verb", sets, stdout);
}

static bool main_is(const struct cli_verb *v, const char **words, size_t n, size_t *used)
{
    const char *space = strchr(v->name, ' ');
    size_t first = space ? (size_t)(space - v->name) : strlen(v->name);

    *used = space ? 2 : 1;
    return n >= *used && strlen(words[0]) == first && !strncmp(words[0], v->name, first) &&
           (!space || !strcmp(words[1], space + 1));
}

static const struct cli_verb *main_verb(struct cli *cli, const char **words, size_t n)
{
    for (size_t i = 0; i < VERBS_N; i++) {
        size_t used;
        if (!main_is(&verbs[i], words, n, &used))
            continue;
        cli->args = words + used;
        cli->args_n = n - used;
        cli->verb = verbs[i].name;
        return &verbs[i];
    }
    return NULL;
}

/* How many letters differ, about: equal ones at the front and at the back do not count. */
static size_t main_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), front = 0, back = 0, least = n < m ? n : m;

    while (front < least && a[front] == b[front])
        front++;
    while (back < least - front && a[n - 1 - back] == b[m - 1 - back])
        back++;
    return (n > m ? n : m) - front - back;
}

static int main_unknown(const char **words, size_t n)
{
    struct mill_arena mem = {0};
    struct mill_str given =
        mill_arena_printf(&mem, "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
    const char *near = NULL;
    size_t best = 3;

    for (size_t i = 0; given.p && i < VERBS_N; i++) {
        const char *text = strchr(verbs[i].name, ' ') ? given.p : words[0];
        size_t d = main_distance(text, verbs[i].name);
        if (d < best) {
            best = d;
            near = verbs[i].name;
        }
    }
    fprintf(stderr, "sendmill: no verb is called \"%s\"", text_safe(&mem, given));
    fprintf(stderr, near ? "; did you mean \"%s\"?\n" : "; see sendmill --help\n", near);
    mill_arena_release(&mem);
    return MILL_EXIT_USAGE;
}

static int main_help_verb(struct cli *cli, const char **words, size_t n,
                          const struct mill_opt_set *sets)
{
    const struct cli_verb *v = n ? main_verb(cli, words, n) : NULL;
    bool found = !n || v != NULL;

    if (n && !strcmp(words[0], "exit-codes")) {
        fputs(exit_codes, stdout);
        return MILL_EXIT_OK;
    }
    if (v)
        printf("sendmill %s %s\n    %s\n", v->name, v->args, v->help);
    else if (!n)
        main_help(sets);
    for (size_t i = 0; n == 1 && !v && i < VERBS_N; i++) {
        size_t len = strlen(words[0]);
        if (strncmp(verbs[i].name, words[0], len) != 0 || verbs[i].name[len] != ' ')
            continue;
        printf("sendmill %s %s\n    %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
        found = true;
    }
    return found ? MILL_EXIT_OK : main_unknown(words, n);
}

static int main_verb_run(struct cli *cli, const char **words, size_t n,
                         const struct mill_opt_set *sets)
{
    const struct cli_verb *v = main_verb(cli, words, n);
    struct sigaction stop = {.sa_handler = main_on_signal, .sa_flags = (int)SA_RESETHAND};
    const char *output = cli->conf.output;

    if (!strcmp(words[0], "help"))
        return main_help_verb(cli, words + 1, n - 1, sets);
    if (!v)
        return main_unknown(words, n);
    if (cli->args_n < v->args_min || cli->args_n > v->args_max)
        return cli_usage("usage: sendmill %s %s", v->name, v->args);
    if (strcmp(output, "json") != 0 && strcmp(output, "jsonl") != 0 && strcmp(output, "table") != 0)
        return cli_usage("output: \"%s\" is neither table nor json", output);
    cli->format = output[0] == 'j' ? CLI_JSON : CLI_TABLE;
    cli->kafka = (struct mill_kafka_conf){
        .brokers = cli->conf.common.brokers,
        .client_id = "sendmill",
        .rdkafka = cli->conf.common.rdkafka,
    };
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    return v->run(cli);
}

/** Topics that verbs read to know what was done, and write. */
static const char *const reads[] = {"mail.moves", "mail.pauses", "mail.suppressions", NULL},
                         *const writes[] = {"mail.moves",         "mail.messages",
                                            "mail.cancellations", "mail.pauses",
                                            "mail.suppressions",  NULL};

static void main_describe_ports(const char *name, const char *const *topics)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; topics[i]; i++) {
        const char *dot = strrchr(topics[i], '.');
        printf("%s{\"name\":\"%s\",\"topic\":\"%s\"}", i ? "," : "", dot + 1, topics[i]);
    }
    printf("],");
}

static int main_describe(const struct mill_opt_set *sets)
{
    printf("{\"name\":\"sendmill\",\"summary\":\"the operator's command\",");
    main_describe_ports("in", reads);
    main_describe_ports("out", writes);
    printf("\"metrics\":[],\"options\":");
    return mill_opts_describe(sets, stdout) && printf("}\n") > 0 ? MILL_EXIT_OK : MILL_EXIT_BUG;
}

static int main_asked(enum mill_opt_mode mode, const struct mill_opts *opts,
                      const struct mill_opt_set *sets, struct cli *cli, const char **words,
                      size_t words_n)
{
    switch (mode) {
    case MILL_MODE_HELP:
        return main_help_verb(cli, words, words_n, sets);
    case MILL_MODE_VERSION:
        printf("sendmill %s (librdkafka %s)\n", MILL_VERSION, mill_kafka_version());
        return MILL_EXIT_OK;
    case MILL_MODE_PRINT:
        mill_opts_print(opts, stdout);
        return MILL_EXIT_OK;
    case MILL_MODE_DESCRIBE:
        return main_describe(sets);
    case MILL_MODE_CHECK:
        return MILL_EXIT_OK;
    case MILL_MODE_RUN:
        break;
    }
    if (words_n)
        return main_verb_run(cli, words, words_n, sets);
    main_help(sets);
    return MILL_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    struct mill_opt_set sets[3] = {{0}};
    struct mill_opts *opts = NULL;
    struct mill_err err = {0};
    enum mill_opt_mode mode = MILL_MODE_RUN;
    char *flags[CLI_WORDS_MAX];
    const char *words[CLI_WORDS_MAX];
    size_t words_n = 0;
    int flags_n = 0, rc;
    enum mill_code code;

    mill_log_setup("sendmill", MILL_ERROR);
    if (!cli_split(argc, argv, flags, &flags_n, words, &words_n))
        return cli_usage("too many words");
    code = cli_options(&cli.conf, sets, &opts, flags_n, flags, &mode, &err);
    if (code && mode != MILL_MODE_HELP) {
        fprintf(stderr, "sendmill: %s: %s\n", err.where, err.text);
        rc = code == MILL_E_STATE ? MILL_EXIT_USAGE : mill_exit_of(code);
    } else {
        rc = main_asked(mode, opts, sets, &cli, words, words_n);
    }
    mill_opts_free(opts);
    return rc;
}
