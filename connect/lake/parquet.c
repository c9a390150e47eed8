#include "lake/parquet.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

enum { PARQUET_PATH_MAX = 4096 };

static struct mill_parquet parquet_lib;

/** ../lib/sendmill/libmill_parquet.so of the running program. */
static bool parquet_beside(char *out, size_t size)
{
    static const char rest[] = "/lib/sendmill/libmill_parquet.so";
    ssize_t n = readlink("/proc/self/exe", out, size - 1);

    if (n < 0)
        return false;
    for (int up = 0; up < 2; up++) { /* the program's name, then its folder's */
        while (n > 0 && out[n - 1] != '/')
            n--;
        if (n == 0)
            return false;
        n--;
    }
    if ((size_t)n + sizeof rest > size)
        return false;
    memcpy(out + n, rest, sizeof rest);
    return true;
}

/** A function out of the library; POSIX wants the detour by way of void **. */
static bool parquet_sym(void *lib, const char *name, void *fn, size_t size)
{
    void *p = dlsym(lib, name);

    if (!p || size != sizeof p)
        return false;
    memcpy(fn, &p, sizeof p);
    return true;
}

#define PARQUET_SYM(lib, fn)                                                                       \
    parquet_sym(lib, "mill_pq_" #fn, &parquet_lib.fn, sizeof parquet_lib.fn)

enum mill_code mill_parquet_load(const char *path, const struct mill_parquet **out,
                                 struct mill_err *err)
{
    char beside[PARQUET_PATH_MAX];
    void *lib;

    *out = &parquet_lib;
    if (parquet_lib.version)
        return MILL_OK;
    if (!path || !*path) {
        if (!parquet_beside(beside, sizeof beside))
            return mill_fail(err, MILL_E_CONFIG, "parquet-lib", "own path is not known");
        path = beside;
    }
    /* LOCAL: the wheel's libparquet exports OpenSSL's symbols, which must not be found by libcurl.
     * NOW: a missing symbol shows here, not in the middle of a file. */
    lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return mill_fail(err, MILL_E_CONFIG, "parquet-lib", "%s", dlerror());
    if (!PARQUET_SYM(lib, open) || !PARQUET_SYM(lib, write) || !PARQUET_SYM(lib, held) ||
        !PARQUET_SYM(lib, finish) || !PARQUET_SYM(lib, abort) || !PARQUET_SYM(lib, footer) ||
        !PARQUET_SYM(lib, widen) || !PARQUET_SYM(lib, wide_free) || !PARQUET_SYM(lib, open_wide) ||
        !PARQUET_SYM(lib, append) || !PARQUET_SYM(lib, version)) {
        memset(&parquet_lib, 0, sizeof parquet_lib);
        return mill_fail(err, MILL_E_CONFIG, "parquet-lib", "%s is not our shim", path);
    }
    return MILL_OK;
}
