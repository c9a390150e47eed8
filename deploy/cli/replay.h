/**
 * @file replay.h
 * @brief Inside of `sendmill replay`: what a run is, and how it is planned.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "kafka/admin.h"
#include "move.h"
#include "retry.h"
#include "scan.h"
#include "topology.h"

enum { REPLAY_STAGES_MAX = 16, REPLAY_TOPIC_BYTES = 250 };

struct replay {
    struct cli *cli;
    struct topology topology;
    struct mill_admin *admin;
    char topic[REPLAY_TOPIC_BYTES], topic_id[37], run[MILL_UUID_TEXT];
    struct mill_arena names; /**< texts of a resumed run */
    struct mill_str listed;  /**< stages, with commas between */
    struct retry_topic stages[REPLAY_STAGES_MAX];
    size_t stages_n;
    struct scan scan;
    struct scan_bounds bounds; /**< from: the next one to go */
    bool *touched;             /**< of a partition: gone on since the last commit */
    struct move move;
    struct mill_arena mem; /**< of one record */
    enum mill_code code;   /**< of a callback */
    struct mill_err err;
};

/** @brief The topic, the stages, and from where to where in each partition: of a new run, or of the
 *  one that --resume names. */
enum mill_code replay_plan(struct replay *r) MILL_NODISCARD;
/** @brief What a former run has left to do, by its marks; replaces r->bounds. */
enum mill_code replay_left(struct replay *r) MILL_NODISCARD;

#endif
