/* sendmill topics: what the topology says, and what broker and registry have. */
#include "avro/registry.h"
#include "cli.h"
#include "kafka/admin.h"
#include "kafka/reader.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 10000, CONFIG_MAX = 64 };
static const char LEVEL[] = "FULL_TRANSITIVE";

/** What one run of check or apply has in hand. */
struct topics_run {
    struct cli *cli;
    struct mill_admin *admin;
    struct mill_registry *registry;
    struct topology topology;
    bool apply;
    bool registry_away; /**< said once */
    size_t differences; /**< found (check), or left (apply) */
};

static void topics_say(struct topics_run *r, const char *topic, const char *what,
                       const char *detail)
{
    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:s,s:s}", "topic", topic, "result", what, "detail", detail);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%-28s %-10s %s\n", topic, what, detail);
    }
}

static size_t topics_config(const json_t *config, struct mill_pair *v)
{
    const char *key;
    json_t *value;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (n < CONFIG_MAX)
            v[n++] = (struct mill_pair){mill_str(key), mill_str(json_string_value(value))};
    }
    return n;
}

static enum mill_code topics_create(struct topics_run *r, const struct topology_topic *want,
                                    struct mill_err *err)
{
    struct mill_pair v[CONFIG_MAX];
    struct mill_topic t = {.name = want->name, .partitions = want->partitions};
    char detail[64];
    enum mill_code code = MILL_OK;

    snprintf(detail, sizeof detail, "%d partitions", want->partitions);
    t.config = (struct mill_map){v, topics_config(want->config, v)};
    if (!r->apply) {
        r->differences++;
        topics_say(r, want->name, "missing", detail);
        return MILL_OK;
    }
    code = mill_admin_create(r->admin, &t, (int32_t)r->cli->conf.replication, err);
    if (!code)
        topics_say(r, want->name, "created", detail);
    return code;
}

/* The number of partitions decides where a key lies, for ever: it is never changed under way. */
static void topics_partitions(struct topics_run *r, const struct topology_topic *want,
                              const struct mill_topic *have)
{
    char detail[400];

    if (have->partitions == want->partitions)
        return;
    snprintf(
        detail, sizeof detail,
        "has %d partitions, the topology says %d. Keys would move: make topics under new names "
        "(%s%s), let the old ones run dry, then switch the processes over.",
        have->partitions, want->partitions, want->joined ? "the whole joined set " : "",
        want->joined ? want->joined : want->name);
    topics_say(r, want->name, "refused", detail);
    r->differences++;
}

static enum mill_code topics_settings(struct topics_run *r, const struct topology_topic *want,
                                      const struct mill_topic *have, struct mill_err *err)
{
    struct mill_pair v[CONFIG_MAX], changed[CONFIG_MAX];
    size_t n = topics_config(want->config, v), changed_n = 0;
    char detail[400];
    enum mill_code code;

    for (size_t i = 0; i < n; i++) {
        char key[128];
        struct mill_str now;
        mill_str_cut(v[i].key, key, sizeof key);
        now = mill_map_get(have->config, key);
        if (mill_str_eq(now, v[i].value))
            continue;
        changed[changed_n++] = v[i];
        snprintf(detail, sizeof detail, "%s: %.*s, the topology says %.*s", key, MILL_FMT(now),
                 MILL_FMT(v[i].value));
        topics_say(r, want->name, r->apply ? "changed" : "differs", detail);
        r->differences += !r->apply;
    }
    if (!changed_n || !r->apply)
        return MILL_OK;
    code = mill_admin_alter(r->admin, want->name, (struct mill_map){changed, changed_n}, err);
    return code;
}

static enum mill_code topics_schema(struct topics_run *r, const struct topology_topic *want,
                                    struct mill_err *err)
{
    char subject[300], text[64];
    json_error_t why;
    json_t *parsed = json_load_file(want->schema, 0, &why);
    char *schema = parsed ? json_dumps(parsed, JSON_COMPACT) : NULL;
    struct mill_str latest;
    int32_t id = 0;
    enum mill_code code = MILL_OK;

