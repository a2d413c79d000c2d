/* What the messages of the many clients go through: TCP in wire_plain.c, TLS over it in wire_tls.c. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>    /* size_t */
#include <sys/types.h> /* ssize_t */

#pragma GCC visibility push(hidden)

struct wire {
    int fd;
    void *layer; /* above the descriptor; NULL: none */
};

/* Connects, and returns when messages can be sent. */
struct wire wire_open(const char *host, int port);

void wire_send(const struct wire *w, const char *data, size_t len);

/* Receives what is there; `waits`: once there is something. 0: the end; -1 with EAGAIN: nothing is there. Of what has come, nothing
 * that fits stays behind where epoll_wait(2) does not see it. */
ssize_t wire_recv(const struct wire *w, char *buf, size_t len, bool waits);

#pragma GCC visibility pop

#endif
