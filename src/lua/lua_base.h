/* What all bindings share: sockets as userdata, argument checks, operations, outcomes as results. */
#ifndef LSS_BASE_H
#define LSS_BASE_H

#include "core/op_lookup.h"
#include "core/op_read.h"
#include "core/op_write.h"
#include "core/sock.h"
#include "lua/lua_compat.h"
#include "run/try.h"

#pragma GCC visibility push(hidden)

/* Head of every socket. The memory lives as long as the Lua state, and sockets of one class reuse it: Lua frees a
 * userdata without its finalizer when the call of that fails (no memory, C stack full), and the state must still close
 * the descriptor. */
struct lss_socket {
    struct ss_sock sock;
    int64_t timeout_ns; /* negative: none */
    union {             /* the same in seconds, as the program set it */
        lua_Number number;
        lua_Integer integer;
        struct lss_socket *next_free; /* in the free list */
    } timeout;                        /* the valid member: sock.timeout_is_integer */
};

/* The userdata of a socket. */
struct lss_socket_handle {
    struct lss_socket *socket; /* NULL: finalized */
    uintptr_t tag;             /* lss_tag; no other userdata holds this value */
};

/* Identifies a socket's userdata, faster than a comparison of metatables. */
static inline uintptr_t lss_tag(const struct ss_env *env)
{
    return ~(uintptr_t)env;
}

/* The socket whose userdata is at `index`, or NULL. The contents of other userdata are only compared. */
static inline struct lss_socket *lss_test_socket(lua_State *L, int index, const struct ss_env *env)
{
    const struct lss_socket_handle *handle = lua_touserdata(L, index);
    return handle && lua_rawlen(L, index) == sizeof *handle && handle->tag == lss_tag(env) ? handle->socket : NULL;
}

/* Metatables in the registry. The name without the prefix is __name. */
#define LSS_TCP LSS_PREFIX "tcpsock"
#define LSS_UDP LSS_PREFIX "udpsock"

/* The state that all sockets of a Lua state share: created by the first call, freed with the Lua state. */
struct ss_env *lss_env(lua_State *L);

/* What calls of socket.within have left for calls that wait in them (lua_within.c). */
struct lss_step;
struct lss_scopes {
    size_t n;                    /* calls under way; an error that ends one counts until its garbage is collected */
    const void *function, *type; /* identify what such a call has on its stack */
    lua_State *main;             /* the main thread, once it has called socket.within */
    struct lss_step *steps;      /* coroutines that run in the main program, as lss_tasks.steps */
};

/* What an object holds besides sockets is released with the state: objects that finalizers create while the state closes may get no
 * finalizer. */
struct lss_holding {
    struct lss_holding *next, **link; /* link: what points to this one; NULL: in no list */
    void (*release)(struct lss_holding *holding);
};

/* The beginning of the shared state. */
struct lss_shared {
    struct ss_env env; /* first: all that other layers know */
    struct lss_scopes scopes;
    struct lss_holding *holdings;
    struct signals *free_signals; /* of lua_signals.c */
};

void lss_add_holding(struct ss_env *env, struct lss_holding *holding);

/* Memory that lasts as long as the Lua state, also where the program has taken an object's finalizer away. */
void *lss_new_lasting(lua_State *L, size_t size);

/* A second call is harmless. */
void lss_remove_holding(struct lss_holding *holding);

static inline struct lss_scopes *lss_scopes(struct ss_env *env)
{
    return &((struct lss_shared *)env)->scopes;
}

/* For callers that open descriptors or start tasks: raises if the Lua state is closing and its sockets are closed. */
struct ss_env *lss_live_env(lua_State *L);
void lss_check_live(lua_State *L, const struct ss_env *env);

/* Sizes of further structs that copies of the module share (check_build). */
extern const size_t lss_shared_size, lss_tcp_size, lss_udp_size;

