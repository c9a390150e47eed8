/* See fake_broker.h. */
#include "fake_broker.h"
#include "kafka/common.h"

#include "avro/registry.h"

#include <pthread.h>
#include <stdlib.h>

enum { FAKE_TOPICS = 8 };

struct fake_call {
    mill_delivery_fn done;
    void *arg;
    const char *topic; /* borrowed: the edge's configuration */
    struct fake_call *next;
};

struct mill_producer {
    pthread_t thread;
    struct fake_call *first, **last;
    unsigned held;
    bool stop;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    enum fake_mode mode, special;
    const char *special_topic; /* has the mode special; NULL = none */
    bool broker, registry;
    unsigned sent, held;
    unsigned sent_of[FAKE_TOPICS];
    struct fake_record last, of[FAKE_TOPICS];
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .broker = true,
          .registry = true};

void fake_mode(enum fake_mode mode)
{
    pthread_mutex_lock(&fake.lock);
    fake.mode = mode;
    pthread_cond_broadcast(&fake.wake);
    pthread_mutex_unlock(&fake.lock);
}

void fake_mode_of(const char *topic, enum fake_mode mode)
{
    pthread_mutex_lock(&fake.lock);
    fake.special_topic = topic;
    fake.special = mode;
    pthread_cond_broadcast(&fake.wake);
    pthread_mutex_unlock(&fake.lock);
}

static enum fake_mode fake_mode_for(const char *topic)
{
    return fake.special_topic && !strcmp(topic, fake.special_topic) ? fake.special : fake.mode;
}

void fake_there(bool broker, bool registry)
{
    pthread_mutex_lock(&fake.lock);
    fake.broker = broker;
    fake.registry = registry;
    pthread_mutex_unlock(&fake.lock);
}

