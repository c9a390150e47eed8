/** @file test_mime.c  @brief Mails built by send/mime.c, looked at as bytes and parsed back. */
#include "cases.h"
#include "send/mime.h"
#include <gmime/gmime.h>
#include <string.h>

#define S(lit)                                                                                     \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

static const struct mill_address to[] = {{S("a@x.example"), S("M\xc3\xbcller, Ann")}};
static const struct mill_address bcc[] = {{S("hidden@x.example"), {NULL, 0}}};
static const struct mill_address reply[] = {{S("r@x.example"), {NULL, 0}}};

static struct mill_message simple(void)
{
    return (struct mill_message){
        .message_id = S("r:1.2/0"),
        .from = {S("from@x.example"), S("Shop")},
        .to = {to, 1},
        .bcc = {bcc, 1},
        .reply_to = {reply, 1},
        .subject = S("Gr\xc3\xbc\xc3\x9f"
                     "e an alle"),
        .text = S("Liebe Gr\xc3\xbc\xc3\x9f"
                  "e\n.\nEnde\n"),
    };
}

/** Builds, checks what holds for every mail, and parses. @own new (unref) */
static GMimeMessage *built(const struct mill_message *m, struct mill_buf *out)
{
    struct mill_err err = {0};
    GMimeStream *stream = NULL;
    GMimeParser *parser = NULL;
    GMimeMessage *mime = NULL;
    size_t line = 0;

    mill_buf_init(out, 1 << 20);
    if (mill_mime_build(m, INT64_C(1795219200000000), out, &err)) {
        fail_msg("%s: %s", err.where, err.text);
    }
    for (size_t i = 0; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];
        assert_true(c < 0x80);                                  /* 7-bit safe */
        assert_true(c != '\n' || (i && out->p[i - 1] == '\r')); /* CRLF, always both */
        assert_true(c != '\r' || out->p[i + 1] == '\n');
        line = c == '\n' ? 0 : line + 1;
        assert_true(line <= 998);
    }
    stream = g_mime_stream_mem_new_with_buffer(out->p, out->n);
    parser = g_mime_parser_new_with_stream(stream);
    mime = g_mime_parser_construct_message(parser, NULL);
    assert_non_null(mime);
    g_object_unref(parser);
    g_object_unref(stream);
    return mime;
}

static const char *header(GMimeMessage *mime, const char *name)
{
    const char *v = g_mime_object_get_header(GMIME_OBJECT(mime), name);

    return v ? v : "";
}

/** The decoded bytes of a leaf. @own static */
static const char *content(GMimeObject *part)
{
    static char out[4096];
    GMimeStream *mem = g_mime_stream_mem_new();
    GByteArray *bytes = NULL;

    assert_true(GMIME_IS_PART(part));
    g_mime_data_wrapper_write_to_stream(g_mime_part_get_content(GMIME_PART(part)), mem);
    bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(mem));
    assert_true(bytes->len < sizeof(out));
    memcpy(out, bytes->data, bytes->len);
    out[bytes->len] = '\0';
    g_object_unref(mem);
    return out;
}

static void heads(void **state)
{
    static const struct mill_pair headers[] = {
        {S("X-Shop"), S("caf\xc3\xa9")},
        {S("Bcc"), S("evil@x.example")},
        {S("Content-Type"), S("evil/x")},
        {S("subject"), S("evil")},
        {S("X-Long"), S("word word word word word word word word word word word word word word "
                        "word word word word word word word word word word word word word")},
    };
    struct mill_message m = simple();
    struct mill_buf out;
    GMimeMessage *mime = NULL;
    InternetAddressList *list = NULL;

    (void)state;
    m.headers = (struct mill_map){headers, 5};
    mime = built(&m, &out);
    assert_string_equal(g_mime_message_get_subject(mime), "Gr\xc3\xbc\xc3\x9f"
                                                          "e an alle");
    assert_string_equal(header(mime, "X-Shop"), "caf\xc3\xa9");
    assert_string_equal(header(mime, "X-Mill-Message-Id"), "r:1.2/0");
    assert_string_equal(g_mime_message_get_message_id(mime), "r=3A1.2/0@x.example");
    assert_string_equal(header(mime, "Date"), "Sat, 21 Nov 2026 00:00:00 +0000");
    assert_string_equal(header(mime, "MIME-Version"), "1.0");
    assert_string_equal(header(mime, "Reply-To"), "r@x.example");
    list = g_mime_message_get_addresses(mime, GMIME_ADDRESS_TYPE_TO);
    assert_int_equal(internet_address_list_length(list), 1);
    assert_string_equal(internet_address_get_name(internet_address_list_get_address(list, 0)),
                        "M\xc3\xbcller, Ann");
    assert_null(strstr(out.p, "hidden"));
    assert_null(strstr(out.p, "evil"));
    assert_string_equal(content(g_mime_message_get_mime_part(mime)), "Liebe Gr\xc3\xbc\xc3\x9f"
                                                                     "e\r\n.\r\nEnde\r\n");
    g_object_unref(mime);
    mill_buf_release(&out);
}

