#include "core/op_read.h"
#include "base/mem.h" /* ss_min_size */

#include <stdint.h> /* SIZE_MAX */

void ss_reading_detach_input(struct ss_op *base)
{
    struct ss_reading *op = (struct ss_reading *)base;
    op->unread = op->in->block;
    op->in->block = NULL;
    op->in->epoch++;
}

static enum ss_status fill_input(struct ss_op *op, struct ss_inbuf *in, size_t need)
{
    enum ss_status st = ss_inbuf_fill(in, op->io, need, &op->error);
    return st == SS_WANT ? ss_op_want(op, SS_READABLE) : st;
}

enum ss_status ss_readn_step(struct ss_op *base)
{
    struct ss_read *op = (struct ss_read *)base;
    while (ss_inbuf_len(op->in) < op->want) {
        enum ss_status st = fill_input(base, op->in, op->want - ss_inbuf_len(op->in));
        if (st != SS_OK)
            return st;
    }
    op->len = op->want;
    return SS_OK;
}

enum ss_status ss_readsome_step(struct ss_op *base)
{
    struct ss_read *op = (struct ss_read *)base;
    if (ss_inbuf_len(op->in) == 0) {
        enum ss_status st = fill_input(base, op->in, 1);
        if (st != SS_OK)
            return st;
    }
    size_t len = ss_inbuf_len(op->in);
    op->len = len < op->want ? len : op->want;
    return SS_OK;
}

enum ss_status ss_readall_step(struct ss_op *base)
{
    struct ss_read *op = (struct ss_read *)base;
    while (ss_inbuf_len(op->in) <= op->want) {
        enum ss_status st = fill_input(base, op->in, 1);
        if (st == SS_EOF) {
            op->len = ss_inbuf_len(op->in);
            return SS_OK;
        }
        if (st != SS_OK)
            return st;
    }
    op->len = op->want;
    return SS_LIMIT;
}

static enum ss_status end_with_limit(struct ss_until *op)
{
    op->len = op->max;
    return SS_LIMIT;
}

/* Bytes to search. A delimiter after more than `max` bytes is SS_LIMIT, so later bytes need no search. */
static size_t search_len(const struct ss_inbuf *in, const struct ss_find *find, size_t max)
{
    size_t len = ss_inbuf_len(in);
    return len > max && len - max > find->len ? max + find->len : len;
}

bool ss_until_in_memory(const struct ss_inbuf *in, const struct ss_find *find, size_t max, struct ss_scan *scan,
                        size_t *len)
{
    *scan = (struct ss_scan){ .seen = 0 };
    if (!ss_find_next(find, scan, ss_inbuf_data(in), search_len(in, find, max), len))
        return false;
    if (*len <= max)
        return true;
    *scan = (struct ss_scan){ .seen = 0 };
    return false;
}

enum ss_status ss_until_step(struct ss_op *base)
{
    struct ss_until *op = (struct ss_until *)base;
    for (;;) {
        if (ss_find_next(op->find, &op->scan, ss_inbuf_data(op->in), search_len(op->in, op->find, op->max), &op->len))
            return op->len > op->max ? end_with_limit(op) : SS_OK;
        if (ss_until_partial(op) > op->max)
            return end_with_limit(op);
        enum ss_status st = fill_input(base, op->in, 1);
        if (st == SS_EOF && ss_inbuf_len(op->in) > op->max)
            return end_with_limit(op); /* the stream has ended without a delimiter */
        if (st != SS_OK)
            return st;
    }
}

size_t ss_until_partial(const struct ss_until *op)
{
    return op->scan.seen - op->scan.match;
}

void ss_record_advance(struct ss_record *record, unsigned stream, size_t n, bool ended)
{
    size_t before = record->stream == stream ? record->given : 0;
    bool overflows = n > SIZE_MAX - before; /* a record without limit on a 32-bit system */
    record->given = ended ? 0 : overflows ? SIZE_MAX : before + n;
    record->stream = stream;
}

