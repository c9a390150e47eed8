/**
 * @file policy.h
 * @brief Which fields of a topic enter the lake, and which of them as something else.
 *
 * Model: a policy is read from text, `TOPIC:FIELD=RULE,FIELD=RULE;TOPIC:…`. A topic may end in *,
 * a field is a dotted path, and stands for all that is below it; of several entries for a path the
 * last one counts. Rules:
 *
 *   keep  as it is (what a field without an entry is)
 *   drop  not at all
 *   hash  HMAC-SHA-256 of the text with the policy's key, hexadecimal: joins still work
 *   mask  ***, of an address ***@its.domain
 *
 * hash and mask are for text, also in lists, maps, unions and records below the path; what is no
 * text there is dropped. A map's keys are names, as those of fields are: they stay. Where they tell
 * something, drop the field. Read-only once read.
 */
#ifndef MILL_LAKE_POLICY_H
#define MILL_LAKE_POLICY_H

#include "base/buf.h"

/** What the sink does where it is told nothing: bodies do not enter the lake. */
#define MILL_POLICY_DEFAULT                                                                        \
    "mail.requests:text=drop,html=drop,attachments=drop,template_data=drop;"                       \
    "mail.messages:text=drop,html=drop,attachments=drop,template_data=drop"

enum mill_guard { MILL_KEEP, MILL_DROP, MILL_HASH, MILL_MASK };

struct mill_policy_rule {
    struct mill_str path;
    enum mill_guard guard;
};
struct mill_policy {
    const struct mill_policy_rule *v;
    size_t n;
    struct mill_str key;  /**< of the hashes */
    struct mill_str time; /**< field of the record whose time says where a row lies; absent: the
                               broker's time does */
};

/**
 * @brief The rules of one topic.
 * @param text  borrowed for the policy's life
 * @param rules room for them, or NULL to count
 * @param n     out
 * @return MILL_OK; MILL_E_CONFIG when any topic's entry is malformed
 */
enum mill_code mill_policy_read(struct mill_str text, struct mill_str topic,
                                struct mill_policy_rule *rules, size_t *n,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief The rule of a path. @param p NULL = no rules. @param within that of the field it is in */
enum mill_guard mill_policy_of(const struct mill_policy *p, struct mill_str path,
                               enum mill_guard within);
/** @brief Is there a rule that needs the key? */
bool mill_policy_hashes(const struct mill_policy *p);
/** @brief A guarded text. @param out emptied first @return false when out of memory */
bool mill_policy_apply(const struct mill_policy *p, enum mill_guard guard, struct mill_str text,
                       struct mill_buf *out) MILL_NODISCARD;
/** @brief Does a list of topics, with commas between and perhaps a * at an end, name this one? */
bool mill_policy_names(struct mill_str list, struct mill_str topic);

#endif
