/** @file life.c  @brief See life.h. */
#include "send/life.h"
#include "base/clock.h"
#include <stdlib.h>

enum { REFUSALS_BYTES = 4 << 20 /**< 1,000 recipients, each with a long answer */ };

/** Open addressing over pointers; a forgotten deed keeps its slot with an empty id. */
struct generation {
    struct send_deed **slot;
    size_t n;
};

struct send_life {
    struct generation gen[2]; /**< [0] is the newer */
    size_t limit, slots;      /**< slots: power of two, at least four times the limit */
    struct send_deed *ended;
};

static uint64_t hash_more(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t hash_of(const void *p, size_t n)
{
    return hash_more(UINT64_C(0xcbf29ce484222325), p, n);
}

static uint64_t place_of(const struct mill_record *in)
{
    uint64_t h = hash_of(in->topic, strlen(in->topic));

    h = hash_more(h, &in->partition, sizeof(in->partition));
    return hash_more(h, &in->offset, sizeof(in->offset));
}

bool send_deed_of(const struct send_deed *deed, const struct mill_record *in)
{
    return deed->place == place_of(in);
}

/** The slot where this id is, or the free one where it would be. */
static struct send_deed **slot_of(const struct send_life *l, const struct generation *g,
                                  struct mill_str id)
{
    size_t at = (size_t)hash_of(id.p, id.n) & (l->slots - 1);

    while (g->slot[at] && !mill_str_is(id, g->slot[at]->message_id))
        at = (at + 1) & (l->slots - 1);
    return &g->slot[at];
}

static void deed_free(struct send_deed *deed)
{
    if (deed)
        mill_buf_release(&deed->refusals);
    free(deed);
}

static void generation_clear(struct send_life *l, struct generation *g)
{
    for (size_t i = 0; g->slot && i < l->slots; i++) {
        deed_free(g->slot[i]);
        g->slot[i] = NULL;
    }
    g->n = 0;
}

struct send_life *send_life_new(size_t limit)
{
    struct send_life *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->limit = limit;
    /* Running deeds move along when a generation is dropped: room for another limit of them. */
    for (l->slots = 16; l->slots < 4 * limit; l->slots *= 2) {
    }
    l->gen[0].slot = calloc(l->slots, sizeof(struct send_deed *));
    l->gen[1].slot = calloc(l->slots, sizeof(struct send_deed *));
    if (!l->gen[0].slot || !l->gen[1].slot) {
        send_life_free(l);
        return NULL;
    }
    return l;
}

void send_life_free(struct send_life *l)
{
    if (l) {
        generation_clear(l, &l->gen[0]);
        generation_clear(l, &l->gen[1]);
        free(l->gen[0].slot);
        free(l->gen[1].slot);
        free(l);
    }
}

struct send_deed *send_life_find(struct send_life *l, struct mill_str message_id)
{
    struct send_deed *deed = NULL;

    if (!message_id.n)
        return NULL; /* what a forgotten deed's slot says */
    deed = *slot_of(l, &l->gen[0], message_id);
    return deed ? deed : *slot_of(l, &l->gen[1], message_id);
}

/** The newer generation is full: it becomes the older one, and what runs there stays. */
static void roll(struct send_life *l)
{
    struct generation old = l->gen[1];

    l->gen[1] = l->gen[0];
    l->gen[0] = (struct generation){old.slot, 0};
    for (size_t i = 0; i < l->slots; i++) {
        struct send_deed *deed = old.slot[i];

        old.slot[i] = NULL;
        if (!deed || !(deed->running || deed->listed)) {
            deed_free(deed);
            continue;
        }
        *slot_of(l, &l->gen[1], mill_str(deed->message_id)) = deed;
        l->gen[1].n++;
    }
}

struct send_deed *send_life_begin(struct send_life *l, const struct send_job *job)
{
    struct send_deed *deed = send_life_find(l, job->msg->message_id);

    if (!deed) {
        if (l->gen[0].n >= l->limit)
            roll(l);
        deed = l->gen[1].n < 2 * l->limit ? calloc(1, sizeof(*deed)) : NULL;
        if (!deed)
            return NULL;
        mill_str_cut(job->msg->message_id, deed->message_id, sizeof(deed->message_id));
        *slot_of(l, &l->gen[0], job->msg->message_id) = deed;
        l->gen[0].n++;
    }
    deed->running = true;
    deed->told = deed->again = false;
    mill_buf_release(&deed->refusals);
    mill_buf_init(&deed->refusals, REFUSALS_BYTES);
    deed->place = place_of(job->in);
    deed->partition = job->in->partition;
    deed->attempt = job->attempt;
    deed->provider = job->route->provider;
    mill_str_cut(job->msg->fingerprint, deed->fingerprint, sizeof(deed->fingerprint));
    mill_str_cut(job->msg->tenant, deed->tenant, sizeof(deed->tenant));
    mill_str_cut(job->msg->resend_id, deed->resend_id, sizeof(deed->resend_id));
    return deed;
}

void send_life_end(struct send_life *l, const struct send_job *job)
{
    struct send_deed *deed = job->deed;

    deed->running = false;
    deed->outcome = job->answer.outcome;
    deed->called = job->called;
    deed->at = mill_now_us();
    mill_str_cut(job->answer.provider_id, deed->provider_id, sizeof(deed->provider_id));
    mill_str_cut(job->answer.reason, deed->reason, sizeof(deed->reason));
    send_life_list(l, deed);
}

void send_deed_forget(struct send_deed *deed)
{
    deed->running = false;
    deed->message_id[0] = '\0'; /* the slot stays, so that those behind it are found */
}

void send_deed_told(struct send_deed *deed)
{
    deed->told = true;
    mill_buf_release(&deed->refusals);
}

struct send_deed *send_life_take_ended(struct send_life *l)
{
    struct send_deed *list = l->ended;

    l->ended = NULL;
    for (struct send_deed *d = list; d; d = d->next)
        d->listed = false;
    return list;
}

void send_life_list(struct send_life *l, struct send_deed *deed)
{
    if (!deed->listed) {
        deed->listed = true;
        deed->next = l->ended;
        l->ended = deed;
    }
}
