#include "cases.h"

#include "alloc_fail.h"
#include "base/json.h"
#include "base/metrics.h"
#include <math.h>
#include <pthread.h>

enum { RECEIVED, VERDICT, LAG, TOOK, FORM };

static const char *const verdicts[] = {"done", "a\"b\\c\nd", NULL};
static const struct mill_metric table[] = {
    {"mill_records_received_total", MILL_COUNTER, "records read\\\nfrom topics", NULL, NULL},
    {"mill_verdicts_total", MILL_COUNTER, "by kind", "kind", verdicts},
    {"mill_lag_records", MILL_GAUGE, NULL, NULL, NULL},
    {"mill_txn_commit_seconds", MILL_HISTOGRAM, "commit", NULL, NULL},
    {"mill_call_seconds", MILL_HISTOGRAM, "call", "kind", verdicts},
    {0},
};

static void metrics_format(void **state)
{
    static const char want_head[] =
        "# HELP mill_records_received_total records read\\\\\\nfrom topics\n"
        "# TYPE mill_records_received_total counter\n"
        "mill_records_received_total{stage=\"validate\"} 18446744073709551615\n"
        "# HELP mill_verdicts_total by kind\n"
        "# TYPE mill_verdicts_total counter\n"
        "mill_verdicts_total{stage=\"validate\",kind=\"done\"} 0\n"
        "mill_verdicts_total{stage=\"validate\",kind=\"a\\\"b\\\\c\\nd\"} 2\n"
        "# HELP mill_lag_records \n"
        "# TYPE mill_lag_records gauge\n"
        "mill_lag_records{stage=\"validate\"} -1.5\n"
        "# HELP mill_txn_commit_seconds commit\n"
        "# TYPE mill_txn_commit_seconds histogram\n"
        "mill_txn_commit_seconds_bucket{stage=\"validate\",le=\"0.005\"} 1\n"
        "mill_txn_commit_seconds_bucket{stage=\"validate\",le=\"0.01\"} 2\n";
    static const char want_tail[] =
        "mill_txn_commit_seconds_bucket{stage=\"validate\",le=\"10\"} 2\n"
        "mill_txn_commit_seconds_bucket{stage=\"validate\",le=\"+Inf\"} 3\n"
        "mill_txn_commit_seconds_sum{stage=\"validate\"} 11.015\n"
        "mill_txn_commit_seconds_count{stage=\"validate\"} 3\n";
    struct mill_metrics *m = mill_metrics_new(table, "validate");
    struct mill_buf b;

    (void)state;
    assert_non_null(m);
    mill_metric_add(m, RECEIVED, 0, UINT64_MAX);
    mill_metric_add(m, VERDICT, 1, 2);
    mill_metric_set(m, LAG, 0, -1.5);
    mill_metric_observe(m, TOOK, 0, 0.005); /* a bound belongs to its bucket */
    mill_metric_observe(m, TOOK, 0, 0.01);
    mill_metric_observe(m, TOOK, 0, 11);
    mill_buf_init(&b, 1 << 16);
    assert_true(mill_metrics_text(m, &b));
    assert_memory_equal(b.p, want_head, sizeof want_head - 1);
    assert_non_null(strstr(b.p, want_tail));
    assert_non_null(strstr(b.p, "mill_call_seconds_count{stage=\"validate\",kind=\"done\"} 0\n"));
    mill_buf_release(&b);
    mill_buf_init(&b, 100);
    assert_false(mill_metrics_text(m, &b));
    mill_buf_release(&b);
    mill_metrics_free(m);
    mill_metrics_free(NULL);
}

