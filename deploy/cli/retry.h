/**
 * @file retry.h
 * @brief The retry topic of a stage: what only that stage reads.
 */
#ifndef RETRY_H
#define RETRY_H

#include "kafka/admin.h"

enum { RETRY_STAGE_BYTES = 64 };

struct retry_topic {
    char stage[RETRY_STAGE_BYTES], topic[RETRY_STAGE_BYTES + 16];
    int32_t partitions; /**< 0 = there is none */
};

/** @return MILL_OK; MILL_E_NOENT (no such topic: *out says its name); what the broker says */
enum mill_code retry_topic_find(struct mill_admin *admin, struct mill_str stage,
                                struct retry_topic *out, struct mill_err *err) MILL_NODISCARD;

#endif
