/* A layer over the descriptor, for tests: what TLS does with bytes, without cryptography. A frame is two bytes with the
 * number of its bytes, then these bytes, each masked by its position in the stream. A frame of none ends the stream. */
#ifndef LAYER_H
#define LAYER_H

#include "core/sock.h"
#include "core/tls_codes.h"

#include <stdbool.h>
#include <stddef.h> /* size_t */

enum { LAYER_HEAD = 2, LAYER_MOST = 20, LAYER_FRAME = LAYER_HEAD + LAYER_MOST, LAYER_FRAMES = 3 };

/* How often the layer was called. */
struct layer_calls {
    int flush, is_ready, end, leave, settle, free;
};

struct layer {
    struct ss_transport via;          /* first: the transport of the io */
    const struct ss_transport *below; /* the one before */
    struct ss_pool *pool;
    struct ss_env *env; /* NULL: forks are not looked for */
    unsigned forks;
    struct layer_calls *calls;
    struct ss_inbuf raw;   /* received, not unmasked */
    size_t open;           /* bytes of the first frame in `raw` that are still to be returned */
    size_t received, sent; /* positions in the streams */
    unsigned char out[LAYER_FRAMES * LAYER_FRAME + LAYER_HEAD]; /* always has room for the end */
    size_t first, last;                                         /* [first, last) of `out` is to be sent */
    size_t data_last;                                           /* [first, data_last) has bytes of the stream */
    bool has_ended, peer_has_ended;
    bool has_failed; /* for good: */
    enum ss_tls_code failure;
};

/* Puts a layer over the io's transport. */
struct layer *layer_open(struct ss_io *io, struct ss_pool *pool, struct ss_env *env, struct layer_calls *calls);

/* As the socket does when it loses its descriptor. */
void layer_drop(struct ss_io *io, const struct ss_transport *below);

/* Writes frames of at most `size` bytes, for bytes that begin at a position of the stream. Returns the length in `raw`. */
size_t layer_encode(unsigned char *raw, size_t position, const void *bytes, size_t len, size_t size);
size_t layer_encode_end(unsigned char *raw);

/* What frames say: their number of bytes, or SIZE_MAX where something is wrong. *whole: the length of all whole frames. */
size_t layer_decode(const unsigned char *raw, size_t len, unsigned char *bytes, size_t *whole, bool *ended);

#endif
