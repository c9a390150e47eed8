/** @file table.c  @brief The providers of list.h as tables, and what all of them use. */
#include "send/provider.h"
#include <stdio.h>

const struct mill_provider *const mill_providers[] = {
#define MILL_PROVIDER(id) &mill_provider_##id,
#include "send/providers/list.h"
#undef MILL_PROVIDER
    NULL,
};

const char *const mill_provider_names[] = {
#define MILL_PROVIDER(id) #id,
#include "send/providers/list.h"
#undef MILL_PROVIDER
    NULL,
};

const struct mill_provider *mill_provider_find(struct mill_str name)
{
    for (const struct mill_provider *const *p = mill_providers; *p; p++)
        if (mill_str_is(name, (*p)->name))
            return *p;
    return NULL;
}

enum mill_code mill_account_complete(const struct mill_account *account, const char *provider,
                                     bool secret, struct mill_err *err)
{
    if (!account->url || !account->url[0])
        return mill_fail(err, MILL_E_CONFIG, provider, "its URL is not set");
    if (secret && (!account->secret || !account->secret[0]))
        return mill_fail(err, MILL_E_CONFIG, provider, "its key is not set");
    return MILL_OK;
}

static enum mill_code table_key(struct mill_webhook_keys *out, const struct mill_webhook *w,
                                struct mill_str text, struct mill_err *err)
{
    struct mill_webhook_key *key = &out->v[out->n];
    enum mill_code rc;

    if (out->n == MILL_WEBHOOK_KEYS_MAX)
        return mill_fail(err, MILL_E_CONFIG, w->opts->name, "more than %d keys",
                         MILL_WEBHOOK_KEYS_MAX);
    key->text = text;
    rc = w->key ? w->key(key, err) : MILL_OK;
    if (rc && err)
        snprintf(err->where, sizeof err->where, "%s", w->opts->name);
    out->n += !rc;
    return rc;
}

enum mill_code mill_webhook_keys_read(struct mill_webhook_keys *out, const struct mill_webhook *w,
                                      const struct mill_webhook_conf *conf, struct mill_err *err)
{
    struct mill_str rest = mill_str(conf->keys);
    enum mill_code rc = MILL_OK;

    *out = (struct mill_webhook_keys){.conf = conf};
    while (rest.n && !rc) {
        struct mill_str line = mill_str_take(&rest, '\n');
        while (line.n && !rc) {
            struct mill_str one = mill_str_trim(mill_str_take(&line, ','));
            rc = one.n ? table_key(out, w, one, err) : MILL_OK;
        }
    }
    return rc;
}

void mill_webhook_keys_release(struct mill_webhook_keys *keys)
{
    while (keys->n)
        mill_verify_key_free(keys->v[--keys->n].parsed);
}

struct mill_str mill_answer_text(struct mill_arena *mem, struct mill_str s)
{
    enum { TEXT_MAX = 300 };
    char *out = s.n ? mill_arena_alloc(mem, TEXT_MAX) : NULL;
    size_t n = s.n < TEXT_MAX ? s.n : TEXT_MAX;
    bool utf8 = mill_str_utf8(s);

    if (!out)
        return MILL_STR("no reason given");
    while (utf8 && n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--; /* do not cut a character in two */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[i] = c < 0x20 || c == 0x7F ? ' ' : s.p[i];
        out[i] = c >= 0x80 && !utf8 ? '?' : out[i];
    }
    return (struct mill_str){out, n};
}
