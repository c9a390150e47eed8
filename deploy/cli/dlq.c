/* sendmill dlq: what could not be done, and why. */
#include "base/clock.h"
#include "record.h"
#include "scan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { REGISTRY_MS = 5000, HEX_ROW = 16, HEX_MAX = 1024 };

/** One row of `dlq ls`; also what `dlq show` says first. */
struct letter {
    struct mill_str cls, stage, topic, partition, offset, attempt, reason, first;
};

static struct letter letter_of(const struct mill_record *in)
{
    return (struct letter){
        .cls = mill_header(in, "mill.class"),
        .stage = mill_header(in, "mill.stage"),
        .topic = mill_header(in, "__connect.errors.topic"),
        .partition = mill_header(in, "__connect.errors.partition"),
        .offset = mill_header(in, "__connect.errors.offset"),
        .attempt = mill_header(in, "mill.attempt"),
        .reason = mill_header(in, "__connect.errors.exception.message"),
        .first = mill_header(in, "mill.first-failed-at"),
    };
}

static json_t *letter_text(struct mill_str s)
{
    return s.p ? mill_json_new(s) : json_null();
}

static json_t *letter_json(const struct mill_record *in, const struct letter *l)
{
    char when[32];

    mill_time_text(in->timestamp_us, when, sizeof when);
    return json_pack("{s:s,s:i,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "topic", in->topic,
                     "partition", in->partition, "offset", (json_int_t)in->offset, "timestamp",
                     when, "class", letter_text(l->cls), "stage", letter_text(l->stage),
                     "from_topic", letter_text(l->topic), "from_partition",
                     letter_text(l->partition), "from_offset", letter_text(l->offset), "attempt",
                     letter_text(l->attempt), "first_failed_at", letter_text(l->first), "reason",
                     letter_text(l->reason));
}

static bool dlq_wanted(const struct cli *cli, const struct letter *l)
{
    return (!cli->conf.cls || mill_str_is(l->cls, cli->conf.cls)) &&
           (!cli->conf.stage || mill_str_is(l->stage, cli->conf.stage));
}

static bool dlq_row(void *arg, const struct mill_record *in)
{
    const struct cli *cli = arg;
    struct letter l = letter_of(in);
    char when[32];

    if (!dlq_wanted(cli, &l))
        return false;
    if (cli->format == CLI_JSON) {
        json_t *o = letter_json(in, &l);
        record_print(o);
        json_decref(o);
        return true;
    }
    mill_time_text(in->timestamp_us, when, sizeof when);
    printf("%3d/%-8lld %.19sZ %-12.*s %-10.*s %.*s/%.*s/%.*s  %.*s\n", in->partition,
           (long long)in->offset, when, MILL_FMT(l.cls), MILL_FMT(l.stage), MILL_FMT(l.topic),
           MILL_FMT(l.partition), MILL_FMT(l.offset), MILL_FMT(l.reason));
    return true;
}

