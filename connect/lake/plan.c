#include "lake/plan.h"

#include "base/json.h"

/* What is left of a plan's room by its other members, with all its schemas. */
enum { PLAN_LAYOUT_MAX = MILL_PLAN_TEXT_MAX - 700 };

/** Too long a one is left out: a redo needs the same options then. */
static void plan_layout_text(const struct mill_plan_layout *l, struct mill_buf *out)
{
    struct mill_buf b;

    mill_buf_init(&b, PLAN_LAYOUT_MAX);
    mill_buf_printf(&b, ",\"layout\":{\"raw\":%s,\"hours\":%s,\"meta\":%u,\"time\":",
                    l->raw ? "true" : "false", l->hours ? "true" : "false", l->meta);
    mill_buf_json(&b, mill_str(l->time));
    mill_buf_puts(&b, ",\"columns\":");
    mill_buf_json(&b, mill_str(l->rules));
    mill_buf_putc(&b, '}');
    if (!b.failed)
        mill_buf_str_add(out, mill_buf_view(&b));
    mill_buf_release(&b);
}

struct mill_str mill_plan_text(const struct mill_plan *p, char *out, size_t size)
{
    struct mill_buf b;
    struct mill_str text = {out, 0};

    out[0] = '\0';
    mill_buf_init(&b, size - 1);
    mill_buf_printf(&b, "{\"mill\":1,\"topic_id\":\"%s\",\"policy\":\"%s\",", p->topic_id,
                    p->policy);
    if (p->done) {
        if (p->seen)
            mill_buf_printf(&b, "\"seen\":%lld,", (long long)p->seen);
        mill_buf_puts(&b, "\"done\":true}");
    } else {
        mill_buf_printf(&b, "\"end\":%lld,\"rows\":%lld,\"schemas\":[", (long long)p->end,
                        (long long)p->rows);
        for (size_t i = 0; i < p->n; i++)
            mill_buf_printf(&b, "%s%d", i ? "," : "", (int)p->schemas[i]);
        mill_buf_putc(&b, ']');
        if (p->layout.known)
            plan_layout_text(&p->layout, &b);
        mill_buf_putc(&b, '}');
    }
    if (!b.failed) {
        mill_str_cut(mill_buf_view(&b), out, size);
        text.n = strlen(out);
    }
    mill_buf_release(&b);
    return text;
}

static bool plan_word(const json_t *j, const char *key, char *out, size_t size)
{
    struct mill_str s = mill_json_str(j, key);

    if (!s.n || s.n >= size)
        return false;
    mill_str_cut(s, out, size);
    return true;
}

/** @return false when it is there and makes no sense */
static bool plan_layout(const json_t *j, struct mill_plan_layout *out)
{
    const json_t *l = json_object_get(j, "layout"), *meta = json_object_get(l, "meta");
    struct mill_str time = mill_json_str(l, "time"), rules = mill_json_str(l, "columns");

    if (!l)
        return true;
    if (!json_is_integer(meta) || json_integer_value(meta) < 0 || !time.p || !rules.p ||
        time.n >= sizeof out->time || rules.n >= sizeof out->rules)
        return false;
    out->known = true;
    out->raw = json_is_true(json_object_get(l, "raw"));
    out->hours = json_is_true(json_object_get(l, "hours"));
    out->meta = (unsigned)json_integer_value(meta);
    mill_str_cut(time, out->time, sizeof out->time);
    mill_str_cut(rules, out->rules, sizeof out->rules);
    return true;
}

static bool plan_range(const json_t *j, struct mill_plan *p)
{
    const json_t *end = json_object_get(j, "end"), *rows = json_object_get(j, "rows");
    const json_t *schemas = json_object_get(j, "schemas");

    if (!json_is_integer(end) || !json_is_integer(rows) || !json_is_array(schemas) ||
        json_array_size(schemas) > MILL_PLAN_SCHEMAS)
        return false;
    p->end = json_integer_value(end);
    p->rows = json_integer_value(rows);
    p->n = json_array_size(schemas);
    for (size_t i = 0; i < p->n; i++) {
        json_int_t id = json_integer_value(json_array_get(schemas, i));
        if (id < 0 || id > INT32_MAX)
            return false;
        p->schemas[i] = (int32_t)id;
    }
    return p->end > 0 && p->rows > 0;
}

bool mill_plan_parse(struct mill_str text, struct mill_plan *out)
{
    json_t *j = NULL;
    bool ok;

    memset(out, 0, sizeof *out);
    if (!text.n || mill_json_parse(text, &j, NULL) != MILL_OK)
        return false;
    out->done = json_is_true(json_object_get(j, "done"));
    out->seen = out->done ? json_integer_value(json_object_get(j, "seen")) : 0;
    ok = json_integer_value(json_object_get(j, "mill")) == 1 &&
         plan_word(j, "topic_id", out->topic_id, sizeof out->topic_id) &&
         plan_word(j, "policy", out->policy, sizeof out->policy) &&
         (out->done || (plan_range(j, out) && plan_layout(j, &out->layout)));
    json_decref(j);
    return ok;
}
