/* Our codec against avro-c's generic values, on one record each of mail.requests (about 400 bytes)
 * and mail.events. Decode: bytes to struct, against bytes to avro_value_t (not counting its way to
 * a struct). Encode: back. Rounds alternate; the ratio is the median of the rounds' ratios. */
#include "bench_records.h"
#include "bench_util.h"

#include "avro/codec.h"
#include <avro.h>

enum { ROUNDS = 5, RECORDS = 100000 };

struct subject {
    const char *name;
    const struct mill_desc *desc;
    const void *rec;
    struct mill_codec *codec;
    struct mill_buf body;
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value;
};

static void check(int bad, const char *what)
{
    if (bad) {
        fprintf(stderr, "codec: %s\n", what);
        exit(1);
    }
}

static void open_subject(struct subject *s)
{
    mill_buf_init(&s->body, 1 << 16);
    check(mill_codec_new(&s->codec, s->desc, NULL) != MILL_OK, "codec");
    check(mill_codec_learn(s->codec, 1, mill_str(s->desc->avsc), NULL) != MILL_OK, "learn");
    check(mill_codec_encode(s->codec, s->rec, &s->body, NULL) != MILL_OK, "encode");
    check(avro_schema_from_json_length(s->desc->avsc, strlen(s->desc->avsc), &s->schema), "schema");
    s->iface = avro_generic_class_from_schema(s->schema);
    check(!s->iface || avro_generic_value_new(s->iface, &s->value), "value");
}

static void close_subject(struct subject *s)
{
    avro_value_decref(&s->value);
    avro_value_iface_decref(s->iface);
    avro_schema_decref(s->schema);
    mill_codec_free(s->codec);
    mill_buf_release(&s->body);
}

static void our_decode(struct subject *s)
{
    struct mill_arena arena = {0};
    void *rec = malloc(s->desc->size);

    check(!rec, "memory");
    for (int i = 0; i < RECORDS; i++) {
        check(mill_codec_decode(s->codec, 1, mill_buf_view(&s->body), &arena, rec, NULL) != MILL_OK,
              "decode");
        mill_arena_reset(&arena);
    }
    mill_arena_release(&arena);
    free(rec);
}

static void our_encode(struct subject *s)
{
    struct mill_buf out;

    mill_buf_init(&out, 1 << 16);
    for (int i = 0; i < RECORDS; i++) {
        mill_buf_reset(&out);
        check(mill_codec_encode(s->codec, s->rec, &out, NULL) != MILL_OK, "encode");
    }
    mill_buf_release(&out);
}

static void avro_c_decode(struct subject *s)
{
    avro_reader_t in = avro_reader_memory(s->body.p, (int64_t)s->body.n);

    for (int i = 0; i < RECORDS; i++) {
        avro_reader_memory_set_source(in, s->body.p, (int64_t)s->body.n);
        avro_value_reset(&s->value);
        check(avro_value_read(in, &s->value), "avro-c decode");
    }
    avro_reader_free(in);
}

static void avro_c_encode(struct subject *s)
{
    static char out[1 << 16];
    avro_writer_t w = avro_writer_memory(out, sizeof out);

    for (int i = 0; i < RECORDS; i++) {
        avro_writer_reset(w);
        check(avro_value_write(w, &s->value), "avro-c encode");
    }
    check((size_t)avro_writer_tell(w) != s->body.n || memcmp(out, s->body.p, s->body.n),
          "the two do not write the same");
    avro_writer_free(w);
}

static double rate(void (*run)(struct subject *), struct subject *s)
{
    double start = bench_now_s();
    run(s);
    return RECORDS / (bench_now_s() - start);
}

static void compare(const char *what, struct subject *s, void (*ours)(struct subject *),
                    void (*theirs)(struct subject *))
{
    double value[ROUNDS], baseline[ROUNDS], ratio[ROUNDS];
    char name[64];

    for (int i = 0; i < ROUNDS; i++) {
        value[i] = rate(ours, s);
        baseline[i] = rate(theirs, s);
        ratio[i] = value[i] / baseline[i];
    }
    snprintf(name, sizeof name, "codec_%s_%s", s->name, what);
    bench_print(name, "records/s", bench_median(value, ROUNDS), bench_median(baseline, ROUNDS),
                bench_median(ratio, ROUNDS));
}

int main(void)
{
    struct subject subjects[] = {
        {.name = "request", .desc = &mill_request_desc, .rec = &bench_request},
        {.name = "event", .desc = &mill_event_desc, .rec = bench_event()},
    };

    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        open_subject(&subjects[i]);
        fprintf(stderr, "%s: %zu bytes\n", subjects[i].name, subjects[i].body.n);
        compare("decode", &subjects[i], our_decode, avro_c_decode);
        compare("encode", &subjects[i], our_encode, avro_c_encode);
        close_subject(&subjects[i]);
    }
    return 0;
}
