/* The worker: late answers, and the webhook: batches of events, signed, until they are taken. */
#include "double.h"

#include "base/clock.h"
#include "base/hash.h"
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_FIRST_MS = 100, RETRY_LAST_MS = 5000, POST_TIMEOUT_MS = 10000, IDLE_MS = 100 };

/* One batch on its way. */
struct double_post {
    struct double_state *d;
    enum double_provider from;
    struct mill_buf body;
    struct mill_buf list; /* its events as GET /events lists them */
    char timestamp[24];
    struct mill_buf signature;
    int64_t next_ms;
    int64_t wait_ms;
    bool running, done;
    unsigned copies; /* still to be posted after this one */
    bool fail_once;  /* with a broken signature first */
    uint64_t epoch;
    struct double_post *next;
};

enum mill_code double_load_key(struct double_state *d, struct mill_err *err)
{
    FILE *f = fopen(d->webhook_key, "rb");
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = NULL;

    if (f) /* PEM or DER */
        ctx = OSSL_DECODER_CTX_new_for_pkey(&key, NULL, NULL, "EC", EVP_PKEY_KEYPAIR, NULL, NULL);
    if (ctx && !OSSL_DECODER_from_fp(ctx, f))
        key = NULL;
    OSSL_DECODER_CTX_free(ctx);
    if (f)
        fclose(f);
    d->sign_key = key;
    return key ? MILL_OK
               : mill_fail(err, MILL_E_CONFIG, "webhook-key", "%s is no EC private key",
                           d->webhook_key);
}

bool double_public_key(const struct double_state *d, struct mill_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(d->sign_key, &der);
    bool ok = n > 0 && mill_base64_add(out, (struct mill_str){(char *)der, (size_t)n});

    OPENSSL_free(der);
    return ok;
}

/* ECDSA over timestamp ‖ body. */
static bool post_sign(struct double_post *p)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char der[256];
    size_t n = sizeof der;
    bool ok;

    mill_buf_reset(&p->signature);
    ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, p->d->sign_key) == 1 &&
         EVP_DigestSignUpdate(ctx, p->timestamp, strlen(p->timestamp)) == 1 &&
         EVP_DigestSignUpdate(ctx, p->body.p, p->body.n) == 1 &&
         EVP_DigestSignFinal(ctx, der, &n) == 1;
    EVP_MD_CTX_free(ctx);
    if (ok && p->fail_once)
        der[n - 1] ^= 1;
    return ok && mill_base64_add(&p->signature, (struct mill_str){(char *)der, n});
}

static void post_free(struct double_post *p)
{
    mill_buf_release(&p->body);
    mill_buf_release(&p->list);
    mill_buf_release(&p->signature);
    free(p);
}

static void post_done(void *arg, const struct mill_http_reply *r)
{
    struct double_post *p = arg;
    struct double_state *d = p->d;

    p->running = false;
    if (p->fail_once || r->end != MILL_HTTP_REPLIED || r->status < 200 || r->status > 299) {
        p->fail_once = false;
        p->next_ms = mill_tick_ms() + p->wait_ms;
        p->wait_ms = 2 * p->wait_ms < RETRY_LAST_MS ? 2 * p->wait_ms : RETRY_LAST_MS;
        return;
    }
    pthread_mutex_lock(&d->lock);
    if (p->epoch == d->epoch) {
        if (d->posted.n)
            mill_buf_putc(&d->posted, ',');
        mill_buf_str_add(&d->posted, mill_buf_view(&p->list));
    }
    pthread_mutex_unlock(&d->lock);
    if (p->copies)
        p->copies--;
    else
        p->done = true;
}

static void post_start(struct double_post *p)
{
    struct double_state *d = p->d;
    struct mill_pair headers[] = {
        {MILL_STR("Content-Type"), MILL_STR("application/json")},
        {MILL_STR("X-Twilio-Email-Event-Webhook-Timestamp"), {0}},
        {MILL_STR("X-Twilio-Email-Event-Webhook-Signature"), {0}},
    };
    struct mill_http_call call = {.method = "POST",
                                  .url = d->webhook_url,
                                  .headers = {headers, 1},
                                  .timeout_ms = POST_TIMEOUT_MS,
                                  .direct = true,
                                  .done = post_done,
                                  .arg = p};

    if (p->from == DOUBLE_MAILGUN) { /* signed anew each time, in the body */
        call.url = d->mailgun_webhook_url;
        mill_buf_reset(&p->body);
        double_mailgun_post(&p->body, d, mill_buf_view(&p->list), p->fail_once);
    } else if (d->sign_key) {
        snprintf(p->timestamp, sizeof p->timestamp, "%lld", (long long)(mill_now_us() / 1000000));
        if (!post_sign(p))
            abort();
        headers[1].value = mill_str(p->timestamp);
        headers[2].value = mill_buf_view(&p->signature);
        call.headers.n = 3;
    }
    call.body = mill_buf_view(&p->body);
    p->running = !mill_http_submit(d->http, &call, NULL);
    if (!p->running)
        p->next_ms = mill_tick_ms() + p->wait_ms;
}

