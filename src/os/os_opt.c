#include "os/os_opt.h"
#include "os/os_iface.h"

#include <arpa/inet.h> /* inet_ntop */
#include <errno.h>
#include <limits.h>      /* UCHAR_MAX */
#include <netinet/in.h>  /* IPPROTO_* */
#include <net/if.h>      /* IF_NAMESIZE */
#include <netinet/tcp.h> /* TCP_* */
#include <string.h>      /* strcmp, memset */
#include <sys/socket.h>

#define BOTH (OS_OPT_STREAM | OS_OPT_DGRAM)

#if !defined(TCP_KEEPIDLE) && defined(TCP_KEEPALIVE)
#define TCP_KEEPIDLE TCP_KEEPALIVE /* macOS, seconds as well */
#endif

#ifdef SO_LINGER_SEC /* macOS: SO_LINGER counts ticks */
#define LINGER SO_LINGER_SEC
#else
#define LINGER SO_LINGER
#endif

#ifdef IPV6_FREEBIND
#define FREEBIND6 IPPROTO_IPV6, IPV6_FREEBIND
#else
#define FREEBIND6 0, 0
#endif

const struct os_opt os_opts[] = {
    { "OPT_TCP_NODELAY", "tcp_nodelay", OS_OPT_FLAG, OS_OPT_STREAM, IPPROTO_TCP, TCP_NODELAY, 0, 0 },
    { "OPT_TCP_KEEPALIVE", "tcp_keepalive", OS_OPT_FLAG, OS_OPT_STREAM, SOL_SOCKET, SO_KEEPALIVE, 0, 0 },
    { "OPT_TCP_REUSEADDR", "tcp_reuseaddr", OS_OPT_FLAG, BOTH, SOL_SOCKET, SO_REUSEADDR, 0, 0 },
#ifdef SO_REUSEPORT
    { "OPT_REUSEPORT", "reuseport", OS_OPT_FLAG, BOTH, SOL_SOCKET, SO_REUSEPORT, 0, 0 },
#endif
    { "OPT_IPV6_V6ONLY", "ipv6_v6only", OS_OPT_FLAG, BOTH, IPPROTO_IPV6, IPV6_V6ONLY, 0, 0 },
    { "OPT_RCVBUF", "rcvbuf", OS_OPT_INT, BOTH, SOL_SOCKET, SO_RCVBUF, 0, 0 },
    { "OPT_SNDBUF", "sndbuf", OS_OPT_INT, BOTH, SOL_SOCKET, SO_SNDBUF, 0, 0 },
    { "OPT_LINGER", "linger", OS_OPT_LINGER, BOTH, SOL_SOCKET, LINGER, 0, 0 },
#ifdef TCP_KEEPIDLE
    { "OPT_TCP_KEEPIDLE", "tcp_keepidle", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_KEEPIDLE, 0, 0 },
#endif
#ifdef TCP_KEEPINTVL
    { "OPT_TCP_KEEPINTVL", "tcp_keepintvl", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_KEEPINTVL, 0, 0 },
#endif
#ifdef TCP_KEEPCNT
    { "OPT_TCP_KEEPCNT", "tcp_keepcnt", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_KEEPCNT, 0, 0 },
#endif
#ifdef TCP_USER_TIMEOUT
    { "OPT_TCP_USER_TIMEOUT", "tcp_user_timeout", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0 },
#endif
#ifdef TCP_CORK
    { "OPT_TCP_CORK", "tcp_cork", OS_OPT_FLAG, OS_OPT_STREAM, IPPROTO_TCP, TCP_CORK, 0, 0 },
#elif defined(TCP_NOPUSH)
    { "OPT_TCP_CORK", "tcp_cork", OS_OPT_FLAG, OS_OPT_STREAM, IPPROTO_TCP, TCP_NOPUSH, 0, 0 },
#endif
#ifdef TCP_FASTOPEN
    { "OPT_TCP_FASTOPEN", "tcp_fastopen", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_FASTOPEN, 0, 0 },
#endif
#ifdef TCP_DEFER_ACCEPT
    { "OPT_TCP_DEFER_ACCEPT", "tcp_defer_accept", OS_OPT_INT, OS_OPT_STREAM, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0 },
#endif
    { "OPT_ERROR", "error", OS_OPT_INT, BOTH | OS_OPT_READONLY, SOL_SOCKET, SO_ERROR, 0, 0 },
    { "OPT_BROADCAST", "broadcast", OS_OPT_FLAG, OS_OPT_DGRAM, SOL_SOCKET, SO_BROADCAST, 0, 0 },
    { "OPT_IP_TTL", "ip_ttl", OS_OPT_INT, BOTH, IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS },
    { "OPT_IP_TOS", "ip_tos", OS_OPT_INT, BOTH, IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS },
    { "OPT_IP_MULTICAST_TTL", "ip_multicast_ttl", OS_OPT_INT, OS_OPT_DGRAM, IPPROTO_IP, IP_MULTICAST_TTL, IPPROTO_IPV6,
      IPV6_MULTICAST_HOPS },
    { "OPT_IP_MULTICAST_LOOP", "ip_multicast_loop", OS_OPT_FLAG, OS_OPT_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP,
      IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
    { "OPT_IP_MULTICAST_IF", "ip_multicast_if", OS_OPT_IFACE, OS_OPT_DGRAM, IPPROTO_IP, IP_MULTICAST_IF, IPPROTO_IPV6,
      IPV6_MULTICAST_IF },
#ifdef IP_FREEBIND
    { "OPT_IP_FREEBIND", "ip_freebind", OS_OPT_FLAG, BOTH, IPPROTO_IP, IP_FREEBIND, FREEBIND6 },
#endif
#ifdef SO_BINDTODEVICE
    { "OPT_BINDTODEVICE", "bindtodevice", OS_OPT_DEVICE, BOTH, SOL_SOCKET, SO_BINDTODEVICE, 0, 0 },
#endif
    { "OPT_DONTROUTE", "dontroute", OS_OPT_FLAG, BOTH, SOL_SOCKET, SO_DONTROUTE, 0, 0 },
#ifdef SO_PEERCRED
    { "OPT_PEERCRED", "peercred", OS_OPT_CRED, BOTH | OS_OPT_READONLY, SOL_SOCKET, SO_PEERCRED, 0, 0 },
#endif
    { "OPT_SPIN", "spin", OS_OPT_SPIN, BOTH, 0, 0, 0, 0 },
    { NULL, NULL, OS_OPT_FLAG, 0, 0, 0, 0, 0 },
};

const struct os_opt *os_opt_find(const char *name)
{
    const struct os_opt *opt = os_opts;
    while (opt->name && strcmp(opt->name, name) != 0)
        opt++;
    return opt->name ? opt : NULL;
}

bool os_opt_applies(const struct os_opt *opt, int family)
{
    if (family == AF_UNIX)
        return opt->level == SOL_SOCKET;
    return family == AF_INET6 || opt->level != IPPROTO_IPV6;
}

static enum ss_status option_result(int value, struct ss_error *err)
{
    if (value == 0)
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, errno };
    return SS_ERROR;
}

