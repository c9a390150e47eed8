/** @file judge.c  @brief See judge.h. */
#include "judge.h"
#include "base/clock.h"
#include "cases.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 60000 };

static bool newest(const char *pattern, char *out, size_t size)
{
    glob_t found = {0};
    bool ok = !glob(pattern, 0, NULL, &found) && found.gl_pathc;

    if (ok)
        snprintf(out, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return ok;
}

const char *judge_find(struct judge *j, const char *spec)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *shared = getenv("MILL_SHARED");
    char pattern[512];

    snprintf(pattern, sizeof pattern, "%s/reference/%s",
             shared && shared[0] ? shared : "../../shared", spec);
    if (!newest(pattern, j->spec, sizeof j->spec))
        return "no ../shared/reference with the provider's description";
    if (cache && cache[0])
        snprintf(pattern, sizeof pattern, "%s/sendmill/prism/*/prism", cache);
    else
        snprintf(pattern, sizeof pattern, "%s/.cache/sendmill/prism/*/prism", home ? home : "");
    if (!newest(pattern, j->prism, sizeof j->prism))
        return "no Prism in the cache; deploy/local/setup prism installs it";
    return NULL;
}

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static bool judge_ready(const struct judge *j, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    const int64_t until = mill_tick_ms() + READY_MS;
    bool ok = false;

    while (!ok && mill_tick_ms() < until && waitpid(j->pid, NULL, WNOHANG) == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        ok = !connect(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (!ok)
            usleep(100000);
    }
    return ok;
}

int judge_start(struct judge *j)
{
    struct mill_err err;
    char double_url[64], port_text[16];
    unsigned port = free_port();

    unsetenv("http_proxy");
    if (double_start(&j->d, &err) || mill_http_new(&j->http, NULL, &err))
        return -1;
    snprintf(double_url, sizeof double_url, "http://127.0.0.1:%u", mill_server_port(j->d.server));
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(j->url, sizeof j->url, "http://127.0.0.1:%u", port);
    j->pid = fork();
    if (!j->pid) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execl(j->prism, j->prism, "proxy", "--errors", "-h", "127.0.0.1", "-p", port_text, j->spec,
              double_url, (char *)NULL);
        _exit(127);
    }
    return judge_ready(j, port) ? 0 : -1;
}

void judge_stop(struct judge *j)
{
    if (j->pid > 0) {
        kill(j->pid, SIGTERM);
        waitpid(j->pid, NULL, 0);
    }
    mill_http_free(j->http);
    double_stop(&j->d);
}

static void on_reply(void *arg, const struct mill_http_reply *r)
{
    struct judge_verdict *v = arg;

    v->done = true;
    v->end = r->end;
    v->status = r->status;
    mill_str_cut(r->body, v->body, sizeof v->body);
    v->provider->classify(r, v->mem, &v->answer);
}

void judge_call(struct judge *j, struct mill_http_call *c, struct judge_verdict *v)
{
    struct mill_err err;

    c->timeout_ms = 20000;
    c->done = on_reply;
    c->arg = v;
    assert_int_equal(mill_http_submit(j->http, c, &err), MILL_OK);
    while (!v->done)
        mill_http_poll(j->http, 1000);
}

void judge_fault(struct judge *j, unsigned status)
{
    pthread_mutex_lock(&j->d.lock);
    j->d.behaviour = (struct double_behaviour){
        .n_faults = status ? 1 : 0,
        .faults = {{.provider = -1, .rate = -1, .times = 1, .status = status}}};
    pthread_mutex_unlock(&j->d.lock);
}
