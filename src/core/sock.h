/* A socket: a descriptor, when it has one, and what outlives it. */
#ifndef SS_CORE_SOCK_H
#define SS_CORE_SOCK_H

#include "core/addr.h"
#include "core/dgrams.h"
#include "core/inbuf.h"
#include "core/io.h"
#include "core/optlist.h"
#include "os/os_fork.h"

#pragma GCC visibility push(hidden)

struct os_resolver;
struct ss_loop;
struct ss_waiter;
struct ss_sock;

/* What all sockets of one Lua state share. */
struct ss_env {
    struct ss_pool pool;
    struct ss_optmem opts;
    struct os_resolver *resolver; /* made with the first look-up that must not wait */
    struct ss_sock **by_fd;       /* the open socket with that descriptor, or NULL; [0, nfds) */
    size_t nfds;
    struct ss_join_proof join_proof;
    struct os_fork_mark mark;
    unsigned forks;       /* number of forks between the first process and this one */
    bool has_ended;       /* every socket is closed; reject new ones */
    bool loop_has_ended;  /* only with `loop` NULL: the Lua state is closing; reject a new loop */
    struct ss_loop *loop; /* of the tasks, or NULL (run/loop.h) */
    void (*on_release)(struct ss_sock *s, bool closing); /* NULL without `loop`: a socket gives its descriptor away */
};

void ss_env_init(struct ss_env *env, struct ss_mem mem);
void ss_env_fini(struct ss_env *env);

/* Its end has begun: nothing new is to begin. */
void ss_env_end(struct ss_env *env);

/* Whether this is a new process: a fork(2) has made it since the last time. Its sockets are its parent's as well. */
bool ss_env_check_fork(struct ss_env *env);
static inline bool ss_env_forked(struct ss_env *env)
{
    return !os_fork_mark_is_old(&env->mark) && ss_env_check_fork(env);
}

/* The socket of this state that has the descriptor, or NULL. */
static inline struct ss_sock *ss_env_find(const struct ss_env *env, int fd)
{
    return fd >= 0 && (size_t)fd < env->nfds ? env->by_fd[fd] : NULL;
}

struct ss_sock {
    struct ss_env *env;
    struct ss_io io;        /* io.fd: the descriptor, or -1 */
    struct ss_inbuf in;     /* streams: unread bytes; datagrams: memory of one, or of the queue, which is its bytes */
    struct ss_optlist opts; /* kept over close */
    struct ss_waiter *waiters[2];  /* the calls that wait, reading and writing */
    struct ss_error pending_error; /* streams: error that getopt took from a connect under way; code 0: none */
    int32_t kernel_ms[2];          /* of the descriptor: SO_RCVTIMEO, SO_SNDTIMEO; -1: unknown */
    uint16_t spin_us;              /* OPT_SPIN: try so long before sleeping in the kernel */
    uint16_t attempt; /* changes with each attempt to connect the descriptor, and when that is given away */
    uint8_t family;   /* of the descriptor; 0: none */
    uint8_t type;     /* SOCK_STREAM or SOCK_DGRAM */
    /* Of the descriptor, and false without one: */
    bool nonblock : 1;  /* O_NONBLOCK, as set by us */
    bool connected : 1; /* streams: it was connected once, and can't be again */
    bool bound : 1;     /* the program bound it: it keeps its descriptor when a connect fails */
    bool shared : 1;    /* other processes, or other owners in this one, may change its settings */
    /* Of the socket: */
    bool finalized : 1;          /* nobody closes it any more: only without a descriptor, and it can't get one */
    bool may_linger : 1;         /* streams: OPT_LINGER may be set on the descriptor; kept over close, as options are */
    bool timeout_is_integer : 1; /* lua/lua_base.h: there it would take eight bytes more */
};

void ss_sock_init(struct ss_sock *s, struct ss_env *env, int type);

/* The same with memory that is zero or was a socket's: to a call that has not noticed the end of that one, this is another stream. */
void ss_sock_reinit(struct ss_sock *s, struct ss_env *env, int type);

/* What a call wants was not there, and yet it is told of an error without end, if that waits where nobody looks (os_drop_report). A
 * Unix socket has no such place. */
void ss_sock_drop_report(const struct ss_sock *s);

/* A new descriptor with the kept options, that is not the socket's yet. */
enum ss_status ss_sock_make(const struct ss_sock *s, int family, bool nonblock, int *fd, struct ss_error *err);

/* Makes `fd` the socket's own; on failure (no memory, the socket has one or has ended) it is closed. */
enum ss_status ss_sock_adopt(struct ss_sock *s, int fd, int family, bool nonblock, struct ss_error *err);

/* Makes a descriptor the socket's own of which only its kind is known; on failure it stays the caller's. */
struct os_kind;
enum ss_status ss_sock_take(struct ss_sock *s, int fd, const struct os_kind *kind, struct ss_error *err);

/* Gives an unopened socket a descriptor of that family. */
enum ss_status ss_sock_open(struct ss_sock *s, int family, struct ss_error *err);

/* Puts the descriptor in the mode in which a call waits in the kernel, or not. */
enum ss_status ss_sock_set_nonblock(struct ss_sock *s, bool nonblock, struct ss_error *err);

/* Back to the state of a new socket, options kept; calls that wait on it end. The descriptor is returned, not closed (-1:
 * there was none); `closing`: that is what the caller does next. */
int ss_sock_release(struct ss_sock *s, bool closing);

/* SS_OK also when there is nothing to close. */
enum ss_status ss_sock_close(struct ss_sock *s, struct ss_error *err);

/* For how many seconds the end of the descriptor is to wait for the peer to have what was written (OPT_LINGER). 0: it does not
 * wait, or others may have the descriptor, whose stream goes on with its options as they are: that is for close(2) alone. */
int ss_sock_linger_s(const struct ss_sock *s);

/* Gives the descriptor away with what is written ended, so that closing it waits for nothing any more; -1: there is none. */
int ss_sock_detach_lingering(struct ss_sock *s);

/* The end of its life: nothing of it is left. What is written goes out without anybody waiting for that. */
void ss_sock_fini(struct ss_sock *s);

/* Binds, opening the socket when it has no descriptor; that is undone on failure. */
enum ss_status ss_sock_bind(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err);

/* Binds to every local address: IPv6 and IPv4 in one where the system can. */
enum ss_status ss_sock_bind_any(struct ss_sock *s, uint16_t port, struct ss_error *err);

/* Whether bytes or datagrams are received and not yet read. */
static inline bool ss_sock_has_input(const struct ss_sock *s)
{
    return ss_inbuf_len(&s->in) > 0;
}

enum { SS_SPIN_MAX_US = 1000 };

/* Takes one option over, on the descriptor if there is one, and notes it for later ones. */
enum ss_status ss_sock_set(struct ss_sock *s, const struct ss_setting *setting, struct ss_error *err);

/* The value of an option (its setting's is not looked at) of an open socket. A connect that is under way fails with an error
 * that is got here. */
enum ss_status ss_sock_get(struct ss_sock *s, const struct ss_setting *setting, int *value, struct ss_error *err);

#pragma GCC visibility pop

#endif