static bool is_byte_option(int level, int opt, int value)
{
    return level == IPPROTO_IP && (opt == IP_MULTICAST_TTL || opt == IP_MULTICAST_LOOP) && value >= 0 &&
           value <= UCHAR_MAX;
}

/* OpenBSD accepts the IPv4 multicast options as a byte only (ip(4)). */
static int set_as_byte(int fd, int level, int opt, int value)
{
    unsigned char byte = (unsigned char)value;
    return setsockopt(fd, level, opt, &byte, sizeof byte);
}

enum ss_status os_opt_set_raw(int fd, int level, int opt, int value, struct ss_error *err)
{
    int done = setsockopt(fd, level, opt, &value, sizeof value);
    if (done == -1 && errno == EINVAL && is_byte_option(level, opt, value))
        done = set_as_byte(fd, level, opt, value);
    return option_result(done, err);
}

enum ss_status os_opt_set_bytes(int fd, int level, int opt, const void *bytes, size_t len, struct ss_error *err)
{
    return option_result(setsockopt(fd, level, opt, bytes, (socklen_t)len), err);
}

enum ss_status os_opt_get_bytes(int fd, int level, int opt, void *bytes, size_t *len, struct ss_error *err)
{
    socklen_t room = (socklen_t)*len;
    memset(bytes, 0, *len); /* some options read the buffer too */
    enum ss_status st = option_result(getsockopt(fd, level, opt, bytes, &room), err);
    if (st == SS_OK && room < *len) /* Linux returns the full length of some options that were cut */
        *len = room;
    return st;
}

