/**
 * @file json.h
 * @brief The few things we do to JSON beside what jansson does itself.
 *
 * jansson is public here: a json_t is a fine way to hand JSON around. Limits: depth 64 (jansson is
 * built with 2048; a request never needs that), duplicates refused, NUL in strings refused.
 */
#ifndef MILL_JSON_H
#define MILL_JSON_H

#include "base/err.h"
#include <jansson.h>

/** @brief Parse with our limits. @return MILL_OK, MILL_E_DATA (where = line:column). @own new */
enum mill_code mill_json_parse(struct mill_str text, json_t **out,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief What jansson says is wrong, without the input that it quotes: that may be a secret or an
 *  address. @own borrowed from e, which is changed */
const char *mill_json_why(json_error_t *e);
/** @brief A string member, absent if missing or no string. @own borrowed from o */
struct mill_str mill_json_str(const json_t *o, const char *key);
/** @brief A string value (not a member). @own borrowed from v */
struct mill_str mill_json_text(const json_t *v);
/** @brief Compact dump with sorted keys, malloc'ed. @own new; NULL when out of memory */
char *mill_json_canonical(const json_t *v) MILL_NODISCARD;
/** @brief json_string from borrowed bytes; bytes that are no UTF-8 become U+FFFD. @own new */
json_t *mill_json_new(struct mill_str s) MILL_NODISCARD;

#endif
