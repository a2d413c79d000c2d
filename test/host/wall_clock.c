/*
 * wall_clock: runs a Lua script while the wall clock is put forward and back by hours, each time that anybody asks it.
 *
 *     wall_clock SCRIPT [ARGUMENT...]
 *
 * The functions below stand before those of libc for Lua, for the module and for all other libraries; clocks that
 * nobody can set are passed on. The script has a global function asked(), which tells how often the wall clock was
 * asked since its last call. Exit status 0 if the script did not fail, 3 where this can't be done.
 */
#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static unsigned asked;

/* Up to a day from the truth, never twice in a row by the same. */
static time_t wrong_by(void)
{
    return (time_t)(++asked * 7 % 49) * 3600 - 24 * 3600;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        now->tv_sec += wrong_by();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

int timespec_get(struct timespec *now, int base)
{
    return clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

time_t time(time_t *copy)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (copy)
        *copy = now.tv_sec;
    return now.tv_sec;
}

static int how_often(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)asked);
    asked = 0;
    return 1;
}

static int run(lua_State *L, int argc, char **argv)
{
    lua_register(L, "asked", how_often);
    int status = luaL_loadfile(L, argv[1]);
    for (int i = 2; status == 0 && i < argc; i++)
        lua_pushstring(L, argv[i]);
    if (status == 0)
        status = lua_pcall(L, argc - 2, 0, 0);
    if (status != 0)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return status != 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    int failed = run(L, argc, argv);
    lua_close(L);
    return failed;
}
#else
int main(void)
{
    printf("libc can't be stood before here\n");
    return 3;
}
#endif
