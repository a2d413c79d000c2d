/* Each allocation of OpenSSL's and of ours fails once: an error, and nothing is left behind. */
#include "check.h"
#include "tls_talk.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL's allocator: of the requests that count the one with this number fails; 0: none. */
static size_t requests, fails_at;
static bool everything_counts;

static bool is_refused(void)
{
    return (everything_counts || tls_rig_runs_ours) && ++requests == fails_at;
}

static void *take_memory(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n == 0 || is_refused() ? NULL : malloc(n);
}

static void *resize_memory(void *old, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    if (n == 0) {
        free(old);
        return NULL;
    }
    return is_refused() ? NULL : realloc(old, n);
}

static void give_memory(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

static void fail_at(size_t n, bool everything)
{
    requests = 0;
    fails_at = n;
    everything_counts = everything;
}

static struct sstls_ctx *make_server_ctx(struct tls_rig *rig, struct sstls_problem *problem)
{
    const struct sstls_source pem = { tls_rig_pem(), strlen(tls_rig_pem()) };
    const struct sstls_source protocol = { "h2", 2 };
    struct sstls_options options = { .ca = { &pem, 1 }, .cert = { &pem, 1 }, .client_ca = { &pem, 1 }, .verify = true };
    options.alpn = (struct sstls_sources){ &protocol, 1 };
    options.sessions = 4;
    problem->text[0] = '\0';
    return sstls_ctx_new(&rig->state, &options, problem);
}

/* A context takes thousands of requests and milliseconds: one in 29. OpenSSL does without some of its memory, such as for a queue of errors: then the context is made. */
static void test_contexts(void)
{
    struct tls_rig rig;
    struct sstls_problem problem;
    size_t refused = 0;
    tls_rig_open(&rig, &talk_kinds[1]);
    for (size_t n = 1; n == 1 || requests >= fails_at; n += 29) {
        fail_at(n, true);
        struct sstls_ctx *ctx = make_server_ctx(&rig, &problem);
        everything_counts = false;
        CHECKF(ctx || problem.text[0] != '\0', "%zu: no reason", n);
        CHECKF(ERR_peek_error() == 0, "%zu: an error is left", n);
        refused += !ctx;
        if (ctx)
            sstls_ctx_drop(ctx);
    }
    CHECKF(refused > 5, "%zu", refused);
    fail_at(0, false);
    tls_rig_close(&rig);
}

/* That it was memory is told. */
static void test_our_memory_in_contexts(void)
{
    struct tls_rig rig;
    struct sstls_problem problem;
    struct sstls_ctx *ctx = NULL;
    size_t refused = 0;
    tls_rig_open(&rig, &talk_kinds[1]);
    for (size_t n = 1; !ctx; n++) {
        rig.heap.fail_from = rig.heap.requests + n;
        rig.heap.fail_count = 1;
        ctx = make_server_ctx(&rig, &problem);
        CHECKF(ctx || strstr(problem.text, strerror(ENOMEM)), "%zu: %s", n, problem.text);
        CHECKF(ERR_peek_error() == 0, "%zu: an error is left", n);
        refused += !ctx;
    }
    CHECKF(refused >= 3, "%zu", refused); /* itself, its protocols, its keys */
    rig.heap.fail_from = 0;
    sstls_ctx_drop(ctx);
    tls_rig_close(&rig);
}

static void check_talk(struct tls_rig *rig, const struct talk *t, const char *what, size_t n)
{
    if (t->st == SS_OK)
        talk_check_all(rig, t, what, n);
    CHECKF(t->st == SS_OK || t->st == SS_ERROR, "%s %zu: status %d, %s", what, n, (int)t->st, rig->conn->reason);
    talk_check_prefixes(rig, t, what, n);
}

static void check_library_memory(const struct tls_kind *kind)
{
    struct tls_rig rig;
    struct talk t;
    size_t failed = 0, told = 0;
    tls_rig_open(&rig, kind);
    for (size_t n = 1; n == 1 || requests >= fails_at; n++) {
        tls_rig_connect(&rig);
        fail_at(n, false);
        talk_run(&rig, &t);
        failed += t.st != SS_OK;
        told += t.st == SS_ERROR && t.err.space == SS_SYSTEM && t.err.code == ENOMEM;
        check_talk(&rig, &t, "OpenSSL's request", n);
        tls_rig_disconnect(&rig);
    }
    CHECKF(failed > 50, "%zu", failed);
    CHECKF(told * 4 > failed, "%zu of %zu say that it was memory", told, failed); /* OpenSSL forgets it in others */
    fail_at(0, false);
    tls_rig_close(&rig);
}

static void test_a_client(void)
{
    check_library_memory(&talk_kinds[0]);
}

static void test_a_server(void)
{
    check_library_memory(&talk_kinds[1]);
}

static void test_our_memory(void)
{
    for (size_t k = 0; k < TALK_KINDS; k++) {
        struct tls_rig rig;
        struct talk t;
        tls_rig_open(&rig, &talk_kinds[k]);
        for (size_t n = 1, before = 0; n == 1 || rig.heap.requests - before >= n - 1; n++) {
            tls_rig_connect(&rig);
            before = rig.heap.requests;
            rig.heap.fail_from = before + n;
            rig.heap.fail_count = 1;
            talk_run(&rig, &t);
            rig.heap.fail_from = 0;
            check_talk(&rig, &t, "our request", n);
            tls_rig_disconnect(&rig);
        }
        tls_rig_close(&rig);
    }
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(take_memory, resize_memory, give_memory))
        return 1;
    RUN(test_contexts);
    RUN(test_our_memory_in_contexts);
    RUN(test_a_client);
    RUN(test_a_server);
    RUN(test_our_memory);
    return check_end();
}
