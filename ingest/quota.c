/**
 * @file quota.c
 * @brief A short list of the tenants that have mail in flight.
 */
#include "quota.h"

#include "credentials.h"
#include <pthread.h>
#include <stdlib.h>

struct quota_row {
    char tenant[INGEST_ID_MAX + 1];
    uint32_t n;
};

struct ingest_quota {
    uint32_t limit;
    pthread_mutex_t lock;
    struct quota_row *rows;
    size_t n, size;
};

struct ingest_quota *ingest_quota_new(uint32_t limit)
{
    struct ingest_quota *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->limit = limit;
    pthread_mutex_init(&q->lock, NULL);
    return q;
}

void ingest_quota_free(struct ingest_quota *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    free(q->rows);
    free(q);
}

static struct quota_row *quota_find(struct ingest_quota *q, const char *tenant)
{
    for (size_t i = 0; i < q->n; i++)
        if (!strcmp(q->rows[i].tenant, tenant))
            return &q->rows[i];
    return NULL;
}

static struct quota_row *quota_add(struct ingest_quota *q, const char *tenant)
{
    struct quota_row *row;

    if (q->n == q->size) {
        size_t size = q->size ? 2 * q->size : 8;
        row = realloc(q->rows, size * sizeof *row);
        if (!row)
            return NULL;
        q->rows = row;
        q->size = size;
    }
    row = &q->rows[q->n++];
    row->n = 0;
    mill_str_cut(mill_str(tenant), row->tenant, sizeof row->tenant);
    return row;
}

bool ingest_quota_take(struct ingest_quota *q, const char *tenant, uint32_t n)
{
    struct quota_row *row;
    bool ok = false;

    pthread_mutex_lock(&q->lock);
    row = quota_find(q, tenant);
    if (!row)
        row = quota_add(q, tenant);
    if (row && row->n < q->limit) {
        row->n += n;
        ok = true;
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

void ingest_quota_give(struct ingest_quota *q, const char *tenant, uint32_t n)
{
    struct quota_row *row;

    pthread_mutex_lock(&q->lock);
    row = quota_find(q, tenant);
    if (row) {
        row->n -= n;
        if (!row->n)
            *row = q->rows[--q->n];
    }
    pthread_mutex_unlock(&q->lock);
}
