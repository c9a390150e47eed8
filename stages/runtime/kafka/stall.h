/**
 * @file stall.h
 * @brief Does a partition's last stable offset stay behind its log's end?
 *
 * Model: whoever reads committed records looks about once a second, with what it knows already.
 */
#ifndef MILL_KAFKA_STALL_H
#define MILL_KAFKA_STALL_H

#include "base/str.h"

enum {
    RUN_TXN_TIMEOUT_MS = 10000, /**< of our own transactions */
    RUN_STALL_MS = 3 * RUN_TXN_TIMEOUT_MS,
};

struct run_stall {
    int64_t position, since_ms, looked_ms;
    bool alarm; /**< it has stayed for RUN_STALL_MS */
};

/** @param position offset of the next record that the reader may get, markers counted
 *  @param high where the log ends @return true once, when the alarm begins */
bool run_stall_look(struct run_stall *s, int64_t position, int64_t high, int64_t now_ms);

#endif
