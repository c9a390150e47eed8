/* The rules on what only a record can hold: NUL, bad UTF-8, keys that are there twice, references,
 * lengths that no JSON of a test would carry. Each row is a request and the fields at fault. */
#include "mail/request_rules.h"

#include "cases.h"
#include <stdio.h>

/* 2026-11-21T00:00:00Z */
static const int64_t now = INT64_C(1795219200) * 1000000;

static char xs[40000];     /* all 'x' */
static char accents[2048]; /* U+00E9 again and again: two bytes each */

#define S(text)                                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define X(n)                                                                                       \
    {                                                                                              \
        xs, (n)                                                                                    \
    }
#define LIST(a)                                                                                    \
    {                                                                                              \
        (a), sizeof(a) / sizeof *(a)                                                               \
    }
#define FROM    .from = {.email = S("a@b.co")}
#define SUBJECT .subject = S("s")
#define TEXT    .text = S("t")
#define TO      .personalizations = LIST(one)
#define BASE    FROM, SUBJECT, TEXT, TO

static const struct mill_address to[] = {{.email = S("c@d.co")}};
static const struct mill_personalization one[] = {{.to = LIST(to)}};
static struct mill_personalization many[MILL_RECIPIENTS_MAX + 1];
static struct mill_address reply_many[MILL_RECIPIENTS_MAX + 1];

static const struct mill_pair header_nul[] = {{S("X-A"), S("a\0b")}};
static const struct mill_pair header_bytes[] = {{S("X-A"), S("\xff\xfe")}};
static const struct mill_pair header_twice[] = {{S("X-A"), S("1")}, {S("x-A"), S("2")}};
static const struct mill_pair header_name[] = {{X(129), S("1")}};
static const struct mill_pair header_value[] = {{S("X-A"), X(8193)}};
static struct mill_pair headers_many[MILL_HEADERS_MAX + 1];
static const struct mill_pair meta_nul[] = {{S("k"), S("a\0b")}};
static const struct mill_pair meta_bytes[] = {{S("k"), S("\xc3")}};
static const struct mill_pair meta_twice[] = {{S("k"), S("1")}, {S("k"), S("2")}};
static const struct mill_pair meta_half[] = {{S("a"), X(6000)}};
static const struct mill_pair meta_other[] = {{S("b"), X(6000)}};
static const struct mill_pair meta_same[] = {{S("a"), X(5000)}};
static const struct mill_personalization sum_over[] = {
    {.to = LIST(to), .metadata = LIST(meta_other)}};
static const struct mill_personalization sum_same[] = {
    {.to = LIST(to), .metadata = LIST(meta_same)}};
static const struct mill_address long_name[] = {{.email = S("c@d.co"), .name = X(257)}};
static const struct mill_personalization to_long_name[] = {{.to = LIST(long_name)}};
static const struct mill_str category_long[] = {{accents, 512}};
static const struct mill_str category_full[] = {{accents, 510}};

#define SHA "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
static const struct mill_blob_ref ref_good = {S(SHA), 3, S("blobs/x")};
static const struct mill_blob_ref ref_bad = {S("b94d"), 0, S("a\nb")};
static const struct mill_blob_ref ref_long = {S(SHA), 1, X(1025)};
static const struct mill_blob_ref ref_huge = {S(SHA), INT64_MAX, S("blobs/x")};
#define FILE_A .filename = S("f")
static const struct mill_attachment att_ref[] = {{FILE_A, .ref = &ref_good}};
static const struct mill_attachment att_both[] = {{FILE_A, .content = S("x"), .ref = &ref_good}};
static const struct mill_attachment att_bad[] = {{FILE_A, .ref = &ref_bad}};
static const struct mill_attachment att_key[] = {{FILE_A, .ref = &ref_long}};
static const struct mill_attachment att_huge[] = {{FILE_A, .ref = &ref_huge}};
static const struct mill_attachment att_name[] = {{.filename = X(257), .content = S("x")}};
static const struct mill_attachment att_type[] = {
    {FILE_A, .content = S("x"), .type = S("text/plain; a=b, c")},
    {FILE_A, .content = S("x"), .type = S("text/plain x")}};

