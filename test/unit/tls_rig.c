#include "tls_rig.h"
#include "check.h"
#include "core/op_read.h"
#include "core/op_write.h"
#include "os/os_net.h"
#include "tls/tls_session.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct tls_rig *wired;
bool tls_rig_runs_ours;

/* The descriptor */

/* Whether this call does not transfer; the next one of that direction does. */
static bool is_put_off(struct wire *w, int direction)
{
    w->wanted[direction] = w->wants && !w->wanted[direction];
    return w->wanted[direction];
}

/* Whether the direction is at its split, which is over then. */
static bool is_at_split(size_t at, size_t *split)
{
    if (at != *split)
        return false;
    *split = SIZE_MAX;
    return true;
}

static size_t bytes_before(size_t n, size_t at, size_t split)
{
    return at < split ? ss_min_size(n, split - at) : n;
}

static enum ss_status end_wire(const struct wire *w, struct ss_error *err)
{
    *err = (struct ss_error){ SS_SYSTEM, w->code };
    return w->code != 0 ? SS_ERROR : SS_EOF;
}

static void let_peer_answer(void)
{
    const bool ours = tls_rig_runs_ours;
    tls_rig_runs_ours = false;
    tls_rig_run_peer(wired);
    tls_rig_runs_ours = ours;
}

enum ss_status __wrap_os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err);
enum ss_status __wrap_os_recv(int fd, void *buf, size_t len, int flags, size_t *got, struct ss_error *err)
{
    struct wire *w = &wired->wire;
    CHECK(fd == wired->sock.io.fd);
    w->recvs++;
    w->waits += (flags & OS_DONTWAIT) == 0;
    if (is_put_off(w, 0))
        return SS_WANT;
    if (w->in_at >= w->cut_in)
        return end_wire(w, err);
    if (is_at_split(w->in_at, &w->split_in))
        return SS_WANT;
    if (w->answers && w->in_at == w->in_len)
        let_peer_answer();
    *got = ss_min_size(ss_min_size(len, w->read_most), ss_min_size(w->in_len, w->cut_in) - w->in_at);
    *got = bytes_before(*got, w->in_at, w->split_in);
    if (*got == 0)
        return w->ends ? SS_EOF : SS_WANT;
    memcpy(buf, w->in + w->in_at, *got);
    if (w->flip_at >= w->in_at && w->flip_at - w->in_at < *got)
        ((unsigned char *)buf)[w->flip_at - w->in_at] ^= w->flip;
    w->in_at += *got;
    return SS_OK;
}

static size_t size_of_send(const struct wire *w, size_t len)
{
    size_t n = ss_min_size(len, w->send_most);
    n = ss_min_size(w->send_leaves_one && n > 1 ? n - 1 : n, w->cut_out - w->out_len);
    return bytes_before(n, w->out_len, w->split_out);
}

static void take_sent(struct tls_rig *rig, const void *bytes, size_t n)
{
    struct wire *w = &rig->wire;
    if (w->out_len + n > WIRE_SIZE)
        abort();
    memcpy(w->out + w->out_len, bytes, n);
    w->out_len += n;
    const bool ours = tls_rig_runs_ours;
    tls_rig_runs_ours = false; /* the peer's memory */
    if (BIO_write(rig->to_peer, bytes, (int)n) != (int)n)
        abort();
    tls_rig_runs_ours = ours;
}

enum ss_status __wrap_os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err);
enum ss_status __wrap_os_send(int fd, const struct iovec *iov, size_t n, int flags, size_t *sent, struct ss_error *err)
{
    struct wire *w = &wired->wire;
    CHECK(fd == wired->sock.io.fd && n == 1 && iov->iov_len > 0);
    w->sends++;
    w->waits += (flags & OS_DONTWAIT) == 0;
    if (is_put_off(w, 1))
        return SS_WANT;
    if (w->out_len >= w->cut_out) {
        *err = (struct ss_error){ SS_SYSTEM, w->code };
        return SS_ERROR;
    }
    if (is_at_split(w->out_len, &w->split_out))
        return SS_WANT;
    *sent = size_of_send(w, iov->iov_len);
    if (*sent == 0)
        return SS_WANT;
    take_sent(wired, iov->iov_base, *sent);
    return SS_OK;
}

