/* Ending a stream so that the peer gets all that was written: a close with unread input would reset the connection. */
#ifndef SS_CORE_OP_FINISH_H
#define SS_CORE_OP_FINISH_H

#include "core/inbuf.h"
#include "core/op.h"

#pragma GCC visibility push(hidden)

struct ss_finish {
    struct ss_op op;
    struct ss_inbuf *in;
    size_t left;      /* number of bytes that may still be dropped */
    bool local;       /* the peer is on this machine (unix(7)): what was written is there */
    bool shut : 1;    /* the output has ended, or could not be ended: */
    bool failed : 1;  /* by a layer, with the error in op.error */
    bool untold : 1;  /* so, and the peer, which is gone, lacks nothing but the layer's end */
    bool ended : 1;   /* the end of the stream was sent, by this operation or before */
    bool at_end : 1;  /* the input has ended */
    bool arrived : 1; /* the peer has acknowledged everything, or the connection is broken: */
    bool lost : 1;    /* and it has not acknowledged all bytes */
};

/* Ends the output, drops input until the peer has ended too, then waits until everything is acknowledged. A peer that has
 * taken everything, has ended and is gone need not be told of a layer's end.
 * SS_OK | SS_LIMIT: more than `left` bytes came | SS_WANT: to read, or to write where a layer ends its output | SS_ERROR. */
enum ss_status ss_finish_step(struct ss_op *op);

#pragma GCC visibility pop

#endif
