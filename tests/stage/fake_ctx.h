/* A runtime without Kafka: runs a stage's real spec on records that a test makes, and keeps what it
 * emits. Records and emits pass through the real codec, so a struct that its schema cannot carry
 * fails the test. Everything handed out lives until fake_free (emits: until fake_forget).
 *
 *   struct mill_ctx *ctx = fake_new(&mill_stage_validate, "--deliverable-only=yes", NULL);
 *   struct mill_record in = fake_record(ctx, 0, "r1", &request);
 *   assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
 *   const struct mill_message *m = fake_emit(ctx, 0)->value;
 */
#ifndef MILL_FAKE_CTX_H
#define MILL_FAKE_CTX_H

#include "stage.h"

/** mill_forward finds every topic, with so many partitions, but those called missing.ANYTHING. */
enum { FAKE_PARTITIONS = 4 };

struct fake_emit {
    size_t port; /**< SIZE_MAX for mill_forward */
    const char *topic;
    int32_t partition; /**< mill_forward's; else -1 */
    struct mill_str key;
    struct mill_str bytes;   /**< encoded value, without frame; a raw port's or a forward's bytes */
    const void *value;       /**< decoded again; NULL on a raw port or for mill_forward */
    struct mill_map headers; /**< of mill_forward */
    const struct mill_record *from;
    bool in_on_batch; /**< would be committed before the records are handled */
};

/** Options as "--name=value", ends with NULL. Runs open, which must succeed. */
struct mill_ctx *fake_new(const struct mill_stage *spec, ...);
/** Only makes the context and reads the options, which must be right; open is left to the test. */
struct mill_ctx *fake_new_closed(const struct mill_stage *spec, ...);
/** Runs close. NULL-safe. */
void fake_free(struct mill_ctx *ctx);

/** A record of an in port; value NULL: a null value. Partition 0, growing offsets, a fixed time. */
struct mill_record fake_record(struct mill_ctx *ctx, size_t port, const char *key,
                               const void *value);

/** The same record as a producer with another version of the schema writes it. @param avsc all of
 *  the port's fields, and perhaps more */
struct mill_record fake_record_of(struct mill_ctx *ctx, size_t port, const char *key,
                                  const void *value, const char *avsc);

/** on_batch, on_record for each, on_poll until all are settled (10 s at most). Verdicts, and the
 *  errors of those that are not DONE, go into the arrays. @return MILL_STOP, with errs[0], where
 *  on_batch or on_poll said so; else MILL_DONE */
enum mill_verdict fake_batch(struct mill_ctx *ctx, const struct mill_record *const *in, size_t n,
                             enum mill_verdict *verdicts, struct mill_err *errs);
/** A batch of one. */
enum mill_verdict fake_run(struct mill_ctx *ctx, const struct mill_record *in,
                           struct mill_err *err);
/** As fake_run, twice: verdict and emits must be the same, byte for byte; the second's are kept. */
enum mill_verdict fake_run_twice(struct mill_ctx *ctx, const struct mill_record *in,
                                 struct mill_err *err);

size_t fake_emits(const struct mill_ctx *ctx);
/** The n-th emit; fails the test if there is none. */
const struct fake_emit *fake_emit(const struct mill_ctx *ctx, size_t n);
/** How many went to this out port. */
size_t fake_emits_to(const struct mill_ctx *ctx, size_t port);
void fake_forget(struct mill_ctx *ctx);

/** A record into the n-th table of the spec, as if its topic had it. */
void fake_table_put(struct mill_ctx *ctx, size_t table, const char *key, const void *value);
/** The table has not read what is in it so far: only a catch-up shows it. @return catch-ups so far
 */
unsigned fake_table_behind(struct mill_ctx *ctx, size_t table);
/** Called when the stage takes in what has arrived for this table in the middle of a batch. */
void fake_on_refresh(struct mill_ctx *ctx, size_t table, void (*fn)(struct mill_ctx *ctx));
/** Value of a counter or gauge of the spec. */
double fake_metric(const struct mill_ctx *ctx, size_t metric, size_t label);
/** Why mill_unready said the stage cannot work; NULL = ready. */
const char *fake_unready(const struct mill_ctx *ctx);
/** Of the last mill_wait_until, ms since 1970. */
int64_t fake_wait_until(const struct mill_ctx *ctx);
/** From now on emits to this out port fail with this code; MILL_OK: work again. */
void fake_fail_emits(struct mill_ctx *ctx, size_t port, enum mill_code code);
/** What mill_draining answers. */
void fake_drain(struct mill_ctx *ctx, bool draining);

#endif
