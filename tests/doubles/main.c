/* mill-provider-double: a SendGrid and a Mailgun that run here, remembers, and does as it is told.
 */
#include "double.h"

#include "base/log.h"
#include "base/opt.h"
#include <signal.h>
#include <stddef.h>

static const struct mill_opt main_opts[] = {
    {.name = "listen",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, listen),
     .def = "127.0.0.1:0",
     .help = "host:port to serve on; port 0 = any, the log says which"},
    {.name = "key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, key),
     .flags = MILL_OPT_SECRET,
     .help = "API key that calls must carry; none = any that starts with SG."},
    {.name = "webhook-url",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, webhook_url),
     .help = "where events are posted; none = there are no events"},
    {.name = "webhook-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, webhook_key),
     .help = "file with the EC P-256 private key (PEM or DER) that signs them; none = unsigned"},
    {.name = "mailgun-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, mailgun_key),
     .flags = MILL_OPT_SECRET,
     .help = "Mailgun API key that calls must carry; none = any that starts with key-"},
    {.name = "mailgun-webhook-url",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, mailgun_webhook_url),
     .help = "where Mailgun's events are posted; none = there are none"},
    {.name = "mailgun-signing-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct double_state, mailgun_signing_key),
     .flags = MILL_OPT_SECRET,
     .help = "key that signs them"},
    {.name = "print-public-key",
     .type = MILL_OPT_BOOL,
     .off = offsetof(struct double_state, print_public_key),
     .help = "print the public half of --webhook-key (base64 of DER) and exit"},
    {.name = "threads",
     .type = MILL_OPT_U32,
     .off = offsetof(struct double_state, threads),
     .def = "2",
     .min = 1,
     .max = 64,
     .help = "HTTP threads"},
    {.name = "flush",
     .type = MILL_OPT_MS,
     .off = offsetof(struct double_state, flush_ms),
     .def = "100ms",
     .min = 1,
     .max = 60000,
     .help = "how often events that are due are posted"},
    {.name = "deliver",
     .type = MILL_OPT_MS,
     .off = offsetof(struct double_state, deliver_ms),
     .def = "50ms",
     .max = 600000,
     .help = "from processed to delivered, and between later events"},
    {0},
};

static int main_print_key(struct double_state *d)
{
    struct mill_buf text;
    struct mill_err err = {0};
    int rc = MILL_EXIT_CONFIG;

    mill_buf_init(&text, 1024);
    if (!d->webhook_key || !d->webhook_key[0])
        mill_fail(&err, MILL_E_CONFIG, "webhook-key", "needed to print its public half");
    else if (!double_load_key(d, &err) && double_public_key(d, &text))
        rc = puts(text.p) < 0 ? MILL_EXIT_BUG : MILL_EXIT_OK;
    if (rc)
        mill_log_err(MILL_ERROR, "start", &err);
    mill_buf_release(&text);
    return rc;
}

static int main_run(struct double_state *d)
{
    struct mill_err err = {0};
    sigset_t signals;
    int rc = MILL_EXIT_OK, got;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before the threads */
    if (double_start(d, &err)) {
        mill_log_err(MILL_ERROR, "start", &err);
        rc = mill_exit_of(err.code);
    } else {
        mill_log(MILL_INFO, "ready", MILL_KV(MILL_KI("port", mill_server_port(d->server))),
                 "listening");
        sigwait(&signals, &got);
    }
    double_stop(d);
    return rc;
}

int main(int argc, char **argv)
{
    static struct double_state d;
    const struct mill_opt_set sets[] = {{main_opts, &d}, {0}};
    struct mill_opts *opts = NULL;
    enum mill_opt_mode mode = MILL_MODE_RUN;
    struct mill_err err = {0};
    enum mill_code code;
    int rc = MILL_EXIT_OK;

    signal(SIGPIPE, SIG_IGN);
    mill_log_setup("provider-double", MILL_INFO);
    code = mill_opts_load(&opts, "provider-double", sets, argc, argv, &mode, &err);
    if (code) {
        mill_log_err(MILL_ERROR, "options", &err);
        rc = code == MILL_E_STATE ? MILL_EXIT_USAGE : mill_exit_of(code);
    } else if (mode == MILL_MODE_HELP) {
        mill_opts_help("mill-provider-double", "a SendGrid and a Mailgun for tests", sets, stdout);
    } else if (mode == MILL_MODE_VERSION) {
        puts("mill-provider-double " MILL_VERSION);
    } else if (mode == MILL_MODE_PRINT) {
        mill_opts_print(opts, stdout);
    } else if (mode == MILL_MODE_DESCRIBE) {
        rc = mill_opts_describe(sets, stdout) ? MILL_EXIT_OK : MILL_EXIT_BUG;
    } else if (mode == MILL_MODE_RUN) {
        rc = d.print_public_key ? main_print_key(&d) : main_run(&d);
    }
    mill_opts_free(opts);
    return rc;
}
