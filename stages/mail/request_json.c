#include "mail/request_json.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "mail/address.h"
#include <stdlib.h>

/** What is shared while one request is read. */
struct reader {
    struct mill_arena *arena;
    struct mill_faults *faults;
};

/** The request and, in the simple form, its only personalization. */
struct read_root {
    struct mill_request r;
    struct mill_personalization p;
};

/** Reads one JSON value into the member at `to`; adds a fault when it is of the wrong type. */
typedef void read_fn(struct reader *rd, const struct mill_step *at, const json_t *v, void *to);

struct read_row {
    const char *name;
    read_fn *read;
    size_t off;
};

static void *read_alloc(struct reader *rd, size_t n, size_t size)
{
    void *p = mill_arena_calloc(rd->arena, n ? n : 1, size);

    rd->faults->nomem = rd->faults->nomem || !p;
    return p;
}

/** Each member by its row. @param rows ends with {0} */
static void read_object(struct reader *rd, const struct mill_step *at, const json_t *v,
                        const struct read_row *rows, void *to)
{
    const char *key;
    json_t *member;

    if (!json_is_object(v)) {
        mill_faults_add(rd->faults, at, "is no JSON object");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        const struct mill_step here = {.up = at, .name = mill_str(key)};
        const struct mill_step unknown = {.up = at, .name = mill_str(key), .is_key = true};
        const struct read_row *row = rows;
        while (row->name && strcmp(row->name, key))
            row++;
        if (!row->name)
            mill_faults_add(rd->faults, &unknown, "there is no such field");
        else if (!json_is_null(member))
            row->read(rd, &here, member, (char *)to + row->off);
    }
}

static void read_text(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_str *out = to;

    if (json_is_string(v))
        *out = mill_json_text(v);
    else
        mill_faults_add(rd->faults, at, "is no string");
}

static const struct read_row address_rows[] = {
    {"email", read_text, offsetof(struct mill_address, email)},
    {"name", read_text, offsetof(struct mill_address, name)},
    {0},
};

static void read_address(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    if (json_is_object(v)) {
        read_object(rd, at, v, address_rows, to);
    } else if (!json_is_string(v)) {
        mill_faults_add(rd->faults, at, "is neither an address nor an object with email");
    } else {
        mill_faults_why(rd->faults, at, mill_address_split(mill_json_text(v), rd->arena, to));
    }
}

/** Any array: size bytes for each element, read by `read`. */
static void read_array(struct reader *rd, const struct mill_step *at, const json_t *v,
                       read_fn *read, size_t size, struct mill_list *out)
{
    struct mill_step item = *at;
    size_t n = json_array_size(v);
    char *items;

    if (!json_is_array(v)) {
        mill_faults_add(rd->faults, at, "is no array");
        return;
    }
    items = read_alloc(rd, n, size);
    if (!items)
        return;
    item.indexed = true;
    for (size_t i = 0; i < n; i++) {
        item.index = i;
        read(rd, &item, json_array_get(v, i), items + i * size);
    }
    *out = (struct mill_list){items, n};
}

static void read_addresses(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_addresses *out = to;
    struct mill_list list = {0};
    struct mill_step item = *at;
    struct mill_address *one;

    if (json_is_string(v) || json_is_object(v)) {
        one = read_alloc(rd, 1, sizeof *one);
        if (!one)
            return;
        item.indexed = true; /* written as one, it is still the first of a list */
        read_address(rd, &item, v, one);
        *out = (struct mill_addresses){one, 1};
        return;
    }
    read_array(rd, at, v, read_address, sizeof(struct mill_address), &list);
    *out = (struct mill_addresses){list.v, list.n};
}

static void read_strings(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_strs *out = to;
    struct mill_list list = {0};

    read_array(rd, at, v, read_text, sizeof(struct mill_str), &list);
    *out = (struct mill_strs){list.v, list.n};
}