/* Pushes a userdata with a new, closed socket of `size` bytes; type: SOCK_STREAM or SOCK_DGRAM. class_name NULL: the
 * class of the running method (upvalue 1). Raises if the Lua state is closing. */
struct lss_socket *lss_new_socket(lua_State *L, struct ss_env *env, const char *class_name, size_t size, int type);

/* Registers a class. Upvalues of its functions: the metatable (for lss_self), the name without the prefix. */
void lss_register_class(lua_State *L, const char *class_name, const luaL_Reg *metamethods, const luaL_Reg *methods);

extern const luaL_Reg lss_socket_metamethods[];

/* Pops a value and stores it as registry[name], unless that is set. */
void lss_set_registry_once(lua_State *L, const char *name);

/* t[name] = value; t is on top of the stack. */
void lss_set_string(lua_State *L, const char *name, const char *value);

/* Raises the argument error "… expected, got …". */
int lss_type_error(lua_State *L, int arg, const char *expected);

/* Argument errors of `name` for the line that has called the module's own Lua code, which has called this C function. The second one
 * is "… expected, got …". */
int lss_raise_misuse_above(lua_State *L, int arg, const char *name, const char *why);
int lss_raise_type_above(lua_State *L, int arg, const char *name, const char *expected);

/* Argument 1 of a method, a userdata of the method's class; raises for other values. */
void *lss_self(lua_State *L);

/* For methods of sockets: raises if the socket is finalized, which needs debug.setmetatable to get here. */
static inline void *lss_self_socket(lua_State *L)
{
    const struct lss_socket_handle *handle = lss_self(L);
    if (!handle->socket)
        lss_type_error(L, 1, "open socket");
    return handle->socket;
}

/* The userdata at `index` if it is of that class, or NULL. Allocates nothing. */
void *lss_test_class(lua_State *L, int index, const char *class_name);

/* After code that may run finalizers: raises unless argument 1 is still the userdata of `s`, not finalized. */
static inline void lss_recheck_self(lua_State *L, const struct lss_socket *s)
{
    const struct lss_socket_handle *handle = lua_touserdata(L, 1);
    if (!handle || handle->socket != s)
        lss_type_error(L, 1, "open socket");
}

/* A whole number of at least `min`, clamped to SIZE_MAX / 4; raises for other values, with `name` in the message. */
size_t lss_check_size(lua_State *L, int arg, const char *name, int min);

/* A whole number in [min, max]; raises as above. */
int lss_check_int(lua_State *L, int arg, const char *name, int min, int max);

/* The part of a string of `*len` bytes from position `arg` to position `arg + 1`, both counted as string.sub does; nil or
 * none: from the first, to the last byte. Returns the offset of the part, and its length in *len. Raises unless both are
 * whole numbers. */
size_t lss_check_part(lua_State *L, int arg, size_t *len);

/* A number of seconds; raises for NaN. lss_nanoseconds rounds up; negative or 9e9 and more: -1, no limit. */
lua_Number lss_check_seconds(lua_State *L, int arg);
int64_t lss_nanoseconds(lua_Number seconds);

/* A timeout in seconds, as nanoseconds; -1, no limit: nil, none, and as above. */
int64_t lss_check_timeout(lua_State *L, int arg);

/* What is left of a timeout for a call that may wait, inside of socket.within. If that is less than the timeout,
 * *deadline_ns is the time at which the call has to end. Raises nothing. */
int64_t lss_shorten_timeout(lua_State *L, struct ss_env *env, int64_t timeout_ns, int64_t *deadline_ns);
static inline int64_t lss_limit_timeout(lua_State *L, struct ss_env *env, int64_t timeout_ns, int64_t *deadline_ns)
{
    return lss_scopes(env)->n == 0 ? timeout_ns : lss_shorten_timeout(L, env, timeout_ns, deadline_ns);
}

/* Sets the socket's timeout to the number at `arg`; raises as lss_check_seconds. */
void lss_set_timeout(lua_State *L, int arg, struct lss_socket *s);

