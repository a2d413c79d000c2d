#include "os/os_iface.h"

#include <errno.h>
#include <ifaddrs.h>  /* getifaddrs */
#include <inttypes.h> /* PRIu32 */
#include <net/if.h>   /* if_nametoindex, if_indextoname, IFF_* */
#include <stdio.h>    /* snprintf */
#include <string.h>   /* strspn, memcmp */

/* Digits only; strtoul(3) accepts blanks and signs. */
static bool parse_iface_index(const char *text, uint32_t *number)
{
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *number = (uint32_t)value;
    return value > 0 && value <= UINT32_MAX;
}

/* After if_nametoindex(3), which needs a descriptor and says ENOENT in glibc when there is none. */
static int iface_failure(int code)
{
    struct ifaddrs *all;
    if (code == ENODEV)
        return code;
    if (getifaddrs(&all) == -1)
        return errno == EMFILE || errno == ENFILE ? errno : ENODEV;
    freeifaddrs(all);
    return ENODEV;
}

enum ss_status os_iface_find(const char *name, uint32_t *index, struct ss_error *err)
{
    unsigned found = if_nametoindex(name);
    int code = errno;
    *index = found;
    if (found != 0 || parse_iface_index(name, index))
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, iface_failure(code) };
    return SS_ERROR;
}

bool os_iface_index(const char *name, uint32_t *index)
{
    *index = if_nametoindex(name);
    return *index != 0 || parse_iface_index(name, index);
}

void os_iface_name(uint32_t index, char *text, size_t size)
{
    char name[IF_NAMESIZE];
    if (if_indextoname(index, name))
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "%" PRIu32, index);
}

/* Addresses */

static bool is_ipv4_of(const struct ifaddrs *item, const char *name)
{
    return item->ifa_addr && item->ifa_addr->sa_family == AF_INET && strcmp(item->ifa_name, name) == 0;
}

bool os_iface_address(uint32_t index, struct in_addr *addr)
{
    char name[IF_NAMESIZE];
    struct ifaddrs *all;
    if (!if_indextoname(index, name) || getifaddrs(&all) == -1)
        return false;
    const struct ifaddrs *item = all;
    while (item && !is_ipv4_of(item, name))
        item = item->ifa_next;
    if (item)
        *addr = ((const struct sockaddr_in *)(const void *)item->ifa_addr)->sin_addr;
    freeifaddrs(all);
    return item != NULL;
}

static bool has_ipv6_address(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    bool same_zone = b->sin6_scope_id == 0 || a->sin6_scope_id == b->sin6_scope_id;
    return same_zone && memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static bool has_address(const struct ifaddrs *item, const struct ss_addr *addr)
{
    const void *own = item->ifa_addr;
    if (!own || item->ifa_addr->sa_family != addr->sa.any.sa_family)
        return false;
    if (addr->sa.any.sa_family == AF_INET)
        return ((const struct sockaddr_in *)own)->sin_addr.s_addr == addr->sa.in.sin_addr.s_addr;
    return has_ipv6_address(own, &addr->sa.in6);
}

enum ss_status os_iface_of_address(const struct ss_addr *addr, uint32_t *index, struct ss_error *err)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) == -1) {
        *err = (struct ss_error){ SS_SYSTEM, errno };
        return SS_ERROR;
    }
    const struct ifaddrs *item = all;
    while (item && !has_address(item, addr))
        item = item->ifa_next;
    *index = item ? if_nametoindex(item->ifa_name) : 0;
    freeifaddrs(all);
    *err = (struct ss_error){ SS_SYSTEM, ENODEV };
    return *index ? SS_OK : SS_ERROR;
}

/* All interfaces */

static bool has_ip_address(const struct ifaddrs *item)
{
    return item->ifa_addr && (item->ifa_addr->sa_family == AF_INET || item->ifa_addr->sa_family == AF_INET6);
}

/* The length of the interface's name. Linux puts the label of an IPv4 address in its place: "eth0:1" (ip-address(8)). */
static size_t iface_name_len(const struct ifaddrs *item)
{
    return strcspn(item->ifa_name, ":");
}

