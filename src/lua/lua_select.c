/* select: poll(2) over two Lua arrays, which may also hold tasks and channels. */
#include "core/codes.h"
#include "core/inbuf.h"
#include "lua/lua_base.h"
#include "lua/lua_interrupt.h"
#include "lua/lua_source.h"
#include "run/deadline.h"
#include "run/wait.h"

#include <limits.h> /* INT_MAX */

enum {
    READERS = 1, /* argument indexes */
    WRITERS = 2,
    POP_INTERVAL = 8, /* elements that stay on the stack until one lua_settop removes them */
};

/* An operation, so that a task can wait in it. The arrays are userdata on the stack, but for the stand-ins. */
struct select_call {
    struct ss_op op;
    struct pollfd *pollfds;     /* of both lists, readers first */
    struct pollfd *scratch;     /* for ss_wait_any: as many entries, or NULL */
    struct ss_interest *wants;  /* as many; NULL without tasks */
    size_t n[3];                /* lengths of the lists, by argument */
    bool buffered;              /* a reader has unread input in memory */
    bool has_ready;             /* a descriptor was, when they were polled */
    struct lss_source *sources; /* of tasks and channels in the lists, whose entries have the descriptor -1; or NULL */
    size_t nsources, nwithout;  /* nwithout: elements without a descriptor, these and closed sockets */
    int kept;                   /* stack index of a table that keeps them alive */
    struct lss_stand_in *stand_ins; /* with each of them, while the call waits in the loop; or NULL */
    struct ss_env *env;
    struct ss_io io; /* only for the driver */
};

/* The lists */

static int check_descriptor(lua_State *L, int list, int i)
{
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= INT_MIN && n <= INT_MAX) || n != (lua_Number)(int)n)
        luaL_argerror(L, list, lua_pushfstring(L, "element %d: descriptor must be an integer", i));
    return (int)n;
}

static bool is_sock_ready(const struct ss_sock *sock)
{
    return sock && ss_sock_is_worth_a_call(sock);
}

static struct pollfd *entry_of(const struct select_call *sel, int list, size_t i)
{
    return sel->pollfds + (list == WRITERS ? sel->n[READERS] : 0) + i;
}

static void check_own_task(lua_State *L, const struct select_call *sel, int list, int i, const void *object)
{
    const struct lss_tasks *tasks = (const struct lss_tasks *)sel->env->loop;
    if (tasks->runs == object)
        luaL_argerror(L, list, lua_pushfstring(L, "element %d: a task cannot wait for itself", i));
}

/* Element `i`, on top of the stack, is no socket and no number. The first time (`kept` is 0) a task or channel is only counted.
 * Returns its descriptor; -1: it has none. */
static int check_object(lua_State *L, struct select_call *sel, int list, int i)
{
    struct lss_source source;
    int fd;
    if (lss_test_signals(L, -1, &fd))
        return fd;
    if (!lss_is_task_source(L, -1, &source) && !lss_is_channel_source(L, -1, list == WRITERS, &source))
        luaL_argerror(L, list,
                      lua_pushfstring(L, "element %d: socket, descriptor, task or channel expected, got %s", i,
                                      luaL_typename(L, -1)));
    check_own_task(L, sel, list, i, source.object);
    sel->nsources++;
    if (!sel->kept)
        return -1;
    source.index = (size_t)(entry_of(sel, list, (size_t)i - 1) - sel->pollfds);
    sel->sources[sel->nsources - 1] = source;
    lua_pushvalue(L, -1);
    lua_rawseti(L, sel->kept, (int)sel->nsources);
    return -1;
}

/* The descriptor of element `i`, which is on top of the stack; *sock: the socket that owns the descriptor, or NULL. */
static int check_element(lua_State *L, struct select_call *sel, int list, int i, struct ss_sock **sock)
{
    struct lss_socket *s = lss_test_socket(L, -1, sel->env);
    if (!s && lua_type(L, -1) != LUA_TNUMBER) {
        *sock = NULL;
        return check_object(L, sel, list, i);
    }
    int fd = s ? s->sock.io.fd : check_descriptor(L, list, i);
    *sock = s ? &s->sock : ss_env_find(sel->env, fd);
    return fd;
}

