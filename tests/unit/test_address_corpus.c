/* The Mailbox scanner against other people's corpora: ../shared/reference/addresses, or
 * $MILL_SHARED/reference/addresses. Each disagreement is listed with its reason; one that is not
 * listed, and a listed one that has gone, fails the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/address.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define A62 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A63 A62 "a"

struct known {
    const char *corpus, *text, *reason;
};

static const struct known known[] = {
    {"idn-hostname.json", A63 "." A63 "." A63 "." A62,
     "254 octets, of which RFC 5321 § 4.5.3.1.2 allows 255; a mailbox of 254 never gets there"},
    {"hostname.json",
     "\xe2\x84\xaa"
     "elvin.example.com",
     "an international name here: the Kelvin sign is mapped to k (UTS 46)"},
    {"hostname.json",
     "example\xef\xbc\x8e"
     "com",
     "an international name here: the fullwidth dot is a separator (UTS 46)"},
};

enum { KNOWN = sizeof known / sizeof known[0] };

struct tally {
    const char *corpus;
    size_t cases, unexpected;
    bool met[KNOWN];
};

static json_t *load(const char *file)
{
    const char *shared = getenv("MILL_SHARED");
    char path[1024];
    json_error_t error;
    json_t *json;

    snprintf(path, sizeof path, "%s/reference/addresses/%s", shared ? shared : "../../shared",
             file);
    json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!json) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    return json;
}

static void judge(struct tally *t, const json_t *value, bool want, const char *why)
{
    struct mill_str text = {json_string_value(value), json_string_length(value)};

    t->cases++;
    if (want == !why)
        return;
    for (size_t i = 0; i < KNOWN; i++) {
        if (!strcmp(known[i].corpus, t->corpus) && mill_str_is(text, known[i].text)) {
            t->met[i] = true;
            return;
        }
    }
    t->unexpected++;
    print_message("%s [%.*s]: wanted %s, got %s\n", t->corpus, MILL_FMT(text),
                  want ? "accept" : "refuse", why ? why : "accept");
}

static void finish(const struct tally *t, size_t at_least)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (!strcmp(known[i].corpus, t->corpus) && !t->met[i])
            fail_msg("no longer a disagreement, take it out: %s", known[i].text);
    assert_int_equal(t->unexpected, 0);
    assert_true(t->cases >= at_least);
    print_message("%s: %zu cases\n", t->corpus, t->cases);
}

static void isemail(void **state)
{
    struct tally t = {.corpus = "isemail.json"};
    json_t *root = load(t.corpus), *c;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        const json_t *address = json_object_get(c, "address");
        struct mill_str text = {json_string_value(address), json_string_length(address)};
        judge(&t, address, json_is_true(json_object_get(c, "smtp_mailbox_ok")),
              mill_mailbox_scan(text, 0, NULL));
    }
    json_decref(root);
    finish(&t, 160);
}

static void suite(const char *file, size_t at_least, bool domain)
{
    struct tally t = {.corpus = file};
    json_t *root = load(file), *group, *c;
    size_t i, k, n;
    char out[MILL_DOMAIN_MAX + 1];

    json_array_foreach(root, i, group) json_array_foreach(json_object_get(group, "tests"), k, c)
    {
        const json_t *data = json_object_get(c, "data");
        struct mill_str text = {json_string_value(data), json_string_length(data)};
        if (!json_is_string(data))
            continue;
        judge(&t, data, json_is_true(json_object_get(c, "valid")),
              domain ? mill_domain_ascii(text, true, out, &n) : mill_mailbox_scan(text, 0, NULL));
    }
    json_decref(root);
    finish(&t, at_least);
}

static void email(void **state)
{
    (void)state;
    suite("email.json", 20, false);
}

static void idn_email(void **state)
{
    (void)state;
    suite("idn-email.json", 12, false);
}

static void hostname(void **state)
{
    (void)state;
    suite("hostname.json", 55, true);
}

static void idn_hostname(void **state)
{
    (void)state;
    suite("idn-hostname.json", 80, true);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(isemail),      cmocka_unit_test(email),    cmocka_unit_test(idn_email),
        cmocka_unit_test(idn_hostname), cmocka_unit_test(hostname),
    };
    return cmocka_run_group_tests_name("address_corpus", t, NULL, NULL);
}
