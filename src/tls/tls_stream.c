#include "tls/tls_stream.h"
#include "tls/tls_bio.h"
#include "tls/tls_compat.h"
#include "tls/tls_failure.h"

#include <errno.h> /* EPIPE, EISCONN, ENOMEM, ENOBUFS, ENOTCONN, ECONNRESET */
#include <openssl/err.h>
#include <string.h>     /* memcpy */
#include <sys/socket.h> /* SHUT_RD, SHUT_WR */

enum {
    MAX_PLAIN = 16384,        /* bytes of a record (RFC 8446 section 5.1) */
    IDLE_MAX = 32,            /* records in a row without data, such as KeyUpdates */
    RECORDS_PER_KEY = 1 << 24 /* RFC 8446 section 5.5 permits 2^24.5 with AES-GCM */
};

const struct ss_error sstls_already = { SS_SYSTEM, EISCONN };
const struct ss_error sstls_unfinished = { SS_TLS, SS_TLS_HANDSHAKE };

static struct sstls_conn *conn_of(const struct ss_io *io)
{
    return (struct sstls_conn *)(uintptr_t)io->via;
}

bool sstls_is_foreign(const struct sstls_conn *conn)
{
    ss_env_forked(conn->sock->env);
    return conn->forks != conn->sock->env->forks;
}

static enum ss_status fail_with(struct ss_error *err, enum ss_space space, int code)
{
    *err = (struct ss_error){ space, code };
    return SS_ERROR;
}

/* Two processes with one key would use sequence numbers twice. */
static enum ss_status check_usable(const struct sstls_conn *conn, struct ss_error *err)
{
    if (sstls_is_foreign(conn))
        return fail_with(err, SS_TLS, SS_TLS_PROTOCOL);
    if (!conn->established)
        *err = sstls_unfinished;
    return conn->established ? SS_OK : SS_ERROR;
}

static enum ss_status check_not_failed(const struct sstls_conn *conn, struct ss_error *err)
{
    if (conn->has_failed)
        *err = conn->failure;
    return conn->has_failed ? SS_ERROR : SS_OK;
}

/* OpenSSL's buffers. SSL_MODE_RELEASE_BUFFERS frees them after each record, and leaves one behind after a ticket. */

/* Versions before 3.0.14 do not look themselves whether a record is in the buffer (CVE-2024-4741). */
static void release_buffers(SSL *ssl)
{
    bool is_between_records = strcmp(SSL_rstate_string(ssl), "RH") == 0;
    if (is_between_records && !SSL_has_pending(ssl))
        SSL_free_buffers(ssl);
}

void sstls_hold_buffers(struct sstls_conn *conn)
{
    struct sstls_state *state = conn->ctx->state;
    if (state->holder == conn)
        return;
    if (state->holder)
        release_buffers(state->holder->ssl);
    state->holder = conn;
}

/* Sending what is encrypted */

enum ss_status sstls_flush(struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = SS_OK;
    while (st == SS_OK && ss_inbuf_len(&conn->out) > 0)
        st = sstls_push(conn, err);
    return st;
}

enum ss_status sstls_flush_at_once(struct sstls_conn *conn, struct ss_error *err)
{
    struct ss_io *io = &conn->sock->io;
    const uint8_t mode = io->mode, calls_left = io->calls_left;
    if (mode == SS_NO_CALL)
        return ss_inbuf_len(&conn->out) > 0 ? SS_WANT : SS_OK;
    ss_io_set_mode(io, SS_NO_WAIT);
    enum ss_status st = sstls_flush(conn, err);
    io->mode = mode;
    io->calls_left = calls_left;
    return st;
}

bool sstls_is_gone(const struct ss_error *err)
{
    return err->space == SS_SYSTEM && (err->code == EPIPE || err->code == ENOTCONN || err->code == ECONNRESET);
}

/* Receiving */

/* A lack of memory may pass; other errors of a receive end the connection. */
static enum ss_status fail_by_receive(struct sstls_conn *conn, struct ss_error *err)
{
    const struct ss_error *cause = &conn->received_error;
    *err = *cause;
    if (cause->space == SS_SYSTEM && (cause->code == ENOMEM || cause->code == ENOBUFS))
        return SS_ERROR;
    return sstls_fail_system(conn, cause, err);
}

enum ss_status sstls_starved(struct sstls_conn *conn, struct ss_error *err)
{
    if (conn->received == SS_ERROR)
        return fail_by_receive(conn, err);
    if (conn->reading_ended)
        return SS_EOF;
    if (conn->received == SS_EOF)
        return sstls_fail(conn, SS_TLS_EOF, "the connection has ended without close_notify", err);
    return SS_WANT;
}

