/* sendmill lake ddl: how a query engine reads a topic's files. */
#include "lake/ddl.h"
#include "avro/registry.h"
#include "cli.h"
#include "lake/raw.h"
#include "text.h"

#include <stdio.h>

enum { DDL_BYTES = 4 << 20 };

/** The columns of the newest schema; those of a raw topic where the registry has none. */
static enum mill_code ddl_shape(struct cli *cli, const char *topic, struct mill_shape **out,
                                struct mill_err *err)
{
    char subject[300];
    struct mill_registry *registry = NULL;
    struct mill_schema *schema = NULL;
    struct mill_shape *base = NULL;
    struct mill_str json;
    int32_t id;
    enum mill_code rc =
        mill_registry_new(&registry, cli->conf.common.registry, CLI_REGISTRY_MS, err);

    snprintf(subject, sizeof subject, "%s-value", topic);
    if (!rc)
        rc = mill_registry_latest(registry, subject, &id, &json, err);
    if (rc == MILL_E_NOENT) {
        fprintf(stderr, "no schema is registered as %s: columns of a raw topic\n", subject);
        rc = mill_raw_shape(out, false, err);
    } else if (!rc) {
        rc = mill_schema_parse(&schema, json, err);
        if (!rc)
            rc = mill_shape_new(&base, 0, NULL, err);
        if (!rc)
            rc = mill_shape_grow(base, mill_schema_root(schema), out, err);
    }
    mill_shape_free(base);
    mill_schema_free(schema);
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
                               .hours = cli->conf.hours};
    struct mill_shape *shape = NULL;
    struct mill_buf out;
    struct mill_err err = {0};
    enum mill_code rc;

    if (!engine)
        return cli_usage("engine: not one of athena, duckdb, spark, trino");
    if (!d.bucket || !*d.bucket)
        return cli_usage("s3-bucket is not set");
    mill_buf_init(&out, DDL_BYTES);
    rc = ddl_shape(cli, d.topic, &shape, &err);
    if (!rc)
        rc = mill_ddl(engine, &d, shape, &out, &err);
    if (!rc)
        fwrite(out.p, 1, out.n, stdout);
    mill_shape_free(shape);
    mill_buf_release(&out);
    return rc ? cli_fail(&err) : MILL_EXIT_OK;
}
