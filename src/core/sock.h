/* A socket: a descriptor or none, and the state that outlives the descriptor. */
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

/* State that all sockets of one Lua state share. */
struct ss_env {
    struct ss_pool pool;
    struct ss_optmem opts;
    struct os_resolver *resolver; /* NULL until the first look-up on a helper thread */
    struct ss_sock **by_fd;       /* by descriptor, in [0, nfds): the open socket, or NULL */
    size_t nfds;
    struct ss_join_probe join_probe;
    struct os_fork_mark mark;
    uint16_t first_local_port; /* os_first_local_port; 0: not asked yet */
    unsigned forks;            /* number of forks between the first process and this one */
    bool has_ended;            /* every socket is closed; reject new ones */
    bool loop_has_ended;       /* only with `loop` NULL: the Lua state is closing; reject a new loop */
    struct ss_loop *loop;      /* of the tasks, or NULL (run/loop.h) */
    void (*on_release)(struct ss_sock *s, bool closing); /* before `s` loses its descriptor; NULL without `loop` */
};

/* `mem`: the Lua state's allocator. ss_env_fini closes every socket and frees everything. */
void ss_env_init(struct ss_env *env, struct ss_mem mem);
void ss_env_fini(struct ss_env *env);

/* The Lua state is closing: sockets reject new descriptors and options. */
void ss_env_end(struct ss_env *env);

/* Whether fork(2) has made this process since the last check. True: the sockets are now `shared` with the parent. */
bool ss_env_check_fork(struct ss_env *env);
static inline bool ss_env_forked(struct ss_env *env)
{
    return !os_fork_mark_is_old(&env->mark) && ss_env_check_fork(env);
}

/* The open socket of this Lua state with descriptor `fd`, or NULL. */
static inline struct ss_sock *ss_env_find(const struct ss_env *env, int fd)
{
    return fd >= 0 && (size_t)fd < env->nfds ? env->by_fd[fd] : NULL;
}

struct ss_sock {
    struct ss_env *env;
    struct ss_io io;              /* io.fd: the descriptor, or -1 */
    struct ss_inbuf in;           /* streams: unread bytes; datagrams: memory of one datagram or of the queue */
    struct ss_optlist opts;       /* survive close */
    struct ss_waiter *waiters[2]; /* the calls that wait to read and to write, or NULL */
    struct ss_addr *goal;         /* of a connect under way that goes on when its call ends; owned; NULL: none */
    int passed;                   /* what came with the first unread byte (os/os_passing.h); owned if a descriptor */
    unsigned passed_epoch;        /* a different in.epoch: that byte is no longer the first */
    int32_t kernel_ms[2];         /* of the descriptor: SO_RCVTIMEO, SO_SNDTIMEO; 0: none, -1: unknown */
    uint16_t spin_us;             /* OPT_SPIN: duration of polling before a call sleeps; at most SS_SPIN_MAX_US */
    uint16_t attempt; /* changes when a dial starts on the descriptor, and when the descriptor is released */
    uint8_t family;   /* of the descriptor; 0: none */
    uint8_t type;     /* SOCK_STREAM or SOCK_DGRAM */
    /* Of the descriptor, and false without one: */
    bool nonblock : 1;     /* O_NONBLOCK, as this module set it */
    bool connected : 1;    /* streams: was connected once; cannot connect again */
    bool opened : 1;       /* by ss_sock_open_for_program */
    bool bound : 1;        /* opened, bound, imported or joined by the program: connect must not replace it */
    bool port_chosen : 1;  /* bound to that port by the program, or imported; false: the system chose it, or has to */
    bool output_ended : 1; /* shutdown(2) has, or may have where it was imported */
    bool shared : 1;       /* other processes or other owners may change the descriptor's settings */
    /* Of the socket: */
    bool finalized : 1;          /* has no descriptor and rejects a new one, which nothing would close */
    bool may_linger : 1;         /* streams: OPT_LINGER may be set; survives close, as options do */
    bool timeout_is_integer : 1; /* of lua/lua_base.h; a member there would take eight bytes */
};

/* Initializes a closed socket. `type`: SOCK_STREAM or SOCK_DGRAM; `env` must outlive the socket. */
void ss_sock_init(struct ss_sock *s, struct ss_env *env, int type);

/* ss_sock_init in zeroed memory or a finalized socket's, whose calls then see another stream: counters continue. */
void ss_sock_reinit(struct ss_sock *s, struct ss_env *env, int type);

/* Removes one entry from an IP socket's error queue (os_drop_report), after an error event alone. */
void ss_sock_drop_report(const struct ss_sock *s);

/* Makes a descriptor with the kept options, owned by the caller. SS_OK | SS_ERROR: socket(2), setsockopt(2). */
enum ss_status ss_sock_make_fd(const struct ss_sock *s, int family, bool nonblock, int *fd, struct ss_error *err);

/* Gives `fd` to the socket. SS_OK | SS_ERROR, `fd` is closed: no memory; ECANCELED: the socket is open or has ended. */
enum ss_status ss_sock_adopt(struct ss_sock *s, int fd, int family, bool nonblock, struct ss_error *err);

/* Gives a descriptor of unknown state to the socket. Errors as ss_sock_adopt, but `fd` stays the caller's. */
struct os_kind;
enum ss_status ss_sock_import(struct ss_sock *s, int fd, const struct os_kind *kind, struct ss_error *err);

