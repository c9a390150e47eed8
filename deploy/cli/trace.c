/* sendmill trace: the whole way of one mail, in time order.
 *
 * Of each topic that is keyed by requests only the one partition is read where the mail lies. */
#include "trace.h"
#include "base/clock.h"
#include "kafka/reader.h"
#include "mailid.h"
#include "range.h"
#include "record.h"
#include "text.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 200, ROWS_MAX = 100000, LOOK_EVERY = 1000, PATIENCE_MS = 15000 };

/** A topic, and the part of its one partition that is read. */
struct trace_topic {
    const struct topology_topic *topic;
    const char *schema; /**< base name; NULL = raw */
    int32_t partition;
    int64_t to; /**< -1 = not read, or through */
};

struct trace_row {
    int64_t at_us;
    size_t order; /**< of its topic: the way's own, where two times are equal */
    json_t *record;
    const char *schema;
};

struct trace {
    struct cli *cli;
    struct mailid id;
    struct topology topology;
    struct mill_reader *reader;
    struct mill_registry *registry;
    struct range range;
    struct trace_topic *topics;
    size_t topics_n;
    struct trace_row *rows;
    size_t rows_n, rows_size;
    char origin[256]; /**< mill.origin of the first record that has one */
    bool request;     /**< the request was found */
    bool part;        /**< not all could be read */
    struct mill_err err;
};

/* ---- where to look ---- */

/* Those hold no mail, or hold it under no key. */
static bool trace_skipped(const char *schema)
{
    static const char *const none[] = {"callback.avsc", "pause.avsc", "suppression.avsc",
                                       "move.avsc", "idempotency.avsc"};

    for (size_t i = 0; schema && i < sizeof none / sizeof *none; i++)
        if (!strcmp(schema, none[i]))
            return true;
    return false;
}

static enum mill_code trace_range(struct trace *t)
{
    t->range =
        (struct range){{PLACE_TIME, mailid_since_ms(&t->id, mill_now_us() / 1000)}, {PLACE_END, 0}};
    return range_parse(mill_str(t->cli->conf.from), mill_str(t->cli->conf.to), mill_now_us() / 1000,
                       &t->range, &t->err);
}

static enum mill_code trace_topic(struct trace *t, struct trace_topic *at)
{
    const char *name = at->topic->name;
    int64_t from = 0;
    int32_t n = 0;
    enum mill_code code = mill_reader_partitions(t->reader, name, &n, &t->err);

    at->to = -1;
    if (code == MILL_E_NOENT)
        return MILL_OK; /* an installation may have fewer */
    at->partition = mill_partition(t->id.request, n);
    if (!code)
        code = range_resolve(t->reader, name, at->partition, &t->range.from, &from, &t->err);
    if (!code)
        code = range_resolve(t->reader, name, at->partition, &t->range.to, &at->to, &t->err);
    if (!code && from < at->to)
        return mill_reader_add(t->reader, name, at->partition, from, &t->err);
    at->to = -1;
    return code;
}

static enum mill_code trace_topics(struct trace *t)
{
    enum mill_code code = MILL_OK;

    t->topics = calloc(t->topology.n + 1, sizeof *t->topics);
    if (!t->topics)
        return mill_fail(&t->err, MILL_E_NOMEM, "trace", "out of memory");
    for (size_t i = 0; !code && i < t->topology.n; i++) {
        const struct topology_topic *topic = &t->topology.topics[i];
        const char *slash = strrchr(topic->schema, '/');
        const char *schema = slash ? slash + 1 : topic->schema[0] ? topic->schema : NULL;
        if (trace_skipped(schema))
            continue;
        t->topics[t->topics_n] = (struct trace_topic){.topic = topic, .schema = schema};
        code = trace_topic(t, &t->topics[t->topics_n++]);
    }
    return code;
}

/* ---- what is found ---- */

static enum mill_code trace_add(struct trace *t, const struct mill_record *in, size_t order)
{
    struct trace_row *v;
    struct mill_str origin = mill_header(in, "mill.origin");

