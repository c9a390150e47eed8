/**
 * @file raw.h
 * @brief Rows of topics without a schema, and of records that could not be decoded.
 *
 * Columns: key, value (bytes as they came, null where the record has none), headers (list of
 * {key, value}), timestamp (broker's, µs UTC), partition, offset; a rejected record also has
 * reason.
 */
#ifndef MILL_LAKE_RAW_H
#define MILL_LAKE_RAW_H

#include "lake/fill.h"

/** @brief The fixed shape. @param reason with that column @own new */
enum mill_code mill_raw_shape(struct mill_shape **out, bool reason,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Add one row. @param reason used where the shape has the column
 *  @return MILL_OK or MILL_E_NOMEM; then the rows are lost */
enum mill_code mill_raw_row(struct mill_rows *rows, const struct mill_row_meta *meta,
                            struct mill_str value, struct mill_map headers, struct mill_str reason,
                            struct mill_err *err) MILL_NODISCARD;

#endif
