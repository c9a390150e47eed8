/**
 * @file fake_table.h
 * @brief In place of table.c: the edge's table of used keys, a list that the test may look into.
 */
#ifndef FAKE_TABLE_H
#define FAKE_TABLE_H

#include "mail/controls.h"
#include "table.h"

/** @brief Empty, caught up. Call before a start. */
void fake_table_reset(void);
void fake_table_caught_up(bool yes);
/** @brief What the topic brought: another process's record. Texts are copied. */
void fake_table_bring(const char *key, const struct mill_idempotency *record);
/** @brief Forget what this process put (its death); what was brought stays. */
void fake_table_forget_own(void);
/** @brief Puts since the reset. */
unsigned fake_table_puts(void);
/** @brief Look-ups and puts fail from now on. */
void fake_table_fail(bool yes);

#endif
