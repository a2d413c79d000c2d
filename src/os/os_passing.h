/* Descriptors that travel beside the bytes of a Unix stream (unix(7), SCM_RIGHTS). */
#ifndef SS_OS_PASSING_H
#define SS_OS_PASSING_H

#include "base/status.h"

#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Sends some of `len` >= 1 bytes, and a copy of descriptor `passed` with the first of them. flags: OS_DONTWAIT.
 * SS_OK: *sent >= 1, and it has gone | SS_WANT, SS_ERROR: it has not. */
enum ss_status os_send_fd(int fd, const void *data, size_t len, int passed, int flags, size_t *sent,
                          struct ss_error *err);

/* What has come beside the bytes, if not a descriptor. */
enum {
    OS_NOTHING_PASSED = -1,
    OS_PASSED_LOST = -2 /* a descriptor for which this process had no room; the kernel has closed it (MSG_CTRUNC) */
};

/* Receives 1 to `len` bytes; *passed: the first descriptor that came with them, close-on-exec and the caller's, or one
 * of the above. Others are closed. flags: OS_DONTWAIT. SS_OK | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status os_recv_fd(int fd, void *buf, size_t len, int flags, size_t *got, int *passed, struct ss_error *err);

#pragma GCC visibility pop

#endif
