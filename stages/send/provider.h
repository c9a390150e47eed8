/**
 * @file provider.h
 * @brief What Sendmill must know of a mail provider: how to call it, what its answers mean, and
 *        what it reports back later.
 *
 * Model: a provider is one `const struct mill_provider` in a file of its own and a row of
 * providers/list.h. It keeps no state and does no I/O: `build` fills a call, the dispatcher makes
 * it, `classify` says what the reply means. A NULL callback is a thing that the provider does not
 * do (SMTP posts nothing). What it posts comes to ingest's /v1/callbacks/NAME, which knows of it
 * what `webhook` says. Thread rule: all callbacks are pure, any thread.
 */
#ifndef MILL_SEND_PROVIDER_H
#define MILL_SEND_PROVIDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/opt.h"
#include "mail/records.h"
#include "mail/signature.h"
#include "net/http_client.h"

/** What the provider does with a second call for the same mail. */
enum mill_idem {
    MILL_IDEM_NONE,    /**< sends it twice */
    MILL_IDEM_REPLAYS, /**< gives the first answer again */
};

/** Where and as whom a provider is called; from the options. NULL = not set. A provider with more
 *  options has a struct of its own, of which this is the first member. */
struct mill_account {
    const char *url;
    const char *user;
    const char *secret;   /**< API key or password */
    const char *tls_ca;   /**< CA file; NULL = the system's; the same for all */
    uint32_t rate, burst; /**< calls a second, 0 = any; and at once, 0 = a second's worth */
};
/** Room for any provider's account. */
union mill_account_room {
    struct mill_account base;
    unsigned char bytes[256];
};
/** The option rows that each provider has; name is a literal. */
#define MILL_ACCOUNT_RATE(provider)                                                                \
    {.name = provider "-rate",                                                                     \
     .type = MILL_OPT_U32,                                                                         \
     .off = offsetof(struct mill_account, rate),                                                   \
     .max = 1000000,                                                                               \
     .help = "calls a second at most; 0 = any"},                                                   \
    {                                                                                              \
        .name = provider "-burst", .type = MILL_OPT_U32,                                           \
        .off = offsetof(struct mill_account, burst), .max = 1000000,                               \
        .help = "calls at once within that rate; 0 = a second's worth"                             \
    }

/** One call, built and owned by the dispatcher. */
struct mill_outgoing {
    struct mill_http_call http; /**< done, arg and the time-outs are the dispatcher's */
    struct mill_buf body;       /**< the limit is set by build */
    struct mill_arena mem;      /**< what http points to */
};

/** One recipient whom the provider did not take while it answered for all. */
struct mill_refusal {
    size_t rcpt; /**< its place in the call's rcpt */
    struct mill_str reply;
};

/** What a reply means. */
struct mill_answer {
    enum mill_outcome outcome;
    struct mill_str provider_id; /**< the provider's id of the mail; absent if it gave none */
    struct mill_str reason;      /**< for people; absent when accepted */
    /** With THROTTLED and TRANSIENT: it wants no call for so long; 0 = it did not say how long; < 0
     * = it said so of this mail alone. */
    int64_t wait_ms;
    const struct mill_refusal *refusals; /**< with ACCEPTED and PERMANENT; in mem */
    size_t refusals_n;
};

/** One event inside a provider's post. */
struct mill_split {
    struct mill_str raw;        /**< JSON text exactly as it came; borrowed from the body */
    struct mill_str message_id; /**< absent when the event names none of ours */
    struct mill_str group;      /**< provider's id to partition by when message_id is absent */
    int64_t index;
};
/** @brief Takes one event; borrowed until it returns. A code other than MILL_OK ends the split. */
typedef enum mill_code (*mill_split_fn)(void *arg, const struct mill_split *one,
                                        struct mill_err *err);

enum { MILL_WEBHOOK_KEYS_MAX = 8, MILL_WEBHOOK_HEADERS_MAX = 4 };

/** How a provider's posts are told from anybody's; from ingest's options. A provider with more
 *  options has a struct of its own, of which this is the first member. */
struct mill_webhook_conf {
    const char *keys;    /**< by comma or line, several while one is replaced; NULL = none */
    uint64_t max_age_ms; /**< of a signature; 0 = any */
};
/** Room for any provider's. */
union mill_webhook_room {
    struct mill_webhook_conf base;
    unsigned char bytes[128];
};
struct mill_webhook_key {
    struct mill_str text;           /**< borrowed from the options */
    struct mill_verify_key *parsed; /**< NULL where the text is the key; owned */
};
struct mill_webhook_keys {
    const struct mill_webhook_conf *conf;
    struct mill_webhook_key v[MILL_WEBHOOK_KEYS_MAX];
    size_t n;
};
/** A post, as ingest has it. */
struct mill_webhook_post {
    struct mill_str headers[MILL_WEBHOOK_HEADERS_MAX]; /**< in the order of mill_webhook's */
    struct mill_str body;                              /**< raw bytes */
    int64_t now_us;
};

