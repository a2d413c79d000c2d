/*
 * programs: runs whole Lua programs, each in a new state that is closed at its end, and tells which of them crash, hang, or leave
 * descriptors or memory.
 *
 *     programs CPATH GENERATOR SEED COUNT SECONDS FOUND   those that GENERATOR, a Lua file, has for COUNT seeds from SEED on
 *     programs CPATH FILE...                              these
 *
 * CPATH is where `require` finds the module, which has the sanitizers, as this program has. Programs run in child processes, many
 * in each; a child that ends before its time has found something. None begins after so many SECONDS. FOUND is a directory for
 * what was found: SEED.lua and SEED.log.
 * A program that shows a fault is told with "not ok", what was wrong and how often that happened again when it ran alone.
 *
 * A program can call, beside what Lua has: refuse(n, k), from its n-th allocation on k are refused; stress(n), each n-th allocation
 * makes the collector work; closing(), whether the program has ended and its state is being closed.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum {
    IN_A_CHILD = 100, /* programs */
    LIMIT_MS = 20000, /* for each, beside the time in which others have the processors */
    LATE_MS = 3000,   /* until descriptors of look-ups are closed */
    AGAIN = 3,        /* how often a finding is tried alone */
    DESCRIPTORS = 1024,
    FAULT = 3 /* exit status of a child */
};

/* Read by the sanitizers when they begin. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0:allocator_may_return_null=1:handle_abort=1:detect_stack_use_after_return=0";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

/* Theirs; without them this program can be built, and finds less. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *ptr) __attribute__((weak));

/* A state's memory */

struct heap {
    lua_State *L;
    size_t bytes;
    long until, refused; /* so many allocations on, so many are refused */
    long every, count;   /* the collector works at each so many allocations; 0: as it likes */
    int foreign;         /* LuaJIT may insist on an allocator of its own */
    int blurred;         /* sizes may be wrong */
    int granted;         /* nothing is refused now */
    int ended;           /* the program is over */
    int closing;         /* lua_close is at work */
    int starved; /* memory was refused while the state was closed: Lua may not have called finalizers, and forgets what they free */
};

/* While Lua 5.1 closes a state, a step of its collector frees what is in use, for what was finalized becomes white beneath what
 * is black. A whole cycle is good. */
#if LUA_VERSION_NUM < 502 && !defined(LUA_LJDIR)
#define STEPS_AT_END 0
#else
#define STEPS_AT_END 1
#endif

/* In Lua 5.3 a collection in a finalizer never ends (runafewfinalizers in lgc.c, with a gcfinnum of 0) if lua_close came while the
 * collector swept, and lua_close has given it finalizers to call. A cycle that ends before sets that right, unless finalizers raise. */
#define COLLECTS_AT_END (LUA_VERSION_NUM < 502 || LUA_VERSION_NUM == 503)

/* Lua 5.2 has a pointer into its list of upvalues while it makes one (luaF_findupval in lfunc.c), and crashes if the collection that
 * a refusal begins frees what is there. */
static int is_upvalue(const void *ptr, size_t kind)
{
#if LUA_VERSION_NUM == 502
    return !ptr && kind == LUA_NUMTAGS + 1;
#else
    (void)ptr, (void)kind;
    return 0;
#endif
}

static int refuses(struct heap *heap)
{
    if (heap->granted)
        return 0;
    if (heap->until > 0)
        heap->until--;
    if (heap->until > 0 || heap->refused == 0)
        return 0;
    heap->refused--;
    heap->starved = heap->starved || heap->closing;
    return 1;
}

/* A step is due from now on: nothing but the collector's accounts changes. */
static void stress(struct heap *heap)
{
    if (heap->closing && !STEPS_AT_END) {
        lua_gc(heap->L, LUA_GCSTOP, 0);
        return;
    }
    if (heap->every == 0 || ++heap->count % heap->every != 0)
        return;
#ifdef LUA_GCISRUNNING
    if (!lua_gc(heap->L, LUA_GCISRUNNING, 0))
        return;
#endif
    lua_gc(heap->L, LUA_GCRESTART, 0);
}

