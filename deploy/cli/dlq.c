/* sendmill dlq ls, dlq show: what could not be done, and why. */
#include "base/clock.h"
#include "letter.h"
#include "marks.h"
#include "record.h"
#include "scan.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEX_ROW = 16, HEX_MAX = 1024 };

struct dlq_ls {
    struct cli *cli;
    struct letter_filter filter;
    struct marks marks;
    struct mill_arena mem; /**< of one row */
};

static bool dlq_row(void *arg, const struct mill_record *in)
{
    struct dlq_ls *ls = arg;
    struct letter l = letter_of(in);
    char when[32];

    if (!letter_wanted(&ls->filter, in, &l))
        return false;
    if (ls->cli->format == CLI_JSON) {
        json_t *o = letter_json(in, &l);
        json_object_set_new(o, "redriven", json_boolean(marks_has(&ls->marks, in)));
        cli_print(ls->cli, o);
        json_decref(o);
        return true;
    }
    mill_time_text(in->timestamp_us, when, sizeof when);
#define SAFE(s) text_safe(&ls->mem, (s))
    printf("%3d/%-8lld %.19sZ %-12s %-10s %s/%s/%s  %s%s\n", in->partition, (long long)in->offset,
           when, SAFE(l.cls), SAFE(l.stage), SAFE(l.topic), SAFE(l.partition), SAFE(l.offset),
           SAFE(l.reason), marks_has(&ls->marks, in) ? "  (redriven)" : "");
#undef SAFE
    mill_arena_reset(&ls->mem);
    return true;
}

int cli_dlq_ls(struct cli *cli)
{
    struct mill_err err = {0};
    struct dlq_ls ls = {.cli = cli,
                        .filter = {cli->conf.cls, cli->conf.stage, cli->conf.reason, {{0}}, 0}};
    struct scan scan = {
        .topic = cli->conf.topic,
        .range = {{PLACE_START, 0}, {PLACE_END, 0}},
        .count = cli->conf.count,
        .each = dlq_row,
        .arg = &ls,
    };
    enum mill_code code = scan_range(cli, &scan, &err);

    if (code) {
        cli_fail(&err);
        return MILL_EXIT_USAGE;
    }
    if (marks_read(cli, cli->conf.topic, &ls.marks, &err) && err.code != MILL_E_NOENT)
        fprintf(stderr, "sendmill: which were redriven is not shown: %s: %s\n", err.where,
                err.text);
    if (cli->format == CLI_TABLE)
        printf("%-12s %-20s %-12s %-10s %s\n", "PLACE", "TIME", "CLASS", "STAGE", "FROM  REASON");
    code = scan_run(cli, &scan, &err);
    mill_arena_release(&ls.mem);
    marks_release(&ls.marks);
    return code ? cli_fail(&err) : scan_exit(&scan);
}

static void dlq_hex(struct mill_str raw)
{
    size_t most = raw.n < HEX_MAX ? raw.n : HEX_MAX;

    for (size_t at = 0; at < most; at += HEX_ROW) {
        size_t n = most - at < HEX_ROW ? most - at : HEX_ROW;
        printf("  %06zx ", at);
        for (size_t i = 0; i < HEX_ROW; i++)
            printf(i < n ? " %02x" : "   ", i < n ? (unsigned char)raw.p[at + i] : 0u);
        printf("  ");
        for (size_t i = 0; i < n; i++)
            putchar(isprint((unsigned char)raw.p[at + i]) ? raw.p[at + i] : '.');
        putchar('\n');
    }
    if (raw.n > most)
        printf("  … %zu bytes in all\n", raw.n);
}

struct dlq_show {
    struct cli *cli;
    struct mill_registry *registry;
    struct letter_place at;
    bool found;
    struct mill_arena mem;
};

static void dlq_decoded(struct dlq_show *show, const struct mill_record *in)
{
    struct mill_err err = {0};
    json_t *value = NULL;
    char *text = NULL;
    int32_t id;

    if (!in->raw.p)
        printf("  (no value)\n");
    else if (record_decode(show->registry, in->raw, &id, &value, &err))
        printf("  not decoded: %s: %s\n", text_safe(&show->mem, mill_str(err.where)),
               text_safe(&show->mem, mill_str(err.text)));
    else if ((text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY)))
        printf("%s\n", text_safe_lines(&show->mem, mill_str(text)));
    free(text);
    json_decref(value);
}

static void dlq_print(struct dlq_show *show, const struct mill_record *in)
{
    struct letter l = letter_of(in);
    char when[32];

    mill_time_text(in->timestamp_us, when, sizeof when);
#define SAFE(s) text_safe(&show->mem, (s))
    printf("reason   %s\nclass    %s\nstage    %s (attempt %s, first failed %s, redriven %s "
           "times)\nplace    %s/%s/%s\nhere     %s/%d/%lld at %s\nkey      %s\n\nheaders\n",
           SAFE(l.reason), SAFE(l.cls), SAFE(l.stage), SAFE(l.attempt), SAFE(l.first),
           l.redrives.n ? SAFE(l.redrives) : "0", SAFE(l.topic), SAFE(l.partition), SAFE(l.offset),
           in->topic, in->partition, (long long)in->offset, when, SAFE(in->key));
    for (size_t i = 0; i < in->headers.n; i++)
        printf("  %s: %s\n", SAFE(in->headers.v[i].key), SAFE(in->headers.v[i].value));
#undef SAFE
    printf("\ndecoded\n");
    dlq_decoded(show, in);
    printf("\nraw, %zu bytes\n", in->raw.n);
    dlq_hex(in->raw);
}

static bool dlq_show_each(void *arg, const struct mill_record *in)
{
    struct dlq_show *show = arg;

    if (in->partition != show->at.partition || in->offset != show->at.offset)
        return false;
    show->found = true;
    if (show->cli->format == CLI_JSON) {
        struct letter l = letter_of(in);
        json_t *o = record_json(show->registry, in);
        json_object_set_new(o, "failure", letter_json(in, &l));
        cli_print(show->cli, o);
        json_decref(o);
    } else {
        dlq_print(show, in);
    }
    return true;
}

int cli_dlq_show(struct cli *cli)
{
    struct dlq_show show = {.cli = cli};
    struct mill_err err = {0};
    struct scan scan = {
        .topic = cli->conf.topic,
        .range = {{PLACE_OFFSET, 0}, {PLACE_END, 0}},
        .count = 1,
        .each = dlq_show_each,
        .arg = &show,
    };
    enum mill_code code;

    if (!letter_place(cli->args[0], &show.at))
        return cli_usage("\"%s\" is no PARTITION/OFFSET as dlq ls prints it", cli->args[0]);
    scan.only = show.at.partition + 1;
    scan.range.from.n = show.at.offset;
    scan.range.to = (struct place){PLACE_OFFSET, show.at.offset + 1};
    code = mill_registry_new(&show.registry, cli->conf.common.registry, CLI_REGISTRY_MS, &err);
    if (!code)
        code = scan_run(cli, &scan, &err);
    mill_registry_free(show.registry);
    mill_arena_release(&show.mem);
    if (code)
        return cli_fail(&err);
    if (!show.found)
        fprintf(stderr, "sendmill: no record at %s/%s\n", cli->conf.topic, cli->args[0]);
    return show.found ? MILL_EXIT_OK : MILL_EXIT_NOENT;
}
