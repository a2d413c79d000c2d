/* The same work in plain C, as well as it can be done with blocking sockets: the limit that the others are held to.
 *
 *   raw WORK HOST PORT N SIZE DELIMITER */
#include "common.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <netinet/udp.h> /* UDP_SEGMENT, UDP_GRO */
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUFFER = 65536, PARTS = 16, BATCH = 64, SKIPPED = 77 };

struct args {
    const char *host;
    int port;
    long n;
    size_t size;
    const char *delim;
};

static char *random_data(size_t len)
{
    char *data = get_memory(len);
    fill_random(data, len);
    return data;
}

static void set_nodelay(int fd)
{
    int on = 1;
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

static void receive_all(int fd, char *buf, size_t len, int flags)
{
    while (len > 0) {
        ssize_t got = recv(fd, buf, len, flags);
        if (got == 0 || (got == -1 && errno != EAGAIN))
            die("recv");
        if (got == -1)
            continue; /* only with MSG_DONTWAIT: spinning */
        buf += got;
        len -= (size_t)got;
    }
}

static void ping(const struct args *a, int flags)
{
    char *data = random_data(a->size), *buf = get_memory(a->size);
    int fd = dial(a->host, a->port);
    set_nodelay(fd);
    meter_start();
    for (long i = 0; i < a->n; i++) {
        send_all(fd, data, a->size);
        receive_all(fd, buf, a->size, flags);
    }
    meter_stop((double)a->n);
}

static void pingpong(const struct args *a)
{
    ping(a, 0);
}

static void pingpong_spinning(const struct args *a)
{
    ping(a, MSG_DONTWAIT);
}

static int dial_udp(const struct args *a)
{
    struct sockaddr_in addr;
    struct timeval limit = { .tv_sec = 10 };
    int fd = (int)must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    fill_address(&addr, a->host, a->port);
    must(connect(fd, (struct sockaddr *)&addr, sizeof addr), "connect");
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    return fd;
}

static void pingpong_udp(const struct args *a)
{
    char *data = random_data(a->size), *buf = get_memory(a->size);
    int fd = dial_udp(a);
    meter_start();
    for (long i = 0; i < a->n; i++) {
        must(send(fd, data, a->size, MSG_NOSIGNAL), "send");
        must(recv(fd, buf, a->size, 0), "recv");
    }
    meter_stop((double)a->n);
}

static void write_one(const struct args *a)
{
    char *data = random_data(a->size);
    int fd = dial(a->host, a->port);
    meter_start();
    for (long i = 0; i < a->n; i++)
        send_all(fd, data, a->size);
    meter_stop((double)a->n);
}

static void write_each(const struct args *a)
{
    char *data = random_data(a->size * PARTS);
    int fd = dial(a->host, a->port);
    meter_start();
    for (long i = 0; i < a->n; i++)
        for (size_t j = 0; j < PARTS; j++)
            send_all(fd, data + j * a->size, a->size);
    meter_stop((double)a->n);
}

/* Small enough to go out whole: a blocking socket takes all of it. */
static void write_list(const struct args *a)
{
    char *data = random_data(a->size * PARTS);
    struct iovec parts[PARTS];
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = PARTS };
    for (size_t j = 0; j < PARTS; j++)
        parts[j] = (struct iovec){ .iov_base = data + j * a->size, .iov_len = a->size };
    int fd = dial(a->host, a->port);
    meter_start();
    for (long i = 0; i < a->n; i++)
        if (must(sendmsg(fd, &msg, MSG_NOSIGNAL), "sendmsg") != (long)(a->size * PARTS))
            die("short write");
    meter_stop((double)a->n);
}

/* One recv for each piece. */
static void read_direct(const struct args *a)
{
    char *buf = get_memory(a->size);
    int fd = dial(a->host, a->port);
    meter_start();
    for (long i = 0; i < a->n; i++)
        receive_all(fd, buf, a->size, MSG_WAITALL);
    meter_stop((double)a->n);
}

struct reader {
    int fd;
    char *buf;
    size_t size, start, end;
};

