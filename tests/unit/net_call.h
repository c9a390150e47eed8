/* One call through http_client, and what its end said. */
#ifndef MILL_TEST_NET_CALL_H
#define MILL_TEST_NET_CALL_H

#include "net/http_client.h"
#include "net_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct seen {
    int n;
    enum mill_http_end end;
    long status;
    char body[256];
    char headers[2048]; /* "name=value\n" each */
    char reason[256];
};

static inline void on_done(void *arg, const struct mill_http_reply *r)
{
    struct seen *s = arg;

    s->n++;
    s->end = r->end;
    s->status = r->status;
    mill_str_cut(r->body, s->body, sizeof s->body);
    mill_str_cut(mill_str(r->reason), s->reason, sizeof s->reason);
    s->headers[0] = '\0';
    for (size_t i = 0; i < r->headers.n; i++) {
        size_t at = strlen(s->headers);
        snprintf(s->headers + at, sizeof s->headers - at, "%.*s=%.*s\n",
                 MILL_FMT(r->headers.v[i].key), MILL_FMT(r->headers.v[i].value));
    }
}

static inline struct mill_http *client(void)
{
    struct mill_http *h;
    struct mill_err err;

    unsetenv("http_proxy");
    assert_int_equal(mill_http_new(&h, NULL, &err), MILL_OK);
    return h;
}

static inline void run(struct mill_http *h, struct mill_http_call *call, struct seen *seen)
{
    struct mill_err err;

    memset(seen, 0, sizeof *seen);
    call->done = on_done;
    call->arg = seen;
    assert_int_equal(mill_http_submit(h, call, &err), MILL_OK);
    while (mill_http_poll(h, 1000))
        continue;
    assert_int_equal(seen->n, 1);
}

#endif
