/* Newer system calls, and newer flags of old ones, that are not to be had: an old kernel, an emulator or the profile of a
 * container (seccomp(2)) refuses them. What they do is then done the plain way, whose answer counts: some of these codes are
 * true answers as well. */
#ifndef SS_OS_REFUSED_H
#define SS_OS_REFUSED_H

#include <errno.h>
#include <stdbool.h>

static inline bool os_is_refused(int code)
{
    return code == ENOSYS || code == EPERM || code == EINVAL || code == EOPNOTSUPP;
}

#endif