static void receive_more(struct reader *r)
{
    if (r->start > 0) {
        memmove(r->buf, r->buf + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    r->end += (size_t)must(recv(r->fd, r->buf + r->end, r->size - r->end, 0), "recv");
}

/* Like fread with a large buffer: each piece is copied to where its user wants it. */
static void read_buffered(const struct args *a)
{
    char *piece = get_memory(a->size);
    struct reader r = { .fd = dial(a->host, a->port), .buf = get_memory(BUFFER), .size = BUFFER };
    meter_start();
    for (long i = 0; i < a->n; i++) {
        while (r.end - r.start < a->size)
            receive_more(&r);
        memcpy(piece, r.buf + r.start, a->size);
        r.start += a->size;
    }
    meter_stop((double)a->n);
}

/* The next record stands in the buffer from r->start; *next is behind its delimiter. */
static void find_record(struct reader *r, const char *delim, size_t delim_len, size_t *next)
{
    size_t seen = 0; /* no delimiter begins before that */
    for (;;) {
        size_t len = r->end - r->start;
        char *hit = memmem(r->buf + r->start + seen, len - seen, delim, delim_len);
        if (hit) {
            *next = (size_t)(hit - r->buf) + delim_len;
            return;
        }
        seen = len >= delim_len ? len - delim_len + 1 : 0;
        receive_more(r);
    }
}

static void records(const struct args *a)
{
    size_t delim_len = strlen(a->delim);
    struct reader r = { .fd = dial(a->host, a->port), .size = a->size + delim_len + BUFFER };
    r.buf = get_memory(r.size);
    meter_start();
    for (long i = 0; i < a->n; i++)
        find_record(&r, a->delim, delim_len, &r.start);
    meter_stop((double)a->n);
}

/* memmem alone, over the same bytes in memory. */
static void records_in_memory(const struct args *a, char fill)
{
    size_t delim_len = strlen(a->delim), size = 4 * 1024 * 1024;
    char *block = get_memory(size);
    size_t len = fill_records(block, size, a->size, a->delim, fill);
    int fd = dial(a->host, a->port); /* for the feeder's sake */
    meter_start();
    for (long i = 0, at = 0; i < a->n; i++) {
        char *hit = memmem(block + at, len - (size_t)at, a->delim, delim_len);
        if (!hit)
            die("memmem");
        at = hit - block + (long)delim_len;
        if ((size_t)at == len)
            at = 0;
    }
    meter_stop((double)a->n);
    close(fd);
}

static void records_in_memory_random(const struct args *a)
{
    records_in_memory(a, 0);
}

static void records_in_memory_same(const struct args *a)
{
    records_in_memory(a, 'a');
}

/* One call sends 64 datagrams as one piece, which the system cuts up as late as it can. */
static void send_segmented(const struct args *a)
{
    int fd = dial_udp(a), segment = (int)a->size;
    char *data = random_data(a->size * BATCH);
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) == -1)
        exit(SKIPPED);
    meter_start();
    for (long i = 0; i < a->n; i += BATCH)
        must(send(fd, data, a->size * BATCH, MSG_NOSIGNAL), "send");
    meter_stop((double)a->n);
}

static void prepare(struct mmsghdr *msgs, struct iovec *parts, char *data, size_t size)
{
    memset(msgs, 0, BATCH * sizeof *msgs);
    for (size_t j = 0; j < BATCH; j++) {
        parts[j] = (struct iovec){ .iov_base = data + j * size, .iov_len = size };
        msgs[j].msg_hdr.msg_iov = &parts[j];
        msgs[j].msg_hdr.msg_iovlen = 1;
    }
}

static void send_batches(const struct args *a)
{
    struct mmsghdr msgs[BATCH];
    struct iovec parts[BATCH];
    int fd = dial_udp(a);
    prepare(msgs, parts, random_data(a->size * BATCH), a->size);
    meter_start();
    for (long i = 0; i < a->n;)
        i += must(sendmmsg(fd, msgs, BATCH, MSG_NOSIGNAL), "sendmmsg");
    meter_stop((double)a->n);
}