/* Pushes `n` bytes of `in` as a string. Any allocation may run a finalizer that uses or closes the socket. False:
 * nothing is pushed, since `in` has changed before the bytes were copied. True: the string is complete; a changed
 * in->epoch means that a finalizer has consumed the bytes too. */
bool lss_push_bytes_safely(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n);
static inline bool lss_push_bytes(lua_State *L, const struct ss_inbuf *in, const void *data, size_t n)
{
    if (LSS_COLLECTS_BEFORE_COPY)
        return lss_push_bytes_safely(L, in, data, n);
    lua_pushlstring(L, data, n);
    return true;
}

/* Pushes `n` bytes at `data` in the buffer's block, without a copy: the block is taken out, so that finalizers cannot
 * reach it. `restore`: when the block is put back; otherwise all of its bytes are consumed. */
enum lss_restore {
    LSS_RESTORE_ON_ERROR,
    LSS_RESTORE_ALWAYS /* for datagrams: unless a finalizer has received others into the buffer */
};
void lss_push_inbuf(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_restore restore);

/* The same; false: the error is pushed, not raised. */
bool lss_try_push_inbuf(lua_State *L, struct ss_inbuf *in, const void *data, size_t n, enum lss_restore restore);

/* Pushes `nils` nils and the text of a failed outcome, and returns nils + 1. `err`: read with SS_ERROR only. Each
 * failure of the system becomes results here. */
int lss_push_failure(lua_State *L, int nils, enum ss_status st, const struct ss_error *err);

/* nil and ERROR_CLOSED. */
static inline int lss_push_closed(lua_State *L)
{
    return lss_push_failure(L, 1, SS_CLOSED, NULL);
}

/* The failures of detach while received data is unread, and where a layer is. */
int lss_push_unread(lua_State *L);
int lss_push_layered(lua_State *L);

/* `true`, or the failure. */
int lss_push_done(lua_State *L, enum ss_status st, const struct ss_error *err);

/* Converts the outcome of an operation to results and returns their number. LSS_RETRY: a finalizer, or with select another
 * task, has consumed the data; the operation is reset, run it again. */
typedef int lss_finish(lua_State *L, struct ss_op *op, enum ss_status st);
enum { LSS_RETRY = -2 }; /* -1 is what lua_yield returns in Lua 5.1 */

/* Number of the socket's stream, which changes on close: earlier calls must not get data of a later stream. */
static inline unsigned lss_stream(const struct ss_sock *s)
{
    return s ? s->in.stream : 0;
}

/* After code of the program has run in the middle of a call: whether the socket's stream is still the one that the call
 * was made for: nobody has closed, reopened or connected it. */
static inline bool lss_keeps_stream(const struct ss_sock *s, unsigned stream, bool was_open)
{
    return !s || (s->in.stream == stream && (was_open || s->io.fd < 0 || s->type == SOCK_DGRAM));
}

/* How a driver runs, finishes or drops a call. */
struct lss_call {
    lss_finish *finish;
    size_t size; /* of the operation on the C stack, which a waiting task copies; 0: in a userdata */
    void (*relocate)(struct ss_op *op, const struct ss_op *from); /* corrects pointers into the copy, or NULL */
    /* Releases what an unfinished operation holds beside its memory. `kept`: stack index of the last kept value; 0: the
     * values are gone. Raises nothing. NULL: nothing to release. */
    void (*drop)(lua_State *L, int kept, struct ss_op *op);
    /* For calls that may fail for want of a descriptor: has the failed operation begin again. NULL: other calls. */
    void (*restart)(struct ss_op *op);
    /* Begins to wait for what is no descriptor, when the loop has begun the operation's wait; may end that. NULL: nothing. */
    void (*start)(struct ss_op *op, struct ss_waiter *w);
    /* Undoes `start` when the wait ends without an outcome, after a signal; the call may wait again. NULL: as above. */
    void (*stop)(struct ss_op *op);
    /* For operations that remember what the socket's input or the program's values were, or that wait for other calls of
     * the program: a hook has run in the middle of the call and may have changed them or made such calls. The kept values
     * are on top of the stack. SS_WANT: the call goes on | a status for `finish`. NULL: other calls. */
    enum ss_status (*look_again)(lua_State *L, struct ss_op *op);
    int keep;            /* number of values on top of the stack that `finish` expects */
    unsigned directions; /* in which no other call may wait on the socket meanwhile */
    bool many_results;   /* may return many results, and needs only the kept values on its stack */
};
enum { LSS_READING = 1, LSS_WRITING = 2 }; /* bits of `directions`, by index of ss_sock.waiters */

