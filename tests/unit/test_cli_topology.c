/* Topology files: merged, overridden, checked. */
#include "cases.h"
#include "topology.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T(fields) "{\"topics\":[" fields "]}"
#define A         "{\"name\":\"a\",\"partitions\":4,\"joined\":\"x\",\"config\":{\"k\":\"1\",\"l\":\"2\"}}"

static char dir[64], path_a[128], path_b[128], avsc[128], both[300];

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    char schemas[100];

    (void)state;
    snprintf(dir, sizeof dir, "%s/mill-topology-XXXXXX", P_tmpdir);
    if (!mkdtemp(dir))
        return -1;
    snprintf(schemas, sizeof schemas, "%s/schemas", dir);
    mkdir(schemas, 0700);
    snprintf(path_a, sizeof path_a, "%s/a.json", dir);
    snprintf(path_b, sizeof path_b, "%s/b.json", dir);
    snprintf(avsc, sizeof avsc, "%s/schemas/s.avsc", dir);
    snprintf(both, sizeof both, "%s:%s", path_a, path_b);
    put(avsc, "{}");
    return 0;
}

static int teardown(void **state)
{
    char schemas[100];

    (void)state;
    snprintf(schemas, sizeof schemas, "%s/schemas", dir);
    unlink(path_a);
    unlink(path_b);
    unlink(avsc);
    rmdir(schemas);
    return rmdir(dir);
}

static void a_later_file_adds_and_overrides(void **state)
{
    struct topology t;
    struct mill_err err = {0};

    (void)state;
    put(path_a, T(A));
    put(path_b, T("{\"name\":\"a\",\"config\":{\"l\":\"3\"},\"schema\":\"s.avsc\"},"
                  "{\"name\":\"b\",\"partitions\":1}"));
    assert_int_equal(topology_read(&t, both, &err), MILL_OK);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.topics[0].name, "a");
    assert_int_equal(t.topics[0].partitions, 4);
    assert_string_equal(t.topics[0].joined, "x");
    assert_string_equal(json_string_value(json_object_get(t.topics[0].config, "k")), "1");
    assert_string_equal(json_string_value(json_object_get(t.topics[0].config, "l")), "3");
    assert_string_equal(t.topics[0].schema, avsc);
    assert_string_equal(t.topics[1].name, "b");
    assert_null(t.topics[1].joined);
    assert_string_equal(t.topics[1].schema, "");
    topology_release(&t);
    topology_release(&t);
    assert_null(t.merged);
}

struct row {
    const char *name, *a, *b, *where, *text;
};

static const struct row rows[] = {
    {"not JSON", "{", "", "a.json", "line 1"},
    {"a name twice", T("{\"name\":\"a\",\"name\":\"b\"}"), "", "a.json", "duplicate"},
    {"no object", "[]", "", "a.json", "not a list"},
    {"topics is no list", "{\"topics\":{}}", "", "a.json", "not a list"},
    {"a topic without name", T("{}"), "", "a.json", "no name"},
    {"a topic is a number", T("7"), "", "a.json", "no name"},
    {"no partitions", T("{\"name\":\"a\"}"), "", "a", "partitions"},
    {"no number", T("{\"name\":\"a\",\"partitions\":\"4\"}"), "", "a", "partitions"},
    {"too many", T("{\"name\":\"a\",\"partitions\":10001}"), "", "a", "partitions"},
    {"an underscore", T("{\"name\":\"a_b\",\"partitions\":1}"), "", "a_b", "metric"},
    {"config no object", T("{\"name\":\"a\",\"partitions\":1,\"config\":[]}"), "", "a", "config"},
    {"config made none by b", T(A), T("{\"name\":\"a\",\"config\":1}"), "a", "config"},
    {"config with a number", T("{\"name\":\"a\",\"partitions\":1,\"config\":{\"k\":1}}"), "", "a",
     "config k"},
    {"a schema that is not there", T("{\"name\":\"a\",\"partitions\":1,\"schema\":\"q.avsc\"}"), "",
     "a", "q.avsc"},
    {"joined, of another count", T(A), T("{\"name\":\"c\",\"partitions\":5,\"joined\":\"x\"}"), "c",
     "joined"},
    {"b missing", T(A), NULL, "b.json", ""},
};

static void a_fault_is_named(void **state)
{
    const struct row *row = *state;
    struct topology t;
    struct mill_err err = {0};

    assert_int_equal(setup(NULL), 0);
    put(path_a, row->a);
    if (row->b)
        put(path_b, *row->b ? row->b : "{}");
    assert_int_equal(topology_read(&t, both, &err), MILL_E_CONFIG);
    if (strstr(row->where, ".json"))
        assert_non_null(strstr(err.where, "/mill-topology-"));
    else
        assert_string_equal(err.where, row->where);
    assert_non_null(strstr(err.text, row->text));
    assert_null(t.topics);
    assert_int_equal(teardown(NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_later_file_adds_and_overrides, setup, teardown),
    };

    return TESTS(tests) + TABLE(rows, a_fault_is_named);
}
