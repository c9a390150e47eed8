/* The XML scanner: what it takes, what it refuses, and the texts it finds; and percent-encoding. */
#include "net/url.h"
#include "net/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEEP16 "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
#define UP16   "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"

static const struct {
    const char *doc, *want; /* want: text of the first <k>; NULL = none or malformed */
} docs[] = {
    {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<r xmlns=\"http://x/\"><k>v</k></r>\n", "v"},
    {"<k>v</k>", "v"},
    {"<k/>", ""},
    {"<r><k a='1' b=\"2\" />\n</r>", ""},
    {"<r><k>a&amp;b&lt;&gt;&quot;&apos;&#65;&#x42;&#xe9;&#x20AC;&#x1F600;</k></r>",
     "a&b<>\"'AB\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"<r><k>one</k><k>two</k></r>", "one"},
    {"<r><k>a<x>b</x>c</k></r>", "ac"},
    {"<r><x:k>no</x:k><k >yes</k ></r>", "yes"},
    {DEEP16 UP16, NULL},
    {DEEP16 "<k>v</k>" UP16, NULL},
    {"", NULL},
    {"  ", NULL},
    {"<r><k>v</k>", NULL},
    {"<r><k>v</r></k>", NULL},
    {"<r><k>v</k></r><r/>", NULL},
    {"<r><k>v</k></r>x", NULL},
    {"x<r><k>v</k></r>", NULL},
    {"<r><k>&nope;</k></r>", NULL},
    {"<r><k>&#0;</k></r>", NULL},
    {"<r><k>&#xD800;</k></r>", NULL},
    {"<r><k>&#x110000;</k></r>", NULL},
    {"<r><k>&#;</k></r>", NULL},
    {"<r><k>&#x;</k></r>", NULL},
    {"<r><k>&amp</k></r>", NULL},
    {"<!DOCTYPE r><r><k>v</k></r>", NULL},
    {"<r><!-- c --><k>v</k></r>", NULL},
    {"<r><k><![CDATA[v]]></k></r>", NULL},
    {"<r><?pi?><k>v</k></r>", NULL},
    {"<r a=\"1><k>v</k></r>", NULL},
    {"<r a=\"1\"b=\"2\"><k>v</k></r>", NULL},
    {"<r a><k>v</k></r>", NULL},
    {"<r><k>v</k></ r>", NULL},
    {"<1r><k>v</k></1r>", NULL},
    {"<", NULL},
    {"<r", NULL},
    {"<r/", NULL},
    {"</r>", NULL},
    {"<?xml", NULL},
};

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof docs / sizeof *docs; i++) {
        /* An exact copy, so that a read past the end is seen. */
        size_t n = strlen(docs[i].doc);
        char *exact = malloc(n ? n : 1);
        struct mill_buf got;
        bool found;

        assert_non_null(exact);
        memcpy(exact, docs[i].doc, n);
        mill_buf_init(&got, 64);
        found = mill_xml_find((struct mill_str){exact, n}, "k", &got);
        if (found != (docs[i].want != NULL))
            fail_msg("%s: %sfound", docs[i].doc, found ? "" : "not ");
        if (found && !mill_str_is(mill_buf_view(&got), docs[i].want))
            fail_msg("%s: \"%s\"", docs[i].doc, got.p);
        mill_buf_release(&got);
        free(exact);
    }
}

static void test_url(void **state)
{
    struct mill_buf b;

    (void)state;
    mill_buf_init(&b, 100);
    assert_true(mill_url_encode(&b, MILL_STR("topic=T/a b+\xc3\xa9%~-._"), "/"));
    assert_string_equal(b.p, "topic%3DT/a%20b%2B%C3%A9%25~-._");
    mill_buf_reset(&b);
    assert_true(mill_url_encode(&b, MILL_STR("a/b\0c"), ""));
    assert_string_equal(b.p, "a%2Fb%00c");
    mill_buf_release(&b);
    mill_buf_init(&b, 2);
    assert_false(mill_url_encode(&b, MILL_STR("a b"), ""));
    mill_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_url)};

    return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
