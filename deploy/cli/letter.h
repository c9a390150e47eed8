/**
 * @file letter.h
 * @brief A dead letter by its headers, and which ones are meant.
 */
#ifndef LETTER_H
#define LETTER_H

#include "cli.h"

/** What a failure record's headers say; absent where there is no such header. */
struct letter {
    struct mill_str cls, stage, topic, partition, offset, attempt, reason, first, redrives;
};

/** Which dead letters are meant; NULL and 0 = any. */
struct letter_filter {
    const char *cls, *stage;
};

/** @own borrowed from in */
struct letter letter_of(const struct mill_record *in);
/** @own new */
json_t *letter_json(const struct mill_record *in, const struct letter *l);
bool letter_wanted(const struct letter_filter *f, const struct mill_record *in,
                   const struct letter *l);
/** @brief "0/17" as dlq ls prints it. @return false when it is none */
bool letter_place(const char *text, int32_t *partition, int64_t *offset);

#endif
