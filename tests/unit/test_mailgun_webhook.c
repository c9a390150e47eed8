/* Mailgun's signature inside its posts: rows, and its own vectors. */
#include "cases.h"

#include "base/json.h"
#include "send/provider.h"
#include <stdio.h>
#include <stdlib.h>

#define MG_KEY   "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
#define MG_TIME  "1403645220"
#define MG_TOKEN "5egbgr1vjgqxtrnp65xfznchgdccwh5d6i09vijqi3whgowmn6"
#define MG_SIGN  "9cfc5c41582e51246e73c88d34db3af0a3a2692a76fbab81492842f000256d33"
#define MG(time, token, sign, more)                                                                \
    "{\"signature\":{\"timestamp\":\"" time "\",\"token\":\"" token "\",\"signature\":\"" sign     \
    "\"" more "},\"event-data\":{\"event\":\"opened\"}}"
#define MG_GOOD MG(MG_TIME, MG_TOKEN, MG_SIGN, "")
enum { MG_S = 1403645220, HOUR_S = 3600 };

static const struct mailgun_row {
    const char *name, *keys, *body;
    int64_t now_s;
    enum mill_code want;
} mailgun_rows[] = {
    {"good", MG_KEY, MG_GOOD, MG_S, MILL_OK},
    {"a second key fits", "key-new," MG_KEY, MG_GOOD, MG_S, MILL_OK},
    {"the last second of its age", MG_KEY, MG_GOOD, MG_S + HOUR_S, MILL_OK},
    {"too old", MG_KEY, MG_GOOD, MG_S + HOUR_S + 1, MILL_E_AUTH},
    {"from the future", MG_KEY, MG_GOOD, MG_S - HOUR_S - 1, MILL_E_AUTH},
    {"no key", "", MG_GOOD, MG_S, MILL_E_AUTH},
    {"another key", "key-new", MG_GOOD, MG_S, MILL_E_AUTH},
    {"parent's key", MG_KEY, MG(MG_TIME, MG_TOKEN, "00", ",\"parent-signature\":\"" MG_SIGN "\""),
     MG_S, MILL_OK},
    {"a digit moved", MG_KEY, MG("140364522", "0" MG_TOKEN, MG_SIGN, ""), MG_S, MILL_E_AUTH},
    {"a digit moved back", MG_KEY,
     MG(MG_TIME "5", "egbgr1vjgqxtrnp65xfznchgdccwh5d6i09vijqi3whgowmn6", MG_SIGN, ""), MG_S,
     MILL_E_AUTH},
    {"upper case", MG_KEY,
     MG(MG_TIME, MG_TOKEN, "9CFC5C41582E51246E73C88D34DB3AF0A3A2692A76FBAB81492842F000256D33", ""),
     MG_S, MILL_E_AUTH},
    {"cut short", MG_KEY, MG(MG_TIME, MG_TOKEN, "9cfc", ""), MG_S, MILL_E_AUTH},
    {"empty signature", MG_KEY, MG(MG_TIME, MG_TOKEN, "", ""), MG_S, MILL_E_AUTH},
    {"no time", MG_KEY, MG("", MG_TOKEN, MG_SIGN, ""), MG_S, MILL_E_AUTH},
    {"a time that is none", MG_KEY, MG("soon", MG_TOKEN, MG_SIGN, ""), MG_S, MILL_E_AUTH},
    {"a negative time", MG_KEY, MG("-1", MG_TOKEN, MG_SIGN, ""), 0, MILL_E_AUTH},
    {"a time without end", MG_KEY, MG("14036452201403645220", MG_TOKEN, MG_SIGN, ""), MG_S,
     MILL_E_AUTH},
    {"empty request", MG_KEY, MG("0", "", "", ""), 0, MILL_E_AUTH},
    {"a time that is a number", MG_KEY,
     "{\"signature\":{\"timestamp\":1403645220,\"token\":\"" MG_TOKEN "\",\"signature\":\"" MG_SIGN
     "\"}}",
     MG_S, MILL_E_AUTH},
    {"no signature", MG_KEY, "{\"event-data\":{}}", MG_S, MILL_E_DATA},
    {"a signature that is none", MG_KEY, "{\"signature\":[]}", MG_S, MILL_E_DATA},
    {"no JSON", MG_KEY, "signature=" MG_SIGN, MG_S, MILL_E_DATA},
    {"nothing", MG_KEY, "", MG_S, MILL_E_DATA},
};

static enum mill_code verify(const char *keys, uint64_t max_age_ms, const char *body, int64_t now_s,
                             struct mill_err *err)
{
    const struct mill_webhook_conf conf = {keys, max_age_ms};
    const struct mill_webhook *w = mill_provider_mailgun.webhook;
    const struct mill_webhook_post post = {.body = mill_str(body), .now_us = now_s * 1000000};
    struct mill_webhook_keys read;
    enum mill_code rc;

    assert_int_equal(mill_webhook_keys_read(&read, w, &conf, err), MILL_OK);
    rc = w->verify(&read, &post, err);
    mill_webhook_keys_release(&read);
    return rc;
}

static void mailgun_row(void **state)
{
    const struct mailgun_row *row = *state;
    struct mill_err err = {0};

    assert_int_equal(verify(row->keys, UINT64_C(1000) * HOUR_S, row->body, row->now_s, &err),
                     row->want);
    assert_true(row->want == MILL_OK || err.text[0]);
}

/* Mailgun's own vectors; the time is years ago, so any is let through. */
static void mailgun_vectors(void **state)
{
    const char *shared = getenv("MILL_SHARED");
    char path[1024];
    json_t *root, *v;
    size_t i, valid = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/reference/mailgun-webhook/signature-vectors.json",
             shared ? shared : "../../shared");
    root = json_load_file(path, 0, NULL);
    if (!root) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    json_array_foreach(json_object_get(root, "vectors"), i, v)
    {
        const char *key = json_string_value(json_object_get(v, "signing_key"));
        struct mill_err err;
        json_t *words = json_deep_copy(v);
        json_t *post = json_pack("{s:o,s:{}}", "signature", words, "event-data");
        char *body = json_dumps(post, 0);
        enum mill_code rc = verify(key, 0, body, 0, &err);

        if ((rc == MILL_OK) != json_is_true(json_object_get(v, "valid")))
            fail_msg("%s: %d", json_string_value(json_object_get(v, "name")), (int)rc);
        valid += rc == MILL_OK;
        free(body);
        json_decref(post);
    }
    json_decref(root);
    assert_true(i >= 3 && valid >= 1 && valid < i);
}

int main(void)
{
    const struct CMUnitTest t[] = {cmocka_unit_test(mailgun_vectors)};

    return TABLE(mailgun_rows, mailgun_row) + TESTS(t);
}
