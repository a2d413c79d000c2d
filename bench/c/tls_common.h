/* TLS for the programs in C: contexts, and connections over a BIO with a buffer for each direction, or SSL_set_fd. */
#ifndef BENCH_TLS_COMMON_H
#define BENCH_TLS_COMMON_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Four records of 16 KiB, and room for what they have besides. */
enum { TLS_BUFFER = 65536 + 1024 };

struct tls {
    SSL *ssl;
    int fd;
    size_t start, end; /* received, not decrypted */
    size_t unsent;     /* encrypted, not sent */
    char in[TLS_BUFFER], out[TLS_BUFFER];
};

/* A context that verifies with the authority of the specs' certificates; a server's, with a certificate for a.test. Sessions are
 * kept, and offered by the next connection, only if the program says so. */
SSL_CTX *tls_client_context(bool resumes);
SSL_CTX *tls_server_context(bool resumes);

/* The client's handshake, with verification of a.test; the session that is kept, if there is one, is resumed. */
void tls_shake_as_client(SSL *ssl);

/* A connection over a socket, after the handshake; `buffered`: with the BIO. */
void tls_connect(struct tls *t, SSL_CTX *ctx, int fd, bool buffered);
void tls_accept(struct tls *t, SSL_CTX *ctx, int fd, bool buffered);

/* Everything, and it is sent then. */
void tls_write(struct tls *t, const char *data, size_t len);

/* Up to `len` bytes; 0: the end. */
size_t tls_readsome(struct tls *t, char *buf, size_t len);

/* Exactly `len` bytes. False: the end. */
bool tls_read(struct tls *t, char *buf, size_t len);

void tls_close(struct tls *t);

#pragma GCC visibility pop

#endif
