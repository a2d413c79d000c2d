/* Writes the first inputs of the fuzz targets of TLS into the corpus, whose directory is the argument: conversations as they are,
 * recorded or steered, a ClientHello, certificates. What libFuzzer has found lies beside them. Above the corpus it writes tls.pem,
 * the certificate and key for calls.lua and programs.lua. */
#include "check.h"
#include "chance.h"
#include "fuzz_tls.h"
#include "tls_rig.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *corpus;

static void write_seed(const char *target, const char *name, const void *head, size_t head_len, const void *rest,
                       size_t rest_len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/%s", corpus, target, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(head, 1, head_len, file) != head_len || fwrite(rest, 1, rest_len, file) != rest_len ||
        fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* Whole flights of a peer, which answers nobody. */

static const struct {
    const char *name;
    unsigned char flags;
    struct tls_kind kind;
    unsigned char records; /* of the peer's handshake */
} kinds[] = {
    { "client-13", 0, { .server = false }, 6 },
    { "server-13", TLS_IS_SERVER, { .server = true }, 3 },
    { "client-12", TLS_IS_12, { .tls12 = true }, 6 },
    { "server-12", TLS_IS_SERVER | TLS_IS_12, { .server = true, .tls12 = true }, 4 },
    { "asking-13", TLS_IS_SERVER | TLS_ASKS, { .server = true, .client_ca = true }, 5 },
    { "asking-12", TLS_IS_SERVER | TLS_IS_12 | TLS_ASKS, { .server = true, .tls12 = true, .client_ca = true }, 6 },
};

enum { SEED_KINDS = sizeof kinds / sizeof *kinds };

static void record(const char *name, unsigned char flags, const struct tls_kind *kind)
{
    static struct tls_rig rig;
    char file[64];
    tls_rig_open(&rig, kind);
    tls_rig_connect(&rig);
    chance_begin();
    if (tls_rig_shake(&rig) != SS_OK)
        abort();
    tls_rig_peer_write(&rig, tls_noise(), 100);
    tls_rig_peer_end(&rig);
    const unsigned char head[] = { flags | TLS_IS_RAW, 0, 0, 0, TLS_REST };
    snprintf(file, sizeof file, "raw-%s", name);
    write_seed("tls", file, head, sizeof head, rig.wire.in, rig.wire.in_len);
    if (kind->server && !kind->tls12 && !kind->client_ca) {
        write_seed("tls_hello", "raw-hello", "\0\20\0", 3, rig.wire.in, 5 + rig.wire.in[3] * 256U + rig.wire.in[4]);
        write_seed("tls_hello", "half-hello", "\2\1\0", 3, rig.wire.in, 100);
    }
    tls_rig_disconnect(&rig);
    tls_rig_close(&rig);
}

/* Conversations with a peer that answers */

enum { DATA_RECORD = 255 }; /* the number of the first one, which is another one for each kind */

struct steps {
    const char *name;
    unsigned char changes[10]; /* their number in the first byte */
    size_t nchanges;
    unsigned char events[64];
    size_t nevents;
};

static const struct steps steered[] = {
    { "talk",
      { 0 },
      1,
      { TLS_SHAKE, TLS_INFO, TLS_PEER_WRITE, 1, 44,       TLS_READ, 0,         0,          200,          TLS_WRITE, 0,
        64,        0,        TLS_KEYS,       0, TLS_KEYS, 2,        TLS_READY, TLS_SETTLE, TLS_PEER_END, TLS_READ,  0,
        1,         0,        TLS_SHUT,       0, TLS_LEAVE },
      27 },
    { "forged",
      { 0 },
      1,
      { TLS_SHAKE,   TLS_PEER_WRITE, 0, 9, TLS_FORGE, 3, 0, 5, 1, 2,  3,        4, 5, TLS_PEER_UPDATE,
        1,           TLS_PEER_WRITE, 0, 9, TLS_FORGE, 0, 3, 2, 1, 90, TLS_READ, 0, 0, 23,
        TLS_PEER_END },
      29 },
    { "ticket",
      { 0 },
      1,
      { TLS_SHAKE, TLS_FORGE,      1, 0, 19,       4, 0, 0, 15, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 7, 7, 0,
        0,         TLS_PEER_WRITE, 0, 4, TLS_READ, 0, 0, 4 },
      31 },
    { "flip", { 1, TLS_FLIP, 1, 0, 20, 64 }, 6, { TLS_SHAKE }, 1 },
    { "cut", { 1, TLS_CUT, 2, 0, 9, 0 }, 6, { TLS_SHAKE, TLS_ENDS, 0, TLS_SHAKE }, 4 },
    { "swapped",
      { 1, TLS_SWAP, DATA_RECORD, 0, 0, 0 },
      6,
      { TLS_SHAKE, TLS_PEER_WRITE, 0, 9, TLS_PEER_WRITE, 0, 7, TLS_READ, 0, 0, 16 },
      11 },
    { "doubled",
      { 1, TLS_DOUBLE, DATA_RECORD, 0, 0, 0 },
      6,
      { TLS_SHAKE, TLS_PEER_WRITE, 0, 9, TLS_READ, 0, 0, 18 },
      8 },
    { "plain-before", { 1, TLS_PRECEDE, 0, 0, 60, 21 }, 6, { TLS_SHAKE }, 1 },
    { "no-room",
      { 0 },
      1,
      { TLS_SHAKE, TLS_ROOM, 1, TLS_WRITE, 0, 255, 255, TLS_PEER_UPDATE, 1, TLS_READ, 0, 0,
        1,         TLS_ROOM, 0, TLS_WRITE, 0, 0,   9,   TLS_SHUT,        2 },
      21 },
    { "no-memory", { 0 }, 1, { TLS_SHAKE, TLS_REFUSE, 0, TLS_WRITE, 0, 1, 0, TLS_WRITE, 0, 1, 0 }, 11 },
    { "hello-first",
      { 0 },
      1,
      { TLS_PIECE, 1, TLS_HELLO, TLS_HELLO, TLS_PIECE, 0, TLS_SHAKE, TLS_WRITE, 0, 0, 9 },
      11 },
};

static void write_steered(const struct steps *s)
{
    for (size_t k = 0; k < SEED_KINDS; k++) {
        if (kinds[k].kind.client_ca && strcmp(s->name, "talk") != 0)
            continue;
        unsigned char head[16] = { kinds[k].flags | (strcmp(s->name, "ticket") == 0 ? TLS_HAS_SESSIONS : 0) };
        char file[64];
        memcpy(head + 3, s->changes, s->nchanges);
        if (head[5] == DATA_RECORD)
            head[5] = kinds[k].records;
        snprintf(file, sizeof file, "%s-%s", s->name, kinds[k].name);
        write_seed("tls", file, head, 3 + s->nchanges, s->events, s->nevents);
    }
}

/* A hello with all three extensions, and certificates */

static const struct {
    const char *name, *extensions;
    size_t n;
} wrong[] = {
    { "bytes-behind-name", "\0\14\0\11\0\0\6a.testx", 14 },
    { "bytes-behind-protocols", "\1\6\0\3\2h2x", 8 },
    { "bytes-behind-versions", "\2\4\2\3\4x", 6 },
    { "name-of-another-type", "\0\13\0\11\1\0\6a.test", 13 },
    { "name-with-nul", "\4\3a\0b", 5 },
    { "half-a-version", "\6\3\3\4\3", 5 },
    { "protocol-without-letters", "\5\4\1a\0\1", 6 },
    { "name-twice", "\4\1a\4\1b", 6 },
};

static void write_hellos(void)
{
    static const unsigned char built[] = "\1\100\2\3\3\40\4\6A.test\5\14\2h2\10http/1.1\6\4\3\4\3\3";
    static const unsigned char raw_bodies[] = "\1\1\1\3\3\0\0\13\0\11\0\0\6a.test\1\5\0\3\2h2\2\3\2\3\4\3\0\2xx";
    write_seed("tls_hello", "built", built, sizeof built - 1, "", 0);
    write_seed("tls_hello", "raw-bodies", raw_bodies, sizeof raw_bodies - 1, "", 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        write_seed("tls_hello", wrong[i].name, "\1\20\10\3\3\0", 6, wrong[i].extensions, wrong[i].n);
    write_seed("tls_hello", "http", "\2\20\0", 3, "GET / HTTP/1.1\r\n\r\n", 18);
}

static void write_certificates(void)
{
    static const unsigned char built[] =
        "b\3abc\0\1\2\10\4test\14\3a,b\0\6a.test\1\177\0\0\1\0\3a\0b\5\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\2\3a@b";
    BIO *text = BIO_new_mem_buf(tls_rig_pem(), -1);
    X509 *x509 = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    unsigned char *der = NULL;
    int n = x509 ? i2d_X509(x509, &der) : 0;
    if (n <= 0)
        abort();
    write_seed("tls_cert", "der", "d", 1, der, (size_t)n);
    write_seed("tls_cert", "built", built, sizeof built - 1, "", 0);
    OPENSSL_free(der);
    X509_free(x509);
    BIO_free(text);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    corpus = argv[1];
    for (size_t k = 0; k < SEED_KINDS; k++)
        record(kinds[k].name, kinds[k].flags, &kinds[k].kind);
    for (size_t i = 0; i < sizeof steered / sizeof *steered; i++)
        write_steered(&steered[i]);
    write_hellos();
    write_certificates();
    write_seed("..", "tls.pem", tls_rig_pem(), strlen(tls_rig_pem()), "", 0);
    return 0;
}
