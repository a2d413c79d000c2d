#include "os/os_group.h"
#include "os/os_iface.h"

#include <errno.h>
#include <string.h> /* memset */
#include <sys/socket.h>

static enum ss_status set_group_error(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

static bool is_of_one_source(const struct os_membership *m)
{
    return m->source.len > 0;
}

#ifndef OS_PLAIN_GROUPS
static int change_source(int fd, int level, bool join, const struct os_membership *m)
{
    struct group_source_req req;
    memset(&req, 0, sizeof req);
    req.gsr_interface = m->iface;
    memcpy(&req.gsr_group, &m->group.sa, m->group.len);
    memcpy(&req.gsr_source, &m->source.sa, m->source.len);
    return setsockopt(fd, level, join ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP, &req, sizeof req);
}

static int change_membership(int fd, bool join, const struct os_membership *m)
{
    struct group_req req;
    int level = m->group.sa.any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (is_of_one_source(m))
        return change_source(fd, level, join, m);
    memset(&req, 0, sizeof req);
    req.gr_interface = m->iface;
    memcpy(&req.gr_group, &m->group.sa, m->group.len);
    return setsockopt(fd, level, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &req, sizeof req);
}
#else /* the options of each family (RFC 1112, RFC 3493 section 5.2); these systems know no sources on all of them */
static int change_group6(int fd, bool join, const struct os_membership *m)
{
    struct ipv6_mreq req = { .ipv6mr_multiaddr = m->group.sa.in6.sin6_addr, .ipv6mr_interface = m->iface };
    return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &req, sizeof req);
}

static int change_membership(int fd, bool join, const struct os_membership *m)
{
    struct ip_mreq req = { .imr_multiaddr = m->group.sa.in.sin_addr };
    if (is_of_one_source(m)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (m->group.sa.any.sa_family == AF_INET6)
        return change_group6(fd, join, m);
    if (m->iface != 0 && !os_iface_address(m->iface, &req.imr_interface)) {
        errno = ENODEV;
        return -1;
    }
    return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &req, sizeof req);
}
#endif

enum ss_status os_group(int fd, bool join, const struct os_membership *m, struct ss_error *err)
{
    if (is_of_one_source(m) && m->source.sa.any.sa_family != m->group.sa.any.sa_family)
        return set_group_error(err, EAFNOSUPPORT);
    return change_membership(fd, join, m) == 0 ? SS_OK : set_group_error(err, errno);
}
