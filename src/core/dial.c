#include "core/dial.h"
#include "core/codes.h"
#include "os/os_net.h"

#include <errno.h> /* EISCONN, ECONNABORTED, ECONNREFUSED */

/* The dialed port if it is one of those from which the system chooses, and the program has not chosen: where nobody
 * listens there on this machine, the connection may begin and end at this socket (RFC 9293 section 3.5, simultaneous
 * open). Services rarely have such a port, so few connects have to look. */
static uint16_t port_to_check(const struct ss_sock *sock, const struct ss_addr *addr)
{
    enum { UNPRIVILEGED = 1024 };
    uint16_t port = ss_addr_port(addr), *first = &sock->env->first_local_port;
    if (port < *first || port < UNPRIVILEGED || sock->port_chosen)
        return 0;
    if (*first == 0)
        *first = os_first_local_port();
    return port >= *first ? port : 0;
}

static bool is_own_peer(const struct ss_dial *dial)
{
    struct ss_addr local, peer;
    struct ss_error ignored;
    return os_local(dial->fd, &local, &ignored) == SS_OK && ss_addr_port(&local) == dial->own_port &&
           os_peer(dial->fd, &peer, &ignored) == SS_OK && ss_addr_equal(&local, &peer);
}

/* A dial that has succeeded. A connection to itself is what nobody wants: the program would answer itself, and hold the
 * port of the server that it waits for. os_disconnect resets it, so that the port is free at once. */
static enum ss_status reject_own_peer(const struct ss_dial *dial, struct ss_error *err)
{
    struct ss_error ignored;
    if (dial->own_port == 0 || !is_own_peer(dial))
        return SS_OK;
    os_disconnect(dial->fd, &ignored);
    *err = (struct ss_error){ SS_SYSTEM, ECONNREFUSED };
    return SS_ERROR;
}

/* On Linux, only the second connect(2) from here on reports EISCONN if an earlier call returned with the connect in
 * progress, perhaps for a former owner of the descriptor. After the peer has ended the connection, no call does. */
static bool has_peer(int fd)
{
    struct ss_addr peer;
    struct ss_error ignored;
    return os_peer(fd, &peer, &ignored) == SS_OK;
}

static enum ss_status prepare_dial_on_sock_fd(const struct ss_dial *dial, struct ss_sock *sock, struct ss_addr *addr,
                                              struct ss_error *err)
{
    bool connected = sock->connected || has_peer(sock->io.fd);
    sock->attempt++;
    sock->io.taken_error = 0;
    sock->io.conn_error = 0;
    if (!connected && ss_addr_fit(addr, sock->family))
        return ss_sock_set_nonblock(sock, dial->nonblock, err);
    *err = connected ? (struct ss_error){ SS_SYSTEM, EISCONN } : ss_wrong_family;
    return SS_ERROR;
}

static enum ss_status prepare_dial(struct ss_dial *dial, struct ss_sock *sock, struct ss_addr *addr,
                                   struct ss_error *err)
{
    dial->fd = sock->io.fd;
    dial->family = (uint8_t)addr->sa.any.sa_family;
    dial->sndtimeo_ms = 0;
    dial->own_port = port_to_check(sock, addr);
    if (dial->on_sock_fd)
        return prepare_dial_on_sock_fd(dial, sock, addr, err);
    return ss_sock_make_fd(sock, dial->family, dial->nonblock, &dial->fd, err);
}

static enum ss_status forbid_dial_wait(struct ss_dial *dial, struct ss_sock *sock, struct ss_error *err)
{
    dial->nonblock = true;
    return dial->on_sock_fd ? ss_sock_set_nonblock(sock, true, err) : os_nonblock(dial->fd, true, err);
}

/* Sets SO_SNDTIMEO for a connect(2) that may wait. A descriptor that refuses SO_SNDTIMEO becomes non-blocking. Without a deadline
 * the timeout only has a signal end the wait (run/block.c), and a connect over loopback does without: it waits for nobody, unless
 * the listener's queue is full. */
static enum ss_status set_dial_timeout(struct ss_dial *dial, struct ss_sock *sock, const struct ss_addr *addr,
                                       struct ss_error *err)
{
    bool ends_at_once = sock->io.mode == SS_WAIT_ALWAYS && ss_addr_is_loopback(addr);
    int32_t ms = ends_at_once ? 0 : sock->io.kernel_timeout_ms;
    int32_t *current_ms = dial->on_sock_fd ? &sock->kernel_ms[1] : &dial->sndtimeo_ms;
    if (dial->nonblock || *current_ms == ms)
        return SS_OK;
    if (os_kernel_timeout(dial->fd, true, ms, err) != SS_OK)
        return forbid_dial_wait(dial, sock, err);
    *current_ms = ms;
    return SS_OK;
}

