/* State of a datagram socket alone: the queue of received datagrams, and segmentation offload of the descriptor. */
#ifndef SS_CORE_DGRAMS_H
#define SS_CORE_DGRAMS_H

#include "core/addr.h"
#include "os/os_many.h"

#pragma GCC visibility push(hidden)

struct ss_dgram {
    const void *data;
    size_t len;
    bool cut; /* the datagram was longer than `len` */
    struct ss_addr from;
};

/* Datagrams that one system call received, in order. */
struct ss_dgrams {
    struct os_batch batch;
    size_t offset;    /* in bytes, in message `next`, which may hold several datagrams (udp(7), UDP_GRO) */
    unsigned n, next; /* messages in the batch; the first that has unread datagrams */
};

/* Removes the first datagram, cut to `size` bytes; dgram->data points into the batch. False: the queue is empty. */
bool ss_dgrams_next(struct ss_dgrams *queue, size_t size, struct ss_dgram *dgram);

/* Segmentation offload (udp(7)) of one descriptor. */
enum ss_offload { SS_OFFLOAD_UNKNOWN, SS_OFFLOAD_ON, SS_OFFLOAD_OFF };

struct ss_dgram_state {
    struct ss_dgrams queue; /* in the socket's input buffer; valid while the buffer has bytes */
    unsigned stream;        /* in.stream of the socket; with another number there, the members below are void */
    uint16_t pending_error; /* errno(3) number for the next call, of a receive after others; 0: none */
    uint8_t joining;        /* enum ss_offload: UDP_GRO is on */
    uint8_t splitting;      /* enum ss_offload: UDP_SEGMENT is supported */
};

/* Whether this system delivers joined datagrams intact (os_probe_joined); determined once per Lua state. */
struct ss_join_probe {
    enum ss_status outcome; /* SS_OK: yes | SS_ERROR: no | SS_WANT: unknown after `attempts` */
    uint8_t attempts;
};

/* True: it does. Makes another attempt while the outcome is unknown, up to three in total. */
bool ss_join_probe_holds(struct ss_join_probe *probe);

#pragma GCC visibility pop

#endif
