#include "core/sock.h"
#include "core/codes.h"
#include "os/os_lookup.h"
#include "os/os_net.h"
#include "os/os_opt.h"
#include "os/os_passing.h"

#include <errno.h>  /* EAFNOSUPPORT, EADDRNOTAVAIL, EISCONN */
#include <string.h> /* memcpy */

void ss_env_init(struct ss_env *env, struct ss_mem mem)
{
    ss_pool_init(&env->pool, mem);
    env->opts = (struct ss_optmem){ .mem = mem };
    env->by_fd = NULL;
    env->nfds = 0;
    env->resolver = NULL;
    env->loop = NULL;
    env->on_release = NULL;
    env->forks = 0;
    env->first_local_port = 0;
    env->loop_has_ended = env->has_ended = false;
    env->join_probe = (struct ss_join_probe){ .outcome = SS_WANT };
    os_fork_mark_init(&env->mark);
}

/* Open sockets have no finalizer, or a later one. */
static void close_all_sockets(struct ss_env *env)
{
    for (size_t i = 0; i < env->nfds; i++)
        if (env->by_fd[i])
            ss_sock_fini(env->by_fd[i]);
}

void ss_env_fini(struct ss_env *env)
{
    close_all_sockets(env);
    ss_optmem_fini(&env->opts);
    os_resolver_free(env->resolver);
    env->resolver = NULL;
    ss_mem_free(&env->pool.mem, env->by_fd, env->nfds * sizeof(struct ss_sock *));
    env->by_fd = NULL;
    env->nfds = 0;
    ss_env_end(env);
    ss_pool_fini(&env->pool);
}

void ss_env_end(struct ss_env *env)
{
    ss_env_forked(env); /* the last check: the mark is freed next */
    os_fork_mark_fini(&env->mark);
    env->has_ended = true;
}

static bool reserve_fd(struct ss_env *env, size_t fd)
{
    struct ss_sock **by_fd = ss_mem_reserve_fd(&env->pool.mem, env->by_fd, &env->nfds, sizeof *by_fd, fd);
    env->by_fd = by_fd ? by_fd : env->by_fd;
    return by_fd != NULL;
}

bool ss_env_check_fork(struct ss_env *env)
{
    if (env->has_ended || !os_fork_mark_is_new(&env->mark))
        return false;
    for (size_t i = 0; i < env->nfds; i++)
        if (env->by_fd[i])
            env->by_fd[i]->shared = true;
    env->forks++;
    return true;
}

static enum ss_status fail_no_memory(struct ss_error *err)
{
    *err = ss_no_memory;
    return SS_ERROR;
}

void ss_sock_init(struct ss_sock *s, struct ss_env *env, int type)
{
    *s = (struct ss_sock){ .env = env, .type = (uint8_t)type };
    s->io = (struct ss_io){ .via = &ss_fd_transport, .fd = -1 };
    s->passed = OS_NOTHING_PASSED;
    s->in.pool = &env->pool;
}

void ss_sock_reinit(struct ss_sock *s, struct ss_env *env, int type)
{
    const struct ss_sock before = *s;
    ss_sock_init(s, env, type);
    s->in.stream = before.in.stream + 1;
    s->in.epoch = before.in.epoch + 1;
    s->attempt = (uint16_t)(before.attempt + 1);
}

static void close_ignoring_error(int fd)
{
    struct ss_error ignored;
    os_close(fd, &ignored);
}

enum ss_status ss_sock_make_fd(const struct ss_sock *s, int family, bool nonblock, int *fd, struct ss_error *err)
{
    enum ss_status st = os_socket(family, s->type, nonblock, fd, err);
    if (st != SS_OK)
        return st;
    st = ss_optlist_apply(&s->opts, *fd, family, err);
    if (st != SS_OK)
        close_ignoring_error(*fd);
    return st;
}

static void register_fd(struct ss_sock *s, int fd, int family)
{
    s->env->by_fd[fd] = s;
    s->io.fd = fd;
    s->io.recheck = family == AF_UNIX; /* a receive may end early, at passed descriptors (unix(7), SCM_RIGHTS) */
    s->family = (uint8_t)family;
}

