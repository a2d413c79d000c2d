/* Network interfaces by name and number (netdevice(7)). */
#ifndef SS_OS_IFACE_H
#define SS_OS_IFACE_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <net/if.h>     /* IF_NAMESIZE */
#include <netinet/in.h> /* MCAST_JOIN_GROUP */
#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Converts an interface's name, or a decimal number from 1 to 4294967295, to an index (RFC 4007 section 11.2).
 * False: neither. */
bool os_iface_index(const char *name, uint32_t *index);

/* The same. SS_ERROR: ENODEV; EMFILE, ENFILE: if_nametoindex(3) needs a descriptor. */
enum ss_status os_iface_find(const char *name, uint32_t *index, struct ss_error *err);

/* Writes the interface's name to `text` (`size` bytes), or `index` in digits when no interface has that index. */
void os_iface_name(uint32_t index, char *text, size_t size);

/* An IP address of an interface, or an interface that has none: then all three addresses are empty. */
struct os_iface_entry {
    char name[IF_NAMESIZE];
    uint32_t index;
    bool up, loopback, multicast;
    struct ss_addr address, netmask, broadcast; /* len 0: none */
};

/* Stores at most `room` entries, in the system's order, and their number, which may be larger, in *n (getifaddrs(3)).
 * SS_OK | SS_ERROR with errno. */
enum ss_status os_ifaces(struct os_iface_entry *list, size_t room, size_t *n, struct ss_error *err);

/* OpenBSD and NetBSD lack the options of RFC 3678: IPv4 multicast there names an interface by one of its addresses. */
#if !defined(MCAST_JOIN_GROUP) || defined(SS_PLAIN_GROUPS)
#define OS_PLAIN_GROUPS
#endif

/* An interface, and one of its addresses if known. */
struct os_iface {
    uint32_t index; /* 0: the system's choice */
    struct ss_addr addr;
};

/* Stores the interface's first IPv4 address. False: none. */
bool os_iface_address(uint32_t index, struct in_addr *addr);

/* Sets `index` to the interface that has `addr`. SS_ERROR: ENODEV: none; getifaddrs(3). */
enum ss_status os_iface_of_address(const struct ss_addr *addr, uint32_t *index, struct ss_error *err);

#pragma GCC visibility pop

#endif
