/* What the weather is like, and how Lua sets it: require "badweather" in a Lua in which this is preloaded. */
#include "weather.h"

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const weather_names[KINDS] = {
    "short", "eintr", "false", "spurious", "vanished", "few", "refused", "scarce", "unsplit", "old",
};

enum { LOGGED = 4096 };

static struct {
    uint64_t seed; /* 0: fair */
    uint64_t drawn;
    uint64_t odds;  /* one call in so many */
    uint64_t piece; /* short transfers are of up to so many bytes */
    unsigned spared;
    bool is_old, is_scarce;
    unsigned long calls, counts[KINDS];
} sky;

static struct {
    bool counting;
    char name[32]; /* of the function whose target-th call fails */
    int target, code, calls, named, fired;
    const char *names[LOGGED];
    const void *from[LOGGED];
} fault;

static struct {
    int code;
    const char *names; /* a space before each; NULL: none */
} refused;

/* The code of ssocket.so, and of ssocket/tls.so, which has a copy of what it needs of it. */
static struct {
    const char *name, *base, *end;
} modules[] = { { "/ssocket.so", NULL, NULL }, { "/ssocket/tls.so", NULL, NULL } };
enum { MODULES = sizeof modules / sizeof *modules };

/* Chance */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t weather_random(uint64_t below)
{
    return mix(mix(sky.seed) + __atomic_fetch_add(&sky.drawn, 1, __ATOMIC_RELAXED)) % below;
}

bool weather_is(enum kind kind)
{
    if (sky.seed == 0 || (sky.spared & (1u << kind)))
        return false;
    if (kind == OLD ? !sky.is_old : weather_random(sky.odds) != 0)
        return false;
    __atomic_fetch_add(&sky.counts[kind], 1, __ATOMIC_RELAXED);
    return true;
}

size_t weather_piece(size_t len)
{
    uint64_t most = len < sky.piece ? len : sky.piece;
    return 1 + (size_t)weather_random(most);
}

static void set_seed(uint64_t seed)
{
    static const uint64_t pieces[] = { 1, 3, 64, 1460, 20000 };
    sky.seed = seed;
    sky.drawn = 0;
    sky.odds = 4 + seed % 4 * 4;
    sky.piece = pieces[seed % (sizeof pieces / sizeof *pieces)];
    sky.is_old = seed % 3 == 0;
}

/* Whose call it is */

static const char *find_end(const char *address)
{
    const char *end = NULL;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && (unsigned long)address >= from && (unsigned long)address < to)
            end = (const char *)to;
    if (maps)
        fclose(maps);
    return end;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

/* A module is found at its first call. Returns whether this is one. */
static bool find_module(const char *at)
{
    Dl_info info;
    if (!dladdr(at, &info) || !info.dli_fname)
        return false;
    for (size_t i = 0; i < MODULES; i++) {
        if (ends_with(info.dli_fname, modules[i].name)) {
            modules[i].base = info.dli_fbase;
            modules[i].end = find_end(at);
            return true;
        }
    }
    return false;
}

bool weather_is_module(const void *address)
{
    const char *at = address;
    bool all_known = true;
    for (size_t i = 0; i < MODULES; i++) {
        if (modules[i].end && at >= modules[i].base && at < modules[i].end)
            return true;
        all_known = all_known && modules[i].end;
    }
    return !all_known && find_module(at);
}

/* What that function lacks, or 0. */
static int lacking(const char *name)
{
    static const char *const openers[] = { "socket", "socketpair", "accept4", "accept" };
    static const int codes[] = { ENOBUFS, ENOMEM, EMFILE, ENFILE };
    for (size_t i = 0; i < sizeof openers / sizeof *openers; i++)
        if (strcmp(name, openers[i]) == 0)
            return codes[weather_random(4)];
    if (strncmp(name, "send", 4) == 0)
        return codes[weather_random(2)];
    return strncmp(name, "recv", 4) == 0 ? ENOMEM : 0;
}

bool weather_refuses(const char *name, int *code)
{
    size_t len = strlen(name);
    for (const char *at = refused.names; at && *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strcspn(at, " ") == len && strncmp(at, name, len) == 0) {
            *code = refused.code;
            return true;
        }
    }
    return false;
}

bool weather_strikes(const char *name, const void *from, int *code)
{
    sky.calls++;
    if (weather_refuses(name, code))
        return true;
    if (sky.is_scarce && (*code = lacking(name)) != 0 && weather_is(SCARCE))
        return true;
    if (!fault.counting)
        return false;
    int n = __atomic_fetch_add(&fault.calls, 1, __ATOMIC_RELAXED);
    if (n < LOGGED) {
        fault.names[n] = name;
        fault.from[n] = from;
    }
    if (strcmp(name, fault.name) != 0 || __atomic_add_fetch(&fault.named, 1, __ATOMIC_RELAXED) != fault.target)
        return false;
    fault.fired++;
    *code = fault.code;
    return true;
}

