/* Address texts of any kind: nothing crashes, what is an address is one to inet_pton(3) as well, and the text made of it means
 * the same address. The first byte says what the rest is. */
#include "core/addr.h"
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h> /* if_nametoindex */
#include <netdb.h>  /* getnameinfo */
#include <stdlib.h>
#include <string.h>

/* In memory of exactly its size, so that a sanitizer sees what is read beside it. */
static char *copy(const uint8_t *bytes, size_t len)
{
    char *text = calloc(1, len > 0 ? len : 1);
    if (!text)
        abort();
    if (len > 0)
        memcpy(text, bytes, len);
    return text;
}

/* What a host is, said in another way */

static bool is_scope(const char *scope)
{
    char *end;
    if (if_nametoindex(scope) != 0)
        return true;
    if (strlen(scope) > 10 || strspn(scope, "0123456789") != strlen(scope))
        return false;
    unsigned long long number = strtoull(scope, &end, 10);
    return number >= 1 && number <= UINT32_MAX;
}

static enum ss_host model_inet6(char *host)
{
    struct in6_addr in6;
    char *percent = strchr(host, '%');
    if (percent)
        *percent = '\0';
    if (inet_pton(AF_INET6, host, &in6) != 1 || (percent && !is_scope(percent + 1)))
        return SS_HOST_BAD;
    return SS_HOST_NUMERIC;
}

static bool has_numeric_end(char *host)
{
    size_t len = strlen(host);
    if (host[len - 1] == '.')
        host[len - 1] = '\0';
    const char *dot = strrchr(host, '.'), *last = dot ? dot + 1 : host;
    return (*last && strspn(last, "0123456789") == strlen(last)) || strncmp(last, "0x", 2) == 0 ||
           strncmp(last, "0X", 2) == 0;
}

static enum ss_host model_host(const char *text, size_t len)
{
    char host[SS_HOST_MAX + 1] = "";
    struct in_addr in;
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    text += brackets;
    len -= brackets ? 2 : 0;
    if (len == 0 || len > SS_HOST_MAX)
        return SS_HOST_BAD;
    memcpy(host, text, len);
    for (size_t i = 0; i < len; i++)
        if (strchr(" \x7f", host[i]) || (host[i] > 0 && host[i] < ' '))
            return SS_HOST_BAD;
    if (strchr(host, ':'))
        return model_inet6(host);
    if (brackets)
        return SS_HOST_BAD;
    if (inet_pton(AF_INET, host, &in) == 1)
        return SS_HOST_NUMERIC;
    return has_numeric_end(host) ? SS_HOST_BAD : SS_HOST_NAME;
}

/* An address: its text, and the same address in other forms */

static void check_same(const struct ss_addr *a, const struct ss_addr *b)
{
    CHECK(a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0);
}

static void check_text(const struct ss_addr *addr)
{
    char text[SS_HOST_TEXT], system[NI_MAXHOST];
    struct ss_addr again;
    uint16_t port = ss_addr_host(addr, text);
    CHECKF(ss_addr_parse(&again, text, strlen(text), port) == SS_HOST_NUMERIC, "'%s' is no address", text);
    check_same(addr, &again);
    if (addr->sa.any.sa_family == AF_INET6 && addr->sa.in6.sin6_scope_id != 0)
        return; /* the system shows some scopes by number */
    CHECK(getnameinfo(&addr->sa.any, addr->len, system, sizeof system, NULL, 0, NI_NUMERICHOST) == 0);
    CHECKF(strcmp(text, system) == 0, "'%s', and to the system '%s'", text, system);
}

static void check_forms(const struct ss_addr *addr)
{
    struct ss_addr other = *addr;
    bool inet = addr->sa.any.sa_family == AF_INET;
    CHECK(ss_addr_fit(&other, AF_INET6) && other.sa.any.sa_family == AF_INET6);
    check_text(&other);
    ss_addr_unmap(&other);
    if (inet || !IN6_IS_ADDR_V4MAPPED(&addr->sa.in6.sin6_addr))
        check_same(addr, &other);
    else
        CHECK(other.sa.any.sa_family == AF_INET);
    check_text(&other);
    bool group =
        inet ? (ntohl(addr->sa.in.sin_addr.s_addr) >> 28) == 14 : IN6_IS_ADDR_MULTICAST(&addr->sa.in6.sin6_addr) != 0;
    CHECK(ss_addr_is_multicast(addr) == group);
}

