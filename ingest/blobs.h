/**
 * @file blobs.h
 * @brief Large attachments go to S3 before the mail is accepted, and travel by reference.
 *
 * Model: an object is named PREFIX/YYYY-MM-DD/SHA256: by its content, so that the same bytes are
 * stored once a day whoever sends them, and by the day (UTC), so that no mail comes to rely on an
 * object that its bucket's lifecycle rule is about to delete. Stored before the record is: a mail
 * that is refused afterwards leaves an object that nobody refers to, and that rule takes it. One
 * client for each thread that stores.
 */
#ifndef INGEST_BLOBS_H
#define INGEST_BLOBS_H

#include "base/arena.h"
#include "base/metrics.h"
#include "mail/records.h"
#include "net/s3_opts.h"

struct ingest_blobs;

struct ingest_blobs_conf {
    struct mill_s3_opts s3;
    uint64_t inline_max_bytes; /**< of one attachment in a record */
    uint64_t room_bytes;       /**< of all of them in a record */
};

/** @param conf its strings are borrowed for the blobs' life @own new in *out
 *  @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM */
enum mill_code ingest_blobs_new(struct ingest_blobs **out, const struct ingest_blobs_conf *conf,
                                struct mill_metrics *metrics, struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. */
void ingest_blobs_free(struct ingest_blobs *b);
/**
 * @brief Store what is too large for the record, and put references in its place.
 * @param r its attachments are replaced on MILL_OK; @own new ones borrow from r and arena
 * @param now_us the day of the names
 * @return MILL_OK; MILL_E_IO (S3 is away); MILL_E_AUTH, MILL_E_CONFIG, MILL_E_DATA (the deployment
 *         is wrong); MILL_E_NOMEM. Blocks for as long as s3-timeout allows. @thread any
 */
enum mill_code ingest_blobs_store(struct ingest_blobs *b, struct mill_request *r,
                                  struct mill_arena *arena, int64_t now_us,
                                  struct mill_err *err) MILL_NODISCARD;

#endif