static bool is_same_iface(const struct ifaddrs *a, const struct ifaddrs *b)
{
    size_t len = iface_name_len(a);
    return len == iface_name_len(b) && strncmp(a->ifa_name, b->ifa_name, len) == 0;
}

/* Whether the item becomes an entry: each IP address does, and the first item of an interface without any. */
static bool is_iface_entry(const struct ifaddrs *all, const struct ifaddrs *item)
{
    const struct ifaddrs *first = NULL;
    if (has_ip_address(item))
        return true;
    for (; all; all = all->ifa_next) {
        if (!is_same_iface(all, item))
            continue;
        if (has_ip_address(all))
            return false;
        if (!first)
            first = all;
    }
    return first == item;
}

/* The BSDs and macOS cut a netmask after its last byte that is not 0, and may leave its family out. */
static size_t sockaddr_size(const struct sockaddr *sa, size_t size)
{
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
    return sa->sa_len < size ? sa->sa_len : size;
#else
    (void)sa;
    return size;
#endif
}

static void copy_sockaddr(struct ss_addr *addr, const struct sockaddr *sa, sa_family_t family)
{
    if (!sa)
        return;
    size_t size = family == AF_INET ? sizeof addr->sa.in : sizeof addr->sa.in6;
    memcpy(&addr->sa, sa, sockaddr_size(sa, size));
    addr->sa.any.sa_family = family;
    addr->len = (socklen_t)size;
}

/* Without IFF_BROADCAST the field has another meaning. glibc puts the address itself there if there is no other. */
static bool has_broadcast(const struct ifaddrs *item, sa_family_t family)
{
    struct ss_addr address = { .len = 0 }, broadcast = { .len = 0 };
    copy_sockaddr(&address, item->ifa_addr, family);
    copy_sockaddr(&broadcast, item->ifa_broadaddr, family);
    return (item->ifa_flags & IFF_BROADCAST) && memcmp(&address, &broadcast, sizeof address) != 0;
}

/* An entry's index is 0 if its interface has vanished meanwhile. False: errno. */
static bool fill_iface(struct os_iface_entry *entry, const struct ifaddrs *item)
{
    *entry = (struct os_iface_entry){ .up = item->ifa_flags & IFF_UP,
                                      .loopback = item->ifa_flags & IFF_LOOPBACK,
                                      .multicast = item->ifa_flags & IFF_MULTICAST };
    snprintf(entry->name, sizeof entry->name, "%.*s", (int)iface_name_len(item), item->ifa_name);
    entry->index = if_nametoindex(entry->name);
    if (entry->index == 0 && errno != ENODEV && errno != ENXIO)
        return false;
    if (!has_ip_address(item))
        return true;
    sa_family_t family = item->ifa_addr->sa_family;
    copy_sockaddr(&entry->address, item->ifa_addr, family);
    copy_sockaddr(&entry->netmask, item->ifa_netmask, family);
    if (has_broadcast(item, family))
        copy_sockaddr(&entry->broadcast, item->ifa_broadaddr, family);
    return true;
}

static bool copy_ifaces(const struct ifaddrs *all, struct os_iface_entry *list, size_t room, size_t *n)
{
    struct os_iface_entry entry;
    *n = 0;
    for (const struct ifaddrs *item = all; item; item = item->ifa_next) {
        if (!is_iface_entry(all, item))
            continue;
        if (!fill_iface(&entry, item))
            return false;
        if (entry.index == 0)
            continue;
        if (*n < room)
            list[*n] = entry;
        ++*n;
    }
    return true;
}

enum ss_status os_ifaces(struct os_iface_entry *list, size_t room, size_t *n, struct ss_error *err)
{
    struct ifaddrs *all;
    bool ok = getifaddrs(&all) == 0;
    if (ok) {
        ok = copy_ifaces(all, list, room, n);
        int code = errno;
        freeifaddrs(all);
        errno = code;
    }
    if (ok)
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, errno };
    return SS_ERROR;
}
