/* Questions before harm; see ask.h. */
#include "ask.h"
#include "text.h"

#include <stdio.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 };

/* @return false when nobody answered */
static bool ask_line(const char *question, char *out, size_t size)
{
    bool got;

    fputs(question, stderr);
    fflush(stderr);
    got = fgets(out, (int)size, stdin) != NULL;
    if (got)
        mill_str_cut(mill_str_trim(mill_str(out)), out, size);
    else
        fputc('\n', stderr);
    return got;
}

static bool ask_somebody(const struct cli *cli)
{
    return !cli->conf.no_input && isatty(STDIN_FILENO);
}

static int ask_declined(void)
{
    fputs("nothing was done\n", stderr);
    return cli_stopped() ? CLI_INTERRUPTED : MILL_EXIT_DECLINED;
}

int ask_yes(const struct cli *cli, const char *what)
{
    char answer[ANSWER_MAX];

    if (cli->conf.yes)
        return MILL_EXIT_OK;
    if (!ask_somebody(cli)) {
        fprintf(stderr, "sendmill: %s: nothing was done; add --yes to do it\n", what);
        ask_again(cli, "next: ", " --yes");
        return MILL_EXIT_USAGE;
    }
    fprintf(stderr, "%s. ", what);
    if (ask_line("Go on? [y/N] ", answer, sizeof answer) &&
        (!strcmp(answer, "y") || !strcmp(answer, "Y") || !strcmp(answer, "yes")))
        return MILL_EXIT_OK;
    return ask_declined();
}

int ask_count(const struct cli *cli, const char *what, uint64_t count)
{
    char want[24], more[48], answer[ANSWER_MAX];

    snprintf(want, sizeof want, "%llu", (unsigned long long)count);
    if (cli->conf.confirm) {
        if (!strcmp(cli->conf.confirm, want))
            return MILL_EXIT_OK;
        return cli_usage("%s: --confirm=%s does not say how many; nothing was done", what,
                         cli->conf.confirm);
    }
    if (!ask_somebody(cli)) {
        fprintf(stderr, "sendmill: %s: nothing was done; add --confirm=%s to do it\n", what, want);
        snprintf(more, sizeof more, " --confirm=%s", want);
        ask_again(cli, "next: ", more);
        return MILL_EXIT_USAGE;
    }
    fprintf(stderr, "%s. ", what);
    if (ask_line("Type how many to go on: ", answer, sizeof answer) && !strcmp(answer, want))
        return MILL_EXIT_OK;
    return ask_declined();
}

/* For a shell: as it is where it is plain, else in single quotes. */
static void ask_quoted(const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_~-";
    struct mill_arena mem = {0};

    if (*s && s[strspn(s, plain)] == 0) {
        fputs(s, stderr);
        return;
    }
    fputc('\'', stderr);
    for (s = text_safe(&mem, mill_str(s)); *s; s++)
        fputs(*s == '\'' ? "'\\''" : (const char[2]){*s, 0}, stderr);
    fputc('\'', stderr);
    mill_arena_release(&mem);
}

void ask_again(const struct cli *cli, const char *head, const char *more)
{
    const struct cli_conf *c = &cli->conf;
    const struct {
        const char *flag, *value;
    } given[] = {
        {"class", c->cls},
        {"stage", c->stage},
        {"reason", c->reason},
        {"from", c->from},
        {"to", c->to},
        {"tenant", c->tenant},
        {"topic", c->topic && strcmp(c->topic, "mail.dlq") != 0 ? c->topic : NULL},
        {"resume", c->resume},
        {"topology", c->topology},
    };

    fprintf(stderr, "%ssendmill %s", head, cli->verb);
    for (size_t i = 0; i < cli->args_n; i++) {
        fputc(' ', stderr);
        ask_quoted(cli->args[i]);
    }
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].value) {
            fprintf(stderr, " --%s=", given[i].flag);
            ask_quoted(given[i].value);
        }
    if (c->rate)
        fprintf(stderr, " --rate=%u", c->rate);
    fprintf(stderr, "%s\n", more);
}
