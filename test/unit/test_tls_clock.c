/* What time does to tickets and sessions: keys that are replaced, and certificates that expire after the first handshake. The clocks
 * are this program's: os_now_ns is wrapped, and libcrypto finds its time(3) here. */
#include "check.h"
#include "tls/tls_cert.h"
#include "tls_rig.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_NAME = 16, HOUR = 3600, DAY = 24 * HOUR };
enum {
    LATER = HOUR + HOUR / 6
}; /* the certificate has expired, and the peer's tickets, which last two hours, have not */

static int64_t clock_ahead_s; /* of tickets' keys */
static time_t last_hour_s;    /* so far ahead, an hour is left of the rig's certificate */
static time_t date_ahead_s;   /* of certificates */

int64_t __real_os_now_ns(void);
int64_t __wrap_os_now_ns(void);
int64_t __wrap_os_now_ns(void)
{
    return __real_os_now_ns() + clock_ahead_s * 1000000000;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where)
        *where = now.tv_sec + date_ahead_s;
    return now.tv_sec + date_ahead_s;
}

/* The peer takes and gives tickets, and asks for them. */
static void open_rig(struct tls_rig *rig, const struct tls_kind *kind)
{
    clock_ahead_s = 0;
    date_ahead_s = last_hour_s;
    tls_rig_open(rig, kind);
    SSL_CTX_clear_options(rig->peer_ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(rig->peer_ctx, 1);
}

/* Keys */

/* A connection in which the peer, a client, offers a session, or none. Whether it is resumed; *fresh: what it may offer next. */
static bool is_resumed(struct tls_rig *rig, SSL_SESSION *offered, SSL_SESSION **fresh)
{
    size_t n;
    struct ss_error err;
    tls_rig_connect(rig);
    if (offered)
        SSL_set_session(rig->peer, offered);
    enum ss_status st = tls_rig_shake(rig);
    CHECKF(st == SS_OK && SSL_is_init_finished(rig->peer), "status %d, %s", (int)st, rig->conn->reason);
    CHECK(tls_rig_write(rig, "data", 4, &n, &err) == SS_OK && rig->got_len == 4); /* behind the ticket */
    const bool resumed = SSL_session_reused(rig->conn->ssl);
    CHECK(resumed == (SSL_session_reused(rig->peer) == 1));
    *fresh = SSL_get1_session(rig->peer);
    SSL_set_shutdown(rig->peer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* or OpenSSL gives the session up */
    tls_rig_disconnect(rig);
    return resumed;
}

/* The name of the key with which its ticket is sealed. */
static const unsigned char *key_of(SSL_SESSION *session)
{
    static const unsigned char none[KEY_NAME];
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    CHECKF(len > KEY_NAME, "%zu", len);
    return len > KEY_NAME ? ticket : none;
}

static bool have_same_key(SSL_SESSION *a, SSL_SESSION *b)
{
    return memcmp(key_of(a), key_of(b), KEY_NAME) == 0;
}

/* The session of a new connection at a time. */
static SSL_SESSION *session_at(struct tls_rig *rig, int64_t seconds)
{
    SSL_SESSION *session;
    clock_ahead_s = seconds;
    CHECK(!is_resumed(rig, NULL, &session));
    return session;
}

static bool opens_at(struct tls_rig *rig, SSL_SESSION *offered, int64_t seconds, SSL_SESSION **fresh)
{
    clock_ahead_s = seconds;
    return is_resumed(rig, offered, fresh);
}

static void check_opens(struct tls_rig *rig, SSL_SESSION *offered, int64_t seconds, bool expected)
{
    SSL_SESSION *fresh;
    const bool resumed = opens_at(rig, offered, seconds, &fresh);
    CHECKF(resumed == expected, "TLS 1.%d after %ld s: %d", rig->kind.tls12 ? 2 : 3, (long)seconds, resumed);
    SSL_SESSION_free(fresh);
}

static const struct tls_kind servers[] = { { .server = true, .sessions = 4 },
                                           { .server = true, .sessions = 4, .tls12 = true } };

/* A key seals for twelve hours, and opens for 36. */
static void test_keys_are_replaced(void)
{
    for (size_t k = 0; k < 2; k++) {
        struct tls_rig rig;
        open_rig(&rig, &servers[k]);
        SSL_SESSION *first = session_at(&rig, 0), *later = session_at(&rig, 12 * HOUR - 60);
        CHECK(have_same_key(first, later));
        SSL_SESSION_free(later);
        later = session_at(&rig, 13 * HOUR);
        CHECK(!have_same_key(first, later));
        check_opens(&rig, first, 13 * HOUR, true);
        SSL_SESSION *last = session_at(&rig, 26 * HOUR);
        CHECK(!have_same_key(later, last) && !have_same_key(first, last));
        check_opens(&rig, first, 36 * HOUR - 60, true);
        check_opens(&rig, first, 36 * HOUR + 60, false);
        check_opens(&rig, first, 40 * HOUR, false);
        check_opens(&rig, later, 48 * HOUR, true);
        check_opens(&rig, later, 50 * HOUR, false);
        SSL_SESSION_free(first);
        SSL_SESSION_free(later);
        SSL_SESSION_free(last);
        tls_rig_close(&rig);
    }
}

/* However long nobody has come. */
static void test_an_old_key_opens_nothing_after_a_pause(void)
{
    for (size_t k = 0; k < 2; k++) {
        struct tls_rig rig;
        open_rig(&rig, &servers[k]);
        SSL_SESSION *first = session_at(&rig, 0);
        check_opens(&rig, first, 40 * HOUR, false);
        check_opens(&rig, first, 4000 * HOUR, false);
        SSL_SESSION_free(first);
        tls_rig_close(&rig);
    }
}

/* A ticket that an older key opens is replaced by one of the present key. */
static void test_an_old_ticket_is_replaced(void)
{
    for (size_t k = 0; k < 2; k++) {
        struct tls_rig rig;
        SSL_SESSION *fresh;
        open_rig(&rig, &servers[k]);
        SSL_SESSION *first = session_at(&rig, 0);
        CHECK(opens_at(&rig, first, 13 * HOUR, &fresh) && !have_same_key(first, fresh));
        check_opens(&rig, fresh, 40 * HOUR, true);
        SSL_SESSION_free(first);
        SSL_SESSION_free(fresh);
        tls_rig_close(&rig);
    }
}

/* Those that a program has given are the program's business. */
static void use_given_keys(struct tls_rig *rig)
{
    static const char keys[2 * SSTLS_TICKET_KEY] = "the name of one.";
    const struct sstls_source pem = { tls_rig_pem(), strlen(tls_rig_pem()) };
    const struct sstls_source given[] = { { keys, SSTLS_TICKET_KEY }, { keys + SSTLS_TICKET_KEY, SSTLS_TICKET_KEY } };
    const struct sstls_options options = {
        .ca = { &pem, 1 }, .cert = { &pem, 1 }, .ticket_keys = { given, 2 }, .verify = true, .sessions = 4
    };
    struct sstls_problem problem;
    sstls_ctx_drop(rig->ctx);
    rig->ctx = sstls_ctx_new(&rig->state, &options, &problem);
    if (!rig->ctx)
        abort();
}

static void test_given_keys_stay(void)
{
    for (size_t k = 0; k < 2; k++) {
        struct tls_rig rig;
        open_rig(&rig, &servers[k]);
        use_given_keys(&rig);
        SSL_SESSION *first = session_at(&rig, 0), *later = session_at(&rig, 400 * HOUR);
        CHECK(memcmp(key_of(first), "the name of one.", KEY_NAME) == 0 && have_same_key(first, later));
        check_opens(&rig, first, 400 * HOUR, true);
        SSL_SESSION_free(first);
        SSL_SESSION_free(later);
        tls_rig_close(&rig);
    }
}

/* Certificates, of which an hour is left */

static void check_expired(struct tls_rig *rig, bool resumed)
{
    enum ss_status st = tls_rig_shake(rig);
    const struct ss_error *err = &rig->shake.op.error;
    CHECKF(st == SS_ERROR && err->space == SS_TLS && err->code == SS_TLS_CERTIFICATE, "status %d, error %d %d, %s",
           (int)st, (int)err->space, err->code, rig->conn->reason);
    CHECKF(rig->conn->verify_error == 0 || rig->conn->verify_error == X509_V_ERR_CERT_HAS_EXPIRED, "%d",
           rig->conn->verify_error);
    CHECKF(strcmp(rig->conn->reason, "certificate has expired (depth 0)") == 0, "%s", rig->conn->reason);
    CHECK((SSL_session_reused(rig->conn->ssl) == 1) == resumed);
}

/* As a server: the client's has expired since. */
static void test_a_client_that_has_expired(void)
{
    for (size_t k = 0; k < 2; k++) {
        const struct tls_kind kind = { .server = true, .client_ca = true, .sessions = 4, .tls12 = k == 1 };
        struct tls_rig rig;
        SSL_SESSION *session, *fresh;
        open_rig(&rig, &kind);
        CHECK(!is_resumed(&rig, NULL, &session));
        CHECK(is_resumed(&rig, session, &fresh));
        date_ahead_s = last_hour_s + LATER;
        tls_rig_connect(&rig);
        SSL_set_session(rig.peer, fresh);
        check_expired(&rig, true);
        tls_rig_disconnect(&rig);
        tls_rig_connect(&rig);
        check_expired(&rig, false);
        tls_rig_disconnect(&rig);
        SSL_SESSION_free(session);
        SSL_SESSION_free(fresh);
        tls_rig_close(&rig);
    }
}

/* The same where verification reports: the connection goes on, and says so. */
static void test_a_client_whose_expiry_is_reported(void)
{
    for (size_t k = 0; k < 2; k++) {
        const struct tls_kind kind = { .server = true, .client_ca = true, .sessions = 4, .tls12 = k == 1 };
        struct tls_rig rig;
        struct sstls_info info;
        SSL_SESSION *session;
        open_rig(&rig, &kind);
        rig.ctx->reports = true;
        CHECK(!is_resumed(&rig, NULL, &session));
        date_ahead_s = last_hour_s + LATER;
        tls_rig_connect(&rig);
        SSL_set_session(rig.peer, session);
        CHECK(tls_rig_shake(&rig) == SS_OK && SSL_session_reused(rig.conn->ssl));
        CHECK(sstls_info_init(&info, rig.conn) && !info.verified);
        CHECKF(strcmp(info.unverified, "certificate has expired (depth 0)") == 0, "%s", info.unverified);
        sstls_info_fini(&info);
        tls_rig_disconnect(&rig);
        SSL_SESSION_free(session);
        tls_rig_close(&rig);
    }
}

/* A connection in which we are the client, and get a session. */
static bool resumes(struct tls_rig *rig)
{
    char bytes[4];
    size_t n;
    struct ss_error err;
    tls_rig_establish(rig);
    tls_rig_peer_write(rig, "data", 4);
    CHECK(tls_rig_read(rig, bytes, 4, &n, &err) == SS_OK);
    const bool resumed = SSL_session_reused(rig->conn->ssl);
    tls_rig_disconnect(rig);
    return resumed;
}

/* As a client: the server's has expired since, before the handshake, or in it. */
static void test_a_server_that_has_expired(void)
{
    for (size_t k = 0; k < 2; k++) {
        const struct tls_kind kind = { .sessions = 4, .tls12 = k == 1 };
        struct tls_rig rig;
        open_rig(&rig, &kind);
        CHECK(!resumes(&rig));
        CHECK(resumes(&rig) && rig.ctx->nsessions > 0);
        tls_rig_connect(&rig);
        date_ahead_s = last_hour_s + LATER;
        check_expired(&rig, true);
        tls_rig_disconnect(&rig);
        date_ahead_s = last_hour_s;
        resumes(&rig);
        date_ahead_s = last_hour_s + LATER;
        CHECK(rig.ctx->nsessions > 0);
        tls_rig_connect(&rig);
        CHECK(rig.ctx->nsessions == 0);
        check_expired(&rig, false);
        tls_rig_disconnect(&rig);
        tls_rig_close(&rig);
    }
}

static time_t find_last_hour(void)
{
    int days, seconds;
    BIO *text = BIO_new_mem_buf(tls_rig_pem(), -1);
    X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    if (!certificate || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        abort();
    X509_free(certificate);
    BIO_free(text);
    return (time_t)days * DAY + seconds - HOUR;
}

int main(void)
{
    last_hour_s = find_last_hour();
    RUN(test_keys_are_replaced);
    RUN(test_an_old_key_opens_nothing_after_a_pause);
    RUN(test_an_old_ticket_is_replaced);
    RUN(test_given_keys_stay);
    RUN(test_a_client_that_has_expired);
    RUN(test_a_client_whose_expiry_is_reported);
    RUN(test_a_server_that_has_expired);
    return check_end();
}
