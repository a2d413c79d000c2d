/* One conversation over TLS, whatever the pieces in which the descriptor takes and gives the bytes: cut in two at each position,
 * byte by byte, with a would-block before each call. */
#include "check.h"
#include "tls_talk.h"

#include <stdint.h>

/* Pieces */

static void check_pieces(struct tls_rig *rig, size_t read_most, size_t send_most, bool leaves_one, bool wants)
{
    struct talk t;
    tls_rig_connect(rig);
    rig->wire.read_most = read_most;
    rig->wire.send_most = send_most;
    rig->wire.send_leaves_one = leaves_one;
    rig->wire.wants = wants;
    talk_run(rig, &t);
    talk_check_all(rig, &t, "pieces of", read_most);
    tls_rig_disconnect(rig);
}

static void test_pieces(void)
{
    static const size_t sizes[] = { 1, 2, 3, 5, 6, 7, 64, 1000, SIZE_MAX };
    for (size_t k = 0; k < TALK_KINDS; k++) {
        struct tls_rig rig;
        tls_rig_open(&rig, &talk_kinds[k]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int how = 0; how < 8; how++)
                check_pieces(&rig, sizes[i], how & 1 ? 1 : SIZE_MAX, (how & 2) != 0, (how & 4) != 0);
        tls_rig_close(&rig);
    }
}

/* Cut in two at each position: the piece behind it comes, or has room, in the next step. */

static void check_split(struct tls_rig *rig, size_t at)
{
    struct talk t;
    tls_rig_connect(rig);
    rig->wire.split_in = rig->wire.split_out = at;
    talk_run(rig, &t);
    talk_check_all(rig, &t, "split at", at);
    tls_rig_disconnect(rig);
}

static void test_each_split(void)
{
    for (size_t k = 0; k < TALK_KINDS; k++) {
        struct tls_rig rig;
        size_t in, out;
        tls_rig_open(&rig, &talk_kinds[k]);
        talk_measure(&rig, &in, &out);
        for (size_t at = 1; at < in || at < out; at++)
            check_split(&rig, at);
        tls_rig_close(&rig);
    }
}

int main(void)
{
    RUN(test_pieces);
    RUN(test_each_split);
    return check_end();
}
