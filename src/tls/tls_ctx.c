#include "tls/tls_ctx.h"
#include "tls/tls_bio.h"
#include "tls/tls_compat.h"
#include "tls/tls_session.h"
#include "tls/tls_source.h"
#include "tls/tls_stream.h"

#include "os/os_net.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h> /* X509_PURPOSE_ANY */
#include <string.h>         /* memcpy, memset, strlen */

/* The state */

bool sstls_state_init(struct sstls_state *state, struct ss_env *env)
{
    *state = (struct sstls_state){ .env = env };
    ERR_clear_error();
    state->method = sstls_bio_method_new();
    ERR_clear_error();
    return state->method != NULL;
}

static void close_tls_sockets(const struct ss_env *env)
{
    struct ss_error ignored;
    for (size_t fd = 0; fd < env->nfds; fd++) {
        struct ss_sock *s = env->by_fd[fd];
        if (s && ss_io_has_layer(&s->io))
            ss_sock_close_quietly(s, &ignored);
    }
}

static void free_ctx(struct sstls_ctx *ctx);

void sstls_state_fini(struct sstls_state *state)
{
    if (state->ended || !state->env)
        return;
    close_tls_sockets(state->env);
    while (state->all)
        free_ctx(state->all);
    SSL_CTX_free(state->hello);
    X509_STORE_free(state->system);
    BIO_meth_free(state->method);
    ERR_clear_error();
    state->ended = true;
}

/* Protocols (ALPN) */

static size_t alpn_size(const struct sstls_sources *names)
{
    size_t size = 0;
    for (size_t i = 0; i < names->n; i++)
        size += 1 + names->items[i].len;
    return size;
}

