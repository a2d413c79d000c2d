/* Operations that read a stream. The bytes stay at the front of the input buffer. The caller consumes `len` bytes after
 * SS_OK and SS_LIMIT, and chooses the partial result after another outcome: all input, or ss_until_partial. */
#ifndef SS_CORE_OP_READ_H
#define SS_CORE_OP_READ_H

#include "core/find.h"
#include "core/inbuf.h"
#include "core/op.h"

#pragma GCC visibility push(hidden)

/* The first members of each reading operation. */
struct ss_reading {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *unread; /* input that was unread when another call closed the socket; owned, or NULL */
};

/* Moves the input of a socket that is being closed to `unread`. `op`: a struct ss_reading. */
void ss_reading_detach_input(struct ss_op *op);

struct ss_read {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *unread;
    size_t want; /* in bytes; exact (readn), or the maximum (readsome, readall) */
    size_t len;  /* result, in bytes */
};

/* Reads exactly `want` bytes. SS_OK | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status ss_readn_step(struct ss_op *op);

/* Reads 1 to `want` bytes. SS_OK | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status ss_readsome_step(struct ss_op *op);

/* Reads to the end of the stream. SS_OK | SS_LIMIT: `len` is `want`, and more bytes follow | SS_WANT | SS_ERROR. */
enum ss_status ss_readall_step(struct ss_op *op);

struct ss_until {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *unread;
    const struct ss_find *find;
    struct ss_scan scan;
    size_t max; /* maximum of bytes before the delimiter */
    size_t len; /* result, bytes before the delimiter */
};

/* Whether `in` has a delimiter after at most `max` bytes, *len bytes. False: an operation may continue with `scan`. */
bool ss_until_in_memory(const struct ss_inbuf *in, const struct ss_find *find, size_t max, struct ss_scan *scan,
                        size_t *len);

/* Reads to the next delimiter. SS_OK | SS_LIMIT: no delimiter within `max` bytes | SS_EOF | SS_WANT | SS_ERROR. */
enum ss_status ss_until_step(struct ss_op *op);

/* Number of received bytes that cannot belong to a delimiter, for a partial result. */
size_t ss_until_partial(const struct ss_until *op);

/* A record that is handed out in pieces. */
struct ss_record {
    size_t given;    /* bytes handed out; 0: a new record begins */
    unsigned stream; /* of the input; a different number: another stream, in which a new record begins */
};

static inline bool ss_record_has_begun(const struct ss_record *record, const struct ss_inbuf *in)
{
    return record->given > 0 && record->stream == in->stream;
}

/* Notes that `n` more bytes of that stream were handed out. `ended`: a new record begins. */
void ss_record_advance(struct ss_record *record, unsigned stream, size_t n, bool ended);

struct ss_piece {
    struct ss_until until; /* max: of the whole record, SIZE_MAX: none; len: of the piece, without a delimiter */
    const struct ss_record *record; /* the caller's, who advances it */
    size_t size;                    /* maximum length of the piece, 1 or more; SIZE_MAX: none */
    size_t tail;                    /* number of bytes of the delimiter that the last piece includes; at most `size` */
    bool last;                      /* result: the delimiter follows the piece */
};

/* Reads the next piece of a record. What a piece is does not depend on how the bytes arrive: `size` bytes, or fewer in the
 * last piece and in one before a delimiter that would not fit. SS_OK | SS_LIMIT: the record is longer than `max` | SS_EOF |
 * SS_WANT | SS_ERROR. */
enum ss_status ss_piece_step(struct ss_op *op);

struct ss_line {
    struct ss_op op;
    struct ss_inbuf *in;
    struct ss_block *unread;
    struct ss_scan scan;
    size_t max;  /* maximum length of a line */
    size_t len;  /* result, without the line's ending */
    size_t skip; /* length of the ending: LF, CR LF or none, at the end of the stream */
};

/* Whether `in` has a line of at most `max` bytes with its ending; sets *len and *skip. */
bool ss_line_in_memory(const struct ss_inbuf *in, size_t max, size_t *len, size_t *skip);

/* Reads a line, which LF, CR LF or the end of the stream ends. SS_OK | SS_LIMIT: it is longer than `max` | SS_EOF: no
 * bytes are left | SS_WANT | SS_ERROR. */
enum ss_status ss_line_step(struct ss_op *op);

/* Number of received bytes that cannot belong to the line's ending, for a partial result. */
size_t ss_line_partial(const struct ss_line *op);

#pragma GCC visibility pop

#endif
