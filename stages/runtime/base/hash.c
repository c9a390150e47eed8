#include "base/hash.h"
#include "base/clock.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum { SHA1_BYTES = 20, UUID_BYTES = 16 };

/* Namespace of every version 5 UUID that Sendmill makes; it must never change. */
static const unsigned char uuid_namespace[UUID_BYTES] = {
    0x92, 0xb1, 0x35, 0xce, 0x11, 0x67, 0x43, 0xb6, 0xba, 0x7b, 0x76, 0x39, 0xc0, 0x32, 0xff, 0x51,
};

bool mill_sha256(struct mill_str in, unsigned char out[MILL_SHA256_BYTES])
{
    return EVP_Digest(in.p ? in.p : "", in.n, out, NULL, EVP_sha256(), NULL) == 1;
}

bool mill_sha256_parts(const struct mill_str *parts, size_t n, unsigned char out[MILL_SHA256_BYTES])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; i < n && ok; i++) {
        /* Absent and empty are different parts, hence + 1. */
        uint64_t len = parts[i].p ? (uint64_t)parts[i].n + 1 : 0;
        unsigned char be[8];
        for (size_t b = 0; b < sizeof be; b++)
            be[b] = (unsigned char)(len >> (56 - 8 * b));
        ok = EVP_DigestUpdate(md, be, sizeof be) == 1 &&
             (parts[i].n == 0 || EVP_DigestUpdate(md, parts[i].p, parts[i].n) == 1);
    }
    ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

bool mill_hmac_sha256(struct mill_str key, struct mill_str in, unsigned char out[MILL_SHA256_BYTES])
{
    unsigned int n = 0;

    if (key.n > INT32_MAX)
        return false;
    return HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n,
                (const unsigned char *)(in.p ? in.p : ""), in.n, out, &n) &&
           n == MILL_SHA256_BYTES;
}

bool mill_random(void *out, size_t n)
{
    return n <= INT32_MAX && RAND_bytes(out, (int)n) == 1;
}

bool mill_equal_secret(struct mill_str a, struct mill_str b)
{
    if (!a.p || !b.p || a.n != b.n)
        return false;
    return CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

char *mill_hex(const void *in, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = in;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool mill_base64_add(struct mill_buf *out, struct mill_str in)
{
    const unsigned char *p = (const unsigned char *)in.p;
    size_t left = in.n, n = in.n > SIZE_MAX / 2 ? SIZE_MAX : (in.n + 2) / 3 * 4;
    char *to = mill_buf_reserve(out, n);

    if (!to)
        return false;
    while (left > 0) {
        size_t take = left < 3 ? left : 3;
        unsigned v = (unsigned)p[0] << 16;
        v |= take > 1 ? (unsigned)p[1] << 8 : 0;
        v |= take > 2 ? (unsigned)p[2] : 0;
        to[0] = base64_alphabet[v >> 18];
        to[1] = base64_alphabet[v >> 12 & 63];
        to[2] = take > 1 ? base64_alphabet[v >> 6 & 63] : '=';
        to[3] = take > 2 ? base64_alphabet[v & 63] : '=';
        to += 4;
        p += take;
        left -= take;
    }
    *to = '\0';
    out->n += n;
    return true;
}

/* Value of one character, or -1; range tests, so that no table must be built. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool mill_base64_decode(struct mill_buf *out, struct mill_str in)
{
    size_t pad = 0, n;
    char *to;

    if (in.n % 4)
        return false;
    if (in.n)
        pad = in.p[in.n - 1] != '=' ? 0 : in.p[in.n - 2] != '=' ? 1 : 2;
    n = in.n / 4 * 3 - pad;
    to = mill_buf_reserve(out, n);
    if (!to)
        return false;
    for (size_t i = 0; i < in.n; i += 4) {
        size_t keep = i + 4 == in.n ? 3 - pad : 3; /* bytes that this group stands for */
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = k > keep ? 0 : base64_value(in.p[i + k]);
            if (d < 0)
                return false;
            v = v << 6 | (uint32_t)d;
        }
        /* Bits behind the last byte must be zero, or two texts would mean the same bytes. */
        if (keep < 3 && (v & ((UINT32_C(1) << (8 * (3 - keep))) - 1)))
            return false;
        for (size_t k = 0; k < keep; k++)
            *to++ = (char)(v >> (16 - 8 * k) & 255);
    }
    *to = '\0';
    out->n += n;
    return true;
}

static char *uuid_text(unsigned char id[UUID_BYTES], unsigned version, char *out)
{
    char *to = out;

    id[6] = (unsigned char)((id[6] & 0x0F) | version << 4);
    id[8] = (unsigned char)((id[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        mill_hex(id + i, 1, to);
        to += 2;
    }
    return out;
}

bool mill_uuid7(char *out)
{
    uint64_t ms = (uint64_t)(mill_now_us() / 1000);
    unsigned char id[UUID_BYTES];

    if (!mill_random(id, sizeof id))
        return false;
    for (size_t i = 0; i < 6; i++)
        id[i] = (unsigned char)(ms >> (40 - 8 * i));
    uuid_text(id, 7, out);
    return true;
}

bool mill_uuid5(const struct mill_str *parts, size_t n, char *out)
{
    unsigned char digest[SHA1_BYTES];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha1(), NULL) == 1 &&
              EVP_DigestUpdate(md, uuid_namespace, sizeof uuid_namespace) == 1;

    for (size_t i = 0; i < n && ok; i++)
        ok = (i == 0 || EVP_DigestUpdate(md, "", 1) == 1) &&
             (parts[i].n == 0 || EVP_DigestUpdate(md, parts[i].p, parts[i].n) == 1);
    ok = ok && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (ok)
        uuid_text(digest, 5, out);
    return ok;
}
