/* Records for people and scripts; see record.h. */
#include "record.h"

#include "avro/codec.h"
#include "base/clock.h"
#include "base/hash.h"

enum { TEXT_MAX = 16 << 20 };

enum mill_code record_decode(struct mill_registry *registry, struct mill_str raw, int32_t *id,
                             json_t **out, struct mill_err *err)
{
    struct mill_str body, schema;
    enum mill_code code = mill_frame_split(raw, id, &body, err);

    *out = NULL;
    if (!code)
        code = mill_registry_schema(registry, *id, &schema, err);
    return code ? code : mill_avro_json(schema, body, out, err);
}

static void record_base64(json_t *o, const char *key, struct mill_str s)
{
    struct mill_buf b;

    mill_buf_init(&b, TEXT_MAX);
    if (mill_base64_add(&b, s))
        json_object_set_new(o, key, mill_json_new(mill_buf_view(&b)));
    mill_buf_release(&b);
}

static void record_value(json_t *o, struct mill_registry *registry, struct mill_str raw)
{
    struct mill_err err = {0};
    json_t *value = NULL;
    int32_t id = -1;

    json_object_set_new(o, "value_size", json_integer((json_int_t)raw.n));
    if (!raw.p) {
        json_object_set_new(o, "value", json_null());
        return;
    }
    if (!record_decode(registry, raw, &id, &value, &err)) {
        json_object_set_new(o, "value", value);
        json_object_set_new(o, "value_schema_id", json_integer(id));
        return;
    }
    json_object_set_new(o, "value_error", mill_json_new(mill_str(err.text)));
    if (mill_str_utf8(raw))
        json_object_set_new(o, "value", mill_json_new(raw));
    else
        record_base64(o, "value_base64", raw);
}

static void record_key(json_t *o, struct mill_str key)
{
    json_object_set_new(o, "key", key.p ? mill_json_new(key) : json_null());
    if (!key.p || mill_str_utf8(key))
        return;
    json_object_set_new(o, "key_error", json_string("no UTF-8: bad bytes stand as U+FFFD"));
    record_base64(o, "key_base64", key);
}

json_t *record_json(struct mill_registry *registry, const struct mill_record *in)
{
    json_t *o = json_object(), *headers = json_array();
    char when[32];

    mill_time_text(in->timestamp_us, when, sizeof when);
    json_object_set_new(o, "topic", json_string(in->topic));
    json_object_set_new(o, "partition", json_integer(in->partition));
    json_object_set_new(o, "offset", json_integer(in->offset));
    json_object_set_new(o, "timestamp", json_string(when));
    json_object_set_new(o, "timestamp_type", json_string(in->append_time ? "append" : "create"));
    record_key(o, in->key);
    record_value(o, registry, in->raw);
    for (size_t i = 0; i < in->headers.n; i++)
        json_array_append_new(headers,
                              json_pack("{s:o,s:o}", "key", mill_json_new(in->headers.v[i].key),
                                        "value", mill_json_new(in->headers.v[i].value)));
    json_object_set_new(o, "headers", headers);
    return o;
}
