/* Reading operations, the search for a delimiter above all, over a stream in arbitrary pieces: results and what they leave must
 * be those of a model that has the whole stream in one string and looks at all of it each time.
 *
 * An input: the delimiter's length, flags, `max`, the size of pieces, which allocation fails, the number of calls; then the
 * delimiter, the calls (kind, argument), and to the end what arrives (kind, argument, bytes). */
#include "core/op_read.h"
#include "fuzz.h"
#include "rig.h"

#include <errno.h>
#include <string.h>

enum { LONGEST = 40, CALLS = 8, EVENTS = 96, STREAM = 1 << 17, TURNS = 100, FILLER = 255 * 16 };

enum { INCLUSIVE = 1, TWO_LETTERS = 2, PAUSES = 4, ENDED = 8, ONCE = 16, FREE = 32, UNLIMITED = 64 };

enum call { UNTIL, UNTIL_TOO, READN, READSOME, READALL, CALL_KINDS };

struct program {
    unsigned flags;
    size_t max;
    unsigned char pattern[LONGEST];
    size_t pattern_len;
    struct {
        enum call kind;
        size_t arg;
    } calls[CALLS];
    size_t ncalls;
    struct peer_event script[EVENTS + 2];
    struct feed feed;
    size_t failing;
    char text[STREAM]; /* the whole stream */
    size_t len;
    struct {
        size_t at;
        enum peer_kind kind;
    } stops[EVENTS + 2]; /* where somebody who waits gets no further */
    char filler[FILLER];
};

/* Reading the input */

static char letter(const struct program *p, unsigned byte)
{
    return (char)(p->flags & TWO_LETTERS ? 'a' + byte % 2 : byte);
}

static void read_header(struct program *p, struct input *in)
{
    static const enum ss_mode modes[] = { SS_NO_WAIT, SS_WAIT_ONCE, SS_WAIT_ALWAYS, SS_WAIT_ALWAYS };
    p->pattern_len = 1 + input_byte(in) % LONGEST;
    p->flags = input_byte(in);
    p->max = input_byte(in);
    p->feed = (struct feed){ .piece = input_byte(in), .pause = p->flags & PAUSES, .mode = modes[p->flags / ONCE % 4] };
    p->failing = input_byte(in);
    p->ncalls = 1 + input_byte(in) % CALLS;
    for (size_t i = 0; i < p->pattern_len; i++)
        p->pattern[i] = (unsigned char)letter(p, input_byte(in));
    for (size_t i = 0; i < p->ncalls; i++) {
        p->calls[i].kind = (enum call)(input_byte(in) % CALL_KINDS);
        p->calls[i].arg = input_byte(in);
    }
}

/* Nearly the delimiter, again and again. */
static void make_filler(struct program *p)
{
    size_t period = p->pattern_len > 1 ? p->pattern_len - 1 : 1;
    for (size_t i = 0; i < FILLER; i++)
        p->filler[i] = (char)(p->pattern[i % period] + (p->pattern_len == 1));
}

static struct peer_event arrival(const struct program *p, struct input *in, enum peer_kind kind, bool filler)
{
    struct peer_event event = { .kind = kind, .code = ECONNRESET };
    if (kind != PEER_BYTES)
        return event;
    size_t want = input_byte(in);
    if (filler) {
        event.bytes = p->filler;
        event.len = want * 16;
    } else {
        event.bytes = (const char *)input_bytes(in, want, &event.len);
    }
    return event;
}

