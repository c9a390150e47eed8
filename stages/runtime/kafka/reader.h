/**
 * @file reader.h
 * @brief Read partitions of a topic without a group: the command line, tables.
 *
 * Model: one thread. Records come in the order in which partitions deliver; a record is borrowed
 * until the next call. Reads committed records only.
 */
#ifndef MILL_READER_H
#define MILL_READER_H

#include "kafka/client.h"
#include "stage.h"

struct mill_reader;

enum { MILL_READ_START = -2, MILL_READ_END = -1 };

/** @own new */
enum mill_code mill_reader_new(struct mill_reader **out, const struct mill_kafka_conf *conf,
                               struct mill_err *err) MILL_NODISCARD;
void mill_reader_free(struct mill_reader *r);
/** @brief Number of partitions. @return MILL_OK; MILL_E_NOENT; MILL_E_IO */
enum mill_code mill_reader_partitions(struct mill_reader *r, const char *topic, int32_t *n,
                                      struct mill_err *err) MILL_NODISCARD;
/** @brief Log start and high watermark (uncommitted: the real end of the log). */
enum mill_code mill_reader_marks(struct mill_reader *r, const char *topic, int32_t partition,
                                 int64_t *low, int64_t *high, struct mill_err *err) MILL_NODISCARD;
/** @brief First offset at or after a time; the end of the log if there is none. */
enum mill_code mill_reader_offset_at(struct mill_reader *r, const char *topic, int32_t partition,
                                     int64_t time_ms, int64_t *offset,
                                     struct mill_err *err) MILL_NODISCARD;
/** @brief Add a partition to what is read, from offset (or MILL_READ_START, MILL_READ_END). */
enum mill_code mill_reader_add(struct mill_reader *r, const char *topic, int32_t partition,
                               int64_t offset, struct mill_err *err) MILL_NODISCARD;
/** A place in a partition to go on from. */
struct mill_reader_at {
    int32_t partition;
    int32_t epoch;  /**< leader epoch of the record before offset; -1 = not known */
    int64_t offset; /**< of the next record */
};
/** @brief Add partitions of a topic. Where the epoch is known, a log that was cut below the offset
 *  meanwhile (an unclean election) is found out: mill_reader_next() says so. */
enum mill_code mill_reader_resume(struct mill_reader *r, const char *topic,
                                  const struct mill_reader_at *at, size_t n,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief Has the broker answered for this partition since it was added? */
bool mill_reader_heard(struct mill_reader *r, const char *topic, int32_t partition);
enum mill_code mill_reader_remove(struct mill_reader *r, const char *topic, int32_t partition,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief Next record. @param in out: port, value, origin are not set.
 *  @return MILL_OK with *got; *got false after wait_ms without a record; MILL_E_DATA: the log
 *  has the position no more (cleaned, cut or made anew); MILL_E_KAFKA */
enum mill_code mill_reader_next(struct mill_reader *r, int wait_ms, struct mill_record *in,
                                bool *got, struct mill_err *err) MILL_NODISCARD;
/** @brief Position (next offset to be read), counting transaction markers once the end was met;
 *  -1 for a partition that is not read. */
int64_t mill_reader_position(struct mill_reader *r, const char *topic, int32_t partition);
/** @brief Leader epoch of the last record before the position; -1 = not known. */
int32_t mill_reader_epoch(struct mill_reader *r, const char *topic, int32_t partition);
/** @brief Records between the position and the end of the log as the last answer had it, asking
 *  nobody; -1 = not known yet. */
int64_t mill_reader_lag(struct mill_reader *r, const char *topic, int32_t partition);

#endif
