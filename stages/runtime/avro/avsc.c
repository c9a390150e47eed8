/* Reads a schema's JSON into the tree of avsc.h. avro-c's parser is laxer (it takes two fields of
 * one name, a fixed of size -1), so it is no second guard at run time; a unit test asks it whether
 * it takes what we take. */
#include "avro/avsc_priv.h"

#include "base/json.h"
#include <stdlib.h>

/* Where we are: for messages, and for names without a namespace of their own. */
struct place {
    struct mill_schema *s;
    struct mill_str space;
    const char *at;
    unsigned depth;
    struct mill_err *err;
};

static enum mill_code schema_node(const struct place *at, const json_t *j,
                                  struct mill_avro_node **out);

static enum mill_code schema_fail(const struct place *at, const char *why)
{
    return mill_fail(at->err, MILL_E_SCHEMA, at->at, "%s", why);
}

static enum mill_code schema_nomem(const struct place *at)
{
    return mill_fail(at->err, MILL_E_NOMEM, at->at, "out of memory");
}

/* A name of [A-Za-z_][A-Za-z0-9_]*; with dots: several of them. */
static bool schema_name_ok(struct mill_str s, bool dots)
{
    bool first = true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (dots && c == '.' && !first) {
            first = true;
            continue;
        }
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (first || c < '0' || c > '9'))
            return false;
        first = false;
    }
    return !first;
}

static bool schema_primitive(struct mill_str name, enum mill_avro_type *t)
{
    for (int i = MILL_AVRO_NULL; i <= MILL_AVRO_STRING; i++) {
        if (mill_str_is(name, mill_avro_type_name((enum mill_avro_type)i))) {
            *t = (enum mill_avro_type)i;
            return true;
        }
    }
    return false;
}

static struct mill_str schema_space(struct mill_str full)
{
    struct mill_str last = mill_avro_short_name(full);
    return (struct mill_str){full.p, last.n == full.n ? 0 : full.n - last.n - 1};
}

/* A name as written, in a namespace: with dots it is full already. */
static struct mill_str schema_full(const struct place *at, struct mill_str name)
{
    if (!at->space.n || memchr(name.p, '.', name.n))
        return name;
    return mill_arena_printf(&at->s->arena, "%.*s.%.*s", MILL_FMT(at->space), MILL_FMT(name));
}

static struct mill_avro_node *schema_find(const struct mill_schema *s, struct mill_str full)
{
    for (const struct mill_schema_name *n = s->names; n; n = n->next)
        if (mill_str_eq(n->node->name, full))
            return n->node;
    return NULL;
}

static enum mill_code schema_new(const struct place *at, enum mill_avro_type type,
                                 struct mill_avro_node **out)
{
    if (++at->s->nodes > MILL_SCHEMA_MAX_NODES)
        return schema_fail(at, "schema has too many types");
    *out = mill_arena_calloc(&at->s->arena, 1, sizeof **out);
    if (!*out)
        return schema_nomem(at);
    (*out)->type = type;
    (*out)->min_bytes = mill_schema_least(type);
    (*out)->default_symbol = -1;
    return MILL_OK;
}

/* A JSON list of names; full: aliases of a type, which get a namespace. */
static enum mill_code schema_names(const struct place *at, const json_t *j, bool full,
                                   struct mill_strs *out)
{
    size_t n = json_array_size(j);
    if (!j)
        return MILL_OK;
    if (!json_is_array(j))
        return schema_fail(at, "aliases or symbols must be a list");
    struct mill_str *v = mill_arena_calloc(&at->s->arena, n ? n : 1, sizeof *v);
    if (!v)
        return schema_nomem(at);
    for (size_t i = 0; i < n; i++) {
        v[i] = mill_json_text(json_array_get(j, i));
        if (!schema_name_ok(v[i], full))
            return schema_fail(at, "bad name in aliases or symbols");
        if (full)
            v[i] = schema_full(at, v[i]);
        if (!v[i].p)
            return schema_nomem(at);
    }
    *out = (struct mill_strs){v, n};
    return MILL_OK;
}

/* Name, namespace and aliases of a named type; *in is the place inside of it. */
static enum mill_code schema_named(const struct place *at, const json_t *j,
                                   struct mill_avro_node *node, struct place *in)
{
    struct mill_str name = mill_json_str(j, "name");
    const json_t *space = json_object_get(j, "namespace");
    enum mill_avro_type t;

