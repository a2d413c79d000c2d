/*
 * oom: calls the function that a Lua script returns with its n-th allocation failing, for n = 1, 2, ... until it
 * needs fewer than n. The script itself gets all the memory it wants.
 *
 *     oom SCRIPT MODULE FAILS [N [STEP]]
 *
 * MODULE is the shared object that `require "ssocket"` gives; "-" is the module linked into this program, of which calls of
 * malloc(3) count as well: name look-up has memory that is not the state's. FAILS is how many allocations in a row fail:
 * 1 leaves it to an emergency collection (Lua 5.2 and later) to save the day, 2 makes the call fail, 0 means
 * that from the n-th on none succeeds; of a negative number, the state may not have more bytes than that in all. With N
 * other than 0 only that one run is made; STEP is how far n goes on after each run.
 *
 * The function may succeed, or fail with a memory error. Either way no byte of the state's memory and no
 * descriptor may be left after lua_close. Exit status 0 if all runs were so, and "N allocations, M given up".
 */
#include "left.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct heap {
    int armed;
    long fails; /* how many in a row fail; 0: all; negative: those beyond so many bytes in all */
    long left;  /* the one that brings this to 0 is the first to fail */
    size_t bytes;
};

static int refuses(struct heap *heap, size_t more)
{
    if (!heap->armed || (heap->fails < 0 && heap->bytes + more <= (size_t)-heap->fails) || --heap->left > 0)
        return 0;
    if (heap->fails < 0)
        return 1;
    return heap->fails == 0 || heap->left > -heap->fails;
}

/* Memory of the module that is not the state's. A thread may give it back, at a time of its own. */

static struct heap *now; /* where it is counted */
static atomic_long blocks;

void *__real_malloc(size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void __wrap_free(void *ptr);
int luaopen_ssocket(lua_State *L);

void *__wrap_malloc(size_t size)
{
    if (refuses(now, size)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = __real_malloc(size);
    blocks += p != NULL;
    return p;
}

void __wrap_free(void *ptr)
{
    blocks -= ptr != NULL;
    __real_free(ptr);
}

/* So many are left after five seconds. */
static long blocks_left(void)
{
    for (int i = 0; i < 5000 && blocks > 0; i++)
        usleep(1000);
    return blocks;
}

static void *resize(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct heap *heap = ud;
    size_t old = ptr ? osize : 0; /* since Lua 5.2 the kind of a new object stands here */
    if (nsize > old && refuses(heap, nsize - old))
        return NULL;
    heap->bytes += nsize - old;
    if (nsize == 0) {
        __real_free(ptr);
        return NULL;
    }
    void *p = realloc(ptr, nsize);
    if (!p)
        abort(); /* the machine's memory, not the pretended one */
    return p;
}

static const char *text(lua_State *L)
{
    const char *s = lua_tostring(L, -1);
    return s ? s : "(an error without text)";
}

/* An allocation that is refused while LuaJIT compiles a trace spoils its count of memory, which its assertion at the end of the
 * state sees. */
static void turn_jit_off(lua_State *L)
{
    if (luaL_dostring(L, "if jit then jit.off() end") != 0)
        abort();
}

/* A state with the script's function on its stack. */
static lua_State *state_with(struct heap *heap, const char *script, const char *module)
{
#if LUA_VERSION_NUM >= 505
    lua_State *L = lua_newstate(resize, heap, 0);
#else
    lua_State *L = lua_newstate(resize, heap);
#endif
    if (!L)
        return NULL; /* LuaJIT where it must have an allocator of its own */
    luaL_openlibs(L);
    turn_jit_off(L);
    lua_getglobal(L, "package");
    if (strcmp(module, "-") == 0) {
        lua_getfield(L, -1, "preload");
        lua_pushcfunction(L, luaopen_ssocket);
        lua_setfield(L, -2, "ssocket");
    } else {
        lua_pushstring(L, module);
        lua_setfield(L, -2, "cpath");
    }
    lua_settop(L, 0);
    if (luaL_loadfile(L, script) == 0 && lua_pcall(L, 0, 1, 0) == 0)
        return L;
    fprintf(stderr, "%s\n", text(L));
    exit(2);
}

static int is_memory_error(lua_State *L, int status)
{
    return status == LUA_ERRMEM || strstr(text(L), "not enough memory") || strstr(text(L), strerror(ENOMEM));
}

/* What the script holds as a bare number in the global `loose` is not the module's to close. */
static void close_loose(lua_State *L)
{
    lua_getglobal(L, "loose");
    if (lua_type(L, -1) == LUA_TNUMBER)
        close((int)lua_tointeger(L, -1));
    lua_pop(L, 1);
}

/* Run number n. 1: nothing had to fail; 0: something did and all went well; -1: a rule was broken. */
static int run(lua_State *L, struct heap *heap, long n, int before, long *given_up)
{
    heap->left = n;
    heap->armed = 1;
    int status = lua_pcall(L, 0, 0, 0);
    heap->armed = 0;
    int unharmed = heap->left > 0;
    *given_up += status != 0;
    int wrong = status != 0 && (unharmed || !is_memory_error(L, status));
    if (wrong)
        fprintf(stderr, "allocation %ld: %s\n", n, text(L));
    close_loose(L);
    lua_close(L);
    long lost = blocks_left(); /* its threads have ended */
    int leaked = wait_for_descriptors(before) - before;
    if (leaked != 0 || heap->bytes != 0 || lost != 0) {
        fprintf(stderr, "allocation %ld leaves %d descriptors, %lu bytes and %ld blocks\n", n, leaked,
                (unsigned long)heap->bytes, lost);
        wrong = 1;
    }
    return wrong ? -1 : unharmed;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    long only = argc > 4 ? atol(argv[4]) : 0;
    long step = argc > 5 ? atol(argv[5]) : 1;
    long n = only ? only - step : 1 - step;
    long given_up = 0;
    int before = count_descriptors();
    int done = 0;
    while (done == 0) {
        struct heap heap = { .fails = atol(argv[3]) };
        now = &heap;
        lua_State *L = state_with(&heap, argv[1], argv[2]);
        if (!L) {
            printf("no allocator of our own here\n");
            return 3;
        }
        n += step;
        done = run(L, &heap, n, before, &given_up);
        if (only)
            return done < 0;
    }
    if (done > 0)
        printf("%ld allocations, %ld given up\n", n - 1, given_up);
    return done < 0;
}