bool os_opt_is_linger(int level, int opt)
{
    return level == SOL_SOCKET && (opt == SO_LINGER || opt == LINGER);
}

bool os_opt_is_timeout(int level, int opt)
{
#ifdef SO_RCVTIMEO_OLD /* Linux: two numbers for each, by the size of time_t */
    if (level == SOL_SOCKET &&
        (opt == SO_RCVTIMEO_OLD || opt == SO_SNDTIMEO_OLD || opt == SO_RCVTIMEO_NEW || opt == SO_SNDTIMEO_NEW))
        return true;
#endif
    return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO);
}

bool os_opt_is_error(int level, int opt)
{
    return level == SOL_SOCKET && opt == SO_ERROR;
}

enum ss_status os_opt_get_raw(int fd, int level, int opt, int *value, struct ss_error *err)
{
    union {
        int number;
        unsigned char byte; /* multicast options on some systems */
    } v = { 0 };
    socklen_t len = sizeof v;
    enum ss_status st = option_result(getsockopt(fd, level, opt, &v, &len), err);
    *value = len == 1 ? v.byte : v.number;
    return st;
}

static enum ss_status set_linger(int fd, int seconds, struct ss_error *err)
{
    struct linger linger = { .l_onoff = seconds >= 0, .l_linger = seconds < 0 ? 0 : seconds };
    return option_result(setsockopt(fd, SOL_SOCKET, LINGER, &linger, sizeof linger), err);
}

static enum ss_status get_linger(int fd, int *seconds, struct ss_error *err)
{
    struct linger linger = { 0 };
    socklen_t len = sizeof linger;
    enum ss_status st = option_result(getsockopt(fd, SOL_SOCKET, LINGER, &linger, &len), err);
    *seconds = linger.l_onoff ? linger.l_linger : -1;
    return st;
}

static bool has_ipv6_option(const struct os_opt *opt, int family)
{
    return family == AF_INET6 && opt->level6 != 0;
}

/* Multicast interfaces. IPv4 gets the address too: getsockopt(2) returns that, and datagrams of an unbound socket have it. */

#ifdef OS_PLAIN_GROUPS
static int set_multicast_if4(int fd, int opt, uint32_t index, struct in_addr addr)
{
    (void)index;
    return setsockopt(fd, IPPROTO_IP, opt, &addr, sizeof addr);
}
#else
static int set_multicast_if4(int fd, int opt, uint32_t index, struct in_addr addr)
{
    struct ip_mreqn req;
    memset(&req, 0, sizeof req);
    req.imr_ifindex = (int)index;
    req.imr_address = addr;
    return setsockopt(fd, IPPROTO_IP, opt, &req, sizeof req);
}
#endif

static struct in_addr iface_address(const struct os_iface *iface)
{
    struct in_addr addr = { .s_addr = INADDR_ANY };
    if (iface->addr.len > 0 && iface->addr.sa.any.sa_family == AF_INET)
        return iface->addr.sa.in.sin_addr;
    if (iface->index != 0)
        os_iface_address(iface->index, &addr); /* without one it stays 0.0.0.0 */
    return addr;
}

enum ss_status os_opt_set_iface(int fd, int family, const struct os_opt *opt, const struct os_iface *iface,
                                struct ss_error *err)
{
    struct ss_error ignored;
    bool six = has_ipv6_option(opt, family);
    enum ss_status st = SS_OK;
    if (six)
        st = os_opt_set_raw(fd, opt->level6, opt->opt6, (int)iface->index, err);
    if (st != SS_OK)
        return st;
    int done = set_multicast_if4(fd, opt->opt, iface->index, iface_address(iface));
    return option_result(done, six ? &ignored : err) == SS_OK || six ? SS_OK : SS_ERROR;
}

