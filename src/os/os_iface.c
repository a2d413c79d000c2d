#include "os/os_iface.h"

#include <errno.h>
#include <ifaddrs.h>  /* getifaddrs */
#include <inttypes.h> /* PRIu32 */
#include <net/if.h>   /* if_nametoindex, if_indextoname */
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
