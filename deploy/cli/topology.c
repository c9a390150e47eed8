/* Topology files; see topology.h. */
#include "topology.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARTITIONS_MAX = 10000 };

/* The next file of a path list. @return false at its end */
static bool topology_next(const char **paths, char *file, size_t size)
{
    size_t n;

    *paths += strspn(*paths, ":");
    n = strcspn(*paths, ":");
    mill_str_cut((struct mill_str){*paths, n}, file, size);
    *paths += n;
    return n > 0;
}

/* A schema's file is named relative to a topology file: beside it, in schemas/ beside it, or in
 * the schemas/ next to the folder (this tree). */
static bool topology_schema_at(const char *file, const char *name, char *out, size_t size)
{
    static const char *const dirs[] = {"", "schemas/", "../schemas/"};
    const char *slash = strrchr(file, '/');
    int n = slash ? (int)(slash - file + 1) : 0;

    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        int len = snprintf(out, size, "%.*s%s%s", n, file, dirs[i], name);
        if (len > 0 && (size_t)len < size && !access(out, R_OK))
            return true;
    }
    out[0] = 0;
    return false;
}

/* The file that names it comes first, then the others of the list: so a topic of one's own may have
 * a schema of Sendmill's. */
static bool topology_schema(const char *file, const char *paths, const char *name, char *out,
                            size_t size)
{
    char other[PATH_MAX];
    bool found = topology_schema_at(file, name, out, size);

    while (!found && topology_next(&paths, other, sizeof other))
        found = topology_schema_at(other, name, out, size);
    return found;
}

static enum mill_code topology_merge(json_t *merged, const json_t *topic, const char *file,
                                     const char *paths, struct mill_err *err)
{
    const char *name = json_string_value(json_object_get(topic, "name"));
    const char *schema = json_string_value(json_object_get(topic, "schema"));
    json_t *into, *value;
    const char *key;
    char path[1024];

    if (!name)
        return mill_fail(err, MILL_E_CONFIG, file, "a topic has no name");
    into = json_object_get(merged, name);
    if (!into) {
        into = json_object();
        json_object_set_new(merged, name, into);
    }
    json_object_foreach((json_t *)(uintptr_t)topic, key, value)
    {
        json_t *old = json_object_get(into, key);
        if (!strcmp(key, "config") && !json_is_object(value))
            return mill_fail(err, MILL_E_CONFIG, name, "config is not an object");
        if (!strcmp(key, "config") && json_is_object(old))
            json_object_update(old, value);
        else
            json_object_set_new(into, key, json_deep_copy(value));
    }
    if (!schema)
        return MILL_OK;
    if (!topology_schema(file, paths, schema, path, sizeof path))
        return mill_fail(err, MILL_E_CONFIG, name, "schema %s is not found beside %s", schema,
                         file);
    json_object_set_new(into, "schema", json_string(path));
    return MILL_OK;
}

/* Later files override; ports are merged one by one. */
static void topology_process(json_t *all, const json_t *process)
{
    const char *name = json_string_value(json_object_get(process, "name"));
    json_t *into = name ? json_object_get(all, name) : NULL, *value;
    const char *key;

    if (name && !into) {
        into = json_object();
        json_object_set_new(all, name, into);
    }
    json_object_foreach((json_t *)(uintptr_t)(name ? process : NULL), key, value)
    {
        json_t *old = json_object_get(into, key);
        if (json_is_object(old) && json_is_object(value))
            json_object_update(old, value);
        else
            json_object_set_new(into, key, json_deep_copy(value));
    }
}

static enum mill_code topology_file(struct topology *t, const char *file, const char *paths,
                                    struct mill_err *err)
{
    json_error_t why;
    json_t *root = json_load_file(file, JSON_REJECT_DUPLICATES, &why), *topic;
    enum mill_code code = MILL_OK;
    size_t i;

    if (!root)
        return mill_fail(err, MILL_E_CONFIG, file, "line %d: %s", why.line, why.text);
    topic = json_object_get(root, "topics");
    if (!json_is_object(root) || (topic && !json_is_array(topic)))
        code = mill_fail(err, MILL_E_CONFIG, file, "topics is not a list");
    json_array_foreach(json_object_get(root, "topics"), i, topic)
    {
        if (!code)
            code = topology_merge(t->merged, topic, file, paths, err);
    }
    json_array_foreach(json_object_get(root, "processes"), i, topic)
    {
        topology_process(t->processes, topic);
    }
    json_decref(root);
    return code;
}

