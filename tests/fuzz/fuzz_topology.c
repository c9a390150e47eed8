/* A topology file, read twice over itself. */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], both[130];
    struct topology t;
    struct mill_err err = {0};
    FILE *f;

    snprintf(path, sizeof path, "%s/mill-fuzz-%d.json", P_tmpdir, (int)getpid());
    snprintf(both, sizeof both, "%s:%s", path, path);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f))
        abort();
    if (!topology_read(&t, both, &err)) {
        for (size_t i = 0; i < t.n; i++)
            if (t.topics[i].partitions < 1)
                abort();
        topology_release(&t);
    } else if (err.code != MILL_E_CONFIG) {
        abort();
    }
    unlink(path);
    return 0;
}
