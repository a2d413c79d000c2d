/* What all bindings share: sockets as userdata, arguments, running an operation, outcomes as results. */
#ifndef LSS_BASE_H
#define LSS_BASE_H

#include "core/op_lookup.h"
#include "core/op_read.h"
#include "core/op_write.h"
#include "core/sock.h"
#include "lua/lua_compat.h"
#include "run/try.h"

#pragma GCC visibility push(hidden)

/* Every socket begins like this. Its memory stays a socket's until the Lua state is gone, and goes to the next one of the same class:
 * Lua frees the userdata without a finalizer when it could not call that (no memory, the C stack is full), and the state has to
 * close the descriptor all the same. */
struct lss_socket {
    struct ss_sock sock;
    int64_t timeout_ns; /* negative: none */
    union {             /* the same in seconds, as the program gave it */
        lua_Number number;
        lua_Integer integer;
        struct lss_socket *next; /* of those that no userdata has */
    } timeout;                   /* which of them: sock.timeout_is_integer */
};

/* The userdata of a socket. */
struct lss_box {
    struct lss_socket *socket; /* NULL: it is finalized */
    uintptr_t tag;             /* lss_tag: no other userdata has it */
};

/* Tells a socket's userdata from any other without a look at its metatable, which is slower. */
static inline uintptr_t lss_tag(const struct ss_env *env)
{
    return ~(uintptr_t)env;
}

/* Names of the metatables in the registry. What follows the prefix is the userdata's __name. */
#define LSS_TCP LSS_PREFIX "tcpsock"
#define LSS_UDP LSS_PREFIX "udpsock"

/* The shared state of a Lua state, made with the first socket module loaded there. */
struct ss_env *lss_env(lua_State *L);

/* The same for what opens descriptors or starts tasks: raises when the Lua state is being closed and its sockets are. */
struct ss_env *lss_live_env(lua_State *L);
void lss_check_live(lua_State *L, const struct ss_env *env);

/* Sizes of what copies of the module share beside what is declared here. */
extern const size_t lss_shared_size, lss_tcp_size, lss_udp_size;

/* A new userdata with a socket of `size` bytes that is closed. `kind`: NULL in a method of that class. */
struct lss_socket *lss_new(lua_State *L, struct ss_env *env, const char *kind, size_t size, int type);

/* Registers class `kind`: metamethods and methods get its metatable as first upvalue, so that lss_self knows its own. */
void lss_class(lua_State *L, const char *kind, const luaL_Reg *events, const luaL_Reg *methods);

/* The metamethods of sockets. */
extern const luaL_Reg lss_socket_events[];

/* Pops the value on top of the stack into the registry, unless something has that name there. */
void lss_set_unless_there(lua_State *L, const char *name);

/* t[name] = value; t is on top of the stack. */
void lss_set_string(lua_State *L, const char *name, const char *value);

/* Argument error "… expected, got …". */
int lss_type_error(lua_State *L, int arg, const char *expected);

/* Argument 1 of a method; anything else than a socket of the method's own kind is an argument error. */
void *lss_self(lua_State *L);

/* The same of a method of sockets. One that is finalized has this metatable only if the debug library has set it again. */
static inline void *lss_self_socket(lua_State *L)
{
    const struct lss_box *box = lss_self(L);
    if (!box->socket)
        lss_type_error(L, 1, "open socket");
    return box->socket;
}

/* After what may have run finalizers: argument 1 is still the userdata of that socket, and none has finalized it. */
static inline void lss_check_self(lua_State *L, const struct lss_socket *s)
{
    const struct lss_box *box = lua_touserdata(L, 1);
    if (!box || box->socket != s)
        lss_type_error(L, 1, "open socket");
}

/* The socket at any index, or NULL. */
struct lss_socket *lss_test(lua_State *L, int index);

/* A whole number from `min` up; `name` is what error messages call it. */
size_t lss_check_size(lua_State *L, int arg, const char *name, int min);

/* A whole number from `min` to `max`. */
int lss_check_int(lua_State *L, int arg, const char *name, int min, int max);

