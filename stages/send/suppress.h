/**
 * @file suppress.h
 * @brief Options about recipients that want no mail, and about the link by which they say so.
 */
#ifndef MILL_SEND_SUPPRESS_H
#define MILL_SEND_SUPPRESS_H

#include "base/opt.h"
#include "mail/unsubscribe.h"

struct send_suppress_conf {
    const char *exempt_categories, *unsubscribe_categories, *unsubscribe_url, *unsubscribe_keys;
};
extern const struct mill_opt send_suppress_opts[];

/** @brief Check the options, read the keys. @own keys borrow from conf
 *  @return MILL_OK; MILL_E_CONFIG */
enum mill_code send_suppress_open(struct mill_unsubscribe_keys *keys,
                                  const struct send_suppress_conf *conf,
                                  struct mill_err *err) MILL_NODISCARD;

#endif