static void read_map(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_map *out = to;
    struct mill_pair *pairs;
    const char *key;
    json_t *member;
    size_t n = 0;

    if (!json_is_object(v)) {
        mill_faults_add(rd->faults, at, "is no JSON object");
        return;
    }
    pairs = read_alloc(rd, json_object_size(v), sizeof *pairs);
    if (!pairs)
        return;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        struct mill_pair *p = &pairs[n++];
        p->key = mill_str(key);
        p->value = MILL_STR("");
        read_text(rd, MILL_AT_KEY(at, p->key), member, &p->value);
    }
    *out = (struct mill_map){pairs, n};
}

/** An object that is carried as text: sorted, so that its fingerprint does not depend on order. */
static void read_json(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_str *out = to;
    char *text;

    if (!json_is_object(v)) {
        mill_faults_add(rd->faults, at, "is no JSON object");
        return;
    }
    text = mill_json_canonical(v);
    *out = mill_arena_dup(rd->arena, mill_str(text));
    rd->faults->nomem = rd->faults->nomem || !out->p;
    free(text);
}

static void read_base64(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    struct mill_str *out = to, text = mill_json_text(v);
    struct mill_buf bytes;

    *out = MILL_STR("");
    if (!text.p) {
        mill_faults_add(rd->faults, at, "is no string of base64");
        return;
    }
    mill_buf_init(&bytes, text.n + 4);
    if (!mill_buf_reserve(&bytes, text.n))
        rd->faults->nomem = true;
    else if (!mill_base64_decode(&bytes, text))
        mill_faults_add(rd->faults, at, "is no base64");
    else if (bytes.n)
        *out = mill_arena_dup(rd->arena, mill_buf_view(&bytes));
    rd->faults->nomem = rd->faults->nomem || !out->p;
    mill_buf_release(&bytes);
}

static void read_time(struct reader *rd, const struct mill_step *at, const json_t *v, void *to)
{
    static const int64_t year_10000 = INT64_C(253402300800); /* seconds */
    struct mill_opt_i64 *out = to;
    int64_t seconds = json_integer_value(v);

    out->has = true;
    if (json_is_integer(v) && seconds >= 0 && seconds < year_10000)
        out->v = seconds * 1000000;
    else if (!json_is_string(v) || !mill_time_parse(mill_json_text(v), &out->v)) {
        out->has = false;
        mill_faults_add(rd->faults, at, "is neither an RFC 3339 time nor seconds since 1970");
    }
}

static void read_on_unknown(struct reader *rd, const struct mill_step *at, const json_t *v,
                            void *to)
{
    struct mill_str text = mill_json_text(v);
    int *out = to;

    if (text.p && mill_str_ieq(text, MILL_STR("resend")))
        *out = MILL_UNKNOWN_RESEND;
    else if (text.p && mill_str_ieq(text, MILL_STR("hold")))
        *out = MILL_UNKNOWN_HOLD;
    else
        mill_faults_add(rd->faults, at, "is neither \"hold\" nor \"resend\"");
}

static const struct read_row attachment_rows[] = {
    {"filename", read_text, offsetof(struct mill_attachment, filename)},
    {"type", read_text, offsetof(struct mill_attachment, type)},
    {"disposition", read_text, offsetof(struct mill_attachment, disposition)},
    {"content_id", read_text, offsetof(struct mill_attachment, content_id)},
    {"content", read_base64, offsetof(struct mill_attachment, content)},
    {0},
};

static void read_attachment(struct reader *rd, const struct mill_step *at, const json_t *v,
                            void *to)
{
    struct mill_attachment *a = to;

    a->type = MILL_STR("application/octet-stream");
    a->disposition = MILL_STR("attachment");
    read_object(rd, at, v, attachment_rows, a);
}

static void read_attachments(struct reader *rd, const struct mill_step *at, const json_t *v,
                             void *to)
{
    struct mill_attachments *out = to;
    struct mill_list list = {0};

    read_array(rd, at, v, read_attachment, sizeof(struct mill_attachment), &list);
    *out = (struct mill_attachments){list.v, list.n};
}