/* Certificates */

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:a.test");
    if (!cert || !names || !X509_set_version(cert, 2) || !ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) ||
        !ASN1_TIME_set_string(X509_getm_notBefore(cert), "20200101000000Z") ||
        !ASN1_TIME_set_string(X509_getm_notAfter(cert), "29991231235959Z") ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"unit", -1, -1, 0) ||
        !X509_set_issuer_name(cert, name) || !X509_add_ext(cert, names, -1) || !X509_set_pubkey(cert, key) ||
        X509_sign(cert, key, NULL) == 0)
        abort();
    X509_EXTENSION_free(names);
    return cert;
}

static EVP_PKEY *make_key(void)
{
    static const unsigned char secret[32] = "nobody's secret";
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    if (!key)
        abort();
    return key;
}

const char *tls_rig_pem(void)
{
    static char pem[4096];
    if (pem[0] != '\0')
        return pem;
    EVP_PKEY *key = make_key();
    X509 *cert = make_certificate(key);
    BIO *text = BIO_new(BIO_s_mem());
    if (!text || !PEM_write_bio_X509(text, cert) || !PEM_write_bio_PrivateKey(text, key, NULL, NULL, 0, NULL, NULL) ||
        BIO_read(text, pem, sizeof pem - 1) <= 0)
        abort();
    BIO_free(text);
    X509_free(cert);
    EVP_PKEY_free(key);
    return pem;
}

/* Contexts */

static int from_hex(const char *text, unsigned char *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        unsigned byte;
        if (sscanf(text + (size_t)i * 2, "%2x", &byte) != 1)
            return 0;
        bytes[i] = (unsigned char)byte;
    }
    return n;
}

/* The secret of the peer's data. */
static void note_secret(const SSL *ssl, const char *line)
{
    struct tls_rig *rig = SSL_get_app_data(ssl);
    const char *label = rig->kind.server ? "CLIENT_TRAFFIC_SECRET_0 " : "SERVER_TRAFFIC_SECRET_0 ";
    const char *last = strrchr(line, ' ');
    if (strncmp(line, label, strlen(label)) == 0 && last)
        from_hex(last + 1, rig->secret, (int)sizeof rig->secret);
}

static void use_pem(SSL_CTX *ctx)
{
    BIO *text = BIO_new_mem_buf(tls_rig_pem(), -1);
    X509 *cert = PEM_read_bio_X509(text, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
    if (!cert || !key || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        abort();
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(text);
}

static SSL_CTX *make_peer_ctx(const struct tls_kind *kind)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!ctx || !SSL_CTX_set1_groups_list(ctx, "X25519") || !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
        (kind->ciphers && !SSL_CTX_set_cipher_list(ctx, kind->ciphers)) ||
        !SSL_CTX_set_max_proto_version(ctx, kind->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) ||
        !SSL_CTX_set_num_tickets(ctx, 0))
        abort();
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_keylog_callback(ctx, note_secret);
    if (!kind->server || kind->client_ca)
        use_pem(ctx);
    return ctx;
}

static void make_ctx(struct tls_rig *rig)
{
    struct sstls_problem problem;
    const struct sstls_source pem = { tls_rig_pem(), strlen(tls_rig_pem()) };
    struct sstls_options options = { .ca = { &pem, 1 }, .verify = true, .sessions = rig->kind.sessions };
    const struct sstls_setting groups = { "Groups", "X25519" };
    options.conf = &groups;
    options.nconf = 1;
    if (rig->kind.server)
        options.cert = (struct sstls_sources){ &pem, 1 };
    if (rig->kind.client_ca)
        options.client_ca = options.cert;
    rig->ctx = sstls_ctx_new(&rig->state, &options, &problem);
    CHECKF(rig->ctx != NULL, "%s", problem.text);
    if (!rig->ctx)
        abort();
}

/* The largest blocks serve one rig after another: with sanitizers they are dear. */

static unsigned char *spare[3];

static unsigned char *take_bytes(size_t i, size_t n)
{
    unsigned char *bytes = spare[i] ? spare[i] : malloc(n);
    if (!bytes)
        abort();
    spare[i] = NULL;
    return bytes;
}

static void give_bytes(size_t i, unsigned char *bytes)
{
    free(spare[i]);
    spare[i] = bytes;
}

