/** @file mime.c  @brief See mime.h. */
#include "send/mime.h"
#include <gmime/gmime.h>
#include <pthread.h>

static pthread_once_t mime_once = PTHREAD_ONCE_INIT;

/** Written from the message's own fields, by us: a header of the request may not speak for them. */
static const char *const ours[] = {
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "reply-to",
    "x-mill-message-id",
};

static bool header_safe(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static bool is_ours(struct mill_str name)
{
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (mill_str_ieq(name, mill_str(ours[i])))
            return true;
    return name.n >= 8 && mill_str_ieq((struct mill_str){name.p, 8}, MILL_STR("content-"));
}

/** NUL-terminated copy for GMime. @own new (g_free) */
static char *text(struct mill_str s)
{
    return g_strndup(s.p ? s.p : "", s.n);
}

static enum mill_code add_addresses(GMimeMessage *mime, GMimeAddressType type,
                                    struct mill_addresses list, const char *where,
                                    struct mill_err *err)
{
    for (size_t i = 0; i < list.n; i++) {
        char *email = NULL, *name = NULL;

        if (!header_safe(list.v[i].email) || !header_safe(list.v[i].name))
            return mill_fail(err, MILL_E_DATA, where, "line break in an address");
        email = text(list.v[i].email);
        name = list.v[i].name.n ? text(list.v[i].name) : NULL;
        g_mime_message_add_mailbox(mime, type, name, email);
        g_free(name);
        g_free(email);
    }
    return MILL_OK;
}

static enum mill_code add_headers(GMimeMessage *mime, struct mill_map headers, struct mill_err *err)
{
    for (size_t i = 0; i < headers.n; i++) {
        char *name = NULL, *value = NULL;

        if (!header_safe(headers.v[i].key) || !header_safe(headers.v[i].value))
            return mill_fail(err, MILL_E_DATA, "headers", "line break in a header");
        if (!headers.v[i].key.n || is_ours(headers.v[i].key))
            continue;
        name = text(headers.v[i].key);
        value = text(headers.v[i].value);
        g_mime_object_set_header(GMIME_OBJECT(mime), name, value, "utf-8");
        g_free(value);
        g_free(name);
    }
    return MILL_OK;
}

/** The last one: a quoted local part may have others. */
static const char *last_at(struct mill_str email)
{
    for (size_t i = email.n; i > 0; i--)
        if (email.p[i - 1] == '@')
            return email.p + i - 1;
    return NULL;
}

/** Message-ID: the message id with what RFC 5322 atoms do not have as =XX, at the sender's domain.
 */
static void set_message_id(GMimeMessage *mime, const struct mill_message *m)
{
    const char *at = last_at(m->from.email);
    GString *id = g_string_new(NULL);
    char *plain = text(m->message_id);
    char last = '.'; /* an atom neither starts with a dot nor has two in a row */

    for (size_t i = 0; i < m->message_id.n; i++) {
        char c = m->message_id.p[i];
        bool dot_bad =
            c == '.' && (last == '.' || (i + 1 < m->message_id.n && m->message_id.p[i + 1] == '/'));
        if ((g_ascii_isalnum(c) || strchr("._~-/", c)) && c && !dot_bad)
            g_string_append_c(id, c);
        else
            g_string_append_printf(id, "=%02X", (unsigned)(unsigned char)c);
        last = c;
    }
    g_string_append_c(id, '@');
    if (at && header_safe(m->from.email))
        g_string_append_len(id, at + 1, m->from.email.p + m->from.email.n - (at + 1));
    else
        g_string_append(id, "localhost");
    g_mime_message_set_message_id(mime, id->str);
    g_mime_object_set_header(GMIME_OBJECT(mime), "X-Mill-Message-Id", plain, NULL);
    g_free(plain);
    g_string_free(id, TRUE);
}

static enum mill_code add_head(GMimeMessage *mime, const struct mill_message *m, int64_t now_us,
                               struct mill_err *err)
{
    const struct mill_addresses from = {&m->from, 1};
    GDateTime *date = g_date_time_new_from_unix_utc(now_us / 1000000);
    char *subject = text(m->subject);
    enum mill_code rc = MILL_OK;

    if (!date || !header_safe(m->subject) || !header_safe(m->message_id)) {
        rc = mill_fail(err, MILL_E_DATA, "subject", "line break in it");
        goto out;
    }
    if ((rc = add_headers(mime, m->headers, err)) ||
        (rc = add_addresses(mime, GMIME_ADDRESS_TYPE_FROM, from, "from", err)) ||
        (rc = add_addresses(mime, GMIME_ADDRESS_TYPE_REPLY_TO, m->reply_to, "reply_to", err)) ||
        (rc = add_addresses(mime, GMIME_ADDRESS_TYPE_TO, m->to, "to", err)) ||
        (rc = add_addresses(mime, GMIME_ADDRESS_TYPE_CC, m->cc, "cc", err)))
        goto out;
    g_mime_message_set_subject(mime, subject, "utf-8");
    g_mime_message_set_date(mime, date);
    set_message_id(mime, m);
out:
    g_free(subject);
    if (date)
        g_date_time_unref(date);
    return rc;
}

/** A leaf with these bytes. @own new (unref) */
static GMimePart *leaf(const char *type, const char *subtype, struct mill_str bytes)
{
    GMimePart *part = g_mime_part_new_with_type(type, subtype);
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(bytes.p ? bytes.p : "", bytes.n);
    GMimeDataWrapper *data =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);

    g_mime_part_set_content(part, data);
    g_object_unref(data);
    g_object_unref(stream);
    return part;
}