static const struct read_row personalization_rows[] = {
    {"to", read_addresses, offsetof(struct mill_personalization, to)},
    {"cc", read_addresses, offsetof(struct mill_personalization, cc)},
    {"bcc", read_addresses, offsetof(struct mill_personalization, bcc)},
    {"subject", read_text, offsetof(struct mill_personalization, subject)},
    {"headers", read_map, offsetof(struct mill_personalization, headers)},
    {"data", read_json, offsetof(struct mill_personalization, data)},
    {"metadata", read_map, offsetof(struct mill_personalization, metadata)},
    {"send_at", read_time, offsetof(struct mill_personalization, send_at)},
    {0},
};

static void read_personalization(struct reader *rd, const struct mill_step *at, const json_t *v,
                                 void *to)
{
    read_object(rd, at, v, personalization_rows, to);
}

static void read_personalizations(struct reader *rd, const struct mill_step *at, const json_t *v,
                                  void *to)
{
    struct mill_personalizations *out = to;
    struct mill_list list = {0};

    read_array(rd, at, v, read_personalization, sizeof(struct mill_personalization), &list);
    *out = (struct mill_personalizations){list.v, list.n};
}

#define ROOT(field, fn)                                                                            \
    {                                                                                              \
#field, fn, offsetof(struct read_root, r.field)                                            \
    }
#define ONLY(field, fn)                                                                            \
    {                                                                                              \
#field, fn, offsetof(struct read_root, p.field)                                            \
    }

static const struct read_row root_rows[] = {
    ROOT(from, read_address),
    ONLY(to, read_addresses),
    ONLY(cc, read_addresses),
    ONLY(bcc, read_addresses),
    ROOT(reply_to, read_addresses),
    ROOT(subject, read_text),
    ROOT(text, read_text),
    ROOT(html, read_text),
    ROOT(template_id, read_text),
    ROOT(template_data, read_json),
    ROOT(categories, read_strings),
    ROOT(headers, read_map),
    ROOT(metadata, read_map),
    ROOT(attachments, read_attachments),
    ROOT(personalizations, read_personalizations),
    ROOT(send_at, read_time),
    ROOT(expires_at, read_time),
    ROOT(on_unknown, read_on_unknown),
    {0},
};

/** There, and not null. */
static bool read_given(const json_t *json, const char *name)
{
    const json_t *v = json_object_get(json, name);

    return v && !json_is_null(v);
}

/** Which form it is: recipients stand in one place only. */
static void read_form(struct reader *rd, const json_t *json, struct read_root *root)
{
    static const char *const lists[] = {"to", "cc", "bcc"};
    struct mill_personalization *only;

    if (!read_given(json, "personalizations")) {
        only = read_alloc(rd, 1, sizeof *only);
        if (!only)
            return;
        *only = root->p;
        root->r.personalizations = (struct mill_personalizations){only, 1};
        return;
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct mill_step at = {.name = mill_str(lists[i])};
        if (read_given(json, lists[i]))
            mill_faults_add(rd->faults, &at, "stands beside personalizations: put it into them");
    }
}

enum mill_code mill_request_read(const json_t *json, const struct mill_rules *rules,
                                 struct mill_arena *arena, struct mill_request *out,
                                 struct mill_faults *faults, struct mill_err *err)
{
    struct reader rd = {.arena = arena, .faults = faults};
    struct read_root root;
    enum mill_code rc;

    memset(&root, 0, sizeof root);
    mill_faults_init(faults, json);
    read_object(&rd, NULL, json, root_rows, &root);
    if (json_is_object(json)) {
        read_form(&rd, json, &root);
        if (!faults->nomem)
            mill_request_check(&root.r, rules, faults);
    }
    rc = mill_faults_err(faults, err);
    if (!rc)
        *out = root.r;
    return rc;
}
