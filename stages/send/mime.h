/**
 * @file mime.h
 * @brief A mail as RFC 5322 bytes, built by GMime: it encodes and folds all header text.
 *
 * Model: one call, no state. Header text that could start a header of its own (CR, LF, NUL) is
 * refused, whoever let it through. Bcc is never written.
 * @thread one
 */
#ifndef MILL_SEND_MIME_H
#define MILL_SEND_MIME_H

#include "base/buf.h"
#include "mail/records.h"

/**
 * @brief Append the mail to out: CRLF line ends, 7-bit safe.
 * @param now_us the Date header, µs since 1970
 * @return MILL_OK; MILL_E_DATA (header text, missing attachment, over the buffer's cap);
 *         MILL_E_NOMEM
 */
enum mill_code mill_mime_build(const struct mill_message *m, int64_t now_us, struct mill_buf *out,
                               struct mill_err *err) MILL_NODISCARD;

#endif