struct known *weather_known(int fd)
{
    static struct known known[DESCRIPTORS], other;
    if (fd >= 0 && fd < DESCRIPTORS)
        return &known[fd];
    other = (struct known){ .reported = 0 };
    return &other;
}

/* Signals all the time */

static void nothing(int sig)
{
    (void)sig;
}

/* Without SA_RESTART: what waits is interrupted. Not SIGALRM, which is the specs' own. */
static timer_t timer;
static struct itimerspec period;

static void start_storm(long hz)
{
    struct sigaction action = { .sa_handler = nothing };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5 };
    period = (struct itimerspec){ .it_interval = { .tv_nsec = 1000000000 / hz }, .it_value = { .tv_nsec = 1 } };
    if (sigaction(SIGRTMIN + 5, &action, NULL) == -1 || timer_create(CLOCK_MONOTONIC, &event, &timer) == -1 ||
        timer_settime(timer, 0, &period, NULL) == -1)
        abort();
}

/* Beginning and end. The programs that specs start get no weather, unless they are the same Lua. */

__attribute__((constructor)) static void begin(void)
{
    const char *seed = getenv("WEATHER"), *storm = getenv("WEATHER_STORM"), *refuse = getenv("REFUSE");
    unsetenv("LD_PRELOAD");
    if (seed)
        set_seed(strtoull(seed, NULL, 10));
    if (storm)
        start_storm(atol(storm));
    if (refuse) {
        refused.code = atoi(refuse);
        refused.names = refuse + strcspn(refuse, " ");
    }
}

/* One line a process: how many calls, how often each kind. */
__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("WEATHER_LOG");
    FILE *log = path && sky.calls > 0 ? fopen(path, "a") : NULL;
    if (!log)
        return;
    char line[512];
    int len = snprintf(line, sizeof line, "calls %lu", sky.calls);
    for (int i = 0; i < KINDS; i++)
        len += snprintf(line + len, sizeof line - (size_t)len, " %s %lu", weather_names[i], sky.counts[i]);
    fprintf(log, "%s\n", line);
    fclose(log);
}

/* For Lua */

static unsigned kinds_in(lua_State *L, const char *text)
{
    unsigned kinds = 0;
    if (strcmp(text, "all") == 0)
        return ~0u;
    for (const char *word = text; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");
        int i = 0;
        while (i < KINDS && (strlen(weather_names[i]) != len || strncmp(weather_names[i], word, len) != 0))
            i++;
        if (i == KINDS)
            luaL_error(L, "no such weather: %s", word);
        kinds |= 1u << i;
        word += len;
    }
    return kinds;
}

/* spare(kinds): these, in one text, do not happen from now on; "all" of them, or none (""). */
static int weather_spare(lua_State *L)
{
    sky.spared = kinds_in(L, luaL_checkstring(L, 1));
    return 0;
}

/* scarce(on): descriptors and memory may be lacking, if the weather is bad */
static int weather_scarce(lua_State *L)
{
    sky.is_scarce = lua_toboolean(L, 1);
    return 0;
}

/* storm(on): signals come, if they came at all. */
static int weather_storm(lua_State *L)
{
    static const struct itimerspec never;
    if (period.it_interval.tv_nsec > 0)
        timer_settime(timer, 0, lua_toboolean(L, 1) ? &period : &never, NULL);
    return 0;
}

/* fail(name, n, code): begins to count; the n-th call of that function fails with that errno (0: none does). */
static int weather_fail(lua_State *L)
{
    snprintf(fault.name, sizeof fault.name, "%s", luaL_checkstring(L, 1));
    fault.target = (int)luaL_checkinteger(L, 2);
    fault.code = (int)luaL_checkinteger(L, 3);
    fault.calls = fault.named = fault.fired = 0;
    fault.counting = true;
    return 0;
}

static int weather_fair(lua_State *L)
{
    (void)L;
    fault.counting = false;
    return 0;
}

/* fired() -> how many calls have failed so */
static int weather_fired(lua_State *L)
{
    lua_pushinteger(L, fault.fired);
    return 1;
}

/* calls() -> array of { name, where in the module } of the calls counted */
static int weather_calls(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; i < fault.calls && i < LOGGED; i++) {
        lua_newtable(L);
        lua_pushstring(L, fault.names[i]);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, (const char *)fault.from[i] - modules[0].base);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

int luaopen_badweather(lua_State *L);
int luaopen_badweather(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction function;
    } functions[] = {
        { "spare", weather_spare },   { "storm", weather_storm }, { "fail", weather_fail },
        { "scarce", weather_scarce }, { "fair", weather_fair },   { "fired", weather_fired },
        { "calls", weather_calls },
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].function);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}
