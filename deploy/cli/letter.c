/* Dead letters by their headers; see letter.h. */
#include "letter.h"
#include "base/clock.h"

#include <stdio.h>

struct letter letter_of(const struct mill_record *in)
{
    return (struct letter){
        .cls = mill_header(in, "mill.class"),
        .stage = mill_header(in, "mill.stage"),
        .topic = mill_header(in, "__connect.errors.topic"),
        .partition = mill_header(in, "__connect.errors.partition"),
        .offset = mill_header(in, "__connect.errors.offset"),
        .attempt = mill_header(in, "mill.attempt"),
        .reason = mill_header(in, "__connect.errors.exception.message"),
        .first = mill_header(in, "mill.first-failed-at"),
        .redrives = mill_header(in, "mill.redrives"),
    };
}

static json_t *letter_text(struct mill_str s)
{
    return s.p ? mill_json_new(s) : json_null();
}

json_t *letter_json(const struct mill_record *in, const struct letter *l)
{
    char when[32];

    mill_time_text(in->timestamp_us, when, sizeof when);
    return json_pack("{s:s,s:i,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "topic",
                     in->topic, "partition", in->partition, "offset", (json_int_t)in->offset,
                     "timestamp", when, "key", letter_text(in->key), "class", letter_text(l->cls),
                     "stage", letter_text(l->stage), "from_topic", letter_text(l->topic),
                     "from_partition", letter_text(l->partition), "from_offset",
                     letter_text(l->offset), "attempt", letter_text(l->attempt), "redrives",
                     letter_text(l->redrives), "first_failed_at", letter_text(l->first), "reason",
                     letter_text(l->reason));
}

static bool letter_contains(struct mill_str s, const char *part)
{
    size_t n = strlen(part);

    for (size_t i = 0; i + n <= s.n; i++)
        if (!memcmp(s.p + i, part, n))
            return true;
    return n == 0;
}

bool letter_wanted(const struct letter_filter *f, const struct mill_record *in,
                   const struct letter *l)
{
    bool named = !f->places_n;

    for (size_t i = 0; i < f->places_n; i++)
        named |= f->places[i].partition == in->partition && f->places[i].offset == in->offset;
    return named && (!f->cls || mill_str_is(l->cls, f->cls)) &&
           (!f->stage || mill_str_is(l->stage, f->stage)) &&
           (!f->reason || letter_contains(l->reason, f->reason));
}

bool letter_place(const char *text, struct letter_place *out)
{
    struct mill_str rest = mill_str(text), first = mill_str_take(&rest, '/');
    int64_t p;

    if (!mill_str_i64(first, &p) || p < 0 || p > INT32_MAX || !mill_str_i64(rest, &out->offset) ||
        out->offset < 0)
        return false;
    out->partition = (int32_t)p;
    return true;
}

/* What a record picks up between its failure and its way back. The time of its first failure too:
 * what is redriven after an outage is tried as long as anything else. */
static bool letter_left_over(struct mill_str name)
{
    static const char *const names[] = {
        "mill.attempt", "mill.first-failed-at",  "mill.redrives", "mill.due",
        "mill.target",  "mill.target-partition", "mill.emitted",  "mill.kind"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mill_str_is(name, names[i]))
            return true;
    return false;
}

size_t letter_redrive_headers(const struct mill_record *in, struct mill_pair *v, char *count)
{
    int64_t redrives;
    size_t n = 0;

    if (!mill_str_i64(mill_header(in, "mill.redrives"), &redrives) || redrives < 0 ||
        redrives > INT32_MAX)
        redrives = 0;
    for (size_t i = 0; i < in->headers.n; i++)
        if (!letter_left_over(in->headers.v[i].key))
            v[n++] = in->headers.v[i];
    snprintf(count, 24, "%lld", (long long)redrives + 1);
    v[n++] = (struct mill_pair){MILL_STR("mill.redrives"), mill_str(count)};
    return n;
}

size_t letter_replay_headers(const struct mill_record *in, const char *topic_id,
                             struct mill_arena *a, struct mill_pair *v)
{
    const struct mill_pair own[] = {
        {MILL_STR("__connect.errors.topic"), mill_str(in->topic)},
        {MILL_STR("__connect.errors.partition"), mill_arena_printf(a, "%d", in->partition)},
        {MILL_STR("__connect.errors.offset"), mill_arena_printf(a, "%lld", (long long)in->offset)},
        {MILL_STR("mill.origin"),
         mill_origin(a, topic_id, in->partition, in->offset, in->timestamp_us)},
    };
    size_t own_n = mill_header(in, "mill.origin").p ? 3 : 4, n = 0;

    for (size_t i = 0; i < own_n; i++) {
        if (!own[i].value.p)
            return 0;
        v[n++] = own[i];
    }
    for (size_t i = 0; i < in->headers.n; i++) {
        size_t k = 0;
        while (k < own_n && !mill_str_eq(own[k].key, in->headers.v[i].key))
            k++;
        if (k == own_n)
            v[n++] = in->headers.v[i];
    }
    return n;
}

int32_t letter_partition(const struct mill_record *in, const struct letter *l, int32_t partitions)
{
    int64_t p;

    if (mill_str_i64(l->partition, &p) && p >= 0 && p < partitions)
        return (int32_t)p;
    return mill_partition(in->key, partitions);
}
