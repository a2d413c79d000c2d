/* An input buffer with counted memory, a pool and a scripted peer. */
#ifndef RIG_H
#define RIG_H

#include "core/inbuf.h"
#include "heap.h"
#include "peer.h"

struct rig {
    struct heap heap;
    struct ss_pool pool;
    struct ss_inbuf in;
    struct peer peer;
};

void rig_open(struct rig *rig);

/* Discards the input and starts another script; the pool keeps the block. */
void rig_play(struct rig *rig, const struct peer_event *script, const struct feed *feed);

/* Checks that no memory is left. */
void rig_close(struct rig *rig);

#endif
