/* Operations that take bytes from a stream. Each leaves its bytes at the front of the input buffer; the caller hands out
 * `len` of them after SS_OK or SS_LIMIT, and after any other end what ss_..._partial says. */
#ifndef SS_CORE_OP_READ_H
#define SS_CORE_OP_READ_H

#include "core/find.h"
#include "core/inbuf.h"
#include "core/op.h"

#pragma GCC visibility push(hidden)

/* What each of them begins with. */
struct ss_reading {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *left; /* bytes that were there when somebody closed the socket, or NULL */
};

/* Takes over the bytes of a socket that is being closed. */
void ss_reading_keep(struct ss_op *op);

struct ss_read {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *left;
    size_t want; /* bytes: exactly (readn), at most (readsome, readall) */
    size_t len;  /* result */
};

/* Exactly `want` bytes. SS_OK | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status ss_readn_step(struct ss_op *op);

/* At least one byte, at most `want`. */
enum ss_status ss_readsome_step(struct ss_op *op);

/* All until the peer ends the stream (SS_OK); SS_LIMIT with `want` bytes when there are more. */
enum ss_status ss_readall_step(struct ss_op *op);

struct ss_until {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *left;
    const struct ss_find *find;
    struct ss_scan scan;
    size_t max; /* more bytes than this before the delimiter are SS_LIMIT */
    size_t len; /* result, without the delimiter */
};

/* Whether a delimiter stands in `in` now and not behind `max`; *len bytes are before it. If not, an operation can go on with
 * `scan`. */
bool ss_until_at_hand(const struct ss_inbuf *in, const struct ss_find *find, size_t max, struct ss_scan *scan,
                      size_t *len);

/* The bytes before the next delimiter. SS_OK | SS_LIMIT | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status ss_until_step(struct ss_op *op);

/* After a time-out: the bytes that cannot belong to a delimiter any more. */
size_t ss_until_partial(const struct ss_until *op);

#pragma GCC visibility pop

#endif