unsigned fake_sent(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.sent;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

unsigned fake_held(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.held;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

void fake_last(struct fake_record *out)
{
    pthread_mutex_lock(&fake.lock);
    *out = fake.last;
    pthread_mutex_unlock(&fake.lock);
}

/* The slot of a topic; the last one when there are too many. */
static struct fake_record *fake_of(const char *topic)
{
    size_t i = 0;

    while (i < FAKE_TOPICS - 1 && fake.of[i].topic[0] && strcmp(fake.of[i].topic, topic))
        i++;
    return &fake.of[i];
}

void fake_last_of(const char *topic, struct fake_record *out)
{
    pthread_mutex_lock(&fake.lock);
    *out = *fake_of(topic);
    pthread_mutex_unlock(&fake.lock);
}

unsigned fake_sent_of(const char *topic)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.sent_of[fake_of(topic) - fake.of];
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static enum mill_delivery fake_outcome(enum fake_mode mode)
{
    switch (mode) {
    case FAKE_UNDELIVERED:
        return MILL_UNDELIVERED;
    case FAKE_DOUBTFUL:
        return MILL_DOUBTFUL;
    case FAKE_TOO_LARGE:
        return MILL_TOO_LARGE;
    default:
        return MILL_DELIVERED;
    }
}

static void *fake_main(void *arg)
{
    struct mill_producer *p = arg;

    pthread_mutex_lock(&fake.lock);
    while (!p->stop || p->first) {
        enum fake_mode mode = p->first ? fake_mode_for(p->first->topic) : FAKE_HOLD;
        if (!p->first || (mode == FAKE_HOLD && !p->stop)) {
            pthread_cond_wait(&fake.wake, &fake.lock);
            continue;
        }
        struct fake_call *call = p->first;
        enum mill_delivery d = mode == FAKE_HOLD ? MILL_UNDELIVERED : fake_outcome(mode);
        p->first = call->next;
        if (!p->first)
            p->last = &p->first;
        fake.held--;
        pthread_mutex_unlock(&fake.lock);
        call->done(call->arg, d, 0, 17, d == MILL_DELIVERED ? NULL : "as the test says");
        free(call);
        pthread_mutex_lock(&fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

enum mill_code mill_producer_new(struct mill_producer **out, const struct mill_kafka_conf *conf,
                                 struct mill_err *err)
{
    struct mill_producer *p = calloc(1, sizeof *p);

    (void)conf;
    *out = NULL;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "fake", "out of memory");
    p->last = &p->first;
    if (pthread_create(&p->thread, NULL, fake_main, p)) {
        free(p);
        return mill_fail(err, MILL_E_NOMEM, "fake", "no thread");
    }
    *out = p;
    return MILL_OK;
}

void mill_producer_free(struct mill_producer *p, uint32_t timeout_ms)
{
    (void)timeout_ms;
    if (!p)
        return;
    pthread_mutex_lock(&fake.lock);
    p->stop = true;
    pthread_cond_broadcast(&fake.wake);
    pthread_mutex_unlock(&fake.lock);
    pthread_join(p->thread, NULL);
    free(p);
}

static void fake_keep(const char *topic, struct mill_str key, struct mill_str value,
                      struct mill_map headers)
{
    struct fake_record *r = &fake.last;

    mill_str_cut(mill_str(topic), r->topic, sizeof r->topic);
    mill_str_cut(key.p ? key : MILL_STR("-"), r->key, sizeof r->key);
    r->value_n = value.n < sizeof r->value ? value.n : sizeof r->value;
    memcpy(r->value, value.p, r->value_n);
    mill_str_cut(mill_map_get(headers, "traceparent"), r->traceparent, sizeof r->traceparent);
    mill_str_cut(mill_map_get(headers, "tracestate"), r->tracestate, sizeof r->tracestate);
    *fake_of(topic) = *r;
    fake.sent_of[fake_of(topic) - fake.of]++;
}

enum mill_code mill_producer_send(struct mill_producer *p, const char *topic, int32_t partition,
                                  struct mill_str key, struct mill_str value,
                                  struct mill_map headers, mill_delivery_fn done, void *arg,
                                  struct mill_err *err)
{
    struct fake_call *call = malloc(sizeof *call);
    enum mill_code rc = MILL_OK;

    (void)partition;
    if (!call)
        return mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
    *call = (struct fake_call){.done = done, .arg = arg, .topic = topic};
    pthread_mutex_lock(&fake.lock);
    enum fake_mode mode = fake_mode_for(topic);
    if (mode == FAKE_FULL) {
        rc = mill_fail(err, MILL_E_IO, topic, "queue full");
    } else if (mode == FAKE_FORBIDDEN) {
        rc = mill_fail(err, MILL_E_AUTH, topic, "no right to write");
    } else if (mode == FAKE_FATAL) {
        rc = mill_fail(err, MILL_E_KAFKA, topic, "fatal");
    } else {
        fake_keep(topic, key, value, headers);
        fake.sent++;
        fake.held++;
        *p->last = call;
        p->last = &call->next;
        call = NULL;
        pthread_cond_broadcast(&fake.wake);
    }
    pthread_mutex_unlock(&fake.lock);
    free(call);
    return rc;
}

bool mill_producer_ready(struct mill_producer *p, const char *topic, uint32_t timeout_ms)
{
    (void)p;
    (void)topic;
    (void)timeout_ms;
    pthread_mutex_lock(&fake.lock);
    bool there = fake.broker;
    pthread_mutex_unlock(&fake.lock);
    return there;
}

size_t mill_producer_queued(const struct mill_producer *p)
{
    (void)p;
    return fake_held();
}

/* --- registry -------------------------------------------------------------------------------- */

struct mill_registry {
    int32_t next;
};

enum mill_code mill_registry_new(struct mill_registry **out, const char *url, uint32_t timeout_ms,
                                 struct mill_err *err)
{
    (void)url;
    (void)timeout_ms;
    *out = calloc(1, sizeof **out);
    return *out ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "fake", "out of memory");
}

void mill_registry_free(struct mill_registry *r)
{
    free(r);
}

enum mill_code mill_registry_register(struct mill_registry *r, const char *subject,
                                      struct mill_str json, int32_t *id, struct mill_err *err)
{
    pthread_mutex_lock(&fake.lock);
    bool there = fake.registry;
    pthread_mutex_unlock(&fake.lock);
    if (!there)
        return mill_fail(err, MILL_E_IO, subject, "the fake is away");
    if (!json.n)
        return mill_fail(err, MILL_E_SCHEMA, subject, "no schema");
    *id = 40 + ++r->next;
    return MILL_OK;
}

/* No librdkafka here to ask about its properties: the level is all there is to check. */
enum mill_code mill_common_check(const struct mill_common *c, enum mill_level *level,
                                 struct mill_err *err)
{
    if (!mill_level_parse(c->log_level, level))
        return mill_fail(err, MILL_E_CONFIG, "log-level", "is none of debug, info, warn, error");
    return MILL_OK;
}
