/**
 * @file log.h
 * @brief One JSON object a line on stderr: ts, lvl, stage, ev, msg, then the caller's fields.
 *
 * Model: process-wide, thread-safe (one write(2) a line, a line is at most 4 KiB and is cut, never
 * split). ev is a constant in snake_case to grep for. No bodies, no addresses above debug.
 */
#ifndef MILL_LOG_H
#define MILL_LOG_H

#include "base/err.h"

enum mill_level { MILL_DEBUG, MILL_INFO, MILL_WARN, MILL_ERROR };

struct mill_kv {
    const char *key;
    struct mill_str s; /**< used when is_num is false */
    int64_t i;
    bool is_num;
};

#define MILL_KS(k, z)   ((struct mill_kv){.key = (k), .s = mill_str(z)})
#define MILL_KSTR(k, v) ((struct mill_kv){.key = (k), .s = (v)})
#define MILL_KI(k, v)   ((struct mill_kv){.key = (k), .i = (int64_t)(v), .is_num = true})

/** @brief Name that every line carries, and the least level written. @param stage borrowed for the
 *  process's life */
void mill_log_setup(const char *stage, enum mill_level least);
bool mill_log_on(enum mill_level lvl);
/** @param kv ends with a {0} entry; may be NULL */
void mill_log(enum mill_level lvl, const char *ev, const struct mill_kv *kv, const char *fmt, ...)
    MILL_PRINTF(4, 5);
/** @brief A mill_err as a line: code, where, text. */
void mill_log_err(enum mill_level lvl, const char *ev, const struct mill_err *err);
/** @brief "debug", "info", "warn", "error" → level. @return false when it is none of them */
bool mill_level_parse(const char *text, enum mill_level *out) MILL_NODISCARD;

/** mill_log(MILL_INFO, "ev", MILL_KV(MILL_KI("n", 3)), "text %d", 1); */
#define MILL_KV(...)                                                                               \
    (const struct mill_kv[])                                                                       \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#endif
