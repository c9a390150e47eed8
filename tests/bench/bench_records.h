/* One record each of mail.requests (about 400 bytes) and mail.events. */
#ifndef MILL_BENCH_RECORDS_H
#define MILL_BENCH_RECORDS_H

#include "mail/records.h"

/* MILL_STR is no constant expression. */
#define S(lit)                                                                                     \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

static const struct mill_pair bench_headers[] = {{S("X-Campaign"), S("autumn-2026")}};
static const struct mill_pair bench_metadata[] = {{S("order"), S("A-10293847")},
                                                  {S("lang"), S("en")}};
static const struct mill_str bench_categories[] = {S("receipts"), S("shop")};
static const struct mill_address bench_to[] = {{S("jane.doe@example.com"), S("Jane Doe")}};
static const struct mill_personalization bench_mails[] = {{.to = {bench_to, 1}}};
static const char bench_text[] =
    "Hello Jane,\n\nyour order has left our house and will be with you in two days. You can follow "
    "it at https://shop.example/track/A-10293847\n\nThe Shop\n";

static const struct mill_request bench_request = {
    .request_id = S("01930c2f-7a4e-7c11-9b5e-0f2a6c1d9e77"),
    .tenant = S("shop"),
    .client = S("checkout"),
    .accepted_at = 1763712000123456,
    .from = {S("no-reply@shop.example"), S("The Shop")},
    .subject = S("Your order A-10293847 is on its way"),
    .text = S(bench_text),
    .categories = {bench_categories, 2},
    .headers = {bench_headers, 1},
    .metadata = {bench_metadata, 2},
    .personalizations = {bench_mails, 1},
};

static inline const struct mill_event *bench_event(void)
{
    static const struct mill_event event = {
        .event_id = S("b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"),
        .message_id = S("01930c2f-7a4e-7c11-9b5e-0f2a6c1d9e77/0"),
        .request_id = S("01930c2f-7a4e-7c11-9b5e-0f2a6c1d9e77"),
        .tenant = S("shop"),
        .matched = true,
        .provider = S("sendgrid"),
        .provider_id = S("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"),
        .provider_event_id = S("ZGVsaXZlcmVkLTAtMTIzNDU2"),
        .type = MILL_EVENT_DELIVERED,
        .provider_event = S("delivered"),
        .recipient = S("jane.doe@example.com"),
        .occurred_at = 1763712001000000,
        .received_at = 1763712002123456,
        .latency_ms = {true, 877},
        .reason = S("250 OK"),
        .ip = S("192.0.2.7"),
        .categories = {bench_categories, 2},
        .metadata = {bench_metadata, 2},
    };
    return &event;
}

#endif
