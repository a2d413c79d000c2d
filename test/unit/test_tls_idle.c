/* OpenSSL's buffers for records: kept by the connection that works, freed when another one does. */
#include "check.h"
#include "tls_talk.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL's allocator: counts our side's blocks that are large enough for a record. */
enum { HEAD = 16, LARGE = 16384 };
static size_t large, requests;

static void *take_memory(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    unsigned char *block = n > 0 ? malloc(HEAD + n) : NULL;
    if (!block)
        return NULL;
    block[0] = tls_rig_runs_ours && n >= LARGE;
    memcpy(block + 8, &n, sizeof n);
    large += block[0];
    requests += block[0];
    return block + HEAD;
}

static void give_memory(void *old, const char *file, int line)
{
    (void)file, (void)line;
    if (!old)
        return;
    unsigned char *block = (unsigned char *)old - HEAD;
    large -= block[0];
    free(block);
}

static void *resize_memory(void *old, size_t n, const char *file, int line)
{
    void *moved = take_memory(n, file, line);
    size_t size = 0;
    if (old)
        memcpy(&size, (unsigned char *)old - HEAD + 8, sizeof size);
    if (moved && old)
        memcpy(moved, old, ss_min_size(size, n));
    if (moved || n == 0)
        give_memory(old, file, line);
    return moved;
}

/* Lets another connection of the same state work: its buffers are the ones that are kept. */
static void let_another_work(struct tls_rig *rig)
{
    struct sstls_conn *other = sstls_conn_new(&rig->sock, rig->ctx, true);
    if (!other)
        abort();
    sstls_hold_buffers(other);
    sstls_conn_free(other);
    CHECK(!rig->state.holder);
}

static void check_reads(struct tls_rig *rig, const char *text)
{
    char bytes[64];
    size_t got;
    struct ss_error err;
    CHECK(tls_rig_read(rig, bytes, strlen(text), &got, &err) == SS_OK);
    CHECKF(got == strlen(text) && memcmp(bytes, text, got) == 0, "%zu bytes", got);
}

static void check_writes(struct tls_rig *rig, const char *text)
{
    size_t sent;
    struct ss_error err;
    CHECK(tls_rig_write(rig, text, strlen(text), &sent, &err) == SS_OK && sent == strlen(text));
}

static void check_round_trip(struct tls_rig *rig)
{
    check_writes(rig, "question");
    tls_rig_peer_write(rig, "answer", 6);
    check_reads(rig, "answer");
}

static void begin(struct tls_rig *rig, size_t kind)
{
    tls_rig_open(rig, &talk_kinds[kind]);
    large = 0;
    tls_rig_establish(rig);
}

static void end(struct tls_rig *rig)
{
    tls_rig_disconnect(rig);
    CHECKF(large == 0, "%zu", large);
    tls_rig_close(rig);
}

static void test_round_trips(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        begin(&rig, kind);
        check_round_trip(&rig);
        requests = 0;
        for (int i = 0; i < 10; i++)
            check_round_trip(&rig);
        CHECKF(requests == 0, "kind %zu: %zu in ten round trips", kind, requests);
        end(&rig);
    }
}

static void test_another_connection(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        begin(&rig, kind);
        let_another_work(&rig);
        CHECKF(large == 0, "kind %zu: %zu after the handshake", kind, large);
        check_round_trip(&rig); /* with tickets, for which OpenSSL takes both buffers */
        CHECKF(large > 0, "kind %zu", kind);
        let_another_work(&rig);
        CHECKF(large == 0, "kind %zu: %zu after a round trip", kind, large);
        check_round_trip(&rig);
        end(&rig);
    }
}

/* Before the handshake is over, after each byte of the peer's. */
static void test_in_the_handshake(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++)
        for (size_t at = 1; at < 200; at += 7) {
            struct tls_rig rig;
            tls_rig_open(&rig, &talk_kinds[kind]);
            large = 0;
            tls_rig_connect(&rig);
            tls_rig_run_peer(&rig);
            rig.wire.split_in = at;
            tls_rig_runs_ours = true;
            ss_io_set_mode(&rig.sock.io, SS_NO_WAIT);
            enum ss_status st = rig.shake.op.step(&rig.shake.op);
            tls_rig_runs_ours = false;
            CHECK(st == SS_WANT);
            let_another_work(&rig);
            CHECK(tls_rig_shake(&rig) == SS_OK);
            check_round_trip(&rig);
            end(&rig);
        }
}

/* A part of a record stays, and the rest is read. */
static void test_parts_of_records(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        char bytes[16];
        size_t got;
        struct ss_error err;
        begin(&rig, kind);
        check_round_trip(&rig);
        size_t before = rig.wire.in_len;
        tls_rig_peer_write(&rig, "to measure", 10);
        size_t len = rig.wire.in_len - before;
        check_reads(&rig, "to measure");
        for (size_t part = 1; part < len; part++) {
            rig.wire.split_in = rig.wire.in_len + part;
            tls_rig_peer_write(&rig, "a sentence", 10);
            CHECK(tls_rig_try_read(&rig, SS_NO_WAIT, bytes, 10, &got, &err) == SS_WANT && got == 0);
            let_another_work(&rig);
            check_reads(&rig, "a sentence");
        }
        let_another_work(&rig);
        CHECKF(large == 0, "kind %zu: %zu", kind, large);
        end(&rig);
    }
}

static void take_bytes(struct tls_rig *rig, char *bytes, size_t n)
{
    struct ss_io *io = &rig->sock.io;
    size_t got = 0;
    struct ss_error err;
    ss_io_set_mode(io, SS_NO_WAIT);
    CHECK(io->via->recv(io, bytes, n, false, &got, &err) == SS_OK && got == n);
}

/* Bytes that OpenSSL has decrypted and we have not taken. */
static void test_decrypted_bytes(void)
{
    for (size_t kind = 0; kind < TALK_KINDS; kind++) {
        struct tls_rig rig;
        char bytes[8];
        begin(&rig, kind);
        check_round_trip(&rig);
        tls_rig_peer_write(&rig, "12345678", 8);
        tls_rig_peer_write(&rig, "90", 2);
        take_bytes(&rig, bytes, 3);
        let_another_work(&rig);
        CHECK(rig.sock.io.via->is_ready(&rig.sock.io));
        let_another_work(&rig);
        take_bytes(&rig, bytes + 3, 5);
        CHECK(memcmp(bytes, "12345678", 8) == 0);
        let_another_work(&rig);
        CHECKF(large == 0, "kind %zu: %zu", kind, large);
        check_reads(&rig, "90");
        end(&rig);
    }
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(take_memory, resize_memory, give_memory))
        return 1;
    RUN(test_round_trips);
    RUN(test_another_connection);
    RUN(test_in_the_handshake);
    RUN(test_parts_of_records);
    RUN(test_decrypted_bytes);
    return check_end();
}