/* Opens a closed socket. SS_OK | SS_ERROR: as ss_sock_make_fd and ss_sock_adopt. */
enum ss_status ss_sock_open(struct ss_sock *s, int family, struct ss_error *err);

/* Opens a closed socket whose descriptor the program chooses to have. SS_OK | SS_ERROR: as ss_sock_open; EISCONN: it is open. */
enum ss_status ss_sock_open_for_program(struct ss_sock *s, int family, struct ss_error *err);

/* Sets and clears `goal`. SS_OK | SS_ERROR: no memory. */
enum ss_status ss_sock_set_goal(struct ss_sock *s, const struct ss_addr *goal, struct ss_error *err);
void ss_sock_clear_goal(struct ss_sock *s);

/* Sets O_NONBLOCK unless already as requested. SS_OK | SS_ERROR: os_nonblock. */
enum ss_status ss_sock_set_nonblock(struct ss_sock *s, bool nonblock, struct ss_error *err);

/* Resets the socket except its options, ends its waiting calls, and frees its layer. Returns the descriptor, now the
 * caller's; -1: none. `closing`: the caller closes the descriptor next. */
int ss_sock_release(struct ss_sock *s, bool closing);

/* Releases and closes the descriptor; a layer has told the peer only after ss_sock_leave. SS_OK, also without a
 * descriptor | SS_ERROR: close(2), but closed. */
enum ss_status ss_sock_close(struct ss_sock *s, struct ss_error *err);

/* The same without OPT_LINGER's wait or reset, unless others share the descriptor. */
enum ss_status ss_sock_close_quietly(struct ss_sock *s, struct ss_error *err);

/* SO_LINGER (socket(7)) of an IP stream in seconds. 0: off, or the descriptor is shared: the stream may continue in
 * another process and must keep its options, so close(2) alone applies them. */
int ss_sock_linger_s(const struct ss_sock *s);

/* Turns SO_LINGER off, ends the output (shutdown(2)) and releases the descriptor to the caller; -1: none. */
int ss_sock_detach_lingering(struct ss_sock *s);

/* Closes the socket and frees everything it owns. Never waits: the kernel sends written bytes in the background. */
void ss_sock_fini(struct ss_sock *s);

/* bind(2). A closed socket is opened first, and closed again on failure. ss_addr_fit may change *addr. */
enum ss_status ss_sock_bind(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err);

/* Binds to every local address: IPv6 and IPv4 where the system supports both in one socket. */
enum ss_status ss_sock_bind_any(struct ss_sock *s, uint16_t port, struct ss_error *err);

/* Removes the module's timeouts and mode from the descriptor, unless others share it. */
void ss_sock_restore_settings(struct ss_sock *s);

/* Keeps what a receive into the empty input buffer has brought beside the bytes, until the first of them is taken. */
void ss_sock_keep_passed(struct ss_sock *s, int passed);

/* What came with the first unread byte (os/os_passing.h); stays the socket's until ss_sock_give_passed. */
int ss_sock_passed(const struct ss_sock *s);
static inline void ss_sock_give_passed(struct ss_sock *s)
{
    s->passed = -1;
}

/* Whether unread bytes or datagrams are in memory. */
static inline bool ss_sock_has_input(const struct ss_sock *s)
{
    return ss_inbuf_len(&s->in) > 0;
}

/* Whether a reading call may end without a system call: with unread input, or with what a layer has. */
static inline bool ss_sock_is_ready(const struct ss_sock *s)
{
    return ss_sock_has_input(s) || (ss_io_has_layer(&s->io) && s->io.via->is_ready(&s->io));
}

/* ss_sock_is_ready, but not for bytes that are too few. */
static inline bool ss_sock_is_worth_a_call(const struct ss_sock *s)
{
    return !ss_inbuf_is_short(&s->in) && ss_sock_is_ready(s);
}

/* Has a layer tell the peer, before the program closes the socket. */
static inline void ss_sock_leave(struct ss_sock *s)
{
    if (!ss_io_has_layer(&s->io))
        return;
    ss_io_set_mode(&s->io, SS_NO_WAIT);
    s->io.via->leave(&s->io);
}

/* Has a layer give memory back. */
static inline void ss_sock_settle(struct ss_sock *s)
{
    if (ss_io_has_layer(&s->io))
        s->io.via->settle(&s->io);
}

enum { SS_SPIN_MAX_US = 1000 };

/* Keeps an option for later descriptors, and sets it on the present one. On SS_ERROR the kept options are unchanged. */
enum ss_status ss_sock_set(struct ss_sock *s, const struct ss_setting *setting, struct ss_error *err);

/* Gets an option of an open socket (getsockopt(2)); the setting's value is ignored. SO_ERROR of a stream stays pending for a
 * connect in progress, and for readers. */
enum ss_status ss_sock_get(struct ss_sock *s, const struct ss_setting *setting, int *value, struct ss_error *err);

/* The same of an option by level and number, as bytes. *len: in, the room; out, the number of bytes. */
enum ss_status ss_sock_get_bytes(struct ss_sock *s, const struct ss_setting *setting, void *bytes, size_t *len,
                                 struct ss_error *err);

#pragma GCC visibility pop

#endif