/* Called by OpenSSL: the server's order decides. */
static int choose_protocol(SSL *ssl, const unsigned char **name, unsigned char *len, const unsigned char *offered,
                           unsigned offered_len, void *unused)
{
    const struct sstls_conn *conn = SSL_get_app_data(ssl);
    unsigned char *found;
    (void)unused;
    if (!conn)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    if (SSL_select_next_proto(&found, len, conn->ctx->alpn, (unsigned)conn->ctx->alpn_len, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return conn->ctx->alpn_optional ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
    *name = found;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_alpn(struct sstls_ctx *ctx, const struct sstls_sources *names)
{
    size_t at = 0, size = alpn_size(names);
    if (size == 0)
        return true;
    ctx->alpn = ss_mem_resize(&ctx->state->env->pool.mem, NULL, 0, size);
    if (!ctx->alpn)
        return false;
    ctx->alpn_len = size;
    for (size_t i = 0; i < names->n; i++) {
        ctx->alpn[at++] = (unsigned char)names->items[i].len;
        memcpy(ctx->alpn + at, names->items[i].text, names->items[i].len);
        at += names->items[i].len;
    }
    SSL_CTX_set_alpn_select_cb(ctx->ssl, choose_protocol, NULL);
    return SSL_CTX_set_alpn_protos(ctx->ssl, ctx->alpn, (unsigned)size) == 0; /* 0 is its success */
}

/* Called by OpenSSL for each ClientHello, also without a name. Without it a session would not remember the name. After a
 * HelloRetryRequest the second one must not have another name (RFC 8446 section 4.1.2), which OpenSSL would tell from then on: the
 * program may have chosen this context by the first. */
static int accept_server_name(SSL *ssl, int *alert, void *unused)
{
    struct sstls_conn *conn = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)unused;
    if (conn && conn->server && !sstls_conn_is_named(conn, name ? name : "")) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* Key log */

static void log_key(const SSL *ssl, const char *line)
{
    const struct sstls_conn *conn = SSL_get_app_data(ssl);
    struct iovec pieces[] = { { (void *)(uintptr_t)line, strlen(line) }, { (void *)(uintptr_t) "\n", 1 } };
    if (conn && conn->ctx->keylog >= 0)
        os_append(conn->ctx->keylog, pieces, 2);
}

static bool set_keylog(struct sstls_ctx *ctx, const char *path, struct sstls_problem *problem)
{
    struct ss_error err;
    if (!path)
        return true;
    if (os_append_open(path, &ctx->keylog, &err) != SS_OK)
        return sstls_say_system(problem, "keylog", path, &err);
    SSL_CTX_set_keylog_callback(ctx->ssl, log_key);
    return true;
}

/* Settings */

static bool run_commands(SSL_CONF_CTX *commands, const struct sstls_options *options, struct sstls_problem *problem)
{
    for (size_t i = 0; i < options->nconf; i++) {
        const struct sstls_setting *setting = &options->conf[i];
        int result = SSL_CONF_cmd(commands, setting->name, setting->value);
        if (result == -2)
            return sstls_say(problem, "conf", setting->name, "no such command (SSL_CONF_cmd(3))");
        if (result <= 0)
            return sstls_say(problem, "conf", setting->name, "OpenSSL does not accept this value");
    }
    return true;
}

static bool apply_conf(SSL_CTX *ssl, const struct sstls_options *options, struct sstls_problem *problem)
{
    if (options->nconf == 0)
        return true;
    SSL_CONF_CTX *commands = SSL_CONF_CTX_new();
    if (!commands)
        return sstls_say_system(problem, "conf", NULL, &ss_no_memory);
    SSL_CONF_CTX_set_flags(commands, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_CLIENT | SSL_CONF_FLAG_SERVER);
    SSL_CONF_CTX_set_ssl_ctx(commands, ssl);
    bool done = run_commands(commands, options, problem);
    if (done && !SSL_CONF_CTX_finish(commands))
        done = sstls_say_refused(problem, "conf", NULL);
    SSL_CONF_CTX_free(commands);
    ERR_clear_error();
    return done;
}

/* Neither the system's configuration nor `conf` gets below TLS 1.2, and `min` only raises. */
static void raise_version(SSL_CTX *ssl, int least)
{
    if (SSL_CTX_get_min_proto_version(ssl) < least) /* 0: the lowest that is supported */
        SSL_CTX_set_min_proto_version(ssl, least);
}

static bool permits(SSL_CTX *ssl, int version, uint64_t without)
{
    const long least = SSL_CTX_get_min_proto_version(ssl), most = SSL_CTX_get_max_proto_version(ssl); /* 0: no bound */
    return version >= least && (most == 0 || version <= most) && !(SSL_CTX_get_options(ssl) & without);
}

/* The system's configuration and `conf` may set the most as well, or leave out single versions. */
static bool has_version(SSL_CTX *ssl)
{
    return permits(ssl, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2) || permits(ssl, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3);
}

/* What has to hold whatever `conf` says. */
static void apply_settings(SSL_CTX *ssl, bool min13)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS); /* sstls_hold_buffers does that */
    SSL_CTX_set_quiet_shutdown(ssl, 0);
    SSL_CTX_set_read_ahead(ssl, 0);
    raise_version(ssl, min13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_tlsext_servername_callback(ssl, accept_server_name);
}

static void apply_defaults(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_dh_auto(ssl, 1);
    raise_version(ssl, TLS1_2_VERSION);
}

static void set_verify_param(SSL_CTX *ssl, const struct sstls_options *options)
{
    unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
    if (!options->whole_chain)
        flags |= X509_V_FLAG_PARTIAL_CHAIN;
    if (options->crl.n > 0)
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), flags);
    if (options->limits_depth)
        SSL_CTX_set_verify_depth(ssl, (int)options->depth);
    if (options->any_purpose)
        X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(ssl), X509_PURPOSE_ANY);
}

static bool set_verify_name(struct sstls_ctx *ctx, const char *name)
{
    const size_t size = name ? strlen(name) + 1 : 0;
    if (!name)
        return true;
    ctx->verify_name = ss_mem_resize(&ctx->state->env->pool.mem, NULL, 0, size);
    if (ctx->verify_name)
        memcpy(ctx->verify_name, name, size);
    return ctx->verify_name != NULL;
}

/* Trust */

static bool set_client_ca(struct sstls_ctx *ctx, const struct sstls_options *options, struct sstls_problem *problem)
{
    if (options->client_ca.n == 0)
        return true;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    if (!names)
        return sstls_say_system(problem, "client_ca", NULL, &ss_no_memory);
    ctx->client_store = sstls_store_new(ctx->state, "client_ca", &options->client_ca, &options->crl, names, problem);
    if (ctx->client_store)
        SSL_CTX_set_client_CA_list(ctx->ssl, names); /* which owns them now */
    else
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    return ctx->client_store != NULL;
}