static void *resize(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct heap *heap = ud;
    size_t old = ptr ? osize : 0; /* since Lua 5.2 the kind of a new object stands here */
    if (ptr && !heap->blurred && __sanitizer_get_allocated_size && __sanitizer_get_allocated_size(ptr) != osize)
        abort();
    if (nsize > old && !is_upvalue(ptr, osize) && refuses(heap))
        return NULL;
    if (nsize > old)
        stress(heap);
    heap->bytes += nsize - old;
    if (nsize == 0) {
        free(ptr);
        return NULL;
    }
    void *p = realloc(ptr, nsize);
    if (!p)
        abort(); /* the machine's memory, not the pretended one */
    return p;
}

static struct heap *heap_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int set_refuse(lua_State *L)
{
    long until = (long)luaL_checknumber(L, 1), refused = (long)luaL_optnumber(L, 2, 1);
#ifdef LUA_LJDIR
    heap_of(L)->blurred = 1; /* LuaJIT forgets how long some of its own are when they can't grow */
#endif
    heap_of(L)->until = until;
    heap_of(L)->refused = heap_of(L)->foreign ? 0 : refused;
    return 0;
}

#if COLLECTS_AT_END
static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

static void call(lua_State *L, lua_CFunction f)
{
#if LUA_VERSION_NUM < 502
    lua_cpcall(L, f, NULL);
#else
    lua_settop(L, 0);
    lua_pushcfunction(L, f);
    lua_pcall(L, 0, 0, 0);
#endif
}
#endif

static int set_stress(lua_State *L)
{
    heap_of(L)->every = heap_of(L)->foreign ? 0 : (long)luaL_checknumber(L, 1);
    return 0;
}

/* Also if the program did not come to its last line. */
static int is_closing(lua_State *L)
{
    lua_pushboolean(L, heap_of(L)->ended);
    return 1;
}

/* Descriptors */

struct descriptors {
    unsigned char open[DESCRIPTORS];
};

static struct descriptors look(void)
{
    struct descriptors now = { { 0 } };
    const struct dirent *entry;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd < DESCRIPTORS)
            now.open[fd] = fd != dirfd(dir);
    }
    if (dir)
        closedir(dir);
    return now;
}

/* One that was not there before, or -1. */
static int left(const struct descriptors *before)
{
    struct descriptors now = look();
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (now.open[fd] && !before->open[fd])
            return fd;
    return -1;
}

/* A look-up that was given up has a thread that ends by itself, and descriptors of its own until then. */
static int left_for_good(const struct descriptors *before)
{
    int fd = left(before);
    for (int ms = 0; ms < LATE_MS && fd >= 0; ms++) {
        usleep(1000);
        fd = left(before);
    }
    return fd;
}

/* A program */

#if LUA_VERSION_NUM >= 505
#define new_state(alloc, ud) lua_newstate(alloc, ud, 1)
#else
#define new_state(alloc, ud) lua_newstate(alloc, ud)
#endif

static int panic(lua_State *L)
{
    fprintf(stderr, "an error that nobody catches: %s\n", lua_tostring(L, -1));
    abort();
}

static void define(lua_State *L, struct heap *heap, const char *name, lua_CFunction f)
{
    lua_pushlightuserdata(L, heap);
    lua_pushcclosure(L, f, 1);
    lua_setglobal(L, name);
}

/* LuaJIT makes the first two strings where its stack is half changed (ffh_resume in lib_base.c), and crashes when it
 * gets no memory for one. Lua 5.1 makes the third in a coroutine that does not run yet (resume_error in ldo.c), where
 * nothing catches errors. */
static void keep_messages(lua_State *L)
{
    luaL_loadstring(L, "return 'cannot resume running coroutine', 'cannot resume dead coroutine', 'C stack overflow'");
    lua_setfield(L, LUA_REGISTRYINDEX, "messages");
}

