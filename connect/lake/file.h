/**
 * @file file.h
 * @brief One Parquet file in the making, in memory: rows, then batches, then the file's bytes.
 *
 * Model: rows are added to mill_lake_file_rows() and reported with mill_lake_file_added(), which
 * makes batches of them. They are kept as they are until there are spill_bytes of them or the file
 * is finished: an open writer takes some MB for its pages and dictionaries whatever is in it, so
 * that a thousand open files must not have one each. Once finished, the bytes stay until the file
 * is freed, so that an upload can be tried again. After a failure of added or finish the file is
 * lost. One thread.
 */
#ifndef MILL_LAKE_FILE_H
#define MILL_LAKE_FILE_H

#include "lake/parquet.h"
#include "lake/rows.h"

struct mill_lake_file;

struct mill_lake_conf {
    const struct mill_parquet *lib;
    size_t batch_bytes;      /**< rows become a batch at this much; 0 = 1 MiB */
    size_t spill_bytes;      /**< batches go through the writer at this much; 0 = 8 MiB */
    int64_t row_group_rows;  /**< 0 = 1 Mi */
    int64_t row_group_bytes; /**< 0 = 64 MiB */
};

/** @brief How the lake's files are written. @param values distinct values that a bloom filter is
 *  made for: the rows of the file; 0 = not known yet. @own out points to static data */
void mill_lake_writer(const struct mill_lake_conf *conf, int64_t values,
                      struct mill_pq_options *out);
/** @param conf borrowed for the file's life. @param shape kept. @own new */
enum mill_code mill_lake_file_new(struct mill_lake_file **out, const struct mill_lake_conf *conf,
                                  struct mill_shape *shape, struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe; an unfinished file is dropped. */
void mill_lake_file_free(struct mill_lake_file *f);
/** @brief Where rows go. @own borrowed */
struct mill_rows *mill_lake_file_rows(struct mill_lake_file *f);
/** @brief A row was added. @param bytes about how much it takes
 *  @return MILL_OK; MILL_E_NOMEM; MILL_E_STATE (the library refused) */
enum mill_code mill_lake_file_added(struct mill_lake_file *f, size_t bytes,
                                    struct mill_err *err) MILL_NODISCARD;
/** @brief Memory that it takes, about, bytes. */
size_t mill_lake_file_held(const struct mill_lake_file *f);
/** @brief Close it with these pairs in the footer; done once, later calls give the same bytes.
 *  @own bytes borrowed until the file is freed */
enum mill_code mill_lake_file_finish(struct mill_lake_file *f, const struct mill_pq_pair *pairs,
                                     size_t n, struct mill_str *bytes,
                                     struct mill_err *err) MILL_NODISCARD;

#endif
