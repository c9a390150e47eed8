/**
 * @file publish.c
 * @brief Codecs, schema registration, watch over the broker, hand-over to the producer.
 */
#include "publish.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "metrics.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PUBLISH_REGISTRY_MS = 2000, /* timeout of a call, and pause between tries */
    PUBLISH_WATCH_MS = 1500,    /* how long a broker may take to answer before it counts as away */
    PUBLISH_PAUSE_UP_MS = 1000, /* between two looks at a broker that is there */
    PUBLISH_PAUSE_AWAY_MS = 250,
};

/* What one encode needs; a codec serves one thread at a time. */
struct publish_slot {
    struct mill_codec *codec[INGEST_PORTS];
    struct mill_buf buf;
    struct publish_slot *next;
};

struct ingest_publisher {
    struct ingest_publisher_conf conf;
    struct mill_metrics *metrics;
    struct mill_registry *registry; /* the ticking thread's */
    int64_t next_register_ms, next_watch_ms;
    uint64_t delivered_seen;

    pthread_rwlock_t gate; /* senders hold it for reading; close for writing */
    struct mill_producer *producer;

    pthread_mutex_t lock; /* over slots */
    struct publish_slot *slots;

    atomic_int id[INGEST_PORTS]; /* of the schemas; 0 = not registered yet */
    atomic_bool broker_up, closed, broken;
    atomic_uint_fast64_t delivered;
};

static void publish_slot_free(struct publish_slot *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < INGEST_PORTS; i++)
        mill_codec_free(s->codec[i]);
    mill_buf_release(&s->buf);
    free(s);
}

