/* A fake S3 and a client of it, as a cmocka state. */
#ifndef FAKE_S3_WORLD_H
#define FAKE_S3_WORLD_H

#include "fake_s3.h"
#include "net/s3.h"

struct world {
    struct fake_s3 *fake;
    struct mill_s3 *s3;
};

static inline int world_new(void **state, uint32_t timeout_ms)
{
    struct world *w = calloc(1, sizeof *w);
    struct mill_s3_conf conf = {.region = "eu-west-1", .bucket = "b", .timeout_ms = timeout_ms};
    char endpoint[64];
    struct mill_err err;

    if (!w)
        return -1;
    unsetenv("http_proxy");
    setenv("AWS_ACCESS_KEY_ID", FAKE_S3_KEY, 1);
    setenv("AWS_SECRET_ACCESS_KEY", FAKE_S3_SECRET, 1);
    unsetenv("AWS_SESSION_TOKEN");
    w->fake = fake_s3_start();
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", mill_server_port(w->fake->server));
    conf.endpoint = endpoint;
    *state = w;
    return mill_s3_new(&w->s3, &conf, &err) == MILL_OK ? 0 : -1;
}

/* For servers that hang only: what has to be answered must not be in a hurry. */
static inline int setup_hurried(void **state)
{
    return world_new(state, 400);
}

static inline int setup(void **state)
{
    return world_new(state, 20000);
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    mill_s3_free(w->s3);
    fake_s3_stop(w->fake);
    free(w);
    return 0;
}

#endif
