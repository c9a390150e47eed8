/** @file sendgrid.h  @brief The halves of the SendGrid provider: calls out, events in. */
#ifndef MILL_SENDGRID_H
#define MILL_SENDGRID_H

#include "send/provider.h"

/* Contracts: provider.h. */
enum mill_code mill_sendgrid_split(struct mill_str body, mill_split_fn each, void *arg,
                                   struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_sendgrid_event(struct mill_str raw, struct mill_arena *mem,
                                   struct mill_event *out, struct mill_err *err) MILL_NODISCARD;
extern const struct mill_webhook mill_sendgrid_webhook;

#endif
