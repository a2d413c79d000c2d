#include "core/addr.h"
#include "os/os_iface.h"

#include <arpa/inet.h> /* inet_pton, inet_ntop */
#include <errno.h>     /* ENAMETOOLONG */
#include <string.h>    /* memcpy, memchr */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]))
            return false;
    return len > 0;
}

/* A host whose last label is a number ("127.1", "1.2.3.4.", "0x7f.1") is an IPv4 address or invalid, never a name:
 * resolvers interpret such forms differently (inet_aton(3)). */
static bool ends_in_number(const char *host, size_t len)
{
    if (len > 0 && host[len - 1] == '.')
        len--;
    size_t label = len;
    while (label > 0 && host[label - 1] != '.')
        label--;
    const char *last = host + label;
    size_t n = len - label;
    return all_digits(last, n) || (n >= 2 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X'));
}

static bool has_blank(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f)
            return true;
    return false;
}

static enum ss_host parse_inet(struct ss_addr *addr, const char *host, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return SS_HOST_BAD;
    addr->len = sizeof in;
    addr->sa.in = in;
    return SS_HOST_NUMERIC;
}

/* Modifies `host`: ends the string before the scope. */
static enum ss_host parse_inet6(struct ss_addr *addr, char *host, uint16_t port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    char *scope = strchr(host, '%');
    if (scope)
        *scope++ = '\0';
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return SS_HOST_BAD;
    if (scope && !os_iface_index(scope, &in6.sin6_scope_id))
        return SS_HOST_BAD;
    addr->len = sizeof in6;
    addr->sa.in6 = in6;
    return SS_HOST_NUMERIC;
}

enum ss_host ss_addr_parse(struct ss_addr *addr, const char *host, size_t len, uint16_t port)
{
    char text[SS_HOST_MAX + 1];
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed) {
        host++;
        len -= 2;
    }
    if (len == 0 || len > SS_HOST_MAX || has_blank(host, len))
        return SS_HOST_BAD;
    memcpy(text, host, len);
    text[len] = '\0';
    if (memchr(host, ':', len))
        return parse_inet6(addr, text, port);
    if (bracketed)
        return SS_HOST_BAD;
    return ends_in_number(host, len) ? parse_inet(addr, text, port) : SS_HOST_NAME;
}

enum ss_status ss_addr_unix(struct ss_addr *addr, const char *path, size_t len, struct ss_error *err)
{
    struct sockaddr_un *un = &addr->sa.un;
    bool abstract = len > 0 && path[0] == '@';
    if (len > sizeof un->sun_path - (abstract ? 0 : 1)) { /* a path ends in a NUL */
        *err = (struct ss_error){ SS_SYSTEM, ENAMETOOLONG };
        return SS_ERROR;
    }
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len);
    if (abstract)
        un->sun_path[0] = '\0'; /* unix(7), "abstract": the length delimits the name, not a NUL */
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (len > 0 && !abstract));
    return SS_OK;
}

void ss_addr_any(struct ss_addr *addr, int family, uint16_t port)
{
    memset(addr, 0, sizeof *addr);
    if (family == AF_INET6) {
        addr->len = sizeof addr->sa.in6;
        addr->sa.in6.sin6_family = AF_INET6;
        addr->sa.in6.sin6_port = htons(port);
    } else {
        addr->len = sizeof addr->sa.in;
        addr->sa.in.sin_family = AF_INET;
        addr->sa.in.sin_port = htons(port);
    }
}

/* The first twelve bytes of ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
static const unsigned char mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool ss_addr_fit(struct ss_addr *addr, int family)
{
    if (addr->sa.any.sa_family == family)
        return true;
    if (family != AF_INET6 || addr->sa.any.sa_family != AF_INET)
        return false;
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = addr->sa.in.sin_port };
    memcpy(in6.sin6_addr.s6_addr, mapped_prefix, 12);
    memcpy(in6.sin6_addr.s6_addr + 12, &addr->sa.in.sin_addr, 4);
    addr->len = sizeof in6;
    addr->sa.in6 = in6;
    return true;
}

void ss_addr_unmap(struct ss_addr *addr)
{
    if (addr->len == 0 || addr->sa.any.sa_family != AF_INET6 ||
        memcmp(addr->sa.in6.sin6_addr.s6_addr, mapped_prefix, 12) != 0)
        return;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = addr->sa.in6.sin6_port };
    memcpy(&in.sin_addr, addr->sa.in6.sin6_addr.s6_addr + 12, 4);
    addr->len = sizeof in;
    addr->sa.in = in;
}

void ss_addr_set_port(struct ss_addr *addr, uint16_t port)
{
    if (addr->sa.any.sa_family == AF_INET)
        addr->sa.in.sin_port = htons(port);
    else
        addr->sa.in6.sin6_port = htons(port);
}

bool ss_addr_equal(const struct ss_addr *a, const struct ss_addr *b)
{
    return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

bool ss_addr_is_loopback(const struct ss_addr *addr)
{
    enum { LOOPBACK_NET = 127 };
    const struct in6_addr *ip = &addr->sa.in6.sin6_addr;
    if (addr->sa.any.sa_family == AF_INET)
        return ntohl(addr->sa.in.sin_addr.s_addr) >> 24 == LOOPBACK_NET;
    return addr->sa.any.sa_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == LOOPBACK_NET));
}

bool ss_addr_is_multicast(const struct ss_addr *addr)
{
    if (addr->sa.any.sa_family == AF_INET)
        return IN_MULTICAST(ntohl(addr->sa.in.sin_addr.s_addr));
    return addr->sa.any.sa_family == AF_INET6 && addr->sa.in6.sin6_addr.s6_addr[0] == 0xff;
}

uint16_t ss_addr_host(const struct ss_addr *addr, char *text)
{
    text[0] = '\0';
    if (addr->sa.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &addr->sa.in.sin_addr, text, SS_HOST_TEXT);
        return ntohs(addr->sa.in.sin_port);
    }
    inet_ntop(AF_INET6, &addr->sa.in6.sin6_addr, text, SS_HOST_TEXT);
    if (addr->sa.in6.sin6_scope_id != 0) {
        size_t len = strlen(text);
        text[len++] = '%';
        os_iface_name(addr->sa.in6.sin6_scope_id, text + len, SS_HOST_TEXT - len);
    }
    return ntohs(addr->sa.in6.sin6_port);
}

const char *ss_addr_path(const struct ss_addr *addr, char *text, size_t *len)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    *len = addr->len > head ? addr->len - head : 0;
    if (*len == 0)
        return "";
    memcpy(text, addr->sa.un.sun_path, *len);
    if (text[0] == '\0') {
        text[0] = '@';
        return text;
    }
    const char *nul = memchr(text, '\0', *len);
    if (nul)
        *len = (size_t)(nul - text);
    return text;
}
