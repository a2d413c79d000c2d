/* A look-up: the addresses of a target in turn. An operation that needs addresses has a look-up as first member. */
#ifndef SS_CORE_OP_LOOKUP_H
#define SS_CORE_OP_LOOKUP_H

#include "core/addr.h"
#include "core/op.h"
#include "os/os_name.h"

#pragma GCC visibility push(hidden)

struct os_lookup;
struct ss_env;

/* The program's target: a literal address, a Unix path, or a host name. */
struct ss_target {
    struct ss_addr addr; /* len 0: look up `host` */
    const char *host;    /* the caller's; must outlive the operation */
    const char *service; /* NULL, or the name of the port, looked up too; the caller's, as `host` */
    int family;          /* of the addresses: AF_UNSPEC, AF_INET, AF_INET6 */
    uint16_t port;
    bool any;             /* "*" in bind: every local address */
    bool wants_canonical; /* the canonical name too */
    bool wants_name;      /* look up the name of `addr`, and no addresses */
};

struct ss_lookup {
    struct ss_op op;
    struct ss_env *env;
    void (*release)(struct ss_lookup *lookup); /* frees the resources of the enclosing operation, or NULL */
    struct ss_target target;
    struct os_lookup *query;        /* on a helper thread, or NULL */
    int query_fd;                   /* readable when `query` has ended */
    struct os_answer answer;        /* the resolver's, owned; or empty */
    const struct addrinfo *next[2]; /* cursors in the answer: of the first address's family, of the other */
    int family;                     /* of the first address, AF_INET or AF_INET6 */
    bool resolved;                  /* the addresses are known */
    bool single;                    /* exactly one address; valid with `resolved` */
    bool literal_pending;           /* target.addr is the next address */
    bool other_is_next;             /* the next address is of next[1] */
};

/* `io`: of the socket. `step`: of the enclosing operation, begins with ss_lookup_resolve. */
void ss_lookup_init(struct ss_lookup *lookup, struct ss_env *env, struct ss_io *io, const struct ss_target *target,
                    enum ss_status (*step)(struct ss_op *op));

/* SS_OK: the addresses are known, also in later calls | SS_WANT | SS_ERROR: getaddrinfo(3) or errno(3) in op.error. */
enum ss_status ss_lookup_resolve(struct ss_lookup *lookup);

/* The next address, families alternating (RFC 8305 section 4), each in RFC 6724 order. False: none is left. */
bool ss_lookup_next(struct ss_lookup *lookup, struct ss_addr *addr);

/* The next address in the resolver's order. Do not mix with ss_lookup_next. */
bool ss_lookup_next_listed(struct ss_lookup *lookup, struct ss_addr *addr);

/* How many of the next addresses a socket of `family` can use. */
unsigned ss_lookup_count_next(const struct ss_lookup *lookup, int family);

/* Restarts ss_lookup_next and ss_lookup_next_listed at the first address. */
void ss_lookup_rewind(struct ss_lookup *lookup);

/* The same for an operation that begins with a look-up and has failed: further steps try everything again. */
void ss_lookup_restart(struct ss_op *op);

/* Ends the query, calls `release`, and frees everything. A second call is harmless. */
void ss_lookup_fini(struct ss_lookup *lookup);

/* A look-up without a socket. */
struct ss_resolve {
    struct ss_lookup lookup;
    struct ss_io io;
};

void ss_resolve_init(struct ss_resolve *op, struct ss_env *env, const struct ss_target *target);

#pragma GCC visibility pop

#endif
