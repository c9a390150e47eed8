/* May the cache file of an earlier life be used? A text file beside it says of which topic, format
 * and boot of the machine it is. LMDB without a sync is whole after kill -9, for the kernel has
 * what was written; after a power cut it may be anything, and it is not even opened. */
#include "base/buf.h"
#include "kafka/table_store_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Raise it when what the file holds changes in form or meaning. */
enum { FORMAT = 2, PATH_BYTES = 1100, TEXT_MAX = 4096 };
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* What the text of a file made now is; empty where the machine does not say its boot. */
static bool life_text(struct mill_buf *out, const char *topic)
{
    if (!mill_buf_printf(out, "sendmill-table %d\ntopic %s\nboot ", FORMAT, topic) ||
        mill_buf_add_file(out, BOOT_ID))
        mill_buf_reset(out);
    return out->n > 0;
}

static void life_path(char *out, size_t size, const char *mdb)
{
    snprintf(out, size, "%s.life", mdb);
}

bool run_life_same(const char *mdb, const char *topic)
{
    char path[PATH_BYTES];
    struct mill_buf want, have;
    bool same;

    mill_buf_init(&want, TEXT_MAX);
    mill_buf_init(&have, TEXT_MAX);
    life_path(path, sizeof path, mdb);
    same = life_text(&want, topic) && !mill_buf_add_file(&have, path) &&
           mill_str_eq(mill_buf_view(&want), mill_buf_view(&have));
    mill_buf_release(&want);
    mill_buf_release(&have);
    return same;
}

void run_life_end(const char *mdb)
{
    char path[PATH_BYTES];

    life_path(path, sizeof path, mdb);
    unlink(path); /* first: a file without it is not used */
    unlink(mdb);
}

int run_life_begin(const char *mdb, const char *topic)
{
    char path[PATH_BYTES], fresh[PATH_BYTES + 8];
    struct mill_buf text;
    FILE *f = NULL;
    int rc = 0;

    mill_buf_init(&text, TEXT_MAX);
    life_path(path, sizeof path, mdb);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (!life_text(&text, topic))
        goto out; /* never used again, that is all */
    f = fopen(fresh, "we");
    if (!f || fwrite(text.p, 1, text.n, f) != text.n)
        rc = errno;
    if (f && fclose(f) && !rc)
        rc = errno;
    if (!rc && rename(fresh, path))
        rc = errno;
out:
    mill_buf_release(&text);
    return rc;
}
