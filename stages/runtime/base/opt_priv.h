/**
 * @file opt_priv.h
 * @brief Private to opt.c (tables, texts out) and opt_load.c (sources in).
 */
#ifndef MILL_OPT_PRIV_H
#define MILL_OPT_PRIV_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/opt.h"

/** One name = value of a prefix option; the newest source replaces an older one of its key. */
struct opt_pair {
    struct mill_str key, value; /**< key without the prefix */
    const char *origin;
    struct opt_pair *next;
};

/** A row of a table, where it writes to, and what it holds now. */
struct opt_slot {
    const struct mill_opt *opt;
    void *to;
    const char *text;   /**< value as text; NULL = none */
    const char *origin; /**< "default", file:line, variable or flag */
    unsigned line;      /**< line of the file that set it; 0 = none did */
    struct opt_pair *pairs;
    size_t pairs_n;
};

struct mill_opts {
    struct mill_arena arena; /**< holds all texts */
    const char *program;
    struct opt_slot *slots;
    size_t n;
};

/** Where a value comes from: what may stand there differs for secrets. */
enum opt_source { OPT_DEFAULT, OPT_FILE, OPT_ENV, OPT_FLAG };

/** @brief Convert text and write it to the slot's struct. @param origin static or of the arena */
enum mill_code opt_set(struct mill_opts *o, struct opt_slot *slot, struct mill_str text,
                       enum opt_source source, const char *origin, struct mill_err *err);
/** @brief Add or replace one pair of a prefix option. */
enum mill_code opt_set_pair(struct mill_opts *o, struct opt_slot *slot, struct mill_str key,
                            struct mill_str text, enum opt_source source, const char *origin,
                            struct mill_err *err);
/** @brief Row whose name this is; for a prefix option the row and the rest as *key.
 *  @return NULL when there is none */
struct opt_slot *opt_find(struct mill_opts *o, struct mill_str name, struct mill_str *key);
/** @brief A pair of this key holds a secret: the names librdkafka has for them. */
bool opt_key_is_secret(const struct mill_opt *opt, struct mill_str key);
/** @brief The code for a file that mill_buf_add_file() could not read. */
enum mill_code opt_file_code(int errnum);
/** @brief Apply a file's text. @param name for messages. */
enum mill_code opt_text(struct mill_opts *o, struct mill_str text, const char *name,
                        struct mill_err *err);
/** @brief Slots for all rows, with the defaults set. @own new in *out even on failure */
enum mill_code opt_new(struct mill_opts **out, const char *program, const struct mill_opt_set *sets,
                       struct mill_err *err);

#endif
