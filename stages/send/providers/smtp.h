/** @file smtp.h  @brief The halves of the SMTP provider: calls out, refusals as events. */
#ifndef MILL_SMTP_H
#define MILL_SMTP_H

#include "send/provider.h"

/* Contracts: provider.h. */
bool mill_smtp_refusal(struct mill_buf *b, struct mill_str message_id, struct mill_str address,
                       struct mill_str reply, int64_t at_us);
enum mill_code mill_smtp_event(struct mill_str raw, struct mill_arena *mem, struct mill_event *out,
                               struct mill_err *err) MILL_NODISCARD;

#endif
