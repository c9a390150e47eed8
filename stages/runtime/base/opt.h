/**
 * @file opt.h
 * @brief Options: one table feeds flags, environment, file, defaults, --help and the docs.
 *
 * Model: a program has several tables (the runtime's, its own), each writing to its own struct.
 * Precedence flag > environment MILL_<PROGRAM>_<OPTION> > file (`key = value`; a # at the start or
 * after white space comments) > default. An unknown or repeated key in the file is an error with
 * file:line; unknown flags are usage errors. A secret comes by the environment, or as `@/path` of
 * its file (one trailing newline dropped): in plain on a flag or in a file it is refused. Names
 * starting with a prefix option ("rdkafka.") are collected as pairs instead, keys without the
 * prefix (in the environment _ stands for the dots); keys that name a password or secret are
 * treated as secrets. A bool flag needs no value. `--config FILE` and the flags of enum
 * mill_opt_mode belong to every program.
 * Thread rule: load at start, read-only afterwards.
 */
#ifndef MILL_OPT_H
#define MILL_OPT_H

#include "base/err.h"
#include <stdio.h>

enum mill_opt_type {
    MILL_OPT_STR = 1, /**< const char * (NUL-terminated, owned by mill_opts) */
    MILL_OPT_U32,     /**< uint32_t */
    MILL_OPT_BYTES,   /**< uint64_t; suffixes KiB MiB GiB */
    MILL_OPT_MS,      /**< uint64_t milliseconds; suffixes ms s m h d */
    MILL_OPT_BOOL,    /**< bool; true/false/yes/no/on/off */
    MILL_OPT_PREFIX,  /**< struct mill_map of all names that start with .name; may repeat */
};

enum { MILL_OPT_REQUIRED = 1u << 0, MILL_OPT_SECRET = 1u << 1 };

struct mill_opt {
    const char *name;
    enum mill_opt_type type;
    size_t off;        /**< offset in the table's struct */
    const char *def;   /**< default as text; NULL = 0/false/NULL */
    uint64_t min, max; /**< inclusive, for numbers; both 0 = any */
    unsigned flags;
    const char *help; /**< one line */
};

/** One table with the struct it fills. */
struct mill_opt_set {
    const struct mill_opt *opts; /**< ends with a {0} row */
    void *conf;                  /**< zeroed by the caller; borrowed by mill_opts */
};

struct mill_opts; /**< owns the texts that the structs point to */

/** What the caller asked for instead of running. */
enum mill_opt_mode {
    MILL_MODE_RUN,
    MILL_MODE_HELP,
    MILL_MODE_VERSION,
    MILL_MODE_CHECK,    /**< --check-config */
    MILL_MODE_PRINT,    /**< --print-config */
    MILL_MODE_DESCRIBE, /**< --describe */
};

/**
 * @brief Read all sources into the sets.
 * @param program  name as in MILL_<PROGRAM>_<OPTION> (upper-cased, '-' and '.' become '_')
 * @param sets     ends with {0}; borrowed, must outlive the result
 * @param mode     out
 * @return MILL_OK; MILL_E_CONFIG (file, env or value wrong; where = file:line, variable or flag);
 *         MILL_E_STATE for a usage error (unknown flag); MILL_E_NOMEM
 * @own new in *out even on failure (mill_opts_free), so that messages can be printed
 */
enum mill_code mill_opts_load(struct mill_opts **out, const char *program,
                              const struct mill_opt_set *sets, int argc, char **argv,
                              enum mill_opt_mode *mode, struct mill_err *err) MILL_NODISCARD;
/** @brief --help text from the tables. */
void mill_opts_help(const char *program, const char *summary, const struct mill_opt_set *sets,
                    FILE *to);
/** @brief --print-config: `key = value  # origin`, secrets masked. */
void mill_opts_print(const struct mill_opts *o, FILE *to);
/** @brief The tables as a JSON array for --describe. @return false when writing failed */
bool mill_opts_describe(const struct mill_opt_set *sets, FILE *to);
/** @brief NULL-safe. */
void mill_opts_free(struct mill_opts *o);

#endif