/* Whether the socket or the Lua state has ended: a finalizer may run inside a call of either. */
static bool rejects_work(const struct ss_sock *s, struct ss_error *err)
{
    if (s->finalized || s->env->has_ended)
        *err = (struct ss_error){ SS_SYSTEM, ECANCELED };
    return s->finalized || s->env->has_ended;
}

/* Whether the socket must not get a descriptor. A call of an earlier socket in this memory may find an open one. */
static bool rejects_fd(const struct ss_sock *s, struct ss_error *err)
{
    if (s->io.fd >= 0)
        *err = (struct ss_error){ SS_SYSTEM, ECANCELED };
    return s->io.fd >= 0 || rejects_work(s, err);
}

enum ss_status ss_sock_adopt(struct ss_sock *s, int fd, int family, bool nonblock, struct ss_error *err)
{
    if (rejects_fd(s, err)) {
        close_ignoring_error(fd);
        return SS_ERROR;
    }
    if (!reserve_fd(s->env, (size_t)fd)) {
        close_ignoring_error(fd);
        return fail_no_memory(err);
    }
    register_fd(s, fd, family);
    s->nonblock = nonblock;
    s->kernel_ms[0] = s->kernel_ms[1] = 0;
    return SS_OK;
}

enum ss_status ss_sock_import(struct ss_sock *s, int fd, const struct os_kind *kind, struct ss_error *err)
{
    if (rejects_fd(s, err))
        return SS_ERROR;
    if (!reserve_fd(s->env, (size_t)fd))
        return fail_no_memory(err);
    register_fd(s, fd, kind->family);
    s->bound = s->port_chosen = s->output_ended = s->shared = s->may_linger = true;
    return SS_OK;
}

enum ss_status ss_sock_open(struct ss_sock *s, int family, struct ss_error *err)
{
    int fd;
    enum ss_status st = ss_sock_make_fd(s, family, false, &fd, err);
    return st == SS_OK ? ss_sock_adopt(s, fd, family, false, err) : st;
}

enum ss_status ss_sock_open_for_program(struct ss_sock *s, int family, struct ss_error *err)
{
    if (s->io.fd >= 0) {
        *err = (struct ss_error){ SS_SYSTEM, EISCONN };
        return SS_ERROR;
    }
    enum ss_status st = ss_sock_open(s, family, err);
    s->opened = s->bound = st == SS_OK;
    return st;
}

enum ss_status ss_sock_set_goal(struct ss_sock *s, const struct ss_addr *goal, struct ss_error *err)
{
    ss_sock_clear_goal(s);
    s->goal = ss_mem_resize(&s->env->pool.mem, NULL, 0, sizeof *goal);
    if (!s->goal)
        return fail_no_memory(err);
    *s->goal = *goal;
    return SS_OK;
}

void ss_sock_clear_goal(struct ss_sock *s)
{
    ss_mem_free(&s->env->pool.mem, s->goal, sizeof *s->goal);
    s->goal = NULL;
}

enum ss_status ss_sock_set_nonblock(struct ss_sock *s, bool nonblock, struct ss_error *err)
{
    if (s->nonblock == nonblock && !s->shared)
        return SS_OK;
    enum ss_status st = os_nonblock(s->io.fd, nonblock, err);
    if (st == SS_OK)
        s->nonblock = nonblock;
    return st;
}

void ss_sock_drop_report(const struct ss_sock *s)
{
    if (s->io.fd >= 0 && s->family != AF_UNIX)
        os_drop_report(s->io.fd);
}

void ss_sock_restore_settings(struct ss_sock *s)
{
    struct ss_error ignored;
    ss_env_forked(s->env);
    if (s->shared)
        return;
    for (int sending = 0; sending <= 1; sending++)
        if (s->kernel_ms[sending] != 0 && /* -1, unknown: may be inherited from a listener */
            os_kernel_timeout(s->io.fd, sending, 0, &ignored) == SS_OK)
            s->kernel_ms[sending] = 0;
    ss_sock_set_nonblock(s, false, &ignored);
}

int ss_sock_passed(const struct ss_sock *s)
{
    return s->passed_epoch == s->in.epoch ? s->passed : OS_NOTHING_PASSED;
}

void ss_sock_keep_passed(struct ss_sock *s, int passed)
{
    if (s->passed >= 0) /* the byte that it came with was read by another call */
        close_ignoring_error(s->passed);
    s->passed = passed;
    s->passed_epoch = s->in.epoch;
}

