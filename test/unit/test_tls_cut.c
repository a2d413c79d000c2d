/* A conversation over TLS that is cut short after each byte, in each direction, by the end of the stream and by errors; and
 * with each byte of the peer's changed. Never a success, never a byte of plain text that the other has not sent. */
#include "check.h"
#include "tls_talk.h"

#include <errno.h>
#include <stdint.h>

static void check_is(const struct tls_rig *rig, const struct talk *t, enum ss_space space, int code, const char *what,
                     size_t at)
{
    CHECKF(t->st == SS_ERROR && t->err.space == space && t->err.code == code, "%s %zu: status %d, error %d %d, %s",
           what, at, (int)t->st, (int)t->err.space, t->err.code, rig->conn->reason);
}

/* The input ends before its last byte. `code`: errno(3), or 0: the end of the stream. */
static void check_cut_of_input(struct tls_rig *rig, size_t at, int code)
{
    struct talk t;
    tls_rig_connect(rig);
    rig->wire.cut_in = at;
    rig->wire.code = code;
    talk_run(rig, &t);
    check_is(rig, &t, code == 0 ? SS_TLS : SS_SYSTEM, code == 0 ? SS_TLS_EOF : code, "input cut at", at);
    talk_check_prefixes(rig, &t, "input cut at", at);
    tls_rig_disconnect(rig);
}

/* In the handshake a peer that is gone may have said why, so that the end of its bytes is awaited; a reset is then its error. */
static void check_cut_of_output(struct tls_rig *rig, size_t at, int code)
{
    struct talk t;
    tls_rig_connect(rig);
    rig->wire.cut_out = at;
    rig->wire.code = code;
    talk_run(rig, &t);
    if (!t.shaken && code == EPIPE && t.err.space == SS_TLS)
        check_is(rig, &t, SS_TLS, SS_TLS_EOF, "output cut at", at);
    else
        check_is(rig, &t, SS_SYSTEM, code, "output cut at", at);
    talk_check_prefixes(rig, &t, "output cut at", at);
    tls_rig_disconnect(rig);
}

/* After each byte of each direction one of these, in turn; with TLS 1.3 the end of the stream after each byte as well. */
static void check_cuts(const struct tls_kind *kind)
{
    static const int codes[] = { ECONNRESET, EPIPE, ETIMEDOUT, 0 };
    struct tls_rig rig;
    size_t in, out;
    tls_rig_open(&rig, kind);
    talk_measure(&rig, &in, &out);
    for (size_t at = 0; at < in; at++) {
        check_cut_of_input(&rig, at, codes[at % 4]);
        if (!kind->tls12 && codes[at % 4] != 0)
            check_cut_of_input(&rig, at, 0);
    }
    for (size_t at = 0; at < out; at++)
        check_cut_of_output(&rig, at, at % 4 == 3 ? ENOBUFS : codes[at % 4]);
    tls_rig_close(&rig);
}

static void test_client_cut_anywhere(void)
{
    check_cuts(&talk_kinds[0]);
}

static void test_server_cut_anywhere(void)
{
    check_cuts(&talk_kinds[1]);
}

static void test_client_of_12_cut_anywhere(void)
{
    check_cuts(&talk_kinds[2]);
}

static void test_server_of_12_cut_anywhere(void)
{
    check_cuts(&talk_kinds[3]);
}

int main(void)
{
    RUN(test_client_cut_anywhere);
    RUN(test_server_cut_anywhere);
    RUN(test_client_of_12_cut_anywhere);
    RUN(test_server_of_12_cut_anywhere);
    return check_end();
}
