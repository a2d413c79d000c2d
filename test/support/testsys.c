/* What the specs need from POSIX and Lua does not have: processes, raw descriptors, signals, limits.
 *
 * Failures of the system come back as nil, text. Every wait takes its limit in seconds. Descriptors made
 * here are close-on-exec unless the caller asks otherwise. Nothing here uses the module under test. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, environ */
#endif
#include <dirent.h>  /* opendir */
#include <dlfcn.h>   /* dlopen, dlsym */
#include <errno.h>   /* errno, E... */
#include <fcntl.h>   /* O_CLOEXEC, fcntl */
#include <libintl.h> /* bindtextdomain */
#include <lauxlib.h>
#include <lua.h>
#include <netdb.h> /* gai_strerror */
#include <poll.h>  /* poll */
#include <signal.h>
#include <stddef.h> /* offsetof */
#include <stdint.h> /* uint64_t */
#include <stdlib.h> /* mkdtemp, setenv */
#include <string.h> /* strerror, strncmp */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h> /* clock_gettime, nanosleep */
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h> /* PR_SET_PDEATHSIG */
#include <sys/syscall.h>
#ifdef __has_include
#if __has_include(<linux/seccomp.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#define CAN_REFUSE
#endif
#endif
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

static int push_errno(lua_State *L, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, strerror(err));
    return 2;
}

static int push_result(lua_State *L, int result)
{
    if (result < 0)
        return push_errno(L, errno);
    lua_pushinteger(L, result);
    return 1;
}

static double seconds_by(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double clock_seconds(void)
{
    return seconds_by(CLOCK_MONOTONIC);
}

static void nap(void)
{
    struct timespec ms = { 0, 1000000 };
    nanosleep(&ms, NULL);
}

/* Waits until fd is ready or the clock passes deadline. Returns 1, or 0 when time is up. */
static int wait_ready(int fd, short events, double deadline)
{
    struct pollfd p = { .fd = fd, .events = events };
    for (;;) {
        double left = deadline - clock_seconds();
        int n = poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (n > 0 || (n < 0 && errno != EINTR))
            return 1;
        if (left <= 0)
            return 0;
    }
}

/* ---- processes ---- */

/* The environment without what would instrument a peer as well (ASan's LD_PRELOAD). Owned by Lua. */
static char **clean_environment(lua_State *L)
{
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    char **clean = lua_newuserdata(L, (n + 1) * sizeof *clean);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0)
            clean[kept++] = environ[i];
    clean[kept] = NULL;
    return clean;
}

static char **argument_vector(lua_State *L, int table)
{
    luaL_checktype(L, table, LUA_TTABLE);
    int n = 0;
    for (;; n++) {
        lua_rawgeti(L, table, n + 1);
        int end = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (end)
            break;
    }
    char **argv = lua_newuserdata(L, (size_t)(n + 1) * sizeof *argv);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, table, i + 1);
        argv[i] = (char *)(intptr_t)luaL_checkstring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    argv[n] = NULL;
    return argv;
}

static void become_peer(char **argv, char **env, int in, int out, int errors_too)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no peer outlives the specs */
#endif
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    if (errors_too)
        dup2(out, STDERR_FILENO);
    environ = env;
    execvp(argv[0], argv);
    _exit(127);
}

/* spawn({argv...}[, errors_too]) -> pid, fd of its stdin, fd of its stdout (and stderr).
 * Its stdin is a socket, so that writing to a dead peer raises no SIGPIPE. */
static int sys_spawn(lua_State *L)
{
    char **argv = argument_vector(L, 1);
    char **env = clean_environment(L);
    int in[2];
    int out[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
        return push_errno(L, errno);
    if (pipe2(out, O_CLOEXEC) < 0)
        return push_errno(L, errno);
    pid_t pid = fork();
    if (pid == 0)
        become_peer(argv, env, in[0], out[1], lua_toboolean(L, 2));
    close(in[0]);
    close(out[1]);
    if (pid < 0)
        return push_errno(L, errno);
    lua_pushinteger(L, pid);
    lua_pushinteger(L, in[1]);
    lua_pushinteger(L, out[0]);
    return 3;
}

/* wait(pid, limit) -> "exit", code | "signal", number | nil, text */
static int sys_wait(lua_State *L)
{
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    double deadline = clock_seconds() + luaL_checknumber(L, 2);
    int status;
    pid_t got;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && clock_seconds() < deadline)
        nap();
    if (got <= 0)
        return push_errno(L, got == 0 ? ETIMEDOUT : errno);
    lua_pushstring(L, WIFEXITED(status) ? "exit" : "signal");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 2;
}

