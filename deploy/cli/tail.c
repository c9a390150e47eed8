/* sendmill tail: a topic's records, decoded. */
#include "base/clock.h"
#include "record.h"
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>

enum { REGISTRY_MS = 5000 };

struct tail {
    struct cli *cli;
    struct mill_registry *registry;
};

static bool tail_each(void *arg, const struct mill_record *in)
{
    struct tail *t = arg;
    json_t *o = record_json(t->registry, in);

    if (t->cli->format == CLI_JSON) {
        record_print(o);
    } else {
        const json_t *value = json_object_get(o, "value");
        char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        const char *error = json_string_value(json_object_get(o, "value_error"));
        printf("%s %s/%d/%lld %.*s %s%s%s\n", json_string_value(json_object_get(o, "timestamp")),
               in->topic, in->partition, (long long)in->offset, MILL_FMT(in->key),
               text ? text : "(bytes)", error ? "  # " : "", error ? error : "");
        fflush(stdout);
        free(text);
    }
    json_decref(o);
    return true;
}

int cli_tail(struct cli *cli)
{
    struct tail t = {.cli = cli};
    struct mill_err err = {0};
    int64_t now_ms = mill_now_us() / 1000;
    struct scan scan = {
        .topic = cli->args[0],
        .follow = !cli->conf.to,
        .count = cli->conf.count,
        .each = tail_each,
        .arg = &t,
    };
    enum mill_code code =
        where_parse(mill_str(cli->conf.from ? cli->conf.from : "end"), now_ms, &scan.from, &err);

    if (!code && cli->conf.to)
        code = where_parse(mill_str(cli->conf.to), now_ms, &scan.to, &err);
    if (code) {
        cli_fail(&err);
        return MILL_EXIT_USAGE;
    }
    code = mill_registry_new(&t.registry, cli->conf.registry, REGISTRY_MS, &err);
    if (!code)
        code = scan_run(cli, &scan, &err);
    mill_registry_free(t.registry);
    return code ? cli_fail(&err) : MILL_EXIT_OK;
}
