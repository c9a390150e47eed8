/**
 * @file err.h
 * @brief The one way a failure is reported: a code as result, the detail in the caller's struct.
 *
 * Model: the caller owns a struct mill_err on its stack; nothing in it is allocated. The failing
 * line is one line: return mill_fail(err, MILL_E_DATA, "to[0].email", "no @ in address");
 */
#ifndef MILL_ERR_H
#define MILL_ERR_H

#include "base/str.h"

enum mill_code {
    MILL_OK = 0,
    MILL_E_NOMEM,  /**< allocation failed */
    MILL_E_CONFIG, /**< the deployment is wrong: option, file, topology */
    MILL_E_SCHEMA, /**< a schema is unknown, unreadable or does not fit */
    MILL_E_DATA,   /**< these bytes are wrong and will stay wrong */
    MILL_E_IO,     /**< network, file or peer failed; may pass */
    MILL_E_KAFKA,  /**< the broker or librdkafka said no */
    MILL_E_STATE,  /**< called at the wrong time, or an invariant of a peer is broken */
    MILL_E_NOENT,  /**< no such thing */
    MILL_E_AUTH,   /**< credentials refused */
};

struct mill_err {
    enum mill_code code;
    char where[64];  /**< field, option, file:line or topic/partition/offset */
    char text[256];  /**< one sentence, no newline, no secrets, cut at its size */
    const char *cls; /**< failure class for the failure record, static string; NULL = by verdict */
};

/**
 * @brief Fill err and return code.
 * @param err   may be NULL: then only the code is returned
 * @param where the field or place at fault, not NULL
 */
enum mill_code mill_fail(struct mill_err *err, enum mill_code code, const char *where,
                         const char *fmt, ...) MILL_PRINTF(4, 5);

/** @brief Text of an errno value, thread-safe. @own borrowed from buf */
const char *mill_errno_text(int errnum, char *buf, size_t size);

/** @brief Name of a code as it stands in logs and metrics ("data", "io" …). @own static */
const char *mill_code_name(enum mill_code code);

/** Exit codes of every program (sysexits where one fits). */
enum mill_exit {
    MILL_EXIT_OK = 0,           /**< drained */
    MILL_EXIT_PARTIAL = 1,      /**< ran, and the answer is "no" or "not all" */
    MILL_EXIT_USAGE = 2,        /**< unknown flag or verb */
    MILL_EXIT_DECLINED = 3,     /**< asked and declined */
    MILL_EXIT_NOENT = 66,       /**< no such topic, id, file */
    MILL_EXIT_UNREACHABLE = 69, /**< broker, registry or API not there */
    MILL_EXIT_BUG = 70,
    MILL_EXIT_NOMEM = 71,
    MILL_EXIT_TEMP = 75,
    MILL_EXIT_NOPERM = 77,
    MILL_EXIT_CONFIG = 78,
};

/** @brief The exit code that fits a failure at start. */
int mill_exit_of(enum mill_code code);

#endif