static int open_receiver(const struct args *a)
{
    int fd = open_local(a->host, SOCK_DGRAM);
    print_port(fd);
    return fd;
}

/* The length of the single datagrams that one receive brought (udp(7), UDP_GRO). */
static size_t segment_size(struct msghdr *msg, size_t got)
{
    int size = (int)got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&size, CMSG_DATA(c), sizeof size);
    return (size_t)size;
}

static void receive_coalesced(const struct args *a)
{
    int fd = open_receiver(a), on = 1;
    char control[CMSG_SPACE(sizeof on)];
    struct iovec part = { .iov_base = get_memory(BUFFER), .iov_len = BUFFER };
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == -1)
        exit(SKIPPED);
    long i = 0;
    meter_start();
    while (i < a->n) {
        struct msghdr msg = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
        };
        size_t got = (size_t)must(recvmsg(fd, &msg, 0), "recvmsg");
        size_t each = segment_size(&msg, got);
        i += (long)((got + each - 1) / each);
    }
    meter_stop((double)i);
}

static void receive_batches(const struct args *a)
{
    struct mmsghdr msgs[BATCH];
    struct iovec parts[BATCH];
    int fd = open_receiver(a);
    prepare(msgs, parts, get_memory(a->size * BATCH), a->size);
    long i = 0;
    meter_start();
    while (i < a->n)
        i += must(recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL), "recvmmsg");
    meter_stop((double)i);
}

static void connect_and_close(const struct args *a)
{
    struct sockaddr_in addr;
    fill_address(&addr, a->host, a->port);
    meter_start();
    for (long i = 0; i < a->n; i++) {
        int fd = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        must(connect(fd, (struct sockaddr *)&addr, sizeof addr), "connect");
        must(close(fd), "close");
    }
    meter_stop((double)a->n);
}

/* In laps of a->size connections, which wait in the queue when the lap begins. */
static void accept_and_close(const struct args *a)
{
    int fd = open_local(a->host, SOCK_STREAM);
    must(listen(fd, 4096), "listen");
    print_port(fd);
    for (long lap = 0; lap < a->n; lap += (long)a->size) {
        meter_start();
        for (size_t i = 0; i < a->size; i++)
            must(close((int)must(accept4(fd, NULL, NULL, SOCK_CLOEXEC), "accept")), "close");
        meter_stop((double)a->size);
    }
}

static void poll_many(const struct args *a)
{
    struct pollfd *set = get_memory(a->size * sizeof *set);
    for (size_t i = 0; i < a->size; i++)
        set[i] = (struct pollfd){ .fd = dial(a->host, a->port), .events = POLLIN };
    meter_start();
    for (long i = 0; i < a->n; i++) {
        size_t at = 0;
        must(poll(set, a->size, -1), "poll");
        while (at < a->size && set[at].revents == 0)
            at++;
        if (at != a->size - 1)
            die("the last one alone was to be ready");
    }
    meter_stop((double)a->n);
}

static const struct work {
    const char *name;
    void (*run)(const struct args *a);
} works[] = {
    { "pingpong", pingpong },
    { "pingpong_spinning", pingpong_spinning },
    { "pingpong_udp", pingpong_udp },
    { "write", write_one },
    { "write_each", write_each },
    { "write_list", write_list },
    { "read", read_direct },
    { "read_buffered", read_buffered },
    { "records", records },
    { "memmem_random", records_in_memory_random },
    { "memmem_same", records_in_memory_same },
    { "send", send_segmented },
    { "send_batches", send_batches },
    { "receive", receive_coalesced },
    { "receive_batches", receive_batches },
    { "connect", connect_and_close },
    { "accept", accept_and_close },
    { "select", poll_many },
};

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    struct args a = {
        .host = argv[2], .port = atoi(argv[3]), .n = atol(argv[4]), .size = strtoul(argv[5], NULL, 10), .delim = argv[6]
    };
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(argv[1], works[i].name) == 0) {
            works[i].run(&a);
            return 0;
        }
    return SKIPPED;
}