/* A call that has taken no input has written the answer to a record that is counted. */
static enum ss_status count_idle_record(struct sstls_conn *conn, struct ss_error *err)
{
    conn->idle = (uint8_t)(conn->idle + conn->fed);
    if (conn->idle <= IDLE_MAX)
        return SS_OK;
    return sstls_fail(conn, SS_TLS_PROTOCOL, "too many messages without data", err);
}

/* The outcome of an SSL_read_ex that gave nothing. SS_OK: another one may. */
static enum ss_status judge_read(struct sstls_conn *conn, struct ss_error *err)
{
    switch (SSL_get_error(conn->ssl, 0)) {
    case SSL_ERROR_ZERO_RETURN:
        conn->input_ended = true;
        return SS_EOF;
    case SSL_ERROR_WANT_READ:
        return conn->starved ? sstls_starved(conn, err) : count_idle_record(conn, err);
    default:
        return sstls_fail_by_queue(conn, err);
    }
}

typedef int read_function(SSL *ssl, void *data, size_t len, size_t *got);

static enum ss_status read_record(struct sstls_conn *conn, read_function *read, void *data, size_t len, size_t *got,
                                  struct ss_error *err)
{
    enum ss_status st = SS_OK;
    bool done = false;
    sstls_hold_buffers(conn);
    while (st == SS_OK && !done) {
        conn->starved = conn->fed = false;
        sstls_forget_errors();
        done = read(conn->ssl, data, len, got) == 1;
        st = done ? SS_OK : judge_read(conn, err);
    }
    if (done)
        conn->idle = 0;
    else
        sstls_forget_errors();
    return st;
}

/* Whether a call that has got bytes may get more without a receive. */
static bool has_more(const struct sstls_conn *conn)
{
    return ss_inbuf_len(&conn->raw) > 0 || SSL_has_pending(conn->ssl);
}

/* As many records as are in memory after one receive. What ends the stream behind them is found by the next call. */
static enum ss_status read_records(struct sstls_conn *conn, char *data, size_t len, size_t *got, struct ss_error *err)
{
    enum ss_status st = SS_OK;
    conn->held = conn->reading_ended;
    while (st == SS_OK && *got < len && (*got == 0 || has_more(conn))) {
        size_t n = 0;
        st = read_record(conn, SSL_read_ex, data + *got, len - *got, &n, err);
        *got += n;
        conn->held = true;
    }
    conn->held = false;
    return *got > 0 ? SS_OK : st;
}

static enum ss_status check_readable(const struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = check_usable(conn, err);
    if (st == SS_OK && conn->input_ended)
        return SS_EOF;
    return st == SS_OK ? check_not_failed(conn, err) : st;
}

static enum ss_status tls_recv(struct ss_io *io, void *buf, size_t len, bool all, size_t *got, struct ss_error *err)
{
    struct sstls_conn *conn = conn_of(io);
    const size_t unsent = ss_inbuf_len(&conn->out);
    struct ss_error ignored;
    (void)all;
    *got = 0;
    enum ss_status st = check_readable(conn, err);
    if (st != SS_OK)
        return st;
    st = read_records(conn, buf, len, got, err);
    if (ss_inbuf_len(&conn->out) > unsent)
        sstls_flush_at_once(conn, &ignored); /* an answer or an alert; what does not go now goes with the next write */
    return st;
}

static bool tls_is_ready(const struct ss_io *io)
{
    struct sstls_conn *conn = conn_of(io);
    struct ss_error ignored;
    char byte;
    size_t got;
    enum ss_status st = check_readable(conn, &ignored);
    if (st != SS_OK)
        return conn->established;
    if (ss_inbuf_len(&conn->raw) == 0 && SSL_pending(conn->ssl) == 0)
        return conn->reading_ended;
    conn->held = true;
    st = read_record(conn, SSL_peek_ex, &byte, 1, &got, &ignored);
    conn->held = false;
    return st != SS_WANT;
}

/* Sending */

/* What is left of the buffers of a call. */
struct unsent {
    const struct iovec *iov;
    size_t n;
    size_t skip; /* bytes of the first that are gone */
};

static void skip_bytes(struct unsent *left, size_t bytes)
{
    left->skip += bytes;
    while (left->n > 0 && left->skip >= left->iov->iov_len) {
        left->skip -= left->iov->iov_len;
        left->iov++;
        left->n--;
    }
}

