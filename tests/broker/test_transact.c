/* Records written all or none, on a mock cluster. What it cannot show (it does not hide what is not
 * committed) is shown by e2e/verbs.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/transact.h"
#include "lab.h"

static struct lab lab;
static struct mill_kafka_conf conf;

static int setup(void **state)
{
    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "a", 4);
    lab_topic(&lab, "b", 4);
    conf = (struct mill_kafka_conf){.brokers = lab.brokers, .client_id = "test"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static struct mill_transact *transact(const char *id)
{
    struct mill_transact *t = NULL;
    struct mill_err err = {0};

    if (mill_transact_new(&t, &conf, id, &err))
        fail_msg("%s: %s", err.where, err.text);
    return t;
}

static void records_and_marks_of_two_topics(void **state)
{
    const struct mill_pair h[] = {{MILL_STR_INIT("mill.origin"), MILL_STR_INIT("x/0/1/2")}};
    struct mill_transact *t = transact("job");
    struct lab_record v[4];
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_transact_commit(t, &err), MILL_OK); /* nothing is open */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mill_transact_send(t, "a", 3, MILL_STR("k"), MILL_STR("v"),
                                            (struct mill_map){h, 1}, &err),
                         MILL_OK);
        assert_int_equal(mill_transact_send(t, "b", -1, MILL_STR("mark"), (struct mill_str){0},
                                            (struct mill_map){0}, &err),
                         MILL_OK);
        assert_int_equal(mill_transact_commit(t, &err), MILL_OK);
    }
    assert_int_equal(lab_read(&lab, "a", v, 4, 2), 2);
    assert_int_equal(v[0].partition, 3);
    assert_string_equal(v[0].key, "k");
    assert_string_equal(v[0].value, "v");
    assert_non_null(strstr(v[0].headers, "mill.origin=x/0/1/2"));
    assert_int_equal(lab_read(&lab, "b", v, 4, 2), 2);
    assert_int_equal(v[1].value_bytes, 0);
    mill_transact_free(t);
}

static void a_younger_one_fences_it(void **state)
{
    struct mill_transact *t = transact("fence");
    struct mill_err err = {0};

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    assert_int_equal(
        mill_transact_send(t, "a", 0, MILL_STR("k"), MILL_STR("v"), (struct mill_map){0}, &err),
        MILL_OK);
    assert_int_equal(mill_transact_commit(t, &err), MILL_E_STATE);
    assert_non_null(strstr(err.text, "somebody else"));
    mill_transact_free(t);
}

static void a_record_too_large(void **state)
{
    static char big[9 << 20];
    struct mill_transact *t = transact("large");
    struct mill_err err = {0};

    (void)state;
    memset(big, 'x', sizeof big);
    assert_int_equal(mill_transact_send(t, "a", 0, MILL_STR("k"),
                                        (struct mill_str){big, sizeof big}, (struct mill_map){0},
                                        &err),
                     MILL_E_DATA);
    mill_transact_free(t);
}

static void the_broker_hesitates(void **state)
{
    struct mill_transact *t = transact("slow");
    struct mill_err err = {0};

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, END_TXN, 2,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(
        mill_transact_send(t, "a", 0, MILL_STR("k"), MILL_STR("v"), (struct mill_map){0}, &err),
        MILL_OK);
    assert_int_equal(mill_transact_commit(t, &err), MILL_OK);
    mill_transact_free(t);
    mill_transact_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_and_marks_of_two_topics),

        cmocka_unit_test(a_younger_one_fences_it),
        cmocka_unit_test(a_record_too_large),
        cmocka_unit_test(the_broker_hesitates),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
