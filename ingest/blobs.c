/**
 * @file blobs.c
 * @brief Which attachments go to S3, under which names, and the clients that bring them there.
 */
#include "blobs.h"

#include "base/clock.h"
#include "base/hash.h"
#include "metrics.h"
#include <pthread.h>
#include <stdlib.h>

enum { BLOBS_DAY_CHARS = 10 /* YYYY-MM-DD */ };

struct blobs_client {
    struct mill_s3 *s3;
    struct blobs_client *next;
};

struct ingest_blobs {
    struct ingest_blobs_conf conf;
    struct mill_metrics *metrics;
    pthread_mutex_t lock; /* over idle */
    struct blobs_client *idle;
};

static void blobs_client_free(struct blobs_client *c)
{
    if (c)
        mill_s3_free(c->s3);
    free(c);
}

static enum mill_code blobs_client_new(struct blobs_client **out, const struct ingest_blobs *b,
                                       struct mill_err *err)
{
    struct blobs_client *c = calloc(1, sizeof *c);
    enum mill_code rc = c ? mill_s3_open(&c->s3, &b->conf.s3, err)
                          : mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");

    if (rc) {
        blobs_client_free(c);
        c = NULL;
    }
    *out = c;
    return rc;
}

enum mill_code ingest_blobs_new(struct ingest_blobs **out, const struct ingest_blobs_conf *conf,
                                struct mill_metrics *metrics, struct mill_err *err)
{
    struct ingest_blobs *b = calloc(1, sizeof *b);
    enum mill_code rc;

    *out = NULL;
    if (!b)
        return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    b->conf = *conf;
    b->metrics = metrics;
    pthread_mutex_init(&b->lock, NULL);
    rc = blobs_client_new(&b->idle, b, err); /* a wrong option is said at the start */
    if (rc) {
        ingest_blobs_free(b);
        return rc;
    }
    *out = b;
    return MILL_OK;
}

void ingest_blobs_free(struct ingest_blobs *b)
{
    if (!b)
        return;
    while (b->idle) {
        struct blobs_client *next = b->idle->next;
        blobs_client_free(b->idle);
        b->idle = next;
    }
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static enum mill_code blobs_take(struct ingest_blobs *b, struct blobs_client **out,
                                 struct mill_err *err)
{
    pthread_mutex_lock(&b->lock);
    *out = b->idle;
    if (b->idle)
        b->idle = b->idle->next;
    pthread_mutex_unlock(&b->lock);
    return *out ? MILL_OK : blobs_client_new(out, b, err);
}

static void blobs_give(struct ingest_blobs *b, struct blobs_client *c)
{
    pthread_mutex_lock(&b->lock);
    c->next = b->idle;
    b->idle = c;
    pthread_mutex_unlock(&b->lock);
}

static enum mill_code blobs_put(struct ingest_blobs *b, struct mill_s3 *s3,
                                const struct mill_blob_ref *ref, struct mill_str content,
                                struct mill_err *err)
{
    enum mill_s3_put how = MILL_S3_CREATED;
    enum mill_code rc = mill_s3_put_new(s3, ref->key.p, content, (struct mill_map){0}, &how, err);

    if (rc) {
        mill_metric_add(b->metrics, M_BLOBS, BLOBS_FAILED, 1);
        return rc;
    }
    mill_metric_add(b->metrics, M_BLOBS, how == MILL_S3_EXISTS ? BLOBS_THERE : BLOBS_STORED, 1);
    mill_metric_add(b->metrics, M_BLOB_BYTES, 0, how == MILL_S3_EXISTS ? 0 : content.n);
    return MILL_OK;
}

/* The same attachment by reference. @return MILL_E_NOMEM when it could not be named */
static enum mill_code blobs_refer(const struct ingest_blobs *b, const struct mill_attachment *from,
                                  struct mill_arena *arena, int64_t now_us,
                                  struct mill_attachment *to, struct mill_err *err)
{
    struct mill_blob_ref *ref = mill_arena_calloc(arena, 1, sizeof *ref);
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1], day[32];

    if (!ref || !mill_sha256(from->content, digest))
        return mill_fail(err, MILL_E_NOMEM, "attachments", "out of memory");
    mill_hex(digest, sizeof digest, hex);
    mill_time_text(now_us, day, sizeof day);
    ref->sha256 = mill_arena_dup(arena, mill_str(hex));
    ref->bytes = (int64_t)from->content.n;
    ref->key = mill_arena_printf(arena, "%s%.*s/%s", b->conf.s3.prefix ? b->conf.s3.prefix : "",
                                 BLOBS_DAY_CHARS, day, hex);
    if (!ref->sha256.p || !ref->key.p)
        return mill_fail(err, MILL_E_NOMEM, "attachments", "out of memory");
    *to = *from;
    to->content = (struct mill_str){0};
    to->ref = ref;
    return MILL_OK;
}

enum mill_code ingest_blobs_store(struct ingest_blobs *b, struct mill_request *r,
                                  struct mill_arena *arena, int64_t now_us, struct mill_err *err)
{
    struct mill_attachment *all;
    struct blobs_client *client = NULL;
    uint64_t room = b->conf.room_bytes;
    enum mill_code rc = MILL_OK;

    if (!r->attachments.n)
        return MILL_OK;
    all = mill_arena_calloc(arena, r->attachments.n, sizeof *all);
    if (!all)
        return mill_fail(err, MILL_E_NOMEM, "attachments", "out of memory");
    for (size_t i = 0; i < r->attachments.n && !rc; i++) {
        const struct mill_attachment *a = &r->attachments.v[i];
        if (a->ref || (a->content.n <= b->conf.inline_max_bytes && a->content.n <= room)) {
            all[i] = *a;
            room -= a->content.n;
            continue;
        }
        if (!client)
            rc = blobs_take(b, &client, err);
        if (!rc)
            rc = blobs_refer(b, a, arena, now_us, &all[i], err);
        if (!rc)
            rc = blobs_put(b, client->s3, all[i].ref, a->content, err);
    }
    if (client)
        blobs_give(b, client);
    if (!rc)
        r->attachments.v = all;
    return rc;
}