/* Where the next record's bytes are, and their number in *n. Small buffers are gathered in `plain`, MAX_PLAIN bytes. */
static const char *next_plain(const struct unsent *left, char *plain, size_t *n)
{
    const char *first = (const char *)left->iov->iov_base + left->skip;
    *n = ss_min_size(left->iov->iov_len - left->skip, MAX_PLAIN);
    if (*n == MAX_PLAIN || left->n == 1)
        return first;
    memcpy(plain, first, *n);
    for (size_t i = 1; i < left->n && *n < MAX_PLAIN; i++) {
        size_t more = ss_min_size(left->iov[i].iov_len, MAX_PLAIN - *n);
        memcpy(plain + *n, left->iov[i].iov_base, more);
        *n += more;
    }
    return plain;
}

/* A ticket has the peer's certificate in it, and may be longer than what is left of the block beside a record. */
static bool has_room_for_ticket(const struct sstls_conn *conn)
{
    enum { AROUND = 1024 };
    const size_t left = SSTLS_OUT + SSTLS_ANSWERS - SSTLS_RECORD - ss_inbuf_len(&conn->out);
    int n = i2d_SSL_SESSION(SSL_get0_session(conn->ssl), NULL);
    return n > 0 && (size_t)n + AROUND <= left;
}

/* Messages that go before data. */
static void prepare_record(struct sstls_conn *conn)
{
    if (conn->ticket_due && has_room_for_ticket(conn))
        sstls_promise_ticket(conn->ssl);
    conn->ticket_due = false;
    if (++conn->records < RECORDS_PER_KEY)
        return;
    conn->records = 0;
    if (SSL_version(conn->ssl) == TLS1_3_VERSION)
        SSL_key_update(conn->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static enum ss_status encrypt_record(struct sstls_conn *conn, const char *plain, size_t n, size_t *taken,
                                     struct ss_error *err)
{
    sstls_hold_buffers(conn);
    sstls_forget_errors();
    prepare_record(conn);
    if (SSL_write_ex(conn->ssl, plain, n, taken)) {
        conn->data_left = ss_inbuf_len(&conn->out);
        return SS_OK;
    }
    enum ss_status st = sstls_fail_by_queue(conn, err);
    sstls_forget_errors();
    return st;
}

/* Sends until there is room for a record. A lack of memory is found before OpenSSL makes one. */
static enum ss_status make_room(struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = SS_OK;
    while (st == SS_OK && !sstls_has_room(conn))
        st = sstls_push(conn, err);
    if (st != SS_OK || sstls_reserve(conn))
        return st;
    *err = ss_no_memory;
    return SS_ERROR;
}

/* The outcome of a handshake function that has not got all of a message. */
static enum ss_status judge_message(struct sstls_conn *conn, int result, struct ss_error *err)
{
    if (SSL_get_error(conn->ssl, result) != SSL_ERROR_WANT_READ)
        return sstls_fail_by_queue(conn, err);
    enum ss_status st = sstls_starved(conn, err);
    return st == SS_EOF ? fail_with(err, SS_SYSTEM, EPIPE) : st; /* the program has ended its input */
}

/* Whether another call waits for input. One that reads and writes is this one. */
static bool has_reader(const struct ss_sock *s)
{
    return s->waiters[0] && s->waiters[0] != s->waiters[1];
}

/* Takes the rest of a message that has come in part. A reader that waits receives it itself. */
static enum ss_status take_message(struct sstls_conn *conn, struct ss_error *err)
{
    sstls_hold_buffers(conn);
    sstls_forget_errors();
    conn->starved = false;
    conn->held = conn->reading_ended || has_reader(conn->sock);
    int result = SSL_do_handshake(conn->ssl);
    enum ss_status st = result == 1 ? SS_OK : judge_message(conn, result, err);
    conn->held = false;
    sstls_forget_errors();
    return st;
}

/* What goes before a record: OpenSSL would receive the rest of a message itself, and wait. */
static enum ss_status end_message(struct sstls_conn *conn, struct ss_error *err)
{
    struct ss_io *io = &conn->sock->io;
    const uint8_t mode = io->mode;
    struct ss_error ignored;
    io->lacks_input = false;
    if (!SSL_in_init(conn->ssl))
        return SS_OK;
    sstls_flush_at_once(conn, &ignored);
    if (mode != SS_NO_CALL)
        io->mode = SS_NO_WAIT;
    enum ss_status st = take_message(conn, err);
    io->mode = mode;
    io->lacks_input = st == SS_WANT;
    return st;
}

static enum ss_status check_writable(const struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = check_usable(conn, err);
    if (st == SS_OK)
        st = check_not_failed(conn, err);
    if (st == SS_OK && conn->output_ended)
        return fail_with(err, SS_SYSTEM, EPIPE);
    return st;
}

static enum ss_status tls_send(struct ss_io *io, const struct iovec *iov, size_t n, size_t *sent, struct ss_error *err)
{
    struct sstls_conn *conn = conn_of(io);
    struct unsent left = { .iov = iov, .n = n };
    char gathered[MAX_PLAIN];
    *sent = 0;
    enum ss_status st = check_writable(conn, err);
    skip_bytes(&left, 0);
    while (st == SS_OK && left.n > 0) {
        size_t len, taken = 0;
        const char *plain = next_plain(&left, gathered, &len);
        st = end_message(conn, err);
        if (st == SS_OK)
            st = make_room(conn, err);
        if (st == SS_OK)
            st = encrypt_record(conn, plain, len, &taken, err);
        skip_bytes(&left, taken);
        *sent += taken;
    }
    return *sent > 0 && st == SS_OK ? sstls_flush(conn, err) : st;
}

static enum ss_status tls_flush(struct ss_io *io, struct ss_error *err)
{
    struct sstls_conn *conn = conn_of(io);
    enum ss_status st = check_usable(conn, err);
    return st == SS_OK ? sstls_flush(conn, err) : st;
}

/* Ending */

/* The block has room for it in any case. */
static void say_close_notify(struct sstls_conn *conn)
{
    if (conn->output_ended)
        return;
    const size_t unsent = ss_inbuf_len(&conn->out);
    conn->output_ended = true;
    sstls_hold_buffers(conn);
    sstls_forget_errors();
    SSL_shutdown(conn->ssl);
    sstls_forget_errors();
    conn->calls.end_size = ss_inbuf_len(&conn->out) - unsent;
}

/* Where the program has ended reading, nobody knows whether the peer has ended its side. */
static enum ss_status send_end(struct sstls_conn *conn, struct ss_error *err)
{
    enum ss_status st = conn->output_ended ? SS_OK : end_message(conn, err);
    if (st != SS_OK)
        return st;
    say_close_notify(conn);
    st = sstls_flush(conn, err);
    bool lacks_nothing = conn->data_left == 0 && (conn->input_ended || !conn->reading_ended);
    return st == SS_ERROR && lacks_nothing && sstls_is_gone(err) ? SS_EOF : st;
}

/* The input ends after the output: until then a call that fails, or whose time is over, has not ended it. */
static enum ss_status tls_end(struct ss_io *io, int how, struct ss_error *err)
{
    struct sstls_conn *conn = conn_of(io);
    enum ss_status st = check_usable(conn, err);
    if (st == SS_OK)
        st = check_not_failed(conn, err);
    if (st == SS_OK && how != SHUT_RD)
        st = send_end(conn, err);
    if (st == SS_OK && how != SHUT_WR)
        conn->reading_ended = true;
    return st;
}

/* The kernel resets a connection that is closed with unread bytes, and the peer may lose what it has not read yet. */
static void drop_what_has_come(struct sstls_conn *conn)
{
    struct ss_error ignored;
    ss_inbuf_clear(&conn->raw);
    ss_io_set_mode(&conn->sock->io, SS_NO_WAIT);
    ss_inbuf_fill_from(&conn->raw, &ss_fd_transport, &conn->sock->io, 1, &ignored);
    ss_inbuf_clear(&conn->raw);
}

static void tls_leave(struct ss_io *io)
{
    struct sstls_conn *conn = conn_of(io);
    struct ss_error ignored;
    if (sstls_is_foreign(conn))
        return;
    ss_io_set_mode(io, SS_NO_WAIT);
    enum ss_status st = sstls_flush(conn, &ignored);
    if (st == SS_OK && conn->established && !conn->has_failed) {
        say_close_notify(conn);
        sstls_flush(conn, &ignored);
    }
    drop_what_has_come(conn);
}

static void tls_settle(struct ss_io *io)
{
    struct sstls_conn *conn = conn_of(io);
    ss_inbuf_shrink(&conn->raw);
    ss_inbuf_shrink(&conn->out);
}

static void tls_free(struct ss_io *io)
{
    sstls_conn_free(conn_of(io));
}

const struct ss_transport sstls_transport = { .recv = tls_recv,
                                              .send = tls_send,
                                              .flush = tls_flush,
                                              .is_ready = tls_is_ready,
                                              .end = tls_end,
                                              .leave = tls_leave,
                                              .settle = tls_settle,
                                              .free = tls_free };

struct sstls_conn *sstls_conn_of(const struct ss_sock *sock)
{
    return ss_io_has_layer(&sock->io) ? conn_of(&sock->io) : NULL;
}
