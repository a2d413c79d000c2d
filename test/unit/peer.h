/* A scripted peer: a transport without sockets and clock. */
#ifndef PEER_H
#define PEER_H

#include "core/op.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

enum peer_kind {
    PEER_END,     /* the end of the script: silence for ever */
    PEER_BYTES,   /* bytes arrive */
    PEER_WAIT,    /* one call would block */
    PEER_SILENCE, /* one call would block until the timeout */
    PEER_EOF,     /* the end of the stream */
    PEER_FAIL     /* one call fails with `code` */
};

struct peer_event {
    enum peer_kind kind;
    const char *bytes; /* NULL: the bytes of peer_byte */
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

/* The byte at a position of an endless stream without repeated parts. */
unsigned char peer_byte(size_t position);

/* The pace of a script, in either direction. */
struct feed {
    size_t piece;      /* bytes for each call, at most; 0: no limit */
    bool pause;        /* would-block (or a signal) before each piece and the end */
    enum ss_mode mode; /* the mode of the operation's steps */
};

/* The i-th pace for `len` bytes: each piece size and no limit, with and without pauses, in each mode.
 * False: no more. */
bool feed_get(size_t i, size_t len, struct feed *feed);

enum { PEER_FD = 4711 }; /* not a descriptor */

struct peer {
    struct ss_io io; /* first member: the operation's view */
    const struct peer_event *script;
    struct feed feed;
    size_t event, offset; /* the position in the script */
    size_t position;      /* bytes delivered */
    bool paused;          /* the pause before this piece has passed */
    bool silent;          /* the latest call met PEER_SILENCE or PEER_END */
    bool all_timed_out;   /* a receive of all bytes met PEER_SILENCE or PEER_END */
    unsigned calls;       /* permitted by the mode */
    size_t asked;         /* `len` of the latest receive */
    bool asked_all;       /* `all` of the latest receive */

    unsigned char *sent; /* sent bytes, in the caller's buffer */
    size_t nsent;
    size_t stop_at; /* the number of bytes after which sends fail: */
    int stop_code;  /* errno; 0: would-block */
    bool sent_none; /* a send had an empty first buffer */
};

/* Prepares the peer for receiving. For sending, set `sent` and `stop_at` (0 at first) as well. */
void peer_init(struct peer *peer, const struct peer_event *script, const struct feed *feed);

/* Steps `op` until done or silence (SS_WANT), each time with SS_NO_CALL first. Checks that the operation wants
 * `events`. */
enum ss_status peer_run(struct peer *peer, struct ss_op *op, int events);

#endif
