/* Runs a fuzz target once over every file of the folders and files named: a corpus as a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = 0;
    int rc = 1;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
        goto out;
    data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
        goto out;
    LLVMFuzzerTestOneInput(data, (size_t)size);
    rc = 0;
out:
    if (rc)
        fprintf(stderr, "%s: cannot be read\n", path);
    free(data);
    if (f)
        fclose(f);
    return rc;
}

static int replay_dir(const char *path, size_t *n)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    char file[4096];
    int rc = dir ? 0 : 1;

    while (dir && !rc && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        rc = replay_file(file);
        (*n)++;
    }
    if (dir)
        closedir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    size_t n = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) ||
            (S_ISDIR(st.st_mode) ? replay_dir(argv[i], &n) : replay_file(argv[i])))
            return 1;
    }
    printf("%zu inputs\n", n);
    return n ? 0 : 1; /* an empty corpus tests nothing */
}
