#include "tls_common.h"
#include "common.h"

#include <netinet/in.h>
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_SESSION *kept; /* the latest */

static void need(bool done, const char *what)
{
    if (!done)
        die(what);
}

/* The BIO */

static int receive_cipher(BIO *bio, char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->start == t->end) {
        ssize_t got = recv(t->fd, t->in, sizeof t->in, 0);
        if (got <= 0)
            return (int)got;
        t->start = 0;
        t->end = (size_t)got;
    }
    size_t n = t->end - t->start < (size_t)len ? t->end - t->start : (size_t)len;
    memcpy(data, t->in + t->start, n);
    t->start += n;
    return (int)n;
}

static void flush_cipher(struct tls *t)
{
    send_all(t->fd, t->out, t->unsent);
    t->unsent = 0;
}

static int buffer_cipher(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = (size_t)len;
    BIO_clear_retry_flags(bio);
    if (t->unsent + n > sizeof t->out)
        flush_cipher(t);
    memcpy(t->out + t->unsent, data, n);
    t->unsent += n;
    return len;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    if (command == BIO_CTRL_FLUSH)
        flush_cipher(BIO_get_data(bio));
    return command == BIO_CTRL_FLUSH;
}

static BIO *new_bio(struct tls *t)
{
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "bench");
        BIO_meth_set_read(method, receive_cipher);
        BIO_meth_set_write(method, buffer_cipher);
        BIO_meth_set_ctrl(method, control);
    }
    BIO *bio = BIO_new(method);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* Contexts */

static const char *certificate(const char *name)
{
    static char path[4096];
    const char *dir = getenv("BENCH_CERTIFICATES");
    snprintf(path, sizeof path, "%s/%s", dir ? dir : ".", name);
    return path;
}

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    need(ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION), "context");
    return ctx;
}

SSL_CTX *tls_client_context(bool resumes)
{
    SSL_CTX *ctx = new_context();
    need(SSL_CTX_load_verify_locations(ctx, certificate("ca.pem"), NULL), "ca.pem");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : 0);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    return ctx;
}

SSL_CTX *tls_server_context(bool resumes)
{
    SSL_CTX *ctx = new_context();
    need(SSL_CTX_use_certificate_chain_file(ctx, certificate("a.pem")), "a.pem");
    need(SSL_CTX_use_PrivateKey_file(ctx, certificate("a.pem"), SSL_FILETYPE_PEM), "a.pem");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, resumes); /* one */
    return ctx;
}

/* Connections */

static void set_up(struct tls *t, SSL_CTX *ctx, int fd, bool buffered)
{
    int on = 1;
    t->ssl = SSL_new(ctx);
    t->fd = fd;
    t->start = t->end = t->unsent = 0;
    need(t->ssl, "SSL_new");
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    if (buffered) {
        BIO *bio = new_bio(t);
        SSL_set_bio(t->ssl, bio, bio);
    } else {
        SSL_set_fd(t->ssl, fd);
    }
}

void tls_shake_as_client(SSL *ssl)
{
    need(SSL_set1_host(ssl, "a.test") && SSL_set_tlsext_host_name(ssl, "a.test"), "name");
    if (kept)
        SSL_set_session(ssl, kept);
    need(SSL_connect(ssl) == 1, "SSL_connect");
    if (kept)
        need(SSL_session_reused(ssl), "resumption");
}

void tls_connect(struct tls *t, SSL_CTX *ctx, int fd, bool buffered)
{
    set_up(t, ctx, fd, buffered);
    tls_shake_as_client(t->ssl);
}

void tls_accept(struct tls *t, SSL_CTX *ctx, int fd, bool buffered)
{
    set_up(t, ctx, fd, buffered);
    need(SSL_accept(t->ssl) == 1, "SSL_accept");
}

void tls_write(struct tls *t, const char *data, size_t len)
{
    size_t taken;
    need(SSL_write_ex(t->ssl, data, len, &taken) == 1, "SSL_write");
    if (t->unsent > 0)
        flush_cipher(t);
}

size_t tls_readsome(struct tls *t, char *buf, size_t len)
{
    size_t got = 0;
    return SSL_read_ex(t->ssl, buf, len, &got) == 1 ? got : 0;
}

bool tls_read(struct tls *t, char *buf, size_t len)
{
    for (size_t have = 0, got; have < len; have += got) {
        got = tls_readsome(t, buf + have, len - have);
        if (got == 0)
            return false;
    }
    return true;
}

void tls_close(struct tls *t)
{
    SSL_shutdown(t->ssl);
    if (t->unsent > 0)
        flush_cipher(t);
    SSL_free(t->ssl);
    must(close(t->fd), "close");
}
