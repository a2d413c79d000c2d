/* Contexts: settings, certificates and sessions that connections share, and what all contexts of a Lua state share. */
#ifndef SS_TLS_CTX_H
#define SS_TLS_CTX_H

#include "core/sock.h"

#include <openssl/ssl.h>

#pragma GCC visibility push(hidden)

struct sstls_ctx;
struct sstls_conn;

struct sstls_state {
    struct ss_env *env;
    BIO_METHOD *method;         /* of our BIO */
    SSL_CTX *hello;             /* of the operation of that name; NULL: not made yet */
    X509_STORE *system;         /* the system's store of certificates; NULL: not looked for yet */
    struct sstls_ctx *standard; /* of clients without one; counted; NULL: not made yet */
    struct sstls_ctx *all;      /* every context */
    struct sstls_conn *holder;  /* the connection that has kept OpenSSL's buffers; NULL: none */
    bool ended;                 /* everything is freed; reject new work */
};

/* False: no memory. */
bool sstls_state_init(struct sstls_state *state, struct ss_env *env);

/* Closes every socket of the Lua state that is a TLS connection, and frees everything. */
void sstls_state_fini(struct sstls_state *state);

/* The key of tickets, in the order in which programs give them. */
struct sstls_ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
};
enum { SSTLS_TICKET_KEY = 80, SSTLS_OWN_KEYS = 3 };

/* A session that a client may resume. */
struct sstls_session {
    SSL_SESSION *session; /* counted */
    char name[SS_HOST_MAX + 1];
    uint16_t port;
};

struct sstls_ctx {
    struct sstls_state *state;
    struct sstls_ctx *next, **link; /* in state->all; *link: what points to this one */
    unsigned users;                 /* the program's object, and each connection */
    SSL_CTX *ssl;
    X509_STORE *client_store; /* what a server trusts; NULL: it asks for no certificate */
    bool is_standard;         /* sstls_ctx_standard has made it */
    bool verify;
    bool reports; /* what verification finds ends no handshake */
    bool client_optional;
    bool any_name; /* a client verifies no name */
    bool verify_name_is_address;
    char *verify_name; /* owned; what a client verifies instead of the name of the connection; NULL: nothing */
    size_t ncerts;
    bool alpn_optional;  /* a server goes on without a protocol in common */
    unsigned char *alpn; /* owned; each name behind a byte with its length */
    size_t alpn_len;
    struct sstls_session *sessions; /* owned; the oldest first */
    size_t nsessions, max_sessions, room_sessions;
    struct sstls_ticket_key *keys; /* owned; the first one seals */
    size_t nkeys;
    bool rotates;                    /* the keys are our own */
    int64_t born_ns[SSTLS_OWN_KEYS]; /* of our own keys, by os_now_ns */
    int keylog;                      /* a descriptor, or -1 */
};

/* A text of PEM, or the path of a file. */
struct sstls_source {
    const char *text;
    size_t len;
};

struct sstls_sources {
    const struct sstls_source *items;
    size_t n;
};

struct sstls_setting {
    const char *name, *value;
};

struct sstls_options {
    struct sstls_sources ca, cert, key, client_ca, crl; /* `ca`: "system" as well */
    bool verify, reports, client_optional, min13;
    const char *verify_name; /* NULL: that of each connection, unless `any_name` */
    bool verify_name_is_address, any_name;
    bool whole_chain; /* of `ca` and `client_ca` only certificates that are self-signed are anchors */
    bool any_purpose; /* a certificate is good for whatever its extended key usage says */
    bool limits_depth;
    size_t depth;                        /* valid with `limits_depth` */
    const struct sstls_source *password; /* NULL: none */
    struct sstls_sources alpn;
    bool alpn_optional;
    size_t sessions;
    struct sstls_sources ticket_keys;
    const char *keylog; /* NULL: none */
    const struct sstls_setting *conf;
    size_t nconf;
};

/* Why there is no context: the option, the file and the cause. */
struct sstls_problem {
    char text[512];
};

/* A context with one user. NULL: *problem tells why. */
struct sstls_ctx *sstls_ctx_new(struct sstls_state *state, const struct sstls_options *options,
                                struct sstls_problem *problem);

/* The context of clients without one. */
struct sstls_ctx *sstls_ctx_standard(struct sstls_state *state, struct sstls_problem *problem);

/* Adds a user; returns `ctx`. */
struct sstls_ctx *sstls_ctx_use(struct sstls_ctx *ctx);

/* Drops a user, and the context with the last one. */
void sstls_ctx_drop(struct sstls_ctx *ctx);

#pragma GCC visibility pop

#endif