/* Lua 5.1 makes room for arguments in a coroutine that does not run yet (auxresume in lbaselib.c), where nothing
 * catches errors. These functions make that room before, where it is not refused, and then run Lua's own in the same
 * frame. */
#if LUA_VERSION_NUM < 502 && !defined(LUA_LJDIR)
static lua_CFunction resume, wrap, call_wrapped; /* Lua's */

static void make_room(lua_State *L, struct heap *heap, lua_State *co)
{
    if (!co || co == L)
        return;
    heap->granted = 1;
    lua_checkstack(co, lua_gettop(L));
    heap->granted = 0;
}

static int resume_with_room(lua_State *L)
{
    make_room(L, heap_of(L), lua_tothread(L, 1));
    return resume(L);
}

/* Lua's own has the coroutine as first upvalue. */
static int call_wrapped_with_room(lua_State *L)
{
    make_room(L, lua_touserdata(L, lua_upvalueindex(2)), lua_tothread(L, lua_upvalueindex(1)));
    return call_wrapped(L);
}

static int wrap_with_room(lua_State *L)
{
    wrap(L);
    call_wrapped = lua_tocfunction(L, -1);
    lua_getupvalue(L, -1, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, call_wrapped_with_room, 2);
    return 1;
}

static lua_CFunction replace(lua_State *L, struct heap *heap, const char *name, lua_CFunction f)
{
    lua_getfield(L, -1, name);
    lua_CFunction old = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    lua_pushlightuserdata(L, heap);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
    return old;
}

static void grant_room_for_arguments(lua_State *L, struct heap *heap)
{
    lua_getglobal(L, "coroutine");
    resume = replace(L, heap, "resume", resume_with_room);
    wrap = replace(L, heap, "wrap", wrap_with_room);
}
#else
static void grant_room_for_arguments(lua_State *L, struct heap *heap)
{
    (void)L, (void)heap;
}
#endif

static lua_State *state_for(struct heap *heap, const char *cpath)
{
    lua_State *L = heap->L = new_state(resize, heap);
    if (!L) {
        L = heap->L = luaL_newstate();
        heap->foreign = 1;
    }
    lua_atpanic(L, panic);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, cpath);
    lua_setfield(L, -2, "cpath");
    keep_messages(L);
    grant_room_for_arguments(L, heap);
    define(L, heap, "refuse", set_refuse);
    define(L, heap, "stress", set_stress);
    define(L, heap, "closing", is_closing);
    lua_settop(L, 0);
    return L;
}

/* In Lua 5.2 and 5.3 each finalizer that raises in lua_close leaves its error on the stack, and Lua pushes the next one
 * without a look at what room is left (GCTM in lgc.c). Where memory is refused, the stack does not grow, and its end is
 * passed. */
static void make_room_for_errors(lua_State *L, struct heap *heap)
{
#if LUA_VERSION_NUM == 502 || LUA_VERSION_NUM == 503
    heap->granted = 1;
    lua_checkstack(L, 10000);
    heap->granted = 0;
#else
    (void)L, (void)heap;
#endif
}

static void close_state(lua_State *L, struct heap *heap)
{
    heap->refused = 0;
    if (LUA_VERSION_NUM == 503)
        heap->every = 0;
    heap->ended = 1;
#ifdef LUA_GCSETPAUSE
    lua_gc(L, LUA_GCSETPAUSE, 200);
#endif
#if COLLECTS_AT_END
    call(L, collect); /* a finalizer may raise */
#endif
    make_room_for_errors(L, heap);
    heap->closing = 1;
    lua_close(L);
}

