/* mill-ingest as a program: modes, exit codes, credentials made by it, and a start, a reload and an
 * end with neither broker nor registry there. */
#include "base/clock.h"
#include "http_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct child {
    pid_t pid;
    int out; /* its stdout and stderr */
    char text[1 << 16];
    size_t n;
};

static void child_start(struct child *c, const char *const *args, const char *input)
{
    const char *argv[16] = {MILL_INGEST};
    int in[2], out[2];
    union {
        const char **in;
        char *const *out;
    } cast = {.in = argv};

    for (size_t i = 0; args[i] && i < 14; i++)
        argv[i + 1] = args[i];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(write(in[1], input, strlen(input)), (ssize_t)strlen(input));
    c->n = 0;
    c->text[0] = '\0';
    c->out = out[0];
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (!c->pid) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(in[1]);
        close(out[0]);
        execv(MILL_INGEST, cast.out);
        _exit(127);
    }
    close(in[0]);
    close(in[1]);
    close(out[1]);
}

/* Reads until the text is there, or to the end when text is NULL. */
static bool child_says(struct child *c, const char *text)
{
    int64_t until = mill_tick_ms() + 20000;

    while (!text || !strstr(c->text, text)) {
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        ssize_t n;
        if (mill_tick_ms() > until || poll(&p, 1, 20000) <= 0)
            return false;
        n = read(c->out, c->text + c->n, sizeof c->text - 1 - c->n);
        if (n <= 0)
            return !text;
        c->n += (size_t)n;
        c->text[c->n] = '\0';
    }
    return true;
}

static int child_end(struct child *c)
{
    int status = 0;

    (void)child_says(c, NULL);
    close(c->out);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct child child;

static int run(const char *const *args, const char *input)
{
    child_start(&child, args, input);
    return child_end(&child);
}

#define RUN(input, ...) run((const char *const[]){__VA_ARGS__, NULL}, input)

static void test_modes(void **state)
{
    (void)state;
    assert_int_equal(RUN("", "--help"), 0);
    assert_non_null(strstr(child.text, "--hash-password"));
    assert_int_equal(RUN("", "--version"), 0);
    assert_non_null(strstr(child.text, "mill-ingest "));
    assert_int_equal(RUN("", "--describe"), 0);
    assert_non_null(strstr(child.text, "\"topic\":\"mail.callbacks\""));
    assert_int_equal(RUN("", "--nonsense"), 2);
    assert_int_equal(RUN("", "--threads=0"), 78);
    assert_int_equal(RUN("", "--check-config"), 78); /* no credentials */
    assert_int_equal(RUN("", "--check-config", "--credentials=/nowhere"), 78);
    assert_int_equal(RUN("", "--hash-password"), 2);
    assert_int_equal(RUN("\n", "--hash-password"), 2);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* What the program makes of a password and a key is what it takes. */
static void make_credentials(const char *path, char key[80])
{
    char text[1024];
    char *second;

    assert_int_equal(RUN("secret\n", "--hash-password"), 0);
    snprintf(text, sizeof text, "u:%.*s:t:mail:send\n", (int)strcspn(child.text, "\n"), child.text);
    assert_int_equal(RUN("", "--new-api-key"), 0);
    second = strchr(child.text, '\n');
    assert_non_null(second);
    mill_str_cut((struct mill_str){child.text, (size_t)(second - child.text)}, key, 80);
    snprintf(text + strlen(text), sizeof text - strlen(text), "k:%.*s:t:*\n",
             (int)strcspn(second + 1, "\n"), second + 1);
    write_file(path, text);
}

static unsigned post(uint16_t port, const char *authorization)
{
    struct http_answer a;
    char headers[256];
    unsigned status;

    snprintf(headers, sizeof headers, "Authorization: %s\r\nContent-Type: application/json\r\n",
             authorization);
    http_ask(port, "POST", "/v1/mail", headers, MILL_STR("{}"), &a);
    status = a.status;
    http_answer_release(&a);
    return status;
}

static void test_life(void **state)
{
    char dir[] = P_tmpdir "/mill-ingest-XXXXXX", path[80], option[100], key[80], bearer[100];
    char state_dir[100], file[160];
    uint16_t port;
    const char *at;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/credentials", dir);
    snprintf(option, sizeof option, "--credentials=%s", path);
    snprintf(state_dir, sizeof state_dir, "--state-dir=%s", dir);
    make_credentials(path, key);
    assert_int_equal(RUN("", "--check-config", option), 0);
    assert_int_equal(RUN("", "--print-config", option), 0);
    assert_non_null(strstr(child.text, "credentials = "));

    const char *const args[] = {option,
                                "--listen=127.0.0.1:0",
                                "--status-listen=127.0.0.1:0",
                                "--brokers=127.0.0.1:1",
                                "--registry=http://127.0.0.1:1",
                                "--drain-ms=1s",
                                state_dir,
                                NULL};
    child_start(&child, args, "");
    assert_true(child_says(&child, "\"ev\":\"started\""));
    at = strstr(child.text, "\"port\":");
    assert_non_null(at);
    port = (uint16_t)strtoul(at + 7, NULL, 10);
    snprintf(bearer, sizeof bearer, "Bearer %s", key);
    assert_int_equal(post(port, bearer), 422);
    assert_int_equal(post(port, "Basic dTpzZWNyZXQ="), 422); /* u:secret */
    assert_int_equal(post(port, "Basic dTpzZWNyZXR="), 401);
    write_file(path, "# nobody\n");
    kill(child.pid, SIGHUP);
    assert_true(child_says(&child, "\"ev\":\"credentials_loaded\""));
    assert_int_equal(post(port, bearer), 401);
    kill(child.pid, SIGTERM);
    assert_int_equal(child_end(&child), 0);
    assert_non_null(strstr(child.text, "\"ev\":\"stopped\""));

    assert_int_equal(RUN("", option, state_dir, "--listen=nonsense"), 78);
    for (size_t i = 0; i < 2; i++) { /* what a table leaves */
        snprintf(file, sizeof file, "%s/mill.ingest.0/idempotency.mdb%s", dir, i ? ".life" : "");
        unlink(file);
    }
    snprintf(file, sizeof file, "%s/mill.ingest.0", dir);
    assert_int_equal(rmdir(file), 0);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(RUN("", "--check-config", option), 78); /* the credentials are gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_modes), cmocka_unit_test(test_life)};

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
