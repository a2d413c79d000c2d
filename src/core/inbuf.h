/* Bytes that have been received and not yet been handed out. One piece of memory, lent by the pool while
 * it holds anything; handing out moves an index. */
#ifndef SS_CORE_INBUF_H
#define SS_CORE_INBUF_H

#include "core/io.h"
#include "core/pool.h"

#pragma GCC visibility push(hidden)

struct ss_inbuf {
    struct ss_pool *pool;
    struct ss_block *block; /* NULL: empty */
    unsigned epoch;         /* changes whenever bytes leave it or move, in whatever way */
    unsigned stream;        /* changes when what comes is another stream's */
};

static inline size_t ss_inbuf_len(const struct ss_inbuf *in)
{
    return in->block ? in->block->end - in->block->start : 0;
}

/* The first byte that waits; not NULL, also when none does. Good until the next call that changes `in`. */
static inline const unsigned char *ss_inbuf_data(const struct ss_inbuf *in)
{
    return in->block ? in->block->bytes + in->block->start : (const unsigned char *)"";
}

/* Receives once behind what is there, as much as fits. `need`: how many bytes the caller knows it must have
 * still (1: it can't know). The memory grows with what has arrived, never with `need` alone. */
enum ss_status ss_inbuf_fill(struct ss_inbuf *in, struct ss_io *io, size_t need, struct ss_error *err);

/* An empty buffer with a block of at least `size` bytes, to be used by the caller as it likes. */
enum ss_status ss_inbuf_borrow(struct ss_inbuf *in, size_t size, struct ss_error *err);

/* Hands out the first `n` bytes. */
void ss_inbuf_consume(struct ss_inbuf *in, size_t n);

/* Moves what waits into memory of its own size, for a socket that will be idle for an unknown time. */
void ss_inbuf_shrink(struct ss_inbuf *in);

/* Takes the whole out, so that nobody else can reach it, and puts it back before what has come meanwhile (which is lost if
 * there is no memory for both), unless that is another stream's. */
void ss_inbuf_take_out(struct ss_inbuf *in, struct ss_inbuf *own);
void ss_inbuf_put_back(struct ss_inbuf *in, struct ss_inbuf *own);

/* Forgets everything. */
void ss_inbuf_clear(struct ss_inbuf *in);

/* The same, and what comes now is another stream's. */
void ss_inbuf_restart(struct ss_inbuf *in);

#pragma GCC visibility pop

#endif
