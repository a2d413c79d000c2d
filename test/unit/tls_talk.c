#include "tls_talk.h"
#include "check.h"

#include <openssl/err.h>
#include <string.h>

enum { LENGTHS = 3 };

static const size_t lengths[LENGTHS] = { 5, 300, TALK_TEXT - 305 };
const struct tls_kind talk_kinds[TALK_KINDS] = {
    { .server = false }, { .server = true }, { .tls12 = true }, { .server = true, .tls12 = true }
};

static void fill_text(unsigned char *text)
{
    for (size_t i = 0; i < TALK_TEXT; i++)
        text[i] = (unsigned char)(i * 31 + 7);
}

static bool peer_has_ended(const struct tls_rig *rig)
{
    return (SSL_get_shutdown(rig->peer) & SSL_RECEIVED_SHUTDOWN) != 0;
}

/* Where nothing moves any more, the peer's connection ends. */
static enum ss_status read_bytes(struct tls_rig *rig, struct talk *t, unsigned char *bytes, size_t n, size_t *got)
{
    size_t more;
    enum ss_status st = tls_rig_read(rig, bytes, n, got, &t->err);
    if (st != SS_TIMEOUT)
        return st;
    rig->wire.ends = true;
    st = tls_rig_read(rig, bytes + *got, n - *got, &more, &t->err);
    *got += more;
    return st;
}

static enum ss_status talk(struct tls_rig *rig, struct talk *t)
{
    unsigned char text[TALK_TEXT], byte;
    size_t at = 0, sent = 0;
    fill_text(text);
    t->st = tls_rig_shake(rig);
    t->err = rig->shake.op.error;
    t->shaken = t->st == SS_OK;
    if (!t->shaken)
        return t->st;
    if (!SSL_is_init_finished(rig->peer))
        return SS_WANT;
    for (size_t i = 0; i < LENGTHS; at += lengths[i++])
        tls_rig_peer_write(rig, text + at, lengths[i]);
    enum ss_status st = read_bytes(rig, t, t->text, TALK_TEXT, &t->len);
    if (st != SS_OK)
        return st;
    st = tls_rig_write(rig, text, TALK_TEXT, &sent, &t->err);
    if (st != SS_OK)
        return st;
    t->sent = true;
    tls_rig_run_peer(rig);
    tls_rig_peer_end(rig);
    st = read_bytes(rig, t, &byte, 1, &sent);
    if (st != SS_EOF)
        return st == SS_OK ? SS_LIMIT : st;
    return tls_rig_end(rig, &t->err);
}

void talk_check_all(const struct tls_rig *rig, const struct talk *t, const char *what, size_t at)
{
    unsigned char text[TALK_TEXT];
    fill_text(text);
    CHECKF(t->st == SS_OK, "%s %zu: status %d, error %d %d, %s", what, at, (int)t->st, (int)t->err.space, t->err.code,
           rig->conn->reason);
    CHECKF(t->len == TALK_TEXT && memcmp(t->text, text, TALK_TEXT) == 0, "%s %zu: %zu bytes", what, at, t->len);
    CHECKF(rig->got_len == TALK_TEXT && memcmp(rig->got, text, TALK_TEXT) == 0, "%s %zu: %zu bytes sent", what, at,
           rig->got_len);
    CHECKF(peer_has_ended(rig) && rig->peer_error == 0, "%s %zu: the peer: %s", what, at,
           ERR_reason_error_string(rig->peer_error));
}

void talk_check_prefixes(const struct tls_rig *rig, const struct talk *t, const char *what, size_t at)
{
    unsigned char text[TALK_TEXT];
    fill_text(text);
    CHECKF(t->len <= TALK_TEXT && memcmp(t->text, text, t->len) == 0, "%s %zu: other bytes", what, at);
    CHECKF(rig->got_len <= TALK_TEXT && memcmp(rig->got, text, rig->got_len) == 0, "%s %zu: other bytes sent", what,
           at);
    CHECKF(t->shaken || (t->len == 0 && rig->got_len == 0), "%s %zu: bytes without a handshake", what, at);
}

void talk_run(struct tls_rig *rig, struct talk *t)
{
    *t = (struct talk){ .st = SS_OK };
    t->st = talk(rig, t);
}

/* A conversation with nothing between: the wire's lengths are those of each other one. */
void talk_measure(struct tls_rig *rig, size_t *in, size_t *out)
{
    struct talk t;
    tls_rig_connect(rig);
    talk_run(rig, &t);
    talk_check_all(rig, &t, "at once", 0);
    *in = rig->wire.in_len;
    *out = rig->wire.out_len;
    tls_rig_disconnect(rig);
}