/* The events, and what the model knows of them. */
static void read_script(struct program *p, struct input *in)
{
    static const enum peer_kind kinds[] = { PEER_BYTES, PEER_BYTES, PEER_BYTES,   PEER_BYTES,
                                            PEER_BYTES, PEER_WAIT,  PEER_SILENCE, PEER_FAIL };
    size_t n = 0, stops = 0;
    for (; n < EVENTS && in->left > 0; n++) {
        unsigned kind = input_byte(in) % 8;
        struct peer_event event = arrival(p, in, kinds[kind], kind == 4);
        if (p->len + event.len > STREAM)
            break;
        if (event.kind == PEER_BYTES && event.len > 0) {
            const char *from = event.bytes;
            event.bytes = p->text + p->len;
            for (size_t i = 0; i < event.len; i++)
                p->text[p->len++] = from == p->filler ? from[i] : letter(p, (unsigned char)from[i]);
        } else if (event.kind == PEER_SILENCE || event.kind == PEER_FAIL) {
            p->stops[stops].at = p->len;
            p->stops[stops++].kind = event.kind;
        }
        p->script[n] = event;
    }
    enum peer_kind last = p->flags & ENDED ? PEER_EOF : PEER_END;
    p->script[n] = (struct peer_event){ .kind = last };
    p->stops[stops].at = p->len;
    p->stops[stops].kind = last;
}

/* The model */

struct result {
    enum ss_status status;
    size_t len;     /* bytes handed out */
    size_t skipped; /* of a delimiter behind them */
    bool stopped;   /* by the next stop, which is over then */
};

struct model {
    const struct program *p;
    size_t at;   /* bytes handed out so far */
    size_t stop; /* the next one */
};

static struct result stopped(const struct model *m, size_t partial, size_t all, enum ss_status at_end)
{
    switch (m->p->stops[m->stop].kind) {
    case PEER_EOF:
        return (struct result){ at_end, all, 0, false };
    case PEER_FAIL:
        return (struct result){ SS_ERROR, all, 0, true };
    case PEER_SILENCE:
        return (struct result){ SS_WANT, partial, 0, true };
    default:
        return (struct result){ SS_WANT, partial, 0, false };
    }
}

static bool are_same(const char *text, const unsigned char *pattern, size_t len)
{
    return *text == (char)*pattern && memcmp(text, pattern, len) == 0;
}

static struct result model_until(const struct model *m)
{
    const struct program *p = m->p;
    const char *text = p->text + m->at;
    size_t there = p->stops[m->stop].at - m->at, at = 0, max = p->flags & UNLIMITED ? STREAM : p->max + 1;
    while (at + p->pattern_len <= there && !are_same(text + at, p->pattern, p->pattern_len))
        at++;
    bool found = at + p->pattern_len <= there;
    while (!found && at < there && !are_same(text + at, p->pattern, there - at))
        at++; /* what is behind it may be the start of a delimiter */
    if (at > max || (!found && p->stops[m->stop].kind == PEER_EOF && there > max))
        return (struct result){ SS_LIMIT, max, 0, false };
    if (found && p->flags & INCLUSIVE)
        return (struct result){ SS_OK, at + p->pattern_len, 0, false };
    return found ? (struct result){ SS_OK, at, p->pattern_len, false } : stopped(m, at, there, SS_EOF);
}

static struct result model_of(const struct model *m, enum call kind, size_t arg)
{
    size_t there = m->p->stops[m->stop].at - m->at;
    switch (kind) {
    case READN:
        return there >= arg ? (struct result){ SS_OK, arg, 0, false } : stopped(m, there, there, SS_EOF);
    case READSOME: /* how many of them, only the operation knows */
        return there > 0 ? (struct result){ SS_OK, arg, 0, false } : stopped(m, 0, 0, SS_EOF);
    case READALL:
        return there > arg ? (struct result){ SS_LIMIT, arg, 0, false } : stopped(m, there, there, SS_OK);
    default:
        return model_until(m);
    }
}

/* The operations, used as the bindings use them */

