#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum mill_code mill_fail(struct mill_err *err, enum mill_code code, const char *where,
                         const char *fmt, ...)
{
    char text[2 * sizeof err->text];
    va_list ap;

    if (!err)
        return code;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    err->code = code;
    err->cls = NULL;
    mill_str_cut(mill_str(where), err->where, sizeof err->where);
    mill_str_cut(mill_str(text), err->text, sizeof err->text);
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
    return code;
}

const char *mill_errno_text(int errnum, char *buf, size_t size)
{
    if (strerror_r(errnum, buf, size))
        snprintf(buf, size, "error %d", errnum);
    return buf;
}

const char *mill_code_name(enum mill_code code)
{
    static const char *const names[] = {
        [MILL_OK] = "ok",           [MILL_E_NOMEM] = "nomem", [MILL_E_CONFIG] = "config",
        [MILL_E_SCHEMA] = "schema", [MILL_E_DATA] = "data",   [MILL_E_IO] = "io",
        [MILL_E_KAFKA] = "kafka",   [MILL_E_STATE] = "state", [MILL_E_NOENT] = "noent",
        [MILL_E_AUTH] = "auth",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "unknown";
}

int mill_exit_of(enum mill_code code)
{
    switch (code) {
    case MILL_OK:
        return MILL_EXIT_OK;
    case MILL_E_NOMEM:
        return MILL_EXIT_NOMEM;
    case MILL_E_CONFIG:
    case MILL_E_SCHEMA:
    case MILL_E_DATA: /* at start, wrong bytes are a wrong file of the deployment */
        return MILL_EXIT_CONFIG;
    case MILL_E_IO:
        return MILL_EXIT_UNREACHABLE;
    case MILL_E_KAFKA:
        return MILL_EXIT_TEMP;
    case MILL_E_NOENT:
        return MILL_EXIT_NOENT;
    case MILL_E_AUTH:
        return MILL_EXIT_NOPERM;
    case MILL_E_STATE:
        break;
    }
    return MILL_EXIT_BUG;
}