static void drop_layer(struct ss_sock *s)
{
    s->io.via->free(&s->io);
    s->io.via = &ss_fd_transport;
}

int ss_sock_release(struct ss_sock *s, bool closing)
{
    int fd = s->io.fd;
    if (s->env->on_release)
        s->env->on_release(s, closing);
    if (fd >= 0)
        s->env->by_fd[fd] = NULL;
    s->io.fd = -1;
    s->io.drained = s->io.recheck = false;
    s->io.lacks_input = false;
    s->io.conn_error = 0;
    s->family = 0;
    s->attempt++;
    s->opened = s->bound = s->port_chosen = s->nonblock = s->connected = s->output_ended = s->shared = false;
    s->io.taken_error = 0;
    if (s->goal)
        ss_sock_clear_goal(s);
    if (s->passed >= 0)
        close_ignoring_error(s->passed);
    s->passed = OS_NOTHING_PASSED;
    if (ss_io_has_layer(&s->io))
        drop_layer(s);
    ss_inbuf_restart(&s->in);
    return fd;
}

enum ss_status ss_sock_close(struct ss_sock *s, struct ss_error *err)
{
    int fd = ss_sock_release(s, true);
    return fd >= 0 ? os_close(fd, err) : SS_OK;
}

int ss_sock_linger_s(const struct ss_sock *s)
{
    struct ss_error ignored;
    int seconds = 0;
    if (!s->may_linger || s->io.fd < 0 || s->type != SOCK_STREAM || s->family == AF_UNIX)
        return 0;
    ss_env_forked(s->env);
    if (s->shared)
        return 0;
    enum ss_status st = os_opt_get(s->io.fd, s->family, os_opt_find("linger"), &seconds, &ignored);
    return st == SS_OK && seconds > 0 ? seconds : 0;
}

static void disable_linger(const struct ss_sock *s)
{
    struct ss_error ignored;
    os_opt_set(s->io.fd, s->family, os_opt_find("linger"), -1, &ignored);
}

enum ss_status ss_sock_close_quietly(struct ss_sock *s, struct ss_error *err)
{
    if (s->may_linger)
        ss_env_forked(s->env);
    if (s->may_linger && s->io.fd >= 0 && s->family != AF_UNIX && !s->shared)
        disable_linger(s);
    return ss_sock_close(s, err);
}

int ss_sock_detach_lingering(struct ss_sock *s)
{
    struct ss_error ignored;
    if (s->io.fd >= 0) {
        disable_linger(s);
        os_shutdown(s->io.fd, SHUT_WR, &ignored);
    }
    return ss_sock_release(s, false);
}

void ss_sock_fini(struct ss_sock *s)
{
    struct ss_error ignored;
    s->finalized = true;
    if (ss_sock_linger_s(s) > 0)
        disable_linger(s);
    ss_sock_close(s, &ignored);
    ss_optlist_fini(&s->opts, &s->env->opts);
}

/* `opened`: the caller opened the socket for this call; a failure closes the socket. */
static enum ss_status bind_address(struct ss_sock *s, struct ss_addr *addr, bool opened, struct ss_error *err)
{
    enum ss_status st = os_bind(s->io.fd, addr, err);
    struct ss_error ignored;
    if (st == SS_OK) {
        s->bound = true;
        s->port_chosen = ss_addr_port(addr) != 0;
    } else if (opened) {
        ss_sock_close(s, &ignored);
    }
    return st;
}

enum ss_status ss_sock_bind(struct ss_sock *s, struct ss_addr *addr, struct ss_error *err)
{
    bool fresh = s->io.fd < 0;
    if (fresh) {
        enum ss_status st = ss_sock_open(s, addr->sa.any.sa_family, err);
        if (st != SS_OK)
            return st;
    }
    if (!ss_addr_fit(addr, s->family)) {
        *err = ss_wrong_family;
        return SS_ERROR;
    }
    return bind_address(s, addr, fresh, err);
}

/* Turns IPV6_V6ONLY (ipv6(7)) off, unless the program has set it. Where this fails, the socket stays IPv6-only. */
static void enable_dual_stack(struct ss_sock *s)
{
    const struct ss_setting dual_stack = { .opt = os_opt_find("ipv6_v6only"), .value = 0 };
    struct ss_error ignored;
    if (!ss_optlist_get(&s->opts, &dual_stack))
        ss_setting_apply(&dual_stack, s->io.fd, AF_INET6, &ignored);
}

