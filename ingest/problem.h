/**
 * @file problem.h
 * @brief Every refusal of the HTTP surface as RFC 9457 problem+json, from one table.
 *
 * Model: a problem is a row: HTTP status, name, title, what to do about it. The name is stable and
 * ends the `type` URL; clients branch on it, never on texts. The same table gives the pages behind
 * those URLs (GET /problems/NAME), so that every type resolves.
 */
#ifndef INGEST_PROBLEM_H
#define INGEST_PROBLEM_H

#include "net/http_server.h"

enum ingest_problem {
    PROBLEM_MALFORMED_BODY = 1,
    PROBLEM_INVALID_IDEMPOTENCY_KEY,
    PROBLEM_MISSING_IDEMPOTENCY_KEY,
    PROBLEM_UNAUTHENTICATED,
    PROBLEM_MISSING_SCOPE,
    PROBLEM_INVALID_SIGNATURE,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_TIMEOUT,
    PROBLEM_KEY_IN_HAND,
    PROBLEM_TOO_LARGE,
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PROBLEM_INVALID_REQUEST,
    PROBLEM_KEY_REUSED,
    PROBLEM_TOO_MANY_IN_FLIGHT,
    PROBLEM_TOO_MANY_REQUESTS,
    PROBLEM_HEADERS_TOO_LARGE,
    PROBLEM_UNAVAILABLE,
    PROBLEM_OUTCOME_UNKNOWN,
    PROBLEM_INTERNAL,
    PROBLEM_END,
};

/** One wrong field: a JSON pointer into the request, and what is wrong with it. */
struct ingest_wrong {
    struct mill_str pointer, detail;
};

struct ingest_refusal {
    enum ingest_problem problem;
    struct mill_str detail;           /**< one sentence about this occurrence; absent = none */
    const struct ingest_wrong *wrong; /**< borrowed; may be NULL */
    size_t wrong_n;
    const char *challenge; /**< WWW-Authenticate of a 401; NULL = none */
};

/** @brief HTTP status of a problem. */
unsigned ingest_problem_status(enum ingest_problem p);
/** @brief The stable name, "invalid-request" … @own static */
const char *ingest_problem_name(enum ingest_problem p);
/** @brief The problem that stands for a bare HTTP status; PROBLEM_INTERNAL if none does. */
enum ingest_problem ingest_problem_of(unsigned status);
/** @brief Append the problem's JSON object. @param extra more members, JSON text that starts with
 *  a comma; absent = none. @return false when the buffer failed */
bool ingest_problem_add(struct mill_buf *out, const struct ingest_refusal *r,
                        struct mill_str extra);
/** @brief Answer an exchange with a problem, with Retry-After and WWW-Authenticate where they
 *  belong. @param extra as above. @thread any; x is gone afterwards */
void ingest_problem_answer(struct mill_exchange *x, const struct ingest_refusal *r,
                           struct mill_str extra);
/** @brief GET /problems/NAME: what the problem means and what to do. A mill_handler_fn. */
void ingest_problem_page(void *app, struct mill_exchange *x);

#endif
