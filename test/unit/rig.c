#include "rig.h"

void rig_open(struct rig *rig)
{
    *rig = (struct rig){ .in = { .pool = &rig->pool } };
    ss_pool_init(&rig->pool, heap_mem(&rig->heap));
}

void rig_play(struct rig *rig, const struct peer_event *script, const struct feed *feed)
{
    ss_inbuf_clear(&rig->in);
    peer_init(&rig->peer, script, feed);
}

void rig_close(struct rig *rig)
{
    ss_inbuf_clear(&rig->in);
    ss_pool_fini(&rig->pool);
    heap_check_empty(&rig->heap);
}
