/**
 * @file auth.c
 * @brief The identity provider by a credentials file, with a bounded cache of what was verified.
 */
#include "auth.h"

#include "base/log.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { AUTH_CACHE_N = 1024 };

/* One verified header: its HMAC under a key of this process, never the header. */
struct auth_slot {
    uint64_t generation; /* 0 = empty */
    unsigned char mac[MILL_SHA256_BYTES];
    struct ingest_identity who;
};

struct auth_file {
    const char *path;
    pthread_mutex_t lock; /* over all that follows */
    struct ingest_credentials credentials;
    uint64_t generation; /* of credentials; what an older one verified no longer counts */
    struct stat seen;
    struct auth_slot cache[AUTH_CACHE_N];
    /* read-only after the start */
    char nobody[INGEST_HASH_MAX + 1]; /* hash that no password has: an unknown id takes as long */
    unsigned char mac_key[MILL_SHA256_BYTES];
};

void ingest_auth_split(struct mill_str a, char *room, struct ingest_secret *out)
{
    const char *space = a.n ? memchr(a.p, ' ', a.n) : NULL;
    struct mill_str scheme = {a.p, space ? (size_t)(space - a.p) : 0};
    struct mill_str rest;
    struct mill_buf text;
    const char *colon;

    *out = (struct ingest_secret){0};
    if (!space)
        return;
    rest = (struct mill_str){space + 1, a.n - scheme.n - 1};
    while (rest.n && rest.p[0] == ' ')
        rest = (struct mill_str){rest.p + 1, rest.n - 1};
    if (mill_str_ieq(scheme, MILL_STR("Bearer"))) {
        *out = (struct ingest_secret){.scheme = INGEST_AUTH_BEARER, .secret = rest};
        return;
    }
    if (!mill_str_ieq(scheme, MILL_STR("Basic")))
        return;
    mill_buf_init(&text, INGEST_AUTH_ROOM);
    if (mill_base64_decode(&text, rest) && text.n) {
        memcpy(room, text.p, text.n);
        colon = memchr(room, ':', text.n);
        if (colon) {
            size_t n = (size_t)(colon - room);
            *out = (struct ingest_secret){.scheme = INGEST_AUTH_BASIC,
                                          .id = {room, n},
                                          .secret = {colon + 1, text.n - n - 1}};
        }
        explicit_bzero(text.p, text.n);
    }
    mill_buf_release(&text);
}

static void auth_identity(const struct ingest_credential *c, struct ingest_identity *who)
{
    memcpy(who->client, c->id, sizeof who->client);
    memcpy(who->tenant, c->tenant, sizeof who->tenant);
    who->scopes = c->scopes;
}

static struct auth_slot *auth_slot(struct auth_file *f, const unsigned char *mac)
{
    return &f->cache[((size_t)mac[0] << 8 | mac[1]) % AUTH_CACHE_N];
}

static bool auth_cached(struct auth_file *f, const unsigned char *mac, struct ingest_identity *who)
{
    bool hit;

    pthread_mutex_lock(&f->lock);
    const struct auth_slot *slot = auth_slot(f, mac);
    hit = slot->generation == f->generation && !memcmp(slot->mac, mac, MILL_SHA256_BYTES);
    if (hit)
        *who = slot->who;
    pthread_mutex_unlock(&f->lock);
    return hit;
}

static enum ingest_auth_result auth_bearer(struct auth_file *f, struct mill_str key,
                                           struct ingest_identity *who)
{
    const struct ingest_credential *c;

    pthread_mutex_lock(&f->lock);
    c = ingest_credentials_key(&f->credentials, key);
    if (c)
        auth_identity(c, who);
    pthread_mutex_unlock(&f->lock);
    return c ? INGEST_AUTH_OK : INGEST_AUTH_REFUSED;
}

/* Verifies outside the lock, on a copy: a password hash takes milliseconds. */
static enum ingest_auth_result auth_basic(struct auth_file *f, const struct ingest_secret *s,
                                          const unsigned char *mac, struct ingest_identity *who)
{
    const struct ingest_credential *c;
    struct ingest_credential one = {0};
    uint64_t generation;
    bool known;

    pthread_mutex_lock(&f->lock);
    c = ingest_credentials_id(&f->credentials, s->id);
    known = c != NULL;
    if (c)
        one = *c;
    generation = f->generation;
    pthread_mutex_unlock(&f->lock);

    /* The check comes first: an unknown id must take its time too. */
    if (!ingest_password_check(s->secret, known ? one.hash : f->nobody) || !known)
        return INGEST_AUTH_REFUSED;
    auth_identity(&one, who);
    pthread_mutex_lock(&f->lock);
    struct auth_slot *slot = auth_slot(f, mac);
    slot->generation = generation;
    slot->who = *who;
    memcpy(slot->mac, mac, MILL_SHA256_BYTES);
    pthread_mutex_unlock(&f->lock);
    return INGEST_AUTH_OK;
}

