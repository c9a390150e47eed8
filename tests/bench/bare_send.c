/* bare_send BROKERS REGISTRY IN GROUP URL CONCURRENCY BATCH: what send would be without its ledger:
 * read a batch of messages, decode, call the provider with the same dispatcher, commit the offsets.
 * No transactions, no INTENT, no OUTCOME, no status: a crash sends a batch twice. Ends on SIGTERM.
 */
#include "bench_kafka.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "avro/wire.h"
#include "base/clock.h"
#include "send/dispatch.h"

enum { BATCH_MOST = 4096 };

struct bare {
    rd_kafka_t *consumer;
    struct mill_codec *codec;
    struct send_dispatch *dispatch;
    struct mill_account account;
    struct send_route route;
    struct mill_arena mem;
    rd_kafka_message_t *in[BATCH_MOST];
    struct send_job jobs[BATCH_MOST];
    size_t n, settled, refused;
};

static const char *forbids(void *arg, struct send_job *job)
{
    (void)arg, (void)job;
    return NULL;
}

static void settled(void *arg, struct send_job *job)
{
    struct bare *b = arg;

    b->settled++;
    b->refused += job->answer.outcome != MILL_OUTCOME_ACCEPTED;
    send_job_release(job);
}

static void open_calls(struct bare *b, char **argv)
{
    static const struct send_attach_conf no_bucket = {0};
    const struct send_dispatch_conf conf = {
        .attach = &no_bucket,
        .concurrency = (uint32_t)strtoul(argv[6], NULL, 10),
        .timeout_ms = 20000,
        .intent_max_ms = 30000,
        .settled = settled,
        .forbids = forbids,
        .arg = b,
    };
    struct mill_registry *r = NULL;
    struct mill_str json;
    struct mill_err err = {0};
    char subject[300];
    int32_t id = 0;

    snprintf(subject, sizeof subject, "%s-value", argv[3]);
    if (mill_registry_new(&r, argv[2], 10000, &err) ||
        mill_registry_latest(r, subject, &id, &json, &err) ||
        mill_codec_new(&b->codec, &mill_message_desc, &err) ||
        mill_codec_learn(b->codec, id, json, &err) || send_dispatch_new(&b->dispatch, &conf, &err))
        bench_die(err.where, err.text);
    mill_registry_free(r);
    b->account = (struct mill_account){.url = argv[5], .secret = "SG.bench"};
    b->route.provider = mill_provider_find(MILL_STR("sendgrid"));
    b->route.account = &b->account;
}

/* A batch as send takes it: what is there at once, up to the limit. */
static void collect(struct bare *b, size_t most)
{
    int wait_ms = 100;

    while (b->n < most) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(b->consumer, wait_ms);
        if (!m)
            return;
        if (m->err)
            bench_die("consume", rd_kafka_message_errstr(m));
        b->in[b->n++] = m;
        wait_ms = 0;
    }
}

static void call_all(struct bare *b)
{
    struct mill_err err = {0};

    for (size_t i = 0; i < b->n; i++) {
        struct mill_message *m = mill_arena_calloc(&b->mem, 1, sizeof *m);
        struct mill_str body;
        int32_t id;

        if (!m ||
            mill_frame_split((struct mill_str){b->in[i]->payload, b->in[i]->len}, &id, &body,
                             &err) ||
            mill_codec_decode(b->codec, id, body, &b->mem, m, &err))
            bench_die("decode", err.text);
        b->jobs[i] = (struct send_job){.msg = m, .route = &b->route, .intent_ms = mill_tick_ms()};
        send_dispatch_push(b->dispatch, &b->jobs[i]);
    }
    while (b->settled < b->n)
        send_dispatch_run(b->dispatch, 50, false);
}

static void end_batch(struct bare *b)
{
    for (size_t i = 0; i < b->n; i++) {
        rd_kafka_error_t *e = rd_kafka_offset_store_message(b->in[i]);
        if (e)
            bench_die("offset", rd_kafka_error_string(e));
        rd_kafka_message_destroy(b->in[i]);
    }
    if (rd_kafka_commit(b->consumer, NULL, 0))
        bench_die("commit", "failed");
    mill_arena_reset(&b->mem);
    b->n = b->settled = 0;
}

int main(int argc, char **argv)
{
    static const char *const none[][2] = {{NULL, NULL}};
    static struct bare b;
    size_t batch;

    if (argc != 8)
        bench_die("usage", "BROKERS REGISTRY IN GROUP URL CONCURRENCY BATCH");
    batch = strtoul(argv[7], NULL, 10);
    if (batch < 1 || batch > BATCH_MOST)
        bench_die("BATCH", "1 to 4096");
    signal(SIGTERM, bench_on_signal);
    open_calls(&b, argv);
    b.consumer = bench_consumer(argv[1], argv[4], none);
    bench_subscribe(b.consumer, argv[3]);
    while (!bench_stop) {
        collect(&b, batch);
        if (!b.n)
            continue;
        call_all(&b);
        end_batch(&b);
    }
    rd_kafka_consumer_close(b.consumer);
    rd_kafka_destroy(b.consumer);
    send_dispatch_free(b.dispatch);
    mill_codec_free(b.codec);
    mill_arena_release(&b.mem);
    if (b.refused)
        fprintf(stderr, "bare_send: %zu calls were not accepted\n", b.refused);
    return b.refused != 0;
}