    if (t->rows_n == ROWS_MAX)
        return mill_fail(&t->err, MILL_E_DATA, "trace", "more than %d records; narrow --from, --to",
                         ROWS_MAX);
    if (t->rows_n == t->rows_size) {
        size_t size = t->rows_size ? 2 * t->rows_size : 64;
        v = realloc(t->rows, size * sizeof *v);
        if (!v)
            return mill_fail(&t->err, MILL_E_NOMEM, "trace", "out of memory");
        t->rows = v;
        t->rows_size = size;
    }
    v = &t->rows[t->rows_n++];
    *v = (struct trace_row){in->timestamp_us, order, record_json(t->registry, in),
                            t->topics[order].schema};
    t->request |= v->schema && !strcmp(v->schema, "request.avsc");
    if (origin.n && !t->origin[0])
        mill_str_cut(origin, t->origin, sizeof t->origin);
    return MILL_OK;
}

static bool trace_through(const struct trace *t)
{
    for (size_t i = 0; i < t->topics_n; i++) {
        const struct trace_topic *at = &t->topics[i];
        if (at->to >= 0 && mill_reader_position(t->reader, at->topic->name, at->partition) < at->to)
            return false;
    }
    return true;
}

static enum mill_code trace_read(struct trace *t)
{
    enum mill_code code = MILL_OK;
    int64_t since_ms = mill_tick_ms();
    struct mill_record in;
    bool got = true;

    /* Positions are looked at now and then: for each record it would be the most of the work. */
    for (uint32_t n = 1; !code && !cli_stopped(); n++) {
        if ((!got || n % LOOK_EVERY == 0) && trace_through(t))
            break;
        code = mill_reader_next(t->reader, WAIT_MS, &in, &got, &t->err);
        if (got)
            since_ms = mill_tick_ms();
        if (mill_tick_ms() - since_ms > PATIENCE_MS) {
            fputs("sendmill: what stands behind an open transaction is not shown\n", stderr);
            t->part = true;
            break;
        }
        if (code || !got || !mailid_owns(&t->id, in.key))
            continue;
        for (size_t i = 0; i < t->topics_n; i++)
            if (!strcmp(t->topics[i].topic->name, in.topic) && in.offset < t->topics[i].to)
                code = trace_add(t, &in, i);
    }
    return code;
}

/* A request that came without a key lies where it came to: its messages say where that was. */
static enum mill_code trace_origin(struct trace *t)
{
    struct mill_str rest = mill_str(t->origin), p, o;
    int64_t partition, offset, until = mill_tick_ms() + 5000;
    struct mill_record in;
    enum mill_code code = MILL_OK;
    size_t i = 0;
    bool got = false;

    while (i < t->topics_n && (!t->topics[i].schema || strcmp(t->topics[i].schema, "request.avsc")))
        i++;
    mill_str_take(&rest, '/');
    p = mill_str_take(&rest, '/');
    o = mill_str_take(&rest, '/');
    if (t->request || i == t->topics_n || !mill_str_i64(p, &partition) ||
        !mill_str_i64(o, &offset) || partition < 0 || partition > INT32_MAX || offset < 0)
        return MILL_OK;
    code =
        mill_reader_add(t->reader, t->topics[i].topic->name, (int32_t)partition, offset, &t->err);
    while (!code && !got && mill_tick_ms() < until && !cli_stopped()) {
        code = mill_reader_next(t->reader, WAIT_MS, &in, &got, &t->err);
        got = got && !strcmp(in.topic, t->topics[i].topic->name) && in.offset >= offset &&
              in.partition == partition;
    }
    if (!code && got && in.offset == offset)
        return trace_add(t, &in, i);
    return MILL_OK; /* the log has lost it: what is there is shown */
}

/* ---- what is said ---- */

static int trace_order(const void *a, const void *b)
{
    const struct trace_row *x = a, *y = b;
    json_int_t p, q;

    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    p = json_integer_value(json_object_get(x->record, "offset"));
    q = json_integer_value(json_object_get(y->record, "offset"));
    return p < q ? -1 : p > q;
}