static enum ss_status open_wildcard(struct ss_sock *s, int family, struct ss_error *err)
{
    enum ss_status st = ss_sock_open(s, family, err);
    if (st == SS_OK && family == AF_INET6)
        enable_dual_stack(s);
    return st;
}

static enum ss_status bind_wildcard(struct ss_sock *s, int family, uint16_t port, bool opened, struct ss_error *err)
{
    struct ss_addr addr;
    ss_addr_any(&addr, family, port);
    return bind_address(s, &addr, opened, err);
}

enum ss_status ss_sock_bind_any(struct ss_sock *s, uint16_t port, struct ss_error *err)
{
    if (s->io.fd >= 0 && s->family == AF_UNIX) {
        *err = ss_wrong_family;
        return SS_ERROR;
    }
    if (s->io.fd >= 0)
        return bind_wildcard(s, s->family, port, false, err);
    enum ss_status st = open_wildcard(s, AF_INET6, err);
    if (st == SS_OK)
        st = bind_wildcard(s, AF_INET6, port, true, err);
    /* The system has no IPv6, or it is switched off. */
    if (st == SS_OK || (err->code != EAFNOSUPPORT && err->code != EADDRNOTAVAIL))
        return st;
    st = open_wildcard(s, AF_INET, err);
    return st == SS_OK ? bind_wildcard(s, AF_INET, port, true, err) : st;
}

/* What the socket itself has to know of a setting. */
static void note_setting(struct ss_sock *s, const struct ss_setting *setting)
{
    const struct os_opt *opt = setting->opt;
    if (opt && opt->type == OS_OPT_SPIN)
        s->spin_us = (uint16_t)setting->value;
    if (opt ? opt->type == OS_OPT_LINGER : os_opt_is_linger(setting->level, setting->number))
        s->may_linger = true;
}

enum ss_status ss_sock_set(struct ss_sock *s, const struct ss_setting *setting, struct ss_error *err)
{
    struct ss_setting kept = *setting;
    if (rejects_work(s, err))
        return SS_ERROR;
    enum ss_status st = ss_optlist_prepare(&s->opts, &s->env->opts, &kept, err);
    if (st != SS_OK)
        return st;
    if (s->io.fd >= 0)
        st = ss_setting_apply(&kept, s->io.fd, s->family, err);
    if (st != SS_OK) {
        ss_setting_drop(&s->env->opts, &kept);
        return st;
    }
    ss_optlist_put(&s->opts, &s->env->opts, &kept);
    note_setting(s, &kept);
    return SS_OK;
}

static enum ss_status get_option(const struct ss_sock *s, const struct ss_setting *setting, int *value,
                                 struct ss_error *err)
{
    if (setting->opt)
        return os_opt_get(s->io.fd, s->family, setting->opt, value, err);
    return os_opt_get_raw(s->io.fd, setting->level, setting->number, value, err);
}

static bool is_error_option(const struct ss_setting *setting)
{
    const struct os_opt *opt = setting->opt;
    return opt ? os_opt_is_error(opt->level, opt->opt) : os_opt_is_error(setting->level, setting->number);
}

/* SO_ERROR of a stream stays pending for a connect in progress, and for readers. */
static void note_error(struct ss_sock *s, const struct ss_setting *setting, int value)
{
    if (value == 0 || s->type != SOCK_STREAM || !is_error_option(setting))
        return;
    s->io.taken_error = (uint16_t)value;
    ss_io_set_conn_error(&s->io, value);
}

enum ss_status ss_sock_get(struct ss_sock *s, const struct ss_setting *setting, int *value, struct ss_error *err)
{
    enum ss_status st = get_option(s, setting, value, err);
    if (st == SS_OK)
        note_error(s, setting, *value);
    return st;
}

enum ss_status ss_sock_get_bytes(struct ss_sock *s, const struct ss_setting *setting, void *bytes, size_t *len,
                                 struct ss_error *err)
{
    int value;
    enum ss_status st = os_opt_get_bytes(s->io.fd, setting->level, setting->number, bytes, len, err);
    if (st == SS_OK && *len == sizeof value)
        note_error(s, setting, *(int *)memcpy(&value, bytes, sizeof value));
    return st;
}