struct mill_webhook {
    const struct mill_opt
        *opts; /**< ends with {0}, the keys' row is first; offsets into its conf */
    /** What is signed beside the body, stored with it; NULL = no more. */
    const char *headers[MILL_WEBHOOK_HEADERS_MAX];
    /** @brief Parse one key's text, into its `parsed`; NULL = the text is the key.
     *  @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM */
    enum mill_code (*key)(struct mill_webhook_key *key, struct mill_err *err);
    /** @brief Is the post really the provider's? @param keys at least one
     *  @return MILL_OK; MILL_E_AUTH; MILL_E_DATA when the body is none of the provider's, so that
     *  nothing can be looked at; MILL_E_NOMEM */
    enum mill_code (*verify)(const struct mill_webhook_keys *keys,
                             const struct mill_webhook_post *post, struct mill_err *err);
};

struct mill_provider {
    const char *name; /**< as in the option `providers`, the records and the callback's path */
    enum mill_idem idem;
    uint32_t idem_window_s;
    uint32_t max_recipients; /**< of one call */
    uint64_t max_bytes;      /**< of a mail, its attachments as base64; 0 = as the rules let pass */
    bool schedules; /**< has a send_at of its own (not used: it cannot be cancelled late) */
    const struct mill_opt *opts; /**< ends with {0}; offsets into its account */

    /** @brief Is what is needed of the options there? @return MILL_OK or MILL_E_CONFIG */
    enum mill_code (*check)(const struct mill_account *account, struct mill_err *err);
    /** @brief Fill out->http and out->body. @param now_us date of the mail
     *  @return MILL_OK; MILL_E_DATA when this message cannot be put in the provider's form;
     *  MILL_E_NOMEM */
    enum mill_code (*build)(const struct mill_account *account, const struct mill_message *m,
                            int64_t now_us, struct mill_outgoing *out, struct mill_err *err);
    /** @brief What the reply means; never MILL_OUTCOME_NONE. @own strings in mem or static */
    void (*classify)(const struct mill_http_reply *r, struct mill_arena *mem,
                     struct mill_answer *out);
    /** How its posts are verified; NULL = it posts nothing. With `split` and `parse_event`. */
    const struct mill_webhook *webhook;
    /** @brief Cut a webhook post into events.
     *  @return MILL_OK; MILL_E_DATA when the body is malformed; what `each` returned */
    enum mill_code (*split)(struct mill_str body, mill_split_fn each, void *arg,
                            struct mill_err *err);
    /** @brief Read one event leniently: fields of a wrong type are as good as missing. Fills what
     *  the event itself says; the join fields stay empty. occurred_at is 0 when it names no time.
     *  @return MILL_OK; MILL_E_DATA when raw is no JSON object; MILL_E_NOMEM. @own out in mem */
    enum mill_code (*parse_event)(struct mill_str raw, struct mill_arena *mem,
                                  struct mill_event *out, struct mill_err *err);
    /** @brief For a provider that answers for each recipient and posts nothing: a refusal as an
     *  event that parse_event reads, appended. @return false when the buffer failed */
    bool (*refusal_event)(struct mill_buf *b, struct mill_str message_id, struct mill_str address,
                          struct mill_str reply, int64_t at_us);
};

/* mill_provider_sendgrid and so on. */
#define MILL_PROVIDER(id) extern const struct mill_provider mill_provider_##id;
#include "send/providers/list.h"
#undef MILL_PROVIDER
/** Their places in mill_providers. */
enum mill_provider_index {
#define MILL_PROVIDER(id) MILL_PROVIDER_##id,
#include "send/providers/list.h"
#undef MILL_PROVIDER
    MILL_PROVIDERS_N
};

/** @brief All providers, ends with NULL. */
extern const struct mill_provider *const mill_providers[];
/** @brief Their names, in the same order: values of a metric's label. Ends with NULL. */
extern const char *const mill_provider_names[];
/** @brief By name. @return NULL when there is none. @own static */
const struct mill_provider *mill_provider_find(struct mill_str name);
/** @brief For `check`: the URL is there, and the secret where it is needed. */
enum mill_code mill_account_complete(const struct mill_account *account, const char *provider,
                                     bool secret, struct mill_err *err) MILL_NODISCARD;

/** @brief Cut and parse the keys of conf, which is borrowed for their life.
 *  @return MILL_OK; MILL_E_CONFIG (err->where is the option's name); MILL_E_NOMEM
 *  @own new in *out even on failure (release) */
enum mill_code mill_webhook_keys_read(struct mill_webhook_keys *out, const struct mill_webhook *w,
                                      const struct mill_webhook_conf *conf,
                                      struct mill_err *err) MILL_NODISCARD;
/** @brief Idempotent. */
void mill_webhook_keys_release(struct mill_webhook_keys *keys);

/** @brief A peer's words, fit for a record and a log: valid UTF-8, no control characters, at most
 *  300 bytes. @return static text when there is no memory or s is absent. @own in mem */
struct mill_str mill_answer_text(struct mill_arena *mem, struct mill_str s) MILL_NODISCARD;

#endif
