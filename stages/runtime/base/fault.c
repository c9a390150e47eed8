/* See fault.h. Compiled into test builds only. */
#include "base/fault.h"

#include "base/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FAULT_LINE = 160 };

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static char fault_counted[FAULT_LINE]; /* the line that the passes below are of */
static int64_t fault_passes;

static bool fault_read(const char *file, char line[FAULT_LINE])
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, FAULT_LINE - 1);

    if (fd >= 0)
        close(fd);
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return n > 0;
}

/* The next word of *at, cut off; NULL at the end. */
static char *fault_word(char **at)
{
    char *word = *at + strspn(*at, " ");
    size_t n = strcspn(word, " ");

    *at = word + n + (word[n] ? 1 : 0);
    word[n] = '\0';
    return n ? word : NULL;
}

static int64_t fault_number(const char *text, int64_t otherwise)
{
    int64_t n = 0;

    return text && mill_str_i64(mill_str(text), &n) && n > 0 ? n : otherwise;
}

/* Is it this pass that is meant? Then the file has gone: nobody else does it. */
static bool fault_due(const char *file, const char *point, char *line, char action[FAULT_LINE])
{
    char whole[FAULT_LINE], fired[4096];
    char *name, *what;
    int64_t count;

    memcpy(whole, line, FAULT_LINE);
    name = fault_word(&line);
    what = fault_word(&line);
    if (!what || strcmp(name, point) != 0)
        return false;
    count = fault_number(fault_word(&line), 1);
    if (strcmp(fault_counted, whole) != 0) {
        memcpy(fault_counted, whole, FAULT_LINE);
        fault_passes = 0;
    }
    if (++fault_passes < count)
        return false;
    fault_counted[0] = '\0';
    snprintf(action, FAULT_LINE, "%s", what);
    snprintf(fired, sizeof fired, "%s.fired", file);
    return !rename(file, fired);
}

void mill_fault_point(const char *point)
{
    const char *file = getenv("MILL_FAULT_FILE");
    char line[FAULT_LINE] = "", action[FAULT_LINE] = "";
    bool due = false;

    if (!file || !fault_read(file, line))
        return;
    pthread_mutex_lock(&fault_lock);
    due = fault_due(file, point, line, action);
    pthread_mutex_unlock(&fault_lock);
    if (!due)
        return;
    if (!strcmp(action, "kill")) {
        kill(getpid(), SIGKILL);
    } else if (!strcmp(action, "stop")) {
        kill(getpid(), SIGSTOP);
    } else if (!strncmp(action, "sleep-", 6)) {
        int64_t ms = fault_number(action + 6, 0);
        const struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L};

        nanosleep(&t, NULL);
    }
}
