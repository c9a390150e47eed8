/* The statements by which engines read a topic: every type, partitions, place. */
#include "lake/ddl.h"

#include "cases.h"
#include "lake/raw.h"

static const char SCHEMA[] =
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
    "{\"name\":\"b\",\"type\":\"boolean\"},{\"name\":\"i\",\"type\":\"int\"},"
    "{\"name\":\"l\",\"type\":[\"null\",\"long\"]},{\"name\":\"f\",\"type\":\"float\"},"
    "{\"name\":\"d\",\"type\":\"double\"},{\"name\":\"s\",\"type\":\"string\"},"
    "{\"name\":\"y\",\"type\":\"bytes\"},"
    "{\"name\":\"day\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},"
    "{\"name\":\"clock\",\"type\":{\"type\":\"long\",\"logicalType\":\"time-micros\"}},"
    "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
    "{\"name\":\"nano\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}},"
    "{\"name\":\"wall\",\"type\":{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}},"
    "{\"name\":\"n\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,"
    "\"scale\":2}},"
    "{\"name\":\"big\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":50}},"
    "{\"name\":\"to\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"A\","
    "\"fields\":[{\"name\":\"email\",\"type\":\"string\"},{\"name\":\"age\",\"type\":\"int\"}]}}},"
    "{\"name\":\"meta\",\"type\":{\"type\":\"map\",\"values\":\"string\"}}]}";

static const struct ddl_case {
    const char *name, *engine;
    bool hours;
    const char *want[16], *never[4];
} cases[] = {
    {"athena",
     "athena",
     false,
     {"-- clock: athena cannot read its type\n", "-- big: athena cannot read its type\n",
      "CREATE EXTERNAL TABLE IF NOT EXISTS `mail_events` (\n    `b` boolean,\n", "`l` bigint,",
      "`at` timestamp,", "`nano` timestamp,", "`wall` timestamp,", "`n` decimal(9, 2),",
      "`to` array<struct<`email`:string, `age`:int>>,", "`meta` map<string, string>\n)",
      "PARTITIONED BY (`dt` string)\nSTORED AS PARQUET\n"
      "LOCATION 's3://lake/a/topic=mail.events/'",
      "'projection.dt.range' = '2026-01-01,NOW+1DAYS'",
      "'storage.location.template' = 's3://lake/a/topic=mail.events/dt=${dt}/'"},
     {"hour", "`clock`"}},
    {"athena by the hour",
     "athena",
     true,
     {"PARTITIONED BY (`dt` string, `hour` string)", "'projection.hour.range' = '0,23'",
      "dt=${dt}/hour=${hour}/'"},
     {NULL}},
    {"duckdb",
     "duckdb",
     false,
     {"CREATE OR REPLACE VIEW \"mail_events\" AS SELECT * FROM "
      "read_parquet('s3://lake/a/topic=mail.events/**/*.parquet'",
      "hive_types = {'dt': DATE}", "--  \"clock\" TIME\n", "--  \"at\" TIMESTAMP WITH TIME ZONE\n",
      "--  \"wall\" TIMESTAMP\n", "--  \"to\" STRUCT(\"email\" VARCHAR, \"age\" INTEGER)[]\n",
      "--  \"meta\" MAP(VARCHAR, VARCHAR)\n"},
     {NULL}},
    {"spark",
     "spark",
     true,
     {"-- nano: spark cannot read its type\n", "CREATE TABLE IF NOT EXISTS `mail_events` (",
      "`wall` TIMESTAMP_NTZ,", "`to` ARRAY<STRUCT<`email`: STRING, `age`: INT>>,",
      "`meta` MAP<STRING, STRING>,\n    `dt` DATE", "PARTITIONED BY (`dt`, `hour`)",
      "LOCATION 's3a://lake/a/topic=mail.events/'", "MSCK REPAIR TABLE `mail_events`;"},
     {"`clock`", "`nano`"}},
    {"trino",
     "trino",
     false,
     {"CREATE TABLE IF NOT EXISTS hive.\"default\".\"mail_events\" (", "\"f\" real,",
      "\"y\" varbinary,", "\"to\" array(row(\"email\" varchar, \"age\" integer)),",
      "\"meta\" map(varchar, varchar),\n    \"dt\" date",
      "partitioned_by = ARRAY['dt'],\n    external_location = 's3a://lake/a/topic=mail.events/'"},
     {"\"clock\"", "hour"}},
};

