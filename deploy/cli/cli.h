/**
 * @file cli.h
 * @brief Inside of `sendmill`: what its verbs share.
 *
 * Model: one process, one verb, one thread. Data goes to stdout, everything else to stderr. A verb
 * returns an exit code of enum mill_exit, or CLI_INTERRUPTED.
 */
#ifndef CLI_H
#define CLI_H

#include "base/json.h"
#include "base/opt.h"
#include "kafka/client.h"
#include "kafka/common.h"
#include "net/s3_opts.h"
#include "stage.h"

enum cli_format { CLI_TABLE, CLI_JSON };
enum {
    CLI_WORDS_MAX = 64,
    CLI_INTERRUPTED = 130, /**< Ctrl-C; what was done stays done */
    CLI_REGISTRY_MS = 5000,
};

struct cli_conf {
    const char *topology, *output, *fields, *from, *to, *cls, *stage, *topic;
    const char *reason, *tenant, *category, *resume, *confirm;
    uint32_t count, replication, rate;
    bool dry_run, yes, no_input;
    struct mill_s3_opts s3; /**< the lake */
    const char *parquet_lib, *engine, *since, *columns, *meta_columns, *group;
    bool hours, rejected, exact;
    uint64_t older_than_ms, grace_ms, target_bytes; /**< lake compact */
    struct mill_common common;                      /**< brokers, registry, rdkafka */
};

struct cli {
    struct cli_conf conf;
    struct mill_kafka_conf kafka;
    enum cli_format format;
    const char *verb;        /**< "dlq redrive" */
    const char *const *args; /**< words behind the verb */
    size_t args_n;
};

struct cli_verb {
    const char *name;          /**< "topics apply" */
    const char *args;          /**< for help; "" = none */
    size_t args_min, args_max; /**< how many words it takes */
    const char *help;
    int (*run)(struct cli *cli);
};

/** @brief Say an error and give the exit code that fits it. */
int cli_fail(const struct mill_err *err);
/** @brief Say what is wrong with the command itself. @return MILL_EXIT_USAGE */
int cli_usage(const char *fmt, ...) MILL_PRINTF(1, 2);
/** @brief True once Ctrl-C was pressed; a second one ends the process. */
bool cli_stopped(void);
/** @brief One object, one line, on stdout; with --json=a,b only these members. @own borrowed */
void cli_print(const struct cli *cli, const json_t *o);

/* options.c */
/** @brief Flags on either side of the verb, words apart. @param flags,words CLI_WORDS_MAX each
 *  @return false when there are too many */
bool cli_split(int argc, char **argv, char **flags, int *flags_n, const char **words,
               size_t *words_n);
/** @brief Fill conf from all sources; sets (3 items) is what --help prints. */
enum mill_code cli_options(struct cli_conf *conf, struct mill_opt_set *sets,
                           struct mill_opts **opts, int argc, char **argv, enum mill_opt_mode *mode,
                           struct mill_err *err) MILL_NODISCARD;

/* topics.c */
int cli_topics_list(struct cli *cli);
int cli_topics_check(struct cli *cli);
int cli_topics_apply(struct cli *cli);

/* tail.c */
int cli_tail(struct cli *cli);

/* audit.c */
int cli_audit(struct cli *cli);
struct mill_audit_finding;
/** @brief One fault of the lake as a line. */
void cli_audit_finding(const struct cli *cli, const struct mill_audit_finding *f);

/* compact.c */
int cli_lake_compact(struct cli *cli);

/* ddl.c */
int cli_lake_ddl(struct cli *cli);

/* dlq.c */
int cli_dlq_ls(struct cli *cli);
int cli_dlq_show(struct cli *cli);

/* redrive.c */
int cli_dlq_redrive(struct cli *cli);

/* replay.c */
int cli_replay(struct cli *cli);

/* trace.c */
int cli_trace(struct cli *cli);

/* resend.c */
int cli_resend(struct cli *cli);

/* control.c */
int cli_cancel(struct cli *cli);
int cli_pause(struct cli *cli);
int cli_resume(struct cli *cli);
int cli_pauses(struct cli *cli);

/* suppressions.c */
int cli_suppressions_ls(struct cli *cli);
int cli_suppressions_add(struct cli *cli);
int cli_suppressions_lift(struct cli *cli);

#endif