void tls_rig_open(struct tls_rig *rig, const struct tls_kind *kind)
{
    memset(rig, 0, sizeof *rig);
    rig->kind = *kind;
    rig->wire.in = take_bytes(0, WIRE_SIZE);
    rig->wire.out = take_bytes(1, WIRE_SIZE);
    rig->got = take_bytes(2, GOT_SIZE);
    ss_env_init(&rig->env, heap_mem(&rig->heap));
    if (!sstls_state_init(&rig->state, &rig->env))
        abort();
    make_ctx(rig);
    rig->peer_ctx = make_peer_ctx(kind);
}

void tls_rig_close(struct tls_rig *rig)
{
    sstls_ctx_drop(rig->ctx);
    sstls_state_fini(&rig->state);
    SSL_CTX_free(rig->peer_ctx);
    ss_env_fini(&rig->env);
    give_bytes(0, rig->wire.in);
    give_bytes(1, rig->wire.out);
    give_bytes(2, rig->got);
    heap_check_empty(&rig->heap);
}

/* Connections */

static void open_socket(struct tls_rig *rig)
{
    struct ss_error err;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* a number alone: its calls are ours */
    ss_sock_init(&rig->sock, &rig->env, SOCK_STREAM);
    if (fd < 0 || ss_sock_adopt(&rig->sock, fd, AF_UNIX, false, &err) != SS_OK)
        abort();
}

static void make_peer(struct tls_rig *rig)
{
    rig->peer = SSL_new(rig->peer_ctx);
    rig->to_peer = BIO_new(BIO_s_mem());
    rig->from_peer = BIO_new(BIO_s_mem());
    if (!rig->peer || !rig->to_peer || !rig->from_peer || !SSL_set_app_data(rig->peer, rig))
        abort();
    SSL_set_bio(rig->peer, rig->to_peer, rig->from_peer);
    if (rig->kind.server) {
        SSL_set_connect_state(rig->peer);
        SSL_set_tlsext_host_name(rig->peer, "a.test");
    } else {
        SSL_set_accept_state(rig->peer);
    }
}

static void reset_wire(struct wire *w)
{
    unsigned char *in = w->in, *out = w->out;
    *w = (struct wire){ .in = in, .out = out, .read_most = SIZE_MAX, .send_most = SIZE_MAX };
    w->split_in = w->split_out = w->cut_in = w->cut_out = w->flip_at = SIZE_MAX;
}

void tls_rig_connect(struct tls_rig *rig)
{
    wired = rig;
    reset_wire(&rig->wire);
    rig->got_len = 0;
    rig->peer_error = rig->sequence = 0;
    rig->peer_deaf = false;
    open_socket(rig);
    make_peer(rig);
    rig->conn = sstls_conn_new(&rig->sock, rig->ctx, rig->kind.server);
    if (!rig->conn || (!rig->kind.server && !sstls_conn_set_name(rig->conn, "a.test", false)))
        abort();
    if (!rig->kind.server)
        sstls_session_offer(rig->conn);
    sstls_shake_init(&rig->shake, rig->conn);
}

void tls_rig_disconnect(struct tls_rig *rig)
{
    CHECK(ERR_peek_error() == 0);
    if (!rig->shake.installed)
        sstls_conn_free(rig->conn);
    ss_sock_fini(&rig->sock);
    CHECK(ERR_peek_error() == 0);
    SSL_free(rig->peer);
    ERR_clear_error();
    rig->conn = NULL;
}

/* The peer */

static void inject_bytes(struct wire *w, const void *bytes, size_t n)
{
    if (w->in_len + n > WIRE_SIZE)
        abort();
    memcpy(w->in + w->in_len, bytes, n);
    w->in_len += n;
}

static void collect_from_peer(struct tls_rig *rig)
{
    static unsigned char bytes[WIRE_SIZE];
    size_t n = BIO_ctrl_pending(rig->from_peer);
    if (n > sizeof bytes || (n > 0 && BIO_read(rig->from_peer, bytes, (int)n) != (int)n))
        abort();
    if (rig->route && n > 0)
        rig->route(rig, bytes, n);
    else
        inject_bytes(&rig->wire, bytes, n);
}

void tls_rig_inject(struct tls_rig *rig, const void *bytes, size_t n)
{
    inject_bytes(&rig->wire, bytes, n);
}

static void run_peer_ssl(struct tls_rig *rig)
{
    size_t n = 0;
    do {
        rig->got_len += n;
        n = 0;
    } while (rig->got_len < GOT_SIZE &&
             SSL_read_ex(rig->peer, rig->got + rig->got_len, GOT_SIZE - rig->got_len, &n) == 1);
    if (rig->peer_error == 0 && SSL_get_error(rig->peer, 0) == SSL_ERROR_SSL)
        rig->peer_error = ERR_peek_error();
}

