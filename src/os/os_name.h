/* Name look-up with the system's own configuration (getaddrinfo(3)). */
#ifndef SS_OS_NAME_H
#define SS_OS_NAME_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

struct addrinfo;

/* The addresses of a name in the order of RFC 6724. Waits as long as the resolver does. On SS_OK the
 * list is to be given back with os_names_free. */
enum ss_status os_names(const char *host, struct addrinfo **list, struct ss_error *err);
void os_names_free(struct addrinfo *list);

/* Whether the name stands in the hosts file, or is "localhost": where that is asked first, as it is nearly everywhere, it is
 * found without a name server. Reads the file. */
bool os_name_is_local(const char *host);

/* Copies address after address, with `port`: true while there was one; *next starts as the list. */
bool os_names_next(const struct addrinfo **next, uint16_t port, struct ss_addr *addr);

#pragma GCC visibility pop

#endif
