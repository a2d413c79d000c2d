#include "pair.h"
#include "os/os_clock.h"
#include "os/os_net.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>   /* abort */
#include <string.h>   /* memset */
#include <sys/time.h> /* setitimer */
#include <sys/wait.h>
#include <time.h> /* nanosleep */
#include <unistd.h>

void pair_open(struct pair *pair)
{
    int fds[2];
    struct ss_error err;
    if (os_socketpair(fds, &err) != SS_OK)
        abort();
    *pair = (struct pair){ .other = fds[1] };
    ss_env_init(&pair->env, heap_mem(&pair->heap));
    ss_sock_init(&pair->sock, &pair->env, SOCK_STREAM);
    if (ss_sock_adopt(&pair->sock, fds[0], AF_UNIX, false, &err) != SS_OK)
        abort();
}

void pair_close(struct pair *pair)
{
    ss_sock_fini(&pair->sock);
    ss_env_fini(&pair->env);
    if (pair->other >= 0)
        close(pair->other);
    heap_check_empty(&pair->heap);
}

double now_ms(void)
{
    return (double)os_now_ns() / 1e6;
}

void wait_ms(int ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

pid_t child_start(void (*act)(int fd), int fd)
{
    pid_t pid = fork();
    if (pid == -1)
        abort();
    if (pid == 0) {
        alarm(20);
        act(fd);
        _exit(0);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    return status;
}

void child_stop(pid_t pid)
{
    kill(pid, SIGKILL);
    wait_for(pid);
}

bool child_succeeds(pid_t pid)
{
    int status = wait_for(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

enum { WRITES_AT = 3, MANY = 1000 };

static volatile sig_atomic_t ticks;
static int ticks_fd;

static void tick(int signal)
{
    int code = errno;
    (void)signal;
    ticks++;
    if (ticks > MANY || (ticks == WRITES_AT && ticks_fd >= 0 && write(ticks_fd, "x", 1) != 1))
        _exit(1);
    errno = code;
}

static void set_timer(int ms)
{
    struct timeval every = { .tv_sec = 0, .tv_usec = ms * 1000 };
    struct itimerval timer = { .it_interval = every, .it_value = every };
    setitimer(ITIMER_REAL, &timer, NULL);
}

void ticks_start(int ms, int fd)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = tick;
    ticks = 0;
    ticks_fd = fd;
    sigaction(SIGALRM, &action, NULL);
    set_timer(ms);
}

int ticks_stop(void)
{
    set_timer(0);
    return ticks;
}