/** mixed( alternative( text, related( html, picture )), file ) */
static void whole_tree(void **state)
{
    static const struct mill_attachment attachments[] = {
        {.filename = S("f\xc3\xa9.pdf"), .type = S("application/pdf"), .content = S("\0PDF\r\n\n")},
        {.type = S("image/png"),
         .disposition = S("inline"),
         .content_id = S("pic"),
         .content = S("png")},
    };
    struct mill_message m = simple();
    struct mill_buf out;
    GMimeMessage *mime = NULL;
    GMimeObject *mixed, *alternative, *related, *file;

    (void)state;
    m.html = (struct mill_str)S("<img src=\"cid:pic\">");
    m.attachments = (struct mill_attachments){attachments, 2};
    mime = built(&m, &out);
    mixed = g_mime_message_get_mime_part(mime);
    assert_true(
        g_mime_content_type_is_type(g_mime_object_get_content_type(mixed), "multipart", "mixed"));
    alternative = g_mime_multipart_get_part(GMIME_MULTIPART(mixed), 0);
    assert_true(g_mime_content_type_is_type(g_mime_object_get_content_type(alternative),
                                            "multipart", "alternative"));
    assert_non_null(
        strstr(content(g_mime_multipart_get_part(GMIME_MULTIPART(alternative), 0)), "Liebe"));
    related = g_mime_multipart_get_part(GMIME_MULTIPART(alternative), 1);
    assert_true(g_mime_content_type_is_type(g_mime_object_get_content_type(related), "multipart",
                                            "related"));
    assert_string_equal(content(g_mime_multipart_get_part(GMIME_MULTIPART(related), 0)),
                        "<img src=\"cid:pic\">");
    assert_string_equal(
        g_mime_object_get_content_id(g_mime_multipart_get_part(GMIME_MULTIPART(related), 1)),
        "pic");
    file = g_mime_multipart_get_part(GMIME_MULTIPART(mixed), 1);
    assert_string_equal(g_mime_part_get_filename(GMIME_PART(file)), "f\xc3\xa9.pdf");
    assert_memory_equal(content(file), "\0PDF\r\n\n", 7); /* not one byte of it changed */
    assert_int_equal(g_mime_multipart_get_count(GMIME_MULTIPART(mixed)), 2);
    g_object_unref(mime);
    mill_buf_release(&out);
}

/** A line of 2,000 characters must not go out as it is; the text's end becomes a line's end. */
static void long_lines(void **state)
{
    char text[2003];
    struct mill_message m = simple();
    struct mill_buf out;
    GMimeMessage *mime = NULL;
    GMimeObject *part = NULL;

    (void)state;
    memset(text, 'x', 2000);
    text[2000] = '\0';
    m.text = mill_str(text);
    mime = built(&m, &out);
    part = g_mime_message_get_mime_part(mime);
    memcpy(text + 2000, "\r\n", 3);
    assert_string_equal(content(part), text);
    g_object_unref(mime);
    mill_buf_release(&out);
}

static const struct bad {
    const char *name;
    int field;
} bads[] = {
    {"subject", 0},    {"header value", 1}, {"header name", 2},   {"name of a recipient", 3},
    {"message id", 4}, {"filename", 5},     {"type of a file", 6}};

/** A line break in any header text would be a header of the sender's own. */
static void injection(void **state)
{
    const struct mill_str evil = S("x\r\nBcc: z@x.example");
    const struct bad *row = *state;
    struct mill_pair h = {S("X-A"), S("1")};
    struct mill_address a = to[0];
    struct mill_attachment file = {.filename = S("f"), .content = S("c")};
    struct mill_message m = simple();
    struct mill_str *const fields[] = {&m.subject,    &h.value,       &h.key,    &a.name,
                                       &m.message_id, &file.filename, &file.type};
    struct mill_buf out;
    struct mill_err err = {0};

    *fields[row->field] = evil;
    m.headers = (struct mill_map){&h, 1};
    m.to = (struct mill_addresses){&a, 1};
    m.attachments = (struct mill_attachments){&file, 1};
    mill_buf_init(&out, 1 << 20);
    assert_int_equal(mill_mime_build(&m, 0, &out, &err), MILL_E_DATA);
    assert_int_equal(out.n, 0);
    mill_buf_release(&out);
}

static void too_large(void **state)
{
    struct mill_message m = simple();
    struct mill_buf out;
    struct mill_err err = {0};

    (void)state;
    mill_buf_init(&out, 100);
    assert_int_equal(mill_mime_build(&m, 0, &out, &err), MILL_E_DATA);
    mill_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(whole_tree),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(too_large),
    };

    return TABLE(bads, injection) + TESTS(tests);
}
