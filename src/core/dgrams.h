/* A queue of datagrams that one system call has received. */
#ifndef SS_CORE_DGRAMS_H
#define SS_CORE_DGRAMS_H

#include "core/addr.h"
#include "os/os_many.h"

#pragma GCC visibility push(hidden)

struct ss_dgram {
    const void *data;
    size_t len;
    bool cut; /* the datagram was longer */
    struct ss_addr from;
};

struct ss_dgrams {
    struct os_batch batch;
    size_t n, next; /* messages in the batch; index of the first unfinished one */
    size_t offset;  /* in bytes, into message `next`, which may hold several datagrams (udp(7), UDP_GRO) */
};

/* Dequeues a datagram, cut to `size` bytes; dgram->data points into the batch. False: the queue is empty. */
bool ss_dgrams_next(struct ss_dgrams *queue, size_t size, struct ss_dgram *dgram);

#pragma GCC visibility pop

#endif
