/* Retry topics; see retry.h. */
#include "retry.h"

#include <stdio.h>

enum mill_code retry_topic_find(struct mill_admin *admin, struct mill_str stage,
                                struct retry_topic *out, struct mill_err *err)
{
    struct mill_topic t;
    enum mill_code code;

    *out = (struct retry_topic){0};
    if (!stage.n || stage.n >= sizeof out->stage)
        return mill_fail(err, MILL_E_NOENT, "stage", "has no name, or too long a one");
    mill_str_cut(stage, out->stage, sizeof out->stage);
    snprintf(out->topic, sizeof out->topic, "mail.retry.%.*s", MILL_FMT(stage));
    code = mill_admin_topic(admin, out->topic, &t, err);
    if (code == MILL_E_NOENT)
        return mill_fail(err, code, out->topic, "is not there: nothing can be sent to %s alone",
                         out->stage);
    if (!code)
        out->partitions = t.partitions;
    return code;
}
