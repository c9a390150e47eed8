/* Inside of a table's store: table_store.c (file, writing) and table_look.c (looking). */
#ifndef MILL_TABLE_LMDB_INT_H
#define MILL_TABLE_LMDB_INT_H

#include "kafka/table_store_int.h"
#include <lmdb.h>

enum { STORE_PARTS_MAX = 1024, STORE_OFFSET_BYTES = 8 };

struct store_part {
    int32_t id;
    MDB_dbi topic, own;
};

struct run_store {
    const char *name;
    MDB_env *env;
    MDB_dbi marks; /**< how far each partition was read; those not held too */
    MDB_txn *txn;  /**< of the records taken; NULL = none since the last commit */
    size_t key_max;
    struct store_part parts[STORE_PARTS_MAX]; /**< held */
    size_t parts_n;
};

/** @return NULL when it is not held. @own borrowed until the next hold or let_go */
const struct store_part *store_part(const struct run_store *s, int32_t partition);
enum mill_code store_fail(struct mill_err *err, const struct run_store *s, int rc);
/** @brief A stored value without the offset before it. @own borrowed from the transaction */
struct mill_str store_value(MDB_val v);

#endif
