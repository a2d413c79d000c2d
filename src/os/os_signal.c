#include "os/os_signal.h"
#include "os/os_net.h"

#include <errno.h>
#include <sched.h> /* sched_yield */
#include <signal.h>
#include <string.h> /* strcmp */
#include <unistd.h> /* getpid, read, write */

static const struct {
    int number;
    const char *name;
} signal_names[] = {
    { SIGHUP, "HUP" },       { SIGINT, "INT" },   { SIGQUIT, "QUIT" }, { SIGUSR1, "USR1" }, { SIGUSR2, "USR2" },
    { SIGPIPE, "PIPE" },     { SIGALRM, "ALRM" }, { SIGTERM, "TERM" }, { SIGCHLD, "CHLD" }, { SIGCONT, "CONT" },
    { SIGTSTP, "TSTP" },     { SIGTTIN, "TTIN" }, { SIGTTOU, "TTOU" }, { SIGURG, "URG" },   { SIGXCPU, "XCPU" },
    { SIGXFSZ, "XFSZ" },     { SIGPROF, "PROF" }, { SIGTRAP, "TRAP" }, { SIGABRT, "ABRT" }, { SIGSYS, "SYS" },
    { SIGVTALRM, "VTALRM" },
#ifdef SIGWINCH
    { SIGWINCH, "WINCH" },
#endif
#ifdef SIGIO
    { SIGIO, "IO" },
#endif
#ifdef SIGPWR
    { SIGPWR, "PWR" },
#endif
#ifdef SIGINFO
    { SIGINFO, "INFO" },
#endif
};

enum { NAMES = sizeof signal_names / sizeof *signal_names, NUMBERS = 65 };

int os_signal_number(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(signal_names[i].name, name) == 0)
            return signal_names[i].number;
    return 0;
}

const char *os_signal_name(int number)
{
    for (size_t i = 0; i < NAMES; i++)
        if (signal_names[i].number == number)
            return signal_names[i].name;
    return NULL;
}

/* By signal number. Shared with the handler in any thread, hence atomic. */
static struct taken {
    struct os_signals *holder; /* NULL: not taken */
    int fd;                    /* to write to, in `process` alone; -1: not any more */
    int process;
    int pending; /* its byte is in the pipe, which so has room for every kind */
    struct sigaction before;
} taken[NUMBERS];

static int handlers; /* that run at the moment, in all threads */

/* Async-signal-safe (signal-safety(7)). A child process after fork(2) has the handler and the descriptor of its parent. */
static void take_signal(int number)
{
    struct taken *t = &taken[number];
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    __atomic_add_fetch(&handlers, 1, __ATOMIC_SEQ_CST);
    int fd = __atomic_load_n(&t->fd, __ATOMIC_SEQ_CST);
    bool ours = fd >= 0 && __atomic_load_n(&t->process, __ATOMIC_SEQ_CST) == (int)getpid();
    if (ours && !__atomic_exchange_n(&t->pending, 1, __ATOMIC_SEQ_CST) && write(fd, &byte, 1) != 1)
        __atomic_store_n(&t->pending, 0, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&handlers, 1, __ATOMIC_SEQ_CST);
    errno = saved;
}

static enum ss_status fail_signals(struct ss_error *err, int code)
{
    *err = (struct ss_error){ SS_SYSTEM, code };
    return SS_ERROR;
}

static bool claim_signal(struct os_signals *held, int number)
{
    struct os_signals *nobody = NULL;
    return __atomic_compare_exchange_n(&taken[number].holder, &nobody, held, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool install_handler(const struct os_signals *held, int number)
{
    struct taken *t = &taken[number];
    struct sigaction action = { .sa_flags = SA_RESTART };
    action.sa_handler = take_signal;
    sigemptyset(&action.sa_mask);
    __atomic_store_n(&t->pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->process, held->process, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->fd, held->fds[1], __ATOMIC_SEQ_CST);
    return sigaction(number, &action, &t->before) == 0;
}

static void restore_disposition(int number)
{
    struct taken *t = &taken[number];
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == take_signal)
        sigaction(number, &t->before, NULL);
    __atomic_store_n(&t->fd, -1, __ATOMIC_SEQ_CST);
}

/* A handler that has begun before the descriptor was taken from it may still write to that. */
static void close_pipe(struct os_signals *held)
{
    struct ss_error ignored;
    while (__atomic_load_n(&handlers, __ATOMIC_SEQ_CST) > 0 && held->process == (int)getpid())
        sched_yield();
    os_close(held->fds[0], &ignored);
    os_close(held->fds[1], &ignored);
    held->fds[0] = held->fds[1] = -1;
}

/* The first `n` signals. */
static void give_back(struct os_signals *held, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        restore_disposition(held->numbers[i]);
    close_pipe(held);
    for (unsigned i = 0; i < n; i++)
        __atomic_store_n(&taken[held->numbers[i]].holder, NULL, __ATOMIC_SEQ_CST);
}

static enum ss_status open_signal_pipe(struct os_signals *held, struct ss_error *err)
{
    enum ss_status st = os_socketpair(held->fds, err);
    for (int i = 0; i < 2 && st == SS_OK; i++)
        st = os_nonblock(held->fds[i], true, err);
    return st;
}

enum ss_status os_signals_open(struct os_signals *held, struct ss_error *err)
{
    held->process = (int)getpid();
    held->fds[0] = held->fds[1] = -1;
    enum ss_status st = open_signal_pipe(held, err);
    unsigned n = 0;
    while (st == SS_OK && n < held->n) {
        if (!claim_signal(held, held->numbers[n]))
            st = fail_signals(err, EBUSY);
        else if (n++, !install_handler(held, held->numbers[n - 1]))
            st = fail_signals(err, errno);
    }
    if (st != SS_OK && held->fds[0] >= 0)
        give_back(held, n);
    return st;
}

enum ss_status os_signals_take(struct os_signals *held, int *number)
{
    unsigned char byte;
    if (held->fds[0] < 0 || held->process != (int)getpid())
        return SS_CLOSED;
    if (read(held->fds[0], &byte, 1) != 1)
        return SS_WANT;
    __atomic_store_n(&taken[byte].pending, 0, __ATOMIC_SEQ_CST);
    *number = byte;
    return SS_OK;
}

void os_signals_close(struct os_signals *held)
{
    if (held->fds[0] >= 0)
        give_back(held, held->n);
}