/* Whether no descriptor could be had, and a full collection has been made, which may have closed lost sockets: try once more. Its
 * finalizers may have closed or opened any socket. At most one a second, and none while the collector is stopped. */
bool lss_collect_descriptors(lua_State *L, struct ss_env *env, const struct ss_error *err);

/* The same for a call, once; its operation then begins again. */
bool lss_restart_for_descriptor(lua_State *L, struct ss_env *env, struct ss_op *op, const struct lss_call *call);

/* `restart` of operations whose step can just be called again. */
void lss_restart_step(struct ss_op *op);

/* Ends a call, or has the driver run it again (LSS_RETRY). */
static inline int lss_end_call(lua_State *L, struct ss_env *env, struct ss_op *op, const struct lss_call *call,
                               enum ss_status st)
{
    if (st == SS_ERROR && call->restart && lss_restart_for_descriptor(L, env, op, call))
        return LSS_RETRY;
    return call->finish(L, op, st);
}

/* Runs an operation for at most timeout_ns (negative: no limit). `s`: its socket or NULL. Return the result at once. */
int lss_run_for(lua_State *L, struct ss_env *env, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                const struct lss_call *call);

/* The same, within the socket's timeout. */
int lss_run(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call);

/* Whether a call may be tried before it waits: no other call waits on the socket in these directions, and no other
 * task has to run first. lss_count_call counts a call that ends in the try; the driver counts one that goes on to wait,
 * and no task runs in between. */
bool lss_may_try_with_tasks(const struct ss_sock *s, unsigned directions);
void lss_count_call_with_tasks(const struct ss_sock *s);
static inline bool lss_may_try(const struct ss_sock *s, unsigned directions)
{
    return !s->env->loop || lss_may_try_with_tasks(s, directions);
}
static inline void lss_count_call(const struct ss_sock *s)
{
    if (s->env->loop)
        lss_count_call_with_tasks(s);
}

/* lss_run for operations that rarely wait: one step before the driver. */
static inline int lss_try_then_run(lua_State *L, struct lss_socket *s, struct ss_op *op, const struct lss_call *call)
{
    if (lss_may_try(&s->sock, call->directions)) {
        enum ss_status st = ss_try_step(op, SS_NO_WAIT);
        if (st != SS_WANT) {
            lss_count_call(&s->sock);
            return call->finish(L, op, st);
        }
        op->tried = true;
    }
    return lss_run(L, s, op, call);
}

/* Reports memory of the pool to the collector, which does not count it. Finalizers may run and raise errors. */
void lss_account_memory_now(lua_State *L, struct ss_pool *pool);
static inline void lss_account_memory(lua_State *L, struct ss_pool *pool)
{
    if (pool->grown > sizeof(struct ss_block) + SS_BLOCK)
        lss_account_memory_now(L, pool);
}

/* Reads an address from `arg` and the next argument: host and port, "host:port", "unix:…", a path, or an address value.
 * LSS_BIND: also the host "*". target->host is valid while the arguments are on the stack. SS_OK | SS_ERROR; misuse raises. */
enum { LSS_BIND = 1 };
enum ss_status lss_check_target(lua_State *L, int arg, int flags, struct ss_target *target, struct ss_error *err);

