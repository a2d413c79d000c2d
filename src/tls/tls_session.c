#include "tls/tls_session.h"
#include "os/os_clock.h"
#include "tls/tls_compat.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h> /* memcmp, memcpy, memmove, strcmp */

/* Sessions of clients */

enum { SESSIONS_PER_PEER = 4 }; /* a server of TLS 1.3 sends two tickets with each connection */

static bool is_session_of(const struct sstls_session *kept, const struct sstls_conn *conn)
{
    return kept->port == conn->port && strcmp(kept->name, conn->name) == 0;
}

static void remove_session(struct sstls_ctx *ctx, size_t i)
{
    SSL_SESSION_free(ctx->sessions[i].session);
    ctx->nsessions--;
    memmove(&ctx->sessions[i], &ctx->sessions[i + 1], (ctx->nsessions - i) * sizeof *ctx->sessions);
}

/* Removes the oldest session of a peer that has too many, and the oldest of all if there is no room. */
static void make_room_for_session(struct sstls_ctx *ctx, const struct sstls_conn *conn)
{
    size_t of_peer = 0, oldest = 0;
    for (size_t i = ctx->nsessions; i-- > 0;)
        if (is_session_of(&ctx->sessions[i], conn)) {
            of_peer++;
            oldest = i;
        }
    if (of_peer >= SESSIONS_PER_PEER)
        remove_session(ctx, oldest);
    if (ctx->nsessions >= ctx->max_sessions)
        remove_session(ctx, 0);
}

static bool reserve_session(struct sstls_ctx *ctx)
{
    const size_t room = ctx->room_sessions, more = room == 0 ? 4 : 2 * room;
    if (ctx->nsessions < room)
        return true;
    struct sstls_session *grown =
        ss_mem_resize(&ctx->state->env->pool.mem, ctx->sessions, room * sizeof *grown, more * sizeof *grown);
    if (!grown)
        return false;
    ctx->sessions = grown;
    ctx->room_sessions = more;
    return true;
}

/* Called by OpenSSL with a new session of a client. 1: it is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct sstls_conn *conn = SSL_get_app_data(ssl);
    struct sstls_ctx *ctx = conn ? conn->ctx : NULL;
    if (!ctx || conn->server || conn->name[0] == '\0' || ctx->max_sessions == 0)
        return 0;
    make_room_for_session(ctx, conn);
    if (!reserve_session(ctx))
        return 0;
    struct sstls_session *kept = &ctx->sessions[ctx->nsessions++];
    kept->session = session;
    kept->port = conn->port;
    memcpy(kept->name, conn->name, sizeof kept->name);
    return 1;
}

/* A peer whose certificate has expired may have another one: a full handshake tells. */
static bool is_fresh(SSL_SESSION *session)
{
    const X509 *cert = SSL_SESSION_get0_peer(session);
    return !cert || !sstls_has_expired(cert);
}

