#include "tls/op_shake.h"
#include "tls/tls_compat.h"
#include "tls/tls_failure.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h> /* memchr, memcmp, memcpy */

/* The handshake */

static void begin_shake(struct sstls_shake *op, struct sstls_conn *conn, bool installed)
{
    op->sock = conn->sock;
    op->conn = conn;
    op->stream = conn->sock->in.stream;
    op->installed = installed;
    op->op = (struct ss_op){ .step = sstls_shake_step, .io = &conn->sock->io, .kernel_timeout = SS_BY_RCVTIMEO };
    ss_op_want(&op->op, SS_READABLE | SS_WRITABLE); /* after a wait for a turn alone */
}

void sstls_shake_init(struct sstls_shake *op, struct sstls_conn *conn)
{
    begin_shake(op, conn, false);
}

void sstls_shake_resume(struct sstls_shake *op, struct sstls_conn *conn)
{
    conn->kept = false;
    begin_shake(op, conn, true);
}

/* False: the socket has been closed, or another call has made it a TLS connection. */
static bool install_connection(struct sstls_shake *op)
{
    if (op->sock->in.stream != op->stream || op->sock->io.fd < 0 || ss_io_has_layer(&op->sock->io))
        return false;
    sstls_conn_install(op->conn);
    op->installed = true;
    return true;
}

bool sstls_shake_leave(struct sstls_shake *op)
{
    struct sstls_conn *conn = op->conn;
    if (!conn || (!op->installed && !install_connection(op)) || !sstls_shake_conn(op))
        return false;
    conn->kept = true;
    op->conn = NULL;
    return true;
}

int sstls_shake_awaits(const struct sstls_shake *op)
{
    return op->op.want.events & SS_WRITABLE ? SS_WRITABLE : SS_READABLE;
}

struct sstls_conn *sstls_shake_conn(const struct sstls_shake *op)
{
    if (!op->installed)
        return op->conn;
    return op->sock->in.stream == op->stream && sstls_conn_of(op->sock) == op->conn ? op->conn : NULL;
}

/* OpenSSL does not look at the dates again when a session is resumed. */
static enum ss_status refuse_expired(struct sstls_conn *conn, struct ss_error *err)
{
    if (!conn->ctx->reports)
        return sstls_fail_certificate(conn, X509_V_ERR_CERT_HAS_EXPIRED, 0, err);
    if (SSL_get_verify_result(conn->ssl) == X509_V_OK)
        conn->verify_error = X509_V_ERR_CERT_HAS_EXPIRED;
    return SS_OK;
}

static enum ss_status check_peer(struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = SS_OK;
    if (!conn->verifies)
        return SS_OK;
    X509 *cert = sstls_peer_certificate(conn->ssl);
    if (!cert && !conn->server && !conn->ctx->reports)
        st = sstls_fail(conn, SS_TLS_CERTIFICATE, sstls_no_certificate, err);
    if (cert && SSL_session_reused(conn->ssl) && sstls_has_expired(cert))
        st = refuse_expired(conn, err);
    X509_free(cert);
    return st;
}

/* Whether a list of names, each behind its length, has this one. */
static bool has_protocol(const unsigned char *list, size_t len, const unsigned char *name, size_t n)
{
    for (size_t at = 0; at < len; at += 1 + (size_t)list[at])
        if (list[at] == n && memcmp(list + at + 1, name, n) == 0)
            return true;
    return false;
}

static enum ss_status check_protocol(struct sstls_conn *conn, struct ss_error *err)
{
    const unsigned char *name;
    unsigned n;
    SSL_get0_alpn_selected(conn->ssl, &name, &n);
    if (n == 0 || has_protocol(conn->ctx->alpn, conn->ctx->alpn_len, name, n))
        return SS_OK;
    return sstls_fail(conn, SS_TLS_PROTOCOL, "the peer has chosen a protocol (ALPN) that was not offered", err);
}

static enum ss_status finish_shake(struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = check_peer(conn, err);
    if (st == SS_OK)
        st = check_protocol(conn, err);
    sstls_forget_errors();
    conn->established = st == SS_OK;
    conn->ticket_due = conn->server && conn->ctx->max_sessions > 0 && SSL_version(conn->ssl) == TLS1_3_VERSION;
    return st;
}

