#include "peer.h"
#include "check.h"

#include <errno.h>
#include <limits.h> /* IOV_MAX */
#include <stdint.h> /* SIZE_MAX */
#include <string.h> /* memcpy */

#ifndef IOV_MAX
#define IOV_MAX 16
#endif

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

unsigned char peer_byte(size_t position)
{
    return (unsigned char)((uint32_t)position * UINT32_C(2654435761) >> 23);
}

bool feed_get(size_t i, size_t len, struct feed *feed)
{
    static const enum ss_mode modes[] = { SS_NO_WAIT, SS_WAIT_ONCE, SS_WAIT_ALWAYS };
    size_t nmodes = sizeof modes / sizeof *modes;
    *feed = (struct feed){ .mode = modes[i % nmodes], .pause = i / nmodes % 2 != 0, .piece = i / nmodes / 2 };
    return feed->piece <= len;
}

static size_t piece_of(const struct peer *peer)
{
    return peer->feed.piece > 0 ? peer->feed.piece : SIZE_MAX;
}

/* Whether the call is the one that has to wait before a piece. */
static bool rests(struct peer *peer)
{
    peer->paused = peer->feed.pause && !peer->paused;
    return peer->paused;
}

static const struct peer_event *next_event(struct peer *peer)
{
    const struct peer_event *event = &peer->script[peer->event];
    while (event->kind == PEER_BYTES && peer->offset == event->len) {
        peer->offset = 0;
        event = &peer->script[++peer->event];
    }
    return event;
}

static size_t give_bytes(struct peer *peer, const struct peer_event *event, unsigned char *buf, size_t len)
{
    size_t n = min_size(min_size(len, piece_of(peer)), event->len - peer->offset);
    for (size_t i = 0; i < n; i++)
        buf[i] = event->bytes ? (unsigned char)event->bytes[peer->offset + i] : peer_byte(peer->position + i);
    peer->offset += n;
    peer->position += n;
    return n;
}

static enum ss_status give(struct peer *peer, unsigned char *buf, size_t len, size_t *got, struct ss_error *err)
{
    const struct peer_event *event = next_event(peer);
    switch (event->kind) {
    case PEER_BYTES:
        *got = give_bytes(peer, event, buf, len);
        return SS_OK;
    case PEER_EOF:
        return SS_EOF;
    case PEER_FAIL:
        peer->event++;
        *err = (struct ss_error){ SS_SYSTEM, event->code };
        return SS_ERROR;
    case PEER_SILENCE:
        peer->silent = true;
        peer->event++;
        break;
    case PEER_WAIT:
        peer->event++;
        break;
    case PEER_END:
        peer->silent = true;
        break;
    }
    return SS_WANT;
}

/* As the kernel does: the call ends early at the end of the stream, at an error, and when its time is up. */
static void give_all(struct peer *peer, unsigned char *buf, size_t len, size_t *got)
{
    while (*got < len) {
        const struct peer_event *event = next_event(peer);
        if (event->kind == PEER_WAIT)
            peer->event++;
        else if (event->kind == PEER_BYTES)
            *got += give_bytes(peer, event, buf + *got, len - *got);
        else
            break;
    }
    enum peer_kind kind = next_event(peer)->kind;
    if (*got < len && (kind == PEER_SILENCE || kind == PEER_END))
        peer->all_timed_out = true;
}

static enum ss_status peer_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    struct peer *peer = (struct peer *)io;
    enum ss_mode mode = ss_io_take_mode(io);
    if (mode == SS_NO_CALL)
        return SS_WANT;
    peer->calls++;
    peer->asked = len;
    peer->asked_all = all;
    CHECKF(len > 0, "asked for nothing");
    if (rests(peer))
        return SS_WANT;
    enum ss_status st = give(peer, buf, len, got, err);
    if (st == SS_OK && all && mode != SS_NO_WAIT)
        give_all(peer, buf, len, got);
    return st;
}

static size_t take(struct peer *peer, const struct iovec *iov, size_t n, size_t room)
{
    size_t sent = 0;
    for (size_t i = 0; i < n && i < IOV_MAX && sent < room; i++) {
        size_t len = min_size(iov[i].iov_len, room - sent);
        if (len > 0)
            memcpy(peer->sent + peer->nsent + sent, iov[i].iov_base, len);
        sent += len;
    }
    peer->nsent += sent;
    return sent;
}

static enum ss_status stop(struct peer *peer, struct ss_error *err)
{
    peer->silent = peer->stop_code == 0;
    if (peer->silent)
        return SS_WANT;
    *err = (struct ss_error){ SS_SYSTEM, peer->stop_code };
    return SS_ERROR;
}

static enum ss_status peer_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err)
{
    struct peer *peer = (struct peer *)io;
    if (ss_io_take_mode(io) == SS_NO_CALL)
        return SS_WANT;
    peer->calls++;
    if (n == 0 || iov->iov_len == 0) {
        peer->sent_none = true;
        *err = (struct ss_error){ SS_SYSTEM, EINVAL };
        return SS_ERROR;
    }
    if (rests(peer))
        return SS_WANT;
    size_t room = min_size(piece_of(peer), peer->stop_at - peer->nsent);
    if (room == 0)
        return stop(peer, err);
    *sent = take(peer, iov, n, room);
    return SS_OK;
}

static const struct ss_transport peer_transport = { .recv = peer_recv, .send = peer_send };

void peer_init(struct peer *peer, const struct peer_event *script, const struct feed *feed)
{
    *peer = (struct peer){ .script = script, .feed = *feed };
    peer->io = (struct ss_io){ .via = &peer_transport, .fd = PEER_FD };
}

static enum ss_status step(struct peer *peer, struct ss_op *op, enum ss_mode mode, int events)
{
    unsigned calls = peer->calls, limit = mode == SS_NO_CALL ? 0 : SS_CALLS_PER_STEP + (mode == SS_WAIT_ONCE);
    op->want = (struct ss_interest){ .fd = -1 };
    ss_io_set_mode(&peer->io, mode);
    enum ss_status st = op->step(op);
    CHECKF(mode == SS_WAIT_ALWAYS || peer->calls - calls <= limit, "%u calls in one step", peer->calls - calls);
    if (st == SS_WANT)
        CHECKF(!op->wants && op->want.fd == PEER_FD && op->want.events == events, "wants %d of descriptor %d",
               op->want.events, op->want.fd);
    return st;
}

enum ss_status peer_run(struct peer *peer, struct ss_op *op, int events)
{
    enum { MANY = 20000000 };
    for (unsigned steps = 0; steps < MANY; steps++) {
        enum ss_status st = step(peer, op, SS_NO_CALL, events);
        if (st != SS_WANT)
            return st;
        peer->silent = false;
        st = step(peer, op, peer->feed.mode, events);
        if (st != SS_WANT || peer->silent)
            return st;
    }
    CHECKF(false, "no end after %d steps", MANY);
    return SS_WANT;
}
