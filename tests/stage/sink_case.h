/* A sink under test: a log whose records are a function of their offset, the sink's lives on it,
 * and what must be in the lake afterwards. */
#ifndef MILL_SINK_CASE_H
#define MILL_SINK_CASE_H

#include "fake_ctx.h"
#include "fake_lake.h"
#include "sink.h"

#define TOPIC_ID "AAAAAAAAAAAAAAAAAAAAAA"

extern const struct mill_stage *const sink_spec;

/** Schema ids of the fake registry; UNKNOWN is in none. */
enum { V1 = 1, V2, CLASH, RECURSIVE, UNKNOWN };

int sink_setup(void **state);
int sink_teardown(void **state);
/** 1 of 7 is damaged, 1 of 11 has no value, schema versions alternate, two days are mixed. */
struct mill_record record_at(const char *topic, int64_t offset);
/** A sink with prefix p/ that ends a range at 7 rows. @param more one more option, or NULL */
struct mill_ctx *sink_start(const char *more);
/** Partition 0 as the group has it. @param from out: where to begin */
enum mill_verdict sink_assign(struct mill_ctx *ctx, const char *topic, int64_t low, int64_t high,
                              int64_t *from, struct mill_err *err);
/** Feed the log from `from`, until the end or until the process is dead. */
void sink_feed(struct mill_ctx *ctx, const char *topic, int64_t from, int64_t to);
/** Ranges of a life are written beside the next one, however small. */
void sink_beside(struct mill_ctx *ctx);
/** Polled until nothing is being written. */
void sink_rest(struct mill_ctx *ctx);
extern bool sink_all_beside; /**< the same for each sink_live() until the next sink_setup() */
/** One life: from the committed offset to `to`, rolled out at the end if it lives. */
void sink_live(const char *topic, int64_t to);
/** Every offset of [0, to) is in exactly one range, and the ranges' footers count every record. */
void sink_check_whole(const char *topic, int64_t to);
/** The same, whatever of it was rejected. */
void sink_check_ranges(const char *topic, int64_t to);
/** As if the back-off after a fault were over. */
void sink_wait_backoff(struct mill_ctx *ctx);

#endif