void tls_rig_run_peer(struct tls_rig *rig)
{
    ERR_clear_error();
    if (!rig->peer_deaf && rig->peer_error == 0)
        run_peer_ssl(rig);
    collect_from_peer(rig);
    ERR_clear_error();
}

void tls_rig_peer_write(struct tls_rig *rig, const void *bytes, size_t n)
{
    size_t written = 0;
    CHECK(SSL_write_ex(rig->peer, bytes, n, &written) == 1 && written == n);
    collect_from_peer(rig);
    ERR_clear_error();
}

void tls_rig_peer_end(struct tls_rig *rig)
{
    SSL_shutdown(rig->peer);
    collect_from_peer(rig);
    ERR_clear_error();
}

/* Our calls */

enum ss_status tls_rig_drive(struct tls_rig *rig, struct ss_op *op, enum ss_mode mode)
{
    const struct wire *w = &rig->wire;
    for (int still = 0; still < 3;) {
        const size_t moved = w->in_at + w->in_len + w->out_len;
        ss_io_set_mode(op->io, mode);
        tls_rig_runs_ours = true;
        enum ss_status st = op->step(op);
        tls_rig_runs_ours = false;
        CHECK(ERR_peek_error() == 0);
        tls_rig_run_peer(rig);
        if (st != SS_WANT)
            return st;
        still = w->in_at + w->in_len + w->out_len == moved ? still + 1 : 0;
    }
    return SS_TIMEOUT;
}

enum ss_status tls_rig_shake(struct tls_rig *rig)
{
    enum ss_status st = tls_rig_drive(rig, &rig->shake.op, SS_NO_WAIT);
    if (st == SS_TIMEOUT) {
        rig->wire.ends = true;
        st = tls_rig_drive(rig, &rig->shake.op, SS_NO_WAIT);
    }
    tls_rig_run_peer(rig);
    return st;
}

void tls_rig_establish(struct tls_rig *rig)
{
    tls_rig_connect(rig);
    enum ss_status st = tls_rig_shake(rig);
    CHECKF(st == SS_OK, "%d: %s", (int)st, rig->conn->reason);
    CHECK(SSL_is_init_finished(rig->peer));
}

static struct ss_read read_op(struct tls_rig *rig, size_t n)
{
    struct ss_read op = { .in = &rig->sock.in, .want = n };
    op.op = (struct ss_op){ .step = ss_readn_step, .io = &rig->sock.io, .kernel_timeout = SS_BY_RCVTIMEO };
    return op;
}

static void take_read(struct tls_rig *rig, void *bytes, size_t n, size_t *got)
{
    *got = ss_min_size(n, ss_inbuf_len(&rig->sock.in));
    memcpy(bytes, ss_inbuf_data(&rig->sock.in), *got);
    if (*got > 0)
        ss_inbuf_consume(&rig->sock.in, *got);
}

enum ss_status tls_rig_read(struct tls_rig *rig, void *bytes, size_t n, size_t *got, struct ss_error *err)
{
    struct ss_read op = read_op(rig, n);
    enum ss_status st = tls_rig_drive(rig, &op.op, SS_NO_WAIT);
    *err = op.op.error;
    take_read(rig, bytes, n, got);
    return st;
}

enum ss_status tls_rig_try_read(struct tls_rig *rig, enum ss_mode mode, void *bytes, size_t n, size_t *got,
                                struct ss_error *err)
{
    struct ss_read op = read_op(rig, n);
    ss_io_set_mode(op.op.io, mode);
    enum ss_status st = op.op.step(&op.op);
    CHECK(ERR_peek_error() == 0);
    *err = op.op.error;
    take_read(rig, bytes, n, got);
    return st;
}

static struct ss_write write_op(struct tls_rig *rig, struct iovec *iov)
{
    struct ss_write op = { .iov = iov, .n = 1 };
    op.op = (struct ss_op){ .step = ss_write_step, .io = &rig->sock.io, .kernel_timeout = SS_BY_SNDTIMEO };
    return op;
}

