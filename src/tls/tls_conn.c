/* How a connection begins and ends: what OpenSSL is told before the handshake, and whose certificate it is to take. */
#include "tls/tls_bio.h"
#include "tls/tls_failure.h"
#include "tls/tls_stream.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h> /* memcpy, memset, strlen */

static void note_error(struct sstls_conn *conn, X509_STORE_CTX *store)
{
    if (conn->nverify_errors < SSTLS_VERIFY_ERRORS)
        conn->verify_errors[conn->nverify_errors++] =
            (struct sstls_verify_error){ X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store) };
}

/* Keeps for the reason what OpenSSL has only in this callback: the first error, which is the session's result as well where others
 * follow it. */
static int note_verification(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct sstls_conn *conn = ssl ? SSL_get_app_data(ssl) : NULL;
    if (ok || !conn)
        return ok;
    if (conn->verify_error == 0) {
        conn->verify_error = X509_STORE_CTX_get_error(store);
        conn->verify_depth = X509_STORE_CTX_get_error_depth(store);
    }
    if (!conn->verifies || !conn->ctx->reports)
        return 0;
    note_error(conn, store);
    X509_STORE_CTX_set_error(store, conn->verify_error);
    return 1;
}

static void set_verification(struct sstls_conn *conn)
{
    const struct sstls_ctx *ctx = conn->ctx;
    int mode = SSL_VERIFY_PEER;
    conn->verifies = conn->server ? ctx->client_store != NULL : ctx->verify;
    if (conn->server && conn->verifies && !ctx->client_optional)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_set_verify(conn->ssl, conn->verifies ? mode : SSL_VERIFY_NONE, note_verification);
}

static bool set_role(struct sstls_conn *conn)
{
    if (!conn->server) {
        SSL_set_connect_state(conn->ssl);
        return true;
    }
    SSL_set_accept_state(conn->ssl);
    return !conn->ctx->client_store || SSL_set1_verify_cert_store(conn->ssl, conn->ctx->client_store);
}

static bool set_up_ssl(struct sstls_conn *conn)
{
    conn->ssl = SSL_new(conn->ctx->ssl);
    BIO *bio = conn->ssl ? sstls_bio_new(conn->ctx->state->method, conn) : NULL;
    if (!bio)
        return false;
    SSL_set_bio(conn->ssl, bio, bio); /* which owns it now */
    if (!SSL_set_app_data(conn->ssl, conn) || !set_role(conn))
        return false;
    set_verification(conn);
    return true;
}

struct sstls_conn *sstls_conn_new(struct ss_sock *sock, struct sstls_ctx *ctx, bool server)
{
    struct ss_env *env = sock->env;
    struct sstls_conn *conn = ss_mem_resize(&env->pool.mem, NULL, 0, sizeof *conn);
    if (!conn)
        return NULL;
    ss_env_forked(env);
    memset(conn, 0, sizeof *conn);
    conn->calls = sstls_transport;
    conn->sock = sock;
    conn->ctx = sstls_ctx_use(ctx);
    conn->raw.pool = conn->out.pool = &env->pool;
    conn->forks = env->forks;
    conn->received = SS_WANT;
    conn->server = server;
    sstls_forget_errors();
    bool made = set_up_ssl(conn);
    sstls_forget_errors();
    if (made)
        return conn;
    sstls_conn_free(conn);
    return NULL;
}

static bool set_name_to_verify(struct sstls_conn *conn)
{
    const struct sstls_ctx *ctx = conn->ctx;
    const char *name = ctx->verify_name ? ctx->verify_name : conn->name;
    const bool is_address = ctx->verify_name ? ctx->verify_name_is_address : conn->is_address;
    X509_VERIFY_PARAM *param = SSL_get0_param(conn->ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (ctx->any_name)
        return true;
    return (is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) : X509_VERIFY_PARAM_set1_host(param, name, 0)) == 1;
}

static bool set_name_to_send(struct sstls_conn *conn)
{
    return conn->is_address || SSL_set_tlsext_host_name(conn->ssl, conn->name) == 1;
}

bool sstls_conn_set_name(struct sstls_conn *conn, const char *name, bool is_address)
{
    size_t len = strlen(name);
    if (len >= sizeof conn->name)
        return false;
    memcpy(conn->name, name, len + 1);
    conn->is_address = is_address;
    sstls_forget_errors();
    bool done = set_name_to_verify(conn) && set_name_to_send(conn);
    sstls_forget_errors();
    return done;
}

bool sstls_conn_is_named(struct sstls_conn *conn, const char *name)
{
    size_t len = strlen(name);
    if (len >= sizeof conn->name)
        return false;
    if (!conn->named)
        memcpy(conn->name, name, len + 1);
    conn->named = true;
    return strcmp(conn->name, name) == 0;
}

void sstls_conn_install(struct sstls_conn *conn)
{
    struct ss_sock *sock = conn->sock;
    ss_inbuf_take_out(&sock->in, &conn->raw);
    ss_pool_keep_spares(&sock->env->pool);
    sock->io.via = &conn->calls;
}

/* A session may be resumed although the connection has not ended well, unless that failed. */
void sstls_conn_free(struct sstls_conn *conn)
{
    const struct ss_mem *mem = &conn->sock->env->pool.mem;
    struct sstls_state *state = conn->ctx->state;
    if (state->holder == conn)
        state->holder = NULL;
    sstls_forget_errors();
    if (conn->ssl && conn->established && !conn->has_failed)
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(conn->ssl);
    sstls_forget_errors();
    ss_inbuf_clear(&conn->raw);
    ss_inbuf_clear(&conn->out);
    sstls_ctx_drop(conn->ctx);
    ss_mem_free(mem, conn, sizeof *conn);
}