/* The bytes that the record may still have. */
static size_t left_of_record(const struct ss_piece *op)
{
    size_t max = op->until.max;
    bool has_begun = max < SIZE_MAX && ss_record_has_begun(op->record, op->until.in);
    return has_begun ? max - op->record->given : max;
}

/* Cuts a piece, or ends with SS_LIMIT, if the record goes on for at least `n` bytes. SS_WANT: the piece may have more. */
static enum ss_status cut_piece(struct ss_piece *op, size_t n)
{
    size_t left = left_of_record(op);
    if (n < op->size && n <= left)
        return SS_WANT;
    op->last = false;
    op->until.len = ss_min_size(op->size, left);
    return op->size <= left ? SS_OK : SS_LIMIT;
}

/* A delimiter begins at index until.len. */
static enum ss_status end_piece(struct ss_piece *op)
{
    enum ss_status st = cut_piece(op, op->until.len);
    if (st != SS_WANT)
        return st;
    op->last = op->size - op->until.len >= op->tail;
    return SS_OK;
}

enum ss_status ss_piece_step(struct ss_op *base)
{
    struct ss_piece *op = (struct ss_piece *)base;
    struct ss_until *until = &op->until;
    for (;;) {
        size_t n = search_len(until->in, until->find, ss_min_size(op->size, left_of_record(op)));
        if (ss_find_next(until->find, &until->scan, ss_inbuf_data(until->in), n, &until->len))
            return end_piece(op);
        enum ss_status st = cut_piece(op, ss_until_partial(until));
        if (st != SS_WANT)
            return st;
        st = fill_input(base, until->in, 1);
        enum ss_status at_end = st == SS_EOF ? cut_piece(op, ss_inbuf_len(until->in)) : SS_WANT;
        if (at_end != SS_WANT)
            return at_end; /* the stream has ended without a delimiter */
        if (st != SS_OK)
            return st;
    }
}

static const struct ss_find line_feed = { .pattern = (const unsigned char *)"\n", .len = 1 };

/* The first `n` bytes without a CR at their end. */
static size_t len_without_cr(const struct ss_inbuf *in, size_t n)
{
    return n > 0 && ss_inbuf_data(in)[n - 1] == '\r' ? n - 1 : n;
}

/* A CR may stand between `max` bytes and the LF. */
static bool find_line(const struct ss_inbuf *in, struct ss_scan *scan, size_t max, size_t *len, size_t *skip)
{
    size_t end;
    if (!ss_find_next(&line_feed, scan, ss_inbuf_data(in), search_len(in, &line_feed, max + 1), &end))
        return false;
    *len = len_without_cr(in, end);
    *skip = end + 1 - *len;
    return true;
}

bool ss_line_in_memory(const struct ss_inbuf *in, size_t max, size_t *len, size_t *skip)
{
    struct ss_scan scan = { .seen = 0 };
    return find_line(in, &scan, max, len, skip) && *len <= max;
}

static enum ss_status end_line(struct ss_line *op)
{
    if (op->len <= op->max)
        return SS_OK;
    op->len = op->max; /* the rest stays */
    return SS_LIMIT;
}

enum ss_status ss_line_step(struct ss_op *base)
{
    struct ss_line *op = (struct ss_line *)base;
    while (!find_line(op->in, &op->scan, op->max, &op->len, &op->skip)) {
        op->len = ss_line_partial(op);
        if (op->len > op->max)
            return end_line(op);
        enum ss_status st = fill_input(base, op->in, 1);
        if (st == SS_EOF && ss_inbuf_len(op->in) > 0) {
            op->len = ss_inbuf_len(op->in);
            op->skip = 0;
            return end_line(op);
        }
        if (st != SS_OK)
            return st;
    }
    return end_line(op);
}

size_t ss_line_partial(const struct ss_line *op)
{
    return len_without_cr(op->in, ss_inbuf_len(op->in));
}
