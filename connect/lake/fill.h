/**
 * @file fill.h
 * @brief From Avro bytes straight into columns: one program per (shape, writer's schema).
 *
 * Model: a program is a tree of steps in the writer's order, each of which reads one value off the
 * wire and adds it to a column, or passes over it where the field is dropped. Columns that this
 * writer does not know get null. It borrows the shape and the schema: both must outlive it.
 * Bytes are the writer's, so everything about them is checked: lengths, counts, branches, UTF-8,
 * digits of a decimal, what is left over. One thread.
 */
#ifndef MILL_LAKE_FILL_H
#define MILL_LAKE_FILL_H

#include "lake/rows.h"

struct mill_fill;

/** What a metadata column takes its value from. */
struct mill_row_meta {
    struct mill_str topic, key;
    int32_t partition;
    int64_t offset, timestamp_us;
};

/** @brief Make the program. @param shape must hold the schema (see mill_shape_grow)
 *  @return MILL_OK; MILL_E_STATE when the shape must grow first; MILL_E_SCHEMA; MILL_E_NOMEM
 *  @own new */
enum mill_code mill_fill_new(struct mill_fill **out, struct mill_shape *shape,
                             const struct mill_avro_node *schema,
                             struct mill_err *err) MILL_NODISCARD;
void mill_fill_free(struct mill_fill *f);
/** @brief Add one row. @param rows of the same shape
 *  @return MILL_OK; MILL_E_DATA (where = field): rows are as before; MILL_E_NOMEM: they are lost */
enum mill_code mill_fill_row(struct mill_fill *f, struct mill_str body,
                             const struct mill_row_meta *meta, struct mill_rows *rows,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief The time by which a row is laid out: that of the policy's field, where the record has it
 *  and it lies within 400 days before and one day after the broker's; else the broker's.
 *  @return µs since 1970 */
int64_t mill_fill_time(const struct mill_fill *f, struct mill_str body, int64_t broker_us);
/** @brief Fill the metadata columns of a row (raw shapes have them too). */
bool mill_fill_meta(struct mill_rows *rows, const struct mill_row_meta *meta) MILL_NODISCARD;
/** @brief Is it UTF-8? Fast for ASCII. */
bool mill_fill_utf8(struct mill_str s);

#endif
