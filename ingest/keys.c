/**
 * @file keys.c
 * @brief The table's word on a key, and a small hash set of those in hand.
 */
#include "keys.h"

#include "base/log.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS_SLOTS = 4096 /* chains of the set; a power of two */ };

struct keys_entry {
    char id[MILL_UUID_TEXT];
    struct keys_entry *next;
};

struct ingest_keys {
    struct mill_table *table;
    int64_t lifetime_us;
    pthread_mutex_t lock; /* over what follows */
    struct mill_arena arena;
    size_t n;
    struct keys_entry *slots[KEYS_SLOTS];
};

struct ingest_keys *ingest_keys_new(struct mill_table *table, uint64_t lifetime_ms)
{
    struct ingest_keys *k = calloc(1, sizeof *k);

    if (!k)
        return NULL;
    k->table = table;
    k->lifetime_us = (int64_t)lifetime_ms * 1000;
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void ingest_keys_free(struct ingest_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < KEYS_SLOTS; i++) {
        while (k->slots[i]) {
            struct keys_entry *next = k->slots[i]->next;
            free(k->slots[i]);
            k->slots[i] = next;
        }
    }
    mill_arena_release(&k->arena);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* Where the id stands, or where it would: the end of its chain. An id is a UUID: FNV will do. */
static struct keys_entry **keys_find(struct ingest_keys *k, const char *id)
{
    uint32_t h = 2166136261u;
    struct keys_entry **at;

    for (const char *c = id; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    at = &k->slots[h % KEYS_SLOTS];
    while (*at && strcmp((*at)->id, id))
        at = &(*at)->next;
    return at;
}

/* The id of a key's next use after its lifetime. The first part keeps it apart from all others. */
static bool keys_next_id(const char *id, int64_t accepted_at, char out[MILL_UUID_TEXT])
{
    char at[24];
    struct mill_str parts[] = {MILL_STR("idempotency-key again"), mill_str(id), {0}};

    snprintf(at, sizeof at, "%lld", (long long)accepted_at);
    parts[2] = mill_str(at);
    return mill_uuid5(parts, 3, out);
}

/* The table's word. @return FREE, USED or AWAY */
static enum ingest_key keys_look(struct ingest_keys *k, const char *id, int64_t now_us,
                                 struct ingest_key_use *use)
{
    struct mill_idempotency known;
    struct mill_err err = {0};
    enum mill_code rc;

    mill_str_cut(mill_str(id), use->request_id, sizeof use->request_id);
    if (!mill_table_caught_up(k->table))
        return INGEST_KEY_AWAY;
    mill_arena_reset(&k->arena);
    rc = mill_table_get(k->table, mill_str(id), &k->arena, &known, &err);
    if (rc == MILL_E_NOENT)
        return INGEST_KEY_FREE;
    if (rc) {
        mill_log_err(MILL_ERROR, "key_not_read", &err);
        return INGEST_KEY_AWAY;
    }
    if (known.accepted_at + k->lifetime_us < now_us)
        return keys_next_id(id, known.accepted_at, use->request_id) ? INGEST_KEY_FREE
                                                                    : INGEST_KEY_AWAY;
    mill_str_cut(known.request_id, use->request_id, sizeof use->request_id);
    mill_str_cut(known.fingerprint, use->fingerprint, sizeof use->fingerprint);
    use->accepted_at = known.accepted_at;
    use->messages = known.messages;
    return INGEST_KEY_USED;
}

enum ingest_key ingest_keys_take(struct ingest_keys *k, const char *id, int64_t now_us,
                                 struct ingest_key_use *use)
{
    struct keys_entry **at;
    enum ingest_key state = INGEST_KEY_IN_HAND;

    *use = (struct ingest_key_use){.messages = 0};
    pthread_mutex_lock(&k->lock);
    at = keys_find(k, id);
    if (!*at)
        state = keys_look(k, id, now_us, use);
    if (state == INGEST_KEY_FREE) {
        *at = calloc(1, sizeof **at);
        if (*at) {
            mill_str_cut(mill_str(id), (*at)->id, sizeof(*at)->id);
            k->n++;
        } else {
            state = INGEST_KEY_AWAY;
        }
    }
    pthread_mutex_unlock(&k->lock);
    return state;
}

void ingest_keys_keep(struct ingest_keys *k, const char *id, const struct mill_idempotency *record)
{
    struct mill_err err = {0};

    if (mill_table_put(k->table, MILL_TABLE_BY_KEY, mill_str(id), record, &err))
        mill_log_err(MILL_WARN, "key_not_kept", &err); /* the topic may still bring it */
}

void ingest_keys_release(struct ingest_keys *k, const char *id)
{
    struct keys_entry **at, *gone;

    pthread_mutex_lock(&k->lock);
    at = keys_find(k, id);
    gone = *at;
    if (gone) {
        *at = gone->next;
        k->n--;
    }
    pthread_mutex_unlock(&k->lock);
    free(gone);
}

const char *ingest_keys_why(const struct ingest_keys *k)
{
    return mill_table_caught_up(k->table) ? NULL : "the keys of earlier requests are not read yet";
}

size_t ingest_keys_in_hand(struct ingest_keys *k)
{
    size_t n;

    pthread_mutex_lock(&k->lock);
    n = k->n;
    pthread_mutex_unlock(&k->lock);
    return n;
}
