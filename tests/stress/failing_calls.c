/* Preloaded into a process, makes one system call fail that changes a file below a folder.
 *
 * arm() is called by the process itself when counting shall begin. Calls are counted from 1, and
 * listed in a file; the one with the number wanted fails as wanted. What a C library calls within
 * itself, such as the write of fclose(), is not seen: Python calls these functions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL = -1, SHORT = -2, FULL = -3 }; /* else the number of an error */

static char scope[PATH_MAX];
static size_t scope_length;
static long wanted;
static int fault;
static int list = -1;
static atomic_long count;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t real_write(int file, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(file, data, size);
}

void arm(const char *folder, long number, int how, const char *listing)
{
    REAL(int, "open", const char *, int, ...);
    snprintf(scope, sizeof scope, "%s", folder);
    scope_length = strlen(scope);
    wanted = number;
    fault = how;
    count = 0;
    list = real(listing, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static int is_within(const char *path)
{
    return strncmp(path, scope, scope_length) == 0
        && (path[scope_length] == '/' || path[scope_length] == 0);
}

static void path_of(int file, char *path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
}

/* Counts a call, and kills the process or returns 1, with errno set, if it is to fail. */
static int fails(const char *call, const char *path, int takes_space, int can_be_short)
{
    if (list < 0 || !is_within(path)) return 0;
    int saved = errno;
    char line[PATH_MAX + 100];
    long number = atomic_fetch_add(&count, 1) + 1;
    int length = snprintf(line, sizeof line, "%ld\t%s\t%s\n", number, call, path);
    real_write(list, line, (size_t)length);
    errno = saved;
    if (fault == FULL && number >= wanted && takes_space) {
        errno = ENOSPC;
        return 1;
    }
    if (number != wanted || fault == FULL) return 0;
    if (fault == KILL) raise(SIGKILL);
    if (fault == SHORT) return can_be_short;
    errno = fault;
    return 1;
}

static int fails_at(const char *call, int folder, const char *name, int takes_space)
{
    char path[2 * PATH_MAX] = "";
    if (list < 0) return 0;
    if (name[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(path, PATH_MAX)) return 0;
        } else {
            path_of(folder, path, PATH_MAX);
        }
        strcat(path, "/");
    }
    strncat(path, name, PATH_MAX - 1);
    return fails(call, path, takes_space, 0);
}

static int fails_on(const char *call, int file, int takes_space, int can_be_short)
{
    char path[PATH_MAX];
    if (list < 0) return 0;
    path_of(file, path, sizeof path);
    return fails(call, path, takes_space, can_be_short);
}

ssize_t write(int file, const void *data, size_t size)
{
    if (fails_on("write", file, 1, size > 1)) {
        if (fault != SHORT) return -1;
        size /= 2;
    }
    return real_write(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int number)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return fails_on("writev", file, 1, 0) ? -1 : real(file, parts, number);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if ((flags & O_ACCMODE) != O_RDONLY && fails_at("open", AT_FDCWD, path, 1)) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if ((flags & O_ACCMODE) != O_RDONLY && fails_at("open", folder, path, 1)) return -1; \
        return real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define ON_FILE(name, space) \
    int name(int file) \
    { \
        REAL(int, #name, int); \
        return fails_on(#name, file, space, 0) ? -1 : real(file); \
    }
ON_FILE(fsync, 1)
ON_FILE(fdatasync, 1)

#define ON_PATH(name) \
    int name(const char *path) \
    { \
        REAL(int, #name, const char *); \
        return fails_at(#name, AT_FDCWD, path, 0) ? -1 : real(path); \
    }
ON_PATH(unlink)
ON_PATH(rmdir)

#define WITH_MODE(name, space) \
    int name(const char *path, mode_t mode) \
    { \
        REAL(int, #name, const char *, mode_t); \
        return fails_at(#name, AT_FDCWD, path, space) ? -1 : real(path, mode); \
    }
WITH_MODE(mkdir, 1)
WITH_MODE(chmod, 0)

#define TWO_PATHS(name) \
    int name(const char *from, const char *to) \
    { \
        REAL(int, #name, const char *, const char *); \
        return fails_at(#name, AT_FDCWD, to, 0) ? -1 : real(from, to); \
    }
TWO_PATHS(rename)
TWO_PATHS(link)
TWO_PATHS(symlink)

#define WITH_LENGTH(name, type) \
    int name(int file, type length) \
    { \
        REAL(int, #name, int, type); \
        return fails_on(#name, file, 0, 0) ? -1 : real(file, length); \
    }
WITH_LENGTH(ftruncate, off_t)
WITH_LENGTH(ftruncate64, off64_t)

#define PATH_WITH_LENGTH(name, type) \
    int name(const char *path, type length) \
    { \
        REAL(int, #name, const char *, type); \
        return fails_at(#name, AT_FDCWD, path, 0) ? -1 : real(path, length); \
    }
PATH_WITH_LENGTH(truncate, off_t)
PATH_WITH_LENGTH(truncate64, off64_t)

int fchmod(int file, mode_t mode)
{
    REAL(int, "fchmod", int, mode_t);
    return fails_on("fchmod", file, 0, 0) ? -1 : real(file, mode);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags)
{
    REAL(int, "fchmodat", int, const char *, mode_t, int);
    return fails_at("fchmodat", folder, path, 0) ? -1 : real(folder, path, mode, flags);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    return fails_at("mkdirat", folder, path, 1) ? -1 : real(folder, path, mode);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    return fails_at("unlinkat", folder, path, 0) ? -1 : real(folder, path, flags);
}

int renameat(int folder, const char *from, int other, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    return fails_at("renameat", other, to, 0) ? -1 : real(folder, from, other, to);
}

int flock(int file, int operation)
{
    REAL(int, "flock", int, int);
    return fails_on("flock", file, 0, 0) ? -1 : real(file, operation);
}