static void trace_print(struct trace *t)
{
    struct mill_arena mem = {0};
    int64_t began = t->rows[0].at_us, last = began;

    for (size_t i = 0; i < t->rows_n; i++) {
        struct trace_row *r = &t->rows[i];
        struct mill_str what = trace_what(&mem, r->schema, r->record);
        const char *topic = json_string_value(json_object_get(r->record, "topic"));
        long long offset = json_integer_value(json_object_get(r->record, "offset"));
        int partition = (int)json_integer_value(json_object_get(r->record, "partition"));
        char when[32], place[300];
        if (t->cli->format == CLI_JSON) {
            json_object_set_new(r->record, "what", mill_json_new(what));
            json_object_set_new(r->record, "since_first_ms",
                                json_integer((r->at_us - began) / 1000));
            json_object_set_new(r->record, "after_ms", json_integer((r->at_us - last) / 1000));
            cli_print(t->cli, r->record);
        } else {
            snprintf(place, sizeof place, "%s/%d/%lld", topic, partition, offset);
            printf("%.23sZ %+10.3f s  %-30s %s\n", mill_time_text(r->at_us, when, sizeof when),
                   (double)(r->at_us - last) / 1e6, place, text_safe(&mem, what));
        }
        last = r->at_us;
        mill_arena_reset(&mem);
    }
    if (t->cli->format == CLI_TABLE)
        printf("%zu records, %.3f s from first to last\n", t->rows_n, (double)(last - began) / 1e6);
    mill_arena_release(&mem);
}

/* What has become of each message, by all that mail.status says. */
static void trace_now(const struct trace *t)
{
    json_t *states = json_object(), *value;
    struct mill_arena mem = {0};
    const char *id;

    for (size_t i = 0; i < t->rows_n; i++)
        if (t->rows[i].schema && !strcmp(t->rows[i].schema, "status.avsc"))
            trace_state(states, json_object_get(t->rows[i].record, "value"));
    json_object_foreach(states, id, value)
    {
        json_t *record = json_pack("{s:O}", "value", value);
        struct mill_str what = trace_what(&mem, "status.avsc", record);
        printf("now: %s\n", text_safe(&mem, what));
        json_decref(record);
    }
    mill_arena_release(&mem);
    json_decref(states);
}

static void trace_next(const struct trace *t)
{
    for (size_t i = t->rows_n; i-- > 0;) {
        const json_t *o = t->rows[i].record;
        const char *topic = json_string_value(json_object_get(o, "topic"));
        if (!topic || strcmp(topic, "mail.dlq") != 0)
            continue;
        fprintf(stderr, "next: sendmill dlq show %lld/%lld\n",
                (long long)json_integer_value(json_object_get(o, "partition")),
                (long long)json_integer_value(json_object_get(o, "offset")));
        return;
    }
}

static int trace_run(struct trace *t)
{
    struct cli *cli = t->cli;
    enum mill_code code = topology_read(&t->topology, cli->conf.topology, &t->err);

    if (!code)
        code = mill_registry_new(&t->registry, cli->conf.common.registry, CLI_REGISTRY_MS, &t->err);
    if (!code)
        code = mill_reader_new(&t->reader, &cli->kafka, &t->err);
    if (!code)
        code = trace_topics(t);
    if (!code)
        code = trace_read(t);
    if (!code)
        code = trace_origin(t);
    if (code)
        return cli_fail(&t->err);
    if (t->rows_n) {
        qsort(t->rows, t->rows_n, sizeof *t->rows, trace_order);
        trace_print(t);
        if (cli->format == CLI_TABLE)
            trace_now(t);
        trace_next(t);
    }
    if (cli_stopped())
        return CLI_INTERRUPTED;
    if (t->part)
        return MILL_EXIT_PARTIAL;
    if (!t->rows_n)
        fprintf(stderr, "sendmill: nothing of %s is found%s\n", cli->args[0],
                cli->conf.from ? "" : " in the last 7 days; --from=start looks at everything");
    return t->rows_n ? MILL_EXIT_OK : MILL_EXIT_NOENT;
}

int cli_trace(struct cli *cli)
{
    struct trace t = {.cli = cli};
    int rc;

    if (!mailid_parse(cli->args[0], &t.id))
        return cli_usage("\"%s\" is no id of a request or message", cli->args[0]);
    if (trace_range(&t)) {
        cli_fail(&t.err);
        return MILL_EXIT_USAGE;
    }
    rc = trace_run(&t);
    for (size_t i = 0; i < t.rows_n; i++)
        json_decref(t.rows[i].record);
    free(t.rows);
    free(t.topics);
    mill_reader_free(t.reader);
    mill_registry_free(t.registry);
    topology_release(&t.topology);
    return rc;
}
