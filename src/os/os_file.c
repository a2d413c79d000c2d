#include "os/os_file.h"

#include <ctype.h> /* isxdigit */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h> /* getenv */
#include <string.h> /* strcmp */
#include <sys/stat.h>
#include <sys/uio.h> /* writev */
#include <unistd.h>

static enum ss_status fail_with_code(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

/* A file that becomes shorter meanwhile has fewer bytes. */
static enum ss_status read_to_end(int fd, struct os_file *file, struct ss_error *err)
{
    while (file->len < file->size - 1) {
        ssize_t got = read(fd, file->data + file->len, file->size - 1 - file->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_with_code(err, errno);
        if (got == 0)
            break;
        file->len += (size_t)got;
    }
    file->data[file->len] = '\0';
    return SS_OK;
}

static enum ss_status read_descriptor(int fd, const struct ss_mem *mem, struct os_file *file, struct ss_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_with_code(err, errno);
    if (!S_ISREG(st.st_mode))
        return fail_with_code(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
    if (st.st_size > OS_FILE_MAX)
        return fail_with_code(err, EFBIG);
    file->size = (size_t)st.st_size + 1;
    file->data = ss_mem_resize(mem, NULL, 0, file->size);
    return file->data ? read_to_end(fd, file, err) : fail_with_code(err, ENOMEM);
}

enum ss_status os_file_read(const char *path, const struct ss_mem *mem, struct os_file *file, struct ss_error *err)
{
    *file = (struct os_file){ NULL, 0, 0 };
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
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

enum ss_status os_append_open(const char *path, int *fd, struct ss_error *err)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    return *fd >= 0 ? SS_OK : fail_with_code(err, errno);
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