static enum ss_status run_until(struct rig *rig, const struct program *p, const struct ss_find *find, size_t *len,
                                size_t *skipped)
{
    struct ss_until op = { .op = { .step = ss_until_step, .io = &rig->peer.io }, .in = &rig->in, .find = find };
    op.max = p->flags & UNLIMITED ? SIZE_MAX : p->max + 1;
    enum ss_status st = peer_run(&rig->peer, &op.op, SS_READABLE);
    size_t rest = st == SS_WANT ? ss_until_partial(&op) : ss_inbuf_len(&rig->in);
    *len = st == SS_OK || st == SS_LIMIT ? op.len : rest;
    *skipped = st == SS_OK ? find->len : 0;
    if (st == SS_OK && p->flags & INCLUSIVE) {
        *len += find->len;
        *skipped = 0;
    }
    return st;
}

static enum ss_status run_read(struct rig *rig, enum call kind, size_t want, size_t *len, size_t *skipped)
{
    static enum ss_status (*const steps[CALL_KINDS])(
        struct ss_op *) = { [READN] = ss_readn_step, [READSOME] = ss_readsome_step, [READALL] = ss_readall_step };
    struct ss_read op = { .op = { .step = steps[kind], .io = &rig->peer.io }, .in = &rig->in, .want = want };
    enum ss_status st = peer_run(&rig->peer, &op.op, SS_READABLE);
    *len = st == SS_OK || st == SS_LIMIT ? op.len : ss_inbuf_len(&rig->in);
    *skipped = 0;
    return st;
}

/* Without memory an operation may fail at any place; what it hands out is still the stream. */
static bool has_failed(struct rig *rig, size_t before)
{
    return rig->heap.fail_from > before && rig->heap.requests >= rig->heap.fail_from;
}

/* One call on both. False: nothing more can come. */
static bool call(struct rig *rig, const struct program *p, const struct ss_find *find, struct model *m, size_t turn)
{
    enum call kind = p->calls[turn % p->ncalls].kind;
    size_t arg = p->calls[turn % p->ncalls].arg + (kind == READSOME);
    struct result expected = model_of(m, kind, arg);
    size_t len, skipped, requests = rig->heap.requests;
    enum ss_status st =
        kind <= UNTIL_TOO ? run_until(rig, p, find, &len, &skipped) : run_read(rig, kind, arg, &len, &skipped);
    CHECK(len + skipped <= ss_inbuf_len(&rig->in) && m->at + len + skipped <= p->len);
    CHECKF(memcmp(ss_inbuf_data(&rig->in), p->text + m->at, len + skipped) == 0, "other bytes than were sent");
    bool no_memory = st == SS_ERROR && has_failed(rig, requests);
    if (no_memory)
        expected = (struct result){ SS_ERROR, len, skipped, false };
    if (kind == READSOME && st == SS_OK && len > 0 && len <= expected.len)
        expected.len = len;
    CHECKF(st == expected.status && len == expected.len && skipped == expected.skipped,
           "call %zu of kind %d: status %d, %zu and %zu bytes, and not %d, %zu and %zu", turn, kind, st, len, skipped,
           expected.status, expected.len, expected.skipped);
    ss_inbuf_consume(&rig->in, len + skipped);
    if (st != SS_OK)
        ss_inbuf_shrink(&rig->in);
    m->at += len + skipped;
    m->stop += expected.stopped;
    return no_memory || st == SS_OK || st == SS_LIMIT || expected.stopped;
}

static void run(struct rig *rig, const struct program *p)
{
    size_t border[LONGEST];
    struct ss_find find = { .pattern = p->pattern, .len = p->pattern_len, .border = border };
    struct model m = { .p = p };
    ss_find_init(&find);
    rig_play(rig, p->script, &p->feed);
    rig->heap.fail_from = p->failing;
    rig->heap.fail_count = p->failing > 0;
    size_t turn = 0;
    while (turn < TURNS && call(rig, p, &find, &m, turn))
        turn++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct rig rig;
    static struct program program, *p = &program;
    p->len = 0;
    read_header(p, &in);
    make_filler(p);
    read_script(p, &in);
    rig_open(&rig);
    run(&rig, p);
    rig_close(&rig);
    return 0;
}