static void check_list(lua_State *L, int list, struct select_call *sel)
{
    const struct pollfd entry = os_poll_for(-1, list == READERS, list == WRITERS);
    struct pollfd *pollfds = entry_of(sel, list, 0);
    size_t n = sel->n[list], nwithout = 0;
    int top = lua_gettop(L);
    for (size_t i = 0; i < n; i++) {
        struct ss_sock *sock;
        if (i % POP_INTERVAL == 0)
            lua_settop(L, top);
        lua_rawgeti(L, list, (int)i + 1);
        pollfds[i] = entry;
        pollfds[i].fd = check_element(L, sel, list, (int)i + 1, &sock);
        nwithout += pollfds[i].fd < 0;
        if (list == READERS && is_sock_ready(sock))
            sel->buffered = true;
    }
    sel->nwithout += nwithout;
    lua_settop(L, top);
}

static void check_lists(lua_State *L, struct select_call *sel)
{
    sel->nsources = sel->nwithout = 0;
    sel->buffered = false;
    check_list(L, READERS, sel);
    check_list(L, WRITERS, sel);
}

/* Both lists once more, with memory for the tasks and channels in them. It is enough for all elements, since finalizers that run
 * now may put others in. */
static void check_lists_with_objects(lua_State *L, struct select_call *sel)
{
    size_t n = sel->n[READERS] + sel->n[WRITERS];
    sel->sources = lss_newuserdata(L, n * sizeof *sel->sources);
    lua_createtable(L, n < INT_MAX ? (int)n : INT_MAX, 0);
    sel->kept = lua_gettop(L);
    check_lists(L, sel);
}

static size_t check_list_length(lua_State *L, int list)
{
    if (lua_isnoneornil(L, list))
        return 0;
    return lss_check_length(L, list);
}

/* Tasks and channels */

/* Marks the ready ones as poll(2) marks descriptors. Whether there is one. */
static bool mark_ready_objects(struct select_call *sel)
{
    bool found = false;
    for (const struct lss_source *s = sel->sources, *end = s + sel->nsources; s < end; s++) {
        struct pollfd *entry = &sel->pollfds[s->index];
        bool is_ready = s->is_ready(s->object);
        entry->revents = is_ready ? entry->events : 0;
        found = found || is_ready;
    }
    return found;
}

static void free_stand_ins(struct select_call *sel)
{
    if (sel->stand_ins)
        lss_free_stand_ins(&sel->env->pool.mem, sel->stand_ins, sel->nsources);
    sel->stand_ins = NULL;
}

/* A finalizer may have made one ready since the step. */
static void start_select(struct ss_op *base, struct ss_waiter *w)
{
    struct select_call *sel = (struct select_call *)base;
    struct ss_loop *loop = sel->env->loop;
    if (sel->nsources == 0 || w->status != SS_WANT)
        return;
    sel->stand_ins = lss_new_stand_ins(&sel->env->pool.mem, w, sel->sources, sel->nsources);
    if (!sel->stand_ins) {
        base->error = ss_no_memory;
        ss_loop_end(loop, w, SS_ERROR);
    } else if (mark_ready_objects(sel)) {
        ss_watches_make_ready(&loop->watches, w);
    }
}

static void stop_select(struct ss_op *base)
{
    free_stand_ins((struct select_call *)base);
}

static void drop_select(lua_State *L, int kept, struct ss_op *base)
{
    (void)L, (void)kept;
    stop_select(base);
}

static void relocate_select(struct ss_op *base, const struct ss_op *from)
{
    (void)from;
    base->io = &((struct select_call *)base)->io;
}

/* Steps and results */

static enum ss_status poll_lists(struct select_call *sel, int64_t timeout_ns)
{
    size_t n = sel->n[READERS] + sel->n[WRITERS];
    return ss_wait_any(sel->pollfds, n, sel->scratch, timeout_ns, &sel->op.error);
}

