/* sendmill tail: a topic's records, decoded. */
#include "base/clock.h"
#include "record.h"
#include "scan.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

struct tail {
    struct cli *cli;
    struct mill_registry *registry;
    struct mill_arena mem; /**< of one row */
};

static bool tail_each(void *arg, const struct mill_record *in)
{
    struct tail *t = arg;
    json_t *o = record_json(t->registry, in);

    if (t->cli->format == CLI_JSON) {
        cli_print(t->cli, o);
    } else {
        const json_t *value = json_object_get(o, "value");
        char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        const char *error = json_string_value(json_object_get(o, "value_error"));
        printf("%s %s/%d/%lld %s %s%s%s\n", json_string_value(json_object_get(o, "timestamp")),
               in->topic, in->partition, (long long)in->offset, text_safe(&t->mem, in->key),
               text ? text_safe(&t->mem, mill_str(text)) : "(bytes)", error ? "  # " : "",
               error ? text_safe(&t->mem, mill_str(error)) : "");
        fflush(stdout);
        free(text);
        mill_arena_reset(&t->mem);
    }
    json_decref(o);
    return true;
}

int cli_tail(struct cli *cli)
{
    struct tail t = {.cli = cli};
    struct mill_err err = {0};
    struct scan scan = {
        .topic = cli->args[0],
        .range = {{PLACE_END, 0}, {PLACE_NONE, 0}},
        .count = cli->conf.count,
        .each = tail_each,
        .arg = &t,
    };
    enum mill_code code = scan_range(cli, &scan, &err);

    if (code) {
        cli_fail(&err);
        return MILL_EXIT_USAGE;
    }
    code = mill_registry_new(&t.registry, cli->conf.common.registry, CLI_REGISTRY_MS, &err);
    if (!code)
        code = scan_run(cli, &scan, &err);
    mill_registry_free(t.registry);
    mill_arena_release(&t.mem);
    return code ? cli_fail(&err) : scan_exit(&scan);
}