/** Lines of a text end in CRLF inside of a mail, in base64 too. @own new (g_string_free) */
static GString *canonical(struct mill_str s)
{
    GString *out = g_string_sized_new(s.n + s.n / 16 + 16);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
            g_string_append_c(out, '\r');
        g_string_append_c(out, s.p[i]);
    }
    return out;
}

/** The charset is said to be what it is: GMime's text part would guess another for short texts. */
static GMimeObject *text_leaf(const char *subtype, struct mill_str s)
{
    GString *lines = canonical(s);
    GMimePart *part = leaf("text", subtype, (struct mill_str){lines->str, lines->len});

    g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", "utf-8");
    g_mime_part_set_content_encoding(
        part, g_mime_part_get_best_content_encoding(part, GMIME_ENCODING_CONSTRAINT_7BIT));
    g_string_free(lines, TRUE);
    return GMIME_OBJECT(part);
}

static bool is_inline(const struct mill_attachment *a)
{
    return a->content_id.n && mill_str_ieq(a->disposition, MILL_STR("inline"));
}

/** @own new (unref); NULL when its text is not fit for a header */
static GMimeObject *attachment(const struct mill_attachment *a)
{
    char *type = text(a->type.n ? a->type : MILL_STR("application/octet-stream"));
    char *filename = text(a->filename), *content_id = text(a->content_id);
    GMimeContentType *ct = NULL;
    GMimePart *part = NULL;

    if (!a->content.p || !header_safe(a->type) || !header_safe(a->filename) ||
        !header_safe(a->content_id))
        goto out;
    part = leaf("application", "octet-stream", a->content);
    ct = g_mime_content_type_parse(NULL, type);
    if (ct && !g_mime_content_type_is_type(ct, "multipart", "*") &&
        !g_mime_content_type_is_type(ct, "message", "*"))
        g_mime_object_set_content_type(GMIME_OBJECT(part), ct);
    g_mime_object_set_disposition(GMIME_OBJECT(part), is_inline(a) ? "inline" : "attachment");
    if (a->filename.n)
        g_mime_part_set_filename(part, filename);
    if (a->content_id.n)
        g_mime_part_set_content_id(part, content_id);
    g_mime_part_set_content_encoding(part, GMIME_CONTENT_ENCODING_BASE64);
out:
    if (ct)
        g_object_unref(ct);
    g_free(content_id);
    g_free(filename);
    g_free(type);
    return part ? GMIME_OBJECT(part) : NULL;
}

