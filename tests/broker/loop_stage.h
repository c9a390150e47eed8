/** @file loop_stage.h  @brief The stages that test_loop runs as processes. */
#ifndef LOOP_STAGE_H
#define LOOP_STAGE_H

#include "stage.h"

enum { FAR_OFF_MS = 6000 /**< a note "far off" waits so long: more than hold.c's NEAR_MS */ };

struct note {
    struct mill_str text;
};
extern const struct mill_desc note_desc;
extern const struct mill_stage mill_stage_notes, mill_stage_pend, mill_stage_recall, mill_stage_two,
    mill_stage_owner, mill_stage_keep;

#endif
