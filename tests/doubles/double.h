/**
 * @file double.h
 * @brief The provider double: what its files share.
 *
 * Model: HTTP threads take calls (mail_send.c), look up what fault they are to get (behaviour.c)
 * and queue the events that a call causes (events.c). One worker thread (worker.c) gives late
 * answers and posts events, signed, in batches, until they are answered 2xx. One mutex guards all
 * state.
 */
#ifndef MILL_DOUBLE_H
#define MILL_DOUBLE_H

#include "base/json.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    DOUBLE_FAULTS_MAX = 32,
    DOUBLE_ID_MAX = 160,
    DOUBLE_POSTS_MAX = 16,    /* webhook posts at once */
    DOUBLE_POSTS_OPEN = 512,  /* made, and not answered yet; the rest stay events */
    DOUBLE_POST_EVENTS = 500, /* events of one */
    DOUBLE_POST_BYTES = 512 * 1024,
    DOUBLE_MAIL_BYTES = 30 * 1000 * 1000,
};

enum double_provider { DOUBLE_SENDGRID, DOUBLE_MAILGUN, DOUBLE_PROVIDERS };

enum double_reset { DOUBLE_NO_RESET, DOUBLE_RESET_BEFORE_BODY, DOUBLE_RESET_AFTER_BODY };

/** One rule: which calls, and what they get. */
struct double_fault {
    int provider;         /**< enum double_provider; < 0 = any */
    char message_id[200]; /**< "" = any */
    bool reused;          /**< only calls on a connection that has carried one before */
    int64_t until_ms;     /**< tick of its end; 0 = none */
    uint32_t every;       /**< each n-th call that gets here; 0 = each */
    double rate;          /**< of calls, 0..1; < 0 = not used */
    int64_t times;        /**< so many left; < 0 = no end */
    uint32_t seen;        /**< calls that got here */
    unsigned status;      /**< 0 = as the provider would */
    bool hang;
    enum double_reset reset;
    bool accept; /**< the mail goes out, whatever is answered */
    uint32_t late_ms;
    uint32_t retry_after_s;
};

struct double_behaviour {
    struct double_fault faults[DOUBLE_FAULTS_MAX];
    size_t n_faults;
    /* webhooks: each n-th post; 0 = none */
    uint32_t drop_every, duplicate_every, fail_every, delay_ms;
};

/** An event that is to be posted. */
struct double_event {
    enum double_provider from;
    int64_t due_ms; /**< tick */
    char *json;
    size_t n;
};

/** An answer that is due later, or never (hang). */
struct double_late {
    struct mill_exchange *x;
    enum double_provider from;
    int64_t due_ms; /**< INT64_MAX = when the behaviour changes */
    unsigned status;
    char id[DOUBLE_ID_MAX];
    uint32_t retry_after_s;
    struct double_late *next;
};

struct double_post;

struct double_state {
    /* options */
    const char *listen, *key, *webhook_url, *webhook_key;
    const char *mailgun_key, *mailgun_webhook_url, *mailgun_signing_key;
    uint32_t threads;
    uint64_t flush_ms, deliver_ms;
    bool print_public_key;

    pthread_mutex_t lock;
    json_t *calls[DOUBLE_PROVIDERS], *attempts[DOUBLE_PROVIDERS]; /**< message id → count */
    struct mill_buf posted; /**< events that were answered 2xx, with commas between */
    struct double_event *events;
    size_t n_events, events_size;
    struct double_behaviour behaviour;
    struct double_late *late;
    bool reset_before; /**< some rule has reset before_body: look already at the headers */
    uint32_t posts_seen;
    atomic_uint posts_dropped; /**< of these, by drop_every */
    uint64_t epoch;            /**< counts DELETE /calls: what was posted before it is not listed */

    struct mill_server *server;
    struct mill_http *http; /**< the worker's */
    EVP_PKEY *sign_key;
    pthread_t worker;
    bool worker_runs;
    atomic_bool stop;
    struct double_post *posts;
    size_t posts_open;
};

