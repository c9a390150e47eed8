/**
 * @file signature.h
 * @brief Is this webhook really from its provider?
 *
 * SendGrid: ECDSA P-256 with SHA-256 over timestamp ‖ raw body. The key is parsed once and
 * read-only afterwards, so that one key serves all threads. The timestamp is text that is signed,
 * not a number: it is never parsed. Mailgun: HMAC-SHA256 over timestamp ‖ token, in the body
 * itself. It does not cover the events: who saw one post can forge others until it is too old, so
 * that the age is looked at. Malformed input of any kind is refused, never an abort.
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

/**
 * @brief Mailgun's own: {"signature":{"timestamp","token","signature","parent-signature"?},…}.
 * @param keys       webhook signing keys, several while one is being replaced; any may fit the
 *                   signature, or the parent's (events of a subaccount)
 * @param body       raw bytes
 * @param now_us     µs since 1970
 * @param max_age_ms refuse what was signed earlier than that, or later by as much; 0 = any time
 *                   (Mailgun repeats a post for 8 hours; whether it signs it anew is not known)
 * @return MILL_OK; MILL_E_AUTH when nothing fits or it is too old; MILL_E_DATA when the body is no
 *         such JSON; MILL_E_NOMEM
 * @thread any
 */
enum mill_code mill_verify_mailgun(struct mill_strs keys, struct mill_str body, int64_t now_us,
                                   uint64_t max_age_ms, struct mill_err *err) MILL_NODISCARD;

#endif
