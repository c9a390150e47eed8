/* Dead letters by their headers; see letter.h. */
#include "letter.h"
#include "base/clock.h"

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

bool letter_wanted(const struct letter_filter *f, const struct mill_record *in,
                   const struct letter *l)
{
    (void)in;
    return (!f->cls || mill_str_is(l->cls, f->cls)) &&
           (!f->stage || mill_str_is(l->stage, f->stage));
}

bool letter_place(const char *text, int32_t *partition, int64_t *offset)
{
    struct mill_str rest = mill_str(text), first = mill_str_take(&rest, '/');
    int64_t p;

    if (!mill_str_i64(first, &p) || p < 0 || p > INT32_MAX || !mill_str_i64(rest, offset) ||
        *offset < 0)
        return false;
    *partition = (int32_t)p;
    return true;
}
