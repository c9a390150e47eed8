/**
 * @file judge.h
 * @brief Prism as judge of our calls: it stands in front of the provider double and lets only those
 *        through that the provider's own description allows, and only answers that it allows back.
 */
#ifndef MILL_JUDGE_H
#define MILL_JUDGE_H

#include "double.h"
#include "send/provider.h"
#include <sys/types.h>

enum { JUDGE_MANY = 1000 };

struct judge {
    struct double_state d; /**< options filled by the caller */
    struct mill_http *http;
    char prism[1024], spec[1024], url[64];
    pid_t pid;
};

/** @brief Find Prism and the description. @param spec its path below reference/ of ../shared, or of
 *  $MILL_SHARED @return NULL; else static text of what is missing */
const char *judge_find(struct judge *j, const char *spec);
/** @brief Start double and judge. @return 0, or -1 */
int judge_start(struct judge *j);
void judge_stop(struct judge *j);

struct judge_verdict {
    const struct mill_provider *provider;
    bool done;
    enum mill_http_end end;
    struct mill_arena *mem;
    struct mill_answer answer;
    long status;
    char body[2000];
};

/** @brief Make a call, and have its answer read by the verdict's provider. */
void judge_call(struct judge *j, struct mill_http_call *c, struct judge_verdict *v);
/** @brief From now on the next call gets this status; 0 = as the provider would. */
void judge_fault(struct judge *j, unsigned status);

#endif
