/**
 * @file request_json.h
 * @brief A mail request as JSON (the body of POST /v1/mail) into a struct, all faults by field.
 *
 * Model: two forms. Simple: to, cc, bcc beside the rest. Full: personalizations, each with its own
 * recipients. An address is "a@b", "Name <a@b>" or {"email", "name"}; where a list of addresses is
 * due, one address will do. Times are RFC 3339 text or whole seconds since 1970. null is the same
 * as not there. A field that is not known is a fault: a typing error must not change a mail.
 * Fields: from to cc bcc reply_to subject text html template_id template_data categories headers
 * metadata attachments[filename type disposition content_id content] send_at expires_at on_unknown
 * personalizations[to cc bcc subject headers data metadata send_at]. Thread-safe.
 */
#ifndef MILL_REQUEST_JSON_H
#define MILL_REQUEST_JSON_H

#include "mail/request_rules.h"

/**
 * @brief Read and check. The ids and the time of acceptance are the caller's to set afterwards.
 * @param rules  as in mill_request_check, which is called here
 * @param out    filled only on MILL_OK; @own borrowed from json and arena
 * @param faults initialised here; borrows json
 * @return MILL_OK; MILL_E_DATA: see faults (err has the first ones); MILL_E_NOMEM
 */
enum mill_code mill_request_read(const json_t *json, const struct mill_rules *rules,
                                 struct mill_arena *arena, struct mill_request *out,
                                 struct mill_faults *faults, struct mill_err *err) MILL_NODISCARD;

#endif