/* --- provider.c */
/** @brief Start server and worker. @param d options filled, the rest zero; double_stop even after a
 *  failure */
enum mill_code double_start(struct double_state *d, struct mill_err *err) MILL_NODISCARD;
void double_stop(struct double_state *d);

/* --- call.c */
/** What differs between the providers' APIs. */
struct double_api {
    const char *name;
    unsigned ok; /**< status of an accepted call */
    /** An accepted or faulty call's answer. @param id its own, for 2xx */
    void (*answer)(struct mill_exchange *x, unsigned status, const char *id,
                   uint32_t retry_after_s);
};
extern const struct double_api double_apis[DOUBLE_PROVIDERS];
/** @brief A valid call: count it, find its fault, answer now, later or never.
 *  @param mail as SendGrid's JSON has it, whatever the provider @param id what the answer says */
void double_take(struct double_state *d, struct mill_exchange *x, enum double_provider from,
                 const json_t *mail, const char *id);
/** @brief Random URL-safe text. @param out size bytes, NUL-terminated */
void double_random_id(char *out, size_t size);

/* --- mail_send.c: SendGrid */
/** @brief POST /v3/mail/send */
void double_on_mail(void *app, struct mill_exchange *x);
/** @brief {"errors":[…]} as SendGrid answers. @param field may be NULL */
void double_answer_error(struct mill_exchange *x, unsigned status, const char *field,
                         const char *message);
void double_sendgrid_answer(struct mill_exchange *x, unsigned status, const char *id,
                            uint32_t retry_after_s);

/* --- mailgun.c, mailgun_events.c */
/** @brief POST /v3/DOMAIN/messages */
void double_on_form(void *app, struct mill_exchange *x);
void double_mailgun_answer(struct mill_exchange *x, unsigned status, const char *id,
                           uint32_t retry_after_s);
/** @brief One event-data object, appended. @param event SendGrid's word @param more what SendGrid's
 *  event carries beside the usual */
void double_mailgun_event(struct mill_buf *b, const json_t *mail, const char *id,
                          struct mill_str email, const char *event, const char *more,
                          int64_t at_us);
/** @brief The webhook's body: event-data with a signature made now, appended.
 *  @param broken the signature does not fit */
void double_mailgun_post(struct mill_buf *b, const struct double_state *d, struct mill_str data,
                         bool broken);

/* --- mail_check.c */
/** @brief What SendGrid would refuse. @param field,message static or in the arena of x
 *  @return false when it is refused */
bool double_mail_valid(struct mill_exchange *x, const json_t *mail, const char **field,
                       const char **message);

/* --- events.c */
/** @brief Queue what an accepted call causes. Under the lock. @param id the provider's */
void double_queue_events(struct double_state *d, enum double_provider from, const json_t *mail,
                         const char *id);
/** @brief Free what is queued. Under the lock. */
void double_drop_events(struct double_state *d);

/* --- behaviour.c */
/** @brief PUT, GET, DELETE /behaviour */
void double_on_behaviour(void *app, struct mill_exchange *x);
/** What a rule looks at. */
struct double_call {
    enum double_provider from;
    struct mill_str message_id;
    bool before_body; /**< headers only are known */
    bool reused;
};
/** @brief The rule that this call falls under. Under the lock. @return false when there is none */
bool double_fault_for(struct double_state *d, const struct double_call *call,
                      struct double_fault *out);
/** @brief JSON → behaviour. @param why static text of what is wrong */
bool double_behaviour_parse(const json_t *o, struct double_behaviour *out, const char **why);

/* --- worker.c */
void *double_worker(void *arg);
/** @brief After the worker's end and its client's. */
void double_drop_posts(struct double_state *d);
/** @brief Read the private key. */
enum mill_code double_load_key(struct double_state *d, struct mill_err *err) MILL_NODISCARD;
/** @brief Public key as SendGrid shows it: base64 of the DER, appended. */
bool double_public_key(const struct double_state *d, struct mill_buf *out);

#endif
