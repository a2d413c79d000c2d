/* Name look-up as the system is configured (getaddrinfo(3)). */
#ifndef SS_OS_NAME_H
#define SS_OS_NAME_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

struct addrinfo;

/* The addresses of a name in the order of RFC 6724. Blocks without a bound. SS_OK: the caller frees *list with
 * os_names_free | SS_ERROR: EAI_* (SS_RESOLVER), or errno for EAI_SYSTEM. */
enum ss_status os_names(const char *host, struct addrinfo **list, struct ss_error *err);
void os_names_free(struct addrinfo *list);

/* Copies the next IP address, with `port` in host order. *next starts as the list and advances. False: the end. */
bool os_names_next(const struct addrinfo **next, uint16_t port, struct ss_addr *addr);

#pragma GCC visibility pop

#endif
