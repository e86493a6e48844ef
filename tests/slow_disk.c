/* Laid over the host with LD_PRELOAD: every write to the log's write-ahead log takes SLOW_MS milliseconds, and every wait until
   the log's files are on the disk SLOW_SYNC_MS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int ends_with(const char *path, size_t length, const char *end) {
    size_t of_end = strlen(end);
    return length >= of_end && strcmp(path + length - of_end, end) == 0;
}

/* That it came to this, as a file called SLOWED. */
static void note(void) {
    const char *path = getenv("SLOWED");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT, 0600);
    if (file >= 0) {
        close(file);
    }
}

static void wait_if_slow(int file, const char *variable, int database) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *delay = getenv(variable);
    if (length < 0 || delay == NULL) {
        return;
    }
    path[length] = 0;
    if (!ends_with(path, length, "-wal") && !(database && ends_with(path, length, "/log.db"))) {
        return;
    }
    long ms = atol(delay);
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    note();
    nanosleep(&time, NULL);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL) {
        real = dlsym(RTLD_NEXT, "pwrite64");
    }
    wait_if_slow(file, "SLOW_MS", 0);
    return real(file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    return pwrite64(file, bytes, count, at);
}

static int sync_slowly(int file, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    wait_if_slow(file, "SLOW_SYNC_MS", 1);
    return real(file);
}

int fsync(int file) {
    return sync_slowly(file, "fsync");
}

int fdatasync(int file) {
    return sync_slowly(file, "fdatasync");
}
