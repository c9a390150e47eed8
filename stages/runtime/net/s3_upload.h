/**
 * @file s3_upload.h
 * @brief Objects that are too large for one PUT: in parts, and only if no object of the name
 * exists.
 *
 * Model: bytes are added in any pieces; each part_bytes of them leave as a part, so that an upload
 * takes the memory of one part. What fits into one part becomes a simple conditional PUT. The
 * object is there at once and whole when the upload is finished, or not at all: the condition
 * (If-None-Match: *) stands with the completion, whose lost reply is settled by HEAD. A part may be
 * sent again, so its lost reply is no question. After an error only free: it aborts the parts that
 * are left at the service. An upload whose very beginning got no reply, or whose process was
 * killed, leaves them to the bucket's lifecycle rule (AbortIncompleteMultipartUpload). One thread,
 * that of the client.
 */
#ifndef MILL_S3_UPLOAD_H
#define MILL_S3_UPLOAD_H

#include "net/s3.h"

struct mill_s3_upload;

enum {
    MILL_S3_PART_BYTES = 16 << 20, /**< the default; a smaller object is one PUT */
    MILL_S3_PART_MIN = 5 << 20,    /**< S3 refuses smaller ones but for the last */
};

/** @brief Nothing is sent yet. @param meta as of mill_s3_put_new, copied
 *  @param part_bytes 0 = MILL_S3_PART_BYTES; 10,000 of them are the largest object. @own new */
enum mill_code mill_s3_upload_new(struct mill_s3_upload **out, struct mill_s3 *s, const char *key,
                                  struct mill_map meta, size_t part_bytes,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief More of the object's bytes. @return as s3.h says; MILL_E_IO: the whole object must be
 *  sent again, by a new upload */
enum mill_code mill_s3_upload_add(struct mill_s3_upload *u, struct mill_str bytes,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief The object is whole: make it appear. @param how as of mill_s3_put_new
 *  @return as of mill_s3_upload_add */
enum mill_code mill_s3_upload_finish(struct mill_s3_upload *u, enum mill_s3_put *how,
                                     struct mill_err *err) MILL_NODISCARD;
/** @brief Aborts what was not finished. NULL-safe. */
void mill_s3_upload_free(struct mill_s3_upload *u);

/** @brief Like mill_s3_put_new for a body of any size: one PUT up to MILL_S3_PART_BYTES, else parts
 *  that are not copied. */
enum mill_code mill_s3_put_large(struct mill_s3 *s, const char *key, struct mill_str body,
                                 struct mill_map meta, enum mill_s3_put *how,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
