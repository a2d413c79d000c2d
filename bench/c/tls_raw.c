/* Work over TLS in plain C on the same OpenSSL, with blocking sockets.
 *
 *   tls_raw WORK HOST PORT N SIZE DELIMITER */
#include "common.h"
#include "tls_common.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SKIPPED = 77, PIECE = 65536, MESSAGE = 64 };

struct args {
    const char *host;
    int port;
    long n;
    size_t size;
    const char *delim;
};

static struct tls conn;

static void open_conn(const struct args *a, bool buffered)
{
    tls_connect(&conn, tls_client_context(false), dial(a->host, a->port), buffered);
}

static void check(bool done)
{
    if (!done)
        die("the connection has ended");
}

static char *random_data(size_t len)
{
    char *data = get_memory(len);
    fill_random(data, len);
    return data;
}

static void pingpong(const struct args *a)
{
    char *data = random_data(a->size), *buf = get_memory(a->size);
    open_conn(a, true);
    meter_start();
    for (long i = 0; i < a->n; i++) {
        tls_write(&conn, data, a->size);
        check(tls_read(&conn, buf, a->size));
    }
    meter_stop((double)a->n);
}

static void write_one(const struct args *a)
{
    char *data = random_data(a->size);
    open_conn(a, true);
    meter_start();
    for (long i = 0; i < a->n; i++)
        tls_write(&conn, data, a->size);
    meter_stop((double)a->n);
}

static void read_pieces(const struct args *a, bool buffered)
{
    char *buf = get_memory(a->size);
    open_conn(a, buffered);
    meter_start();
    for (long i = 0; i < a->n; i++)
        check(tls_read(&conn, buf, a->size));
    meter_stop((double)a->n);
}

static void read_buffered(const struct args *a)
{
    read_pieces(a, true);
}

static void read_by_fd(const struct args *a)
{
    read_pieces(a, false);
}

/* Whatever comes, in units of a->size. */
static void readsome(const struct args *a)
{
    char *buf = get_memory(PIECE);
    size_t goal = (size_t)a->n * a->size;
    open_conn(a, true);
    meter_start();
    for (size_t have = 0, got; have < goal; have += got) {
        got = tls_readsome(&conn, buf, PIECE);
        check(got > 0);
    }
    meter_stop((double)a->n);
}

static void lines(const struct args *a)
{
    char *buf = get_memory(2 * PIECE), *line = get_memory(a->size), *at = buf, *end = buf;
    open_conn(a, true);
    meter_start();
    for (long i = 0; i < a->n; i++) {
        char *hit;
        while (!(hit = memchr(at, '\n', (size_t)(end - at)))) {
            memmove(buf, at, (size_t)(end - at));
            end = buf + (end - at);
            at = buf;
            size_t got = tls_readsome(&conn, end, PIECE);
            check(got > 0);
            end += got;
        }
        check((size_t)(hit - at) <= a->size);
        memcpy(line, at, (size_t)(hit - at));
        at = hit + 1;
    }
    meter_stop((double)a->n);
}

/* A connection, with a message and its answer. The ticket comes with that. */
static void connect_once(const struct args *a, SSL_CTX *ctx)
{
    char data[MESSAGE] = { 0 };
    tls_connect(&conn, ctx, dial(a->host, a->port), true);
    tls_write(&conn, data, sizeof data);
    check(tls_read(&conn, data, sizeof data));
    tls_close(&conn);
}

static void connect_many(const struct args *a, bool resumes)
{
    SSL_CTX *ctx = tls_client_context(resumes);
    connect_once(a, ctx);
    meter_start();
    for (long i = 0; i < a->n; i++)
        connect_once(a, ctx);
    meter_stop((double)a->n);
}

static void connect_full(const struct args *a)
{
    connect_many(a, false);
}

static void connect_resumed(const struct args *a)
{
    connect_many(a, true);
}

static void serve_once(int listener, SSL_CTX *ctx)
{
    char data[MESSAGE];
    tls_accept(&conn, ctx, (int)must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept"), true);
    check(tls_read(&conn, data, sizeof data));
    tls_write(&conn, data, sizeof data);
    check(tls_readsome(&conn, data, sizeof data) == 0);
    tls_close(&conn);
}

static void serve_many(const struct args *a, bool resumes)
{
    SSL_CTX *ctx = tls_server_context(resumes);
    int listener = open_local(a->host, SOCK_STREAM);
    must(listen(listener, 4096), "listen");
    print_port(listener);
    serve_once(listener, ctx);
    meter_start();
    for (long i = 0; i < a->n; i++)
        serve_once(listener, ctx);
    meter_stop((double)a->n);
}

static void serve_full(const struct args *a)
{
    serve_many(a, false);
}

static void serve_resumed(const struct args *a)
{
    serve_many(a, true);
}

static const struct work {
    const char *name;
    void (*run)(const struct args *a);
} works[] = {
    { "tls_pingpong", pingpong },    { "tls_write", write_one },
    { "tls_read", read_buffered },   { "tls_read_by_fd", read_by_fd },
    { "tls_readsome", readsome },    { "tls_lines", lines },
    { "tls_connect", connect_full }, { "tls_connect_resumed", connect_resumed },
    { "tls_serve", serve_full },     { "tls_serve_resumed", serve_resumed },
};

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    struct args a = {
        .host = argv[2], .port = atoi(argv[3]), .n = atol(argv[4]), .size = strtoul(argv[5], NULL, 10), .delim = argv[6]
    };
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(argv[1], works[i].name) == 0) {
            works[i].run(&a);
            return 0;
        }
    return SKIPPED;
}
