#include "tls/tls_source.h"
#include "core/codes.h"
#include "os/os_text.h"
#include "tls/tls_compat.h"

#include <errno.h>  /* EINVAL, EFBIG */
#include <limits.h> /* INT_MAX */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>  /* snprintf */
#include <string.h> /* memcpy, strcmp */

/* Problems */

bool sstls_say(struct sstls_problem *problem, const char *option, const char *path, const char *why)
{
    snprintf(problem->text, sizeof problem->text, "%s: %s%s%s", option, path ? path : "", path ? ": " : "", why);
    return false;
}

bool sstls_say_refused(struct sstls_problem *problem, const char *option, const char *path)
{
    unsigned long error = ERR_get_error();
    const char *why = error != 0 ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return sstls_say(problem, option, path, why ? why : "not accepted by OpenSSL");
}

bool sstls_say_system(struct sstls_problem *problem, const char *option, const char *path, const struct ss_error *err)
{
    char text[256];
    return sstls_say(problem, option, path, os_error_text(err, text, sizeof text));
}

/* Sources */

bool sstls_is_text(const struct sstls_source *source)
{
    static const char begin[] = "-----BEGIN";
    const char *at = source->text, *end = source->text + source->len;
    while ((at = memchr(at, '-', (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) >= sizeof begin - 1 && memcmp(at, begin, sizeof begin - 1) == 0)
            return true;
        at++;
    }
    return false;
}

static bool say_unread(struct sstls_problem *problem, const char *option, const char *path, const struct ss_error *err)
{
    char text[128];
    if (err->space != SS_SYSTEM || (err->code != EINVAL && err->code != EFBIG))
        return sstls_say_system(problem, option, path, err);
    if (err->code == EINVAL)
        return sstls_say(problem, option, path, "not a regular file (what a pipe brings can be given as text)");
    snprintf(text, sizeof text, "larger than %d MiB", OS_FILE_MAX >> 20);
    return sstls_say(problem, option, path, text);
}

bool sstls_reader_open(struct sstls_reader *reader, const struct ss_mem *mem, const char *option,
                       const struct sstls_source *source, struct sstls_problem *problem)
{
    struct ss_error err;
    *reader = (struct sstls_reader){ .mem = mem, .option = option };
    struct sstls_source text = *source;
    if (!sstls_is_text(source)) {
        reader->path = source->text;
        if (os_file_read(source->text, mem, &reader->file, &err) != SS_OK)
            return say_unread(problem, option, reader->path, &err);
        text = (struct sstls_source){ reader->file.data, reader->file.len };
    }
    if (text.len <= INT_MAX)
        reader->bio = BIO_new_mem_buf(text.text, (int)text.len);
    if (reader->bio)
        return true;
    os_file_free(mem, &reader->file);
    return sstls_say_system(problem, option, reader->path, &ss_no_memory);
}

void sstls_reader_close(struct sstls_reader *reader)
{
    BIO_free(reader->bio);
    os_file_free(reader->mem, &reader->file);
    ERR_clear_error();
}

/* Whether the last PEM_read_… has found no further block, rather than a bad one. */
static bool is_at_end(void)
{
    unsigned long error = ERR_peek_last_error();
    return error == 0 || (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

struct password {
    const struct sstls_source *text; /* NULL: none */
    bool asked_for;
};

/* A password callback, which never asks anybody. `data`: a struct password, or NULL. */
static int give_password(char *buf, int size, int writing, void *data)
{
    struct password *asked = data;
    const struct sstls_source *password = asked ? asked->text : NULL;
    (void)writing;
    if (asked)
        asked->asked_for = true;
    if (!password || password->len > (size_t)size)
        return -1;
    memcpy(buf, password->text, password->len);
    return (int)password->len;
}

/* Stores of trusted certificates */

static bool add_trusted(X509_STORE *store, X509 *cert, STACK_OF(X509_NAME) * names)
{
    if (!X509_STORE_add_cert(store, cert))
        return false;
    if (!names)
        return true;
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
    if (name && sk_X509_NAME_push(names, name))
        return true;
    X509_NAME_free(name);
    return false;
}

/* Reads all certificates; there must be one. */
static bool trust_all_of(struct sstls_reader *reader, X509_STORE *store, STACK_OF(X509_NAME) * names,
                         struct sstls_problem *problem)
{
    X509 *cert;
    size_t n = 0;
    for (; (cert = PEM_read_bio_X509(reader->bio, NULL, give_password, NULL)) != NULL; n++) {
        bool added = add_trusted(store, cert, names);
        X509_free(cert);
        if (!added)
            return sstls_say_refused(problem, reader->option, reader->path);
    }
    if (!is_at_end())
        return sstls_say_refused(problem, reader->option, reader->path);
    ERR_clear_error();
    return n > 0 || sstls_say(problem, reader->option, reader->path, "no certificate (PEM) in it");
}

static bool trust_directory(X509_STORE *store, const char *option, const char *path, struct sstls_problem *problem)
{
    if (!os_has_hash_links(path))
        return sstls_say(problem, option, path, "no hashed certificates in the directory (openssl rehash makes them)");
    return sstls_load_directory(store, path) == 1 || sstls_say_refused(problem, option, path);
}

static bool trust_source(const struct ss_mem *mem, X509_STORE *store, const char *option,
                         const struct sstls_source *source, STACK_OF(X509_NAME) * names, struct sstls_problem *problem)
{
    struct sstls_reader reader;
    if (!sstls_is_text(source) && os_is_directory(source->text))
        return trust_directory(store, option, source->text, problem);
    if (!sstls_reader_open(&reader, mem, option, source, problem))
        return false;
    bool done = trust_all_of(&reader, store, names, problem);
    sstls_reader_close(&reader);
    return done;
}

/* The system's store: a hashed directory costs nothing until a certificate is looked for in it, a bundle 37 ms. */

static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, Arch */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* older ones */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE */
    "/etc/ssl/cert.pem",                                 /* macOS, FreeBSD, OpenBSD */
    "/usr/local/share/certs/ca-root-nss.crt",            /* FreeBSD's port */
    "/opt/homebrew/etc/ca-certificates/cert.pem",
};

static bool trust_bundle(const struct ss_mem *mem, X509_STORE *store, const char *path)
{
    struct sstls_problem ignored;
    const struct sstls_source source = { path, strlen(path) };
    return trust_source(mem, store, "ca", &source, NULL, &ignored);
}

/* What the environment says, as other programs with OpenSSL have it. False: nothing. */
static bool trust_environment(const struct ss_mem *mem, X509_STORE *store, bool *found)
{
    const char *file = os_env(X509_get_default_cert_file_env()), *dir = os_env(X509_get_default_cert_dir_env());
    bool has_file = file && trust_bundle(mem, store, file);
    bool has_dir = dir && sstls_load_directory(store, dir) == 1;
    *found = has_file || has_dir;
    return file || dir;
}

/* Where nothing is found, nothing is trusted: false. */
static bool trust_system(const struct ss_mem *mem, X509_STORE *store)
{
    const char *dir = X509_get_default_cert_dir();
    bool found;
    if (trust_environment(mem, store, &found))
        return found;
    if (os_has_hash_links(dir))
        return sstls_load_directory(store, dir) == 1;
    for (size_t i = 0; i < sizeof bundles / sizeof *bundles && !found; i++)
        found = trust_bundle(mem, store, bundles[i]);
    return found;
}

/* An empty store is not kept: perhaps there were no descriptors, or there is something next time. */
static X509_STORE *system_store(struct sstls_state *state)
{
    if (!state->system) {
        X509_STORE *store = X509_STORE_new();
        bool found = store && trust_system(&state->env->pool.mem, store);
        ERR_clear_error();
        if (!found)
            return store;
        state->system = store;
    }
    X509_STORE_up_ref(state->system);
    return state->system;
}

/* Revocation lists */

static bool add_lists_of(struct sstls_reader *reader, X509_STORE *store, struct sstls_problem *problem)
{
    X509_CRL *crl;
    size_t n = 0;
    for (; (crl = PEM_read_bio_X509_CRL(reader->bio, NULL, give_password, NULL)) != NULL; n++) {
        int added = X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
        if (!added)
            return sstls_say_refused(problem, reader->option, reader->path);
    }
    if (!is_at_end())
        return sstls_say_refused(problem, reader->option, reader->path);
    ERR_clear_error();
    return n > 0 || sstls_say(problem, reader->option, reader->path, "no revocation list (PEM) in it");
}

static bool add_revocations(const struct ss_mem *mem, X509_STORE *store, const struct sstls_sources *crl,
                            struct sstls_problem *problem)
{
    struct sstls_reader reader;
    bool done = true;
    for (size_t i = 0; i < crl->n && done; i++) {
        if (!sstls_reader_open(&reader, mem, "crl", &crl->items[i], problem))
            return false;
        done = add_lists_of(&reader, store, problem);
        sstls_reader_close(&reader);
    }
    return done;
}

static bool is_system(const struct sstls_source *source)
{
    return source->len == 6 && memcmp(source->text, "system", 6) == 0;
}

static bool fill_store(struct sstls_state *state, X509_STORE *store, const char *option,
                       const struct sstls_sources *sources, const struct sstls_sources *crl,
                       STACK_OF(X509_NAME) * names, struct sstls_problem *problem)
{
    const struct ss_mem *mem = &state->env->pool.mem;
    for (size_t i = 0; i < sources->n; i++) {
        bool system = !names && is_system(&sources->items[i]);
        if (system)
            trust_system(mem, store);
        else if (!trust_source(mem, store, option, &sources->items[i], names, problem))
            return false;
    }
    return add_revocations(mem, store, crl, problem);
}

X509_STORE *sstls_store_new(struct sstls_state *state, const char *option, const struct sstls_sources *sources,
                            const struct sstls_sources *crl, STACK_OF(X509_NAME) * names, struct sstls_problem *problem)
{
    bool shared = !names && sources->n == 1 && is_system(&sources->items[0]) && crl->n == 0;
    X509_STORE *store = shared ? system_store(state) : X509_STORE_new();
    if (!store)
        sstls_say_system(problem, option, NULL, &ss_no_memory);
    if (!store || shared)
        return store;
    bool filled = fill_store(state, store, option, sources, crl, names, problem);
    ERR_clear_error();
    if (filled)
        return store;
    X509_STORE_free(store);
    return NULL;
}

/* Certificates and keys */

/* The rest of a file is the chain. */
static bool use_chain(struct sstls_reader *reader, SSL_CTX *ssl, struct sstls_problem *problem)
{
    X509 *cert;
    while ((cert = PEM_read_bio_X509(reader->bio, NULL, give_password, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
            X509_free(cert);
            return sstls_say_refused(problem, reader->option, reader->path);
        }
    }
    if (!is_at_end())
        return sstls_say_refused(problem, reader->option, reader->path);
    ERR_clear_error();
    return true;
}

static int key_type_of(const X509 *cert)
{
    const EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
    return key ? EVP_PKEY_base_id(key) : EVP_PKEY_NONE;
}

/* Of each type OpenSSL keeps the last certificate alone. */
static bool has_key_type(SSL_CTX *ssl, int type)
{
    long found = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_FIRST);
    for (; found == 1; found = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_NEXT))
        if (key_type_of(SSL_CTX_get0_certificate(ssl)) == type)
            return true;
    return false;
}

static bool use_leaf(struct sstls_reader *reader, SSL_CTX *ssl, X509 **leaf, struct sstls_problem *problem)
{
    *leaf = PEM_read_bio_X509(reader->bio, NULL, give_password, NULL);
    if (!*leaf && is_at_end())
        return sstls_say(problem, reader->option, reader->path, "no certificate (PEM) in it");
    if (*leaf && has_key_type(ssl, key_type_of(*leaf)))
        return sstls_say(problem, reader->option, reader->path, "another certificate has a key of this type as well");
    if (!*leaf || SSL_CTX_use_certificate(ssl, *leaf) != 1)
        return sstls_say_refused(problem, reader->option, reader->path);
    return use_chain(reader, ssl, problem);
}

static bool use_certificate(const struct ss_mem *mem, SSL_CTX *ssl, const struct sstls_source *source, X509 **leaf,
                            struct sstls_problem *problem)
{
    struct sstls_reader reader;
    if (!sstls_reader_open(&reader, mem, "cert", source, problem))
        return false;
    bool done = use_leaf(&reader, ssl, leaf, problem);
    sstls_reader_close(&reader);
    return done;
}

/* Which errors OpenSSL leaves behind depends on its version; whether it has asked for a password does not. */
static bool say_no_key(struct sstls_reader *reader, const struct password *password, struct sstls_problem *problem)
{
    const char *what = "no private key (PEM) in it that OpenSSL can read";
    if (password->asked_for)
        what = password->text ? "the key cannot be decrypted with this password"
                              : "the key is encrypted, and there is no password";
    return sstls_say(problem, reader->option, reader->path, what);
}

static bool use_key_of(struct sstls_reader *reader, SSL_CTX *ssl, X509 *leaf, const struct sstls_source *text,
                       struct sstls_problem *problem)
{
    struct password password = { text, false };
    EVP_PKEY *key = PEM_read_bio_PrivateKey(reader->bio, NULL, give_password, &password);
    if (!key)
        return say_no_key(reader, &password, problem);
    bool fits = X509_check_private_key(leaf, key) == 1;
    bool used = fits && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    if (!fits)
        return sstls_say(problem, reader->option, reader->path, "the key does not fit the certificate");
    return used || sstls_say_refused(problem, reader->option, reader->path);
}

static bool use_key(const struct ss_mem *mem, SSL_CTX *ssl, X509 *leaf, const char *option,
                    const struct sstls_source *source, const struct sstls_source *password,
                    struct sstls_problem *problem)
{
    struct sstls_reader reader;
    if (!sstls_reader_open(&reader, mem, option, source, problem))
        return false;
    bool done = use_key_of(&reader, ssl, leaf, password, problem);
    sstls_reader_close(&reader);
    return done;
}

/* One certificate, and its key, which is among the keys or beside it. */
static bool use_pair(const struct ss_mem *mem, SSL_CTX *ssl, const struct sstls_options *options, size_t i,
                     struct sstls_problem *problem)
{
    X509 *leaf = NULL;
    bool apart = i < options->key.n;
    bool done = use_certificate(mem, ssl, &options->cert.items[i], &leaf, problem) &&
                use_key(mem, ssl, leaf, apart ? "key" : "cert",
                        apart ? &options->key.items[i] : &options->cert.items[i], options->password, problem);
    X509_free(leaf);
    return done;
}

bool sstls_use_certificates(struct sstls_state *state, SSL_CTX *ssl, const struct sstls_options *options,
                            struct sstls_problem *problem)
{
    if (options->key.n > 0 && options->cert.n == 0)
        return sstls_say(problem, "key", NULL, "there is no cert for it");
    if (options->key.n > options->cert.n)
        return sstls_say(problem, "key", NULL, "there are more keys than certificates");
    bool done = true;
    SSL_CTX_set_default_passwd_cb(ssl, give_password);
    for (size_t i = 0; i < options->cert.n && done; i++)
        done = use_pair(&state->env->pool.mem, ssl, options, i, problem);
    return done;
}
