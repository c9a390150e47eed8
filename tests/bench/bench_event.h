/* The record of the sink's benchmark: a mail event of 12 fields and about 450 bytes, in the shape
 * of schemas/event.avsc, no two alike. */
#ifndef MILL_BENCH_EVENT_H
#define MILL_BENCH_EVENT_H

#include "avro/desc.h"

#include <stdio.h>
#include <string.h>

struct bench_event12 {
    struct mill_str event_id, message_id, request_id, tenant, provider, provider_id, recipient;
    int type;
    int64_t occurred_at;
    struct mill_opt_i64 latency_ms;
    struct mill_str url, user_agent;
};

static const char bench_event_avsc[] =
    "{\"type\":\"record\",\"name\":\"BenchEvent\",\"namespace\":\"sendmill\",\"fields\":["
    "{\"name\":\"event_id\",\"type\":\"string\"},"
    "{\"name\":\"message_id\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"request_id\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"tenant\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"provider\",\"type\":\"string\"},"
    "{\"name\":\"provider_id\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"type\",\"type\":{\"type\":\"enum\",\"name\":\"BenchEventType\","
    "\"default\":\"OTHER\",\"symbols\":[\"OTHER\",\"PROCESSED\",\"DELIVERED\",\"DEFERRED\","
    "\"OPENED\",\"CLICKED\"]}},"
    "{\"name\":\"recipient\",\"type\":\"string\",\"default\":\"\"},"
    "{\"name\":\"occurred_at\",\"type\":{\"type\":\"long\","
    "\"logicalType\":\"timestamp-micros\"}},"
    "{\"name\":\"latency_ms\",\"type\":[\"null\",\"long\"],\"default\":null},"
    "{\"name\":\"url\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"user_agent\",\"type\":[\"null\",\"string\"],\"default\":null}]}";

static const char *const bench_event_types[] = {"OTHER",  "PROCESSED", "DELIVERED", "DEFERRED",
                                                "OPENED", "CLICKED",   NULL};

#define EVENT_ROW(f, k)                                                                            \
    {                                                                                              \
        .name = #f, .kind = (k), .off = offsetof(struct bench_event12, f)                          \
    }
static const struct mill_field bench_event_fields[] = {
    EVENT_ROW(event_id, MILL_STRING),
    EVENT_ROW(message_id, MILL_STRING),
    EVENT_ROW(request_id, MILL_STRING),
    EVENT_ROW(tenant, MILL_STRING),
    EVENT_ROW(provider, MILL_STRING),
    EVENT_ROW(provider_id, MILL_STRING),
    {.name = "type",
     .kind = MILL_ENUM,
     .off = offsetof(struct bench_event12, type),
     .names = bench_event_types},
    EVENT_ROW(recipient, MILL_STRING),
    EVENT_ROW(occurred_at, MILL_I64),
    EVENT_ROW(latency_ms, MILL_OPT_I64),
    EVENT_ROW(url, MILL_STRING),
    EVENT_ROW(user_agent, MILL_STRING),
    {0},
};
static const struct mill_desc bench_event_desc = {
    .name = "BenchEvent",
    .avsc = bench_event_avsc,
    .size = sizeof(struct bench_event12),
    .fields = bench_event_fields,
};

/* One of them, with its texts. */
struct bench_event_row {
    struct bench_event12 event;
    char id[65], message[48], provider_id[72], recipient[64], url[128];
};

/* xorshift64*: the same rows in every run. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* n: its number; now_us and days: occurred_at lies in the days before now. */
static inline void bench_event_make(struct bench_event_row *r, uint64_t n, uint64_t *state,
                                    int64_t now_us, unsigned days)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Mobile/15E148",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    };
    static const char *const tenants[] = {"shop", "bank", "news", "travel"};
    uint64_t a = bench_random(state), b = bench_random(state), c = bench_random(state),
             d = bench_random(state);
    uint64_t span_us = (uint64_t)days * 86400 * 1000000;

    snprintf(r->id, sizeof r->id, "%016llx%016llx%016llx%016llx", (unsigned long long)a,
             (unsigned long long)b, (unsigned long long)c, (unsigned long long)d);
    snprintf(r->message, sizeof r->message, "01930c2f-7a4e-7c11-9b5e-%012llx/0",
             (unsigned long long)(n / 3)); /* a mail has a few events */
    snprintf(r->provider_id, sizeof r->provider_id, "%012llx.dfd.%06x.filter%04u.16648.%08X.0",
             (unsigned long long)(n / 3 * 0x9e3779b1), (unsigned)(a & 0xffffff), (unsigned)(n % 40),
             (unsigned)(b & 0xffffffff));
    snprintf(r->recipient, sizeof r->recipient, "user%05u@mail%02u.example.com",
             (unsigned)(c % 50000), (unsigned)(c >> 32) % 40);
    snprintf(r->url, sizeof r->url,
             "https://links.shop.example/track/%08X?campaign=autumn-2026&medium=mail&link=%u",
             (unsigned)(d & 0xffffffff), (unsigned)(d >> 40) % 12);
    r->event = (struct bench_event12){
        .event_id = mill_str(r->id),
        .message_id = mill_str(r->message),
        .request_id = {r->message, 36},
        .tenant = mill_str(tenants[a % 4]),
        .provider = MILL_STR("sendgrid"),
        .provider_id = mill_str(r->provider_id),
        .recipient = mill_str(r->recipient),
        .type = (int)(1 + b % 5),
        .occurred_at = now_us - (int64_t)(d % span_us),
        .latency_ms = {true, (int64_t)(c % 60000)},
        .url = mill_str(r->url),
        .user_agent = mill_str(agents[d >> 62]),
    };
}

#endif