/* Whether the argument is an address by itself, by its form: not a host that a port has to follow. */
bool lss_is_whole_address(lua_State *L, int arg);

/* Pushes an address value or Unix path. family: the socket's, for addresses that the system left empty (unix(7)). */
void lss_push_addr(lua_State *L, const struct ss_addr *addr, int family);

/* `finish` (results: `true`, or the failure) and `drop` for operations that begin with a struct ss_lookup. */
int lss_finish_lookup(lua_State *L, struct ss_op *op, enum ss_status st);
void lss_drop_lookup(lua_State *L, int kept, struct ss_op *op);

/* Pushes a userdata of `size` bytes for such an operation, which the caller initializes. Its finalizer frees what an
 * unfinished operation holds. Raises if the Lua state is closing. */
void *lss_push_lookup(lua_State *L, const struct ss_env *env, size_t size);

/* The length of the array at `arg`; raises for other types and for too many elements. */
size_t lss_check_length(lua_State *L, int arg);

/* Pushes a private copy of the array of strings or numbers at `arg`, then a userdata with its `*n` iovecs, which is
 * returned. Raises for other elements, with their index. */
struct iovec *lss_check_strings(lua_State *L, int arg, size_t *n);

/* Pushes a number of bytes or datagrams: as lua_Number above PTRDIFF_MAX, the largest integer before Lua 5.3. */
void lss_push_size(lua_State *L, size_t n);

/* Whether a datagram socket holds datagrams that only this module can read (udpsock:detach). */
bool lss_udp_has_unread(struct ss_sock *s);

/* Whether the value at `index` is an object of socket.signals; *fd: its descriptor, -1 when closed. */
bool lss_test_signals(lua_State *L, int index, int *fd);

/* Methods of stream sockets, defined in lua_passing.c. */
int lss_sendfd(lua_State *L);
int lss_recvfd(lua_State *L);

/* Methods of both classes, defined in lua_sock.c and lua_opt.c. */
int lss_close(lua_State *L);
int lss_close_variable(lua_State *L);
int lss_fileno(lua_State *L);
int lss_detach(lua_State *L);
int lss_settimeout(lua_State *L);
int lss_gettimeout(lua_State *L);
int lss_getpeername(lua_State *L);
int lss_getsockname(lua_State *L);
int lss_setopt(lua_State *L);
int lss_getopt(lua_State *L);
int lss_bind(lua_State *L);
int lss_open(lua_State *L);

/* Methods of udpsock, of multicast groups. */
int lss_join(lua_State *L);
int lss_leave(lua_State *L);

/* Registration of the module's parts, and their functions. */
void lss_open_addr(lua_State *L);
void lss_open_sock(lua_State *L);
void lss_open_tcp(lua_State *L);
void lss_open_udp(lua_State *L);
void lss_open_task(lua_State *L);
void lss_open_loop(lua_State *L);
void lss_open_channel(lua_State *L);
void lss_open_signals(lua_State *L);
void lss_push_coroutine(lua_State *L);
void lss_push_within(lua_State *L);
struct lss_socket *lss_new_tcp(lua_State *L, struct ss_env *env);
struct lss_socket *lss_new_udp(lua_State *L, struct ss_env *env);
int lss_connect_short(lua_State *L);
int lss_listen_short(lua_State *L);
int lss_select(lua_State *L);
int lss_signals(lua_State *L);
int lss_spawn(lua_State *L);
int lss_group(lua_State *L);
int lss_run_tasks(lua_State *L);
int lss_loop(lua_State *L);
int lss_channel(lua_State *L);
int lss_time(lua_State *L);
int lss_hostname(lua_State *L);
int lss_strerror(lua_State *L);
int lss_errname(lua_State *L);
int lss_interfaces(lua_State *L);
int lss_resolve(lua_State *L);
int lss_nameinfo(lua_State *L);

#pragma GCC visibility pop

#endif