/* Ends the process if the program leaves something. What it raises is its own affair. */
static void run(const char *name, const char *text, size_t len, const char *cpath)
{
    struct descriptors before = look();
    struct heap heap = { 0 };
    lua_State *L = state_for(&heap, cpath);
    if (luaL_loadbuffer(L, text, len, name) != 0) {
        fprintf(stderr, "this is no program: %s\n", lua_tostring(L, -1));
        _exit(FAULT);
    }
    if (lua_pcall(L, 0, 0, 0) != 0 && getenv("SHOW"))
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    close_state(L, &heap);
    int fd = strstr(text, "localhost") ? left_for_good(&before) : left(&before);
    if (strstr(text, "detach"))
        fd = -1; /* it may fail before it gives the descriptor back */
    if (heap.starved || (fd < 0 && (heap.bytes == 0 || heap.blurred)))
        return;
    fprintf(stderr, "descriptor %d and %lu bytes are left\n", fd, (unsigned long)heap.bytes);
    if (heap.bytes > 0 && __lsan_do_recoverable_leak_check)
        __lsan_do_recoverable_leak_check(); /* tells who made them */
    _exit(FAULT);
}

static void run_file(const char *path, const char *cpath)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    run(path, text, len, cpath);
}

/* Leaves the program's text on the generator's stack. */
static const char *generate(lua_State *generator, double seed, size_t *len)
{
    lua_settop(generator, 1);
    lua_pushvalue(generator, 1);
    lua_pushnumber(generator, seed);
    if (lua_pcall(generator, 1, 1, 0) == 0)
        return lua_tolstring(generator, -1, len);
    fprintf(stderr, "%s\n", lua_tostring(generator, -1));
    _exit(FAULT);
}

/* Child processes */

struct job {
    const char *cpath, *found;
    lua_State *generator;
    char **files;        /* instead of a generator */
    volatile double *at; /* the seed at work, or the number of the file; shared with the child */
    const char *log;
};

/* What the last one has written is forgotten. */
static void begin(const struct job *job, double n)
{
    *job->at = n;
    if (ftruncate(STDERR_FILENO, 0) != 0)
        _exit(FAULT);
}

static void run_one(const struct job *job, double n)
{
    begin(job, n);
    if (job->files) {
        run_file(job->files[(int)n], job->cpath);
        return;
    }
    size_t len;
    const char *text = generate(job->generator, n, &len);
    run("=program", text, len, job->cpath);
}

static pid_t start(const struct job *job, double from, double count)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int log = open(job->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (log > STDERR_FILENO)
        close(log);
    for (double n = from; n < from + count; n++)
        run_one(job, n);
    _exit(0);
}

/* How a child ended: NULL if well. */
static const char *verdict(int status, int hung)
{
    static char text[64];
    if (hung)
        return "hangs";
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, WEXITSTATUS(status) == FAULT ? "leaves something" : "crashes");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : text;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long a child has been ready to run while others ran; 0 where the system does not tell. */
static long queued_ms(pid_t pid)
{
    char path[64];
    unsigned long long queued_ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*u %llu", &queued_ns) != 1)
        queued_ns = 0;
    if (file)
        fclose(file);
    return (long)(queued_ns / 1000000);
}

static int has_ended(pid_t pid, int *status, long ms)
{
    pid_t ended;
    long end = now_ms() + ms;
    while ((ended = waitpid(pid, status, WNOHANG)) == 0 && now_ms() < end)
        usleep(1000);
    return ended != 0;
}

/* The sanitizer tells where it was. */
static void stop(pid_t pid, int *status)
{
    kill(pid, SIGABRT);
    if (has_ended(pid, status, 5000))
        return;
    kill(pid, SIGKILL);
    waitpid(pid, status, 0);
}

/* Waits for a child, as long as it goes from one program to the next in time. */
static const char *watch(const struct job *job, pid_t pid)
{
    int status = 0;
    double at = -1;
    long since = 0;
    while (!has_ended(pid, &status, 20)) {
        if (*job->at != at) {
            at = *job->at;
            since = now_ms() - queued_ms(pid);
        }
        if (now_ms() - queued_ms(pid) - since < LIMIT_MS)
            continue;
        stop(pid, &status);
        return verdict(status, 1);
    }
    return verdict(status, 0);
}

