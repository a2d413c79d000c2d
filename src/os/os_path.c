#include "os/os_path.h"
#include "os/os_net.h"

#include <errno.h>
#include <sys/stat.h> /* lstat */
#include <unistd.h>   /* unlink */

static bool find_socket_file(const char *path, struct stat *file)
{
    return lstat(path, file) == 0 && S_ISSOCK(file->st_mode);
}

static bool is_connect_refused(const struct ss_addr *addr)
{
    struct ss_error err, ignored;
    bool later;
    int fd;
    if (os_socket(AF_UNIX, SOCK_STREAM, true, &fd, &err) != SS_OK)
        return false;
    enum ss_status st = os_connect(fd, addr, &later, &err);
    os_close(fd, &ignored);
    return st == SS_ERROR && err.code == ECONNREFUSED;
}

/* The second lstat: another process may have replaced the file meanwhile. No system has a call that removes a file only
 * if it still is the same one. */
bool os_remove_dead_socket(const struct ss_addr *addr)
{
    struct stat before, now;
    const char *path = addr->sa.un.sun_path; /* ends in a NUL (ss_addr_unix); "": an abstract name */
    if (addr->sa.any.sa_family != AF_UNIX || !find_socket_file(path, &before) || !is_connect_refused(addr))
        return false;
    return find_socket_file(path, &now) && now.st_ino == before.st_ino && now.st_dev == before.st_dev &&
           unlink(path) == 0;
}
