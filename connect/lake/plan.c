#include "lake/plan.h"

#include "base/json.h"

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
        mill_buf_puts(&b, "]}");
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
         (out->done || plan_range(j, out));
    json_decref(j);
    return ok;
}