/* Polls the descriptors, if there are any. SS_OK | SS_TIMEOUT: nothing is ready | SS_ERROR. */
static enum ss_status look(struct select_call *sel)
{
    bool has_descriptors = sel->nsources == 0 || sel->nsources < sel->n[READERS] + sel->n[WRITERS];
    enum ss_status st;
    do
        st = has_descriptors ? poll_lists(sel, 0) : SS_TIMEOUT;
    while (st == SS_WANT);
    if (sel->nsources == 0 || st == SS_ERROR)
        return st;
    sel->has_ready = st == SS_OK || sel->buffered;
    return mark_ready_objects(sel) ? SS_OK : st;
}

static enum ss_status select_step(struct ss_op *base)
{
    struct select_call *sel = (struct select_call *)base;
    enum ss_status st = look(sel);
    if (st != SS_TIMEOUT || sel->buffered)
        return st == SS_ERROR ? st : SS_OK;
    base->wants = sel->wants;
    base->nwants = (unsigned)(sel->n[READERS] + sel->n[WRITERS]);
    for (size_t i = 0; i < base->nwants; i++)
        sel->wants[i] =
            (struct ss_interest){ .fd = sel->pollfds[i].fd, .events = i < sel->n[READERS] ? SS_READABLE : SS_WRITABLE };
    return SS_WANT;
}

/* The events of an entry of `list`, OS_… bits; 0: not ready. */
static int ready_events(const struct select_call *sel, int list, const struct pollfd *p)
{
    int found = os_poll_found(p);
    if (sel->buffered && list == READERS && is_sock_ready(ss_env_find(sel->env, p->fd)))
        found |= OS_CAN_READ;
    return found & ((list == READERS ? OS_CAN_READ : OS_CAN_WRITE) | OS_TROUBLE | OS_NOT_OPEN);
}

/* Pushes an array of the ready elements of the list at stack index `at`. False: a descriptor is not open. */
static bool push_ready(lua_State *L, int list, int at, const struct select_call *sel)
{
    const struct pollfd *pollfds = entry_of(sel, list, 0), *end = pollfds + sel->n[list];
    int n = 0;
    lua_newtable(L);
    for (const struct pollfd *p = pollfds; p < end; p++) {
        int found = p->revents || sel->buffered ? ready_events(sel, list, p) : 0;
        if (found & OS_NOT_OPEN)
            return false;
        if (found) {
            lua_rawgeti(L, at, (int)(p - pollfds) + 1);
            lua_rawseti(L, -2, ++n);
        }
    }
    return true;
}

/* Whether another task, or a finalizer, has taken what the step found; in the main program all ready tasks run in between. */
static bool is_taken(struct select_call *sel)
{
    return sel->nsources > 0 && !mark_ready_objects(sel) && !sel->has_ready;
}

/* Both lists are on top of the stack. */
static int finish_select(lua_State *L, struct ss_op *base, enum ss_status st)
{
    struct select_call *sel = (struct select_call *)base;
    int writers = lua_gettop(L);
    free_stand_ins(sel);
    if (st == SS_OK && is_taken(sel))
        return LSS_RETRY;
    if (st != SS_OK)
        return lss_push_failure(L, 2, st, &base->error);
    if (!push_ready(L, READERS, writers - 1, sel) || !push_ready(L, WRITERS, writers, sel))
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    return 2;
}

static struct pollfd *new_pollfds(lua_State *L, const struct select_call *sel)
{
    return lss_newuserdata(L, (sel->n[READERS] + sel->n[WRITERS] + 1) * sizeof *sel->pollfds);
}

/* Polls until a hook is to run after a signal: SS_WANT. */
static enum ss_status poll_lists_until(lua_State *L, struct select_call *sel, int64_t deadline_ns)
{
    enum ss_status st;
    do
        st = poll_lists(sel, sel->buffered ? 0 : deadline_ns > 0 ? ss_deadline_left(deadline_ns) : deadline_ns);
    while (st == SS_WANT && !lua_gethook(L));
    return st;
}

