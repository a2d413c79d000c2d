/* The other side of a connection, played from a script: a transport without sockets and without a clock. */
#ifndef PEER_H
#define PEER_H

#include "core/op.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

enum peer_kind {
    PEER_END,     /* the script is over: silence for ever */
    PEER_BYTES,   /* these arrive */
    PEER_WAIT,    /* a call would block, once */
    PEER_SILENCE, /* a call would block, and whoever waits for it gives up: a time-out */
    PEER_EOF,     /* the stream ends here */
    PEER_FAIL     /* one call fails with `code` */
};

struct peer_event {
    enum peer_kind kind;
    const char *bytes; /* NULL: those of peer_byte */
    size_t len;
    int code;
};

#define BYTES(text)                             \
    {                                           \
        PEER_BYTES, (text), sizeof(text) - 1, 0 \
    }
#define STREAM(n)                \
    {                            \
        PEER_BYTES, NULL, (n), 0 \
    }
#define PAUSE                 \
    {                         \
        PEER_WAIT, NULL, 0, 0 \
    }
#define SILENCE                  \
    {                            \
        PEER_SILENCE, NULL, 0, 0 \
    }
#define ENDS                 \
    {                        \
        PEER_EOF, NULL, 0, 0 \
    }
#define FAILS(errnum)                \
    {                                \
        PEER_FAIL, NULL, 0, (errnum) \
    }

/* The byte that stands there in an endless stream, whose parts do not look like each other. */
unsigned char peer_byte(size_t position);

/* How a script is fed, in either direction. */
struct feed {
    size_t piece;      /* bytes of one call at most; 0: as many as there are and fit */
    bool pause;        /* a would-block (or a signal) before every piece, the end included */
    enum ss_mode turn; /* what the operation's calls may do */
};

/* The i-th way of feeding `len` bytes: every piece size and all at once, with and without pauses, in every turn.
 * False: there are no more. */
bool feed_get(size_t i, size_t len, struct feed *feed);

enum { PEER_FD = 4711 }; /* nobody's descriptor */

struct peer {
    struct ss_io io; /* first: this is what an operation knows */
    const struct peer_event *script;
    struct feed feed;
    size_t event, offset; /* how far the script has come */
    size_t position;      /* bytes given so far */
    bool rested;          /* the pause before this piece is over */
    bool silent;          /* the latest call was the one to give up at */
    bool outwaited;       /* a call that wanted all its bytes was given up before it had them */
    unsigned calls;       /* that were not held */
    size_t asked;         /* bytes that the latest receive asked for, */
    bool asked_all;       /* and whether for all of them */

    unsigned char *sent; /* what was sent; room for all of it is the caller's */
    size_t nsent;
    size_t stop_at; /* after so many bytes sending stops: */
    int stop_code;  /* with this error, or (0) in silence */
    bool sent_none; /* a call had nothing to send at its front */
};

/* Ready to receive. For sending, `sent` and `stop_at` (0 at first) are to be filled in as well. */
void peer_init(struct peer *peer, const struct peer_event *script, const struct feed *feed);

/* Steps `op` until it is done or the peer falls silent (SS_WANT), each time first from memory alone. `events` is what
 * it must want meanwhile. */
enum ss_status peer_run(struct peer *peer, struct ss_op *op, int events);

#endif
