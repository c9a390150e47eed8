/* avro_pipe NAME WRITER.avsc: reads records (4-byte little-endian length, body) that the writer's
 * schema wrote, decodes each into our struct and writes it back in our own schema: one byte of
 * result code, length, body. The oracle compares with what fastavro reads. */
#include "mail/controls.h"
#include "mail/records.h"

#include "avro/codec.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BODY = 4 << 20 };

static const struct mill_desc *const descs[] = {
    &mill_request_desc,  &mill_message_desc,        &mill_ledger_desc,      &mill_status_desc,
    &mill_callback_desc, &mill_callback_event_desc, &mill_event_desc,       &mill_cancellation_desc,
    &mill_pause_desc,    &mill_suppression_desc,    &mill_idempotency_desc, &mill_move_desc,
};

static uint32_t pipe_length(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void pipe_answer(enum mill_code rc, struct mill_str body)
{
    const unsigned char head[] = {(unsigned char)rc, (unsigned char)body.n,
                                  (unsigned char)(body.n >> 8), (unsigned char)(body.n >> 16),
                                  (unsigned char)(body.n >> 24)};
    fwrite(head, 1, sizeof head, stdout);
    fwrite(body.p, 1, body.n, stdout);
}

static int pipe_run(struct mill_codec *c)
{
    char *body = malloc(MAX_BODY);
    void *rec = malloc(mill_codec_desc(c)->size);
    struct mill_arena arena = {0};
    struct mill_buf out;
    struct mill_err err;
    unsigned char head[4];

    mill_buf_init(&out, MAX_BODY);
    while (body && rec && fread(head, 1, 4, stdin) == 4) {
        uint32_t n = pipe_length(head);
        if (n > MAX_BODY || fread(body, 1, n, stdin) != n)
            break;
        enum mill_code rc = mill_codec_decode(c, 1, (struct mill_str){body, n}, &arena, rec, &err);
        mill_buf_reset(&out);
        if (!rc)
            rc = mill_codec_encode(c, rec, &out, &err);
        pipe_answer(rc, rc ? mill_str("") : mill_buf_view(&out));
        mill_arena_reset(&arena);
    }
    mill_arena_release(&arena);
    mill_buf_release(&out);
    free(body);
    free(rec);
    return ferror(stdin) || fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
    static char text[MILL_SCHEMA_MAX_BYTES];
    struct mill_codec *c = NULL;
    struct mill_err err = {0};
    int rc = 3;

    FILE *f = argc == 3 ? fopen(argv[2], "rb") : NULL;
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    for (size_t i = 0; n && i < sizeof descs / sizeof descs[0]; i++) {
        if (strcmp(descs[i]->name, argv[1]) != 0)
            continue;
        rc = 2; /* unless it can be learnt */
        if (mill_codec_new(&c, descs[i], &err) ||
            mill_codec_learn(c, 1, (struct mill_str){text, n}, &err))
            fprintf(stderr, "%s: %s\n", err.where, err.text);
        else
            rc = pipe_run(c);
    }
    if (rc == 3)
        fprintf(stderr, "no record %s here: add it to descs\n", argc == 3 ? argv[1] : "");
    mill_codec_free(c);
    if (f)
        fclose(f);
    return rc;
}
