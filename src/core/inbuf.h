/* The input buffer of a socket: received, unconsumed bytes in one block, borrowed from the pool while not empty.
 * Consuming advances an index. */
#ifndef SS_CORE_INBUF_H
#define SS_CORE_INBUF_H

#include "core/io.h"
#include "core/pool.h"

#pragma GCC visibility push(hidden)

struct ss_inbuf {
    struct ss_pool *pool;
    struct ss_block *block; /* NULL: empty */
    unsigned epoch;         /* changes when bytes leave the buffer or move */
    unsigned stream;        /* changes when input belongs to another stream */
};

static inline size_t ss_inbuf_len(const struct ss_inbuf *in)
{
    return in->block ? in->block->end - in->block->start : 0;
}

/* Notes that the unread bytes are too few for an operation, which leaves them there: select waits for more. */
static inline void ss_inbuf_note_short(struct ss_inbuf *in)
{
    if (!in->block)
        return;
    in->block->short_start = (uint32_t)in->block->start;
    in->block->short_end = (uint32_t)in->block->end;
}

/* Whether the unread bytes are those that were noted. */
static inline bool ss_inbuf_is_short(const struct ss_inbuf *in)
{
    const struct ss_block *block = in->block;
    return block && block->short_end > 0 && block->short_start == block->start && block->short_end == block->end;
}

/* The first unconsumed byte; never NULL. Valid until the next call that changes `in`. */
static inline const unsigned char *ss_inbuf_data(const struct ss_inbuf *in)
{
    return in->block ? in->block->bytes + in->block->start : (const unsigned char *)"";
}

/* Appends the bytes of one receive. `need`: how many more bytes the caller must have (1: unknown). Memory grows with
 * the bytes received, never with `need` alone. The transport's outcomes, and SS_ERROR: no memory. `via`: the transport;
 * a layer fills a buffer of its own from the descriptor's. */
enum ss_status ss_inbuf_fill_from(struct ss_inbuf *in, const struct ss_transport *via, struct ss_io *io, size_t need,
                                  struct ss_error *err);
static inline enum ss_status ss_inbuf_fill(struct ss_inbuf *in, struct ss_io *io, size_t need, struct ss_error *err)
{
    return ss_inbuf_fill_from(in, io->via, io, need, err);
}

/* Discards the bytes and borrows a block of at least `size` bytes for the caller's use. SS_OK | SS_ERROR: no memory. */
enum ss_status ss_inbuf_borrow(struct ss_inbuf *in, size_t size, struct ss_error *err);

/* Consumes the first `n` bytes. */
void ss_inbuf_consume(struct ss_inbuf *in, size_t n);

/* Before a socket becomes idle: moves at most a quarter block of bytes to a block of their size. Best effort. */
void ss_inbuf_shrink(struct ss_inbuf *in);

/* Moves the buffer to `own`, out of reach of other calls, and back, in front of bytes that arrived meanwhile; without
 * memory for both, the later bytes are lost. If the stream has changed, `own` is discarded. */
void ss_inbuf_take_out(struct ss_inbuf *in, struct ss_inbuf *own);
void ss_inbuf_put_back(struct ss_inbuf *in, struct ss_inbuf *own);

/* Discards all bytes. */
void ss_inbuf_clear(struct ss_inbuf *in);

/* Discards all bytes; later input belongs to another stream. */
void ss_inbuf_restart(struct ss_inbuf *in);

#pragma GCC visibility pop

#endif