/* A peer that refuses us may be gone before it has taken what we sent: what it has said before that tells why. */
static enum ss_status flush_shake(struct sstls_conn *conn, bool done, struct ss_error *err)
{
    enum ss_status st = sstls_flush_at_once(conn, err);
    if (st != SS_ERROR || done || !sstls_is_gone(err))
        return st;
    ss_inbuf_clear(&conn->out);
    return SS_OK;
}

/* Advances OpenSSL's part. SS_OK: done | SS_WANT: conn->starved, for input; otherwise call again | SS_ERROR. */
static enum ss_status advance_shake(struct sstls_conn *conn, struct ss_error *err)
{
    conn->starved = false;
    sstls_hold_buffers(conn);
    sstls_forget_errors();
    int result = SSL_do_handshake(conn->ssl);
    int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, result);
    if (why == SSL_ERROR_NONE)
        return SS_OK;
    if (why == SSL_ERROR_WANT_READ || (why == SSL_ERROR_WANT_WRITE && !conn->lacks_memory)) {
        sstls_forget_errors();
        return SS_WANT;
    }
    if (why == SSL_ERROR_ZERO_RETURN) /* RFC 8446 section 6.1: a handshake is cancelled so, too */
        return sstls_fail(conn, SS_TLS_EOF, "the peer has ended the connection (close_notify)", err);
    return sstls_fail_by_queue(conn, err);
}

static enum ss_status fail_shake(struct sstls_conn *conn)
{
    struct ss_error ignored;
    if (ss_inbuf_len(&conn->out) > 0)
        sstls_flush_at_once(conn, &ignored); /* the alert */
    return SS_ERROR;
}

/* A further call after the end of OpenSSL's part, which waits for room, does nothing there. */
static enum ss_status run_shake(struct sstls_conn *conn, struct ss_op *op)
{
    for (;;) { /* advance_shake sends before it receives, and leaves here what was written last */
        enum ss_status st = advance_shake(conn, &op->error);
        if (st == SS_ERROR)
            return fail_shake(conn);
        enum ss_status flushed = flush_shake(conn, st == SS_OK, &op->error);
        if (flushed == SS_WANT)
            return ss_op_want(op, SS_WRITABLE);
        if (flushed == SS_ERROR || st == SS_OK)
            return flushed;
        if (conn->starved)
            st = sstls_starved(conn, &op->error);
        if (conn->starved)
            return st == SS_WANT ? ss_op_want(op, SS_READABLE) : st;
    }
}

enum ss_status sstls_shake_step(struct ss_op *base)
{
    struct sstls_shake *op = (struct sstls_shake *)base;
    struct sstls_conn *conn = op->conn;
    if (!op->installed && !install_connection(op))
        return SS_BUSY; /* by code of the program that has run in the turn before this step */
    if (sstls_is_foreign(conn))
        return sstls_fail(conn, SS_TLS_PROTOCOL, "the connection belongs to the process that has made it",
                          &base->error);
    enum ss_status st = run_shake(conn, base);
    if (st != SS_OK)
        return st;
    st = finish_shake(conn, &base->error);
    return st == SS_OK ? st : fail_shake(conn);
}

/* The ClientHello */

/* Bytes that are taken apart from the front. */
struct cursor {
    const unsigned char *at;
    size_t len;
};

/* Takes a vector of TLS, behind its length in `width` bytes, big endian. False: there are fewer bytes. */
static bool take_vector(struct cursor *from, size_t width, struct cursor *vector)
{
    size_t n = 0;
    if (from->len < width)
        return false;
    for (size_t i = 0; i < width; i++)
        n = n << 8 | from->at[i];
    if (from->len - width < n)
        return false;
    *vector = (struct cursor){ from->at + width, n };
    from->at += width + n;
    from->len -= width + n;
    return true;
}

/* The extension's body; false: there is none. */
static bool find_extension(SSL *ssl, unsigned type, struct cursor *body)
{
    return SSL_client_hello_get0_ext(ssl, type, &body->at, &body->len) == 1;
}

