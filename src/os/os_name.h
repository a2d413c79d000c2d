/* Name look-up as the system is configured (getaddrinfo(3)). */
#ifndef SS_OS_NAME_H
#define SS_OS_NAME_H

#include "base/sockaddr.h"
#include "base/status.h"

#include <netdb.h> /* struct addrinfo, EAI_NODATA, NI_MAXHOST */
#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The resolver's code for a name that exists without an address, or without one of the family asked for. Systems without
 * EAI_NODATA report such names as unknown. */
#ifdef EAI_NODATA
#define OS_NO_ADDRESS EAI_NODATA
#else
#define OS_NO_ADDRESS (-30000)
#endif

/* For a new thread, before its first look-up. */
void os_begin_names(void);

struct os_query {
    const char *host;    /* NULL: only the port of `service` is asked for */
    const char *service; /* NULL: no port */
    int family;          /* AF_INET, AF_INET6, AF_UNSPEC */
    bool wants_canonical;
    bool is_local;          /* needs no server (os_hosts_read): os_ask then asks nothing else that might */
    struct ss_addr reverse; /* len > 0: the name of this address is asked for, and nothing else */
};

struct os_reverse {
    char host[NI_MAXHOST], service[NI_MAXSERV];
};

struct os_answer {
    struct addrinfo *list;      /* in the order of RFC 6724 */
    struct os_reverse *reverse; /* of a reverse query */
};

/* Asks the resolver. Blocks without a bound. SS_OK: the caller frees *answer with os_answer_free | SS_ERROR: EAI_* or
 * OS_NO_ADDRESS (SS_RESOLVER), or errno for EAI_SYSTEM; *answer is empty. */
enum ss_status os_ask(const struct os_query *query, struct os_answer *answer, struct ss_error *err);

/* Frees and empties the answer, which may be empty. */
void os_answer_free(struct os_answer *answer);

/* The port of the service that was asked for, in host order. */
uint16_t os_answer_port(const struct os_answer *answer);

/* The canonical name, or NULL. */
const char *os_answer_canonical(const struct os_answer *answer);

/* Copies the next IP address, with `port` in host order. *next starts as the list and advances. False: the end. */
bool os_names_next(const struct addrinfo **next, uint16_t port, struct ss_addr *addr);

/* Writes the machine's name to `name` (`size` bytes), cut at `size` - 1. SS_OK | SS_ERROR: errno of gethostname(2). */
enum ss_status os_hostname(char *name, size_t size, struct ss_error *err);

#pragma GCC visibility pop

#endif