    snprintf(subject, sizeof subject, "%s-value", want->name);
    if (!schema) {
        code = mill_fail(err, MILL_E_CONFIG, want->schema, "line %d: %s", why.line, why.text);
    } else if (r->apply) {
        code = mill_registry_register(r->registry, subject, mill_str(schema), &id, err);
        if (!code)
            code = mill_registry_compatibility(r->registry, subject, LEVEL, err);
        snprintf(text, sizeof text, "schema id %d, %s", id, LEVEL);
        if (!code)
            topics_say(r, want->name, "registered", text);
    } else {
        code = mill_registry_latest(r->registry, subject, &id, &latest, err);
        if (code == MILL_E_NOENT) {
            topics_say(r, want->name, "missing", "no schema is registered");
            r->differences++;
            code = MILL_OK;
        }
    }
    free(schema);
    json_decref(parsed);
    return code;
}

static enum mill_code topics_one(struct topics_run *r, const struct topology_topic *want,
                                 struct mill_err *err)
{
    struct mill_topic have;
    size_t before = r->differences;
    enum mill_code code = mill_admin_describe(r->admin, want->name, &have, err);

    if (code == MILL_E_NOENT) {
        code = topics_create(r, want, err);
    } else if (!code) {
        topics_partitions(r, want, &have);
        code = topics_settings(r, want, &have, err);
        if (!code && before == r->differences)
            topics_say(r, want->name, "ok", "");
    }
    if (!code && want->schema[0])
        code = topics_schema(r, want, err);
    return code;
}

static int topics_run(struct cli *cli, bool apply)
{
    struct topics_run r = {.cli = cli, .apply = apply};
    struct mill_err err = {0};
    enum mill_code code = topology_read(&r.topology, cli->conf.topology, &err);

    if (!code)
        code = mill_admin_new(&r.admin, &cli->kafka, TIMEOUT_MS, &err);
    if (!code)
        code = mill_registry_new(&r.registry, cli->conf.common.registry, TIMEOUT_MS, &err);
    for (size_t i = 0; !code && i < r.topology.n && !cli_stopped(); i++)
        code = topics_one(&r, &r.topology.topics[i], &err);
    mill_registry_free(r.registry);
    mill_admin_free(r.admin);
    topology_release(&r.topology);
    if (code)
        return cli_fail(&err);
    if (r.differences && !apply)
        fprintf(stderr, "%zu differences; next: sendmill topics apply\n", r.differences);
    return r.differences ? MILL_EXIT_PARTIAL : MILL_EXIT_OK;
}

int cli_topics_check(struct cli *cli)
{
    return topics_run(cli, false);
}

int cli_topics_apply(struct cli *cli)
{
    return topics_run(cli, !cli->conf.dry_run);
}

static int64_t topics_records(struct mill_reader *reader, const char *topic, int32_t partitions)
{
    int64_t sum = 0, low, high;
    struct mill_err err;

    for (int32_t p = 0; p < partitions; p++)
        if (!mill_reader_marks(reader, topic, p, &low, &high, &err))
            sum += high - low;
    return sum;
}

int cli_topics_list(struct cli *cli)
{
    struct mill_admin *admin = NULL;
    struct mill_reader *reader = NULL;
    const struct mill_topic *v = NULL;
    struct mill_err err = {0};
    size_t n = 0;
    enum mill_code code = mill_admin_new(&admin, &cli->kafka, TIMEOUT_MS, &err);

    if (!code)
        code = mill_reader_new(&reader, &cli->kafka, &err);
    if (!code)
        code = mill_admin_list(admin, &v, &n, &err);
    if (!code && cli->format == CLI_TABLE)
        printf("%-28s %10s %14s\n", "TOPIC", "PARTITIONS", "OFFSETS");
    for (size_t i = 0; !code && i < n && !cli_stopped(); i++) {
        int64_t records = topics_records(reader, v[i].name, v[i].partitions);
        if (cli->format == CLI_JSON) {
            json_t *o = json_pack("{s:s,s:i,s:I}", "topic", v[i].name, "partitions",
                                  v[i].partitions, "offsets", (json_int_t)records);
            cli_print(cli, o);
            json_decref(o);
        } else {
            printf("%-28s %10d %14lld\n", v[i].name, v[i].partitions, (long long)records);
        }
    }
    mill_reader_free(reader);
    mill_admin_free(admin);
    return code ? cli_fail(&err) : MILL_EXIT_OK;
}