/* RFC 6066 section 3: one name of this type, and other types there are none. OpenSSL's handshake refuses more, too. */
static bool take_server_name(struct sstls_hello *op, struct cursor body)
{
    enum { HOST_NAME = 0 };
    struct cursor list, name;
    if (!take_vector(&body, 2, &list) || body.len > 0 || list.len < 1 || list.at[0] != HOST_NAME)
        return false;
    list.at++;
    list.len--;
    if (!take_vector(&list, 2, &name) || list.len > 0 || name.len == 0 || name.len > SS_HOST_MAX ||
        memchr(name.at, 0, name.len))
        return false;
    for (size_t i = 0; i < name.len; i++)
        op->name[i] = (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] + ('a' - 'A') : name.at[i]);
    op->name[name.len] = '\0';
    return true;
}

static bool are_protocols(struct cursor list)
{
    struct cursor name;
    if (list.len == 0)
        return false;
    while (list.len > 0)
        if (!take_vector(&list, 1, &name) || name.len == 0)
            return false;
    return true;
}

/* RFC 7301 section 3.1. */
static bool take_alpn(struct sstls_hello *op, struct cursor body)
{
    struct cursor list;
    if (!take_vector(&body, 2, &list) || body.len > 0 || !are_protocols(list))
        return false;
    op->alpn = ss_mem_resize(&op->sock->env->pool.mem, NULL, 0, list.len);
    op->lacks_memory = !op->alpn;
    if (op->alpn)
        memcpy(op->alpn, list.at, list.len);
    op->alpn_len = op->alpn ? list.len : 0;
    return true;
}

static void note_version(struct sstls_hello *op, unsigned version)
{
    op->version12 = op->version12 || version == TLS1_2_VERSION;
    op->version13 = op->version13 || version == TLS1_3_VERSION;
}

/* RFC 8446 section 4.2.1. */
static bool take_versions(struct sstls_hello *op, struct cursor body)
{
    struct cursor list;
    if (!take_vector(&body, 1, &list) || body.len > 0 || list.len == 0 || list.len % 2 != 0)
        return false;
    for (; list.len > 0; list.at += 2, list.len -= 2)
        note_version(op, (unsigned)list.at[0] << 8 | list.at[1]);
    return true;
}

static bool take_extensions(struct sstls_hello *op, SSL *ssl)
{
    struct cursor body;
    if (find_extension(ssl, TLSEXT_TYPE_server_name, &body) && !take_server_name(op, body))
        return false;
    if (find_extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &body) && !take_alpn(op, body))
        return false;
    if (find_extension(ssl, TLSEXT_TYPE_supported_versions, &body))
        return take_versions(op, body);
    unsigned legacy = SSL_client_hello_get0_legacy_version(ssl);
    note_version(op, legacy > TLS1_2_VERSION ? TLS1_2_VERSION : legacy);
    return true;
}

/* Called by OpenSSL, which then stops: what it shows is valid here alone. */
static int look_at_hello(SSL *ssl, int *alert, void *unused)
{
    struct sstls_hello *op = SSL_get_app_data(ssl);
    (void)alert, (void)unused;
    if (op && !op->found) {
        op->found = true;
        op->malformed = SSL_client_hello_isv2(ssl) || !take_extensions(op, ssl); /* RFC 8446 D.5: of SSLv2 */
    }
    return SSL_CLIENT_HELLO_RETRY;
}

SSL_CTX *sstls_hello_ctx_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx)
        SSL_CTX_set_client_hello_cb(ctx, look_at_hello, NULL);
    return ctx;
}

void sstls_hello_init(struct sstls_hello *op, struct ss_sock *sock, SSL_CTX *ctx)
{
    memset(op, 0, sizeof *op);
    op->sock = sock;
    op->ctx = ctx;
    op->op = (struct ss_op){ .step = sstls_hello_step, .io = &sock->io, .kernel_timeout = SS_BY_RCVTIMEO };
    ss_op_want(&op->op, SS_READABLE);
}

