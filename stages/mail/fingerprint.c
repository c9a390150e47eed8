#include "mail/ids.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* The canonical form is a sequence of fields in fixed order, each text preceded by its length and
 * each list by its count. Small fields are gathered, because a call into the digest costs more than
 * hashing them. */
enum { GATHER_BYTES = 2048, SORT_MAX_ON_STACK = 32 };

struct fp {
    EVP_MD_CTX *md;
    unsigned char buf[GATHER_BYTES];
    size_t n;
    bool failed;
};

/* Looked up once: a fetch for every request would cost as much as the hash. */
static EVP_MD *fp_sha256;
static pthread_once_t fp_once = PTHREAD_ONCE_INIT;

static void fp_fetch(void)
{
    fp_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static void fp_flush(struct fp *f)
{
    if (f->n && EVP_DigestUpdate(f->md, f->buf, f->n) != 1)
        f->failed = true;
    f->n = 0;
}

static void fp_bytes(struct fp *f, const void *p, size_t n)
{
    if (f->n + n > sizeof f->buf)
        fp_flush(f);
    if (n > sizeof f->buf) {
        f->failed |= EVP_DigestUpdate(f->md, p, n) != 1;
        return;
    }
    if (n)
        memcpy(f->buf + f->n, p, n);
    f->n += n;
}

/** One byte where it fits, as it mostly does; else 255 and eight bytes, highest first. */
static void fp_number(struct fp *f, uint64_t v)
{
    unsigned char be[9] = {255};

    if (v < 255) {
        if (f->n == sizeof f->buf)
            fp_flush(f);
        f->buf[f->n++] = (unsigned char)v;
        return;
    }
    for (size_t i = 0; i < 8; i++)
        be[i + 1] = (unsigned char)(v >> (56 - 8 * i));
    fp_bytes(f, be, sizeof be);
}

static void fp_text(struct fp *f, struct mill_str s)
{
    fp_number(f, s.n);
    fp_bytes(f, s.p, s.n);
}

static void fp_time(struct fp *f, struct mill_opt_i64 t)
{
    fp_number(f, t.has);
    fp_number(f, t.has ? (uint64_t)t.v : 0);
}

static void fp_address(struct fp *f, struct mill_address a)
{
    fp_text(f, a.email);
    fp_text(f, a.name);
}

static void fp_addresses(struct fp *f, struct mill_addresses list)
{
    fp_number(f, list.n);
    for (size_t i = 0; i < list.n; i++)
        fp_address(f, list.v[i]);
}

static int fp_compare(const void *a, const void *b)
{
    const struct mill_pair *x = *(const struct mill_pair *const *)a;
    const struct mill_pair *y = *(const struct mill_pair *const *)b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int c = n ? memcmp(x->key.p, y->key.p, n) : 0;

    return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static void fp_map(struct fp *f, struct mill_map m)
{
    const struct mill_pair *on_stack[SORT_MAX_ON_STACK];
    const struct mill_pair **sorted = on_stack;

    fp_number(f, m.n);
    if (m.n > SORT_MAX_ON_STACK)
        sorted = malloc(m.n * sizeof(const struct mill_pair *));
    if (!sorted) {
        f->failed = true;
        return;
    }
    for (size_t i = 0; i < m.n; i++)
        sorted[i] = &m.v[i];
    if (m.n > 1)
        qsort(sorted, m.n, sizeof(const struct mill_pair *), fp_compare);
    for (size_t i = 0; i < m.n; i++) {
        fp_text(f, sorted[i]->key);
        fp_text(f, sorted[i]->value);
    }
    if (sorted != on_stack)
        free(sorted);
}

/** By digest, so that it is the same whether the bytes are here or in the store. */
static void fp_attachment(struct fp *f, const struct mill_attachment *a)
{
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[MILL_FINGERPRINT_SIZE];

    fp_text(f, a->filename);
    fp_text(f, a->type);
    fp_text(f, a->disposition);
    fp_text(f, a->content_id);
    if (a->ref) {
        fp_text(f, a->ref->sha256);
        return;
    }
    if (!mill_sha256(a->content, digest)) {
        f->failed = true;
        return;
    }
    fp_text(f, mill_str(mill_hex(digest, sizeof digest, hex)));
}

static void fp_personalization(struct fp *f, const struct mill_personalization *p)
{
    fp_addresses(f, p->to);
    fp_addresses(f, p->cc);
    fp_addresses(f, p->bcc);
    fp_text(f, p->subject);
    fp_map(f, p->headers);
    fp_text(f, p->data);
    fp_map(f, p->metadata);
    fp_time(f, p->send_at);
}

static void fp_request(struct fp *f, const struct mill_request *r)
{
    fp_text(f, MILL_STR("sendmill request 1"));
    fp_text(f, r->tenant);
    fp_address(f, r->from);
    fp_addresses(f, r->reply_to);
    fp_text(f, r->subject);
    fp_text(f, r->text);
    fp_text(f, r->html);
    fp_text(f, r->template_id);
    fp_text(f, r->template_data);
    fp_number(f, r->categories.n);
    for (size_t i = 0; i < r->categories.n; i++)
        fp_text(f, r->categories.v[i]);
    fp_map(f, r->headers);
    fp_map(f, r->metadata);
    fp_number(f, r->attachments.n);
    for (size_t i = 0; i < r->attachments.n; i++)
        fp_attachment(f, &r->attachments.v[i]);
    fp_number(f, r->personalizations.n);
    for (size_t i = 0; i < r->personalizations.n; i++)
        fp_personalization(f, &r->personalizations.v[i]);
    fp_time(f, r->send_at);
    fp_time(f, r->expires_at);
    fp_number(f, (uint64_t)r->on_unknown);
}

bool mill_request_fingerprint(const struct mill_request *r, char *out)
{
    struct fp f;
    unsigned char digest[MILL_SHA256_BYTES];
    bool ok;

    pthread_once(&fp_once, fp_fetch);
    f.n = 0;
    f.md = EVP_MD_CTX_new();
    f.failed = !f.md || !fp_sha256 || EVP_DigestInit_ex2(f.md, fp_sha256, NULL) != 1;
    if (!f.failed) {
        fp_request(&f, r);
        fp_flush(&f);
    }
    ok = !f.failed && EVP_DigestFinal_ex(f.md, digest, NULL) == 1;
    EVP_MD_CTX_free(f.md);
    if (ok)
        mill_hex(digest, sizeof digest, out);
    return ok;
}
