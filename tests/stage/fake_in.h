/* The inside of the fake runtime: shared by fake_ctx.c (the test's side) and fake_calls.c (the
 * stage's side). */
#ifndef MILL_FAKE_IN_H
#define MILL_FAKE_IN_H

#include "avro/codec.h"
#include "fake_ctx.h"

enum { PORTS_MAX = 16, EMITS_MAX = 4096, PENDING_MAX = 4096 };

struct mill_table {
    struct mill_ctx *ctx;
    struct mill_codec *codec;
    struct {
        struct mill_str key;
        const void *value;
        bool late;
    } rows[1024];
    size_t n;
    unsigned catch_ups;
    void (*on_refresh)(struct mill_ctx *ctx);
};

struct fake_settled {
    const struct mill_record *in;
    enum mill_verdict verdict; /* PENDING until settled */
    struct mill_err err;
};

struct mill_ctx {
    const struct mill_stage *spec;
    void *conf, *state;
    struct mill_opts *opts;
    struct mill_metrics *metrics;
    struct mill_codec *in[PORTS_MAX], *out[PORTS_MAX];
    struct mill_table tables[4];
    struct mill_arena batch, kept, emitted;
    struct fake_emit emits[EMITS_MAX];
    size_t emits_n;
    struct fake_settled pending[PENDING_MAX];
    size_t pending_n;
    const struct mill_record *current;
    bool in_on_batch, draining;
    const char *unready;
    int64_t wait_until_ms, next_offset;
    size_t fail_port; /**< emits to this port fail with fail_code, if that is one */
    enum mill_code fail_code;
};

/** A copy in the arena; absent stays absent. Fails the test when out of memory. */
struct mill_str fake_dup(struct mill_arena *a, struct mill_str s);
/** Through the wire and back. @return the decoded struct, in arena; NULL, with err, when the codec
 *  cannot write it */
const void *fake_copy(struct mill_codec *c, const void *value, struct mill_arena *arena,
                      struct mill_str *bytes, struct mill_err *err);

#endif
