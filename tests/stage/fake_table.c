/* See fake_table.h. */
#include "fake_table.h"

#include <pthread.h>
#include <stdlib.h>

enum { FAKE_KEYS = 4096 };

struct fake_key {
    char key[64], request_id[64], fingerprint[80];
    int64_t accepted_at, messages;
    bool own;
};

static struct {
    pthread_mutex_t lock;
    bool caught_up, fail;
    unsigned puts;
    size_t n;
    struct fake_key v[FAKE_KEYS];
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .caught_up = true};

struct mill_table {
    struct mill_table_conf conf;
};

void fake_table_reset(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.n = 0;
    fake.puts = 0;
    fake.caught_up = true;
    fake.fail = false;
    pthread_mutex_unlock(&fake.lock);
}

void fake_table_caught_up(bool yes)
{
    pthread_mutex_lock(&fake.lock);
    fake.caught_up = yes;
    pthread_mutex_unlock(&fake.lock);
}

void fake_table_fail(bool yes)
{
    pthread_mutex_lock(&fake.lock);
    fake.fail = yes;
    pthread_mutex_unlock(&fake.lock);
}

unsigned fake_table_puts(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.puts;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static struct fake_key *fake_find(struct mill_str key)
{
    for (size_t i = 0; i < fake.n; i++)
        if (mill_str_is(key, fake.v[i].key))
            return &fake.v[i];
    return NULL;
}

static void fake_set(struct mill_str key, const struct mill_idempotency *r, bool own)
{
    struct fake_key *k = fake_find(key);

    if (!k)
        k = &fake.v[fake.n < FAKE_KEYS ? fake.n++ : FAKE_KEYS - 1];
    mill_str_cut(key, k->key, sizeof k->key);
    mill_str_cut(r->request_id, k->request_id, sizeof k->request_id);
    mill_str_cut(r->fingerprint, k->fingerprint, sizeof k->fingerprint);
    k->accepted_at = r->accepted_at;
    k->messages = r->messages;
    k->own = own;
}

void fake_table_bring(const char *key, const struct mill_idempotency *record)
{
    pthread_mutex_lock(&fake.lock);
    fake_set(mill_str(key), record, false);
    pthread_mutex_unlock(&fake.lock);
}

void fake_table_forget_own(void)
{
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < fake.n;) {
        if (fake.v[i].own)
            fake.v[i] = fake.v[--fake.n];
        else
            i++;
    }
    pthread_mutex_unlock(&fake.lock);
}

enum mill_code mill_table_start(struct mill_table **out, const struct mill_table_conf *conf,
                                struct mill_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return mill_fail(err, MILL_E_NOMEM, "fake", "out of memory");
    (*out)->conf = *conf;
    return MILL_OK;
}

void mill_table_stop(struct mill_table *t)
{
    free(t);
}

bool mill_table_caught_up(const struct mill_table *t)
{
    (void)t;
    pthread_mutex_lock(&fake.lock);
    bool yes = fake.caught_up;
    pthread_mutex_unlock(&fake.lock);
    return yes;
}

enum mill_code mill_table_get(struct mill_table *t, struct mill_str key, struct mill_arena *mem,
                              void *value, struct mill_err *err)
{
    struct mill_idempotency *out = value;
    const struct fake_key *k;
    enum mill_code rc = MILL_OK;

    pthread_mutex_lock(&fake.lock);
    k = fake_find(key);
    if (fake.fail)
        rc = mill_fail(err, MILL_E_IO, t->conf.topic, "as the test says");
    else if (!k)
        rc = mill_fail(err, MILL_E_NOENT, t->conf.topic, "no such key");
    else
        *out =
            (struct mill_idempotency){.request_id = mill_arena_dup(mem, mill_str(k->request_id)),
                                      .fingerprint = mill_arena_dup(mem, mill_str(k->fingerprint)),
                                      .client = MILL_STR(""),
                                      .accepted_at = k->accepted_at,
                                      .messages = k->messages};
    pthread_mutex_unlock(&fake.lock);
    return rc;
}

enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    (void)partition;
    pthread_mutex_lock(&fake.lock);
    if (fake.fail)
        rc = mill_fail(err, MILL_E_IO, t->conf.topic, "as the test says");
    else
        fake_set(key, value, true);
    fake.puts++;
    pthread_mutex_unlock(&fake.lock);
    return rc;
}

void mill_table_stats(struct mill_table *t, struct mill_table_stats *out)
{
    (void)t;
    pthread_mutex_lock(&fake.lock);
    *out = (struct mill_table_stats){.records = fake.n, .lag = fake.caught_up ? 0 : 1};
    pthread_mutex_unlock(&fake.lock);
}
