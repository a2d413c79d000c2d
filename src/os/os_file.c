#include "os/os_file.h"

#include <ctype.h> /* isxdigit */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h> /* getenv */
#include <string.h> /* memcpy, strcmp */
#include <sys/stat.h>
#include <sys/uio.h> /* writev */
#include <unistd.h>

static enum ss_status fail_with_code(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* Another block, since a resize could leave bytes that may be secret in the one before. */
static bool grow_file(const struct ss_mem *mem, struct os_file *file, size_t size)
{
    struct os_file grown = { ss_mem_resize(mem, NULL, 0, size), file->len, size };
    if (!grown.data)
        return false;
    if (file->len > 0)
        memcpy(grown.data, file->data, file->len);
    os_file_free(mem, file);
    *file = grown;
    return true;
}

/* SS_OK: `file` has more bytes | SS_EOF | SS_ERROR. There is room for one and the NUL. */
static enum ss_status read_piece(int fd, struct os_file *file, struct ss_error *err)
{
    ssize_t got;
    do
        got = read(fd, file->data + file->len, file->size - 1 - file->len);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail_with_code(err, errno);
    file->len += (size_t)got;
    return got > 0 ? SS_OK : SS_EOF;
}

/* `size`: of the first block. */
static enum ss_status read_to_end(int fd, const struct ss_mem *mem, size_t size, struct os_file *file,
                                  struct ss_error *err)
{
    enum ss_status st = SS_OK;
    while (st == SS_OK) {
        if (file->size - file->len < 2 && !grow_file(mem, file, size))
            return fail_with_code(err, ENOMEM);
        st = read_piece(fd, file, err);
        if (file->len > OS_FILE_MAX)
            return fail_with_code(err, EFBIG);
        size = ss_min_size(file->size * 2, OS_FILE_MAX + 2);
    }
    if (st == SS_EOF)
        file->data[file->len] = '\0';
    return st == SS_EOF ? SS_OK : st;
}

/* The size that the system tells is where to begin: 0 for files of procfs, and others change while they are read. */
static enum ss_status read_descriptor(int fd, const struct ss_mem *mem, struct os_file *file, struct ss_error *err)
{
    enum { LEAST = 4096 };
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_with_code(err, errno);
    if (!S_ISREG(st.st_mode))
        return fail_with_code(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
    if (st.st_size > OS_FILE_MAX)
        return fail_with_code(err, EFBIG);
    return read_to_end(fd, mem, st.st_size < LEAST ? LEAST : (size_t)st.st_size + 2, file, err);
}

/* A FIFO without a writer is opened at once, and a file of a network may be interrupted. */
static int open_to_read(const char *path)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum ss_status os_file_read(const char *path, const struct ss_mem *mem, struct os_file *file, struct ss_error *err)
{
    *file = (struct os_file){ NULL, 0, 0 };
    int fd = open_to_read(path);
    if (fd < 0)
        return fail_with_code(err, errno);
    enum ss_status st = read_descriptor(fd, mem, file, err);
    close(fd);
    if (st != SS_OK)
        os_file_free(mem, file);
    return st;
}

void os_file_free(const struct ss_mem *mem, struct os_file *file)
{
    volatile char *byte = file->data; /* or the compiler would leave the overwriting out */
    for (size_t i = 0; file->data && i < file->len; i++)
        byte[i] = 0;
    ss_mem_free(mem, file->data, file->size);
    *file = (struct os_file){ NULL, 0, 0 };
}

bool os_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_hash_link(const char *name)
{
    enum { DIGITS = 8 };
    int n = 0;
    while (n < DIGITS && isxdigit((unsigned char)name[n]))
        n++;
    return n == DIGITS && strcmp(name + n, ".0") == 0;
}

bool os_has_hash_links(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    bool found = false;
    while (dir && !found && (entry = readdir(dir)) != NULL)
        found = is_hash_link(entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

/* Writing to a FIFO whose reader has left would end the process (SIGPIPE). */
static enum ss_status check_no_pipe(int fd, struct ss_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_with_code(err, errno);
    return S_ISFIFO(st.st_mode) ? fail_with_code(err, EINVAL) : SS_OK;
}

enum ss_status os_append_open(const char *path, int *fd, struct ss_error *err)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (*fd < 0)
        return fail_with_code(err, errno);
    enum ss_status st = check_no_pipe(*fd, err);
    if (st != SS_OK) {
        close(*fd);
        *fd = -1;
    }
    return st;
}

void os_append(int fd, const struct iovec *pieces, int n)
{
    while (writev(fd, pieces, n) < 0 && errno == EINTR)
        ;
}

const char *os_env(const char *name)
{
#ifdef __GLIBC__
    return secure_getenv(name);
#else
    return getuid() == geteuid() && getgid() == getegid() ? getenv(name) : NULL;
#endif
}
