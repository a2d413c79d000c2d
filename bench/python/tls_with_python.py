"""Python's ssl: blocking calls with a timeout.

  python3 bench/python/tls_with_python.py WORK HOST PORT N SIZE DELIMITER
"""

import os
import socket
import ssl
import sys
import time

SKIPPED = 77
PIECE = 65536


def dial(host, port):
    context = ssl.create_default_context(cafile=os.environ["BENCH_CERTIFICATES"] + "/ca.pem")
    s = socket.create_connection((host, port), 10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(s, server_hostname="a.test")


def measured(n, work):
    sys.stdin.buffer.raw.read(1)
    wall, cpu = time.monotonic(), time.process_time()
    work()
    print(f"{n} {time.monotonic() - wall:.9f} {time.process_time() - cpu:.9f}", flush=True)


def receive(s, size):
    """Up to `size` bytes, in one object, as read(n) of a file has them."""
    block = bytearray(size)
    have, view = 0, memoryview(block)
    while have < size:
        got = s.recv_into(view[have:])
        if got == 0:
            sys.exit("the connection has ended")
        have += got
    return block


def tls_write(s, n, size):
    data = os.urandom(size)
    for _ in range(n):
        s.sendall(data)


def tls_read(s, n, size):
    for _ in range(n):
        receive(s, size)


def tls_readsome(s, n, size):
    left = n * size
    while left > 0:
        left -= len(s.recv(PIECE))


def tls_pingpong(s, n, size):
    data = os.urandom(size)
    for _ in range(n):
        s.sendall(data)
        receive(s, size)


def main():
    works = {work.__name__: work for work in (tls_write, tls_read, tls_readsome, tls_pingpong)}
    name, host, port, n, size = sys.argv[1:6]
    if name not in works:
        sys.exit(SKIPPED)
    s = dial(host, int(port))
    measured(int(n), lambda: works[name](s, int(n), int(size)))
    os._exit(0)  # nobody measures how it leaves


if __name__ == "__main__":
    main()
