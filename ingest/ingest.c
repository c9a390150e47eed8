/**
 * @file ingest.c
 * @brief mill-ingest: the HTTP edge. Options, modes, signals, the loop that keeps watch.
 *
 * out  mail.requests   request.avsc   key request_id     one record a mail, 202 after acks=all
 * out  mail.callbacks  callback.avsc  no key             one record a callback, 200 after acks=all
 * out  mail.cancellations  cancellation.avsc  key id   202 after acks=all
 * out  mail.suppressions   suppression.avsc   key of tenant and address   200 after acks=all
 * out  mail.idempotency    idempotency.avsc   key of client and Idempotency-Key (keys.h)
 * table mail.idempotency: which keys were used, by any process; whole before /readyz is green.
 * State: none but caches of topics. A restart loses nothing that was answered; what was not
 * answered is the client's to send again. While broker or registry are away: 503 + Retry-After, and
 * the process stays.
 */
#include "app.h"

#include "base/log.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { INGEST_TICK_MS = 200 };

static const char ingest_summary[] = "take mail requests and providers' callbacks by HTTP";

/* The same members as a stage's --describe. */
static int ingest_describe(const struct mill_opt_set *sets)
{
    const struct mill_metric *const metrics[] = {ingest_metrics, NULL};

    printf("{\"name\":\"ingest\",\"summary\":\"%s\",\"in\":[],\"out\":["
           "{\"name\":\"requests\",\"topic\":\"mail.requests\",\"record\":\"Request\"},"
           "{\"name\":\"callbacks\",\"topic\":\"mail.callbacks\",\"record\":\"Callback\"},"
           "{\"name\":\"cancellations\",\"topic\":\"mail.cancellations\",\"record\":"
           "\"Cancellation\"},"
           "{\"name\":\"suppressions\",\"topic\":\"mail.suppressions\",\"record\":"
           "\"Suppression\"},"
           "{\"name\":\"idempotency\",\"topic\":\"mail.idempotency\",\"record\":"
           "\"Idempotency\"}],"
           "\"tables\":[{\"name\":\"idempotency\",\"topic\":\"mail.idempotency\"}],\"metrics\":",
           ingest_summary);
    if (!mill_metrics_describe(metrics, stdout))
        return MILL_EXIT_BUG;
    printf(",\"options\":");
    if (!mill_opts_describe(sets, stdout))
        return MILL_EXIT_BUG;
    printf("}\n");
    return fflush(stdout) ? MILL_EXIT_TEMP : MILL_EXIT_OK;
}

/* `mill-ingest --hash-password`: a password on stdin, its secret for the credentials file. */
static int ingest_hash_password(void)
{
    char line[INGEST_PASSWORD_MAX + 2], hash[INGEST_HASH_MAX + 1];
    struct mill_err err = {0};

    if (!fgets(line, sizeof line, stdin)) {
        fprintf(stderr, "mill-ingest: no password on standard input\n");
        return MILL_EXIT_USAGE;
    }
    line[strcspn(line, "\r\n")] = '\0';
    if (ingest_password_hash(mill_str(line), hash, &err)) {
        fprintf(stderr, "mill-ingest: %s\n", err.text);
        return err.code == MILL_E_DATA ? MILL_EXIT_USAGE : mill_exit_of(err.code);
    }
    explicit_bzero(line, sizeof line);
    printf("%s\n", hash);
    return MILL_EXIT_OK;
}

/* `mill-ingest --new-api-key`: the key for its user, and its secret for the credentials file. */
static int ingest_new_api_key(void)
{
    char key[INGEST_API_KEY_TEXT], secret[INGEST_HASH_MAX + 1];
    struct mill_err err = {0};

    if (ingest_api_key_make(key, secret, &err)) {
        fprintf(stderr, "mill-ingest: %s\n", err.text);
        return mill_exit_of(err.code);
    }
    printf("%s\n%s\n", key, secret);
    return MILL_EXIT_OK;
}

