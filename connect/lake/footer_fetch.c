#include "lake/footer_fetch.h"

enum mill_code mill_footer_fetch(struct mill_s3 *s3, const struct mill_parquet *lib,
                                 const char *key, uint64_t bytes, struct mill_buf *tail,
                                 struct mill_arena *mem, struct mill_footer *out,
                                 struct mill_err *err)
{
    uint64_t n = bytes < MILL_FOOTER_GUESS ? bytes : MILL_FOOTER_GUESS;
    enum mill_code rc = MILL_OK;

    mill_buf_reset(tail);
    for (int round = 0; round < 2 && !rc && n; round++) {
        mill_buf_reset(tail);
        rc = mill_s3_get_range(s3, key, bytes - n, n, tail, err);
        uint64_t need = rc ? 0 : mill_footer_size(mill_buf_view(tail));
        if (need <= n || need > bytes)
            break;
        n = need;
    }
    return rc ? rc : mill_footer_parse(lib, mill_buf_view(tail), mem, out, err);
}
