#include "layer.h"
#include "base/mem.h" /* ss_min_size */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h> /* abort */
#include <string.h>
#include <sys/socket.h> /* SHUT_RD */

static unsigned char mask_at(size_t position)
{
    return (unsigned char)(position * 7 + 0x5a);
}

static void mask(unsigned char *to, const unsigned char *from, size_t len, size_t position)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ^ mask_at(position + i);
}

static size_t put_frame(unsigned char *raw, size_t position, const unsigned char *bytes, size_t len)
{
    raw[0] = (unsigned char)(len >> 8);
    raw[1] = (unsigned char)len;
    mask(raw + LAYER_HEAD, bytes, len, position);
    return LAYER_HEAD + len;
}

static struct layer *layer_of(const struct ss_io *io)
{
    return (struct layer *)io->via;
}

/* In a child process it is the parent's. */
static bool is_usable(struct layer *l)
{
    if (l->env && (ss_env_forked(l->env), l->env->forks != l->forks)) {
        l->has_failed = true;
        l->failure = SS_TLS_PROTOCOL;
    }
    return !l->has_failed;
}

static enum ss_status fail(struct layer *l, enum ss_tls_code code, struct ss_error *err)
{
    l->has_failed = true;
    l->failure = code;
    *err = (struct ss_error){ SS_TLS, (int)code };
    return SS_ERROR;
}

/* Receiving */

/* The number of bytes of the frame at the start of `raw`; SIZE_MAX: not all of it is there, or of its head. */
static size_t first_frame(const struct layer *l)
{
    const unsigned char *raw = ss_inbuf_data(&l->raw);
    size_t there = ss_inbuf_len(&l->raw);
    size_t len = there < LAYER_HEAD ? SIZE_MAX : (size_t)raw[0] << 8 | raw[1];
    return len != SIZE_MAX && (len > LAYER_MOST || there >= LAYER_HEAD + len) ? len : SIZE_MAX;
}

/* SS_OK: l->open > 0. */
static enum ss_status open_frame(struct layer *l, struct ss_error *err)
{
    size_t len = first_frame(l);
    if (len == SIZE_MAX)
        return SS_WANT;
    if (len > LAYER_MOST)
        return fail(l, SS_TLS_PROTOCOL, err);
    ss_inbuf_consume(&l->raw, LAYER_HEAD);
    l->open = len;
    l->peer_has_ended = len == 0;
    return len == 0 ? SS_EOF : SS_OK;
}

static enum ss_status take_bytes(struct layer *l, void *buf, size_t len, size_t *got, struct ss_error *err)
{
    enum ss_status st = l->open > 0 ? SS_OK : open_frame(l, err);
    if (st != SS_OK)
        return st;
    *got = ss_min_size(l->open, len);
    mask(buf, ss_inbuf_data(&l->raw), *got, l->received);
    ss_inbuf_consume(&l->raw, *got);
    l->open -= *got;
    l->received += *got;
    return SS_OK;
}

static enum ss_status layer_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    struct layer *l = layer_of(io);
    (void)all;
    if (!is_usable(l))
        return fail(l, l->failure, err);
    while (!l->peer_has_ended) {
        enum ss_status st = take_bytes(l, buf, len, got, err);
        if (st == SS_WANT)
            st = ss_inbuf_fill_from(&l->raw, l->below, io, 1, err);
        else if (st != SS_EOF)
            return st;
        if (st == SS_EOF && !l->peer_has_ended)
            return fail(l, SS_TLS_EOF, err);
        if (st != SS_OK && st != SS_EOF)
            return st;
    }
    return SS_EOF;
}

static bool layer_is_ready(const struct ss_io *io)
{
    struct layer *l = layer_of(io);
    l->calls->is_ready++;
    return !is_usable(l) || l->peer_has_ended || l->open > 0 || first_frame(l) != SIZE_MAX;
}

/* Sending */

static enum ss_status send_held(struct layer *l, struct ss_io *io, struct ss_error *err)
{
    while (l->first < l->last) {
        struct iovec iov = { .iov_base = l->out + l->first, .iov_len = l->last - l->first };
        size_t sent = 0;
        enum ss_status st = l->below->send(io, &iov, 1, &sent, err);
        if (st != SS_OK)
            return st;
        l->first += sent;
    }
    l->first = l->last = l->data_last = 0;
    return SS_OK;
}

static bool has_room(const struct layer *l)
{
    return l->last + LAYER_FRAME + LAYER_HEAD <= sizeof l->out;
}

static bool are_taken(const struct iovec *iov, size_t n, size_t sent)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += iov[i].iov_len;
    return sent == len;
}

static size_t gather(unsigned char *bytes, const struct iovec *iov, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n && len < LAYER_MOST; i++) {
        size_t more = ss_min_size(iov[i].iov_len, LAYER_MOST - len);
        if (more > 0)
            memcpy(bytes + len, iov[i].iov_base, more);
        len += more;
    }
    return len;
}

