/**
 * @file events.h
 * @brief What readers of webhooks share: pieces of JSON text as they came, fields read leniently.
 *
 * Model: a field of a wrong type is a missing field. Strings are borrowed from the JSON tree until
 * mill_event_keep() copies them.
 */
#ifndef MILL_PROVIDER_EVENTS_H
#define MILL_PROVIDER_EVENTS_H

#include "base/json.h"
#include "send/provider.h"

/** A provider's word for an event, and ours. */
struct mill_event_word {
    const char *word;
    enum mill_event_type type;
};

/** @brief A string member that says something: "" is how some accounts write "none". */
struct mill_str mill_event_member(const json_t *o, const char *key);
/** @brief Its type by a table that ends with {0}; MILL_EVENT_OTHER when it is not there. */
enum mill_event_type mill_event_type_of(const struct mill_event_word *words, struct mill_str word);
/** @brief Why it bounced, in SendGrid's words, by an enhanced code ("5.1.1"); absent when that says
 *  nothing. @own static */
struct mill_str mill_event_class(struct mill_str enhanced);
/** @brief true, 1, "true" and the like; absent for anything else. */
struct mill_opt_bool mill_event_flag(const json_t *v);
/** @brief Seconds since 1970 (a fraction may follow), or milliseconds where the number is too large
 *  for seconds; number or string. @return µs; 0 when it is no time */
int64_t mill_event_time(const json_t *v);
/** @brief A string or a list of strings, copied. @return false when out of memory */
bool mill_event_list(const json_t *v, struct mill_arena *mem, struct mill_strs *out) MILL_NODISCARD;
/** @brief Copy the strings that point into the JSON tree, and make the event's id out of what
 *  happened: what a provider calls its id may change when it reports an event again.
 *  @param provider_id the most that the provider says of which mail it was
 *  @return false when out of memory */
bool mill_event_keep(struct mill_event *e, struct mill_str provider_id,
                     struct mill_arena *mem) MILL_NODISCARD;

/** @brief Skip white space. @return the place of the next byte, or s.n */
size_t mill_json_skip(struct mill_str s, size_t at);
/** @brief Refuses a NUL: jansson skips one behind a number, and then counts places wrong; none is
 *  JSON anyway. */
enum mill_code mill_json_sane(struct mill_str s, struct mill_err *err) MILL_NODISCARD;
/** @brief Parse the value at `at`; *end is the byte behind it, so that its text can be kept as it
 *  came. @param object nothing else will do @own new; NULL with err MILL_E_DATA */
json_t *mill_json_at(struct mill_str body, size_t at, bool object, size_t *end,
                     struct mill_err *err) MILL_NODISCARD;
/** @brief The whole text as one object. @own new; NULL with err MILL_E_DATA */
json_t *mill_json_object(struct mill_str raw, struct mill_err *err) MILL_NODISCARD;

#endif