static bool set_ca(struct sstls_ctx *ctx, const struct sstls_options *options, struct sstls_problem *problem)
{
    X509_STORE *store = sstls_store_new(ctx->state, "ca", &options->ca, &options->crl, NULL, problem);
    if (!store)
        return false;
    SSL_CTX_set1_cert_store(ctx->ssl, store);
    X509_STORE_free(store);
    return true;
}

/* The session id context: sessions of one context are not resumed in another one that trusts others, or is stricter. With given
 * ticket keys it is a digest of whom the server trusts, so that several processes agree. The keys are no part of it: old ones open
 * tickets. */

static bool add_bytes(EVP_MD_CTX *digest, const char *bytes, size_t len)
{
    return EVP_DigestUpdate(digest, &len, sizeof len) == 1 && EVP_DigestUpdate(digest, bytes, len) == 1;
}

/* What a file has in it: under the same name it may be another one tomorrow. Of a directory the name is all there is. */
static bool add_source(EVP_MD_CTX *digest, const struct ss_mem *mem, const struct sstls_source *source)
{
    struct sstls_reader reader;
    struct sstls_problem ignored;
    if (sstls_is_text(source) || os_is_directory(source->text))
        return add_bytes(digest, source->text, source->len);
    if (!sstls_reader_open(&reader, mem, "", source, &ignored))
        return false;
    bool done = add_bytes(digest, reader.file.data, reader.file.len);
    sstls_reader_close(&reader);
    return done;
}

static bool add_sources(EVP_MD_CTX *digest, const struct ss_mem *mem, const struct sstls_sources *sources)
{
    bool done = EVP_DigestUpdate(digest, &sources->n, sizeof sources->n) == 1;
    for (size_t i = 0; i < sources->n && done; i++)
        done = add_source(digest, mem, &sources->items[i]);
    return done;
}

/* What is not set adds nothing. */
static bool add_strictness(EVP_MD_CTX *digest, const struct sstls_options *options)
{
    enum { OPTIONAL = 1, REPORTS = 2, LIMITS_DEPTH = 4, ANY_PURPOSE = 8, WHOLE_CHAIN = 16 };
    const unsigned char flags[] = {
        (unsigned char)((options->client_optional ? OPTIONAL : 0) | (options->reports ? REPORTS : 0) |
                        (options->limits_depth ? LIMITS_DEPTH : 0) | (options->any_purpose ? ANY_PURPOSE : 0) |
                        (options->whole_chain ? WHOLE_CHAIN : 0)),
        options->min13
    };
    const size_t depth_len = options->limits_depth ? sizeof options->depth : 0;
    return EVP_DigestUpdate(digest, flags, sizeof flags) == 1 &&
           EVP_DigestUpdate(digest, &options->depth, depth_len) == 1;
}

static bool digest_trust(const struct ss_mem *mem, const struct sstls_options *options,
                         unsigned char id[EVP_MAX_MD_SIZE])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 && add_strictness(digest, options) &&
                add_sources(digest, mem, &options->client_ca) && add_sources(digest, mem, &options->crl) &&
                EVP_DigestFinal_ex(digest, id, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return done;
}

static bool set_session_context(struct sstls_ctx *ctx, const struct sstls_options *options)
{
    enum { SIZE = 32 };
    unsigned char id[EVP_MAX_MD_SIZE];
    bool done =
        options->ticket_keys.n > 0 ? digest_trust(&ctx->state->env->pool.mem, options, id) : RAND_bytes(id, SIZE) == 1;
    return done && SSL_CTX_set_session_id_context(ctx->ssl, id, SIZE) == 1;
}

/* Contexts */

/* Where OpenSSL tells of no error, it was our memory that did not suffice. */
static bool say_incomplete(struct sstls_problem *problem)
{
    if (ERR_peek_error() == 0)
        return sstls_say_system(problem, "context", NULL, &ss_no_memory);
    return sstls_say_refused(problem, "context", NULL);
}