/* Whether the connect that has failed can be begun now. ECONNABORTED: an earlier one failed before fromfd imported the descriptor,
 * and on Linux only this one has reset the state. EALREADY: an earlier one is under way, whose call is gone or was a former
 * owner's. */
static bool is_free_again(int fd, const struct ss_error *err)
{
    struct ss_error ignored;
    return err->code == ECONNABORTED || (err->code == EALREADY && os_disconnect(fd, &ignored) == SS_OK);
}

static enum ss_status connect_dial(struct ss_dial *dial, struct ss_sock *sock, const struct ss_addr *addr, bool *retry,
                                   struct ss_error *err)
{
    enum ss_status st = set_dial_timeout(dial, sock, addr, err);
    if (st == SS_OK)
        st = os_connect(dial->fd, addr, retry, err);
    if (st == SS_ERROR && dial->on_sock_fd && is_free_again(dial->fd, err))
        st = os_connect(dial->fd, addr, retry, err);
    if (st == SS_OK)
        return reject_own_peer(dial, err);
    /* A connection on the same machine may be complete. */
    return st == SS_WANT && !*retry ? ss_dial_check(dial, sock, err) : st;
}

enum ss_status ss_dial_start(struct ss_dial *dial, struct ss_sock *sock, struct ss_addr *addr, bool *retry,
                             struct ss_error *err)
{
    *retry = false;
    enum ss_status st = prepare_dial(dial, sock, addr, err);
    if (st != SS_OK)
        return st;
    st = connect_dial(dial, sock, addr, retry, err);
    if (st == SS_ERROR || *retry)
        ss_dial_close(dial);
    return st;
}

struct ss_dial ss_dial_resume(const struct ss_sock *sock)
{
    return (struct ss_dial){
        .fd = sock->io.fd, .own_port = port_to_check(sock, sock->goal), .family = sock->family, .on_sock_fd = true
    };
}

/* The error of a connect that ended although SO_ERROR has none: another call was told of it. */
static struct ss_error told_error(const struct ss_sock *sock)
{
    if (sock->io.taken_error != 0)
        return (struct ss_error){ SS_SYSTEM, sock->io.taken_error };
    return (struct ss_error){ SS_SYSTEM, sock->io.conn_error != 0 ? sock->io.conn_error : ECONNABORTED };
}

/* Other calls may have used the descriptor of a connect that goes on. */
static bool was_told(const struct ss_dial *dial, const struct ss_sock *sock)
{
    return dial->on_sock_fd && (sock->io.taken_error != 0 || (sock->goal && !has_peer(dial->fd)));
}

/* After a failed connect, Linux treats the socket's descriptor as connecting, and other calls fail (listen(2): EINVAL)
 * until os_disconnect. */
enum ss_status ss_dial_check(const struct ss_dial *dial, const struct ss_sock *sock, struct ss_error *err)
{
    struct ss_error ignored;
    enum ss_status st = os_connected(dial->fd, err);
    if (st == SS_OK && was_told(dial, sock)) {
        *err = told_error(sock);
        st = SS_ERROR;
    }
    if (st == SS_ERROR && dial->on_sock_fd)
        os_disconnect(dial->fd, &ignored);
    return st == SS_OK ? reject_own_peer(dial, err) : st;
}

enum ss_status ss_dial_finish(const struct ss_dial *dial, struct ss_sock *sock, struct ss_error *err)
{
    if (!dial->on_sock_fd) {
        enum ss_status st = ss_sock_adopt(sock, dial->fd, dial->family, dial->nonblock, err);
        if (st != SS_OK)
            return st;
        sock->kernel_ms[1] = dial->sndtimeo_ms;
    }
    sock->connected = true;
    return ss_sock_set_nonblock(sock, false, err);
}

void ss_dial_close(const struct ss_dial *dial)
{
    struct ss_error ignored;
    if (!dial->on_sock_fd)
        os_close(dial->fd, &ignored);
}

void ss_dial_cancel(const struct ss_dial *dial)
{
    struct ss_error ignored;
    if (dial->on_sock_fd)
        os_disconnect(dial->fd, &ignored);
    else
        os_close(dial->fd, &ignored);
}
