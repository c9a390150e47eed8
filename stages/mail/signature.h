/**
 * @file signature.h
 * @brief Is this webhook really from SendGrid? (What a provider signs otherwise is in its own
 * file.)
 *
 * SendGrid: ECDSA P-256 with SHA-256 over timestamp ‖ raw body. The key is parsed once and
 * read-only afterwards, so that one key serves all threads. The timestamp is text that is signed,
 * not a number: it is never parsed. Malformed input of any kind is refused, never an abort.
 */
#ifndef MILL_SIGNATURE_H
#define MILL_SIGNATURE_H

#include "base/err.h"

struct mill_verify_key;

/** @param base64 SubjectPublicKeyInfo (DER) of a P-256 key in base64, as SendGrid shows it
 *  @return MILL_OK; MILL_E_CONFIG when it is no such key; MILL_E_NOMEM. @own new in *out */
enum mill_code mill_verify_key_new(struct mill_verify_key **out, struct mill_str base64,
                                   struct mill_err *err) MILL_NODISCARD;
/** NULL-safe. */
void mill_verify_key_free(struct mill_verify_key *key);

/**
 * @param timestamp header X-Twilio-Email-Event-Webhook-Timestamp, as it came
 * @param body      raw bytes
 * @param signature header X-Twilio-Email-Event-Webhook-Signature: base64 of a DER signature
 * @return MILL_OK; MILL_E_AUTH when it does not fit or is malformed; MILL_E_NOMEM
 * @thread any
 */
enum mill_code mill_signature_verify(const struct mill_verify_key *key, struct mill_str timestamp,
                                     struct mill_str body, struct mill_str signature,
                                     struct mill_err *err) MILL_NODISCARD;

#endif
