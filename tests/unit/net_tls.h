/* TLS for peers of tests: a certificate of 127.0.0.1, made at run time, and its file for clients.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct net_tls {
    SSL_CTX *ctx;
    char ca[128]; /* file */
};

static inline X509 *net_tls_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_NAME *name = X509_get_subject_name(cert);

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_version(cert, 2);
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    X509_set_pubkey(cert, key);
    return X509_sign(cert, key, EVP_sha256()) ? cert : NULL;
}

/* @return 0, or -1 */
static inline int net_tls_start(struct net_tls *t)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = net_tls_cert(key);
    int fd;
    FILE *f;

    signal(SIGPIPE, SIG_IGN);
    unsetenv("https_proxy");
    snprintf(t->ca, sizeof t->ca, "%s/mill-ca-XXXXXX", P_tmpdir);
    fd = mkstemp(t->ca);
    f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!cert || !f || !PEM_write_X509(f, cert))
        return -1;
    fclose(f);
    t->ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(t->ctx, cert);
    SSL_CTX_use_PrivateKey(t->ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static inline int net_tls_stop(struct net_tls *t)
{
    SSL_CTX_free(t->ctx);
    return unlink(t->ca);
}

#endif
