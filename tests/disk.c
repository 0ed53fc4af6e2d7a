/* Takes from the folder DISK_AT what DISK_LACKS names: mmap, flock, records. Preloaded, it makes a disk of that folder
   that has no shared memory mapping or no locks, for Python, for SQLite, for all that a process calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

static int lacks(int file, const char *what)
{
    const char *list = getenv("DISK_LACKS"), *folder = getenv("DISK_AT");
    char name[64], path[4096];
    ssize_t length;
    if (!list || !folder || !strstr(list, what))
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    length = readlink(name, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

int flock(int file, int operation)
{
    static int (*real)(int, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "flock");
    if (lacks(file, "flock")) {
        errno = ENOSYS;
        return -1;
    }
    return real(file, operation);
}

#define LOCKS(command) ((command) == F_SETLK || (command) == F_SETLKW || (command) == F_GETLK)

#define CONTROL(name)                                      \
    int name(int file, int command, ...)                   \
    {                                                      \
        static int (*real)(int, int, ...);                 \
        va_list list;                                      \
        void *argument;                                    \
        va_start(list, command);                           \
        argument = va_arg(list, void *);                   \
        va_end(list);                                      \
        if (!real)                                         \
            real = dlsym(RTLD_NEXT, #name);                \
        if (LOCKS(command) && lacks(file, "records")) {    \
            errno = ENOLCK;                                \
            return -1;                                     \
        }                                                  \
        return real(file, command, argument);              \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

#define MAP(name, offset_t)                                                                 \
    void *name(void *place, size_t length, int protection, int flags, int file, offset_t at) \
    {                                                                                       \
        static void *(*real)(void *, size_t, int, int, int, offset_t);                      \
        if (!real)                                                                          \
            real = dlsym(RTLD_NEXT, #name);                                                 \
        if ((flags & MAP_TYPE) == MAP_SHARED && file >= 0 && lacks(file, "mmap")) {         \
            errno = ENODEV;                                                                 \
            return MAP_FAILED;                                                              \
        }                                                                                   \
        return real(place, length, protection, flags, file, at);                            \
    }
MAP(mmap, off_t)
MAP(mmap64, off64_t)
