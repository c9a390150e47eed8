/**
 * @file footer.h
 * @brief What a file of the lake says of itself, out of its last bytes.
 *
 * Model: pure; the caller has fetched the tail of the object. The bytes are a stranger's until they
 * are read: everything about them is checked. One thread per call.
 */
#ifndef MILL_LAKE_FOOTER_H
#define MILL_LAKE_FOOTER_H

#include "base/arena.h"
#include "lake/object.h"
#include "lake/parquet.h"

enum {
    MILL_FOOTER_RANGE = 6,        /**< pairs that say which range a file has */
    MILL_FOOTER_END = 8,          /**< bytes: length of the metadata, magic */
    MILL_FOOTER_MAX = 256 << 20,  /**< bytes of metadata that are believed */
    MILL_FOOTER_GUESS = 64 << 10, /**< bytes of a tail that hold most footers */
};

/** Texts are absent where the file has no such pair. */
struct mill_footer {
    int64_t rows; /**< of the file, as Parquet counts them */
    struct mill_str topic, topic_id, plan;
    struct mill_str siblings; /**< JSON: [{"object":…,"rows":n},…], itself among them */
    struct mill_str rejected; /**< JSON: offsets of the range that are no rows */
    struct mill_str parts;    /**< JSON, of a merged file: what it was made of, see merge.h */
    struct mill_str columns;  /**< a hash: files with the same have the same columns */
    int64_t partition, start, end, said_rows; /**< -1 where the file does not say */
};

/** Room for the texts of those pairs. */
struct mill_footer_texts {
    char topic[256], topic_id[40], partition[16], start[24], end[24], rows[24];
};
/** @brief The pairs that every file of the lake has. @param pairs MILL_FOOTER_RANGE of them
 *  @own borrowed from texts */
void mill_footer_range(const struct mill_object *o, int64_t rows, struct mill_footer_texts *texts,
                       struct mill_pq_pair *pairs);

/** @brief Bytes of the whole footer, END among them, by a tail of at least MILL_FOOTER_END bytes.
 *  @return 0 when this is the end of no Parquet file */
uint64_t mill_footer_size(struct mill_str tail);
/** @brief Read it. @param tail ends where the file ends, and holds the whole footer
 *  @return MILL_OK; MILL_E_DATA; MILL_E_NOMEM. @own out in mem */
enum mill_code mill_footer_parse(const struct mill_parquet *lib, struct mill_str tail,
                                 struct mill_arena *mem, struct mill_footer *out,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
