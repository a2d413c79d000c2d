/* A look-up: the addresses of a target, one after another. Operations that need them have it at their head. */
#ifndef SS_CORE_OP_LOOKUP_H
#define SS_CORE_OP_LOOKUP_H

#include "core/addr.h"
#include "core/op.h"

#pragma GCC visibility push(hidden)

struct addrinfo;
struct os_lookup;
struct ss_env;

/* What the program gave: a literal, a Unix path, or a name. */
struct ss_target {
    struct ss_addr addr; /* len 0: `host` is to be looked up */
    const char *host;    /* kept by the caller */
    uint16_t port;
    bool any; /* "*" in bind: there is no address */
};

struct ss_lookup {
    struct ss_op op;
    struct ss_env *env;
    void (*end)(struct ss_lookup *lookup); /* frees what the operation around it holds, or NULL */
    struct ss_target target;
    struct os_lookup *query;        /* of a helper thread, or NULL */
    int query_fd;                   /* readable when that has ended */
    struct addrinfo *names;         /* the resolver's answer, or NULL */
    const struct addrinfo *next[2]; /* cursors in that: for the family of the first address and for the other one */
    int family;                     /* of the first address */
    bool resolved;                  /* the addresses are known */
    bool single;                    /* and there is just one */
    bool literal_left;              /* target.addr is the next address */
    bool other_is_next;             /* families in turn: next[1] is */
};

/* `io`: the socket's. Both are for the operation around it: `step` begins with ss_lookup_resolve. */
void ss_lookup_init(struct ss_lookup *lookup, struct ss_env *env, struct ss_io *io, const struct ss_target *target,
                    enum ss_status (*step)(struct ss_op *op));

/* SS_OK: the addresses are known, now as in each later call. SS_WANT | SS_ERROR. */
enum ss_status ss_lookup_resolve(struct ss_lookup *lookup);

/* The next address: families in turn (RFC 8305 section 4), each in the order of RFC 6724. False: no more. */
bool ss_lookup_next(struct ss_lookup *lookup, struct ss_addr *addr);

/* The next address in the resolver's order, not to be mixed with the above. */
bool ss_lookup_next_listed(struct ss_lookup *lookup, struct ss_addr *addr);

/* Both begin with the first address again. */
void ss_lookup_rewind(struct ss_lookup *lookup);

/* Stops and frees everything, also what the operation around it holds; may be called twice. */
void ss_lookup_fini(struct ss_lookup *lookup);

/* A look-up alone, without a socket. */
struct ss_resolve {
    struct ss_lookup lookup;
    struct ss_io io;
};

void ss_resolve_init(struct ss_resolve *op, struct ss_env *env, const struct ss_target *target);

#pragma GCC visibility pop

#endif
