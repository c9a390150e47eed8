/* One record, and the newest of each key; see put.h. */
#include "put.h"
#include "avro/codec.h"
#include "avro/registry.h"
#include "kafka/producer.h"
#include "record.h"
#include "scan.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALUE_MAX = 4 << 20, FLUSH_MS = 15000 };

struct put_answer {
    atomic_bool done;
    enum mill_delivery delivery;
    char reason[200];
};

static void put_delivered(void *arg, enum mill_delivery d, int32_t partition, int64_t offset,
                          const char *reason)
{
    struct put_answer *a = arg;

    (void)partition;
    (void)offset;
    a->delivery = d;
    mill_str_cut(mill_str(reason ? reason : ""), a->reason, sizeof a->reason);
    atomic_store(&a->done, true);
}

static enum mill_code put_encode(struct cli *cli, const char *topic, const struct mill_desc *desc,
                                 const void *value, struct mill_buf *out, struct mill_err *err)
{
    struct mill_registry *registry = NULL;
    struct mill_codec *codec = NULL;
    char subject[300];
    int32_t id = 0;
    enum mill_code code =
        mill_registry_new(&registry, cli->conf.common.registry, CLI_REGISTRY_MS, err);

    snprintf(subject, sizeof subject, "%s-value", topic);
    if (!code)
        code = mill_registry_register(registry, subject, mill_str(desc->avsc), &id, err);
    if (!code)
        code = mill_codec_new(&codec, desc, err);
    if (!code && !mill_frame_add(out, id))
        code = mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
    if (!code)
        code = mill_codec_encode(codec, value, out, err);
    mill_codec_free(codec);
    mill_registry_free(registry);
    return code;
}

static enum mill_code put_send(struct cli *cli, const char *topic, struct mill_str key,
                               struct mill_str value, struct mill_map headers, struct mill_err *err)
{
    struct mill_producer *p = NULL;
    struct put_answer a = {.delivery = MILL_UNDELIVERED};
    enum mill_code code = mill_producer_new(&p, &cli->kafka, err);

    if (!code && !mill_producer_ready(p, topic, FLUSH_MS))
        code = mill_fail(err, MILL_E_IO, topic, "no such topic, or no broker that answers");
    if (!code)
        code = mill_producer_send(p, topic, -1, key, value, headers, put_delivered, &a, err);
    mill_producer_free(p, FLUSH_MS); /* the answer comes before this returns */
    if (code)
        return code;
    if (!atomic_load(&a.done) || a.delivery == MILL_DOUBTFUL)
        return mill_fail(err, MILL_E_IO, topic, "nobody knows whether it was written: %s",
                         a.reason[0] ? a.reason : "no answer");
    if (a.delivery != MILL_DELIVERED)
        return mill_fail(err, a.delivery == MILL_TOO_LARGE ? MILL_E_DATA : MILL_E_IO, topic,
                         "not written: %s", a.reason);
    return MILL_OK;
}

enum mill_code put_record(struct cli *cli, const char *topic, struct mill_str key,
                          const struct mill_desc *desc, const void *value, struct mill_map headers,
                          struct mill_err *err)
{
    struct mill_buf body;
    enum mill_code code = MILL_OK;

    mill_buf_init(&body, VALUE_MAX);
    if (value)
        code = put_encode(cli, topic, desc, value, &body, err);
    if (!code)
        code = put_send(cli, topic, key, value ? mill_buf_view(&body) : (struct mill_str){0},
                        headers, err);
    mill_buf_release(&body);
    return code;
}

struct put_fold {
    struct mill_registry *registry;
    json_t *newest;
};

static bool put_fold_each(void *arg, const struct mill_record *in)
{
    struct put_fold *f = arg;
    struct mill_err err = {0};
    char key[512];
    json_t *value = NULL;
    int32_t id;

    if (!in->key.p || in->key.n >= sizeof key)
        return false;
    mill_str_cut(in->key, key, sizeof key);
    if (!in->raw.p)
        json_object_del(f->newest, key);
    else if (!record_decode(f->registry, in->raw, &id, &value, &err))
        json_object_set_new(f->newest, key, value);
    else
        fprintf(stderr, "sendmill: %s/%d/%lld is left out: %s\n", in->topic, in->partition,
                (long long)in->offset, err.text);
    return true;
}

enum mill_code put_newest(struct cli *cli, const char *topic, json_t **out, struct mill_err *err)
{
    struct put_fold f = {.newest = json_object()};
    struct scan scan = {
        .topic = topic,
        .range = {{PLACE_START, 0}, {PLACE_END, 0}},
        .each = put_fold_each,
        .arg = &f,
    };
    enum mill_code code =
        f.newest ? mill_registry_new(&f.registry, cli->conf.common.registry, CLI_REGISTRY_MS, err)
                 : mill_fail(err, MILL_E_NOMEM, topic, "out of memory");

    if (!code)
        code = scan_run(cli, &scan, err);
    mill_registry_free(f.registry);
    if (code)
        json_decref(f.newest);
    *out = code ? NULL : f.newest;
    return code;
}

struct mill_str put_user(void)
{
    const char *name = getenv("LOGNAME");

    if (!name || !*name)
        name = getenv("USER");
    return mill_str(name ? name : "");
}
