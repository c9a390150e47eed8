/**
 * @file shim.h
 * @brief The extern "C" face of Arrow C++'s Parquet writer, of its reader of footers, and of the
 * way of rows from files into a wider one; the only C++ of the project is behind it.
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
    const char *const *blooms; /**< text columns that get a bloom filter where there are such; ends
                                    with NULL */
    int64_t bloom_values;      /**< distinct values that a filter is made for */
};

struct mill_pq_pair {
    const char *key, *value;
};

/** @brief A writer. @param schema consumed (released) whatever the result
 *  @return 0, or an errno value with a text in err. @own new in *out */
int mill_pq_open(struct mill_pq **out, struct ArrowSchema *schema, const struct mill_pq_options *o,
                 mill_pq_sink_fn sink, void *arg, char *err, size_t err_size);
/** @brief Add rows. @param batches consumed whatever the result
 *  @param whole not 0: they are all that the file will hold, one row group at most. Its columns are
 *  then encoded one after the other, not all at once (6 % less CPU for a file of some hundred
 *  rows: tests/bench/RESULTS.md)
 *  @return 0 or an errno value */
int mill_pq_write(struct mill_pq *w, struct ArrowArray *batches, size_t n, int whole, char *err,
                  size_t err_size);
/** @brief Bytes of memory that the writer holds. */
int64_t mill_pq_held(const struct mill_pq *w);
/** @brief Write the footer with these pairs, and free. @return 0 or an errno value */
int mill_pq_finish(struct mill_pq *w, const struct mill_pq_pair *pairs, size_t n, char *err,
                   size_t err_size);
/** @brief Free without a footer: an aborted file must not look whole. NULL-safe. */
void mill_pq_abort(struct mill_pq *w);
/** Takes one pair of a footer; both texts end with NUL and are borrowed until it returns. */
typedef void (*mill_pq_pair_fn)(void *arg, const char *key, const char *value);
/** The pair that is not in the file: its columns, as a text that is the same for the same ones. */
#define MILL_PQ_COLUMNS "parquet.columns"
/** @brief Read the footer of a file. @param tail ends where the file ends, holds the whole footer
 *  @param rows out: of the whole file. @return 0 or an errno value */
int mill_pq_footer(const void *tail, size_t n, mill_pq_pair_fn each, void *arg, int64_t *rows,
                   char *err, size_t err_size);

/** Reads bytes [from, from + n) of a file into out. @return 0 or an errno value */
typedef int (*mill_pq_read_fn)(void *arg, uint64_t from, void *out, size_t n);
struct mill_pq_source {
    mill_pq_read_fn read;
    void *arg;
    uint64_t bytes; /**< of the whole file */
};
/** Columns that hold the rows of several files: by name, null where a file has none; int widens to
 *  long, int and float to double, null to anything. */
struct mill_pq_wide;
/** @brief Take a file's columns in. @param w *w is NULL at first; it stays as it was on failure
 *  @return 0; EINVAL: its columns do not go with those before; another errno value. @own new *w */
int mill_pq_widen(struct mill_pq_wide **w, const struct mill_pq_source *file, char *err,
                  size_t err_size);
/** @brief NULL-safe. */
void mill_pq_wide_free(struct mill_pq_wide *w);
/** @brief A writer of these columns. @return 0 or an errno value. @own new in *out */
int mill_pq_open_wide(struct mill_pq **out, const struct mill_pq_wide *w,
                      const struct mill_pq_options *o, mill_pq_sink_fn sink, void *arg, char *err,
                      size_t err_size);
/** @brief Add all rows of a file that was widened for; a row group of it is in memory
 *  at a time, compressed, and a few MiB of rows.
 *  @param rows raised by their number. @return 0 or an errno value */
int mill_pq_append(struct mill_pq *w, const struct mill_pq_source *file, int64_t *rows, char *err,
                   size_t err_size);
/** @brief Version text of the Arrow library. @own static */
const char *mill_pq_version(void);

#ifdef __cplusplus
}
#endif
#endif