static int sys_kill(lua_State *L)
{
    return push_result(L, kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
}

static int sys_fork(lua_State *L)
{
    return push_result(L, (int)fork());
}

/* _exit(code): ends a forked child without running the parent's finalizers. */
static int sys_exit(lua_State *L)
{
    _exit((int)luaL_optinteger(L, 1, 0));
}

static int sys_getpid(lua_State *L)
{
    return push_result(L, (int)getpid());
}

/* ---- descriptors ---- */

/* read(fd, max, limit) -> data ("" at the end) | nil, text */
static int sys_read(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    size_t max = (size_t)luaL_checkinteger(L, 2);
    double deadline = clock_seconds() + luaL_checknumber(L, 3);
    char *buf = lua_newuserdata(L, max);
    if (!wait_ready(fd, POLLIN, deadline))
        return push_errno(L, ETIMEDOUT);
    ssize_t n = read(fd, buf, max);
    if (n < 0)
        return push_errno(L, errno);
    lua_pushlstring(L, buf, (size_t)n);
    return 1;
}

/* send(fd, data, limit) -> true | nil, text; for sockets */
static int sys_send(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    size_t len;
    const char *data = luaL_checklstring(L, 2, &len);
    double deadline = clock_seconds() + luaL_checknumber(L, 3);
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return push_errno(L, errno);
        if (n < 0 && !wait_ready(fd, POLLOUT, deadline))
            return push_errno(L, ETIMEDOUT);
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int sys_close(lua_State *L)
{
    return push_result(L, close((int)luaL_checkinteger(L, 1)));
}

static int sys_dup(lua_State *L)
{
    return push_result(L, fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 0));
}

/* dup2(from, to): the copy is inherited by child processes, as a stdin must be. */
static int sys_dup2(lua_State *L)
{
    return push_result(L, dup2((int)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
}

/* socket(family, type), family and type as the constants of this module; not close-on-exec. */
static int sys_socket(lua_State *L)
{
    return push_result(L, socket((int)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2), 0));
}

/* socketpair(type) -> fd, fd; of the Unix family, not close-on-exec. */
static int sys_socketpair(lua_State *L)
{
    int fds[2];
    if (socketpair(AF_UNIX, (int)luaL_checkinteger(L, 1), 0, fds) < 0)
        return push_errno(L, errno);
    lua_pushinteger(L, fds[0]);
    lua_pushinteger(L, fds[1]);
    return 2;
}

/* isopen(fd) -> boolean */
static int sys_isopen(lua_State *L)
{
    lua_pushboolean(L, fcntl((int)luaL_checkinteger(L, 1), F_GETFD) >= 0);
    return 1;
}

/* cloexec(fd) -> boolean | nil, text */
static int sys_cloexec(lua_State *L)
{
    int flags = fcntl((int)luaL_checkinteger(L, 1), F_GETFD);
    if (flags < 0)
        return push_errno(L, errno);
    lua_pushboolean(L, (flags & FD_CLOEXEC) != 0);
    return 1;
}

/* nonblock(fd, on): whether calls on it wait */
static int sys_nonblock(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return push_errno(L, errno);
    flags = lua_toboolean(L, 2) ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return push_result(L, fcntl(fd, F_SETFL, flags));
}

/* fds() -> array of the open descriptors, without the one used to look */
static int sys_fds(lua_State *L)
{
    DIR *dir = opendir("/dev/fd");
    if (dir == NULL)
        return push_errno(L, errno);
    lua_newtable(L);
    int n = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir))
            continue;
        lua_pushinteger(L, fd);
        lua_rawseti(L, -2, ++n);
    }
    closedir(dir);
    return 1;
}

/* fdname(fd) -> what the descriptor is, such as "socket:[123]", for messages */
static int sys_fdname(lua_State *L)
{
    char name[256];
    lua_pushfstring(L, "/proc/self/fd/%d", (int)luaL_checkinteger(L, 1));
    ssize_t n = readlink(lua_tostring(L, -1), name, sizeof name);
    if (n < 0)
        return push_errno(L, errno);
    lua_pushlstring(L, name, (size_t)n);
    return 1;
}

