/* Network interfaces by name and number (netdevice(7)). */
#ifndef SS_OS_IFACE_H
#define SS_OS_IFACE_H

#include <netinet/in.h> /* MCAST_JOIN_GROUP */
#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The number of the interface with that name, or that number itself (RFC 4007 section 11.2). False: there is none. */
bool os_iface_index(const char *name, uint32_t *index);

/* The name of an interface, or its number in digits when it has none (any more). */
void os_iface_name(uint32_t index, char *text, size_t size);

/* OpenBSD and NetBSD: without the options of RFC 3678, multicast over IPv4 names an interface by one of its addresses. */
#if !defined(MCAST_JOIN_GROUP) || defined(SS_PLAIN_GROUPS)
#define OS_PLAIN_GROUPS
/* False: it has none. */
bool os_iface_address(uint32_t index, struct in_addr *addr);
#endif

#pragma GCC visibility pop

#endif