static enum mill_code topology_topic(struct topology_topic *out, const char *name,
                                     const json_t *topic, struct mill_err *err)
{
    json_int_t n = json_integer_value(json_object_get(topic, "partitions"));
    const char *schema = json_string_value(json_object_get(topic, "schema"));
    const json_t *config = json_object_get(topic, "config");
    const char *key;
    json_t *value;

    if (n < 1 || n > PARTITIONS_MAX)
        return mill_fail(err, MILL_E_CONFIG, name, "partitions must be 1 to %d", PARTITIONS_MAX);
    if (strchr(name, '_'))
        return mill_fail(err, MILL_E_CONFIG, name,
                         "a topic's name has no _: it collides with . in metric names");
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (!json_is_string(value))
            return mill_fail(err, MILL_E_CONFIG, name, "config %s is not a text", key);
    }
    *out = (struct topology_topic){
        .name = name,
        .partitions = (int32_t)n,
        .joined = json_string_value(json_object_get(topic, "joined")),
        .config = config,
    };
    if (schema)
        mill_str_cut(mill_str(schema), out->schema, sizeof out->schema);
    return MILL_OK;
}

/* What is read where nothing was named: this tree's, or the one installed beside the program,
 * wherever that was installed to. */
static const char *topology_default(char *out, size_t size)
{
    static const char rest[] = "/../share/sendmill/topology.json";
    ssize_t n = readlink("/proc/self/exe", out, size - sizeof rest);

    if (!access("deploy/topology.json", R_OK))
        return "deploy/topology.json";
    while (n > 0 && out[n - 1] != '/')
        n--;
    if (n > 0) {
        memcpy(out + n - 1, rest, sizeof rest);
        if (!access(out, R_OK))
            return out;
    }
    return MILL_TOPOLOGY;
}

enum mill_code topology_read(struct topology *t, const char *paths, struct mill_err *err)
{
    enum mill_code code = MILL_OK;
    char file[PATH_MAX], installed[PATH_MAX];
    const char *name, *at;
    json_t *topic;

    *t = (struct topology){.merged = json_object(), .processes = json_object()};
    if (!paths || !*paths)
        paths = topology_default(installed, sizeof installed);
    at = paths;
    while (!code && topology_next(&at, file, sizeof file))
        code = topology_file(t, file, paths, err);
    t->topics = calloc(json_object_size(t->merged) + 1, sizeof *t->topics);
    if (!code && !t->topics)
        code = mill_fail(err, MILL_E_NOMEM, "topology", "out of memory");
    json_object_foreach(t->merged, name, topic)
    {
        if (!code)
            code = topology_topic(&t->topics[t->n++], name, topic, err);
    }
    if (!code)
        code = topology_check(t, err);
    if (code)
        topology_release(t);
    return code;
}

enum mill_code topology_check(const struct topology *t, struct mill_err *err)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; t->topics[i].joined && k < i; k++) {
            const struct topology_topic *a = &t->topics[i], *b = &t->topics[k];
            if (b->joined && !strcmp(a->joined, b->joined) && a->partitions != b->partitions)
                return mill_fail(err, MILL_E_CONFIG, a->name,
                                 "%d partitions, but %s of the same joined set has %d",
                                 a->partitions, b->name, b->partitions);
        }
    return MILL_OK;
}

void topology_release(struct topology *t)
{
    json_decref(t->merged);
    json_decref(t->processes);
    free(t->topics);
    *t = (struct topology){0};
}

size_t topology_readers(const struct topology *t, const char *topic, const char **out, size_t most)
{
    const char *name, *port;
    json_t *process, *value;
    size_t n = 0;

    json_object_foreach(t->processes, name, process)
    {
        if (!mill_str_is(mill_json_str(process, "kind"), "stage"))
            continue;
        json_object_foreach(json_object_get(process, "in"), port, value)
        {
            if (mill_str_is(mill_json_text(value), topic) && n++ < most)
                out[n - 1] = name;
        }
    }
    return n;
}
