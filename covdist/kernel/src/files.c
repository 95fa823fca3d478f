/* Files that are written, or looked for, in one call: between several, Python's lock is given back and taken again. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include "files.h"

/* Write the whole of a file, which may have to be new: bytes, of which the first `length` count, past the system's cache if
   they are whole pages and the file's system lets them. Then let it change places with another, unless that is NULL. Return
   how far it came; of a new file that cannot be written nothing is left. */
#if defined(__linux__) && defined(SYS_renameat2)
enum { RENAME_BOTH = 2 }; /* RENAME_EXCHANGE, which headers of older systems do not name */

EXPORTED int NAME(write_file)(const char *path, const char *other, const char *data, size_t bytes, size_t length,
                              int is_new, int past_cache)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (is_new ? O_EXCL : 0), 0666);
    if (file < 0)
        return FAILED;
    int past = past_cache && fcntl(file, F_SETFL, O_DIRECT) == 0 && pwrite(file, data, bytes, 0) == (ssize_t)bytes;
    int through = !past_cache || (!past && errno == EINVAL && fcntl(file, F_SETFL, 0) == 0);
    int done = past || (through && pwrite(file, data, length, 0) == (ssize_t)length);
    if (done && lseek(file, 0, SEEK_END) != (off_t)length)
        done = ftruncate(file, (off_t)length) == 0;
    done = close(file) == 0 && done;
    if (!done && is_new)
        unlink(path);
    if (done && other && syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, RENAME_BOTH) == 0)
        return EXCHANGED;
    return !done ? FAILED : past ? PAST_CACHE : WRITTEN;
}

/* Return whether there is a file at each of so many paths, which come one after the other, with a zero at their ends. */
EXPORTED int NAME(are_files)(const char *paths, size_t count)
{
    struct stat found;
    for (; count; count--, paths += strlen(paths) + 1)
        if (stat(paths, &found) != 0 || !S_ISREG(found.st_mode))
            return 0;
    return 1;
}
#else
EXPORTED int NAME(write_file)(const char *path, const char *other, const char *data, size_t bytes, size_t length,
                              int is_new, int past_cache)
{
    (void)path, (void)other, (void)data, (void)bytes, (void)length, (void)is_new, (void)past_cache;
    return FAILED;
}

EXPORTED int NAME(are_files)(const char *paths, size_t count)
{
    (void)paths, (void)count;
    return 0;
}
#endif
