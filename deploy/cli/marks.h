/**
 * @file marks.h
 * @brief Which dead letters of a topic were redriven before: the marks of mail.moves.
 */
#ifndef MARKS_H
#define MARKS_H

#include "letter.h"

struct marks {
    char topic_id[37];
    struct letter_place *v; /**< sorted */
    size_t n, size;
    bool nomem;
};

/** @brief Read them anew. @return MILL_OK; MILL_E_NOENT (no such topic); MILL_E_CONFIG (no
 *  mail.moves); what broker or registry say. @own new in *m (marks_release), also on failure */
enum mill_code marks_read(struct cli *cli, const char *topic, struct marks *m,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief Was this record redriven? */
bool marks_has(const struct marks *m, const struct mill_record *in);
void marks_release(struct marks *m);

#endif