/* Seconds, a fraction included; NaN is an argument error. */
lua_Number lss_check_seconds(lua_State *L, int arg);
int64_t lss_nanoseconds(lua_Number seconds);

/* Nanoseconds from such seconds; negative, as with nil and none: no limit. */
int64_t lss_check_timeout(lua_State *L, int arg);

/* Pushes `n` bytes that belong to `in`. Any allocation may run a finalizer, and that may use or close the same socket: false,
 * and nothing is pushed, when the bytes were gone before they were safe. They are whole in the string otherwise, but may
 * have been handed out there as well: in->epoch tells. */
bool lss_push_bytes_safely(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n);
static inline bool lss_push_bytes(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n)
{
    if (LSS_COLLECTS_BEFORE_COPY)
        return lss_push_bytes_safely(L, in, data, n);
    lua_pushlstring(L, data, n);
    return true;
}

/* The same for all that is in the buffer, which is taken out of it: no finalizer can reach it, and so it is not copied
 * first. Afterwards it is in there again or not, as `what` says. */
enum lss_left {
    LSS_STAYS_AFTER_ERROR,
    LSS_STAYS /* for a datagram, unless a finalizer has received others into the queue, whose memory is there now */
};
void lss_push_all(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_left what);

/* The same; false: the error is on top of the stack instead. */
bool lss_try_push_all(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_left what);

/* Turns an outcome other than success into results: nils up to the position of the error, and its text.
 * Returns their number. The only place where that happens. */
int lss_push_failure(lua_State *L, int nils, enum ss_status st, const struct ss_error *err);

/* nil and ERROR_CLOSED. */
static inline int lss_push_closed(lua_State *L)
{
    return lss_push_failure(L, 1, SS_CLOSED, NULL);
}

/* The failure of detach where something is received and not yet read. */
int lss_push_unread(lua_State *L);

/* `true`, or the failure. */
int lss_push_done(lua_State *L, enum ss_status st, const struct ss_error *err);

/* Turns the outcome of an operation into results, and returns their number; LSS_RETRY: a finalizer has taken what it was
 * about, and the operation, made as new by this, is to be run again. */
typedef int lss_finish(lua_State *L, struct ss_op *op, enum ss_status st);
enum { LSS_RETRY = -2 }; /* -1 is what lua_yield returns in Lua 5.1 */

/* Changes when the socket is closed: what is in it after that is not for the calls that began before. */
static inline unsigned lss_stream(const struct ss_sock *s)
{
    return s ? s->in.stream : 0;
}

/* What a driver must know of a call. */
struct lss_call {
    lss_finish *finish;
    size_t
        size; /* of the operation, if it is on the C stack: a task that waits takes it along; 0: it is in a userdata */
    void (*relocate)(struct ss_op *op, const struct ss_op *from); /* puts right what points into it, or NULL */
    /* Ends a call that can't be finished: gives back what it holds beside its memory. `kept`: stack index of the last value
     * that is kept, or 0: they are gone. Raises nothing. NULL: there is nothing to do. */
    void (*drop)(lua_State *L, int kept, struct ss_op *op);
    int keep;            /* values on top of the stack that `finish` finds there */
    unsigned directions; /* whom it keeps from waiting on the same socket */
    bool many_results;   /* it may have many results, and needs nothing on its stack but what it keeps */
};
enum { LSS_READING = 1, LSS_WRITING = 2 }; /* bits of `holds`, by index of ss_sock.holders */

/* Runs an operation to its end: of a socket (or NULL), within a time. What it returns must be returned at once. */
int lss_run_for(lua_State *L, struct ss_env *env, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call);

/* The same within the socket's timeout. */
int lss_run(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call);

/* Whether a call that needs no waiting may be done at once: nobody else waits on the socket for the same, and no other task
 * is to have its turn first. One that has been done counts; one that is to wait after all counts later, and nobody has a
 * turn in between. */
