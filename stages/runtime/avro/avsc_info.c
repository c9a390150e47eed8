/* What is known of a type beyond its JSON: names, logical types, least sizes. */
#include "avro/avsc_priv.h"

#include "base/json.h"

static const char *const type_names[] = {
    [MILL_AVRO_NULL] = "null",   [MILL_AVRO_BOOLEAN] = "boolean", [MILL_AVRO_INT] = "int",
    [MILL_AVRO_LONG] = "long",   [MILL_AVRO_FLOAT] = "float",     [MILL_AVRO_DOUBLE] = "double",
    [MILL_AVRO_BYTES] = "bytes", [MILL_AVRO_STRING] = "string",   [MILL_AVRO_FIXED] = "fixed",
    [MILL_AVRO_ENUM] = "enum",   [MILL_AVRO_RECORD] = "record",   [MILL_AVRO_ARRAY] = "array",
    [MILL_AVRO_MAP] = "map",     [MILL_AVRO_UNION] = "union",
};

const char *mill_avro_type_name(enum mill_avro_type t)
{
    return type_names[t];
}

struct mill_str mill_avro_short_name(struct mill_str full)
{
    size_t i = full.n;
    while (i && full.p[i - 1] != '.')
        i--;
    return (struct mill_str){full.p + i, full.n - i};
}

const struct mill_avro_node *mill_avro_nullable(const struct mill_avro_node *n, bool *nullable)
{
    bool null = false;
    const struct mill_avro_node *other = n;

    if (n->type == MILL_AVRO_UNION) {
        other = NULL;
        for (size_t i = 0; i < n->n; i++) {
            if (n->branches[i]->type == MILL_AVRO_NULL)
                null = true;
            else if (n->n <= 2 && !other)
                other = n->branches[i];
            else
                return NULL;
        }
        if (n->n == 2 && !null)
            other = NULL;
    }
    if (nullable)
        *nullable = null;
    return other;
}

static const struct {
    const char *name;
    enum mill_logical logical;
    enum mill_avro_type type;
} logicals[] = {
    {"uuid", MILL_LOGICAL_UUID, MILL_AVRO_STRING},
    {"date", MILL_LOGICAL_DATE, MILL_AVRO_INT},
    {"time-millis", MILL_LOGICAL_TIME_MILLIS, MILL_AVRO_INT},
    {"time-micros", MILL_LOGICAL_TIME_MICROS, MILL_AVRO_LONG},
    {"timestamp-millis", MILL_LOGICAL_TIMESTAMP_MILLIS, MILL_AVRO_LONG},
    {"timestamp-micros", MILL_LOGICAL_TIMESTAMP_MICROS, MILL_AVRO_LONG},
    {"timestamp-nanos", MILL_LOGICAL_TIMESTAMP_NANOS, MILL_AVRO_LONG},
    {"local-timestamp-millis", MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS, MILL_AVRO_LONG},
    {"local-timestamp-micros", MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS, MILL_AVRO_LONG},
    {"local-timestamp-nanos", MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS, MILL_AVRO_LONG},
};

static void schema_decimal(const json_t *j, struct mill_avro_node *node)
{
    json_int_t precision = json_integer_value(json_object_get(j, "precision"));
    json_int_t scale = json_integer_value(json_object_get(j, "scale"));
    if (precision < 1 || precision > 10000 || scale < 0 || scale > precision)
        return;
    node->logical = MILL_LOGICAL_DECIMAL;
    node->precision = (uint32_t)precision;
    node->scale = (uint32_t)scale;
}

/* What does not fit is ignored, not refused: the specification wants it so. */
void mill_schema_logical(const json_t *j, struct mill_avro_node *node)
{
    struct mill_str name = mill_json_str(j, "logicalType");
    bool fixed = node->type == MILL_AVRO_FIXED;

    if (!name.p)
        return;
    for (size_t i = 0; i < sizeof logicals / sizeof logicals[0]; i++)
        if (logicals[i].type == node->type && mill_str_is(name, logicals[i].name))
            node->logical = logicals[i].logical;
    if (fixed && node->size == 16 && mill_str_is(name, "uuid"))
        node->logical = MILL_LOGICAL_UUID;
    if (fixed && node->size == 12 && mill_str_is(name, "duration"))
        node->logical = MILL_LOGICAL_DURATION;
    if ((fixed || node->type == MILL_AVRO_BYTES) && mill_str_is(name, "decimal"))
        schema_decimal(j, node);
}

size_t mill_schema_least(enum mill_avro_type t)
{
    static const size_t least[] = {
        [MILL_AVRO_NULL] = 0,  [MILL_AVRO_BOOLEAN] = 1, [MILL_AVRO_INT] = 1,
        [MILL_AVRO_LONG] = 1,  [MILL_AVRO_FLOAT] = 4,   [MILL_AVRO_DOUBLE] = 8,
        [MILL_AVRO_BYTES] = 1, [MILL_AVRO_STRING] = 1,  [MILL_AVRO_FIXED] = 0,
        [MILL_AVRO_ENUM] = 1,  [MILL_AVRO_RECORD] = 0,  [MILL_AVRO_ARRAY] = 1,
        [MILL_AVRO_MAP] = 1,   [MILL_AVRO_UNION] = 1,
    };
    return least[t];
}

/* Follows only records held directly; what lies behind a union, array or map has its own least. */
static enum mill_code info_size(struct mill_avro_node *node, unsigned depth, struct mill_err *err)
{
    if (node->type != MILL_AVRO_RECORD || node->state == MILL_NODE_SIZED)
        return MILL_OK;
    if (node->state == MILL_NODE_OPEN || depth > MILL_SCHEMA_MAX_DEPTH)
        return mill_fail(err, MILL_E_SCHEMA, mill_avro_short_name(node->name).p,
                         "a record may not hold itself, nor be nested too deep");
    node->state = MILL_NODE_OPEN;
    for (size_t i = 0; i < node->n; i++) {
        struct mill_avro_node *type = node->fields[i].type;
        enum mill_code rc = info_size(type, depth + 1, err);
        if (rc)
            return rc;
        node->min_bytes += type->min_bytes;
        if (node->min_bytes > MILL_SCHEMA_MAX_FIXED)
            node->min_bytes = MILL_SCHEMA_MAX_FIXED;
    }
    node->state = MILL_NODE_SIZED;
    return MILL_OK;
}

enum mill_code mill_schema_sizes(struct mill_schema *s, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    for (struct mill_schema_name *n = s->names; n && !rc; n = n->next)
        rc = info_size(n->node, 0, err);
    return rc;
}
