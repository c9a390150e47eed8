/* The wheel's libparquet carries and exports an OpenSSL of its own. Nothing of the program, libcurl
 * or libssl may bind into it: this runs itself with the loader's debug output and reads that; once
 * with all functions bound at the start, and once, as programs run, each at its first call, which
 * is behind the load of the wheel. And no look-up to come may find the wheel: it is in no scope but
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "lake/parquet.h"
#include <curl/curl.h>
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/** The wheel is not where names are looked up for the program and its libraries. (The first is
 *  there: the look-up itself works.) */
static bool out_of_scope(void)
{
    static const char *const names[] = {"mill_pq_open", "mill_pq_version"};

    if (!dlsym(RTLD_DEFAULT, "SSL_CTX_new"))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dlsym(RTLD_DEFAULT, names[i])) {
            fprintf(stderr, "%s is in the program's scope\n", names[i]);
            return false;
        }
    return true;
}

/** TLS as far as it goes without a peer: hello, and with it keys and hashes. */
static bool hello(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    bool ok = ssl && in && out;

    if (!ok)
        return false;
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    ok = SSL_do_handshake(ssl) < 0 && BIO_ctrl_pending(out) > 100;
    SSL_free(ssl);
    return ok;
}

/** What the sink does: the shim is loaded, TLS is set up after it. */
static int child(void)
{
    unsigned char digest[MILL_SHA256_BYTES];
    const struct mill_parquet *lib = NULL;
    struct mill_err err = {0};
    SSL_CTX *ssl;
    CURL *curl;

    if (mill_parquet_load(NULL, &lib, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    ssl = SSL_CTX_new(TLS_client_method());
    curl = curl_easy_init();
    if (!ssl || !curl || !lib->version()[0] || !out_of_scope() || !hello(ssl) ||
        !mill_sha256(MILL_STR("x"), digest))
        return 1;
    curl_easy_setopt(curl, CURLOPT_URL, "https://127.0.0.1:1/");
    (void)curl_easy_perform(curl); /* refused; but TLS's functions are bound by now */
    curl_easy_cleanup(curl);
    SSL_CTX_free(ssl);
    return 0;
}

static bool is_wheel(const char *path)
{
    return strstr(path, "libparquet.so") || strstr(path, "libarrow.so") ||
           strstr(path, "libmill_parquet.so");
}

/** @return bindings read; *bad: those that must not be */
static long read_bindings(FILE *f, long *into, long *bad)
{
    char line[4096], from[1024], to[1024];
    long n = 0;

    while (fgets(line, sizeof line, f)) {
        const char *p = strstr(line, "binding file ");
        if (!p || sscanf(p, "binding file %1023s [%*d] to %1023s", from, to) != 2)
            continue;
        n++;
        *into += is_wheel(to);
        if (is_wheel(to) && !is_wheel(from)) {
            print_error("%s", line);
            (*bad)++;
        }
    }
    return n;
}

/** @param now bind all at the start. @param all,into,bad out: bindings read, into the wheel, of
 *  others into it */
static void run_child(bool now, long *all, long *into, long *bad)
{
    char self[4096], dir[] = "/var/tmp/bindings.XXXXXX", out[64], file[96];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int status;
    pid_t pid;
    FILE *f;

    assert_true(n > 0);
    self[n] = '\0';
    assert_non_null(mkdtemp(dir));
    snprintf(out, sizeof out, "%s/ld", dir);
    pid = fork();
    if (pid == 0) {
        if (now)
            setenv("LD_BIND_NOW", "1", 1);
        else
            unsetenv("LD_BIND_NOW");
        setenv("LD_DEBUG", "bindings", 1);
        setenv("LD_DEBUG_OUTPUT", out, 1);
        execl(self, self, "child", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(file, sizeof file, "%s.%d", out, (int)pid);
    f = fopen(file, "r");
    assert_non_null(f);
    *all = read_bindings(f, into, bad);
    fclose(f);
    unlink(file);
    rmdir(dir);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_bindings(void **state)
{
    (void)state;
    for (int now = 0; now < 2; now++) {
        long into = 0, bad = 0, all = 0;

        run_child(now, &all, &into, &bad);
        assert_true(all > 1000 && into > 1000); /* the output was really read */
        assert_int_equal(bad, 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bindings)};

    if (argc > 1 && !strcmp(argv[1], "child"))
        return child();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