enum ss_status tls_rig_write(struct tls_rig *rig, const void *bytes, size_t n, size_t *sent, struct ss_error *err)
{
    struct iovec iov = { (void *)(uintptr_t)bytes, n };
    struct ss_write op = write_op(rig, &iov);
    enum ss_status st = tls_rig_drive(rig, &op.op, SS_NO_WAIT);
    *err = op.op.error;
    *sent = op.sent;
    return st;
}

enum ss_status tls_rig_try_write(struct tls_rig *rig, enum ss_mode mode, const void *bytes, size_t n, size_t *sent,
                                 struct ss_error *err)
{
    struct iovec iov = { (void *)(uintptr_t)bytes, n };
    struct ss_write op = write_op(rig, &iov);
    ss_io_set_mode(op.op.io, mode);
    enum ss_status st = op.op.step(&op.op);
    CHECK(ERR_peek_error() == 0);
    *err = op.op.error;
    *sent = op.sent;
    return st;
}

enum ss_status tls_rig_end(struct tls_rig *rig, struct ss_error *err)
{
    enum ss_status st = SS_WANT;
    for (size_t i = 0; st == SS_WANT && i < WIRE_SIZE; i++) {
        ss_io_set_mode(&rig->sock.io, SS_NO_WAIT);
        st = rig->sock.io.via->end(&rig->sock.io, SHUT_WR, err);
        CHECK(ERR_peek_error() == 0);
        tls_rig_run_peer(rig);
    }
    return st == SS_EOF ? SS_ERROR : st;
}

/* Forged records: RFC 8446 sections 5.2, 5.3 and 7.1 with TLS_AES_128_GCM_SHA256 */

static void expand_label(const unsigned char secret[32], const char *label, unsigned char *key, size_t n)
{
    unsigned char info[64], full[EVP_MAX_MD_SIZE];
    size_t len = strlen(label), at = 0;
    info[at++] = 0;
    info[at++] = (unsigned char)n;
    info[at++] = (unsigned char)(6 + len);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, len);
    at += 6 + len;
    info[at++] = 0; /* no context */
    info[at++] = 1; /* HKDF-Expand, the first block */
    if (!HMAC(EVP_sha256(), secret, 32, info, at, full, NULL))
        abort();
    memcpy(key, full, n);
}

static void seal(struct tls_rig *rig, const unsigned char *plain, size_t n, unsigned char *record)
{
    unsigned char key[16], iv[12];
    int len = 0;
    expand_label(rig->secret, "key", key, sizeof key);
    expand_label(rig->secret, "iv", iv, sizeof iv);
    for (size_t i = 0; i < 8; i++)
        iv[11 - i] ^= (unsigned char)((uint64_t)rig->sequence >> (8 * i));
    rig->sequence++;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (!cipher || EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, iv) != 1 ||
        EVP_EncryptUpdate(cipher, NULL, &len, record, 5) != 1 ||
        EVP_EncryptUpdate(cipher, record + 5, &len, plain, (int)n) != 1 ||
        EVP_EncryptFinal_ex(cipher, record + 5 + n, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, record + 5 + n) != 1)
        abort();
    EVP_CIPHER_CTX_free(cipher);
}

void tls_rig_forge(struct tls_rig *rig, int type, const void *bytes, size_t n, size_t pad)
{
    static unsigned char plain[1 << 15], record[1 << 16];
    const size_t len = n + 1 + pad, whole = len + 16;
    if (len > sizeof plain)
        abort();
    memset(plain, 0, len);
    if (n > 0)
        memcpy(plain, bytes, n);
    plain[n] = (unsigned char)type;
    memcpy(record, (unsigned char[]){ DATA, 3, 3, (unsigned char)(whole >> 8), (unsigned char)whole }, 5);
    seal(rig, plain, len, record);
    tls_rig_inject(rig, record, 5 + whole);
}

void tls_rig_forge_alert(struct tls_rig *rig, int level, int number)
{
    tls_rig_forge(rig, ALERT, (unsigned char[]){ (unsigned char)level, (unsigned char)number }, 2, 0);
}

void tls_rig_forge_key_update(struct tls_rig *rig, bool requested)
{
    unsigned char next[32];
    tls_rig_forge(rig, HANDSHAKE, (unsigned char[]){ KEY_UPDATE, 0, 0, 1, requested }, 5, 0);
    expand_label(rig->secret, "traffic upd", next, sizeof next);
    memcpy(rig->secret, next, sizeof next);
    rig->sequence = 0;
}
