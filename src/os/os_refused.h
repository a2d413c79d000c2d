/* Fallbacks. An old kernel, an emulator or a container's seccomp(2) profile may refuse newer system calls and flags.
 * The caller then uses the older call, whose result counts: these codes may also be genuine errors. */
#ifndef SS_OS_REFUSED_H
#define SS_OS_REFUSED_H

#include <errno.h>
#include <stdbool.h>

static inline bool os_is_refused(int code)
{
    return code == ENOSYS || code == EPERM || code == EINVAL || code == EOPNOTSUPP;
}

#endif
