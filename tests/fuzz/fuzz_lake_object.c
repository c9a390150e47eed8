/* Names of objects and plans come from a bucket and a broker that others write to as well. What is
 * read as ours must be written back to the very same bytes. */
#include "lake/object.h"
#include "lake/plan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str in = {(const char *)data, size};
    struct mill_object o;
    struct mill_plan plan, again;
    struct mill_buf name;
    char text[MILL_PLAN_TEXT_MAX];

    if (mill_object_parse(in, MILL_STR(""), &o)) {
        mill_buf_init(&name, 4096);
        if (mill_object_name(&o, MILL_STR(""), &name, NULL) ||
            !mill_str_eq(mill_buf_view(&name), in))
            abort();
        mill_buf_release(&name);
    }
    if (mill_object_parse(in, MILL_STR("lake/"), &o) && o.end < o.start)
        abort();
    if (mill_object_swept(in, MILL_STR("")) && mill_object_parse(in, MILL_STR(""), &o))
        abort();
    if (mill_plan_parse(in, &plan)) {
        struct mill_str out = mill_plan_text(&plan, text, sizeof text);
        /* an id with a quote in it does not come from us, and is not written again */
        if (mill_plan_parse(out, &again) && (again.end != plan.end || again.n != plan.n))
            abort();
    }
    return 0;
}
