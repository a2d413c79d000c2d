#include "core/dgrams.h"
#include "base/mem.h"

bool ss_dgrams_next(struct ss_dgrams *queue, size_t size, struct ss_dgram *dgram)
{
    struct os_message message;
    if (queue->next == queue->n)
        return false;
    os_batch_get(&queue->batch, queue->next, &message);
    size_t left = message.len - queue->offset;
    size_t len = message.segment > 0 ? ss_min_size(left, message.segment) : left;
    dgram->data = message.data + queue->offset;
    dgram->len = ss_min_size(len, size);
    dgram->cut = message.cut || len > size;
    dgram->from = message.from;
    queue->offset += len;
    if (queue->offset == message.len) {
        queue->next++;
        queue->offset = 0;
    }
    return true;
}

bool ss_join_probe_holds(struct ss_join_probe *probe)
{
    enum { ATTEMPTS = 3 };
    if (probe->outcome == SS_WANT && probe->attempts < ATTEMPTS) {
        probe->attempts++;
        probe->outcome = os_probe_joined();
    }
    return probe->outcome == SS_OK;
}