int cli_dlq_ls(struct cli *cli)
{
    struct mill_err err = {0};
    int64_t now_ms = mill_now_us() / 1000;
    struct scan scan = {
        .topic = cli->conf.topic,
        .to = {.kind = WHERE_END},
        .count = cli->conf.count,
        .each = dlq_row,
        .arg = cli,
    };
    enum mill_code code =
        where_parse(mill_str(cli->conf.from ? cli->conf.from : "start"), now_ms, &scan.from, &err);

    if (!code && cli->conf.to)
        code = where_parse(mill_str(cli->conf.to), now_ms, &scan.to, &err);
    if (code) {
        cli_fail(&err);
        return MILL_EXIT_USAGE;
    }
    if (cli->format == CLI_TABLE)
        printf("%-12s %-20s %-12s %-10s %s\n", "PLACE", "TIME", "CLASS", "STAGE", "FROM  REASON");
    code = scan_run(cli, &scan, &err);
    return code ? cli_fail(&err) : MILL_EXIT_OK;
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

static void dlq_print(struct mill_registry *registry, const struct mill_record *in)
{
    struct letter l = letter_of(in);
    struct mill_err err = {0};
    json_t *value = NULL;
    char when[32];
    int32_t id;

    mill_time_text(in->timestamp_us, when, sizeof when);
    printf("reason   %.*s\nclass    %.*s\nstage    %.*s (attempt %.*s, first failed %.*s)\n"
           "place    %.*s/%.*s/%.*s\nhere     %s/%d/%lld at %s\nkey      %.*s\n\nheaders\n",
           MILL_FMT(l.reason), MILL_FMT(l.cls), MILL_FMT(l.stage), MILL_FMT(l.attempt),
           MILL_FMT(l.first), MILL_FMT(l.topic), MILL_FMT(l.partition), MILL_FMT(l.offset),
           in->topic, in->partition, (long long)in->offset, when, MILL_FMT(in->key));
    for (size_t i = 0; i < in->headers.n; i++)
        printf("  %.*s: %.*s\n", MILL_FMT(in->headers.v[i].key), MILL_FMT(in->headers.v[i].value));
    printf("\ndecoded\n");
    if (!in->raw.p) {
        printf("  (no value)\n");
    } else if (record_decode(registry, in->raw, &id, &value, &err)) {
        printf("  not decoded: %s: %s\n", err.where, err.text);
    } else {
        json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
        printf("\n");
    }
    printf("\nraw, %zu bytes\n", in->raw.n);
    dlq_hex(in->raw);
    json_decref(value);
}

struct dlq_show {
    struct cli *cli;
    struct mill_registry *registry;
    int64_t offset;
    int32_t partition;
    bool found;
};

static bool dlq_show_each(void *arg, const struct mill_record *in)
{
    struct dlq_show *show = arg;

    if (in->partition != show->partition || in->offset != show->offset)
        return false;
    show->found = true;
    if (show->cli->format == CLI_JSON) {
        struct letter l = letter_of(in);
        json_t *o = record_json(show->registry, in);
        json_object_set_new(o, "failure", letter_json(in, &l));
        record_print(o);
        json_decref(o);
    } else {
        dlq_print(show->registry, in);
    }
    return true;
}

/* "0/17" */
static bool dlq_place(const char *text, struct dlq_show *show)
{
    const char *slash = strchr(text, '/');
    int64_t partition;

    if (!slash || !mill_str_i64((struct mill_str){text, (size_t)(slash - text)}, &partition) ||
        !mill_str_i64(mill_str(slash + 1), &show->offset) || partition < 0 ||
        partition > INT32_MAX || show->offset < 0)
        return false;
    show->partition = (int32_t)partition;
    return true;
}

int cli_dlq_show(struct cli *cli)
{
    struct dlq_show show = {.cli = cli};
    struct mill_err err = {0};
    struct scan scan = {
        .topic = cli->conf.topic,
        .to = {.kind = WHERE_END},
        .count = 1,
        .each = dlq_show_each,
        .arg = &show,
    };
    enum mill_code code;

    if (!dlq_place(cli->args[0], &show)) {
        fprintf(stderr, "sendmill: \"%s\" is no PARTITION/OFFSET as dlq ls prints it\n",
                cli->args[0]);
        return MILL_EXIT_USAGE;
    }
    scan.from = (struct where){WHERE_OFFSET, show.offset};
    code = mill_registry_new(&show.registry, cli->conf.registry, REGISTRY_MS, &err);
    if (!code)
        code = scan_run(cli, &scan, &err);
    mill_registry_free(show.registry);
    if (code)
        return cli_fail(&err);
    if (!show.found)
        fprintf(stderr, "sendmill: no record at %s/%s\n", cli->conf.topic, cli->args[0]);
    return show.found ? MILL_EXIT_OK : MILL_EXIT_NOENT;
}
