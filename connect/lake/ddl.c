#include "lake/ddl.h"

#include <ctype.h>
#include <string.h>

enum { DDL_DIGITS = 38 /**< most that the engines read */ };

/** How an engine writes a type; NULL = its Parquet reader does not know it. */
struct mill_ddl_engine {
    const char *name;
    char quote;
    const char *leaf[MILL_COL_MAP + 1];
    const char *local_time;       /**< a timestamp without zone */
    const char *decimal;          /**< its word */
    const char *record[3];        /**< before, between name and type, behind */
    const char *list[2], *map[3]; /**< around, and between */
    bool no_nanos;                /**< it cannot read times of nanoseconds */
    bool is_view;                 /**< the files say their columns themselves: ours are a comment */
    void (*head)(const struct mill_ddl_engine *, const struct mill_ddl *, struct mill_buf *);
    void (*tail)(const struct mill_ddl_engine *, const struct mill_ddl *, struct mill_buf *);
};

/** A topic's name as a table's: words of [a-z0-9_]. */
static void ddl_table(const struct mill_ddl *d, struct mill_buf *out)
{
    for (const char *p = d->topic; *p; p++)
        mill_buf_putc(out, isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_');
    mill_buf_puts(out, d->rejected ? "_rejected" : "");
}

/** A column's or member's name as the files have it, or the engine would not find it. Always
 * quoted: Avro's names are plain words, but `to` and `from` are words of SQL. */
static void ddl_name(const struct mill_ddl_engine *e, struct mill_str s, struct mill_buf *out)
{
    mill_buf_putc(out, e->quote);
    mill_buf_str_add(out, s);
    mill_buf_putc(out, e->quote);
}

/** Can the engine read it, and all that is in it? */
static bool ddl_can(const struct mill_ddl_engine *e, const struct mill_col *c)
{
    if (c->type == MILL_COL_DECIMAL)
        return c->precision <= DDL_DIGITS;
    if (c->type == MILL_COL_TIMESTAMP && c->unit == MILL_UNIT_NS && e->no_nanos)
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (!ddl_can(e, c->kids[i]))
            return false;
    return c->n || e->leaf[c->type] != NULL;
}

static void ddl_type(const struct mill_ddl_engine *e, const struct mill_col *c,
                     struct mill_buf *out)
{
    switch (c->type) {
    case MILL_COL_STRUCT:
        mill_buf_puts(out, e->record[0]);
        for (size_t i = 0; i < c->n; i++) {
            mill_buf_puts(out, i ? ", " : "");
            ddl_name(e, c->kids[i]->name, out);
            mill_buf_puts(out, e->record[1]);
            ddl_type(e, c->kids[i], out);
        }
        mill_buf_puts(out, e->record[2]);
        break;
    case MILL_COL_LIST:
        mill_buf_puts(out, e->list[0]);
        ddl_type(e, c->kids[0], out);
        mill_buf_puts(out, e->list[1]);
        break;
    case MILL_COL_MAP:
        mill_buf_puts(out, e->map[0]);
        ddl_type(e, c->kids[0]->kids[0], out);
        mill_buf_puts(out, e->map[1]);
        ddl_type(e, c->kids[0]->kids[1], out);
        mill_buf_puts(out, e->map[2]);
        break;
    case MILL_COL_DECIMAL:
        mill_buf_printf(out, "%s(%d, %d)", e->decimal, (int)c->precision, (int)c->scale);
        break;
    case MILL_COL_TIMESTAMP:
        mill_buf_puts(out, c->utc ? e->leaf[c->type] : e->local_time);
        break;
    default:
        mill_buf_puts(out, e->leaf[c->type]);
    }
}

static void ddl_place(const struct mill_ddl *d, struct mill_buf *out)
{
    mill_buf_printf(out, "%s/%s%s=%s", d->bucket, d->prefix, d->rejected ? "rejected" : "topic",
                    d->topic);
}

/* --- the engines ----------------------------------------------------------------------------- */

static void athena_head(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        struct mill_buf *out)
{
    (void)e;
    mill_buf_puts(out, "CREATE EXTERNAL TABLE IF NOT EXISTS `");
    ddl_table(d, out);
    mill_buf_puts(out, "` (\n");
}

/* Partition projection: no crawler, and a new day is there when its first file is. */
static void athena_tail(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        struct mill_buf *out)
{
    (void)e;
    mill_buf_printf(out, "\n)\nPARTITIONED BY (`dt` string%s)\nSTORED AS PARQUET\nLOCATION 's3://",
                    d->hours ? ", `hour` string" : "");
    ddl_place(d, out);
    mill_buf_printf(out,
                    "/'\nTBLPROPERTIES (\n"
                    "    'projection.enabled' = 'true',\n"
                    "    'projection.dt.type' = 'date',\n"
                    "    'projection.dt.format' = 'yyyy-MM-dd',\n"
                    "    'projection.dt.range' = '%s,NOW+1DAYS',\n"
                    "    'projection.dt.interval' = '1',\n"
                    "    'projection.dt.interval.unit' = 'DAYS',\n",
                    d->since);
    if (d->hours)
        mill_buf_puts(out, "    'projection.hour.type' = 'integer',\n"
                           "    'projection.hour.range' = '0,23',\n"
                           "    'projection.hour.digits' = '2',\n");
    mill_buf_puts(out, "    'storage.location.template' = 's3://");
    ddl_place(d, out);
    mill_buf_printf(out, "/dt=${dt}/%s'\n);\n", d->hours ? "hour=${hour}/" : "");
}

/* One listing decides: of two files of which one has the range of the other, the longer is read
 * (connect/compact/README.md). */
static void duckdb_listing(const struct mill_ddl *d, struct mill_buf *out)
{
    mill_buf_puts(out,
                  "-- the files as they lie there now; again before queries that want newer ones\n"
                  "SET VARIABLE files_of_");
    ddl_table(d, out);
    mill_buf_puts(out, " = (\n    WITH f AS (SELECT file, regexp_extract(file,\n"
                       "        '^(.*/)[^/+]*[+]([^+]*[+][0-9]+)[+]([0-9]+)-([0-9]+)[.]parquet$',\n"
                       "        ['path', 'log', 's', 'e']) AS n FROM glob('s3://");
    ddl_place(d, out);
    mill_buf_puts(out,
                  "/**/*.parquet'))\n"
                  "    SELECT list(file) FROM f WHERE NOT EXISTS (SELECT 1 FROM f AS m\n"
                  "        WHERE m.file <> f.file AND m.n.path = f.n.path AND m.n.log = f.n.log\n"
                  "        AND TRY_CAST(m.n.s AS BIGINT) <= TRY_CAST(f.n.s AS BIGINT)\n"
                  "        AND TRY_CAST(m.n.e AS BIGINT) >= TRY_CAST(f.n.e AS BIGINT)));\n");
}

static void duckdb_head(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        struct mill_buf *out)
{
    (void)e;
    if (d->exact)
        duckdb_listing(d, out);
    mill_buf_puts(out, "CREATE OR REPLACE VIEW \"");
    ddl_table(d, out);
    mill_buf_puts(out, "\" AS SELECT * FROM read_parquet(");
    if (d->exact) {
        mill_buf_puts(out, "getvariable('files_of_");
        ddl_table(d, out);
        mill_buf_puts(out, "')");
    } else {
        mill_buf_puts(out, "'s3://");
        ddl_place(d, out);
        mill_buf_puts(out, "/**/*.parquet'");
    }
    mill_buf_printf(out,
                    ",\n    hive_partitioning = true, hive_types = {'dt': DATE%s}, "
                    "union_by_name = true);\n-- its columns:\n",
                    d->hours ? ", 'hour': INTEGER" : "");
}

static void duckdb_tail(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        struct mill_buf *out)
{
    (void)e;
    (void)d;
    mill_buf_putc(out, '\n');
}

static void spark_head(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                       struct mill_buf *out)
{
    (void)e;
    mill_buf_puts(out, "CREATE TABLE IF NOT EXISTS `");
    ddl_table(d, out);
    mill_buf_puts(out, "` (\n");
}

static void spark_tail(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                       struct mill_buf *out)
{
    (void)e;
    mill_buf_printf(out,
                    ",\n    `dt` DATE%s\n)\nUSING PARQUET\nPARTITIONED BY (`dt`%s)\nLOCATION "
                    "'s3a://",
                    d->hours ? ",\n    `hour` INT" : "", d->hours ? ", `hour`" : "");
    ddl_place(d, out);
    mill_buf_puts(out, "/';\n-- after each new day:\nMSCK REPAIR TABLE `");
    ddl_table(d, out);
    mill_buf_puts(out, "`;\n");
}

static void trino_head(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                       struct mill_buf *out)
{
    (void)e;
    mill_buf_puts(out, "CREATE TABLE IF NOT EXISTS hive.\"default\".\"");
    ddl_table(d, out);
    mill_buf_puts(out, "\" (\n");
}

static void trino_tail(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                       struct mill_buf *out)
{
    (void)e;
    mill_buf_printf(out,
                    ",\n    \"dt\" date%s\n)\nWITH (format = 'PARQUET', partitioned_by = "
                    "ARRAY['dt'%s],\n    external_location = 's3a://",
                    d->hours ? ",\n    \"hour\" integer" : "", d->hours ? ", 'hour'" : "");
    ddl_place(d, out);
    mill_buf_puts(out, "/');\n-- after each new day:\nCALL hive.system.sync_partition_metadata("
                       "'default', '");
    ddl_table(d, out);
    mill_buf_puts(out, "', 'ADD');\n");
}

static const struct mill_ddl_engine ddl_engines[] = {
    {.name = "athena",
     .quote = '`',
     .leaf = {[MILL_COL_BOOL] = "boolean",
              [MILL_COL_I32] = "int",
              [MILL_COL_I64] = "bigint",
              [MILL_COL_F32] = "float",
              [MILL_COL_F64] = "double",
              [MILL_COL_UTF8] = "string",
              [MILL_COL_BINARY] = "binary",
              [MILL_COL_FIXED] = "binary",
              [MILL_COL_DATE] = "date",
              [MILL_COL_TIMESTAMP] = "timestamp"},
     .local_time = "timestamp",
     .decimal = "decimal",
     .record = {"struct<", ":", ">"},
     .list = {"array<", ">"},
     .map = {"map<", ", ", ">"},
     .head = athena_head,
     .tail = athena_tail},
    {.name = "duckdb",
     .quote = '"',
     .leaf = {[MILL_COL_BOOL] = "BOOLEAN",
              [MILL_COL_I32] = "INTEGER",
              [MILL_COL_I64] = "BIGINT",
              [MILL_COL_F32] = "FLOAT",
              [MILL_COL_F64] = "DOUBLE",
              [MILL_COL_UTF8] = "VARCHAR",
              [MILL_COL_BINARY] = "BLOB",
              [MILL_COL_FIXED] = "BLOB",
              [MILL_COL_DATE] = "DATE",
              [MILL_COL_TIME] = "TIME",
              [MILL_COL_TIMESTAMP] = "TIMESTAMP WITH TIME ZONE"},
     .local_time = "TIMESTAMP",
     .decimal = "DECIMAL",
     .record = {"STRUCT(", " ", ")"},
     .list = {"", "[]"},
     .map = {"MAP(", ", ", ")"},
     .is_view = true,
     .head = duckdb_head,
     .tail = duckdb_tail},
    {.name = "spark",
     .quote = '`',
     .leaf = {[MILL_COL_BOOL] = "BOOLEAN",
              [MILL_COL_I32] = "INT",
              [MILL_COL_I64] = "BIGINT",
              [MILL_COL_F32] = "FLOAT",
              [MILL_COL_F64] = "DOUBLE",
              [MILL_COL_UTF8] = "STRING",
              [MILL_COL_BINARY] = "BINARY",
              [MILL_COL_FIXED] = "BINARY",
              [MILL_COL_DATE] = "DATE",
              [MILL_COL_TIMESTAMP] = "TIMESTAMP"},
     .local_time = "TIMESTAMP_NTZ",
     .decimal = "DECIMAL",
     .record = {"STRUCT<", ": ", ">"},
     .list = {"ARRAY<", ">"},
     .map = {"MAP<", ", ", ">"},
     .no_nanos = true,
     .head = spark_head,
     .tail = spark_tail},
    {.name = "trino",
     .quote = '"',
     .leaf = {[MILL_COL_BOOL] = "boolean",
              [MILL_COL_I32] = "integer",
              [MILL_COL_I64] = "bigint",
              [MILL_COL_F32] = "real",
              [MILL_COL_F64] = "double",
              [MILL_COL_UTF8] = "varchar",
              [MILL_COL_BINARY] = "varbinary",
              [MILL_COL_FIXED] = "varbinary",
              [MILL_COL_DATE] = "date",
              [MILL_COL_TIMESTAMP] = "timestamp"},
     .local_time = "timestamp",
     .decimal = "decimal",
     .record = {"row(", " ", ")"},
     .list = {"array(", ")"},
     .map = {"map(", ", ", ")"},
     .head = trino_head,
     .tail = trino_tail},
};

const struct mill_ddl_engine *mill_ddl_engine(const char *name)
{
    for (size_t i = 0; i < sizeof ddl_engines / sizeof *ddl_engines; i++)
        if (!strcmp(ddl_engines[i].name, name))
            return &ddl_engines[i];
    return NULL;
}

enum mill_code mill_ddl(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        const struct mill_shape *shape, struct mill_buf *out, struct mill_err *err)
{
    const struct mill_col *root = shape->root;
    bool first = true;

    for (size_t i = 0; i < root->n; i++) {
        if (ddl_can(e, root->kids[i]))
            continue;
        mill_buf_printf(out, "-- %.*s: %s cannot read its type\n", MILL_FMT(root->kids[i]->name),
                        e->name);
    }
    e->head(e, d, out);
    for (size_t i = 0; i < root->n; i++) {
        if (!ddl_can(e, root->kids[i]))
            continue;
        mill_buf_puts(out, first ? "" : e->is_view ? "\n" : ",\n");
        mill_buf_puts(out, e->is_view ? "--  " : "    ");
        ddl_name(e, root->kids[i]->name, out);
        mill_buf_putc(out, ' ');
        ddl_type(e, root->kids[i], out);
        first = false;
    }
    e->tail(e, d, out);
    return out->failed ? mill_fail(err, MILL_E_NOMEM, "ddl", "out of memory") : MILL_OK;
}
