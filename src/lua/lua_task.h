/* The data of tasks: coroutines that C resumes when the call they wait in has ended. One header each says what is done with
 * them: lua_anchor.h, lua_suspend.h, lua_outcome.h, lua_failure.h, lua_resume.h, lua_sched.h, lua_run.h, lua_wait.h. */
#ifndef LSS_TASK_H
#define LSS_TASK_H

#include "lua/lua_base.h"
#include "run/loop.h"

#pragma GCC visibility push(hidden)

struct lss_task;

/* A coroutine that socket.coroutine has resumed in a task, while it runs; on the C stack. */
struct lss_step {
    struct lss_step *outer; /* that of the coroutine that has resumed it, or NULL */
    lua_State *resumer, *co;
    bool linked; /* the task can be suspended from here: no coroutine on the way was resumed by Lua's own library */
};

/* So many tasks are looked at each time before the loop sleeps (lua_lost.h). */
enum { LSS_FEW = 16 };

/* The tasks of a Lua state, or env->loop: made when the program first uses one. */
struct lss_tasks {
    struct ss_loop loop; /* first */
    struct ss_mem mem;
    struct ss_op nothing;            /* operation of tasks that only wait for the next turn */
    int room, free;                  /* anchors: number of them; first unused one (0: none) */
    struct lss_task *few[LSS_FEW];   /* tasks by anchor - 1, or NULL */
    int64_t look_ns;                 /* when there are more: earliest time at which all are looked at again */
    struct lss_task *runs;           /* running task, or the one that is ending; NULL: the main program runs */
    struct lss_step *steps;          /* coroutines that run in it, the innermost first */
    lua_CFunction suspends;          /* the C function that suspends it, where lua_yield may raise; else NULL */
    bool ending;                     /* `runs` is ending: its coroutine does not run any more */
    size_t alive;                    /* tasks that have not ended */
    size_t background;               /* those of them that a run does not wait for */
    size_t unseen;                   /* failed tasks that nobody has waited for */
    size_t fresh;                    /* those of them that failed after the last collection for unreachable handles */
    unsigned turns;                  /* turns of the loop since the first of these */
    int64_t collect_ns;              /* earliest time of the next such collection */
    size_t unreported;               /* unseen failures of tasks whose handles are gone */
    int first_failure, last_failure; /* [first, last) in the list of those failures */
    unsigned calls;                  /* calls in a row that did not wait */
    unsigned finalizer_runs;         /* runs of the loop in progress that finalizers have begun */
    bool closing;                    /* the Lua state is closing: no new tasks */
    bool closed;                     /* and the loop is freed */
};

enum lss_state { LSS_READY, LSS_WAITING, LSS_DONE, LSS_FAILED };

struct lss_task {
    struct ss_waiter waiter; /* first */
    struct lss_tasks *tasks;
    lua_State *co;
    const struct lss_call *call; /* descriptor of the call that it waits in, or NULL */
    struct ss_sock *sock;        /* socket whose waiter it is, or NULL */
    void *memory;                /* copy of the operation */
    unsigned room;
    int anchor;         /* its index in the tables of live tasks */
    int values;         /* values on top of its stack: arguments, call->keep, results, or error and traceback */
    uint16_t under;     /* values below those: the rest of the stack of the call that it waits in */
    unsigned state : 2; /* enum lss_state */
    bool begun : 1;
    bool for_turn : 1;     /* it waits for the next turn of the loop */
    bool zero_timeout : 1; /* after that turn its call ends, cancelled or not */
    bool cancelled : 1, seen : 1;
    bool background : 1;     /* a run does not wait for it */
    bool retried : 1;        /* making the results of its call has failed once */
    bool has_outcome : 1;    /* its handle keeps its outcome */
    bool invalidated : 1;    /* the program has resumed or closed its coroutine */
    bool grouped : 1;        /* it is a struct lss_member of a group, and has not ended */
    struct ss_queue joiners; /* waiters for its end, and stand-ins (lua_source.h) */
};

/* What the tasks of a group (socket.group) share: a userdata that the group's handle and the handles of its live tasks keep. It
 * keeps a table, whose element 1 is the handle of the task whose failure is the group's outcome, or false. */
struct lss_group {
    struct lss_tasks *tasks;
    struct lss_member *members; /* the live tasks */
    size_t n;                   /* of them */
    struct ss_queue joiners;    /* waiters for the end of all */
    bool cancelled;             /* new tasks are cancelled at once */
    bool failed;                /* a task has failed that was not cancelled */
};

/* A task of a group. */
struct lss_member {
    struct lss_task task; /* first */
    struct lss_group *group;
    struct lss_member *next, **at; /* *at: the pointer to this one */
};

/* Tasks that a run waits for. */
static inline size_t lss_foreground(const struct lss_tasks *tasks)
{
    return tasks->alive - tasks->background;
}

/* What a suspended task has on top of its stack: an address that no value of the program has, not even its handle. */
static inline void *lss_mark(struct lss_task *t)
{
    return &t->call;
}

/* The coroutine that runs: only there a call can suspend the task. */
static inline lua_State *lss_innermost(const struct lss_tasks *tasks)
{
    return tasks->steps ? tasks->steps->co : tasks->runs->co;
}

/* A coroutine that waits since one that it has resumed waits has two values on its stack: that coroutine and the mark. */
enum { LSS_PASSED = 2 };
static inline bool lss_passes_wait(struct lss_task *t, lua_State *co)
{
    return lua_status(co) == LUA_YIELD && lua_gettop(co) == LSS_PASSED && lua_touserdata(co, -1) == lss_mark(t) &&
           lua_isthread(co, -2);
}

/* The coroutine with the call of a suspended task: its own, or one that was resumed in it. */
static inline lua_State *lss_calling_coroutine(struct lss_task *t)
{
    lua_State *co = t->co;
    while (lss_passes_wait(t, co))
        co = lua_tothread(co, -2);
    return co;
}

/* The operation of a call that waits for something else than a descriptor. */
struct lss_parked {
    struct ss_op op;        /* without a step */
    struct ss_queue *queue; /* queue of waiters for the same, or NULL */
    int ticket;             /* a key that the queue's owner has for it */
};

static inline bool lss_is_parked(const struct ss_op *op)
{
    return !op->step;
}

#pragma GCC visibility pop

#endif
