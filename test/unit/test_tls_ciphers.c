/* Records of TLS 1.2 with each kind of cipher: what stands around the bytes differs in length, and in what is proved. */
#include "check.h"
#include "tls_talk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD = 16384, SIZE = 150000 };

/* CBC with a long and with a short digest, ChaCha20, and AES-GCM. */
static const char *const ciphers[] = { "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA",
                                       "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384" };
enum { CIPHERS = sizeof ciphers / sizeof *ciphers, KINDS = 2 * CIPHERS };

static struct tls_kind kind_of(size_t i)
{
    return (struct tls_kind){ .server = i % 2 == 1, .tls12 = true, .ciphers = ciphers[i / 2] };
}

static void open_rig(struct tls_rig *rig, size_t i)
{
    const struct tls_kind kind = kind_of(i);
    tls_rig_open(rig, &kind);
}

static void check_cipher(const struct tls_rig *rig)
{
    const char *name = SSL_get_cipher_name(rig->conn->ssl);
    CHECKF(strcmp(name, rig->kind.ciphers) == 0, "%s instead of %s", name, rig->kind.ciphers);
}

static void test_conversations(void)
{
    static const size_t sizes[] = { 1, 5, 64, SIZE_MAX };
    for (size_t i = 0; i < KINDS; i++) {
        struct tls_rig rig;
        open_rig(&rig, i);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            struct talk t;
            tls_rig_connect(&rig);
            rig.wire.read_most = rig.wire.send_most = sizes[k];
            talk_run(&rig, &t);
            talk_check_all(&rig, &t, rig.kind.ciphers, sizes[k]);
            check_cipher(&rig);
            tls_rig_disconnect(&rig);
        }
        tls_rig_close(&rig);
    }
}

/* The longest records, in a block with as many as it takes; then what the peer has of them. */
static void test_a_full_block(void)
{
    static unsigned char text[SIZE], bytes[RECORD];
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (unsigned char)(i * 5 + i / 253);
    for (size_t i = 0; i < KINDS; i++) {
        struct tls_rig rig;
        struct ss_error err;
        size_t sent, more, got;
        open_rig(&rig, i);
        tls_rig_establish(&rig);
        check_cipher(&rig);
        rig.wire.send_most = 0;
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text, SIZE, &sent, &err) == SS_WANT);
        CHECKF(sent == 3 * RECORD || sent == 4 * RECORD, "%s: %zu", rig.kind.ciphers, sent);
        CHECK(tls_rig_try_write(&rig, SS_NO_WAIT, text + sent, SIZE - sent, &more, &err) == SS_WANT && more == 0);
        rig.wire.send_most = 5000;
        CHECK(tls_rig_write(&rig, text + sent, SIZE - sent, &more, &err) == SS_OK && sent + more == SIZE);
        CHECKF(rig.got_len == SIZE && memcmp(rig.got, text, SIZE) == 0, "%s: %zu bytes", rig.kind.ciphers, rig.got_len);
        tls_rig_peer_write(&rig, text, RECORD);
        CHECK(tls_rig_read(&rig, bytes, RECORD, &got, &err) == SS_OK && memcmp(bytes, text, RECORD) == 0);
        CHECK(tls_rig_end(&rig, &err) == SS_OK);
        tls_rig_disconnect(&rig);
        tls_rig_close(&rig);
    }
}

/* One bit of each byte of a record in turn, its length included. Returns the record's length. */
static size_t check_flip(struct tls_rig *rig, size_t at)
{
    char bytes[8];
    size_t got;
    struct ss_error err;
    tls_rig_establish(rig);
    const size_t before = rig->wire.in_len;
    tls_rig_peer_write(rig, "data", 4);
    const size_t len = rig->wire.in_len - before;
    rig->wire.flip_at = before + at;
    rig->wire.flip = (unsigned char)(1 << at % 8);
    rig->wire.ends = true;
    enum ss_status st = tls_rig_read(rig, bytes, 4, &got, &err);
    CHECKF(st == SS_ERROR && got == 0 && err.space == SS_TLS && err.code != SS_TLS_CERTIFICATE,
           "%s: flip at %zu: status %d, %zu bytes, %s", rig->kind.ciphers, at, (int)st, got, rig->conn->reason);
    tls_rig_disconnect(rig);
    return len;
}

static void test_changed_records(void)
{
    for (size_t i = 0; i < KINDS; i += 2) {
        struct tls_rig rig;
        open_rig(&rig, i);
        for (size_t at = 0, len = 1; at < len; at++)
            len = check_flip(&rig, at);
        tls_rig_close(&rig);
    }
}

int main(void)
{
    RUN(test_conversations);
    RUN(test_a_full_block);
    RUN(test_changed_records);
    return check_end();
}
