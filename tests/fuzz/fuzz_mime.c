/* Any text in any field of a mail: refused, or 7-bit lines with CRLF, none too long, and no header
 * that was not asked for. Input: fields, one a line; the last one is the text. */
#include "send/mime.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mill_str take(struct mill_str *rest, char until)
{
    const char *end = rest->n ? memchr(rest->p, until, rest->n) : NULL;
    struct mill_str field = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = field.n + (end ? 1 : 0);

    rest->p += used;
    rest->n -= used;
    return field;
}

static void check(const struct mill_buf *out)
{
    bool head = true;
    size_t line = 0;

    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] != '\n') {
            line++;
            continue;
        }
        if (line == 0 || out->p[i - 1] != '\r')
            abort();
        head = head && line > 1;
        if (head && line > 5 && !memcmp(out->p + i - line, "Evil:", 5))
            abort(); /* only a field that could break its line makes this header */
        line = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str rest = {(const char *)data, size};
    struct mill_address to = {take(&rest, '|'), take(&rest, '|')};
    struct mill_pair header = {MILL_STR("X-A"), take(&rest, '|')};
    struct mill_attachment file = {.filename = take(&rest, '|'), .type = take(&rest, '|')};
    struct mill_message m = {
        .message_id = take(&rest, '|'),
        .from = {.email = MILL_STR("from@x.example")},
        .to = {&to, 1},
        .headers = {&header, 1},
        .subject = take(&rest, '|'),
        .html = take(&rest, '|'),
    };
    struct mill_err err = {0};
    struct mill_buf out;
    enum mill_code rc;

    file.content = m.html;
    if (file.filename.n)
        m.attachments = (struct mill_attachments){&file, 1};
    m.text = rest;
    mill_buf_init(&out, 1 << 20);
    rc = mill_mime_build(&m, 0, &out, &err);
    if (rc == MILL_OK)
        check(&out);
    else if (rc != MILL_E_DATA)
        abort();
    mill_buf_release(&out);
    return 0;
}
