/* Socket addresses: conversion between text and sockaddr, without look-up. */
#ifndef SS_CORE_ADDR_H
#define SS_CORE_ADDR_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The kind of a host, by syntax alone. */
enum ss_host {
    SS_HOST_NUMERIC, /* an address literal, stored in *addr */
    SS_HOST_NAME,    /* a name for the resolver */
    SS_HOST_BAD      /* neither */
};

enum {
    SS_HOST_MAX = 255, /* bytes of a host name (RFC 1035 section 3.1) */
    SS_HOST_TEXT = 80  /* room for the text of any IP address with its scope and a NUL */
};

/* Parses `host`: `len` bytes, no NUL. IPv4: the strict dotted quad of inet_pton(3). IPv6: optional brackets, optional
 * %scope (RFC 4007 section 11), an interface's name or number. `port`: host order. */
enum ss_host ss_addr_parse(struct ss_addr *addr, const char *host, size_t len, uint16_t port);

/* Converts a path, "@" and an abstract name, or "" (unnamed; unix(7)). SS_ERROR: ENAMETOOLONG. */
enum ss_status ss_addr_unix(struct ss_addr *addr, const char *path, size_t len, struct ss_error *err);

/* The wildcard address: [::] for AF_INET6, otherwise 0.0.0.0. */
void ss_addr_any(struct ss_addr *addr, int family, uint16_t port);

/* Converts the address for a socket of `family`: IPv4 to IPv4-mapped IPv6. False: impossible, *addr is unchanged. */
bool ss_addr_fit(struct ss_addr *addr, int family);

/* Converts an IPv4-mapped IPv6 address to IPv4; other addresses are unchanged. */
void ss_addr_unmap(struct ss_addr *addr);

/* Sets the port of an IP address; host order. */
void ss_addr_set_port(struct ss_addr *addr, uint16_t port);

/* Compares byte by byte. */
bool ss_addr_equal(const struct ss_addr *a, const struct ss_addr *b);

/* Whether it is an IP address of the loopback interface (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
bool ss_addr_is_loopback(const struct ss_addr *addr);

/* Whether the address is an IP multicast group (RFC 5771, RFC 4291 section 2.7). */
bool ss_addr_is_multicast(const struct ss_addr *addr);

/* Writes the numeric text of an IP address to `text` (SS_HOST_TEXT bytes). Returns the port in host order. */
uint16_t ss_addr_host(const struct ss_addr *addr, char *text);

/* The port of an IP address in host order; 0 for others. */
static inline uint16_t ss_addr_port(const struct ss_addr *addr)
{
    switch (addr->sa.any.sa_family) {
    case AF_INET:
        return ntohs(addr->sa.in.sin_port);
    case AF_INET6:
        return ntohs(addr->sa.in6.sin6_port);
    default:
        return 0;
    }
}

/* The name of a Unix address, *len bytes: a path, '@' and an abstract name, or "" (unnamed). `text`: a buffer of
 * sizeof(struct sockaddr_un) bytes, to which the result may point. */
const char *ss_addr_path(const struct ss_addr *addr, char *text, size_t *len);

#pragma GCC visibility pop

#endif