static bool set_up_ctx(struct sstls_ctx *ctx, const struct sstls_options *options, struct sstls_problem *problem)
{
    SSL_CTX *ssl = ctx->ssl;
    apply_defaults(ssl);
    if (!apply_conf(ssl, options, problem))
        return false;
    apply_settings(ssl, options->min13);
    if (!has_version(ssl))
        return sstls_say(problem, "context", NULL, "no version of TLS is left between the least and MaxProtocol");
    set_verify_param(ssl, options);
    if (!sstls_use_certificates(ctx->state, ssl, options, problem) || !set_ca(ctx, options, problem) ||
        !set_client_ca(ctx, options, problem) || !set_keylog(ctx, options->keylog, problem))
        return false;
    if (!set_verify_name(ctx, options->verify_name) || !set_alpn(ctx, &options->alpn) ||
        !set_session_context(ctx, options) || !sstls_sessions_set_up(ctx, options))
        return say_incomplete(problem);
    return true;
}

static void link_ctx(struct sstls_ctx *ctx, struct sstls_state *state)
{
    ctx->state = state;
    ctx->next = state->all;
    ctx->link = &state->all;
    if (ctx->next)
        ctx->next->link = &ctx->next;
    state->all = ctx;
}

static struct sstls_ctx *allocate_ctx(struct sstls_state *state, const struct sstls_options *options)
{
    struct sstls_ctx *ctx = ss_mem_resize(&state->env->pool.mem, NULL, 0, sizeof *ctx);
    if (!ctx)
        return NULL;
    memset(ctx, 0, sizeof *ctx);
    link_ctx(ctx, state);
    ctx->users = 1;
    ctx->keylog = -1;
    ctx->verify = options->verify;
    ctx->reports = options->reports;
    ctx->client_optional = options->client_optional;
    ctx->any_name = options->any_name;
    ctx->verify_name_is_address = options->verify_name_is_address;
    ctx->alpn_optional = options->alpn_optional;
    ctx->ncerts = options->cert.n;
    return ctx;
}

struct sstls_ctx *sstls_ctx_new(struct sstls_state *state, const struct sstls_options *options,
                                struct sstls_problem *problem)
{
    struct sstls_ctx *ctx = allocate_ctx(state, options);
    ERR_clear_error();
    if (ctx)
        ctx->ssl = SSL_CTX_new(TLS_method());
    bool made =
        ctx && ctx->ssl ? set_up_ctx(ctx, options, problem) : sstls_say_system(problem, "context", NULL, &ss_no_memory);
    ERR_clear_error();
    if (made)
        return ctx;
    if (ctx)
        free_ctx(ctx);
    return NULL;
}

struct sstls_ctx *sstls_ctx_standard(struct sstls_state *state, struct sstls_problem *problem)
{
    static const struct sstls_source system = { "system", 6 };
    const struct sstls_options options = { .ca = { &system, 1 }, .verify = true, .sessions = 64 };
    if (state->standard && !state->system) { /* it trusts nobody */
        sstls_ctx_drop(state->standard);
        state->standard = NULL;
    }
    if (!state->standard)
        state->standard = sstls_ctx_new(state, &options, problem);
    if (state->standard)
        state->standard->is_standard = true;
    return state->standard;
}

struct sstls_ctx *sstls_ctx_use(struct sstls_ctx *ctx)
{
    ctx->users++;
    return ctx;
}

static void free_ctx(struct sstls_ctx *ctx)
{
    const struct ss_mem *mem = &ctx->state->env->pool.mem;
    struct ss_error ignored;
    *ctx->link = ctx->next;
    if (ctx->next)
        ctx->next->link = ctx->link;
    sstls_sessions_free(ctx);
    SSL_CTX_free(ctx->ssl);
    X509_STORE_free(ctx->client_store);
    if (ctx->keylog >= 0)
        os_close(ctx->keylog, &ignored);
    ss_mem_free(mem, ctx->verify_name, ctx->verify_name ? strlen(ctx->verify_name) + 1 : 0);
    ss_mem_free(mem, ctx->alpn, ctx->alpn_len);
    ss_mem_free(mem, ctx, sizeof *ctx);
    ERR_clear_error();
}

void sstls_ctx_drop(struct sstls_ctx *ctx)
{
    if (--ctx->users == 0)
        free_ctx(ctx);
}
