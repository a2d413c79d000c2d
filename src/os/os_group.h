/* Multicast groups. */
#ifndef SS_OS_GROUP_H
#define SS_OS_GROUP_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Joins or leaves a multicast group, or one source of it (RFC 3678 section 5.1). */
struct os_membership {
    struct ss_addr group;
    struct ss_addr source; /* of the same family; len 0: every source */
    uint32_t iface;        /* index of an interface; 0: the system's choice */
};
enum ss_status os_group(int fd, bool join, const struct os_membership *m, struct ss_error *err);

#pragma GCC visibility pop

#endif
