/* The servers in plain C with epoll, as well as it can be done: the limit that the others are held to.
 *
 *   server WORK HOST ...
 *
 * All connections share one block of memory for what comes in. Only the beginning of a request whose end is not there
 * yet, or an answer that the system does not take at once, is kept for a connection. */
#include "common.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The shortest request has a quarter of the bytes of its answer at least. */
enum { BUFFER = 65536, ANSWERS = 4 * BUFFER, HEAD_MOST = 8192, EVENTS = 512 };

struct kept {
    char *data;
    size_t len;
};

struct conn {
    int fd;
    struct kept in, out;
};

static char buffer[BUFFER], answers[ANSWERS];
static int poller;

static void keep(struct kept *kept, const char *data, size_t len)
{
    if (len > 0) {
        kept->data = get_memory(len);
        kept->len = len;
        memcpy(kept->data, data, len);
    }
}

static void drop(struct kept *kept)
{
    free(kept->data);
    *kept = (struct kept){ 0 };
}

static void end(struct conn *c)
{
    close(c->fd);
    drop(&c->in);
    drop(&c->out);
    free(c);
}

static void watch(struct conn *c, int how, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = c };
    must(epoll_ctl(poller, how, c->fd, &event), "epoll_ctl");
}

/* As much as the system takes. False: the connection has ended. */
static bool push(int fd, const char *data, size_t len, size_t *sent)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    *sent = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN;
}

/* What is not taken is kept, and nothing is read until it is gone. False: the connection has ended. */
static bool reply(struct conn *c, const char *data, size_t len)
{
    size_t sent;
    if (!push(c->fd, data, len, &sent))
        return false;
    if (sent < len) {
        keep(&c->out, data + sent, len - sent);
        watch(c, EPOLL_CTL_MOD, EPOLLOUT);
    }
    return true;
}

static bool go_on_replying(struct conn *c)
{
    struct kept out = c->out;
    size_t sent;
    c->out = (struct kept){ 0 };
    bool goes_on = push(c->fd, out.data, out.len, &sent);
    keep(&c->out, out.data + sent, out.len - sent);
    free(out.data);
    if (goes_on && c->out.len == 0)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    return goes_on;
}

static bool echo(struct conn *c, size_t len)
{
    return reply(c, buffer, len);
}

#define ANSWER(status, connection, length, text) \
    "HTTP/1.1 " status "\r\n" connection "Content-Length: " length "\r\n\r\n" text
#define LAST "Connection: close\r\n"
#define HELLO(connection) ANSWER("200 OK", connection, "14", "Hello, world!\n")
#define NOTHING(connection) ANSWER("404 Not Found", connection, "23", "There is nothing here.\n")

enum page { FOUND, MISSING, BAD };

/* For a connection that stays, and for one that does not. */
static const char *const pages[][2] = {
    [FOUND] = { HELLO(""), HELLO(LAST) },
    [MISSING] = { NOTHING(""), NOTHING(LAST) },
    [BAD] = { "", ANSWER("400 Bad Request", LAST, "16", "Ask for a page.\n") },
};

static bool begins(const char *line, const char *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - line) >= len && strncasecmp(line, word, len) == 0;
}

static bool says_close(const char *at, const char *end)
{
    for (; end - at >= 5; at++)
        if (strncasecmp(at, "close", 5) == 0)
            return true;
    return false;
}

/* Whether the connection stays, by the fields; it does not after a request with a body, which nobody here reads. */
static bool fields_stay(const char *line, const char *end)
{
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next + 1 : end;
        if (begins(line, next, "content-length:") || begins(line, next, "transfer-encoding:"))
            return false;
        if (begins(line, next, "connection:") && says_close(line, next))
            return false;
        line = next;
    }
    return true;
}

static enum page find_page(const char *line, const char *end, bool *is_1_1)
{
    static const char version[] = " HTTP/1.";
    const char *path = line + 4;
    if (end - line < 5 || memcmp(line, "GET /", 5) != 0)
        return BAD;
    const char *path_end = path;
    while (path_end < end && *path_end != ' ' && *path_end != '?' && *path_end != '\r')
        path_end++;
    const char *at = memmem(path_end, (size_t)(end - path_end), version, sizeof version - 1);
    if (!at || end - at != sizeof version + 2 || at[sizeof version - 1] < '0' || at[sizeof version - 1] > '9')
        return BAD;
    *is_1_1 = at[sizeof version - 1] == '1';
    return path_end - path == 1 ? FOUND : MISSING;
}

/* The answer to one whole head. *stays: whether the connection does. */
static const char *answer(const char *head, const char *end, bool *stays)
{
    bool is_1_1 = false;
    const char *line_end = (const char *)memchr(head, '\n', (size_t)(end - head)) + 1;
    enum page page = find_page(head, line_end, &is_1_1);
    *stays = is_1_1 && fields_stay(line_end, end);
    return pages[page][*stays ? 0 : 1];
}

/* All heads that are there; their answers leave together. */
static bool http(struct conn *c, size_t len)
{
    const char *at = buffer, *end = buffer + len, *found;
    size_t answers_len = 0;
    bool stays = true;
    while (stays && (found = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
        const char *text = answer(at, found + 4, &stays);
        size_t text_len = strlen(text);
        memcpy(answers + answers_len, text, text_len);
        answers_len += text_len;
        at = found + 4;
    }
    if (answers_len > 0 && !reply(c, answers, answers_len))
        return false;
    keep(&c->in, at, (size_t)(end - at));
    return stays && c->in.len <= HEAD_MOST;
}

typedef bool work_fn(struct conn *c, size_t len);

static bool readable(struct conn *c, work_fn *work)
{
    size_t have = c->in.len;
    if (have > 0)
        memcpy(buffer, c->in.data, have);
    ssize_t got = recv(c->fd, buffer + have, BUFFER - have, 0);
    if (got <= 0)
        return got == -1 && errno == EAGAIN;
    drop(&c->in);
    return work(c, have + (size_t)got);
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        struct conn *c = get_memory(sizeof *c);
        *c = (struct conn){ .fd = fd };
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (errno != EAGAIN)
        die("accept");
}

static int open_listener(const char *host)
{
    struct sockaddr_in addr;
    int on = 1, fd = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    fill_address(&addr, host, 0);
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY"); /* connections have it from here */
    must(bind(fd, (struct sockaddr *)&addr, sizeof addr), "bind");
    must(listen(fd, 4096), "listen");
    print_port(fd);
    return fd;
}

static void handle(struct conn *c, int listener, work_fn *work)
{
    if (c->fd == listener)
        accept_all(listener);
    else if (!(c->out.len > 0 ? go_on_replying(c) : readable(c, work)))
        end(c);
}

static void serve(const char *host, work_fn *work)
{
    struct epoll_event events[EVENTS];
    struct conn listener = { .fd = open_listener(host) };
    poller = (int)must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            handle(events[i].data.ptr, listener.fd, work);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "http") != 0))
        return 2;
    serve(argv[2], strcmp(argv[1], "echo") == 0 ? echo : http);
}
