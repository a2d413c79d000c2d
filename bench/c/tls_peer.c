/* The other side of every measurement over TLS; see peer.c, whose arguments it has.
 *
 *   tls_peer MODE HOST PORT TOTAL SIZE DELIMITER FILL */
#include "common.h"
#include "tls_common.h"

#include <linux/sockios.h> /* SIOCOUTQ */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, RECORD = 16384, MESSAGE = 64 };

struct args {
    size_t size;       /* of a message, a record, or the number of connections */
    size_t total;      /* bytes to send before the start; 0: go on for ever */
    const char *delim; /* after each record; "" for plain bytes */
    const char *host;  /* in the modes that call the measured program */
    int port;
};

static struct tls conn;

static void say_go(void)
{
    must(write(STDOUT_FILENO, "g", 1), "write");
}

static void take_one(SSL_CTX *ctx)
{
    tls_accept(&conn, ctx, (int)must(accept(STDIN_FILENO, NULL, NULL), "accept"), true);
}

static void answer(const struct args *a)
{
    char *buf = get_memory(a->size), *data = get_memory(a->size);
    fill_random(data, a->size);
    take_one(tls_server_context(false));
    say_go();
    while (tls_read(&conn, buf, a->size))
        tls_write(&conn, data, a->size);
}

static void sink(const struct args *a)
{
    char *buf = get_memory(RECORD);
    (void)a;
    take_one(tls_server_context(false));
    say_go();
    while (tls_readsome(&conn, buf, RECORD) > 0)
        ;
}

static void wait_until_acknowledged(void)
{
    int left = 1;
    while (left > 0) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        must(ioctl(conn.fd, SIOCOUTQ, &left), "SIOCOUTQ");
    }
}

/* Records of TLS of `record` bytes; four of the largest in one call of the system. */
static void feed_records(const struct args *a, size_t record)
{
    char *block = get_memory(4 * MIB);
    size_t len = fill_records(block, 4 * MIB, a->size, a->delim, 0);
    size_t total = a->total > 0 ? a->total : len, at = 0;
    take_one(tls_server_context(false));
    if (a->total == 0)
        say_go();
    do {
        for (at = 0; at < total; at += record) {
            size_t n = total - at < record ? total - at : record, taken;
            if (SSL_write_ex(conn.ssl, block + at, n, &taken) != 1)
                die("SSL_write");
        }
    } while (a->total == 0);
    tls_write(&conn, "e", 1); /* sends the rest */
    wait_until_acknowledged();
    say_go();
    pause();
}

static void feed(const struct args *a)
{
    feed_records(a, RECORD);
}

static void feed_small(const struct args *a)
{
    feed_records(a, a->size);
}

static void answer_once(SSL_CTX *ctx)
{
    char data[MESSAGE];
    take_one(ctx);
    if (tls_read(&conn, data, sizeof data))
        tls_write(&conn, data, sizeof data);
    tls_readsome(&conn, data, sizeof data);
    tls_close(&conn);
}

static void accept_many(bool resumes)
{
    SSL_CTX *ctx = tls_server_context(resumes);
    answer_once(ctx);
    say_go();
    for (;;)
        answer_once(ctx);
}

static void accept_full(const struct args *a)
{
    (void)a;
    accept_many(false);
}

static void accept_resumed(const struct args *a)
{
    (void)a;
    accept_many(true);
}

static void call_once(const struct args *a, SSL_CTX *ctx)
{
    char data[MESSAGE] = { 0 };
    tls_connect(&conn, ctx, dial(a->host, a->port), true);
    tls_write(&conn, data, sizeof data);
    if (!tls_read(&conn, data, sizeof data))
        die("no answer");
    tls_close(&conn);
}

static void call_many(const struct args *a, bool resumes)
{
    SSL_CTX *ctx = tls_client_context(resumes);
    call_once(a, ctx);
    say_go();
    for (;;)
        call_once(a, ctx);
}

static void call_full(const struct args *a)
{
    call_many(a, false);
}

static void call_resumed(const struct args *a)
{
    call_many(a, true);
}

/* Takes a.size connections and leaves them alone. Their objects are all needed for as long. */
static void hold(const struct args *a)
{
    SSL_CTX *ctx = tls_server_context(false);
    for (size_t i = 0; i < a->size; i++)
        take_one(ctx);
    pause();
}

static const struct mode {
    const char *name;
    void (*run)(const struct args *a);
} modes[] = {
    { "tls-answer", answer },      { "tls-sink", sink },
    { "tls-feed", feed },          { "tls-feed-small", feed_small },
    { "tls-accept", accept_full }, { "tls-accept-resumed", accept_resumed },
    { "tls-call", call_full },     { "tls-call-resumed", call_resumed },
    { "tls-hold", hold },
};

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    struct args a = { .host = argv[2],
                      .port = atoi(argv[3]),
                      .total = strtoul(argv[4], NULL, 10),
                      .size = strtoul(argv[5], NULL, 10),
                      .delim = argv[6] };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run(&a);
            return 0;
        }
    return 2;
}
