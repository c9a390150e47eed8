/**
 * @file footer_fetch.h
 * @brief The footer of an object, by a request for its last bytes, or two.
 *
 * Model: most footers are within the first request's MILL_FOOTER_GUESS bytes; a longer one says how
 * long it is and is asked for once more. One thread per client.
 */
#ifndef MILL_LAKE_FOOTER_FETCH_H
#define MILL_LAKE_FOOTER_FETCH_H

#include "lake/footer.h"
#include "net/s3.h"

/** @param bytes of the object @param tail for the object's last bytes, emptied before
 *  @return as s3.h says, also MILL_E_NOENT; MILL_E_DATA: it has no footer. @own out in mem */
enum mill_code mill_footer_fetch(struct mill_s3 *s3, const struct mill_parquet *lib,
                                 const char *key, uint64_t bytes, struct mill_buf *tail,
                                 struct mill_arena *mem, struct mill_footer *out,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