/* Signals come to this thread only, one at a time, and between ticks. */
static void ingest_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int ingest_loop(struct ingest *app, const sigset_t *set)
{
    const struct timespec tick = {.tv_nsec = INGEST_TICK_MS * 1000000L};
    int sig;

    do {
        sig = sigtimedwait(set, NULL, &tick);
        ingest_app_tick(app, sig == SIGHUP);
        if (ingest_publisher_broken(app->publisher))
            return MILL_EXIT_TEMP;
    } while (sig != SIGTERM && sig != SIGINT);
    return MILL_EXIT_OK;
}

static int ingest_run(const struct ingest_conf *conf, struct mill_err *err)
{
    enum mill_level level = MILL_INFO;
    struct ingest *app = NULL;
    sigset_t set;
    int rc;

    if (!mill_level_parse(conf->common.log_level, &level))
        level = MILL_INFO;
    mill_log_setup("ingest", level);
    ingest_signals(&set);
    if (ingest_app_start(&app, conf, err)) {
        mill_log_err(MILL_ERROR, "start_failed", err);
        return mill_exit_of(err->code);
    }
    mill_log(MILL_INFO, "started", MILL_KV(MILL_KI("port", mill_server_port(app->server))),
             "listening on %s", conf->listen);
    rc = ingest_loop(app, &set);
    mill_log(MILL_INFO, "draining", NULL, "no new requests; answering those in hand");
    ingest_app_stop(app);
    mill_log(MILL_INFO, "stopped", NULL, "drained");
    return rc;
}

static int ingest_main(struct mill_opts *opts, const struct mill_opt_set *sets,
                       enum mill_opt_mode mode, struct mill_err *err)
{
    const struct ingest_conf *conf = sets[0].conf;

    switch (mode) {
    case MILL_MODE_HELP:
        mill_opts_help("ingest", ingest_summary, sets, stdout);
        printf("\n  --hash-password   read a password, print its secret for the credentials file\n"
               "  --new-api-key     print a new API key and its secret\n");
        return MILL_EXIT_OK;
    case MILL_MODE_VERSION:
        printf("mill-ingest %s (librdkafka %s)\n", MILL_VERSION, mill_kafka_version());
        return MILL_EXIT_OK;
    case MILL_MODE_DESCRIBE:
        return ingest_describe(sets);
    case MILL_MODE_PRINT:
        mill_opts_print(opts, stdout);
        return MILL_EXIT_OK;
    case MILL_MODE_CHECK:
    case MILL_MODE_RUN:
    default:
        break;
    }
    if (ingest_app_check(conf, err)) {
        fprintf(stderr, "mill-ingest: %s: %s\n", err->where, err->text);
        return mill_exit_of(err->code);
    }
    return mode == MILL_MODE_CHECK ? MILL_EXIT_OK : ingest_run(conf, err);
}

int main(int argc, char **argv)
{
    struct ingest_conf conf = {0};
    struct mill_opt_set sets[INGEST_OPT_SETS] = {{0}};
    size_t sets_n = ingest_opt_sets(&conf, sets);
    struct mill_opts *opts = NULL;
    enum mill_opt_mode mode = MILL_MODE_RUN;
    struct mill_err err = {0};
    enum mill_code code;
    int rc;

    if (argc == 2 && !strcmp(argv[1], "--hash-password"))
        return ingest_hash_password();
    if (argc == 2 && !strcmp(argv[1], "--new-api-key"))
        return ingest_new_api_key();
    sets[sets_n++] = (struct mill_opt_set){mill_client_opts, &conf.common};
    sets[sets_n] = (struct mill_opt_set){mill_common_opts, &conf.common};
    code = mill_opts_load(&opts, "ingest", sets, argc, argv, &mode, &err);
    if (code && mode != MILL_MODE_HELP && mode != MILL_MODE_DESCRIBE) {
        fprintf(stderr, "mill-ingest: %s: %s\n", err.where, err.text);
        rc = code == MILL_E_STATE ? MILL_EXIT_USAGE : mill_exit_of(code);
    } else {
        rc = ingest_main(opts, sets, mode, &err);
    }
    mill_opts_free(opts);
    return rc;
}
