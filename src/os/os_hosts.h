/* The hosts file (hosts(5)), read once for any number of names. */
#ifndef SS_OS_HOSTS_H
#define SS_OS_HOSTS_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* One name, owned by the caller. */
struct os_hosts_name {
    const char *host;           /* or an address as text: a line with a name for it is searched */
    int family;                 /* of the line's address: AF_INET, AF_INET6; AF_UNSPEC: either */
    bool is_local;              /* the result */
    struct os_hosts_name *next; /* in the set */
};

/* A hash set, initially all zero. It takes no memory, so nothing can fail. */
struct os_hosts_names {
    struct os_hosts_name *buckets[256];
};

/* Adds `name`, whose `host` must stay valid until the file has been read. */
void os_hosts_add(struct os_hosts_names *names, struct os_hosts_name *name);

/* Reads the file and sets is_local of each name that is in it, and of "localhost" if of either family. A resolver that
 * asks the hosts file first, the usual order in nsswitch.conf(5), then needs no name server. */
void os_hosts_read(struct os_hosts_names *names);

#pragma GCC visibility pop

#endif
