/* Socket addresses: text to sockaddr and back, without asking anybody. */
#ifndef SS_CORE_ADDR_H
#define SS_CORE_ADDR_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* What a host text is, by its looks alone. */
enum ss_host {
    SS_HOST_NUMERIC, /* an address literal: *addr is filled in */
    SS_HOST_NAME,    /* to be looked up */
    SS_HOST_BAD      /* can be neither */
};

enum {
    SS_HOST_MAX = 255, /* bytes of a host name (RFC 1035 section 3.1) */
    SS_HOST_TEXT = 80  /* room for the text of any IP address with its scope and a NUL */
};

/* `host` has `len` bytes without NUL. IPv4 is the strict dotted quad of inet_pton(3); IPv6 may stand in brackets and
 * may end in %scope (RFC 4007 section 11), an interface's name or number. */
enum ss_host ss_addr_parse(struct ss_addr *addr, const char *host, size_t len, uint16_t port);

/* A path, or "@" and an abstract name, or nothing (unnamed). SS_ERROR with ENAMETOOLONG when it does not fit. */
enum ss_status ss_addr_unix(struct ss_addr *addr, const char *path, size_t len, struct ss_error *err);

/* Every local address: [::] or 0.0.0.0. */
void ss_addr_any(struct ss_addr *addr, int family, uint16_t port);

/* The address in the form that a socket of `family` takes: IPv4 becomes ::ffff:a.b.c.d for IPv6. False: there is none. */
bool ss_addr_fit(struct ss_addr *addr, int family);

/* Shows an IPv4-mapped IPv6 address as the IPv4 address that it is. */
void ss_addr_unmap(struct ss_addr *addr);

/* Whether both are the same, byte by byte. */
bool ss_addr_equal(const struct ss_addr *a, const struct ss_addr *b);

/* Whether it is an IP multicast group (RFC 5771, RFC 4291 section 2.7). */
bool ss_addr_is_multicast(const struct ss_addr *addr);

/* Numeric text of an IP address into `text` (SS_HOST_TEXT bytes); returns the port. */
uint16_t ss_addr_host(const struct ss_addr *addr, char *text);

/* The name of a Unix address: *len bytes at the result, of which the first is '@' for an abstract name ("" if unnamed).
 * `text` has room for sizeof(struct sockaddr_un). */
const char *ss_addr_path(const struct ss_addr *addr, char *text, size_t *len);

#pragma GCC visibility pop

#endif
