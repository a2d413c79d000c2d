#include "tls/tls_bio.h"
#include "tls/tls_stream.h"

#include <string.h> /* memcpy */

/* Receiving */

/* In a handshake the peer answers what OpenSSL has just written: it is sent first, and the answer cannot be there yet. If it cannot
 * be sent, the peer may have told why. */
static bool has_sent_flight(struct sstls_conn *conn)
{
    struct ss_error err;
    if (conn->established || ss_inbuf_len(&conn->out) == 0)
        return true;
    enum ss_status st = sstls_flush_at_once(conn, &err);
    if (st == SS_ERROR && !sstls_is_gone(&err))
        return false; /* the handshake sends it again, and tells the error */
    if (st == SS_ERROR)
        ss_inbuf_clear(&conn->out);
    return st == SS_ERROR || (st == SS_OK && conn->sock->io.mode != SS_NO_WAIT_NOW);
}

static enum ss_status fill_raw(struct sstls_conn *conn)
{
    if (conn->received == SS_EOF)
        return SS_EOF;
    if (conn->held || !has_sent_flight(conn))
        return SS_WANT;
    return ss_inbuf_fill_from(&conn->raw, &ss_fd_transport, &conn->sock->io, 1, &conn->received_error);
}

static int read_from_raw(BIO *bio, char *data, size_t len, size_t *got)
{
    struct sstls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    enum ss_status st = ss_inbuf_len(&conn->raw) > 0 ? SS_OK : fill_raw(conn);
    if (st != SS_OK) {
        conn->received = st;
        conn->starved = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    *got = ss_min_size(len, ss_inbuf_len(&conn->raw));
    memcpy(data, ss_inbuf_data(&conn->raw), *got);
    conn->fed = true;
    ss_inbuf_consume(&conn->raw, *got);
    return 1;
}

/* Sending */

static size_t room_for_output(const struct sstls_conn *conn)
{
    return SSTLS_OUT + SSTLS_ANSWERS - ss_inbuf_len(&conn->out);
}

bool sstls_has_room(const struct sstls_conn *conn)
{
    return ss_inbuf_len(&conn->out) + SSTLS_RECORD <= SSTLS_OUT;
}

/* Provides `len` bytes behind the unsent ones; the block may have been made smaller. False: no memory. */
static bool reserve_output(struct ss_inbuf *out, size_t len)
{
    struct ss_error ignored;
    struct ss_block *block = out->block;
    if (!block)
        return ss_inbuf_borrow(out, SSTLS_OUT + SSTLS_ANSWERS, &ignored) == SS_OK;
    if (block->size - block->end >= len)
        return true;
    memmove(block->bytes, block->bytes + block->start, block->end - block->start);
    block->end -= block->start;
    block->start = 0;
    if (block->size - block->end >= len)
        return true;
    block = ss_pool_resize(out->pool, block, SSTLS_OUT + SSTLS_ANSWERS);
    if (block)
        out->block = block;
    return block != NULL;
}

bool sstls_reserve(struct sstls_conn *conn)
{
    return reserve_output(&conn->out, SSTLS_RECORD + SSTLS_ANSWERS / 2);
}

static void append_output(struct ss_inbuf *out, const char *data, size_t len)
{
    struct ss_block *block = out->block;
    memcpy(block->bytes + block->end, data, len);
    block->end += len;
    if (block->used < block->end)
        block->used = block->end;
}

/* In the handshake a chain of certificates may be longer than the block, and OpenSSL goes on with the rest. Later it is never asked
 * to: a record goes in whole, or the connection ends. */
static int write_to_out(BIO *bio, const char *data, size_t len, size_t *taken)
{
    struct sstls_conn *conn = BIO_get_data(bio);
    size_t room = room_for_output(conn);
    BIO_clear_retry_flags(bio);
    *taken = conn->established && room < len ? 0 : ss_min_size(len, room);
    conn->lacks_memory = *taken > 0 && !reserve_output(&conn->out, *taken);
    if (*taken > 0 && !conn->lacks_memory) {
        append_output(&conn->out, data, *taken);
        return 1;
    }
    *taken = 0;
    conn->overflowed = conn->established;
    if (!conn->established)
        BIO_set_retry_write(bio);
    return -1;
}

enum ss_status sstls_push(struct sstls_conn *conn, struct ss_error *err)
{
    struct iovec iov = { .iov_base = (void *)ss_inbuf_data(&conn->out), .iov_len = ss_inbuf_len(&conn->out) };
    size_t sent = 0;
    if (iov.iov_len == 0)
        return SS_OK;
    enum ss_status st = ss_fd_transport.send(&conn->sock->io, &iov, 1, &sent, err);
    if (st != SS_OK)
        return st;
    ss_inbuf_consume(&conn->out, sent);
    conn->data_left -= ss_min_size(conn->data_left, sent);
    return SS_OK;
}

/* The BIO */

static long control_bio(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int create_bio(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *sstls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "ssocket");
    if (!method)
        return NULL;
    if (BIO_meth_set_read_ex(method, read_from_raw) && BIO_meth_set_write_ex(method, write_to_out) &&
        BIO_meth_set_ctrl(method, control_bio) && BIO_meth_set_create(method, create_bio))
        return method;
    BIO_meth_free(method);
    return NULL;
}

BIO *sstls_bio_new(const BIO_METHOD *method, struct sstls_conn *conn)
{
    BIO *bio = BIO_new(method);
    if (bio)
        BIO_set_data(bio, conn);
    return bio;
}
