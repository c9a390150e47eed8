/* The sink's allocator is jemalloc, set here: a thousand open files are some ten thousand small
 * buffers that come and go, by several threads. At 1,008 files glibc's took a seventh more CPU, at
 * one path 30 MB more (tests/bench/RESULTS.md). Two arenas: what one thread has freed is of use to
 * the others. Not in builds with a sanitizer, which has its own. */
extern const char
    *malloc_conf; /* jemalloc's name; MALLOC_CONF in the environment is read after it */
const char *malloc_conf = "narenas:2";
