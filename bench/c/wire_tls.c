#include "common.h"
#include "tls_common.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <poll.h>
#include <sys/socket.h>

enum { LIMIT_MS = 10000 };

/* A record is received with one call, and takes memory only while it is not whole. */
static SSL_CTX *shared_context(void)
{
    static SSL_CTX *ctx;
    if (!ctx) {
        ctx = tls_client_context(false);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(ctx, 1);
    }
    return ctx;
}

struct wire wire_open(const char *host, int port)
{
    int fd = dial(host, port), on = 1;
    SSL *ssl = SSL_new(shared_context());
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        die("SSL_set_fd");
    tls_shake_as_client(ssl);
    must(fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    return (struct wire){ .fd = fd, .layer = ssl };
}

void wire_send(const struct wire *w, const char *data, size_t len)
{
    size_t taken;
    if (SSL_write_ex(w->layer, data, len, &taken) != 1)
        die("SSL_write");
}

static void await_input(int fd)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    if (must(poll(&pollfd, 1, LIMIT_MS), "poll") == 0)
        die("no answer in ten seconds");
}

ssize_t wire_recv(const struct wire *w, char *buf, size_t len, bool waits)
{
    size_t have = 0, got;
    while (have < len && (have == 0 || SSL_has_pending(w->layer))) {
        if (SSL_read_ex(w->layer, buf + have, len - have, &got) == 1)
            have += got;
        else if (SSL_get_error(w->layer, 0) != SSL_ERROR_WANT_READ)
            return 0;
        else if (have > 0 || !waits)
            break;
        else
            await_input(w->fd);
    }
    errno = EAGAIN;
    return have > 0 ? (ssize_t)have : -1;
}