static enum mill_code publish_slot_new(struct publish_slot **out,
                                       const struct ingest_publisher_conf *conf,
                                       struct mill_err *err)
{
    struct publish_slot *s = calloc(1, sizeof *s);
    enum mill_code rc = s ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "codec", "out of memory");

    if (s)
        mill_buf_init(&s->buf, MILL_FRAME_BYTES + conf->record_max_bytes);
    for (size_t i = 0; i < INGEST_PORTS && !rc; i++)
        rc = mill_codec_new(&s->codec[i], conf->desc[i], err);
    if (rc) {
        publish_slot_free(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

static struct publish_slot *publish_take(struct ingest_publisher *p, struct mill_err *err)
{
    struct publish_slot *s;

    pthread_mutex_lock(&p->lock);
    s = p->slots;
    if (s)
        p->slots = s->next;
    pthread_mutex_unlock(&p->lock);
    if (!s && publish_slot_new(&s, &p->conf, err))
        return NULL;
    return s;
}

static void publish_give(struct ingest_publisher *p, struct publish_slot *s)
{
    pthread_mutex_lock(&p->lock);
    s->next = p->slots;
    p->slots = s;
    pthread_mutex_unlock(&p->lock);
}

enum mill_code ingest_publisher_new(struct ingest_publisher **out,
                                    const struct ingest_publisher_conf *conf,
                                    struct mill_metrics *metrics, struct mill_err *err)
{
    struct ingest_publisher *p = calloc(1, sizeof *p);
    enum mill_code rc;

    *out = NULL;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "publisher", "out of memory");
    p->conf = *conf;
    p->metrics = metrics;
    pthread_rwlock_init(&p->gate, NULL);
    pthread_mutex_init(&p->lock, NULL);
    rc = publish_slot_new(&p->slots, conf, err);
    if (!rc)
        rc = mill_registry_new(&p->registry, conf->registry, PUBLISH_REGISTRY_MS, err);
    if (!rc)
        rc = mill_producer_new(&p->producer, &conf->kafka, err);
    if (rc) {
        ingest_publisher_free(p);
        return rc;
    }
    *out = p;
    return MILL_OK;
}

void ingest_publisher_close(struct ingest_publisher *p, uint32_t timeout_ms)
{
    struct mill_producer *producer;

    atomic_store(&p->closed, true);
    pthread_rwlock_wrlock(&p->gate); /* waits for those who are sending right now */
    producer = p->producer;
    p->producer = NULL;
    pthread_rwlock_unlock(&p->gate);
    mill_producer_free(producer, timeout_ms);
}

void ingest_publisher_free(struct ingest_publisher *p)
{
    if (!p)
        return;
    ingest_publisher_close(p, 0);
    while (p->slots) {
        struct publish_slot *next = p->slots->next;
        publish_slot_free(p->slots);
        p->slots = next;
    }
    mill_registry_free(p->registry);
    pthread_mutex_destroy(&p->lock);
    pthread_rwlock_destroy(&p->gate);
    free(p);
}

static void publish_register(struct ingest_publisher *p, int64_t now)
{
    char subject[300];
    struct mill_err err = {0};
    int32_t id = 0;

    for (size_t i = 0; i < INGEST_PORTS; i++) {
        if (atomic_load(&p->id[i]))
            continue;
        if (now < p->next_register_ms)
            return;
        snprintf(subject, sizeof subject, "%s-value", p->conf.topic[i]);
        if (mill_registry_register(p->registry, subject, mill_str(p->conf.desc[i]->avsc), &id,
                                   &err)) {
            mill_log_err(MILL_WARN, "schema_not_registered", &err);
            p->next_register_ms = mill_tick_ms() + PUBLISH_REGISTRY_MS;
            return;
        }
        mill_log(MILL_INFO, "schema_registered",
                 MILL_KV(MILL_KS("subject", subject), MILL_KI("id", id)), "schema registered");
        atomic_store(&p->id[i], id);
    }
}

static void publish_watch(struct ingest_publisher *p, int64_t now)
{
    bool was = atomic_load(&p->broker_up);
    bool answers = true, up;

    if (now < p->next_watch_ms)
        return;
    for (size_t i = 0; i < INGEST_PORTS && answers; i++)
        answers = mill_producer_ready(p->producer, p->conf.topic[i], PUBLISH_WATCH_MS);
    /* A broker that acknowledged meanwhile was there, however slow its metadata: look again soon.
     */
    up = answers || (was && atomic_load(&p->delivered) != p->delivered_seen);
    p->delivered_seen = atomic_load(&p->delivered);
    atomic_store(&p->broker_up, up);
    if (up != was)
        mill_log(up ? MILL_INFO : MILL_WARN, up ? "broker_up" : "broker_away", NULL,
                 up ? "the broker takes records" : "the broker or a topic is away");
    p->next_watch_ms = mill_tick_ms() + (answers ? PUBLISH_PAUSE_UP_MS : PUBLISH_PAUSE_AWAY_MS);
}

void ingest_publisher_tick(struct ingest_publisher *p)
{
    int64_t now = mill_tick_ms();

    if (atomic_load(&p->closed))
        return;
    publish_register(p, now);
    publish_watch(p, now);
    mill_metric_set(p->metrics, M_QUEUED, 0, (double)mill_producer_queued(p->producer));
}

/* What no waiting in the producer's queue helps against. */
static const char *publish_why(const struct ingest_publisher *p)
{
    if (atomic_load(&p->closed))
        return "going down";
    if (atomic_load(&p->broken))
        return "the producer failed for good";
    for (size_t i = 0; i < INGEST_PORTS; i++)
        if (!atomic_load(&p->id[i]))
            return "schemas are not registered yet";
    return NULL;
}

const char *ingest_publisher_why(const struct ingest_publisher *p)
{
    const char *why = publish_why(p);

    return why || atomic_load(&p->broker_up) ? why : "the broker or a topic is away";
}

bool ingest_publisher_broken(const struct ingest_publisher *p)
{
    return atomic_load(&p->broken);
}

/* From here on the broker is responsible, or we say what is known. */
static void publish_done(void *arg, enum mill_delivery d, int32_t partition, int64_t offset,
                         const char *reason)
{
    struct ingest_ticket *t = arg;
    struct ingest_publisher *p = t->publisher;

    (void)partition;
    (void)offset;
    MILL_FAULT_POINT("ingest.after-ack");
    mill_metric_add(p->metrics, M_RECORDS, (size_t)d, 1);
    mill_metric_observe(p->metrics, M_ACK, 0, (double)(mill_tick_ms() - t->sent_ms) / 1000.0);
    if (d == MILL_DELIVERED)
        atomic_fetch_add(&p->delivered, 1);
    t->done(t->arg, d, reason);
}

static enum ingest_publish publish_result(struct ingest_publisher *p, enum mill_code rc,
                                          const struct mill_err *err)
{
    switch (rc) {
    case MILL_OK:
        return INGEST_QUEUED;
    case MILL_E_DATA:
        return INGEST_TOO_LARGE;
    case MILL_E_IO:
    case MILL_E_NOENT:
        return INGEST_AWAY;
    case MILL_E_AUTH: /* the broker's rights are wrong, not the mail: it may be sent again */
        mill_log_err(MILL_ERROR, "publish_forbidden", err);
        return INGEST_AWAY;
    case MILL_E_KAFKA:
        atomic_store(&p->broken, true);
        mill_log_err(MILL_ERROR, "producer_failed", err);
        return INGEST_AWAY;
    default:
        return INGEST_FAILED;
    }
}

static enum ingest_publish publish_encode(struct ingest_publisher *p, struct publish_slot *s,
                                          enum ingest_port port, const void *value,
                                          struct mill_err *err)
{
    enum mill_code rc;

    mill_buf_reset(&s->buf);
    if (!mill_frame_add(&s->buf, atomic_load(&p->id[port])))
        return INGEST_FAILED;
    rc = mill_codec_encode(s->codec[port], value, &s->buf, err);
    if (!rc)
        return INGEST_QUEUED;
    return rc == MILL_E_DATA && s->buf.failed ? INGEST_TOO_LARGE : INGEST_FAILED;
}

enum ingest_publish ingest_publish_send(struct ingest_publisher *p, enum ingest_port port,
                                        struct mill_str key, const void *value,
                                        struct mill_map headers, struct ingest_ticket *ticket,
                                        struct mill_err *err)
{
    struct publish_slot *s = NULL;
    enum ingest_publish rc = INGEST_AWAY;

    if (ticket->follows ? publish_why(p) : ingest_publisher_why(p))
        return INGEST_AWAY;
    ticket->publisher = p;
    ticket->sent_ms = mill_tick_ms();
    s = publish_take(p, err);
    if (!s)
        return INGEST_FAILED;
    rc = publish_encode(p, s, port, value, err);
    if (rc != INGEST_QUEUED)
        goto out;
    MILL_FAULT_POINT("ingest.before-produce");
    pthread_rwlock_rdlock(&p->gate);
    rc = INGEST_AWAY;
    if (p->producer)
        rc = publish_result(p,
                            mill_producer_send(p->producer, p->conf.topic[port], -1, key,
                                               mill_buf_view(&s->buf), headers, publish_done,
                                               ticket, err),
                            err);
    pthread_rwlock_unlock(&p->gate);
out:
    publish_give(p, s);
    return rc;
}
