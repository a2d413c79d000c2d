/* The other side of every measurement, always this program, so that only the measured side differs.
 *
 *   peer MODE HOST PORT TOTAL SIZE DELIMITER FILL
 *
 * In the modes that wait for the measured program, standard input is the listening (or bound) socket; the others call
 * HOST and PORT. When it is ready, it writes one byte to standard output, which is the measured program's standard
 * input. It goes on until the connection ends or the runner ends it. */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h> /* SIOCOUTQ */
#include <netinet/tcp.h>   /* TCP_NODELAY */
#include <netinet/udp.h>   /* UDP_SEGMENT, UDP_GRO */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1024 * 1024 };

struct args {
    size_t size;       /* of a message, a record, or the number of connections */
    size_t total;      /* bytes or datagrams to send before the start; 0: go on for ever */
    const char *delim; /* after each record; "" for plain bytes */
    char fill;
    const char *host; /* in the modes that call the measured program */
    int port;
};

static void say_go(void)
{
    must(write(STDOUT_FILENO, "g", 1), "write");
}

static int take_one(void)
{
    int on = 1;
    int fd = (int)must(accept(STDIN_FILENO, NULL, NULL), "accept");
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    return fd;
}

/* A stretch of random bytes, a different one each time. */
static const char *next_message(size_t size)
{
    static char *data;
    static size_t at;
    if (!data) {
        data = get_memory(MIB);
        fill_random(data, MIB);
    }
    at = at + size <= MIB - size ? at + size : 0;
    return data + at;
}

/* Waits for a message with the processor (spin) or in the kernel. False: the end. */
static bool take_message(int fd, char *buf, size_t size, bool spin)
{
    size_t have = 0;
    while (have < size) {
        ssize_t got = recv(fd, buf + have, size - have, spin ? MSG_DONTWAIT : 0);
        if (got == 0 || (got == -1 && errno != EAGAIN))
            return false;
        have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* Answers each message with another of the same size. */
static void answer(const struct args *a, bool spin)
{
    char *buf = get_memory(a->size);
    next_message(a->size);
    int fd = take_one();
    say_go();
    while (take_message(fd, buf, a->size, spin))
        send_all(fd, next_message(a->size), a->size);
}

static void answer_sleeping(const struct args *a)
{
    answer(a, false);
}

static void answer_spinning(const struct args *a)
{
    answer(a, true);
}

static void answer_udp(const struct args *a)
{
    char *buf = get_memory(a->size);
    struct sockaddr_in from;
    next_message(a->size);
    say_go();
    for (;;) {
        socklen_t len = sizeof from;
        must(recvfrom(STDIN_FILENO, buf, a->size, 0, (struct sockaddr *)&from, &len), "recvfrom");
        must(sendto(STDIN_FILENO, next_message(a->size), a->size, 0, (struct sockaddr *)&from, len), "sendto");
    }
}

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void wait_until_acknowledged(int fd)
{
    int left = 1;
    while (left > 0) {
        wait_ms(1);
        must(ioctl(fd, SIOCOUTQ, &left), "SIOCOUTQ");
    }
}

/* Sends records: a.total bytes before it says go, or without end; `late`: once the other side waits for them. */
static void feed_from(const struct args *a, bool late)
{
    size_t size = 4 * MIB;
    char *block = get_memory(size);
    size_t len = fill_records(block, size, a->size, a->delim, a->fill);
    int fd = take_one();
    if (a->total > 0) {
        send_all(fd, block, a->total);
        wait_until_acknowledged(fd);
        say_go();
        pause();
    }
    say_go();
    wait_ms(late ? 50 : 0);
    for (;;)
        for (size_t at = 0; at < len; at += MIB)
            send_all(fd, block + at, len - at < MIB ? len - at : MIB);
}

static void feed(const struct args *a)
{
    feed_from(a, false);
}

static void feed_late(const struct args *a)
{
    feed_from(a, true);
}

/* Takes all that comes, and is not woken up for each small piece of it. */
static void sink(const struct args *a)
{
    int enough = 65536;
    int fd = take_one();
    (void)a;
    must(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof enough), "SO_RCVLOWAT");
    say_go();
    while (recv(fd, NULL, 4 * MIB, MSG_TRUNC) > 0)
        ;
}

static void sink_udp(const struct args *a)
{
    char *buf = get_memory(MIB);
    int on = 1;
    (void)a;
    setsockopt(STDIN_FILENO, IPPROTO_UDP, UDP_GRO, &on, sizeof on); /* where there is no such thing it is slower */
    say_go();
    for (;;)
        must(recv(STDIN_FILENO, buf, MIB, 0), "recv");
}

/* Datagrams in groups of 64 that the kernel cuts up: more than anybody can receive. */
static void flood(const struct args *a)
{
    enum { GROUP = 64 };
    struct sockaddr_in to;
    int segment = (int)a->size;
    int fd = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    fill_address(&to, a->host, a->port);
    must(connect(fd, (struct sockaddr *)&to, sizeof to), "connect");
    bool offload = setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0;
    size_t step = a->size * (offload ? GROUP : 1);
    if (a->total == 0)
        say_go();
    for (size_t sent = 0; a->total == 0 || sent < a->total * a->size; sent += step)
        if (send(fd, next_message(step), step, 0) == -1 && errno != ECONNREFUSED)
            die("send");
    say_go();
    pause();
}

static void accept_and_close(const struct args *a)
{
    (void)a;
    say_go();
    for (;;)
        close((int)must(accept(STDIN_FILENO, NULL, NULL), "accept"));
}

/* Whether a whole request has come, which may take several pieces. */
static bool take_request(int fd)
{
    char request[4096];
    size_t have = 0;
    while (have < 4 || memcmp(request + have - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(fd, request + have, sizeof request - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

/* Answers a request on each connection with a page of 14 bytes. */
static void page(const struct args *a)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nHello, world!\n";
    (void)a;
    say_go();
    for (;;) {
        int fd = take_one();
        if (take_request(fd))
            send_all(fd, text, sizeof text - 1);
        close(fd);
    }
}

/* Puts a.size connections into the measured program's queue, says go, waits until all are closed, and so on. */
static void crowd(const struct args *a)
{
    int *fds = get_memory(a->size * sizeof *fds);
    char byte;
    for (;;) {
        for (size_t i = 0; i < a->size; i++)
            fds[i] = dial(a->host, a->port);
        say_go();
        for (size_t i = 0; i < a->size; i++) {
            recv(fds[i], &byte, 1, 0);
            close(fds[i]);
        }
    }
}

/* Takes a.size connections and leaves them alone, but for one byte to the last of them. */
static void hold(const struct args *a)
{
    int fd = -1;
    for (size_t i = 0; i < a->size; i++)
        fd = take_one();
    send_all(fd, "x", 1);
    say_go();
    pause();
}

static const struct mode {
    const char *name;
    void (*run)(const struct args *a);
} modes[] = {
    { "answer", answer_sleeping },
    { "answer-spinning", answer_spinning },
    { "answer-udp", answer_udp },
    { "feed", feed },
    { "feed-late", feed_late },
    { "sink", sink },
    { "sink-udp", sink_udp },
    { "flood", flood },
    { "accept", accept_and_close },
    { "crowd", crowd },
    { "page", page },
    { "hold", hold },
};

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct args a = { .host = argv[2],
                      .port = atoi(argv[3]),
                      .total = strtoul(argv[4], NULL, 10),
                      .size = strtoul(argv[5], NULL, 10),
                      .delim = argv[6],
                      .fill = argv[7][0] };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run(&a);
            return 0;
        }
    return 2;
}
