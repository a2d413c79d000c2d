/* Datagrams that one system call has received and that are handed out one by one. */
#ifndef SS_CORE_DGRAMS_H
#define SS_CORE_DGRAMS_H

#include "core/addr.h"
#include "os/os_many.h"

#pragma GCC visibility push(hidden)

struct ss_dgram {
    const void *data;
    size_t len;
    bool cut; /* it was longer */
    struct ss_addr from;
};

struct ss_dgrams {
    struct os_batch batch;
    size_t n, next; /* messages in the batch, and the first that is not handed out whole */
    size_t offset;  /* into that: a message may be several datagrams in a row (udp(7), UDP_GRO) */
};

/* The next datagram, of which at most `size` bytes are wanted; it stands in the batch. False: there are no more. */
bool ss_dgrams_next(struct ss_dgrams *queue, size_t size, struct ss_dgram *dgram);

#pragma GCC visibility pop

#endif