/* Body as SendGrid writes it: events apart by CRLF, one at the end. */
static struct double_post *post_new(struct double_state *d, const struct double_event *events,
                                    size_t n)
{
    struct double_post *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->d = d;
    p->from = events[0].from;
    p->wait_ms = RETRY_FIRST_MS;
    p->epoch = d->epoch;
    mill_buf_init(&p->body, 2 * DOUBLE_POST_BYTES);
    mill_buf_init(&p->list, 2 * DOUBLE_POST_BYTES);
    mill_buf_init(&p->signature, 1024);
    for (size_t i = 0; i < n; i++) {
        mill_buf_puts(&p->body, i ? ",\r\n" : "[");
        mill_buf_add(&p->body, events[i].json, events[i].n);
        mill_buf_puts(&p->list, i ? "," : "");
        mill_buf_add(&p->list, events[i].json, events[i].n);
    }
    mill_buf_puts(&p->body, "]\r\n");
    if (p->body.failed || p->list.failed)
        abort();
    return p;
}

static bool worker_every(uint32_t n, uint32_t seen)
{
    return n && seen % n == 0;
}

/* What is due becomes one post. */
static void worker_post(struct double_state *d, const struct double_event *due, size_t n)
{
    const struct double_behaviour *b = &d->behaviour;
    struct double_post *p = post_new(d, due, n);

    d->posts_seen++;
    p->copies = worker_every(b->duplicate_every, d->posts_seen) ? 1 : 0;
    p->fail_once = worker_every(b->fail_every, d->posts_seen);
    if (worker_every(b->drop_every, d->posts_seen)) {
        post_free(p);
        atomic_fetch_add(&d->posts_dropped, 1);
    } else {
        p->next = d->posts;
        d->posts = p;
        d->posts_open++;
    }
    for (size_t k = 0; k < n; k++)
        free(due[k].json);
}

/* Cuts what is due into posts: SendGrid's in batches, Mailgun's one by one. Under the lock. */
static void worker_collect(struct double_state *d, int64_t now)
{
    struct double_event due[DOUBLE_POST_EVENTS];
    size_t n = 0, bytes = 0, kept = 0;

    for (size_t i = 0; i < d->n_events; i++) {
        const struct double_event e = d->events[i];

        if (e.due_ms > now || d->posts_open >= DOUBLE_POSTS_OPEN) {
            d->events[kept++] = e;
            continue;
        }
        if (e.from == DOUBLE_MAILGUN) {
            worker_post(d, &e, 1);
            continue;
        }
        if (n == DOUBLE_POST_EVENTS || bytes + e.n > DOUBLE_POST_BYTES) {
            worker_post(d, due, n);
            n = bytes = 0;
        }
        bytes += e.n;
        due[n++] = e;
    }
    if (n)
        worker_post(d, due, n);
    d->n_events = kept;
}

/* @return tick of the next post that waits */
static int64_t worker_posts(struct double_state *d, int64_t now)
{
    struct double_post **at = &d->posts;
    size_t running = 0;
    int64_t next = INT64_MAX;

    for (struct double_post *p = d->posts; p; p = p->next)
        running += p->running;
    while (*at) {
        struct double_post *p = *at;

        if (p->done) {
            *at = p->next;
            post_free(p);
            d->posts_open--;
            continue;
        }
        if (!p->running && p->next_ms <= now && running < DOUBLE_POSTS_MAX) {
            post_start(p);
            running += p->running;
        }
        if (!p->running && p->next_ms > now && p->next_ms < next)
            next = p->next_ms;
        at = &p->next;
    }
    return next;
}

/* @return tick of the next late answer. Under the lock. */
static int64_t worker_late(struct double_state *d, int64_t now)
{
    struct double_late **at = &d->late;
    int64_t next = INT64_MAX;

    while (*at) {
        struct double_late *l = *at;

        if (l->due_ms <= now) {
            *at = l->next;
            double_apis[l->from].answer(l->x, l->status, l->id, l->retry_after_s);
            free(l);
            continue;
        }
        if (l->due_ms < next)
            next = l->due_ms;
        at = &l->next;
    }
    return next;
}

void *double_worker(void *arg)
{
    struct double_state *d = arg;
    int64_t flush_ms = 0;

    while (!atomic_load(&d->stop)) {
        const int64_t now = mill_tick_ms();
        int64_t late, post, wait = IDLE_MS;

        pthread_mutex_lock(&d->lock);
        late = worker_late(d, now);
        if (now >= flush_ms) {
            worker_collect(d, now);
            flush_ms = now + (int64_t)d->flush_ms;
        }
        pthread_mutex_unlock(&d->lock);
        post = worker_posts(d, now);
        wait = late - now < wait ? late - now : wait;
        wait = post - now < wait ? post - now : wait;
        wait = flush_ms - now < wait ? flush_ms - now : wait;
        mill_http_poll(d->http, (int)(wait > 1 ? wait : 1));
    }
    return NULL;
}

void double_drop_posts(struct double_state *d)
{
    while (d->posts) {
        struct double_post *p = d->posts;

        d->posts = p->next;
        post_free(p);
    }
}
