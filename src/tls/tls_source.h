/* Certificates, keys and revocation lists out of files and texts. */
#ifndef SS_TLS_SOURCE_H
#define SS_TLS_SOURCE_H

#include "os/os_file.h"
#include "tls/tls_ctx.h"

#include <openssl/bio.h>

#pragma GCC visibility push(hidden)

/* The bytes of a source, to be read by OpenSSL. */
struct sstls_reader {
    const struct ss_mem *mem;
    const char *option;
    const char *path; /* NULL: the text itself was given */
    struct os_file file;
    BIO *bio;
};

/* Opens a source, of which `option` is the name for errors. False: *problem is set, nothing is open. */
bool sstls_reader_open(struct sstls_reader *reader, const struct ss_mem *mem, const char *option,
                       const struct sstls_source *source, struct sstls_problem *problem);
void sstls_reader_close(struct sstls_reader *reader);

/* Set *problem and return false. sstls_say_refused: with the cause in OpenSSL's queue of errors, which is then empty. */
bool sstls_say(struct sstls_problem *problem, const char *option, const char *path, const char *why);
bool sstls_say_refused(struct sstls_problem *problem, const char *option, const char *path);
bool sstls_say_system(struct sstls_problem *problem, const char *option, const char *path, const struct ss_error *err);

/* Whether the source is text, not a path. */
bool sstls_is_text(const struct sstls_source *source);

/* The trusted certificates of these sources, all of which must have some; `crl`: revocation lists for them. A store of its own, or
 * the system's alone; counted. `names`: adds the certificates' subjects, NULL: not wanted. NULL: *problem is set. */
X509_STORE *sstls_store_new(struct sstls_state *state, const char *option, const struct sstls_sources *sources,
                            const struct sstls_sources *crl, STACK_OF(X509_NAME) * names,
                            struct sstls_problem *problem);

/* Gives `ssl` chains of certificates and their keys. */
bool sstls_use_certificates(struct sstls_state *state, SSL_CTX *ssl, const struct sstls_options *options,
                            struct sstls_problem *problem);

#pragma GCC visibility pop

#endif