static enum ss_status layer_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent,
                                 struct ss_error *err)
{
    struct layer *l = layer_of(io);
    unsigned char bytes[LAYER_MOST];
    if (!is_usable(l))
        return fail(l, l->failure, err);
    if (l->has_ended) {
        *err = (struct ss_error){ SS_SYSTEM, EPIPE };
        return SS_ERROR;
    }
    enum ss_status st = has_room(l) ? SS_OK : send_held(l, io, err);
    if (st != SS_OK)
        return st;
    *sent = gather(bytes, iov, n);
    l->last += put_frame(l->out + l->last, l->sent, bytes, *sent);
    l->sent += *sent;
    l->data_last = l->last;
    return are_taken(iov, n, *sent) ? send_held(l, io, err) : SS_OK;
}

static enum ss_status layer_flush(struct ss_io *io, struct ss_error *err)
{
    struct layer *l = layer_of(io);
    l->calls->flush++;
    return is_usable(l) ? send_held(l, io, err) : fail(l, l->failure, err);
}

static enum ss_status send_end(struct layer *l, struct ss_io *io, struct ss_error *err)
{
    if (!l->has_ended)
        l->last += layer_encode_end(l->out + l->last);
    l->has_ended = true;
    enum ss_status st = send_held(l, io, err);
    return st == SS_ERROR && err->code == EPIPE && l->first >= l->data_last ? SS_EOF : st;
}

static enum ss_status layer_end(struct ss_io *io, int how, struct ss_error *err)
{
    struct layer *l = layer_of(io);
    l->calls->end++;
    if (!is_usable(l))
        return fail(l, l->failure, err);
    return how == SHUT_RD ? SS_OK : send_end(l, io, err);
}

/* Life */

static void layer_leave(struct ss_io *io)
{
    struct layer *l = layer_of(io);
    struct ss_error ignored;
    l->calls->leave++;
    if (!is_usable(l) || l->has_ended || send_held(l, io, &ignored) != SS_OK)
        return;
    l->last += layer_encode_end(l->out + l->last);
    l->has_ended = true;
    send_held(l, io, &ignored);
}

static void layer_settle(struct ss_io *io)
{
    struct layer *l = layer_of(io);
    l->calls->settle++;
    ss_inbuf_shrink(&l->raw);
}

static void layer_free(struct ss_io *io)
{
    struct layer *l = layer_of(io);
    l->calls->free++;
    ss_inbuf_clear(&l->raw);
    ss_mem_free(&l->pool->mem, l, sizeof *l);
}

struct layer *layer_open(struct ss_io *io, struct ss_pool *pool, struct ss_env *env, struct layer_calls *calls)
{
    static const struct ss_transport via = { .recv = layer_recv,
                                             .send = layer_send,
                                             .flush = layer_flush,
                                             .is_ready = layer_is_ready,
                                             .end = layer_end,
                                             .leave = layer_leave,
                                             .settle = layer_settle,
                                             .free = layer_free };
    struct layer *l = ss_mem_resize(&pool->mem, NULL, 0, sizeof *l);
    if (!l)
        abort();
    *calls = (struct layer_calls){ 0 };
    *l = (struct layer){ .via = via, .below = io->via, .pool = pool, .env = env, .calls = calls };
    l->raw.pool = pool;
    l->forks = env ? env->forks : 0;
    ss_pool_keep_spares(pool);
    io->via = &l->via;
    return l;
}

void layer_drop(struct ss_io *io, const struct ss_transport *below)
{
    io->via->free(io);
    io->via = below;
}

/* The other end */

size_t layer_encode(unsigned char *raw, size_t position, const void *bytes, size_t len, size_t size)
{
    size_t end = 0;
    for (size_t i = 0; i < len; i += size)
        end += put_frame(raw + end, position + i, (const unsigned char *)bytes + i, ss_min_size(size, len - i));
    return end;
}

size_t layer_encode_end(unsigned char *raw)
{
    return put_frame(raw, 0, raw, 0);
}

size_t layer_decode(const unsigned char *raw, size_t len, unsigned char *bytes, size_t *whole, bool *ended)
{
    size_t n = 0, at = 0;
    *ended = false;
    while (at + LAYER_HEAD <= len) {
        size_t frame = (size_t)raw[at] << 8 | raw[at + 1];
        if (frame > LAYER_MOST || *ended)
            return SIZE_MAX;
        if (at + LAYER_HEAD + frame > len)
            break;
        mask(bytes + n, raw + at + LAYER_HEAD, frame, n);
        n += frame;
        at += LAYER_HEAD + frame;
        *ended = frame == 0;
    }
    *whole = at;
    return n;
}
