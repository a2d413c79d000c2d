#include "wire.h"
#include "common.h"

#include <sys/socket.h>

struct wire wire_open(const char *host, int port)
{
    return (struct wire){ .fd = dial(host, port) };
}

void wire_send(const struct wire *w, const char *data, size_t len)
{
    send_all(w->fd, data, len);
}

ssize_t wire_recv(const struct wire *w, char *buf, size_t len, bool waits)
{
    return recv(w->fd, buf, len, waits ? 0 : MSG_DONTWAIT);
}