void sstls_hello_restart(struct sstls_hello *op)
{
    sstls_forget_errors();
    SSL_free(op->ssl);
    sstls_forget_errors();
    op->ssl = NULL;
    op->given = 0;
    ss_mem_free(&op->sock->env->pool.mem, op->alpn, op->alpn_len);
    op->alpn = NULL;
    op->alpn_len = 0;
    op->name[0] = '\0';
    op->found = op->malformed = op->lacks_memory = op->version12 = op->version13 = false;
}

void sstls_hello_fini(struct sstls_hello *op)
{
    if (op->sock)
        sstls_hello_restart(op);
    op->sock = NULL;
}

static bool make_hello_ssl(struct sstls_hello *op)
{
    BIO *input = BIO_new(BIO_s_mem()), *nowhere = BIO_new(BIO_s_null());
    op->ssl = SSL_new(op->ctx);
    if (!input || !nowhere || !op->ssl) {
        BIO_free(input);
        BIO_free(nowhere);
        SSL_free(op->ssl);
        op->ssl = NULL;
        return false;
    }
    BIO_set_mem_eof_return(input, -1);
    SSL_set_bio(op->ssl, input, nowhere); /* which owns them now */
    op->input = input;
    SSL_set_accept_state(op->ssl);
    return SSL_set_app_data(op->ssl, op);
}

/* Gives OpenSSL a copy of the input that it does not have, at most CHUNK bytes at once. False: no memory. */
static bool give_input(struct sstls_hello *op)
{
    enum { CHUNK = 65536 };
    const struct ss_inbuf *in = &op->sock->in;
    size_t n = ss_min_size(ss_inbuf_len(in) - op->given, CHUNK);
    if (n > 0 && BIO_write(op->input, ss_inbuf_data(in) + op->given, (int)n) != (int)n)
        return false;
    op->given += n;
    return true;
}

static enum ss_status fail_hello(struct sstls_hello *op, struct ss_error error)
{
    sstls_forget_errors();
    op->op.error = error;
    return SS_ERROR;
}

/* SS_OK: the ClientHello is there | SS_WANT: more bytes are needed | SS_ERROR. */
static enum ss_status judge_hello(struct sstls_hello *op)
{
    sstls_forget_errors();
    int result = SSL_do_handshake(op->ssl);
    int why = SSL_get_error(op->ssl, result);
    if (op->lacks_memory)
        return fail_hello(op, ss_no_memory);
    if (why != SSL_ERROR_WANT_READ && (why != SSL_ERROR_WANT_CLIENT_HELLO_CB || op->malformed))
        return fail_hello(op, (struct ss_error){ SS_TLS, SS_TLS_PROTOCOL });
    sstls_forget_errors();
    return op->found ? SS_OK : SS_WANT;
}

static enum ss_status look_at_input(struct sstls_hello *op)
{
    enum ss_status st = SS_WANT;
    sstls_forget_errors();
    if (!op->ssl && !make_hello_ssl(op))
        return fail_hello(op, ss_no_memory);
    while (st == SS_WANT && op->given < ss_inbuf_len(&op->sock->in))
        st = give_input(op) ? judge_hello(op) : fail_hello(op, ss_no_memory);
    return st;
}

/* Receives move the input, and so does a block that is made smaller before a wait; only other calls of the socket consume it. */
enum ss_status sstls_hello_step(struct ss_op *base)
{
    struct sstls_hello *op = (struct sstls_hello *)base;
    struct ss_inbuf *in = &op->sock->in;
    if (op->given > ss_inbuf_len(in))
        sstls_hello_restart(op);
    for (;;) {
        enum ss_status st = ss_inbuf_len(in) > 0 ? look_at_input(op) : SS_WANT;
        if (st != SS_WANT)
            return st;
        st = ss_inbuf_fill(in, base->io, 1, &base->error);
        if (st == SS_EOF)
            return fail_hello(op, (struct ss_error){ SS_TLS, SS_TLS_EOF }); /* as from a handshake */
        if (st == SS_WANT)
            ss_inbuf_note_short(in);
        if (st != SS_OK)
            return st == SS_WANT ? ss_op_want(base, SS_READABLE) : st;
    }
}
