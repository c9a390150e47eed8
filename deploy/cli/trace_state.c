/* What a mail's state is, of all that was said about it; see trace.h. */
#include "mail/records.h"
#include "trace.h"

static int state_of(const json_t *value)
{
    const struct mill_field *f = mill_status_desc.fields;
    struct mill_str name = mill_json_str(value, "state");
    int i = 0;

    while (strcmp(f->name, "state") != 0)
        f++;
    while (f->names[i] && !mill_str_is(name, f->names[i]))
        i++;
    return f->names[i] ? i : MILL_STATE_OTHER;
}

void trace_state(json_t *states, const json_t *value)
{
    const char *id = json_string_value(json_object_get(value, "message_id"));
    const json_t *was = id ? json_object_get(states, id) : NULL;
    const struct mill_status before = {
        .state = state_of(was), .attempt = json_integer_value(json_object_get(was, "attempt"))};
    const struct mill_status next = {
        .state = state_of(value), .attempt = json_integer_value(json_object_get(value, "attempt"))};

    if (id && mill_status_stands(was ? &before : NULL, &next))
        json_object_set(states, id, (json_t *)(uintptr_t)value);
}
