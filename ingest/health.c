/**
 * @file health.c
 * @brief GET /healthz, /readyz, /metrics, /openapi.json.
 */
#include "app.h"

enum { HEALTH_BYTES = 1 << 18 };

extern const char ingest_openapi[];

void ingest_healthz_get(void *arg, struct mill_exchange *x)
{
    struct mill_buf body;

    mill_buf_init(&body, HEALTH_BYTES);
    mill_buf_puts(&body, "{\"status\":\"alive\"}");
    ingest_reply(arg, x, 200, (struct mill_map){0}, &body);
    mill_buf_release(&body);
}

const char *ingest_why(const struct ingest *app)
{
    const char *why =
        atomic_load(&app->draining) ? "going down" : ingest_publisher_why(app->publisher);

    return why ? why : ingest_keys_why(app->keys);
}

void ingest_readyz_get(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    const char *why = ingest_why(app);
    struct mill_buf body;

    mill_buf_init(&body, HEALTH_BYTES);
    if (why)
        mill_buf_printf(&body, "{\"status\":\"unready\",\"why\":\"%s\"}", why);
    else
        mill_buf_puts(&body, "{\"status\":\"ready\"}");
    ingest_reply(app, x, why ? 503 : 200, (struct mill_map){0}, &body);
    mill_buf_release(&body);
}

void ingest_metrics_get(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("text/plain; version=0.0.4")};
    struct mill_buf body;

    mill_buf_init(&body, HEALTH_BYTES);
    (void)mill_metrics_text(app->metrics, &body);
    mill_exchange_answer(x, 200, (struct mill_map){&type, 1}, mill_buf_view(&body));
    mill_buf_release(&body);
}

void ingest_openapi_get(void *arg, struct mill_exchange *x)
{
    struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};

    (void)arg;
    mill_exchange_answer(x, 200, (struct mill_map){&type, 1}, mill_str(ingest_openapi));
}
