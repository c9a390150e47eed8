/**
 * @file transact.h
 * @brief Records written all or none, by a process that is no stage: the command line.
 *
 * Model: one thread. The id names the job, not the process: opening it ends what a former holder
 * left open (it is aborted) and fences the holder itself, so that two never do the same job. A
 * transaction begins with the first record after the last commit.
 */
#ifndef MILL_TRANSACT_H
#define MILL_TRANSACT_H

#include "kafka/client.h"

struct mill_transact;

/** @param id transactional.id. @return MILL_OK; MILL_E_IO (no broker within 30 s); MILL_E_AUTH;
 *  MILL_E_CONFIG. @own new */
enum mill_code mill_transact_new(struct mill_transact **out, const struct mill_kafka_conf *conf,
                                 const char *id, struct mill_err *err) MILL_NODISCARD;
/** @brief Abort what is open, then free. NULL-safe. */
void mill_transact_free(struct mill_transact *t);
/**
 * @brief Add a record; all of it is copied.
 * @param partition -1 = mill_partition(key)
 * @param value     p NULL = a null value
 * @return MILL_OK; MILL_E_DATA (too large); MILL_E_STATE (fenced: somebody else does this job now);
 * MILL_E_IO; MILL_E_NOMEM
 */
enum mill_code mill_transact_send(struct mill_transact *t, const char *topic, int32_t partition,
                                  struct mill_str key, struct mill_str value,
                                  struct mill_map headers, struct mill_err *err) MILL_NODISCARD;
/** @brief Make what was added visible, together. After a failure nothing of it is, but for
 *  MILL_E_IO, after which nobody knows: open the id again, and read. @return as send */
enum mill_code mill_transact_commit(struct mill_transact *t, struct mill_err *err) MILL_NODISCARD;

#endif