/* nofile([soft]) -> soft, hard: the limit on descriptors, set first when given */
static int sys_nofile(lua_State *L)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return push_errno(L, errno);
    if (!lua_isnoneornil(L, 1)) {
        limit.rlim_cur = (rlim_t)luaL_checkinteger(L, 1);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return push_errno(L, errno);
    }
    lua_pushinteger(L, (lua_Integer)limit.rlim_cur); /* no limit is -1 */
    lua_pushinteger(L, (lua_Integer)limit.rlim_max);
    return 2;
}

#ifdef CAN_REFUSE
/* Those of the module's calls that old profiles do not know, and what they are on systems with a 32-bit time_t. */
static const long newer_calls[] = {
    SYS_accept4,      SYS_recvmmsg,        SYS_sendmmsg, SYS_eventfd2, SYS_pipe2, SYS_madvise,
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
    SYS_ppoll,
#endif
#ifdef SYS_ppoll_time64
    SYS_ppoll_time64, SYS_recvmmsg_time64,
#endif
};

/* refuse(errno) -> true | nil, text: from now on the kernel answers those calls so, in this process and all that it starts. */
static int sys_refuse(lua_State *L)
{
    enum { CALLS = sizeof newer_calls / sizeof *newer_calls };
    struct sock_filter code[CALLS + 3] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
    for (int i = 0; i < CALLS; i++)
        code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)newer_calls[i],
                                                   (unsigned char)(CALLS - i), 0);
    code[CALLS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[CALLS + 2] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)luaL_checkinteger(L, 1));
    struct sock_fprog program = { .len = CALLS + 3, .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return push_errno(L, errno);
    lua_pushboolean(L, 1);
    return 1;
}
#endif

/* ---- signals ---- */

static volatile sig_atomic_t caught;

static void count_signal(int sig)
{
    (void)sig;
    caught++;
}

static const char *disposition_name(void (*handler)(int))
{
    if (handler == SIG_DFL)
        return "default";
    return handler == SIG_IGN ? "ignore" : "handler";
}

/* disposition(signal[, new]) -> what it was: "default", "ignore" or "handler".
 * New ones: "default", "ignore", "count" (a handler that interrupts calls), "count_restart" (with SA_RESTART). */
static int sys_disposition(lua_State *L)
{
    static const char *const names[] = { "default", "ignore", "count", "count_restart", NULL };
    int sig = (int)luaL_checkinteger(L, 1);
    struct sigaction old;
    if (sigaction(sig, NULL, &old) < 0)
        return push_errno(L, errno);
    if (!lua_isnoneornil(L, 2)) {
        int kind = luaL_checkoption(L, 2, NULL, names);
        struct sigaction new = { .sa_flags = kind == 3 ? SA_RESTART : 0 };
        new.sa_handler = kind == 0 ? SIG_DFL : kind == 1 ? SIG_IGN : count_signal;
        if (sigaction(sig, &new, NULL) < 0)
            return push_errno(L, errno);
    }
    lua_pushstring(L, disposition_name(old.sa_handler));
    return 1;
}

/* caught() -> how many signals the counting handlers saw since the last call */
static int sys_caught(lua_State *L)
{
    lua_pushinteger(L, caught);
    caught = 0;
    return 1;
}

/* What `lua`, luajit and luaposix do: the handler sets a hook, and the hook calls the function. */
static lua_State *hooked;
static char hook_key;

