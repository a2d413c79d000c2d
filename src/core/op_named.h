/* Operations that begin with an address as a program gives it: a literal, a Unix path, or a name that has
 * to be looked up first and may have several addresses. */
#ifndef SS_CORE_OP_NAMED_H
#define SS_CORE_OP_NAMED_H

#include "core/op.h"
#include "core/sock.h"

#pragma GCC visibility push(hidden)

struct addrinfo;
struct os_lookup;

/* What the program gave. */
struct ss_target {
    struct ss_addr addr; /* len 0: `host` is to be looked up */
    const char *host;    /* kept by the caller */
    uint16_t port;
    bool any; /* "*" in bind */
};

enum { SS_FLIGHTS = 16 }; /* connects of one call that are under way at once, at most */

struct ss_named {
    struct ss_op op;
    struct ss_env *env;
    struct ss_sock *sock; /* NULL for a mere look-up */
    struct ss_io io;      /* stands in for the socket's then */
    struct ss_target target;
    enum ss_status (*then)(struct ss_named *op); /* what is done with the addresses, called again after SS_WANT */
    bool found;                                  /* the addresses are there */
    bool one_left;                               /* target.addr, not used yet */
    struct os_lookup *lookup;                    /* under way on another thread */
    int lookup_fd;                               /* readable when it has ended */
    struct addrinfo *names;
    const struct addrinfo *next[2]; /* the first's family and the rest, taken in turn */
    int family;                     /* the first's */
    unsigned turn;

    struct ss_addr latest; /* the address in hand */

    /* connect */
    struct ss_interest flights[SS_FLIGHTS]; /* attempts under way */
    int families[SS_FLIGHTS];
    unsigned nflights;
    bool single;        /* there is just one address */
    bool own;           /* the socket has a descriptor already: it alone connects, to one address after another */
    unsigned forks;     /* env->forks when it began */
    uint16_t attempt;   /* sock->attempt of that; another number there: the descriptor is not this call's any more */
    bool retry;         /* the latest address is to be tried again */
    bool nonblock;      /* O_NONBLOCK of the attempts' descriptors */
    int32_t bounded_ms; /* their SO_SNDTIMEO */
    int rank;           /* how much op.error tells; 0: there is none */

    /* send */
    struct ss_op *send;        /* a ss_sendto or ss_sendmany of the socket */
    const struct ss_addr **to; /* where that has its destination */
    bool chosen, opened;       /* the destination is; the socket was, for it */
};

/* `then`: one of those below. */
void ss_named_init(struct ss_named *op, struct ss_env *env, struct ss_sock *sock, const struct ss_target *target,
                   enum ss_status (*then)(struct ss_named *op));

enum ss_status ss_named_step(struct ss_op *op);

/* Has ss_named_next begin with the first address again. */
void ss_named_rewind(struct ss_named *op);

/* The next address: families in turn (RFC 8305 section 4), each in the order of RFC 6724. False: no more. */
bool ss_named_next(struct ss_named *op, struct ss_addr *addr);

/* Stops what is under way and frees what it holds; may be called twice. */
void ss_named_fini(struct ss_named *op);

/* Nothing more: the addresses are for ss_named_next. */
enum ss_status ss_named_found(struct ss_named *op);

/* Stream connect: a race of all addresses (RFC 8305 section 5), one address alone without any of that. */
enum ss_status ss_named_connect(struct ss_named *op);

/* Datagram connect, which waits for nobody: the first address that the system takes. */
enum ss_status ss_named_set_peer(struct ss_named *op);

/* The first address that can be bound. */
enum ss_status ss_named_bind(struct ss_named *op);

/* Runs op->send (filled in by the caller, with op->to) for the first address that suits the socket, which is opened
 * if need be. */
enum ss_status ss_named_send(struct ss_named *op);

#pragma GCC visibility pop

#endif
