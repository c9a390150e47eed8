/**
 * @file suppression.h
 * @brief The key of mail.suppressions: who is not to be mailed, by whom, what.
 *
 * Model: an address counts as the same however its letters' case is written and whether its domain
 * is written in Unicode or as A-labels. Pure functions, thread-safe.
 */
#ifndef MILL_SUPPRESSION_H
#define MILL_SUPPRESSION_H

#include "base/hash.h"
#include "base/opt.h"
#include "mail/controls.h"

enum {
    MILL_SUPPRESSION_ADDRESS_SIZE = 512 + 1,
    MILL_SUPPRESSION_KEY_SIZE = 2 * MILL_SHA256_BYTES + 1,
};

/** @brief The address as suppressions are compared by: ASCII letters lower case, domain as
 *  A-labels. What is no mailbox is only put in lower case.
 *  @param out MILL_SUPPRESSION_ADDRESS_SIZE bytes, NUL-terminated
 *  @return the text in out; p == NULL when it is empty or over 512 bytes */
struct mill_str mill_suppression_address(struct mill_str address, char *out) MILL_NODISCARD;

/** @brief The record's key. @param tenant empty or absent: every tenant's mail
 *  @param category empty or absent: all mail @param address in any form @param out
 * MILL_SUPPRESSION_KEY_SIZE bytes: hexadecimal digits
 *  @return false when the address is empty or too long, or the crypto library failed */
bool mill_suppression_key(struct mill_str tenant, struct mill_str address, struct mill_str category,
                          char *out) MILL_NODISCARD;

/** The option of all who must agree on it; a row of the struct `owner` with the text at `member`.
 */
#define MILL_SUPPRESSION_CATEGORIES(owner, member)                                                 \
    {                                                                                              \
        .name = "unsubscribe-categories", .type = MILL_OPT_STR, .off = offsetof(owner, member),    \
        .help =                                                                                    \
            "categories that may be unsubscribed from alone, with commas between; mail of any "    \
            "other one: from all mail of the tenant"                                               \
    }
/** @brief Which of a mail's categories is unsubscribed from. @param listed unsubscribe-categories;
 *  may be NULL @return the first of both; "" = all mail. @own borrowed */
struct mill_str mill_suppression_category(struct mill_strs categories, const char *listed);

#endif
