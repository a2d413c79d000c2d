#include "core/inbuf.h"
#include "core/codes.h"

#include <stdint.h> /* SIZE_MAX */
#include <string.h> /* memmove */

enum { ROOM = SS_BLOCK / 4 }; /* a receive into less than this is not worth its system call */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void to_front(struct ss_inbuf *in)
{
    memmove(in->block, in->block + in->start, ss_inbuf_len(in));
    in->end -= in->start;
    in->start = 0;
    in->epoch++;
}

static bool resize(struct ss_inbuf *in, size_t size)
{
    unsigned char *block = ss_pool_resize(in->pool, in->block, in->size, size);
    if (!block)
        return false;
    in->block = block;
    in->size = size;
    in->epoch++;
    return true;
}

static bool borrow(struct ss_inbuf *in, size_t size)
{
    in->start = in->end = in->used = 0;
    in->block = ss_pool_lend(in->pool, size, &in->size);
    if (!in->block)
        in->size = 0;
    return in->block != NULL;
}

/* Room for a worthwhile receive. Bytes are moved only when at least as many were handed out since the last
 * time, and memory grows by doubling: both are constant cost per byte, whatever the pieces. */
static bool make_room(struct ss_inbuf *in, size_t need)
{
    if (!in->block)
        return borrow(in, SS_BLOCK);
    size_t len = ss_inbuf_len(in);
    size_t goal = min_size(need < ROOM ? ROOM : need, len > SS_BLOCK ? len : SS_BLOCK);
    if (in->size - in->end >= goal)
        return true;
    if (in->start >= len)
        to_front(in);
    if (in->size >= SS_BLOCK && in->size - in->end >= min_size(goal, in->size / 4))
        return true;
    if (in->size > SIZE_MAX / 2)
        return false;
    to_front(in);
    return resize(in, in->size < SS_BLOCK ? SS_BLOCK : in->size * 2);
}

enum ss_status ss_inbuf_fill(struct ss_inbuf *in, struct ss_io *io, size_t need, struct ss_error *err)
{
    if (!make_room(in, need)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    bool large = need >= SS_BLOCK;
    size_t room = in->size - in->end;
    size_t got = 0;
    enum ss_status st = io->via->recv(io, in->block + in->end, large ? min_size(room, need) : room, large, &got, err);
    in->end += got;
    if (in->end > in->used)
        in->used = in->end;
    if (in->start == in->end)
        ss_inbuf_clear(in);
    return st;
}

enum ss_status ss_inbuf_borrow(struct ss_inbuf *in, size_t size, struct ss_error *err)
{
    ss_inbuf_clear(in);
    if (borrow(in, size))
        return SS_OK;
    *err = ss_no_memory;
    return SS_ERROR;
}

void ss_inbuf_consume(struct ss_inbuf *in, size_t n)
{
    in->epoch++;
    in->start += n;
    if (in->start == in->end) {
        ss_inbuf_clear(in);
        return;
    }
    /* A large block that is nearly empty is not kept for what is left in it. */
    if (in->size > 4 * SS_BLOCK && ss_inbuf_len(in) < in->size / 8) {
        to_front(in);
        resize(in, in->size / 4); /* without memory for the smaller block the larger one stays */
    }
}

void ss_inbuf_settle(struct ss_inbuf *in)
{
    size_t len = ss_inbuf_len(in);
    if (!in->block || in->size < SS_BLOCK || len > in->size / 4)
        return;
    unsigned char *own = ss_pool_resize(in->pool, NULL, 0, len);
    if (!own)
        return;
    memcpy(own, in->block + in->start, len);
    ss_pool_return(in->pool, in->block, in->size, in->used);
    in->block = own;
    in->size = in->end = in->used = len;
    in->start = 0;
}

void ss_inbuf_take_out(struct ss_inbuf *in, struct ss_inbuf *own)
{
    *own = *in;
    *in = (struct ss_inbuf){ .pool = own->pool, .epoch = own->epoch + 1 };
}

void ss_inbuf_put_back(struct ss_inbuf *in, struct ss_inbuf *own)
{
    size_t later = ss_inbuf_len(in);
    own->epoch = in->epoch + 1;
    if (later > 0 && own->size - own->end < later && !resize(own, own->end + later))
        later = 0;
    memcpy(own->block + own->end, ss_inbuf_data(in), later);
    own->end += later;
    ss_inbuf_clear(in);
    *in = *own;
}

void ss_inbuf_clear(struct ss_inbuf *in)
{
    in->epoch++;
    if (in->block)
        ss_pool_return(in->pool, in->block, in->size, in->used);
    in->block = NULL;
    in->size = in->start = in->end = in->used = 0;
}
