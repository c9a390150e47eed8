/**
 * @file letter.h
 * @brief A dead letter by its headers, and which ones are meant.
 */
#ifndef LETTER_H
#define LETTER_H

#include "base/arena.h"
#include "cli.h"

enum { LETTER_PLACES_MAX = CLI_WORDS_MAX, LETTER_OWN_HEADERS = 1, LETTER_REPLAY_HEADERS = 4 };

/** What a failure record's headers say; absent where there is no such header. */
struct letter {
    struct mill_str cls, stage, topic, partition, offset, attempt, reason, first, redrives;
};

struct letter_place {
    int32_t partition;
    int64_t offset;
};

/** Which dead letters are meant; NULL and 0 = any. */
struct letter_filter {
    const char *cls, *stage;
    const char *reason; /**< a part of it */
    struct letter_place places[LETTER_PLACES_MAX];
    size_t places_n;
};

/** @own borrowed from in */
struct letter letter_of(const struct mill_record *in);
/** @own new */
json_t *letter_json(const struct mill_record *in, const struct letter *l);
bool letter_wanted(const struct letter_filter *f, const struct mill_record *in,
                   const struct letter *l);
/** @brief "0/17" as dlq ls prints it. @return false when it is none */
bool letter_place(const char *text, struct letter_place *out);
/**
 * @brief The headers that it goes back with: as they are, redriven once more, without what its
 *        attempts and delays left, so that the policy begins anew.
 * @param v in->headers.n + LETTER_OWN_HEADERS rows; @param count 24 bytes for the new number
 * @return rows used
 */
size_t letter_redrive_headers(const struct mill_record *in, struct mill_pair *v, char *count);
/**
 * @brief The headers that a record is replayed with: as they are, with the mill.origin that its
 *        place gives where it has none, and its place as a failure's: by that a stage with several
 *        inputs knows which one it is of.
 * @param v in->headers.n + LETTER_REPLAY_HEADERS rows
 * @return rows used; 0 when out of memory
 */
size_t letter_replay_headers(const struct mill_record *in, const char *topic_id,
                             struct mill_arena *a, struct mill_pair *v);
/** @brief The partition of the retry topic: where it failed, else by key. */
int32_t letter_partition(const struct mill_record *in, const struct letter *l, int32_t partitions);

#endif
