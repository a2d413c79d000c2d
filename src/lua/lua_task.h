/* Tasks: coroutines that C resumes when the call they wait in has ended. lua_wait.c suspends them, lua_sched.c runs them,
 * lua_task.c is what a program sees of them. */
#ifndef LSS_TASK_H
#define LSS_TASK_H

#include "lua/lua_base.h"
#include "run/loop.h"

#pragma GCC visibility push(hidden)

struct lss_task;

/* The tasks of a Lua state: made with the first of them, and from then on env->loop. */
struct lss_tasks {
    struct ss_loop loop; /* first */
    struct ss_mem mem;
    struct ss_op nothing;            /* what a task waits for that only lets the others run */
    int room, free;                  /* anchors: how many there are; the first that is not in use, 0: none */
    struct lss_task *runs;           /* the task that runs, or whose end is under way; NULL: the main program does */
    bool ending;                     /* its end is under way: its coroutine does not run any more */
    size_t alive;                    /* tasks that have not ended */
    size_t unseen;                   /* of those that have failed: nobody has waited for them */
    size_t fresh;                    /* of those: since the collector has last looked for handles that nobody has */
    unsigned turns;                  /* of the loop, since the first of these */
    int64_t collect_ns;              /* not before this time is that done again */
    size_t unreported;               /* of the unseen: nobody can wait for them any more */
    int first_failure, last_failure; /* of those: places in the list of what is kept of them, [first, last) */
    unsigned calls;                  /* in a row that did not wait */
    unsigned rounds;                 /* of those that finalizers have begun: how many are under way */
    bool closing;                    /* the Lua state is being closed; no new task begins */
    bool closed;                     /* and the loop is gone */
};

enum lss_state { LSS_READY, LSS_WAITING, LSS_DONE, LSS_FAILED };

struct lss_task {
    struct ss_waiter waiter; /* first */
    struct lss_tasks *tasks;
    lua_State *co;
    const struct lss_call *call; /* of the call that it waits in; NULL: it is in none */
    lua_CFunction function;      /* whose call that is, where lua_yield may raise; else NULL */
    struct ss_sock *sock;        /* whose calls of that direction it keeps out, or NULL */
    void *memory;                /* of the operation */
    unsigned room;
    int anchor;     /* its place among those that have not ended */
    int values;     /* on top of its stack: arguments, what `way` keeps, results, or error and traceback */
    uint16_t under; /* values below those: what the call that it waits in has on its stack */
    uint8_t state;
    bool begun : 1;
    bool for_turn : 1;    /* it lets the others run before it goes on */
    bool has_no_time : 1; /* and its call ends then, cancelled or not */
    bool cancelled : 1, seen : 1;
    bool retried : 1;        /* its results could not be made, for the first time */
    bool kept : 1;           /* its handle has its outcome */
    bool lost : 1;           /* its coroutine was resumed or closed by somebody else */
    struct ss_queue joiners; /* who waits for it */
};

/* What a suspended task has on top of its stack: an address that no value of the program has, not even its handle. */
static inline void *lss_mark(struct lss_task *t)
{
    return &t->call;
}

/* A call that waits for something which is no descriptor. */
struct lss_parked {
    struct ss_op op;        /* without a step */
    struct ss_queue *queue; /* where it stands, or NULL */
    int ticket;             /* its number there */
};

static inline bool lss_is_parked(const struct ss_op *op)
{
    return !op->step;
}

/* Part of the module: what running tasks looks up. */
void lss_open_sched(lua_State *L);

/* The tasks of the state, which are made if need be. */
struct lss_tasks *lss_tasks(lua_State *L);

/* What lss_run_for does when there are tasks. */
int lss_run_with_tasks(lua_State *L, struct ss_loop *loop, struct ss_sock *s, int64_t timeout_ns, struct ss_op *op,
                       const struct lss_call *call);

/* Waits until somebody ends `standing`, within a time; the results are of `way`. To be returned at once. */
int lss_park(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns, struct lss_parked *parked,
             const struct lss_call *call);

/* Lets others have their turn in the main program, if it is time for that: before a call, since an error may end it. */
void lss_take_turn(lua_State *L, struct lss_tasks *tasks);

/* Returns the one value on top of the stack from a call that did not wait; in a task others may have their turn first. To be
 * returned at once. */
int lss_pass(lua_State *L, struct lss_tasks *tasks);

/* Raises where a call that has to wait would; not always in Lua 5.1 and 5.2. */
void lss_check_wait(lua_State *L, const struct lss_tasks *tasks);

int lss_sleep_with_tasks(lua_State *L, struct ss_loop *loop, int64_t timeout_ns);

/* Has a new task run at the next turn. It and its coroutine are on top of the stack, and are popped; the coroutine has a
 * function and `values` arguments. */
void lss_begin(lua_State *L, struct lss_task *t, int values);

/* Waits in the main program for an operation of `s` (or NULL), and runs tasks meanwhile. */
enum ss_status lss_wait_in_main(lua_State *L, struct lss_tasks *tasks, struct ss_sock *s, const struct lss_call *call,
                                struct ss_op *op, int64_t deadline_ns);

/* With the Lua state; raises what has failed and was not told, where socket.onerror is not set. */
void lss_end_tasks(lua_State *L, struct ss_loop *loop);

/* Takes a task out of the loop and frees what its call has taken along. */
void lss_free_call(lua_State *L, struct lss_task *t);

/* Whether a call could wait here; no in doubt. */
bool lss_may_wait(lua_State *L, const struct ss_env *env);

/* Whether the waiter's call can still be finished: a task's coroutine may have been resumed or closed by the program. */
bool lss_is_suspended(const struct ss_waiter *w);

/* Raises when the tasks have ended with the Lua state. */
void lss_check_open(lua_State *L, const struct lss_tasks *tasks);

/* Runs tasks: until none is left, or for one turn of at most timeout_ns. */
void lss_run_all(lua_State *L, struct lss_tasks *tasks);
void lss_run_turn(lua_State *L, struct lss_tasks *tasks, int64_t timeout_ns);

/* When a turn has something to do, whatever happens to descriptors: SS_NEVER, or a time that may be over. */
int64_t lss_next_ns(lua_State *L, struct lss_tasks *tasks);

/* Hands the failures that nobody can wait for any more to socket.onerror, if that is set; lua_task.c. */
void lss_report(lua_State *L, struct lss_tasks *tasks);

/* The same at the end of the Lua state; raises them where socket.onerror is not set. */
void lss_report_last(lua_State *L, struct lss_tasks *tasks);

/* Raises that nobody can go on, and what has failed before. */
int lss_fail_deadlock(lua_State *L, struct lss_tasks *tasks);

/* Pushes the table that is the module, where the program sets `onerror`. There is one for a Lua state, however often it is loaded. */
void lss_push_module(lua_State *L);

/* Functions of the module. */
int lss_spawn(lua_State *L);
int lss_run_tasks(lua_State *L);
int lss_loop(lua_State *L);
int lss_channel(lua_State *L);

#pragma GCC visibility pop

#endif
