/**
 * @file faults.h
 * @brief Everything that is wrong with one request, by field.
 *
 * Model: a caller's struct on its stack (32 KiB; only n must be zeroed, by mill_faults_init). A
 * field is named once: a second fault of the same field, or of a part of it, is dropped. What is
 * over the limit is only counted. Where the request came as JSON, `form` is that JSON and fields
 * are named as its author wrote them ("to" rather than "personalizations[0].to[0].email").
 */
#ifndef MILL_FAULTS_H
#define MILL_FAULTS_H

#include "base/err.h"
#include <jansson.h>

enum { MILL_FAULTS_MAX = 100 };

struct mill_fault {
    char where[128];   /**< personalizations[0].to[1].email */
    char pointer[128]; /**< RFC 6901: /personalizations/0/to/1/email; "" = the request itself */
    char text[128];    /**< what is wrong; no values of the request but names of fields */
};

struct mill_faults {
    size_t n;           /**< entries in v */
    size_t more;        /**< faults that did not fit into v */
    bool too_large;     /**< one of them is the size of the whole: 413 over HTTP */
    bool nomem;         /**< memory ran out: the faults are not all, and may be none */
    const json_t *form; /**< borrowed; NULL: fields are named as in the record */
    struct mill_fault v[MILL_FAULTS_MAX];
};

/** One step of a path, linked from the field up to the request. Lives on the caller's stack. */
struct mill_step {
    const struct mill_step *up; /**< NULL at the top */
    struct mill_str name;       /**< field, or key of a map */
    bool is_key;                /**< name is the caller's own: a key of a map */
    bool indexed;
    size_t index;
};

#define MILL_AT(parent, field) (&(const struct mill_step){.up = (parent), .name = MILL_STR(field)})
#define MILL_AT_N(parent, field, i)                                                                \
    (&(const struct mill_step){                                                                    \
        .up = (parent), .name = MILL_STR(field), .indexed = true, .index = (i)})
#define MILL_AT_KEY(parent, key)                                                                   \
    (&(const struct mill_step){.up = (parent), .name = (key), .is_key = true})

/** @param form JSON that the request was read from, or NULL; borrowed */
void mill_faults_init(struct mill_faults *f, const json_t *form);
/** @param at NULL: the request itself */
void mill_faults_add(struct mill_faults *f, const struct mill_step *at, const char *fmt, ...)
    MILL_PRINTF(3, 4);
/** @brief A fault from a scanner's reason; none where `why` is NULL; nomem where it is that. */
void mill_faults_why(struct mill_faults *f, const struct mill_step *at, const char *why);
/** @brief The first faults in err->text, the very first field in err->where.
 *  @return MILL_OK when there are none; MILL_E_DATA; MILL_E_NOMEM when memory ran out */
enum mill_code mill_faults_err(const struct mill_faults *f, struct mill_err *err) MILL_NODISCARD;

#endif