/* Text and credentials */

enum ss_status os_opt_set_device(int fd, const struct os_opt *opt, const char *name, size_t len, struct ss_error *err)
{
    if (len < IF_NAMESIZE) /* Linux cuts a longer name, and another interface may have that */
        return os_opt_set_bytes(fd, opt->level, opt->opt, name, len + 1, err);
    *err = (struct ss_error){ SS_SYSTEM, ENODEV };
    return SS_ERROR;
}

enum ss_status os_opt_get_text(int fd, const struct os_opt *opt, char text[OS_OPT_TEXT], struct ss_error *err)
{
    struct in_addr addr = { .s_addr = INADDR_ANY };
    size_t len = sizeof addr;
    if (opt->type == OS_OPT_DEVICE) {
        len = OS_OPT_TEXT - 1;
        text[len] = '\0'; /* the name has its own NUL; without a device there is none */
        return os_opt_get_bytes(fd, opt->level, opt->opt, text, &len, err);
    }
    enum ss_status st = os_opt_get_bytes(fd, opt->level, opt->opt, &addr, &len, err);
    inet_ntop(AF_INET, &addr, text, OS_OPT_TEXT);
    return st;
}

#ifdef SO_PEERCRED
#ifdef __OpenBSD__
typedef struct sockpeercred peer_cred;
#else
typedef struct ucred peer_cred;
#endif

enum ss_status os_opt_get_cred(int fd, const struct os_opt *opt, struct os_cred *cred, struct ss_error *err)
{
    peer_cred peer;
    size_t len = sizeof peer;
    enum ss_status st = os_opt_get_bytes(fd, opt->level, opt->opt, &peer, &len, err);
    if (st == SS_OK && peer.uid == (uid_t)-1) { /* Linux, also for sockets that are no Unix sockets */
        *err = (struct ss_error){ SS_SYSTEM, ENOTCONN };
        return SS_ERROR;
    }
    *cred = (struct os_cred){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
    return st;
}
#else
enum ss_status os_opt_get_cred(int fd, const struct os_opt *opt, struct os_cred *cred, struct ss_error *err)
{
    (void)fd, (void)opt, (void)cred;
    *err = (struct ss_error){ SS_SYSTEM, EOPNOTSUPP };
    return SS_ERROR;
}
#endif

enum ss_status os_opt_set(int fd, int family, const struct os_opt *opt, int value, struct ss_error *err)
{
    if (opt->type == OS_OPT_SPIN)
        return SS_OK;
    if (opt->type == OS_OPT_LINGER)
        return set_linger(fd, value, err);
    if (opt->type == OS_OPT_IFACE)
        return os_opt_set_iface(fd, family, opt, &(struct os_iface){ .index = (uint32_t)value }, err);
    if (!has_ipv6_option(opt, family))
        return os_opt_set_raw(fd, opt->level, opt->opt, value, err);
    /* A dual-stack socket sends IPv4 too. Some systems refuse the IPv4 option: only the IPv6 result counts. IPv6 first: Linux
     * takes any value for IP_TOS, and a call that fails must not have set that. */
    struct ss_error ignored;
    enum ss_status st = os_opt_set_raw(fd, opt->level6, opt->opt6, value, err);
    if (st == SS_OK)
        os_opt_set_raw(fd, opt->level, opt->opt, value, &ignored);
    return st;
}

enum ss_status os_opt_get(int fd, int family, const struct os_opt *opt, int *value, struct ss_error *err)
{
    if (opt->type == OS_OPT_LINGER)
        return get_linger(fd, value, err);
    bool six = has_ipv6_option(opt, family);
    enum ss_status st = os_opt_get_raw(fd, six ? opt->level6 : opt->level, six ? opt->opt6 : opt->opt, value, err);
    if (opt->type == OS_OPT_FLAG)
        *value = *value != 0;
    return st;
}
