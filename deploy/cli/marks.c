/* Redriven before; see marks.h. */
#include "marks.h"
#include "kafka/admin.h"
#include "move.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 10000 };

static void marks_add(void *arg, const struct mill_move *mark)
{
    struct marks *m = arg;

    if (mark->kind != MILL_MOVE_REDRIVE || !mill_str_is(mark->topic_id, m->topic_id))
        return;
    if (m->n == m->size) {
        size_t size = m->size ? 2 * m->size : 1024;
        struct letter_place *v = realloc(m->v, size * sizeof *v);
        m->nomem |= !v;
        if (!v)
            return;
        m->v = v;
        m->size = size;
    }
    m->v[m->n++] = (struct letter_place){(int32_t)mark->partition, mark->offset};
}

static int marks_order(const void *a, const void *b)
{
    const struct letter_place *x = a, *y = b;

    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static enum mill_code marks_topic_id(struct cli *cli, const char *topic, struct marks *m,
                                     struct mill_err *err)
{
    struct mill_admin *admin = NULL;
    struct mill_topic t;
    enum mill_code code = mill_admin_new(&admin, &cli->kafka, TIMEOUT_MS, err);

    if (!code)
        code = mill_admin_topic(admin, topic, &t, err);
    if (!code)
        mill_str_cut(mill_str(t.id[0] ? t.id : "-"), m->topic_id, sizeof m->topic_id);
    mill_admin_free(admin);
    return code;
}

enum mill_code marks_read(struct cli *cli, const char *topic, struct marks *m, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    m->n = 0;
    if (!m->topic_id[0])
        code = marks_topic_id(cli, topic, m, err);
    if (!code)
        code = moves_read(cli, marks_add, m, err);
    if (!code && m->nomem)
        code = mill_fail(err, MILL_E_NOMEM, MOVE_TOPIC, "out of memory");
    if (m->n)
        qsort(m->v, m->n, sizeof *m->v, marks_order);
    return code;
}

bool marks_has(const struct marks *m, const struct mill_record *in)
{
    const struct letter_place here = {in->partition, in->offset};

    return m->n && bsearch(&here, m->v, m->n, sizeof here, marks_order);
}

void marks_release(struct marks *m)
{
    free(m->v);
    *m = (struct marks){0};
}