bool lss_has_turn(const struct ss_sock *s, unsigned directions);
void lss_count_call(const struct ss_sock *s);
static inline bool lss_may_begin(const struct ss_sock *s, unsigned directions)
{
    return !s->env->loop || lss_has_turn(s, directions);
}
static inline void lss_has_done(const struct ss_sock *s)
{
    if (s->env->loop)
        lss_count_call(s);
}

/* lss_run for an operation that hardly ever has to wait: one step comes before the driver. */
static inline int lss_run_brief(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call)
{
    if (lss_may_begin(&s->sock, call->directions)) {
        enum ss_status st = ss_try_step(op, SS_NO_WAIT);
        if (st != SS_WANT) {
            lss_has_done(&s->sock);
            return call->finish(L, op, st);
        }
        op->tried = true;
    }
    return lss_run(L, s, op, call);
}

/* Lets the collector know of memory that was got outside its accounts. */
void lss_account_growth(lua_State *L, struct ss_pool *pool);
static inline void lss_account(lua_State *L, struct ss_pool *pool)
{
    if (pool->grown > sizeof(struct ss_block) + SS_BLOCK)
        lss_account_growth(L, pool);
}

/* Reads what `lua_addr.c` calls an address at index `arg`: host and port, "unix:…", a path, or an address value.
 * `host` in the target stays good while the arguments are on the stack. SS_ERROR: a failure, not a misuse. */
enum { LSS_BIND = 1 };
enum ss_status lss_check_target(lua_State *L, int arg, int flags, struct ss_target *target, struct ss_error *err);

/* The address as a program sees it. family: of the socket, for addresses that the system left empty. */
void lss_push_addr(lua_State *L, const struct ss_addr *addr, int family);

/* `finish` (`true`, or the failure) and `drop` of a call whose operation has a struct ss_lookup at its head. */
int lss_finish_lookup(lua_State *L, struct ss_op *op, enum ss_status st);
void lss_drop_lookup(lua_State *L, int kept, struct ss_op *op);

/* Pushes a userdata for such an operation of `size` bytes, to be initialized by the caller. Its finalizer frees what the
 * operation holds if nobody else does. */
void *lss_push_lookup(lua_State *L, const struct ss_env *env, size_t size);

/* The number of elements of the array at `arg`; anything else and too many of them are argument errors. */
size_t lss_check_length(lua_State *L, int arg);

/* Pushes a copy of the array of strings (numbers count) at `arg`, that nobody can change, and a userdata with the
 * same as iovecs; *n of them. Wrong elements are argument errors that name the index. */
struct iovec *lss_check_strings(lua_State *L, int arg, size_t *n);

/* Pushes a number of bytes or datagrams. Lua before 5.3 has integers of ptrdiff_t: what 32 bits do not hold is no integer. */
void lss_push_size(lua_State *L, size_t n);

/* Methods of both kinds of sockets; luaL_Reg entries in lua_sock.c and lua_opt.c. */
int lss_close(lua_State *L);
int lss_fileno(lua_State *L);
int lss_detach(lua_State *L);
int lss_settimeout(lua_State *L);
int lss_gettimeout(lua_State *L);
int lss_getpeername(lua_State *L);
int lss_getsockname(lua_State *L);
int lss_setopt(lua_State *L);
int lss_getopt(lua_State *L);
int lss_bind(lua_State *L);

/* Parts of the module. */
void lss_open_addr(lua_State *L);
void lss_open_sock(lua_State *L);
void lss_open_tcp(lua_State *L);
void lss_open_udp(lua_State *L);
void lss_open_task(lua_State *L);
void lss_open_loop(lua_State *L);
void lss_open_channel(lua_State *L);
struct lss_socket *lss_new_tcp(lua_State *L, struct ss_env *env);
struct lss_socket *lss_new_udp(lua_State *L, struct ss_env *env);
int lss_select(lua_State *L);
int lss_spawn(lua_State *L);
int lss_run_tasks(lua_State *L);
int lss_loop(lua_State *L);
int lss_channel(lua_State *L);

#pragma GCC visibility pop

#endif