static enum ingest_auth_result auth_check(void *self, struct mill_str authorization, bool may_wait,
                                          struct ingest_identity *who)
{
    struct auth_file *f = self;
    unsigned char mac[MILL_SHA256_BYTES];
    char room[INGEST_AUTH_ROOM];
    struct ingest_secret secret;
    enum ingest_auth_result rc = INGEST_AUTH_REFUSED;

    ingest_auth_split(authorization, room, &secret);
    if (secret.scheme == INGEST_AUTH_BEARER)
        return auth_bearer(f, secret.secret, who);
    if (secret.scheme == INGEST_AUTH_BASIC &&
        mill_hmac_sha256((struct mill_str){(const char *)f->mac_key, sizeof f->mac_key},
                         authorization, mac)) {
        if (auth_cached(f, mac, who))
            rc = INGEST_AUTH_OK;
        else
            rc = may_wait ? auth_basic(f, &secret, mac, who) : INGEST_AUTH_LATER;
    }
    explicit_bzero(room, sizeof room);
    return rc;
}

static bool auth_changed(const struct stat *a, const struct stat *b)
{
    return a->st_ino != b->st_ino || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

static void auth_reload(void *self, bool in_any_case)
{
    struct auth_file *f = self;
    struct ingest_credentials fresh = {0}, old;
    struct mill_err err = {0};
    struct stat now = {0};

    if (!in_any_case && (stat(f->path, &now) || !auth_changed(&now, &f->seen)))
        return;
    if (in_any_case && stat(f->path, &now))
        now = f->seen;
    f->seen = now; /* only the caller of reload looks at it */
    if (ingest_credentials_load(&fresh, f->path, &err)) {
        mill_log_err(MILL_ERROR, "credentials_wrong", &err);
        return;
    }
    pthread_mutex_lock(&f->lock);
    old = f->credentials;
    f->credentials = fresh;
    f->generation++;
    pthread_mutex_unlock(&f->lock);
    mill_log(MILL_INFO, "credentials_loaded", MILL_KV(MILL_KI("n", fresh.n)), "credentials read");
    ingest_credentials_release(&old);
}

static void auth_free(void *self)
{
    struct auth_file *f = self;

    if (!f)
        return;
    ingest_credentials_release(&f->credentials);
    pthread_mutex_destroy(&f->lock);
    explicit_bzero(f->mac_key, sizeof f->mac_key);
    free(f);
}

enum mill_code ingest_auth_file(struct ingest_auth *out, const char *path, struct mill_err *err)
{
    struct auth_file *f = calloc(1, sizeof *f);
    unsigned char noise[32];
    char text[2 * sizeof noise + 1];
    enum mill_code rc;

    *out = (struct ingest_auth){0};
    if (!f)
        return mill_fail(err, MILL_E_NOMEM, "credentials", "out of memory");
    f->path = path;
    f->generation = 1;
    pthread_mutex_init(&f->lock, NULL);
    if (!mill_random(f->mac_key, sizeof f->mac_key) || !mill_random(noise, sizeof noise)) {
        rc = mill_fail(err, MILL_E_STATE, "credentials", "no random bytes");
        goto out;
    }
    rc = ingest_password_hash(mill_str(mill_hex(noise, sizeof noise, text)), f->nobody, err);
    if (rc)
        goto out;
    /* Before the file is read, so that a change in between is seen as one. */
    if (stat(path, &f->seen))
        f->seen = (struct stat){0};
    rc = ingest_credentials_load(&f->credentials, path, err);
    if (rc)
        goto out;
    *out = (struct ingest_auth){
        .challenge = "Bearer realm=\"sendmill\", Basic realm=\"sendmill\", charset=\"UTF-8\"",
        .check = auth_check,
        .reload = auth_reload,
        .free = auth_free,
        .self = f,
    };
    f = NULL;
out:
    auth_free(f);
    return rc;
}
