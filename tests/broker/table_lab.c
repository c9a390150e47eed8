#include "table_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "avro/registry.h"
#include "base/clock.h"
#include "loop_stage.h"

enum { WAIT_MS = 15000 };

struct lab lab;
struct mill_table_conf table_conf;

void table_lab_put(const char *key, const char *text)
{
    int32_t partition = mill_partition(mill_str(key), 4);

    lab_produce(&lab, "things", partition, mill_str(key),
                text ? lab_note(mill_str(text)) : (struct mill_str){0}, NULL);
}

int table_lab_setup(void **state)
{
    struct mill_registry *r = NULL;
    struct mill_err err = {0};
    int32_t id;

    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "things", 4);
    if (mill_registry_new(&r, lab.registry_url, 5000, &err) ||
        mill_registry_register(r, "things-value", mill_str(note_desc.avsc), &id, &err))
        return -1;
    mill_registry_free(r);
    table_conf = (struct mill_table_conf){
        .kafka = {.brokers = lab.brokers, .client_id = "test"},
        .registry = lab.registry_url,
        .state_dir = lab.dir,
        .name = "things",
        .topic = "things",
        .desc = &note_desc,
        .max_bytes = 64 << 20,
    };
    return 0;
}

int table_lab_teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

struct mill_table *table_lab_started(void)
{
    struct mill_table *t = NULL;
    struct mill_err err = {0};
    int64_t until = mill_tick_ms() + WAIT_MS;

    assert_int_equal(mill_table_start(&t, &table_conf, &err), MILL_OK);
    while (!mill_table_caught_up(t) && mill_tick_ms() < until)
        usleep(10000);
    assert_true(mill_table_caught_up(t));
    return t;
}

/* What the table says of a key; "" for none. @own static buffer */
const char *table_lab_found(struct mill_table *t, const char *key)
{
    static _Thread_local char text[64];
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    struct note note = {0};
    enum mill_code code = mill_table_get(t, mill_str(key), &mem, &note, &err);

    text[0] = 0;
    if (!code)
        mill_str_cut(note.text, text, sizeof text);
    else
        assert_int_equal(code, MILL_E_NOENT);
    mill_arena_release(&mem);
    return text;
}

bool table_lab_becomes(struct mill_table *t, const char *key, const char *text)
{
    int64_t until = mill_tick_ms() + WAIT_MS;

    while (strcmp(table_lab_found(t, key), text) != 0 && mill_tick_ms() < until)
        usleep(10000);
    return !strcmp(table_lab_found(t, key), text);
}

void table_lab_own(struct mill_table *t, const char *key, const char *text)
{
    struct mill_err err = {0};
    struct note note = {mill_str(text)};

    assert_int_equal(mill_table_put(t, MILL_TABLE_BY_KEY, mill_str(key), &note, &err), MILL_OK);
}
