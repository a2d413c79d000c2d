/* The state of a datagram socket that a stream has no use for: the queue of received datagrams, and what the kernel does for
 * the descriptor. */
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

/* A queue of datagrams that one system call has received. */
struct ss_dgrams {
    struct os_batch batch;
    size_t offset;    /* in bytes, into message `next`, which may hold several datagrams (udp(7), UDP_GRO) */
    unsigned n, next; /* messages in the batch; index of the first unfinished one */
};

/* Dequeues a datagram, cut to `size` bytes; dgram->data points into the batch. False: the queue is empty. */
bool ss_dgrams_next(struct ss_dgrams *queue, size_t size, struct ss_dgram *dgram);

/* Segmentation of datagrams by the kernel (udp(7)) on one descriptor. */
enum ss_offload { SS_OFFLOAD_UNKNOWN, SS_OFFLOAD_ON, SS_OFFLOAD_OFF };

struct ss_dgram_state {
    struct ss_dgrams queue; /* valid while the socket's input buffer has bytes, which are the queue's memory */
    unsigned stream; /* in.stream of the socket: what follows belongs to that descriptor, and is void on another */
    uint16_t pending_error; /* errno(3) number of a receive that failed behind others, to report next; 0: none */
    uint8_t joining;   /* enum ss_offload: the kernel joins received datagrams (UDP_GRO); ON and OFF: it was asked to */
    uint8_t splitting; /* enum ss_offload: it splits sent ones (UDP_SEGMENT) */
};

/* Whether joined datagrams can be told apart on this system (os_prove_joined): found out once for each Lua state. */
struct ss_join_proof {
    enum ss_status outcome; /* SS_OK, SS_ERROR: no; SS_WANT: unknown, after `attempts` inconclusive ones */
    uint8_t attempts;
};

/* Makes an attempt while the outcome is unknown, but only a few in total. */
bool ss_join_proof_holds(struct ss_join_proof *proof);

#pragma GCC visibility pop

#endif