/* Takes the peer's newest session; NULL: there is none. One of TLS 1.3 is used once (RFC 8446 appendix C.4). */
static SSL_SESSION *take_session(struct sstls_ctx *ctx, const struct sstls_conn *conn)
{
    for (size_t i = ctx->nsessions; i-- > 0;) {
        SSL_SESSION *session = ctx->sessions[i].session;
        if (!is_session_of(&ctx->sessions[i], conn))
            continue;
        bool fresh = is_fresh(session);
        if (fresh)
            SSL_SESSION_up_ref(session);
        if (!fresh || SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
            remove_session(ctx, i);
        if (fresh)
            return session;
    }
    return NULL;
}

void sstls_session_offer(struct sstls_conn *conn)
{
    SSL_SESSION *session = take_session(conn->ctx, conn);
    ERR_clear_error();
    if (session)
        SSL_set_session(conn->ssl, session);
    SSL_SESSION_free(session);
    ERR_clear_error();
}

/* Keys of tickets */

#define HOURS_NS ((int64_t)3600 * 1000000000)
#define SEALS_NS (12 * HOURS_NS) /* a key seals for so long */
#define OPENS_NS (36 * HOURS_NS) /* and opens for so long */

enum { TICKET_SECONDS = 24 * 3600 };

static bool make_key(struct sstls_ctx *ctx, size_t i)
{
    ctx->born_ns[i] = os_now_ns();
    return RAND_bytes((unsigned char *)&ctx->keys[i], (int)sizeof *ctx->keys) == 1;
}

/* Our own keys: when the first has sealed for long enough a new one takes its place. False: no random numbers. */
static bool rotate_keys(struct sstls_ctx *ctx)
{
    if (!ctx->rotates || os_now_ns() - ctx->born_ns[0] < SEALS_NS)
        return true;
    memmove(&ctx->keys[1], &ctx->keys[0], (SSTLS_OWN_KEYS - 1) * sizeof *ctx->keys);
    memmove(&ctx->born_ns[1], &ctx->born_ns[0], (SSTLS_OWN_KEYS - 1) * sizeof *ctx->born_ns);
    if (ctx->nkeys < SSTLS_OWN_KEYS)
        ctx->nkeys++;
    return make_key(ctx, 0);
}

/* The index of the key with that name; ctx->nkeys: there is none, or it is too old. */
static size_t find_key(const struct sstls_ctx *ctx, const unsigned char name[16])
{
    size_t i = 0;
    while (i < ctx->nkeys && memcmp(ctx->keys[i].name, name, sizeof ctx->keys[i].name) != 0)
        i++;
    bool too_old = i < ctx->nkeys && ctx->rotates && os_now_ns() - ctx->born_ns[i] >= OPENS_NS;
    return too_old ? ctx->nkeys : i;
}

static int seal_ticket(struct sstls_ctx *ctx, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       SSTLS_MAC *mac)
{
    struct sstls_ticket_key *key = &ctx->keys[0];
    memcpy(name, key->name, sizeof key->name);
    if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
        return -1;
    bool done = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1 &&
                sstls_mac_init(mac, key->mac, sizeof key->mac) == 1;
    return done ? 1 : -1;
}

/* 0: the ticket is not ours, a full handshake follows | 2: it is to be replaced. */
static int open_ticket(struct sstls_ctx *ctx, const unsigned char name[16], const unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, SSTLS_MAC *mac)
{
    size_t i = find_key(ctx, name);
    if (i == ctx->nkeys)
        return 0;
    struct sstls_ticket_key *key = &ctx->keys[i];
    bool done = sstls_mac_init(mac, key->mac, sizeof key->mac) == 1 &&
                EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1;
    return !done ? -1 : i == 0 ? 1 : 2;
}

static int handle_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, SSTLS_MAC *mac,
                         int sealing)
{
    const struct sstls_conn *conn = SSL_get_app_data(ssl);
    if (!conn || conn->ctx->nkeys == 0 || !rotate_keys(conn->ctx))
        return sealing ? -1 : 0;
    return sealing ? seal_ticket(conn->ctx, name, iv, cipher, mac) : open_ticket(conn->ctx, name, iv, cipher, mac);
}

static bool allocate_keys(struct sstls_ctx *ctx, size_t n)
{
    ctx->keys = ss_mem_resize(&ctx->state->env->pool.mem, NULL, 0, n * sizeof *ctx->keys);
    if (ctx->keys)
        memset(ctx->keys, 0, n * sizeof *ctx->keys);
    return ctx->keys != NULL;
}

static bool set_up_keys(struct sstls_ctx *ctx, const struct sstls_sources *given)
{
    ctx->rotates = given->n == 0;
    if (!allocate_keys(ctx, ctx->rotates ? SSTLS_OWN_KEYS : given->n))
        return false;
    ctx->nkeys = ctx->rotates ? 1 : given->n;
    for (size_t i = 0; i < given->n; i++)
        memcpy(&ctx->keys[i], given->items[i].text, sizeof *ctx->keys);
    return !ctx->rotates || make_key(ctx, 0);
}

static void forbid_tickets(SSL_CTX *ssl)
{
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ssl, 0);
}

bool sstls_sessions_set_up(struct sstls_ctx *ctx, const struct sstls_options *options)
{
    ctx->max_sessions = options->sessions;
    if (ctx->max_sessions == 0) {
        forbid_tickets(ctx->ssl);
        return true;
    }
    if (!set_up_keys(ctx, &options->ticket_keys))
        return false;
    SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx->ssl, keep_session);
    SSL_CTX_set_timeout(ctx->ssl, TICKET_SECONDS);
    SSL_CTX_set_num_tickets(ctx->ssl, SSTLS_HANDSHAKE_TICKETS);
    return sstls_set_ticket_callback(ctx->ssl, handle_ticket) == 1;
}

void sstls_sessions_free(struct sstls_ctx *ctx)
{
    const struct ss_mem *mem = &ctx->state->env->pool.mem;
    size_t room = ctx->rotates ? SSTLS_OWN_KEYS : ctx->nkeys;
    while (ctx->nsessions > 0)
        remove_session(ctx, ctx->nsessions - 1);
    ss_mem_free(mem, ctx->sessions, ctx->room_sessions * sizeof *ctx->sessions);
    if (ctx->keys)
        OPENSSL_cleanse(ctx->keys, room * sizeof *ctx->keys);
    ss_mem_free(mem, ctx->keys, room * sizeof *ctx->keys);
    ctx->keys = NULL;
    ctx->sessions = NULL;
}