    *in = *at;
    if (!schema_name_ok(name, true) || schema_primitive(name, &t))
        return schema_fail(at, "a record, enum or fixed needs a valid name");
    if (space && !json_is_null(space)) {
        in->space = mill_json_text(space);
        if (!json_is_string(space) || (in->space.n && !schema_name_ok(in->space, true)))
            return schema_fail(at, "bad namespace");
    }
    node->name = schema_full(in, name);
    if (!node->name.p)
        return schema_nomem(at);
    in->space = schema_space(node->name);
    in->at = name.p;
    if (schema_find(at->s, node->name))
        return schema_fail(in, "a type of this name is already defined");
    struct mill_schema_name *entry = mill_arena_alloc(&at->s->arena, sizeof *entry);
    if (!entry)
        return schema_nomem(at);
    *entry = (struct mill_schema_name){at->s->names, node};
    at->s->names = entry;
    return schema_names(in, json_object_get(j, "aliases"), true, &node->aliases);
}

static enum mill_code schema_field(const struct place *at, const json_t *j,
                                   struct mill_avro_field *f)
{
    struct place in = *at;
    f->name = mill_json_str(j, "name");
    if (!schema_name_ok(f->name, false))
        return schema_fail(at, "a field needs a valid name");
    in.at = f->name.p;
    f->doc = mill_json_str(j, "doc");
    f->def = json_object_get(j, "default");
    enum mill_code rc = schema_names(&in, json_object_get(j, "aliases"), false, &f->aliases);
    if (rc)
        return rc;
    return schema_node(&in, json_object_get(j, "type"), &f->type);
}

static enum mill_code schema_record(const struct place *at, const json_t *j,
                                    struct mill_avro_node *node)
{
    struct place in;
    enum mill_code rc = schema_named(at, j, node, &in);
    const json_t *fields = json_object_get(j, "fields");

    if (rc)
        return rc;
    if (!json_is_array(fields))
        return schema_fail(&in, "a record needs fields");
    size_t n = json_array_size(fields);
    if (n > MILL_SCHEMA_MAX_NODES)
        return schema_fail(&in, "schema has too many types");
    node->fields = mill_arena_calloc(&at->s->arena, n ? n : 1, sizeof *node->fields);
    if (!node->fields)
        return schema_nomem(at);
    for (size_t i = 0; i < n; i++) {
        rc = schema_field(&in, json_array_get(fields, i), &node->fields[i]);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++) {
            if (mill_str_eq(node->fields[k].name, node->fields[i].name)) {
                in.at = node->fields[i].name.p;
                return schema_fail(&in, "two fields of this name");
            }
        }
    }
    node->n = n;
    return MILL_OK;
}

static enum mill_code schema_enum(const struct place *at, const json_t *j,
                                  struct mill_avro_node *node)
{
    struct place in;
    enum mill_code rc = schema_named(at, j, node, &in);
    const json_t *symbols = json_object_get(j, "symbols"), *def = json_object_get(j, "default");

    if (rc)
        return rc;
    if (!json_array_size(symbols) || json_array_size(symbols) > MILL_SCHEMA_MAX_NODES)
        return schema_fail(&in, "an enum needs symbols");
    rc = schema_names(&in, symbols, false, &node->symbols);
    if (rc)
        return rc;
    for (size_t i = 0; i < node->symbols.n; i++) {
        for (size_t k = 0; k < i; k++)
            if (mill_str_eq(node->symbols.v[k], node->symbols.v[i]))
                return schema_fail(&in, "an enum's symbols must differ");
        if (json_is_string(def) && mill_str_eq(mill_json_text(def), node->symbols.v[i]))
            node->default_symbol = (int32_t)i;
    }
    if (def && node->default_symbol < 0)
        return schema_fail(&in, "an enum's default must be one of its symbols");
    return MILL_OK;
}

static enum mill_code schema_fixed(const struct place *at, const json_t *j,
                                   struct mill_avro_node *node)
{
    struct place in;
    enum mill_code rc = schema_named(at, j, node, &in);
    const json_t *size = json_object_get(j, "size");

    if (rc)
        return rc;
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > MILL_SCHEMA_MAX_FIXED)
        return schema_fail(&in, "a fixed needs a size");
    node->size = node->min_bytes = (size_t)json_integer_value(size);
    return MILL_OK;
}

static enum mill_code schema_union(const struct place *at, const json_t *j,
                                   struct mill_avro_node *node)
{
    size_t n = json_array_size(j);
    if (!n)
        return schema_fail(at, "a union needs a branch");
    if (n > MILL_SCHEMA_MAX_NODES)
        return schema_fail(at, "schema has too many types");
    node->branches = mill_arena_calloc(&at->s->arena, n, sizeof(struct mill_avro_node *));
    if (!node->branches)
        return schema_nomem(at);
    for (size_t i = 0; i < n; i++) {
        enum mill_code rc = schema_node(at, json_array_get(j, i), &node->branches[i]);
        if (rc)
            return rc;
        const struct mill_avro_node *b = node->branches[i];
        if (b->type == MILL_AVRO_UNION)
            return schema_fail(at, "a union may not hold a union");
        for (size_t k = 0; k < i; k++)
            if (node->branches[k]->type == b->type && mill_str_eq(node->branches[k]->name, b->name))
                return schema_fail(at, "two branches of a union have the same type");
    }
    node->n = n;
    return MILL_OK;
}

