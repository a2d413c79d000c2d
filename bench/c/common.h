/* What all programs of the benchmark share: the stopwatch, payloads, and the way out. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Waits until the other side is ready, which it says with one byte on our standard input (the end of the input
 * counts too), and starts the clocks. */
void meter_start(void);

/* Prints a line "OPERATIONS SECONDS PROCESSOR-SECONDS" (user + system time of this process) for the lap. */
void meter_stop(double ops);

/* Letters and digits, different everywhere, the same in each run. */
void fill_random(char *data, size_t len);

/* A block of whole records, each `len` bytes and the delimiter, of at most `size` bytes; returns their length.
 * The bytes are random, or all the same when `fill` is not 0. */
size_t fill_records(char *block, size_t size, size_t len, const char *delim, char fill);

/* Connects a TCP socket, with timeouts of ten seconds as a careful program sets them. */
int dial(const char *host, int port);

/* A socket bound to any port of a local address. */
int open_local(const char *host, int type);

/* Tells the runner the port of a socket that it is to send the other side to. */
void print_port(int fd);

struct sockaddr_in;
void fill_address(struct sockaddr_in *addr, const char *host, int port);

void send_all(int fd, const char *data, size_t len);

void *get_memory(size_t size);

__attribute__((noreturn)) void die(const char *what);

/* The result of a system call, if it is one. */
long must(long result, const char *what);

#pragma GCC visibility pop

#endif