static const struct row {
    const char *name;
    struct mill_request r;
    const char *want; /* fields at fault, in order; "*" = the request itself; "" = none */
} rows[] = {
    {"plain", {BASE}, ""},
    {"ids of a producer's own",
     {BASE, .request_id = S("order:17~a.b_c-d"), .accepted_at = INT64_C(1795219100000000)},
     ""},
    {"a request id with a slash", {BASE, .request_id = S("a/b")}, "request_id"},
    {"an empty request id", {BASE, .request_id = S("")}, "request_id"},
    {"a request id too long", {BASE, .request_id = X(129)}, "request_id"},
    {"resend without its time", {BASE, .resend_id = S("r2")}, "resend_at"},
    {"resend with a bad id", {BASE, .resend_id = S("r 2"), .resend_at = {true, 1}}, "resend_id"},
    {"a time of resend alone", {BASE, .resend_at = {true, 1}}, "resend_at"},
    {"tenant too long", {BASE, .tenant = X(129)}, "tenant"},
    {"tenant with a NUL", {BASE, .tenant = S("a\0b")}, "tenant"},
    {"client with a line break", {BASE, .client = S("a\rb")}, "client"},
    {"accepted in milliseconds", {BASE, .accepted_at = INT64_C(1795219200000)}, "accepted_at"},
    {"accepted next week", {BASE, .accepted_at = INT64_C(1795910400000000)}, "accepted_at"},
    {"a fingerprint too short", {BASE, .fingerprint = S("abc")}, "fingerprint"},
    {"a fingerprint of odd bytes", {BASE, .fingerprint = S("0123456789abcde/")}, "fingerprint"},
    {"text with a NUL", {FROM, SUBJECT, TO, .text = S("a\0b")}, "text"},
    {"html that is no UTF-8", {BASE, .html = S("\xed\xa0\x80")}, "html"},
    {"subject of 998 characters", {FROM, TEXT, TO, .subject = {accents, 998 * 2}}, ""},
    {"subject of 999 characters", {FROM, TEXT, TO, .subject = X(999)}, "subject"},
    {"subject that is no UTF-8", {FROM, TEXT, TO, .subject = S("a\xc3")}, "subject"},
    {"template id too long", {BASE, .template_id = X(257)}, "template_id"},
    {"template data: a cut object", {BASE, .template_data = S("{\"a\":")}, "template_data"},
    {"template data: a list", {BASE, .template_data = S("[1]")}, "template_data"},
    {"category of 255 characters", {BASE, .categories = LIST(category_full)}, ""},
    {"category of 256 characters", {BASE, .categories = LIST(category_long)}, "categories[0]"},
    {"header with a NUL", {BASE, .headers = LIST(header_nul)}, "headers.X-A"},
    {"header that is no UTF-8", {BASE, .headers = LIST(header_bytes)}, "headers.X-A"},
    {"header there twice", {BASE, .headers = LIST(header_twice)}, "headers.x-A"},
    {"header's name too long", {BASE, .headers = LIST(header_name)}, "headers.*"},
    {"header too long", {BASE, .headers = LIST(header_value)}, "headers.X-A"},
    {"too many headers", {BASE, .headers = LIST(headers_many)}, "headers"},
    {"metadata with a NUL", {BASE, .metadata = LIST(meta_nul)}, "metadata.k"},
    {"metadata that is no UTF-8", {BASE, .metadata = LIST(meta_bytes)}, "metadata.k"},
    {"metadata key there twice", {BASE, .metadata = LIST(meta_twice)}, "metadata.k"},
    {"metadata too large only together",
     {FROM, SUBJECT, TEXT, .metadata = LIST(meta_half), .personalizations = LIST(sum_over)},
     "personalizations[0].metadata"},
    {"metadata that replaces the request's",
     {FROM, SUBJECT, TEXT, .metadata = LIST(meta_half), .personalizations = LIST(sum_same)},
     ""},
    {"name of an address too long",
     {FROM, SUBJECT, TEXT, .personalizations = LIST(to_long_name)},
     "personalizations[0].to[0].name"},
    {"nobody", {FROM, SUBJECT, TEXT}, "personalizations"},
    {"too many personalizations, none of them looked at twice",
     {FROM, SUBJECT, TEXT, .personalizations = LIST(many)},
     "personalizations"},
    {"too many to reply to", {BASE, .reply_to = LIST(reply_many)}, "reply_to"},
    {"attachment by reference", {BASE, .attachments = LIST(att_ref)}, ""},
    {"attachment by value and reference",
     {BASE, .attachments = LIST(att_both)},
     "attachments[0].content"},
    {"a reference with nothing right",
     {BASE, .attachments = LIST(att_bad)},
     "attachments[0].ref.sha256 attachments[0].ref.bytes attachments[0].ref.key"},
    {"a reference's key too long", {BASE, .attachments = LIST(att_key)}, "attachments[0].ref.key"},
    {"a reference over 30 MB", {BASE, .attachments = LIST(att_huge)}, "*"},
    {"file name too long", {BASE, .attachments = LIST(att_name)}, "attachments[0].filename"},
    {"media types with a comma, with no semicolon",
     {BASE, .attachments = LIST(att_type)},
     "attachments[0].type attachments[1].type"},
};

static void fill_texts(void)
{
    memset(xs, 'x', sizeof xs);
    for (size_t i = 0; i < sizeof accents; i += 2)
        memcpy(accents + i, "\xc3\xa9", 2);
    for (size_t i = 0; i <= MILL_RECIPIENTS_MAX; i++) {
        many[i] = one[0];
        reply_many[i] = to[0];
    }
    for (size_t i = 0; i <= MILL_HEADERS_MAX; i++) /* no two names are the same */
        headers_many[i] = (struct mill_pair){{xs, i + 1}, S("1")};
}

static void rule_row(void **state)
{
    const struct row *row = *state;
    const struct mill_rules rules = {.now_us = now};
    struct mill_faults f;
    struct mill_err err = {0};
    char got[1024];
    size_t n = 0;

    mill_faults_init(&f, NULL);
    mill_request_check(&row->r, &rules, &f);
    got[0] = '\0';
    for (size_t i = 0; i < f.n && n < sizeof got; i++) {
        const char *where = strncmp(f.v[i].where, "headers.xxx", 11) ? f.v[i].where : "headers.*";
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%s", i ? " " : "", *where ? where : "*");
    }
    assert_string_equal(got, row->want);
    assert_int_equal(mill_faults_err(&f, &err), row->want[0] ? MILL_E_DATA : MILL_OK);
    assert_int_equal(f.too_large, !strcmp(row->want, "*"));
    assert_false(f.nomem);
}

int main(void)
{
    fill_texts();
    return TABLE(rows, rule_row);
}