/* A bare name: a primitive, or a type defined before. */
static enum mill_code schema_reference(const struct place *at, struct mill_str name,
                                       struct mill_avro_node **out)
{
    enum mill_avro_type t;
    if (schema_primitive(name, &t))
        return schema_new(at, t, out);
    if (!schema_name_ok(name, true))
        return schema_fail(at, "bad type name");
    struct mill_str full = schema_full(at, name);
    if (!full.p)
        return schema_nomem(at);
    *out = schema_find(at->s, full);
    if (!*out)
        return mill_fail(at->err, MILL_E_SCHEMA, at->at, "unknown type \"%.*s\"",
                         (int)(full.n < 100 ? full.n : 100), full.p);
    return MILL_OK;
}

static enum mill_code schema_list(const struct place *at, const json_t *j,
                                  struct mill_avro_node *node)
{
    const char *key = node->type == MILL_AVRO_MAP ? "values" : "items";
    return schema_node(at, json_object_get(j, key), &node->items);
}

static enum mill_code schema_complex(const struct place *at, const json_t *j, struct mill_str type,
                                     struct mill_avro_node **out)
{
    static const struct {
        enum mill_avro_type type;
        enum mill_code (*parse)(const struct place *, const json_t *, struct mill_avro_node *);
    } kinds[] = {
        {MILL_AVRO_RECORD, schema_record}, {MILL_AVRO_ENUM, schema_enum},
        {MILL_AVRO_FIXED, schema_fixed},   {MILL_AVRO_ARRAY, schema_list},
        {MILL_AVRO_MAP, schema_list},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!mill_str_is(type, mill_avro_type_name(kinds[i].type)))
            continue;
        enum mill_code rc = schema_new(at, kinds[i].type, out);
        return rc ? rc : kinds[i].parse(at, j, *out);
    }
    return schema_reference(at, type, out);
}

static enum mill_code schema_object(const struct place *at, const json_t *j,
                                    struct mill_avro_node **out)
{
    const json_t *type = json_object_get(j, "type");
    enum mill_code rc;

    if (json_is_object(type) || json_is_array(type)) /* {"type": {"type": "string"}} */
        return schema_node(at, type, out);
    if (!json_is_string(type))
        return schema_fail(at, "a type must be a name, an object or a list");
    rc = schema_complex(at, j, mill_json_text(type), out);
    /* A reference to a named type keeps what its definition says. */
    if (!rc && ((*out)->type <= MILL_AVRO_STRING || mill_str_is(mill_json_text(type), "fixed")))
        mill_schema_logical(j, *out);
    return rc;
}

static enum mill_code schema_node(const struct place *at, const json_t *j,
                                  struct mill_avro_node **out)
{
    struct place in = *at;
    enum mill_code rc;

    if (++in.depth > MILL_SCHEMA_MAX_DEPTH)
        return schema_fail(at, "schema is nested too deep");
    if (json_is_string(j))
        return schema_reference(&in, mill_json_text(j), out);
    if (json_is_object(j))
        return schema_object(&in, j, out);
    if (!json_is_array(j))
        return schema_fail(at, "a type must be a name, an object or a list");
    rc = schema_new(&in, MILL_AVRO_UNION, out);
    return rc ? rc : schema_union(&in, j, *out);
}

enum mill_code mill_schema_parse(struct mill_schema **out, struct mill_str json,
                                 struct mill_err *err)
{
    struct mill_schema *s = NULL;
    struct place at = {.at = "schema", .err = err};
    json_error_t bad;
    enum mill_code rc;

    *out = NULL;
    if (json.n > MILL_SCHEMA_MAX_BYTES)
        return schema_fail(&at, "schema text is too long");
    s = calloc(1, sizeof *s);
    if (!s)
        return schema_nomem(&at);
    mill_arena_init(&s->arena);
    at.s = s;
    /* Not mill_json_parse: a default of type bytes may hold U+0000. */
    s->json = json_loadb(json.p ? json.p : "", json.n,
                         JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &bad);
    if (!s->json) {
        rc =
            mill_fail(err, MILL_E_SCHEMA, "schema", "no JSON: line %d: %.120s", bad.line, bad.text);
        goto out;
    }
    rc = schema_node(&at, s->json, &s->root);
    if (!rc)
        rc = mill_schema_sizes(s, err);
    if (!rc) {
        *out = s;
        s = NULL;
    }
out:
    mill_schema_free(s);
    return rc;
}

void mill_schema_free(struct mill_schema *s)
{
    if (!s)
        return;
    json_decref(s->json);
    mill_arena_release(&s->arena);
    free(s);
}

const struct mill_avro_node *mill_schema_root(const struct mill_schema *s)
{
    return s->root;
}
