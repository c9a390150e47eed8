/* Fault points: what fires, when, once; and nothing at all where they are not compiled in. */
#include "cases.h"

#include "base/clock.h"
#include "base/fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MILL_TEXT(code)    MILL_TEXT_OF(code)
#define MILL_TEXT_OF(code) #code

#ifdef MILL_FAULT_POINTS
enum { SLEEP_MS = 60 };

static const struct row {
    const char *name, *line;
    int passes; /* of the point "a.b" */
    int signal; /* that ends or stops the process; 0 = none */
    int64_t at_least_ms;
    bool fired;
} rows[] = {
    {"kill", "a.b kill\n", 1, SIGKILL, 0, true},
    {"kill at the third pass", "a.b kill 3\n", 3, SIGKILL, 0, true},
    {"not yet at the second", "a.b kill 3\n", 2, 0, 0, false},
    {"stop", "a.b stop\n", 1, SIGSTOP, 0, true},
    {"sleep", "a.b sleep-60\n", 1, 0, SLEEP_MS, true},
    {"stops once only", "a.b stop", 5, SIGSTOP, 0, true},
    {"another point", "a.bc kill\n", 1, 0, 0, false},
    {"no action", "a.b\n", 1, 0, 0, false},
    {"an unknown action", "a.b dance\n", 1, 0, 0, true},
    {"a count that is none", "a.b kill x\n", 1, SIGKILL, 0, true},
    {"an empty file", "", 1, 0, 0, false},
    {"no file", NULL, 1, 0, 0, false},
};

/** What the file is called, and after it has fired. */
static char file[64], fired[80];

static void child(const struct row *row)
{
    int64_t began = mill_tick_ms();

    for (int i = 0; i < row->passes; i++)
        MILL_FAULT_POINT("a.b");
    _exit(mill_tick_ms() - began >= row->at_least_ms ? 0 : 1);
}

static void point_case(void **state)
{
    const struct row *row = *state;
    int status = 0;
    pid_t pid;

    snprintf(file, sizeof file, "/tmp/mill-fault-%d", (int)getpid());
    snprintf(fired, sizeof fired, "%s.fired", file);
    if (row->line) {
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        fputs(row->line, f);
        fclose(f);
    }
    assert_int_equal(setenv("MILL_FAULT_FILE", file, 1), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        child(row);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (row->signal == SIGSTOP) {
        assert_true(WIFSTOPPED(status));
        kill(pid, SIGCONT);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    } else if (row->signal) {
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), row->signal);
    }
    if (row->signal != SIGKILL) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(!access(fired, F_OK), row->fired);
    unlink(file);
    unlink(fired);
}

#endif

/** Not compiled in, or no file is named: a point is nothing. */
static void nothing(void **state)
{
    (void)state;
#ifdef MILL_FAULT_POINTS
    assert_int_equal(unsetenv("MILL_FAULT_FILE"), 0);
    MILL_FAULT_POINT("a.b");
#else
    char text[] = MILL_TEXT(MILL_FAULT_POINT("a.b"));

    assert_string_equal(text, "((void)0)");
#endif
}

int main(void)
{
    const struct CMUnitTest fault_tests[] = {cmocka_unit_test(nothing)};
    int failed = 0;

#ifdef MILL_FAULT_POINTS
    failed = TABLE(rows, point_case);
#endif
    return failed + TESTS(fault_tests);
}
