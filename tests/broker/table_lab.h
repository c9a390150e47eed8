/** @file table_lab.h  @brief A mock cluster with one keyed topic of notes, and tables of it. */
#ifndef TABLE_LAB_H
#define TABLE_LAB_H

#include "lab.h"
#include "table.h"

extern struct lab lab;
extern struct mill_table_conf table_conf; /**< of the table "things" */

int table_lab_setup(void **state);
int table_lab_teardown(void **state);
/** @brief Produce a note to "things", where its key belongs; text NULL: a tombstone. */
void table_lab_put(const char *key, const char *text);
/** @brief A table that has caught up. */
struct mill_table *table_lab_started(void);
/** @brief What the table says of a key; "" for none. @own static buffer of the thread */
const char *table_lab_found(struct mill_table *t, const char *key);
/** @brief Waits until it says so. */
bool table_lab_becomes(struct mill_table *t, const char *key, const char *text);
/** @brief Put an own note into the table. */
void table_lab_own(struct mill_table *t, const char *key, const char *text);

#endif