/** body plus the attachments of this kind in a multipart; the body alone when there are none.
 *  @param body steals. @own new (unref); NULL with err */
static GMimeObject *with_attachments(GMimeObject *body, const struct mill_message *m, bool inlined,
                                     struct mill_err *err)
{
    GMimeMultipart *multi = NULL;

    for (size_t i = 0; i < m->attachments.n; i++) {
        GMimeObject *part = NULL;

        if (is_inline(&m->attachments.v[i]) != inlined)
            continue;
        part = attachment(&m->attachments.v[i]);
        if (!multi) {
            multi = g_mime_multipart_new_with_subtype(inlined ? "related" : "mixed");
            g_mime_multipart_add(multi, body);
            g_object_unref(body);
        }
        if (!part) {
            mill_fail(err, MILL_E_DATA, "attachments", "number %zu cannot be attached", i);
            g_object_unref(multi);
            return NULL;
        }
        g_mime_multipart_add(multi, part);
        g_object_unref(part);
    }
    return multi ? GMIME_OBJECT(multi) : body;
}

/** mixed( alternative( text, related( html, inline… )), attachment… ), each only where needed. */
static GMimeObject *body(const struct mill_message *m, struct mill_err *err)
{
    GMimeObject *plain = m->text.n || !m->html.n ? text_leaf("plain", m->text) : NULL;
    GMimeObject *rich = m->html.n ? text_leaf("html", m->html) : NULL;
    GMimeMultipart *both = NULL;
    GMimeObject *all = NULL;

    if (!rich) {
        all = with_attachments(plain, m, true, err);
    } else {
        all = with_attachments(rich, m, true, err);
        if (all && plain) {
            both = g_mime_multipart_new_with_subtype("alternative");
            g_mime_multipart_add(both, plain);
            g_mime_multipart_add(both, all);
            g_object_unref(all);
            all = GMIME_OBJECT(both);
        }
        if (plain)
            g_object_unref(plain);
    }
    return all ? with_attachments(all, m, false, err) : NULL;
}

static enum mill_code write_out(GMimeMessage *mime, struct mill_buf *out, struct mill_err *err)
{
    GMimeFormatOptions *format = g_mime_format_options_new();
    GByteArray *bytes = g_byte_array_new();
    GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes); /* owns bytes */
    enum mill_code rc = MILL_OK;

    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
    if (g_mime_object_write_to_stream(GMIME_OBJECT(mime), format, stream) < 0)
        rc = mill_fail(err, MILL_E_NOMEM, "mime", "cannot be written");
    else if (!mill_buf_add(out, bytes->data, bytes->len))
        rc = out->nomem ? mill_fail(err, MILL_E_NOMEM, "message", "out of memory")
                        : mill_fail(err, MILL_E_DATA, "message", "over the size limit");
    g_object_unref(stream);
    g_mime_format_options_free(format);
    return rc;
}

enum mill_code mill_mime_build(const struct mill_message *m, int64_t now_us, struct mill_buf *out,
                               struct mill_err *err)
{
    GMimeMessage *mime = NULL;
    GMimeObject *content = NULL;
    enum mill_code rc = MILL_OK;

    pthread_once(&mime_once, g_mime_init);
    mime = g_mime_message_new(TRUE);
    rc = add_head(mime, m, now_us, err);
    if (rc)
        goto out;
    content = body(m, err);
    if (!content) {
        rc = MILL_E_DATA;
        goto out;
    }
    g_mime_message_set_mime_part(mime, content);
    rc = write_out(mime, out, err);
out:
    if (content)
        g_object_unref(content);
    g_object_unref(mime);
    return rc;
}
