/**
 * @file shim.h
 * @brief The extern "C" face of Arrow C++'s Parquet writer and of its reader of footers; the only
 * C++ of the project is behind it.
 *
 * Model: built as a shared object of its own that exports nothing but mill_pq_*, and loaded with
 * dlopen(RTLD_LOCAL): the wheel's libparquet exports OpenSSL symbols that must bind to nothing of
 * ours. Record batches come in by the Arrow C data interface. One thread per writer.
 */
#ifndef MILL_SHIM_H
#define MILL_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ArrowSchema;
struct ArrowArray;
struct mill_pq;

/** Called with the file's bytes, in order. @return 0, or an errno value to fail the writer */
typedef int (*mill_pq_sink_fn)(void *arg, const void *data, size_t n);

struct mill_pq_options {
    int zstd_level;
    int64_t row_group_rows;    /**< most rows of a row group */
    int64_t row_group_bytes;   /**< close the row group once this much is held in memory */
    int64_t page_bytes;        /**< data page, before compression */
    int64_t page_rows;         /**< most rows of a page */
    const char *const *blooms; /**< columns (dotted paths) with a bloom filter; ends with NULL */
    int64_t bloom_values;      /**< distinct values that a filter is made for */
};

struct mill_pq_pair {
    const char *key, *value;
};

/** @brief A writer. @param schema consumed (released) whatever the result
 *  @return 0, or an errno value with a text in err. @own new in *out */
int mill_pq_open(struct mill_pq **out, struct ArrowSchema *schema, const struct mill_pq_options *o,
                 mill_pq_sink_fn sink, void *arg, char *err, size_t err_size);
/** @brief Add rows. @param batch consumed whatever the result. @return 0 or an errno value */
int mill_pq_write(struct mill_pq *w, struct ArrowArray *batch, char *err, size_t err_size);
/** @brief Bytes of memory that the writer holds. */
int64_t mill_pq_held(const struct mill_pq *w);
/** @brief Write the footer with these pairs, and free. @return 0 or an errno value */
int mill_pq_finish(struct mill_pq *w, const struct mill_pq_pair *pairs, size_t n, char *err,
                   size_t err_size);
/** @brief Free without a footer: an aborted file must not look whole. NULL-safe. */
void mill_pq_abort(struct mill_pq *w);
/** Takes one pair of a footer; both texts end with NUL and are borrowed until it returns. */
typedef void (*mill_pq_pair_fn)(void *arg, const char *key, const char *value);
/** @brief Read the footer of a file. @param tail ends where the file ends, holds the whole footer
 *  @param rows out: of the whole file. @return 0 or an errno value */
int mill_pq_footer(const void *tail, size_t n, mill_pq_pair_fn each, void *arg, int64_t *rows,
                   char *err, size_t err_size);
/** @brief Version text of the Arrow library. @own static */
const char *mill_pq_version(void);

#ifdef __cplusplus
}
#endif
#endif
