/* A conversation over TLS in which one bit of each byte of the peer's is changed in turn: a failure, or, in the version of a
 * record, which nothing depends on, no effect. */
#include "check.h"
#include "tls_talk.h"

#include <stdlib.h>
#include <string.h>

/* Marks the bytes of records' versions, the second and third of each. */
static void mark_versions(const unsigned char *wire, size_t len, unsigned char *marks)
{
    memset(marks, 0, len);
    for (size_t at = 0; at + 5 <= len; at += 5 + ((size_t)wire[at + 3] << 8 | wire[at + 4]))
        marks[at + 1] = marks[at + 2] = 1;
}

/* TLS 1.2 sends it before there are keys. */
static bool certificate_is_plain(const struct tls_kind *kind)
{
    return kind->tls12 && !kind->server;
}

static void check_flip(struct tls_rig *rig, size_t at, bool unbound)
{
    struct talk t;
    tls_rig_connect(rig);
    rig->wire.flip_at = at;
    rig->wire.flip = (unsigned char)(1 << at % 8);
    talk_run(rig, &t);
    if (t.st == SS_OK && unbound) {
        talk_check_all(rig, &t, "flip at", at);
    } else {
        CHECKF(t.st == SS_ERROR && t.err.space == SS_TLS &&
                   (t.err.code != SS_TLS_CERTIFICATE || certificate_is_plain(&rig->kind)),
               "flip at %zu: status %d, error %d %d, %s", at, (int)t.st, (int)t.err.space, t.err.code,
               rig->conn->reason);
        talk_check_prefixes(rig, &t, "flip at", at);
    }
    tls_rig_disconnect(rig);
}

static void check_flips(const struct tls_kind *kind)
{
    struct tls_rig rig;
    struct talk t;
    tls_rig_open(&rig, kind);
    tls_rig_connect(&rig);
    talk_run(&rig, &t);
    const size_t in = rig.wire.in_len;
    unsigned char *marks = malloc(in);
    if (!marks)
        abort();
    mark_versions(rig.wire.in, in, marks);
    tls_rig_disconnect(&rig);
    for (size_t at = 0; at < in; at++)
        check_flip(&rig, at, marks[at]);
    free(marks);
    tls_rig_close(&rig);
}

static void test_client(void)
{
    check_flips(&talk_kinds[0]);
}

static void test_server(void)
{
    check_flips(&talk_kinds[1]);
}

static void test_client_of_12(void)
{
    check_flips(&talk_kinds[2]);
}

static void test_server_of_12(void)
{
    check_flips(&talk_kinds[3]);
}

int main(void)
{
    RUN(test_client);
    RUN(test_server);
    RUN(test_client_of_12);
    RUN(test_server_of_12);
    return check_end();
}