static void metrics_bounds(void **state)
{
    struct mill_metrics *m = mill_metrics_new(table, "x");

    (void)state;
    mill_metric_add(m, LAG, 0, 1);      /* wrong type */
    mill_metric_add(m, RECEIVED, 1, 1); /* no such label */
    mill_metric_add(m, VERDICT, 2, 1);
    mill_metric_set(m, RECEIVED, 0, 1);
    mill_metric_observe(m, LAG, 0, 1);
    mill_metric_add(m, 99, 0, 1); /* no such row */
    mill_metric_add(NULL, 0, 0, 1);
    for (size_t row = 0; row < 3; row++)
        assert_true(mill_metric_value(m, row, 0) == 0.0);
    mill_metric_set(m, LAG, 0, 7);
    mill_metric_add(m, VERDICT, 1, 3);
    assert_true(mill_metric_value(m, LAG, 0) == 7.0);
    assert_true(mill_metric_value(m, VERDICT, 1) == 3.0);
    mill_metrics_free(m);
}

static const struct number_row {
    const char *name;
    double v;
    const char *want;
} number_rows[] = {
    {"nan", (double)NAN, "} NaN\n"},
    {"infinite", (double)INFINITY, "} +Inf\n"},
    {"minus infinite", -(double)INFINITY, "} -Inf\n"},
    {"large whole", 123456789012345.0, "} 123456789012345\n"},
    {"small", 0.000001, "} 1e-06\n"},
};

static void number_case(void **state)
{
    const struct number_row *row = *state;
    struct mill_metrics *m = mill_metrics_new(table + LAG, "x");
    struct mill_buf b;

    mill_metric_set(m, 0, 0, row->v);
    mill_buf_init(&b, 1 << 16);
    assert_true(mill_metrics_text(m, &b));
    assert_non_null(strstr(b.p, row->want));
    mill_buf_release(&b);
    mill_metrics_free(m);
}

static void *metrics_worker(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        mill_metric_add(arg, RECEIVED, 0, 1);
        mill_metric_observe(arg, TOOK, 0, 0.25);
    }
    return NULL;
}

static void metrics_threads(void **state)
{
    struct mill_metrics *m = mill_metrics_new(table, "x");
    pthread_t threads[4];
    struct mill_buf b;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, metrics_worker, m), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(mill_metric_value(m, RECEIVED, 0) == 40000.0);
    mill_buf_init(&b, 1 << 16);
    assert_true(mill_metrics_text(m, &b));
    assert_non_null(strstr(b.p, "mill_txn_commit_seconds_sum{stage=\"x\"} 10000\n"));
    mill_buf_release(&b);
    mill_metrics_free(m);
}

static void metrics_no_memory(void **state)
{
    struct mill_metrics *m = NULL;
    long n = 0;

    (void)state;
    do {
        mill_metrics_free(m);
        alloc_fail_in = ++n;
        m = mill_metrics_new(table, "x");
    } while (!m);
    assert_int_equal(n, 4); /* three allocations, each failed once */
    alloc_fail_in = 0;
    mill_metrics_free(m);
}

static void metrics_describe(void **state)
{
    const struct mill_metric *const tables[] = {table + LAG, table, NULL};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    json_t *rows, *row;

    (void)state;
    assert_true(mill_metrics_describe(tables, f));
    fclose(f);
    assert_int_equal(mill_json_parse((struct mill_str){text, n}, &rows, NULL), MILL_OK);
    assert_int_equal(json_array_size(rows), 8);
    row = json_array_get(rows, 4);
    assert_true(mill_str_is(mill_json_str(row, "name"), "mill_verdicts_total"));
    assert_true(mill_str_is(mill_json_str(row, "type"), "counter"));
    assert_true(mill_str_is(mill_json_str(row, "label"), "kind"));
    assert_true(mill_str_is(mill_json_text(json_array_get(json_object_get(row, "values"), 1)),
                            verdicts[1]));
    assert_true(json_is_null(json_object_get(json_array_get(rows, 0), "label")));
    json_decref(rows);
    free(text);
}

int main(void)
{
    const struct CMUnitTest metrics_tests[] = {
        cmocka_unit_test(metrics_format), cmocka_unit_test(metrics_bounds),
        cmocka_unit_test(metrics_threads), cmocka_unit_test(metrics_no_memory),
        cmocka_unit_test(metrics_describe)};

    return TESTS(metrics_tests) + TABLE(number_rows, number_case);
}
