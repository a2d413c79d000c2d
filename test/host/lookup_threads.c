/*
 * lookup_threads: some threads, each with a Lua state of its own, look names up at once and close their states while
 * look-ups are under way, again and again.
 *
 *     lookup_threads SCRIPT MODULE ROUNDS THREADS
 *
 * MODULE is the shared object that `require "ssocket"` gives; the last state that is closed unloads it. SCRIPT is called
 * with the number of its thread and of the round. At the end all look-ups must come to theirs, with code that is still
 * there, and no descriptor may be left. Prints how long closing a state took at most, in milliseconds.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct task {
    const char *script, *module;
    int number, round;
    int failed;
    double closing_ms;
};

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int run_script(lua_State *L, const struct task *task)
{
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, task->module);
    lua_setfield(L, -2, "cpath");
    int status = luaL_loadfile(L, task->script);
    if (status != 0)
        return status;
    lua_pushinteger(L, task->number);
    lua_pushinteger(L, task->round);
    return lua_pcall(L, 2, 0, 0);
}

static void *run(void *arg)
{
    struct task *task = arg;
    lua_State *L = luaL_newstate();
    task->failed = run_script(L, task);
    if (task->failed)
        fprintf(stderr, "thread %d: %s\n", task->number, lua_tostring(L, -1));
    double began = now_ms();
    lua_close(L);
    task->closing_ms = now_ms() - began;
    return NULL;
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static int count_threads(void)
{
    return count_entries("/proc/self/task");
}

enum { MOST = 64 };

/* A round of n threads; closing_ms becomes the longest. */
static int round_fails(const struct task *pattern, int n, double *closing_ms)
{
    pthread_t threads[MOST];
    struct task tasks[MOST];
    int failed = 0;
    for (int i = 0; i < n; i++) {
        tasks[i] = *pattern;
        tasks[i].number = i + 1;
        if (pthread_create(&threads[i], NULL, run, &tasks[i]) != 0)
            abort();
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        failed = failed || tasks[i].failed;
        *closing_ms = tasks[i].closing_ms > *closing_ms ? tasks[i].closing_ms : *closing_ms;
    }
    return failed;
}

static int threads_stay(int expected)
{
    double limit = now_ms() + 60000;
    while (count_threads() > expected) {
        struct timespec ms = { 0, 1000000 };
        if (now_ms() > limit)
            return 1;
        nanosleep(&ms, NULL);
    }
    return 0;
}

static void *tell_number(void *number)
{
    *(long *)number = syscall(SYS_gettid);
    return NULL;
}

/* A thread that was joined may still be seen on its way out. */
static int run_first_thread(void)
{
    pthread_t thread;
    long number;
    char path[64];
    if (pthread_create(&thread, NULL, tell_number, &number) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/task/%ld", number);
    while (access(path, F_OK) == 0)
        sched_yield();
    return 0;
}

int main(int argc, char **argv)
{
    int n = argc == 5 ? atoi(argv[4]) : 0;
    if (n < 1 || n > MOST)
        return 2;
    if (run_first_thread() != 0) /* with it comes a sanitizer's own */
        return 2;
    int descriptors = count_entries("/dev/fd"), threads = count_threads();
    double closing_ms = 0;
    struct task task = { .script = argv[1], .module = argv[2] };
    for (int rounds = atoi(argv[3]); task.round < rounds; task.round++)
        if (round_fails(&task, n, &closing_ms))
            return 1;
    if (threads_stay(threads)) {
        fprintf(stderr, "look-ups never end\n");
        return 1;
    }
    int left = count_entries("/dev/fd") - descriptors;
    if (left != 0)
        fprintf(stderr, "%d descriptors are left\n", left);
    printf("%.0f\n", closing_ms);
    return left != 0;
}
