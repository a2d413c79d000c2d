/* The causes that programs branch on: which outcome is which, and their texts, which never change. */
#include "check.h"
#include "core/codes.h"
#include "core/tls_codes.h"

#include <errno.h>
#include <netdb.h> /* EAI_* */
#include <stdbool.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_texts(void)
{
    static const struct ss_code_text expected[SS_CODES] = {
        { "ERROR_TIMEOUT", "Operation timed out", "ETIMEDOUT" },
        { "ERROR_CLOSED", "Connection closed", "EPIPE" },
        { "ERROR_REFUSED", "Connection refused", "ECONNREFUSED" },
        { "ERROR_RESET", "Connection reset by peer", "ECONNRESET" },
        { "ERROR_INUSE", "Address already in use", "EADDRINUSE" },
        { "ERROR_UNREACHABLE", "Network is unreachable", "ENETUNREACH" },
        { "ERROR_NOROUTE", "No route to host", "EHOSTUNREACH" },
        { "ERROR_NOTFOUND", "Name or service not known", "EAI_NONAME" },
        { "ERROR_TOOBIG", "Message too long", "EMSGSIZE" },
        { "ERROR_TRUNCATED", "Datagram truncated", NULL },
        { "ERROR_ACCESS", "Permission denied", "EACCES" },
        { "ERROR_LIMIT", "Limit exceeded", NULL },
        { "ERROR_BUSY", "Another task waits on the socket", NULL },
        { "ERROR_CANCELLED", "Task cancelled", NULL },
    };
    for (int i = 0; i < SS_CODES; i++) {
        CHECKF(strcmp(ss_codes[i].name, expected[i].name) == 0, "%d is %s", i, ss_codes[i].name);
        CHECKF(same_text(ss_codes[i].symbol, expected[i].symbol), "%s has another symbol", ss_codes[i].name);
        CHECKF(strcmp(ss_codes[i].text, expected[i].text) == 0, "%s is '%s'", ss_codes[i].name, ss_codes[i].text);
    }
}

static void test_outcomes_without_a_cause(void)
{
    CHECK(ss_code_of(SS_TIMEOUT, NULL) == SS_CODE_TIMEOUT);
    CHECK(ss_code_of(SS_EOF, NULL) == SS_CODE_CLOSED);
    CHECK(ss_code_of(SS_CLOSED, NULL) == SS_CODE_CLOSED);
    CHECK(ss_code_of(SS_LIMIT, NULL) == SS_CODE_LIMIT);
    CHECK(ss_code_of(SS_BUSY, NULL) == SS_CODE_BUSY);
    CHECK(ss_code_of(SS_CANCELLED, NULL) == SS_CODE_CANCELLED);
    CHECK(ss_code_of(SS_TRUNCATED, NULL) == SS_CODE_TRUNCATED);
}

struct cause {
    int code;
    enum ss_code expected;
};

static void check_causes(enum ss_space space, const struct cause *causes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ss_error err = { space, causes[i].code };
        enum ss_code code = ss_code_of(SS_ERROR, &err);
        CHECKF(code == causes[i].expected, "%d in space %d is %d", causes[i].code, space, code);
    }
}

static void test_causes_of_the_system(void)
{
    static const struct cause causes[] = {
        { ETIMEDOUT, SS_CODE_TIMEOUT },
        { EPIPE, SS_CODE_CLOSED },
        { ECONNREFUSED, SS_CODE_REFUSED },
        { ECONNRESET, SS_CODE_RESET },
        { EADDRINUSE, SS_CODE_INUSE },
        { ENETUNREACH, SS_CODE_UNREACHABLE },
        { EHOSTUNREACH, SS_CODE_NOROUTE },
        { EMSGSIZE, SS_CODE_TOOBIG },
        { EACCES, SS_CODE_ACCESS },
        { 0, SS_CODES },
        { EBADF, SS_CODES },
        { ENOMEM, SS_CODES },
        { ENOTCONN, SS_CODES },
        { EISCONN, SS_CODES },
        { ENOENT, SS_CODES },
        { ENAMETOOLONG, SS_CODES },
        { EAI_NONAME, SS_CODES },
    };
    check_causes(SS_SYSTEM, causes, sizeof causes / sizeof *causes);
}

/* The same numbers mean something else here. */
static void test_causes_of_the_resolver(void)
{
    static const struct cause causes[] = {
        { EAI_NONAME, SS_CODE_NOTFOUND }, { EAI_AGAIN, SS_CODES },    { EAI_FAIL, SS_CODES },
        { EAI_MEMORY, SS_CODES },         { ECONNREFUSED, SS_CODES }, { ETIMEDOUT, SS_CODES },
    };
    check_causes(SS_RESOLVER, causes, sizeof causes / sizeof *causes);
}

/* They have texts, and no code: their constants are another module's. */
static void test_causes_of_tls(void)
{
    static const struct ss_tls_code_text expected[SS_TLS_CODES] = {
        { "ERROR_CERTIFICATE", "Certificate verify failed" }, { "ERROR_ALERT", "TLS alert received" },
        { "ERROR_PROTOCOL", "TLS protocol error" },           { "ERROR_EOF", "TLS stream truncated" },
        { "ERROR_HANDSHAKE", "TLS handshake not finished" },
    };
    for (int code = 0; code < SS_TLS_CODES; code++) {
        check_causes(SS_TLS, &(struct cause){ code, SS_CODES }, 1);
        CHECKF(same_text(ss_tls_codes[code].name, expected[code].name), "%d is %s", code, ss_tls_codes[code].name);
        CHECKF(same_text(ss_tls_codes[code].text, expected[code].text), "%d is '%s'", code, ss_tls_codes[code].text);
    }
    check_causes(SS_TLS, &(struct cause){ ECONNRESET, SS_CODES }, 1);
}

static void test_no_failure_has_no_code(void)
{
    CHECK(ss_code_of(SS_OK, &ss_not_open) == SS_CODES && ss_code_of(SS_WANT, &ss_not_open) == SS_CODES);
}

static bool is(const struct ss_error *err, enum ss_space space, int code)
{
    return err->space == space && err->code == code;
}

static void test_errors_made_here(void)
{
    CHECK(is(&ss_not_found, SS_RESOLVER, EAI_NONAME) && ss_code_of(SS_ERROR, &ss_not_found) == SS_CODE_NOTFOUND);
    CHECK(ss_code_of(SS_ERROR, &ss_no_address) == SS_CODE_NOTFOUND && ss_no_address.code != EAI_NONAME);
    CHECK(is(&ss_no_interface, SS_SYSTEM, ENODEV));
    CHECK(is(&ss_not_open, SS_SYSTEM, EBADF));
    CHECK(is(&ss_already_owned, SS_SYSTEM, EBUSY));
    CHECK(is(&ss_no_memory, SS_SYSTEM, ENOMEM));
    CHECK(is(&ss_wrong_family, SS_SYSTEM, EAFNOSUPPORT));
}

int main(void)
{
    RUN(test_texts);
    RUN(test_outcomes_without_a_cause);
    RUN(test_causes_of_the_system);
    RUN(test_causes_of_the_resolver);
    RUN(test_causes_of_tls);
    RUN(test_no_failure_has_no_code);
    RUN(test_errors_made_here);
    return check_end();
}
