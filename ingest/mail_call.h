/**
 * @file mail_call.h
 * @brief One POST of mail, from its first look to its answer; shared by mail_api.c (the call),
 *        mail_item.c (each mail of it) and mail_answer.c.
 *
 * Model: the call lives in its exchange's arena. Its items are judged and queued on the handler's
 * thread; each is settled on the producer's; whoever settles the last one answers.
 */
#ifndef INGEST_MAIL_CALL_H
#define INGEST_MAIL_CALL_H

#include "caller.h"
#include "header.h"
#include "mail/ids.h"

/** One mail request of a call. */
struct mail_item {
    struct ingest_ticket ticket, key_ticket;
    struct mail_call *call;
    struct mill_str text;     /**< JSON */
    char id[MILL_UUID_TEXT];  /**< the request's */
    char key[MILL_UUID_TEXT]; /**< the Idempotency-Key's id; "" = none was sent */
    char fingerprint[MILL_FINGERPRINT_SIZE];
    bool in_hand;  /**< key is ours until it is released */
    bool replayed; /**< the answer is that of an earlier request */
    int64_t accepted_at;
    size_t messages;             /**< personalizations */
    enum ingest_problem problem; /**< 0 = accepted */
    struct mill_str detail;
    const struct ingest_wrong *wrong;
    size_t wrong_n;
};

struct mail_call {
    struct ingest_caller by; /**< first: run gets it back */
    bool batch;
    bool store_away; /**< S3 took an attachment of an earlier item not */
    enum ingest_media media;
    char key[INGEST_KEY_MAX + 1]; /**< "" = none was sent */
    struct ingest_trace trace;
    int64_t accepted_at;
    struct mail_item *items;
    size_t n;
    atomic_size_t waiting; /**< items in the broker's hands, and one for ourselves while we queue */
};

/** @brief Judge one item and hand it to the broker; what is wrong with it is in the item. */
void ingest_mail_item(struct mail_item *item, size_t index);
/** @brief One item, or we ourselves, need the call no longer; the last one answers. @thread any */
void ingest_mail_settle(struct mail_call *call);

#endif
