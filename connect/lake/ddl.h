/**
 * @file ddl.h
 * @brief The statement by which a query engine reads a topic's files: columns, partitions, place.
 *
 * Model: pure. The topic's name becomes a snake_case word, columns keep the names that the files
 * have; times are UTC. What an engine's Parquet reader does not know (TIME in Athena, Spark and
 * Trino; nanoseconds in Spark; decimals over 38 digits) is left out, and a comment says so.
 */
#ifndef MILL_LAKE_DDL_H
#define MILL_LAKE_DDL_H

#include "base/buf.h"
#include "lake/shape.h"

struct mill_ddl_engine;

struct mill_ddl {
    const char *topic;
    const char *bucket, *prefix; /**< prefix: "" or ending in '/' */
    const char *since;           /**< first day that there may be, YYYY-MM-DD */
    bool hours;                  /**< the layout has hour=HH below the day */
    bool exact;                  /**< DuckDB: by one listing, right also while files are merged */
    bool rejected;               /**< the records that were no rows: rejected=T */
};

/** @brief "athena", "duckdb", "spark", "trino". @return NULL when there is none. @own static */
const struct mill_ddl_engine *mill_ddl_engine(const char *name);
/** @brief Append the statement, with its semicolon. @return MILL_OK or MILL_E_NOMEM */
enum mill_code mill_ddl(const struct mill_ddl_engine *e, const struct mill_ddl *d,
                        const struct mill_shape *shape, struct mill_buf *out,
                        struct mill_err *err) MILL_NODISCARD;

#endif
