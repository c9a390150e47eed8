#include "compact/source.h"

#include <errno.h>

void mill_source_init(struct mill_source *s, struct mill_s3 *s3, const char *key, uint64_t bytes,
                      bool whole)
{
    *s = (struct mill_source){
        .s3 = s3, .key = key, .bytes = bytes, .whole = whole && bytes <= MILL_SOURCE_WHOLE};
    mill_buf_init(&s->buf, SIZE_MAX / 2);
}

void mill_source_release(struct mill_source *s)
{
    mill_buf_release(&s->buf);
}

static void source_get(struct mill_source *s, struct mill_s3 *s3, uint64_t from, uint64_t n)
{
    mill_buf_reset(&s->buf);
    s->code = mill_s3_get_range(s3, s->key, from, n, &s->buf, &s->err);
    s->have = !s->code;
}

void mill_source_fetch(struct mill_s3 *s3, void *source)
{
    struct mill_source *s = source;

    source_get(s, s3, 0, s->bytes);
}

static int source_read(void *arg, uint64_t from, void *out, size_t n)
{
    struct mill_source *s = arg;

    if (!s->code && !(s->have && s->whole))
        source_get(s, s->s3, s->whole ? 0 : from, s->whole ? s->bytes : n);
    if (s->code)
        return s->code == MILL_E_NOMEM ? ENOMEM : EIO;
    memcpy(out, s->buf.p + (s->whole ? from : 0), n);
    return 0;
}

struct mill_pq_source mill_source_file(struct mill_source *s)
{
    return (struct mill_pq_source){.read = source_read, .arg = s, .bytes = s->bytes};
}
