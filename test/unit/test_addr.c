/* Addresses: what is one, what it looks like in the system's form, and that it comes back as the same text. */
#include "check.h"
#include "core/addr.h"
#include "guard.h"

#include <errno.h>
#include <net/if.h> /* if_indextoname */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct guard host_guard, addr_guard, text_guard;

/* The host ends at a forbidden page, and so does the memory for the address. */
static enum ss_host parse(const char *host, size_t len, uint16_t port, struct ss_addr *addr)
{
    struct ss_addr *guarded = (struct ss_addr *)(void *)(addr_guard.high - sizeof *guarded);
    memset(guarded, 0xee, sizeof *guarded);
    enum ss_host kind = ss_addr_parse(guarded, (char *)guard_copy(&host_guard, host, len), len, port);
    *addr = *guarded;
    return kind;
}

/* The text of an IP address: good until the next one. */
static const char *text_of(const struct ss_addr *addr, uint16_t *port)
{
    char *text = (char *)text_guard.high - SS_HOST_TEXT;
    memset(text, '#', SS_HOST_TEXT);
    *port = ss_addr_host(addr, text);
    return text;
}

/* Hosts */

struct host_row {
    const char *host;
    const char *text; /* NULL: not an address literal */
};

static void check_hosts(const struct host_row *rows, size_t n, enum ss_host other)
{
    for (size_t i = 0; i < n; i++) {
        struct ss_addr addr;
        uint16_t port = 0;
        enum ss_host kind = parse(rows[i].host, strlen(rows[i].host), 8080, &addr);
        CHECKF(kind == (rows[i].text ? SS_HOST_NUMERIC : other), "'%s' is %d", rows[i].host, kind);
        if (kind != SS_HOST_NUMERIC || !rows[i].text)
            continue;
        const char *text = text_of(&addr, &port);
        CHECKF(strcmp(text, rows[i].text) == 0 && port == 8080, "'%s': '%s', %d", rows[i].host, text, port);
        bool inet6 = strchr(rows[i].host, ':') != NULL;
        CHECK(addr.sa.any.sa_family == (inet6 ? AF_INET6 : AF_INET));
        CHECK(addr.len == (inet6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
    }
}

#define CHECK_HOSTS(rows, other) check_hosts(rows, sizeof(rows) / sizeof *(rows), other)

static void test_ipv4_literals(void)
{
    static const struct host_row rows[] = {
        { "127.0.0.1", "127.0.0.1" },
        { "0.0.0.0", "0.0.0.0" },
        { "255.255.255.255", "255.255.255.255" },
        { "1.20.3.100", "1.20.3.100" },
    };
    CHECK_HOSTS(rows, SS_HOST_BAD);
}

static void test_ipv6_literals(void)
{
    static const struct host_row rows[] = {
        { "::", "::" },
        { "::1", "::1" },
        { "[::1]", "::1" },
        { "[::]", "::" },
        { "fe80::1", "fe80::1" },
        { "2001:DB8:0:0:0:0:0:A", "2001:db8::a" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
        { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
        { "1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a" },
    };
    CHECK_HOSTS(rows, SS_HOST_BAD);
}

/* "Ends in a number" makes it an address, and then it must be a whole one. */
static void test_numbers_that_are_no_address(void)
{
    static const struct host_row rows[] = {
        { "127.1", NULL },
        { "127.0.0.01", NULL },
        { "127.0.0.1.", NULL },
        { "127.0.0", NULL },
        { "1.2.3.4.5", NULL },
        { "256.0.0.1", NULL },
        { "1.2.3.256", NULL },
        { "1.2.3.1000", NULL },
        { "2130706433", NULL },
        { "0", NULL },
        { "0x7f000001", NULL },
        { "0X7F.1", NULL },
        { "0x7f.0.0.1", NULL },
        { "1.2.3.0x4", NULL },
        { "1.2.3.0X4", NULL },
        { "0x", NULL },
        { "host.1", NULL },
        { "host.1.", NULL },
        { "host.0x1", NULL },
        { "00.0.0.0", NULL },
        { "1..2", NULL },
        { ".1", NULL },
        { "1.2..4", NULL },
        { "1.", NULL },
        { "99999999999999999999", NULL },
        { "0x.", NULL },
    };
    CHECK_HOSTS(rows, SS_HOST_BAD);
}

static void test_names(void)
{
    static const struct host_row rows[] = {
        { "localhost", NULL },   { "localhost.", NULL },   { "a", NULL },
        { "1a", NULL },          { "x0", NULL },           { "1.a", NULL },
        { "1.2.3.4a", NULL },    { "0y1", NULL },          { "x.0y", NULL },
        { "a-b.example", NULL }, { "_srv.example", NULL }, { "10.example.", NULL },
        { "h\xc3\xb6st", NULL }, { "\xff", NULL },         { "1.2.3.-4", NULL },
    };
    CHECK_HOSTS(rows, SS_HOST_NAME);
}

static void test_no_hosts_at_all(void)
{
    static const struct host_row rows[] = {
        { "", NULL },
        { " ", NULL },
        { "127.0.0.1 ", NULL },
        { " 127.0.0.1", NULL },
        { "127. 0.0.1", NULL },
        { "a b", NULL },
        { "a\tb", NULL },
        { "localhost\n", NULL },
        { "a\x7f", NULL },
        { "\x01", NULL },
        { "[]", NULL },
        { "[127.0.0.1]", NULL },
        { "[localhost]", NULL },
        { "[a]", NULL },
        { "[::1", NULL },
        { "::1]", NULL },
        { "[[::1]]", NULL },
        { "[::1]x", NULL },
        { "[::1 ]", NULL },
        { ":", NULL },
        { ":::", NULL },
        { "1:2", NULL },
        { "::1::", NULL },
        { "::g", NULL },
        { "::12345", NULL },
        { "1:2:3:4:5:6:7:8:9", NULL },
        { "::1.2.3", NULL },
        { "::1.2.3.04", NULL },
        { "localhost:80", NULL },
        { "127.0.0.1:80", NULL },
        { "http://host", NULL },
        { "unix:/x", NULL },
    };
    CHECK_HOSTS(rows, SS_HOST_BAD);
}

static void test_lengths_of_names(void)
{
    char host[SS_HOST_MAX + 4];
    struct ss_addr addr;
    memset(host, 'a', sizeof host);
    CHECK(parse(host, SS_HOST_MAX, 1, &addr) == SS_HOST_NAME);
    CHECK(parse(host, SS_HOST_MAX + 1, 1, &addr) == SS_HOST_BAD);
    CHECK(parse(host, sizeof host, 1, &addr) == SS_HOST_BAD);
    memset(host, '0', sizeof host);
    memcpy(host, "::", 2);
    CHECK(parse(host, SS_HOST_MAX, 1, &addr) == SS_HOST_BAD);
    host[0] = '[';
    host[SS_HOST_MAX + 2] = ']';
    CHECK(parse(host, SS_HOST_MAX + 3, 1, &addr) == SS_HOST_BAD);
}

static void test_ports(void)
{
    static const uint16_t ports[] = { 0, 1, 80, 255, 256, 8080, 65535 };
    struct ss_addr addr;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        uint16_t port = 7;
        CHECK(parse("127.0.0.1", 9, ports[i], &addr) == SS_HOST_NUMERIC && addr.sa.in.sin_port == htons(ports[i]));
        CHECK(strcmp(text_of(&addr, &port), "127.0.0.1") == 0 && port == ports[i]);
        CHECK(parse("::1", 3, ports[i], &addr) == SS_HOST_NUMERIC && addr.sa.in6.sin6_port == htons(ports[i]));
        CHECK(strcmp(text_of(&addr, &port), "::1") == 0 && port == ports[i]);
    }
}

/* Scopes */

static void check_scope(const char *host, uint32_t scope, const char *expected)
{
    struct ss_addr addr;
    uint16_t port;
    enum ss_host kind = parse(host, strlen(host), 1, &addr);
    CHECKF(kind == SS_HOST_NUMERIC, "'%s' is %d", host, kind);
    if (kind != SS_HOST_NUMERIC)
        return;
    CHECKF(addr.sa.in6.sin6_scope_id == scope, "'%s': scope %u", host, (unsigned)addr.sa.in6.sin6_scope_id);
    CHECKF(strcmp(text_of(&addr, &port), expected) == 0, "'%s': '%s'", host, text_of(&addr, &port));
}

static void test_scopes(void)
{
    char name[IF_NAMESIZE], with_name[64], in_brackets[80];
    check_scope("fe80::1", 0, "fe80::1");
    check_scope("fe80::1%4294967295", UINT32_MAX, "fe80::1%4294967295");
    check_scope("[fe80::1%4294967294]", UINT32_MAX - 1, "fe80::1%4294967294");
    check_scope("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4000000000", 4000000000,
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4000000000");
    if (!if_indextoname(1, name)) /* by number and by name: the first interface, usually the loopback */
        return;
    snprintf(with_name, sizeof with_name, "fe80::1%%%s", name);
    snprintf(in_brackets, sizeof in_brackets, "[%s]", with_name);
    check_scope(with_name, 1, with_name);
    check_scope(in_brackets, 1, with_name);
    check_scope("fe80::1%1", 1, with_name);
    check_scope("fe80::1%001", 1, with_name);
}

static void test_no_scopes(void)
{
    static const struct host_row rows[] = {
        { "fe80::1%", NULL },
        { "fe80::1%0", NULL },
        { "fe80::1%nosuchif0", NULL },
        { "fe80::1%4294967296", NULL },
        { "fe80::1%-1", NULL },
        { "fe80::1%+1", NULL },
        { "fe80::1% 1", NULL },
        { "fe80::1%1%1", NULL },
        { "fe80::1%1x", NULL },
        { "[%1]", NULL },
        { "fe80:%1:1", NULL },
        { "fe80::1%99999999999", NULL },
        { "fe80::1%18446744073709551617", NULL },
        { "::1%]", NULL },
        { "[::1%]", NULL },
    };
    CHECK_HOSTS(rows, SS_HOST_BAD);
}

/* All small texts */

static void check_round_trip(const char *host, const struct ss_addr *addr)
{
    struct ss_addr again;
    uint16_t port;
    const char *text = text_of(addr, &port);
    CHECKF(parse(text, strlen(text), port, &again) == SS_HOST_NUMERIC, "'%s' becomes '%s', which is none", host, text);
    CHECKF(again.len == addr->len && memcmp(&again.sa, &addr->sa, addr->len) == 0, "'%s' becomes '%s', another one",
           host, text);
}

static bool is_quad(const char *s)
{
    for (int label = 0; label < 4; label++) {
        char *end;
        if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9') || strtol(s, &end, 10) > 255)
            return false;
        if (*end != (label < 3 ? '.' : '\0'))
            return false;
        s = end + 1;
    }
    return true;
}

/* Digits and dots alone are an address or nothing; no digits before the last dot may be left to the resolver. */
static void check_digits_and_dots(const char *host, enum ss_host kind)
{
    bool quad = is_quad(host);
    CHECKF((kind == SS_HOST_NUMERIC) == quad, "'%s' is %d", host, kind);
    size_t len = strlen(host), dots = 0;
    while (dots < len && host[len - 1 - dots] == '.')
        dots++;
    if (dots < 2 && dots < len && !quad)
        CHECKF(kind == SS_HOST_BAD, "'%s' is %d", host, kind);
}

static void check_all_texts(const char *alphabet, size_t longest, bool digits_and_dots)
{
    size_t letters = strlen(alphabet), count = 1;
    for (size_t len = 0; len <= longest; len++, count *= letters)
        for (size_t i = 0; i < count; i++) {
            char host[16] = "";
            struct ss_addr addr;
            for (size_t k = 0, rest = i; k < len; k++, rest /= letters)
                host[k] = alphabet[rest % letters];
            enum ss_host kind = parse(host, len, 443, &addr);
            if (kind == SS_HOST_NUMERIC)
                check_round_trip(host, &addr);
            if (digits_and_dots)
                check_digits_and_dots(host, kind);
            if (strpbrk(host, " ") || len == 0)
                CHECKF(kind == SS_HOST_BAD, "'%s' is %d", host, kind);
            if (strchr(host, ':'))
                CHECKF(kind != SS_HOST_NAME, "'%s' is a name", host);
        }
}

static void test_all_small_texts(void)
{
    check_all_texts("0129.:%[]ax@ ", 4, false);
}

static void test_all_digits_and_dots(void)
{
    check_all_texts("0125.", 7, true);
    check_all_texts("01.", 10, true);
}

static void test_all_small_ipv6_texts(void)
{
    check_all_texts(":1f.[]", 6, false);
}

/* Unix */

static void check_unix(size_t len, char first, bool fits, socklen_t extra)
{
    char name[200], text[sizeof(struct sockaddr_un)];
    struct ss_error err = { SS_RESOLVER, 0 };
    struct ss_addr *addr = (struct ss_addr *)(void *)(addr_guard.high - sizeof *addr);
    size_t out;
    memset(addr, 0xee, sizeof *addr);
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i == 0 ? first : first == '@' ? (char)(i * 7) : (char)('a' + i % 26);
    enum ss_status st = ss_addr_unix(addr, (char *)guard_copy(&host_guard, name, len), len, &err);
    CHECKF(st == (fits ? SS_OK : SS_ERROR), "%zu bytes beginning with %c: %d", len, first, st);
    if (!fits)
        CHECK(err.space == SS_SYSTEM && err.code == ENAMETOOLONG);
    if (st != SS_OK)
        return;
    CHECK(addr->sa.un.sun_family == AF_UNIX);
    CHECKF(addr->len == offsetof(struct sockaddr_un, sun_path) + len + extra, "%zu bytes: %u", len,
           (unsigned)addr->len);
    CHECK(first == '@' ? addr->sa.un.sun_path[0] == '\0'
                       : len == sizeof addr->sa.un.sun_path || !addr->sa.un.sun_path[len]);
    const char *path = ss_addr_path(addr, text, &out);
    CHECKF(out == len && memcmp(path, name, len) == 0, "%zu bytes come back as %zu", len, out);
}

/* A path is followed by a NUL, which counts; an abstract name is not. */
static void test_unix_names_of_all_lengths(void)
{
    const size_t room = sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path);
    for (size_t len = 1; len <= 200; len++) {
        check_unix(len, '/', len < room, 1);
        check_unix(len, '@', len <= room, 0);
    }
}

static void test_the_unnamed_unix_address(void)
{
    char text[sizeof(struct sockaddr_un)];
    struct ss_error err;
    struct ss_addr addr;
    size_t len = 7;
    memset(&addr, 0xee, sizeof addr);
    CHECK(ss_addr_unix(&addr, "", 0, &err) == SS_OK && addr.sa.un.sun_family == AF_UNIX);
    CHECK(addr.len == offsetof(struct sockaddr_un, sun_path));
    CHECK(strcmp(ss_addr_path(&addr, text, &len), "") == 0 && len == 0);
    addr.len = 0; /* what some systems give for a peer without a name */
    CHECK(strcmp(ss_addr_path(&addr, text, &len), "") == 0 && len == 0);
}

/* The system may fill all of sun_path, and may give more than the name: unix(7). */
static void test_unix_names_from_the_system(void)
{
    char text[sizeof(struct sockaddr_un)];
    struct ss_addr addr = { .len = sizeof(struct sockaddr_un) };
    size_t len;
    memset(addr.sa.un.sun_path, 'x', sizeof addr.sa.un.sun_path);
    ss_addr_path(&addr, text, &len);
    CHECK(len == sizeof addr.sa.un.sun_path && text[0] == 'x' && text[len - 1] == 'x');
    memcpy(addr.sa.un.sun_path, "/tmp/a\0garbage", 14);
    CHECK(memcmp(ss_addr_path(&addr, text, &len), "/tmp/a", 6) == 0 && len == 6);
    addr.len = offsetof(struct sockaddr_un, sun_path) + 3; /* bytes behind the length are not part of it */
    CHECK(memcmp(ss_addr_path(&addr, text, &len), "/tm", 3) == 0 && len == 3);
}

/* Families */

static struct ss_addr literal(const char *host, uint16_t port)
{
    struct ss_addr addr;
    CHECK(parse(host, strlen(host), port, &addr) == SS_HOST_NUMERIC);
    return addr;
}

static bool is(const struct ss_addr *addr, const char *host, uint16_t port)
{
    uint16_t found;
    return strcmp(text_of(addr, &found), host) == 0 && found == port;
}

static void test_every_local_address(void)
{
    struct ss_addr addr;
    memset(&addr, 0xee, sizeof addr);
    ss_addr_any(&addr, AF_INET, 80);
    CHECK(is(&addr, "0.0.0.0", 80) && addr.len == sizeof addr.sa.in && addr.sa.any.sa_family == AF_INET);
    memset(&addr, 0xee, sizeof addr);
    ss_addr_any(&addr, AF_INET6, 81);
    CHECK(is(&addr, "::", 81) && addr.len == sizeof addr.sa.in6 && addr.sa.any.sa_family == AF_INET6);
    CHECK(addr.sa.in6.sin6_scope_id == 0 && addr.sa.in6.sin6_flowinfo == 0);
}

static void test_mapping_there_and_back(void)
{
    struct ss_addr addr = literal("192.0.2.33", 8080);
    CHECK(ss_addr_fit(&addr, AF_INET) && is(&addr, "192.0.2.33", 8080));
    CHECK(ss_addr_fit(&addr, AF_INET6) && is(&addr, "::ffff:192.0.2.33", 8080));
    CHECK(addr.len == sizeof addr.sa.in6 && addr.sa.any.sa_family == AF_INET6);
    CHECK(ss_addr_fit(&addr, AF_INET6) && is(&addr, "::ffff:192.0.2.33", 8080));
    ss_addr_unmap(&addr);
    CHECK(is(&addr, "192.0.2.33", 8080) && addr.len == sizeof addr.sa.in && addr.sa.any.sa_family == AF_INET);
    ss_addr_unmap(&addr);
    CHECK(is(&addr, "192.0.2.33", 8080));
}

static void test_what_does_not_fit(void)
{
    struct ss_error err;
    struct ss_addr addr = literal("::1", 80);
    CHECK(!ss_addr_fit(&addr, AF_INET) && !ss_addr_fit(&addr, AF_UNIX) && is(&addr, "::1", 80));
    addr = literal("127.0.0.1", 80);
    CHECK(!ss_addr_fit(&addr, AF_UNIX) && is(&addr, "127.0.0.1", 80));
    CHECK(ss_addr_unix(&addr, "/x", 2, &err) == SS_OK);
    CHECK(!ss_addr_fit(&addr, AF_INET) && !ss_addr_fit(&addr, AF_INET6) && ss_addr_fit(&addr, AF_UNIX));
}

static void test_only_mapped_addresses_are_shown_as_ipv4(void)
{
    static const char *const hosts[] = { "::1",
                                         "::",
                                         "::1.2.3.4",
                                         "::fffe:1.2.3.4",
                                         "::feff:1.2.3.4",
                                         "1::ffff:1.2.3.4",
                                         "::1:ffff:1.2.3.4",
                                         "64:ff9b::1.2.3.4" };
    struct ss_error err;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct ss_addr addr = literal(hosts[i], 80), before = addr;
        ss_addr_unmap(&addr);
        CHECKF(addr.len == before.len && memcmp(&addr.sa, &before.sa, addr.len) == 0, "%s was changed", hosts[i]);
    }
    struct ss_addr addr = literal("::ffff:1.2.3.4", 80);
    addr.len = 0; /* the system has filled nothing in */
    ss_addr_unmap(&addr);
    CHECK(addr.len == 0 && addr.sa.any.sa_family == AF_INET6);
    static const char looks_mapped[] = "@12345\0\0\0\0\0\0\0\0\0\0\xff\xff";
    CHECK(ss_addr_unix(&addr, looks_mapped, sizeof looks_mapped - 1, &err) == SS_OK);
    ss_addr_unmap(&addr);
    CHECK(addr.sa.any.sa_family == AF_UNIX);
}

static void test_multicast_groups(void)
{
    static const char *const groups[] = { "224.0.0.0", "224.0.0.1", "239.255.255.255", "ff00::", "ff02::1", "ffff::" };
    static const char *const others[] = { "223.255.255.255", "240.0.0.0",        "255.255.255.255", "0.0.0.224",
                                          "127.0.0.1",       "::ffff:224.0.0.1", "fe80::ff",        "::ff" };
    struct ss_error err;
    struct ss_addr addr;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        addr = literal(groups[i], 0);
        CHECKF(ss_addr_is_multicast(&addr), "%s", groups[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        addr = literal(others[i], 0);
        CHECKF(!ss_addr_is_multicast(&addr), "%s", others[i]);
    }
    CHECK(ss_addr_unix(&addr, "/x", 2, &err) == SS_OK && !ss_addr_is_multicast(&addr));
}

int main(void)
{
    guard_open(&host_guard, 1024);
    guard_open(&addr_guard, sizeof(struct ss_addr));
    guard_open(&text_guard, SS_HOST_TEXT);
    RUN(test_ipv4_literals);
    RUN(test_ipv6_literals);
    RUN(test_numbers_that_are_no_address);
    RUN(test_names);
    RUN(test_no_hosts_at_all);
    RUN(test_lengths_of_names);
    RUN(test_ports);
    RUN(test_scopes);
    RUN(test_no_scopes);
    RUN(test_all_small_texts);
    RUN(test_all_digits_and_dots);
    RUN(test_all_small_ipv6_texts);
    RUN(test_unix_names_of_all_lengths);
    RUN(test_the_unnamed_unix_address);
    RUN(test_unix_names_from_the_system);
    RUN(test_every_local_address);
    RUN(test_mapping_there_and_back);
    RUN(test_what_does_not_fit);
    RUN(test_only_mapped_addresses_are_shown_as_ipv4);
    RUN(test_multicast_groups);
    return check_end();
}
