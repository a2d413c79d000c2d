/*
 * threads: two threads, each with a Lua state of its own, run the same script at once, again and again.
 *
 *     threads SCRIPT MODULE ROUNDS
 *
 * MODULE is the shared object that `require "ssocket"` gives. In each round the script is called with the number of
 * its thread (1 or 2) and one end of a socket pair, which it owns; the other end is with the other thread. Both states
 * are new in each round and closed at its end. Exit status 0 if no script failed and no descriptor is left.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct task {
    const char *script, *module;
    int number, fd;
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
        status = lua_pcall(L, 2, 0, 0);
    }
    task->failed = status != 0;
    if (task->failed)
        fprintf(stderr, "thread %d: %s\n", task->number, lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

static int round_fails(const char *script, const char *module)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    struct task tasks[2] = {
        { .script = script, .module = module, .number = 1, .fd = fds[0] },
        { .script = script, .module = module, .number = 2, .fd = fds[1] },
    };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, &tasks[i]) != 0)
            abort();
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return tasks[0].failed || tasks[1].failed;
}

static int open_descriptors(void)
{
    DIR *dir = opendir("/dev/fd");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int before = open_descriptors();
    for (int rounds = atoi(argv[3]); rounds > 0; rounds--)
        if (round_fails(argv[1], argv[2]))
            return 1;
    int left = open_descriptors() - before;
    if (left != 0)
        fprintf(stderr, "%d descriptors are left\n", left);
    return left != 0;
}
