#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double wall_start, cpu_start;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void meter_start(void)
{
    char go;
    must(read(STDIN_FILENO, &go, 1), "read");
    wall_start = seconds(CLOCK_MONOTONIC);
    cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

void meter_stop(double ops)
{
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    double wall = seconds(CLOCK_MONOTONIC) - wall_start;
    printf("%.0f %.9f %.9f\n", ops, wall, cpu);
    fflush(stdout);
}

/* xorshift64 (Marsaglia 2003) */
static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void fill_random(char *data, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i++)
        data[i] = letters[next_random() >> 58];
}

size_t fill_records(char *block, size_t size, size_t len, const char *delim, char fill)
{
    size_t delim_len = strlen(delim), end = 0;
    while (end + len + delim_len <= size) {
        if (fill)
            memset(block + end, fill, len);
        else
            fill_random(block + end, len);
        memcpy(block + end + len, delim, delim_len);
        end += len + delim_len;
    }
    return end;
}

void fill_address(struct sockaddr_in *addr, const char *host, int port)
{
    *addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    if (inet_pton(AF_INET, host, &addr->sin_addr) != 1)
        die(host);
}

int dial(const char *host, int port)
{
    struct sockaddr_in addr;
    struct timeval limit = { .tv_sec = 10 };
    int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    fill_address(&addr, host, port);
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "SO_SNDTIMEO");
    must(connect(fd, (struct sockaddr *)&addr, sizeof addr), "connect");
    return fd;
}

int open_local(const char *host, int type)
{
    struct sockaddr_in addr;
    int fd = (int)must(socket(AF_INET, type, 0), "socket");
    fill_address(&addr, host, 0);
    must(bind(fd, (struct sockaddr *)&addr, sizeof addr), "bind");
    return fd;
}

void print_port(int fd)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    must(getsockname(fd, (struct sockaddr *)&addr, &len), "getsockname");
    printf("port %d\n", ntohs(addr.sin_port));
    fflush(stdout);
}

void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = must(send(fd, data, len, MSG_NOSIGNAL), "send");
        data += sent;
        len -= (size_t)sent;
    }
}

void *get_memory(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        die("malloc");
    return memory;
}

void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

long must(long result, const char *what)
{
    if (result < 0)
        die(what);
    return result;
}
