/*
 * threads: two threads or more, each with a Lua state of its own, run the same script at once, again and again.
 *
 *     threads SCRIPT MODULE ROUNDS THREADS
 *
 * MODULE is the shared object that `require "ssocket"` gives. THREADS is an even number up to 64. In each round the script is
 * called with the number of its thread (from 1), one end of a socket pair, which it owns, and the number of the thread that
 * has the other end. All states are new in each round and closed at its end. Exit status 0 if no script failed and no
 * descriptor is left.
 */
#include "left.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct task {
    const char *script, *module;
    int number, fd, partner;
    int failed;
};

static void *run(void *arg)
{
    struct task *task = arg;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, task->module);
    lua_setfield(L, -2, "cpath");
    lua_settop(L, 0);
    int status = luaL_loadfile(L, task->script);
    if (status == 0) {
        lua_pushinteger(L, task->number);
        lua_pushinteger(L, task->fd);
        lua_pushinteger(L, task->partner);
        status = lua_pcall(L, 3, 0, 0);
    }
    task->failed = status != 0;
    if (task->failed)
        fprintf(stderr, "thread %d: %s\n", task->number, lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

enum { MOST = 64 };

/* Threads i and i + 1 have the ends of a pair. */
static int prepare_two(struct task *tasks, int i, const char *script, const char *module)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return -1;
    for (int end = 0; end < 2; end++)
        tasks[i + end] = (struct task){
            .script = script, .module = module, .number = i + end + 1, .fd = fds[end], .partner = i + 2 - end
        };
    return 0;
}

static int round_fails(const char *script, const char *module, int n)
{
    struct task tasks[MOST];
    pthread_t threads[MOST];
    int failed = 0;
    for (int i = 0; i < n; i += 2)
        if (prepare_two(tasks, i, script, module) != 0)
            return 1;
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, run, &tasks[i]) != 0)
            abort();
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        failed = failed || tasks[i].failed;
    }
    return failed;
}

int main(int argc, char **argv)
{
    int n = argc == 5 ? atoi(argv[4]) : 0;
    if (n < 2 || n > MOST || n % 2 != 0)
        return 2;
    int before = count_descriptors();
    for (int rounds = atoi(argv[3]); rounds > 0; rounds--)
        if (round_fails(argv[1], argv[2], n))
            return 1;
    int left = wait_for_descriptors(before) - before;
    if (left != 0)
        fprintf(stderr, "%d descriptors are left\n", left);
    return left != 0;
}
