/**
 * @file table.h
 * @brief A local view of a keyed, compacted topic: newest record per key, by partition.
 *
 * Model: an LMDB file filled from the topic; it is a cache and may be deleted at any time. A table
 * holds the partitions that the stage is assigned; before a stage sees records of a partition, the
 * table has read that partition up to the mark taken after the assignment. Keys are ordered bytes.
 * Single thread: the stage's.
 */
#ifndef MILL_TABLE_H
#define MILL_TABLE_H

#include "stage.h"

/**
 * @brief Visit every record whose key starts with prefix, in key order.
 * @param each gets the key and the decoded struct (borrowed until it returns); false stops
 * @return MILL_OK (also for none); MILL_E_STATE when the partition is not held; MILL_E_IO
 */
enum mill_code mill_table_each(struct mill_table *t, int32_t partition, struct mill_str prefix,
                               bool (*each)(void *arg, struct mill_str key, const void *value),
                               void *arg, struct mill_err *err) MILL_NODISCARD;
/** @brief Read up to the high watermark taken now. @return MILL_OK; MILL_E_IO after timeout_ms */
enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Put an own, committed record in at once, before the topic brings it back. */
enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err) MILL_NODISCARD;

#endif