static struct mill_shape *shape_of(const char *json)
{
    struct mill_schema *schema = NULL;
    struct mill_shape *base = NULL, *out = NULL;

    assert_int_equal(mill_schema_parse(&schema, mill_str(json), NULL), MILL_OK);
    assert_int_equal(mill_shape_new(&base, 0, NULL, NULL), MILL_OK);
    assert_int_equal(mill_shape_grow(base, mill_schema_root(schema), &out, NULL), MILL_OK);
    mill_shape_free(base);
    mill_schema_free(schema);
    return out;
}

static void test_engine(void **state)
{
    const struct ddl_case *c = *state;
    const struct mill_ddl d = {.topic = "mail.events",
                               .bucket = "lake",
                               .prefix = "a/",
                               .since = "2026-01-01",
                               .hours = c->hours};
    struct mill_shape *shape = shape_of(SCHEMA);
    struct mill_buf out;

    mill_buf_init(&out, 1 << 16);
    assert_int_equal(mill_ddl(mill_ddl_engine(c->engine), &d, shape, &out, NULL), MILL_OK);
    for (size_t i = 0; c->want[i]; i++)
        if (!strstr(out.p, c->want[i]))
            fail_msg("\"%s\" is not in\n%s", c->want[i], out.p);
    for (size_t i = 0; c->never[i]; i++)
        if (strstr(out.p, c->never[i]) && strncmp(strstr(out.p, c->never[i]) - 3, "-- ", 3) != 0)
            fail_msg("\"%s\" is in\n%s", c->never[i], out.p);
    mill_buf_release(&out);
    mill_shape_free(shape);
}

static void test_raw(void **state)
{
    struct mill_ddl d = {
        .topic = "mail.dlq", .bucket = "lake", .prefix = "", .since = "2026-01-01"};
    struct mill_shape *shape = NULL;
    struct mill_buf out;
    (void)state;

    mill_buf_init(&out, 1 << 16);
    assert_int_equal(mill_raw_shape(&shape, false, NULL), MILL_OK);
    assert_int_equal(mill_ddl(mill_ddl_engine("athena"), &d, shape, &out, NULL), MILL_OK);
    assert_non_null(strstr(out.p, "`headers` array<struct<`key`:string, `value`:binary>>"));
    assert_null(mill_ddl_engine("oracle"));
    mill_shape_free(shape);
    mill_buf_reset(&out);
    d.rejected = true;
    assert_int_equal(mill_raw_shape(&shape, true, NULL), MILL_OK);
    assert_int_equal(mill_ddl(mill_ddl_engine("athena"), &d, shape, &out, NULL), MILL_OK);
    assert_non_null(strstr(out.p, "TABLE IF NOT EXISTS `mail_dlq_rejected` ("));
    assert_non_null(strstr(out.p, "`reason` string\n)"));
    assert_non_null(strstr(out.p, "'s3://lake/rejected=mail.dlq/dt=${dt}/'"));
    mill_buf_reset(&out);
    d.rejected = false;
    d.exact = true; /* tests/e2e/compact.py has DuckDB run it */
    assert_int_equal(mill_ddl(mill_ddl_engine("duckdb"), &d, shape, &out, NULL), MILL_OK);
    assert_non_null(strstr(out.p, "SET VARIABLE files_of_mail_dlq = ("));
    assert_non_null(strstr(out.p, "read_parquet(getvariable('files_of_mail_dlq'),"));
    mill_buf_release(&out);
    mill_shape_free(shape);
}

static void test_no_room(void **state)
{
    const struct mill_ddl d = {.topic = "t", .bucket = "lake", .prefix = "", .since = "2026-01-01"};
    struct mill_shape *shape = shape_of(SCHEMA);
    struct mill_buf out;
    (void)state;

    mill_buf_init(&out, 64);
    assert_int_equal(mill_ddl(mill_ddl_engine("trino"), &d, shape, &out, NULL), MILL_E_NOMEM);
    mill_buf_release(&out);
    mill_shape_free(shape);
}

int main(void)
{
    struct CMUnitTest tests[sizeof cases / sizeof *cases + 2];
    size_t n = 0;

    for (; n < sizeof cases / sizeof *cases; n++)
        tests[n] = (struct CMUnitTest){cases[n].name, test_engine, NULL, NULL,
                                       (void *)(uintptr_t)&cases[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_raw);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_room);
    return _cmocka_run_group_tests("lake_ddl", tests, n, NULL, NULL);
}
