/** @file mailgun.h  @brief The halves of the Mailgun provider: calls out, events in. */
#ifndef MILL_MAILGUN_H
#define MILL_MAILGUN_H

#include "send/provider.h"

/** @brief Mailgun writes its id of a mail as <id> in replies, and bare in events. */
struct mill_str mill_mailgun_id(struct mill_str id);

/* Contracts: provider.h. */
enum mill_code mill_mailgun_split(struct mill_str body, mill_split_fn each, void *arg,
                                  struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_mailgun_event(struct mill_str raw, struct mill_arena *mem,
                                  struct mill_event *out, struct mill_err *err) MILL_NODISCARD;
extern const struct mill_webhook mill_mailgun_webhook;

#endif