static void call_hook_function(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    lua_pushlightuserdata(L, &hook_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_call(L, 0, 0);
}

static void set_hook(int sig)
{
    (void)sig;
    caught++;
    lua_sethook(hooked, call_hook_function, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* hook(signal, restart, f): the signal has f called by a hook of this coroutine, once. restart: SA_RESTART. */
static int sys_hook(lua_State *L)
{
    int sig = (int)luaL_checkinteger(L, 1);
    struct sigaction new = { .sa_flags = lua_toboolean(L, 2) ? SA_RESTART : 0 };
    luaL_checktype(L, 3, LUA_TFUNCTION);
    hooked = L;
    lua_pushlightuserdata(L, &hook_key);
    lua_pushvalue(L, 3);
    lua_rawset(L, LUA_REGISTRYINDEX);
    new.sa_handler = set_hook;
    if (sigaction(sig, &new, NULL) < 0)
        return push_errno(L, errno);
    lua_pushboolean(L, 1);
    return 1;
}

/* blocked(signal) -> boolean: is it in this thread's mask? */
static int sys_blocked(lua_State *L)
{
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    lua_pushboolean(L, sigismember(&mask, (int)luaL_checkinteger(L, 1)));
    return 1;
}

static void bark(int sig)
{
    static const char text[] = "\nwatchdog: a spec hangs, giving up\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)sig;
    (void)ignored;
    _exit(124);
}

/* watchdog(seconds): ends the whole run if it is not called again in time; 0 calls it off. */
static int sys_watchdog(lua_State *L)
{
    signal(SIGALRM, bark);
    alarm((unsigned)luaL_checkinteger(L, 1));
    return 0;
}

/* ---- the rest ---- */

/* now() -> monotonic seconds */
static int sys_now(lua_State *L)
{
    lua_pushnumber(L, clock_seconds());
    return 1;
}

/* wall_clock() -> seconds since 1970; time(2) may be a tick behind */
static int sys_wall_clock(lua_State *L)
{
    lua_pushnumber(L, seconds_by(CLOCK_REALTIME));
    return 1;
}

static int sys_strerror(lua_State *L)
{
    lua_pushstring(L, strerror((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* resolver_text() -> what a name server that cannot tell is called */
static int sys_resolver_text(lua_State *L)
{
    lua_pushstring(L, gai_strerror(EAI_AGAIN));
    return 1;
}

/* random(n, seed) -> n bytes, the same for the same seed (xorshift64) */
static int sys_random(lua_State *L)
{
    size_t n = (size_t)luaL_checkinteger(L, 1);
    uint64_t x = (uint64_t)luaL_checkinteger(L, 2) * 2654435761u + 88172645463325252u;
    unsigned char *bytes = lua_newuserdata(L, n + 1);
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (unsigned char)(x >> 24);
    }
    lua_pushlstring(L, (const char *)bytes, n);
    return 1;
}

static void make_crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
}

/* crc32(data[, so_far=0]) -> number, as zlib has it. */
static int sys_crc32(lua_State *L)
{
    const uint32_t *table = lua_touserdata(L, lua_upvalueindex(1));
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    uint32_t crc = (uint32_t)luaL_optnumber(L, 2, 0) ^ 0xffffffffu;
    for (size_t i = 0; i < len; i++)
        crc = (crc >> 8) ^ table[(crc ^ (unsigned char)data[i]) & 0xff];
    lua_pushnumber(L, (lua_Number)(crc ^ 0xffffffffu));
    return 1;
}

/* mkdtemp(template) -> path */
static int sys_mkdtemp(lua_State *L)
{
    size_t len;
    const char *template = luaL_checklstring(L, 1, &len);
    char *path = lua_newuserdata(L, len + 1);
    memcpy(path, template, len + 1);
    if (mkdtemp(path) == NULL)
        return push_errno(L, errno);
    lua_pushstring(L, path);
    return 1;
}

static int sys_setenv(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (lua_isnoneornil(L, 2))
        return push_result(L, unsetenv(name));
    return push_result(L, setenv(name, luaL_checkstring(L, 2), 1));
}

/* messages(dir): libc looks for its translated messages under dir. */
static int sys_messages(lua_State *L)
{
    return push_result(L, bindtextdomain("libc", luaL_checkstring(L, 1)) == NULL ? -1 : 0);
}

/* A function of the libcrypto that this process has loaded already; NULL: it has none. */
static void *crypto_function(const char *name)
{
    static const char *const libraries[] = { "libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.dylib" };
    void *library = NULL;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries && !library; i++)
        library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
    void *function = library ? dlsym(library, name) : NULL;
    if (library)
        dlclose(library);
    return function;
}

/* openssl_error(): the oldest error in the queue of OpenSSL, 0 when there is none; nothing without OpenSSL. */
static int sys_openssl_error(lua_State *L)
{
    unsigned long (*peek)(void);
    *(void **)&peek = crypto_function("ERR_peek_error");
    if (!peek)
        return 0;
    lua_pushnumber(L, (lua_Number)peek());
    return 1;
}

/* openssl_fail(): leaves an error in that queue, as a careless program does. */
static int sys_openssl_fail(lua_State *L)
{
    void *(*open_file)(const char *path, const char *mode);
    *(void **)&open_file = crypto_function("BIO_new_file");
    lua_pushboolean(L, open_file && !open_file("/nowhere/at all", "r"));
    return 1;
}

static const struct {
    const char *name;
    lua_CFunction function;
} functions[] = {
    { "spawn", sys_spawn },
    { "wait", sys_wait },
    { "kill", sys_kill },
    { "fork", sys_fork },
    { "_exit", sys_exit },
    { "getpid", sys_getpid },
    { "read", sys_read },
    { "send", sys_send },
    { "close", sys_close },
    { "dup", sys_dup },
    { "dup2", sys_dup2 },
    { "socket", sys_socket },
    { "socketpair", sys_socketpair },
    { "isopen", sys_isopen },
    { "cloexec", sys_cloexec },
    { "nonblock", sys_nonblock },
    { "fds", sys_fds },
    { "fdname", sys_fdname },
    { "nofile", sys_nofile },
#ifdef CAN_REFUSE
    { "refuse", sys_refuse },
#endif
    { "disposition", sys_disposition },
    { "caught", sys_caught },
    { "hook", sys_hook },
    { "blocked", sys_blocked },
    { "watchdog", sys_watchdog },
    { "now", sys_now },
    { "wall_clock", sys_wall_clock },
    { "strerror", sys_strerror },
    { "resolver_text", sys_resolver_text },
    { "random", sys_random },
    { "mkdtemp", sys_mkdtemp },
    { "setenv", sys_setenv },
    { "messages", sys_messages },
    { "openssl_error", sys_openssl_error },
    { "openssl_fail", sys_openssl_fail },
};

#define CONSTANT(name) \
    {                  \
#name, name    \
    }
static const struct {
    const char *name;
    int value;
} constants[] = {
    CONSTANT(SIGPIPE),         CONSTANT(SIGUSR1),      CONSTANT(SIGUSR2),       CONSTANT(SIGALRM),
    CONSTANT(SIGTERM),         CONSTANT(SIGKILL),      CONSTANT(SIGSTOP),       CONSTANT(SIGCONT),
    CONSTANT(SIGCHLD),         CONSTANT(SIGINT),       CONSTANT(AF_UNIX),       CONSTANT(AF_INET),
    CONSTANT(AF_INET6),        CONSTANT(SOCK_STREAM),  CONSTANT(SOCK_DGRAM),    CONSTANT(SOCK_SEQPACKET),
    CONSTANT(EBADF),           CONSTANT(EBUSY),        CONSTANT(EINVAL),        CONSTANT(EISCONN),
    CONSTANT(ENOTCONN),        CONSTANT(ENOTSOCK),     CONSTANT(EPROTOTYPE),    CONSTANT(ENAMETOOLONG),
    CONSTANT(ENOENT),          CONSTANT(EADDRINUSE),   CONSTANT(EADDRNOTAVAIL), CONSTANT(ECONNREFUSED),
    CONSTANT(EALREADY),        CONSTANT(ECONNABORTED), CONSTANT(ECONNRESET),    CONSTANT(EMFILE),
    CONSTANT(EDESTADDRREQ),    CONSTANT(ENODEV),       CONSTANT(EACCES),        CONSTANT(EMSGSIZE),
    CONSTANT(ENOPROTOOPT),     CONSTANT(EOPNOTSUPP),   CONSTANT(ETIMEDOUT),     CONSTANT(EPIPE),
    CONSTANT(ENETUNREACH),     CONSTANT(EHOSTUNREACH), CONSTANT(EAFNOSUPPORT),  CONSTANT(EINTR),
    CONSTANT(EPROTONOSUPPORT), CONSTANT(EDOM),         CONSTANT(SOL_SOCKET),    CONSTANT(SO_REUSEADDR),
    CONSTANT(SO_SNDBUF),       CONSTANT(SO_RCVBUF),    CONSTANT(SO_KEEPALIVE),  CONSTANT(SO_TYPE),
    CONSTANT(SO_RCVTIMEO),     CONSTANT(SO_SNDTIMEO),  CONSTANT(SO_ERROR),      CONSTANT(SO_BROADCAST),
    CONSTANT(ENFILE),          CONSTANT(ENOBUFS),      CONSTANT(ENOMEM),        CONSTANT(EPERM),
    CONSTANT(ENOSYS),
};

int luaopen_testsys(lua_State *L);
int luaopen_testsys(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].function);
        lua_setfield(L, -2, functions[i].name);
    }
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        lua_pushinteger(L, constants[i].value);
        lua_setfield(L, -2, constants[i].name);
    }
#if defined(__linux__) && !defined(__GLIBC__) /* it has other texts, and another order of addresses */
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "musl");
#endif
    make_crc_table(lua_newuserdata(L, 256 * sizeof(uint32_t)));
    lua_pushcclosure(L, sys_crc32, 1);
    lua_setfield(L, -2, "crc32");
    return 1;
}