/* Findings */

static void copy_log(const struct job *job, FILE *to)
{
    char line[4096];
    FILE *log = fopen(job->log, "r");
    while (log && fgets(line, sizeof line, log))
        fputs(line, to);
    if (log)
        fclose(log);
}

static FILE *open_found(const struct job *job, double seed, const char *suffix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%.0f%s", job->found, seed, suffix);
    return fopen(path, "w");
}

static void save(const struct job *job, double seed)
{
    size_t len;
    FILE *log = open_found(job, seed, ".log"), *program = open_found(job, seed, ".lua");
    if (log)
        copy_log(job, log);
    if (program && job->generator)
        fputs(generate(job->generator, seed, &len), program);
    if (log)
        fclose(log);
    if (program)
        fclose(program);
}

static void tell(const struct job *job, double n, const char *what)
{
    char said[64];
    int again = 0;
    snprintf(said, sizeof said, "%s", what);
    if (job->found)
        save(job, n);
    else
        copy_log(job, stdout);
    for (int i = 0; job->generator && i < AGAIN; i++)
        again += watch(job, start(job, n, 1)) != NULL;
    if (job->files)
        printf("not ok - %s: %s\n", job->files[(int)n], said);
    else
        printf("not ok - seed %.0f: %s; again in %d of %d\n", n, said, again, AGAIN);
    fflush(stdout);
}

/* How many of `*count` show a fault. It becomes less if time is over. */
static int run_all(const struct job *job, double from, double *count, long seconds)
{
    int faults = 0;
    double first = from, end = from + *count;
    long last_ms = now_ms() + seconds * 1000;
    while (from < end && now_ms() < last_ms) {
        double n = end - from < IN_A_CHILD ? end - from : IN_A_CHILD;
        *job->at = from;
        const char *what = watch(job, start(job, from, n));
        from = what ? *job->at + 1 : from + n;
        if (!what)
            continue;
        faults++;
        tell(job, from - 1, what);
    }
    *count = from - first;
    return faults;
}

static lua_State *new_generator(const char *path)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_loadfile(L, path) == 0) {
        lua_pushstring(L, "generator");
        if (lua_pcall(L, 1, 1, 0) == 0)
            return L;
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(2);
}

/* It stays in memory: loading it anew for each state takes longer than many a program. */
static void keep_module(const char *cpath)
{
    char path[4096];
    const char *mark = strchr(cpath, '?');
    if (!mark)
        return;
    snprintf(path, sizeof path, "%.*sssocket%.*s", (int)(mark - cpath), cpath, (int)strcspn(mark + 1, ";"), mark + 1);
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
        fprintf(stderr, "%s\n", dlerror());
}

/* LuaJIT has no limit for C calls but the end of its own stack. Linux keeps 128 MiB free for that of C. */
static void widen_stack(void)
{
    struct rlimit limit;
    const rlim_t stack = 64 << 20;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= stack)
        return;
    limit.rlim_cur = stack;
    setrlimit(RLIMIT_STACK, &limit);
}

int main(int argc, char **argv)
{
    char log[] = "/tmp/programs-XXXXXX";
    struct job job = { .log = log };
    if (argc < 3)
        return 2;
    widen_stack();
    job.cpath = argv[1];
    keep_module(job.cpath);
    job.at = mmap(NULL, sizeof *job.at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    close(mkstemp(log));
    double from = 0, count = argc - 2;
    long seconds = 3600;
    if (argc == 7 && strtod(argv[4], NULL) > 0) {
        job.generator = new_generator(argv[2]);
        from = strtod(argv[3], NULL);
        count = strtod(argv[4], NULL);
        seconds = atol(argv[5]);
        job.found = argv[6];
    } else {
        job.files = argv + 2;
    }
    int faults = run_all(&job, from, &count, seconds);
    unlink(log);
    printf("%.0f passed, %d failed\n", count - faults, faults);
    return faults > 0;
}
