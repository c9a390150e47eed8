/**
 * @file cli.h
 * @brief Inside of `sendmill`: what its verbs share.
 *
 * Model: one process, one verb, one thread. Data goes to stdout, everything else to stderr. A verb
 * returns an exit code of enum mill_exit.
 */
#ifndef CLI_H
#define CLI_H

#include "base/json.h"
#include "base/opt.h"
#include "kafka/client.h"
#include "stage.h"

enum cli_format { CLI_TABLE, CLI_JSON };

struct cli_conf {
    const char *brokers, *registry, *topology, *output, *from, *to, *cls, *stage, *topic;
    uint32_t count, replication;
    bool dry_run, follow;
    struct mill_map rdkafka;
};

struct cli {
    struct cli_conf conf;
    struct mill_kafka_conf kafka;
    enum cli_format format;
    const char *const *args; /**< words behind the verb */
    size_t args_n;
};

struct cli_verb {
    const char *name; /**< "topics apply" */
    const char *args; /**< for help; "" = none */
    size_t args_n;    /**< how many words it takes */
    const char *help;
    int (*run)(struct cli *cli);
};

/** @brief Say an error and give the exit code that fits it. */
int cli_fail(const struct mill_err *err);
/** @brief True once Ctrl-C was pressed. */
bool cli_stopped(void);

/* topics.c */
int cli_topics_list(struct cli *cli);
int cli_topics_check(struct cli *cli);
int cli_topics_apply(struct cli *cli);

/* tail.c */
int cli_tail(struct cli *cli);

/* dlq.c */
int cli_dlq_ls(struct cli *cli);
int cli_dlq_show(struct cli *cli);

#endif
