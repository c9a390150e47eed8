/** @file stage_test.c  @brief See stage_test.h. */
#include "stage_test.h"

static json_t *dump(const struct mill_desc *desc, const void *value);

static json_t *text(struct mill_str s)
{
    json_t *v = json_stringn(s.p ? s.p : "", s.n);

    return v ? v : json_sprintf("<%zu bytes>", s.n);
}

static json_t *dump_strings(const struct mill_strs *s)
{
    json_t *a = s->n ? json_array() : NULL;

    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(a, text(s->v[i]));
    return a;
}

static json_t *dump_map(const struct mill_map *m)
{
    json_t *o = m->n ? json_object() : NULL;

    for (size_t i = 0; i < m->n; i++) {
        char key[128];
        mill_str_cut(m->v[i].key, key, sizeof(key));
        json_object_set_new(o, key, text(m->v[i].value));
    }
    return o;
}

static json_t *dump_records(const struct mill_field *f, const struct mill_list *list)
{
    json_t *a = list->n ? json_array() : NULL;

    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(a, dump(f->sub, (const char *)list->v + i * f->sub->size));
    return a;
}

static json_t *dump_optional(const struct mill_field *f, const void *p)
{
    const struct mill_opt_i64 *i = p;
    const struct mill_opt_bool *b = p;
    const void *record = *(const void *const *)p;

    if (f->kind == MILL_OPT_I64)
        return i->has ? json_integer(i->v) : NULL;
    if (f->kind == MILL_OPT_BOOLEAN)
        return b->has ? json_boolean(b->v) : NULL;
    return record ? dump(f->sub, record) : NULL;
}

static json_t *dump_field(const struct mill_field *f, const void *p)
{
    const struct mill_str *s = p;

    switch (f->kind) {
    case MILL_STRING:
        return s->n ? text(*s) : NULL;
    case MILL_I64:
        return strcmp(f->name, "at") ? json_integer(*(const int64_t *)p) : json_string("now");
    case MILL_BOOL:
        return json_boolean(*(const bool *)p);
    case MILL_F64:
        return json_real(*(const double *)p);
    case MILL_ENUM:
        return json_string(f->names[*(const int *)p]);
    case MILL_STRINGS:
        return dump_strings(p);
    case MILL_STRING_MAP:
        return dump_map(p);
    case MILL_RECORD:
        return dump(f->sub, p);
    case MILL_RECORDS:
        return dump_records(f, p);
    default:
        return dump_optional(f, p);
    }
}

static json_t *dump(const struct mill_desc *desc, const void *value)
{
    json_t *o = json_object();

    for (const struct mill_field *f = desc->fields; f->name; f++) {
        json_t *v = dump_field(f, (const char *)value + f->off);
        if (v)
            json_object_set_new(o, f->name, v);
    }
    return o;
}

static void add_emit(struct mill_buf *b, const struct fake_emit *e, const struct mill_stage *spec)
{
    if (e->port == SIZE_MAX) {
        mill_buf_printf(b, "> %s %d %.*s", e->topic, e->partition, MILL_FMT(e->key));
        for (size_t i = 0; i < e->headers.n; i++) {
            mill_buf_printf(b, " %.*s=%.*s", MILL_FMT(e->headers.v[i].key),
                            MILL_FMT(e->headers.v[i].value));
        }
    } else {
        const struct mill_port *port = &spec->out[e->port];
        json_t *o = dump(port->desc, e->value);
        char *json = json_dumps(o, JSON_COMPACT);

        mill_buf_printf(b, "%s %.*s %s", port->name, MILL_FMT(e->key), json);
        free(json);
        json_decref(o);
    }
    mill_buf_putc(b, '\n');
}

const char *stage_text(const struct mill_ctx *ctx, const struct mill_stage *spec)
{
    static char out[64 * 1024];
    struct mill_buf b;

    mill_buf_init(&b, sizeof(out) - 1);
    for (size_t i = 0; i < fake_emits(ctx); i++)
        add_emit(&b, fake_emit(ctx, i), spec);
    assert_false(b.failed);
    mill_str_cut(mill_buf_view(&b), out, sizeof(out));
    mill_buf_release(&b);
    return out;
}

void stage_expect(const struct mill_ctx *ctx, const struct mill_stage *spec, const char *want)
{
    const char *got = stage_text(ctx, spec);

    if (strcmp(got, want))
        fail_msg("emitted:\n%sexpected:\n%s", got, want);
}

json_t *stage_reference(const char *name)
{
    const char *shared = getenv("MILL_SHARED");
    char path[512];
    json_t *v = NULL;

    /* tests run in tests/ */
    snprintf(path, sizeof(path), "%s/reference/%s", shared ? shared : "../../shared", name);
    v = json_load_file(path, 0, NULL);
    if (!v)
        printf("# skipped: no %s\n", path);
    return v;
}
