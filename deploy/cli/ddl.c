/* sendmill lake ddl: how a query engine reads a topic's files. */
#include "lake/ddl.h"
#include "avro/registry.h"
#include "cli.h"
#include "lake/raw.h"
#include "text.h"

#include <stdio.h>

enum { DDL_BYTES = 4 << 20, DDL_RULES = 256 };

/** What the sink is told of this topic's columns. */
static enum mill_code ddl_policy(const struct cli_conf *conf, const char *topic,
                                 struct mill_policy_rule rules[DDL_RULES], struct mill_policy *out,
                                 struct mill_err *err)
{
    struct mill_str text = mill_str(conf->columns ? conf->columns : MILL_POLICY_DEFAULT);
    struct mill_str name = mill_str(topic);
    enum mill_code rc = mill_policy_read(text, name, NULL, &out->n, err);

    if (!rc && out->n > DDL_RULES)
        rc =
            mill_fail(err, MILL_E_CONFIG, "columns", "more than %d fields of %s", DDL_RULES, topic);
    out->v = rules;
    return rc ? rc : mill_policy_read(text, name, rules, &out->n, err);
}

/** The columns by a schema. */
static enum mill_code ddl_grow(const struct cli_conf *conf, const struct mill_policy *policy,
                               struct mill_str json, struct mill_shape **out, struct mill_err *err)
{
    struct mill_schema *schema = NULL;
    struct mill_shape *base = NULL;
    unsigned meta = 0;
    enum mill_code rc = mill_meta_list(mill_str(conf->meta_columns), &meta, err);

    if (!rc)
        rc = mill_schema_parse(&schema, json, err);
    if (!rc)
        rc = mill_shape_new(&base, meta, policy, err);
    if (!rc)
        rc = mill_shape_grow(base, mill_schema_root(schema), out, err);
    mill_shape_free(base);
    mill_schema_free(schema);
    return rc;
}

/** The columns of the newest schema; those of a raw topic where the registry has none. */
static enum mill_code ddl_shape(struct cli *cli, const char *topic,
                                const struct mill_policy *policy, struct mill_shape **out,
                                struct mill_err *err)
{
    char subject[300];
    struct mill_registry *registry = NULL;
    struct mill_str json;
    int32_t id;
    enum mill_code rc;

    if (cli->conf.rejected)
        return mill_raw_shape(out, true, err);
    rc = mill_registry_new(&registry, cli->conf.common.registry, CLI_REGISTRY_MS, err);
    snprintf(subject, sizeof subject, "%s-value", topic);
    if (!rc)
        rc = mill_registry_latest(registry, subject, &id, &json, err);
    if (rc == MILL_E_NOENT) {
        fprintf(stderr, "no schema is registered as %s: columns of a raw topic\n", subject);
        rc = mill_raw_shape(out, false, err);
    } else if (!rc) {
        rc = ddl_grow(&cli->conf, policy, json, out, err);
    }
    mill_registry_free(registry);
    return rc;
}

int cli_lake_ddl(struct cli *cli)
{
    const struct mill_ddl_engine *engine = mill_ddl_engine(cli->conf.engine);
    const struct mill_ddl d = {.topic = cli->args[0],
                               .bucket = cli->conf.s3.bucket,
                               .prefix = cli->conf.s3.prefix,
                               .since = cli->conf.since,
                               .hours = cli->conf.hours,
                               .exact = cli->conf.exact,
                               .rejected = cli->conf.rejected};
    struct mill_policy_rule rules[DDL_RULES];
    struct mill_policy policy = {0};
    struct mill_shape *shape = NULL;
    struct mill_buf out;
    struct mill_err err = {0};
    enum mill_code rc;

    if (!engine)
        return cli_usage("engine: not one of athena, duckdb, spark, trino");
    if (d.exact && engine != mill_ddl_engine("duckdb"))
        return cli_usage("exact: only DuckDB has a way to read by one listing");
    if (!d.bucket || !*d.bucket)
        return cli_usage("s3-bucket is not set");
    mill_buf_init(&out, DDL_BYTES);
    rc = ddl_policy(&cli->conf, d.topic, rules, &policy, &err);
    if (!rc)
        rc = ddl_shape(cli, d.topic, &policy, &shape, &err);
    if (!rc)
        rc = mill_ddl(engine, &d, shape, &out, &err);
    if (!rc)
        fwrite(out.p, 1, out.n, stdout);
    mill_shape_free(shape);
    mill_buf_release(&out);
    return rc ? cli_fail(&err) : MILL_EXIT_OK;
}