/* Without tasks: one poll(2). With more entries than RLIMIT_NOFILE, which poll(2) refuses, duplicates are merged. */
static int select_without_tasks(lua_State *L, struct select_call *sel, int64_t deadline_ns)
{
    enum ss_status st = poll_lists_until(L, sel, deadline_ns);
    if (st == SS_LIMIT) {
        sel->scratch = new_pollfds(L, sel);
        lua_insert(L, -3); /* both lists stay on top */
        st = poll_lists_until(L, sel, deadline_ns);
    }
    if (st == SS_WANT)
        return LSS_RETRY;
    return finish_select(L, &sel->op, st == SS_TIMEOUT && sel->buffered ? SS_OK : st);
}

/* A hook may have closed what is in the lists, on top of the stack, or have received into sockets. */
static enum ss_status check_lists_again(lua_State *L, struct ss_op *base)
{
    struct select_call *sel = (struct select_call *)base;
    int writers = lua_gettop(L);
    for (size_t i = 0; i < sel->n[READERS] + sel->n[WRITERS]; i++) {
        bool reading = i < sel->n[READERS];
        int fd = sel->pollfds[i].fd;
        lua_rawgeti(L, reading ? writers - 1 : writers, (int)(reading ? i : i - sel->n[READERS]) + 1);
        const struct lss_socket *s = lss_test_socket(L, -1, sel->env);
        bool is_same = s ? s->sock.io.fd == fd : !lss_test_signals(L, -1, &fd) || fd == sel->pollfds[i].fd;
        sel->buffered = sel->buffered || (reading && s && ss_sock_is_worth_a_call(&s->sock));
        lua_pop(L, 1);
        base->error = ss_not_open;
        if (!is_same)
            return SS_ERROR;
    }
    return SS_WANT;
}

/* LSS_RETRY: a hook is to run, then the same once more. */
static int select_lists(lua_State *L, const size_t n[3], int64_t timeout_ns, int64_t deadline_ns)
{
    static const struct lss_call call = { .finish = finish_select,
                                          .size = sizeof(struct select_call),
                                          .relocate = relocate_select,
                                          .drop = drop_select,
                                          .start = start_select,
                                          .stop = stop_select,
                                          .look_again = check_lists_again,
                                          .keep = 2 };
    struct select_call sel = { .n = { 0, n[READERS], n[WRITERS] }, .env = lss_env(L) };
    sel.op = (struct ss_op){ .step = select_step, .io = &sel.io, .kernel_timeout = SS_BY_NONE };
    sel.pollfds = new_pollfds(L, &sel);
    if (sel.env->loop) {
        sel.scratch = new_pollfds(L, &sel);
        sel.wants = lss_newuserdata(L, (n[READERS] + n[WRITERS] + 1) * sizeof *sel.wants);
    }
    check_lists(L, &sel);
    if (sel.nsources > 0)
        check_lists_with_objects(L, &sel);
    if (sel.nwithout > sel.nsources)
        return lss_push_failure(L, 2, SS_ERROR, &ss_not_open);
    lua_pushvalue(L, READERS);
    lua_pushvalue(L, WRITERS);
    if (!sel.env->loop)
        return select_without_tasks(L, &sel, deadline_ns);
    return lss_run_for(L, sel.env, NULL, timeout_ns, &sel.op, &call);
}

int lss_select(lua_State *L)
{
    const size_t n[3] = { 0, check_list_length(L, READERS), check_list_length(L, WRITERS) };
    struct ss_env *env = lss_env(L);
    int64_t limit_ns, timeout_ns = lss_check_timeout(L, 3);
    if (!env->loop)
        timeout_ns = lss_limit_timeout(L, env, timeout_ns, &limit_ns);
    int64_t deadline_ns = timeout_ns > 0 && !env->loop ? ss_deadline_after(timeout_ns) : timeout_ns;
    int results;
    lua_settop(L, 2);
    while ((results = select_lists(L, n, timeout_ns, deadline_ns)) == LSS_RETRY) {
        lua_settop(L, 2);
        lss_run_hook(L);
        timeout_ns = deadline_ns > 0 ? ss_deadline_left(deadline_ns) : deadline_ns;
    }
    return results;
}
