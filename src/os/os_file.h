/* Files that are read whole, or appended to, and directories of certificates. */
#ifndef SS_OS_FILE_H
#define SS_OS_FILE_H

#include "base/mem.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

enum { OS_FILE_MAX = 64 * 1024 * 1024 }; /* bytes */

struct os_file {
    char *data; /* `len` bytes and a NUL; NULL: none */
    size_t len;
    size_t size; /* of the memory */
};

/* Reads a regular file to its end, whatever its size is said to be. Never waits for a writer: a FIFO, a device and a socket are
 * errors. SS_OK: the caller frees *file with os_file_free | SS_ERROR, *file is empty: errno of open(2), fstat(2) or read(2);
 * EISDIR; EINVAL: neither a file nor a directory; EFBIG: more than OS_FILE_MAX; ENOMEM. */
enum ss_status os_file_read(const char *path, const struct ss_mem *mem, struct os_file *file, struct ss_error *err);

/* Overwrites and frees the bytes, which may be secret. */
void os_file_free(const struct ss_mem *mem, struct os_file *file);

bool os_is_directory(const char *path);

/* Whether the directory has an entry as OpenSSL's directories of certificates have: eight hexadecimal digits and ".0". */
bool os_has_hash_links(const char *path);

/* Opens a file to append to; a new one is its owner's alone. */
enum ss_status os_append_open(const char *path, int *fd, struct ss_error *err);

/* Appends `n` <= 3 pieces in one write(2), so that processes can share the file. Errors are ignored. */
struct iovec;
void os_append(int fd, const struct iovec *pieces, int n);

/* getenv(3); NULL as well in a program that has more rights than its user. */
const char *os_env(const char *name);

#pragma GCC visibility pop

#endif
