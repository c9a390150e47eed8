/**
 * @file rules.h
 * @brief The parts of the request rules; private to this folder. Use request_rules.h.
 */
#ifndef MILL_RULES_H
#define MILL_RULES_H

#include "mail/request_rules.h"

/** What the rules share while they walk one request. */
struct rules_walk {
    const struct mill_request *request;
    const struct mill_rules *rules;
    struct mill_faults *out;
    int64_t base_us; /**< accepted_at, or now */
};

/** @brief One line of text: UTF-8, no controls (so no CR, LF, NUL). @param tab allow HTAB
 *  @return NULL or why not (static) */
const char *rules_line(struct mill_str s, bool tab) MILL_NODISCARD;
/** @brief Characters (code points) of UTF-8 text. */
size_t rules_chars(struct mill_str s);
void rules_address(const struct rules_walk *w, const struct mill_step *at,
                   const struct mill_address *a, bool recipient);
/** @brief to, cc, bcc: each address, and that none is there twice. */
void rules_recipients(const struct rules_walk *w, const struct mill_step *at,
                      const struct mill_personalization *p);
void rules_headers(const struct rules_walk *w, const struct mill_step *at, struct mill_map m);
/** @brief Keys and values, and the size of `m` merged over `base`. */
void rules_metadata(const struct rules_walk *w, const struct mill_step *at, struct mill_map m,
                    struct mill_map base);
void rules_attachment(const struct rules_walk *w, const struct mill_step *at,
                      const struct mill_attachment *a);
/** @brief Text of a JSON object, or absent. */
void rules_json(const struct rules_walk *w, const struct mill_step *at, struct mill_str text);

#endif