static void try_host(const uint8_t *data, size_t len, uint16_t port)
{
    struct ss_addr addr;
    size_t part = len > 0 && memchr(data, '\0', len) ? (size_t)((const uint8_t *)memchr(data, '\0', len) - data) : len;
    char *host = copy(data, part);
    memset(&addr, 0xee, sizeof addr);
    enum ss_host kind = ss_addr_parse(&addr, host, part, port), expected = model_host(host, part);
    CHECKF(kind == expected, "'%.*s' is %d, and not %d", (int)part, host, kind, expected);
    free(host);
    if (kind != SS_HOST_NUMERIC)
        return;
    CHECK((addr.sa.any.sa_family == AF_INET ? addr.sa.in.sin_port : addr.sa.in6.sin6_port) == htons(port));
    check_text(&addr);
    check_forms(&addr);
}

/* Any address that a system may give */
static void try_inet(const uint8_t *data, size_t len)
{
    struct ss_addr addr;
    bool inet6 = len >= 16;
    if (len < 4)
        return;
    ss_addr_any(&addr, inet6 ? AF_INET6 : AF_INET, data[0]);
    memcpy(inet6 ? (void *)&addr.sa.in6.sin6_addr : (void *)&addr.sa.in.sin_addr, data, inet6 ? 16 : 4);
    if (len >= 20)
        memcpy(&addr.sa.in6.sin6_scope_id, data + 16, 4);
    check_text(&addr);
    check_forms(&addr);
}

/* Unix names */

static void try_unix(const uint8_t *data, size_t len)
{
    char text[sizeof(struct sockaddr_un)];
    struct ss_addr addr;
    struct ss_error err = { SS_SYSTEM, 0 };
    bool abstract = len > 0 && data[0] == '@';
    if (!abstract && len > 0 && memchr(data, '\0', len))
        return; /* misuse, said by the bindings */
    char *name = copy(data, len);
    bool fits = len <= sizeof addr.sa.un.sun_path - !abstract;
    CHECK((ss_addr_unix(&addr, name, len, &err) == SS_OK) == fits);
    CHECK(fits || err.code == ENAMETOOLONG);
    if (fits) {
        size_t got;
        const char *path = ss_addr_path(&addr, text, &got);
        CHECK(addr.len <= sizeof addr.sa.un && got == len && memcmp(path, name, len) == 0);
    }
    free(name);
}

/* What a system may give, up to the length that it tells. */
static void try_path(const uint8_t *data, size_t len)
{
    char text[sizeof(struct sockaddr_un)];
    struct ss_addr addr;
    size_t got, head = offsetof(struct sockaddr_un, sun_path), room = sizeof addr.sa.un.sun_path;
    memset(&addr, 0xee, sizeof addr);
    addr.sa.un.sun_family = AF_UNIX;
    len = len < room ? len : room;
    if (len > 0)
        memcpy(addr.sa.un.sun_path, data, len);
    addr.len = (socklen_t)(len > 0 ? head + len : head * (room % 2));
    const char *path = ss_addr_path(&addr, text, &got);
    bool abstract = len > 0 && data[0] == '\0';
    size_t expected = abstract || len == 0 ? len : strnlen((const char *)data, len);
    CHECKF(got == expected, "%zu bytes, and not %zu", got, expected);
    CHECK(got == 0 || *path == (abstract ? '@' : (char)data[0]));
    CHECK(got <= 1 || memcmp(path + 1, data + 1, got - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    unsigned kind = input_byte(&in);
    if (kind == 'u')
        try_unix(in.data, in.left);
    else if (kind == 'p')
        try_path(in.data, in.left);
    else if (kind == 'i')
        try_inet(in.data, in.left);
    else
        try_host(in.data, in.left, (uint16_t)(kind * 257));
    return 0;
}
