"""Python's ssl: blocking calls with a timeout.

  python3 bench/python/tls_with_python.py WORK HOST PORT N SIZE DELIMITER
"""

import os
import socket
import ssl
import sys
import time

SKIPPED = 77
PIECE, MESSAGE = 65536, 64
DIRECTORY = os.environ["BENCH_CERTIFICATES"]


def client_context():
    return ssl.create_default_context(cafile=DIRECTORY + "/ca.pem")


def dial(host, port, context):
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


def tls_lines(s, n, _):
    with s.makefile("rb", buffering=PIECE) as lines:
        for _ in range(n):
            if not lines.readline():
                sys.exit("the connection has ended")


def tls_pingpong(s, n, size):
    data = os.urandom(size)
    for _ in range(n):
        s.sendall(data)
        receive(s, size)


def tls_connect(host, port, n):
    context, message = client_context(), b"m" * MESSAGE

    def connect_once():
        s = dial(host, port, context)
        s.sendall(message)
        receive(s, MESSAGE)
        s.close()

    connect_once()
    measured(n, lambda: [connect_once() for _ in range(n)])


def tls_serve(host, _, n):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(DIRECTORY + "/a.pem")
    context.num_tickets = 0
    listener = socket.create_server((host, 0), backlog=4096)
    print("port", listener.getsockname()[1], flush=True)

    def serve_once():
        s, _ = listener.accept()
        s.settimeout(10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s = context.wrap_socket(s, server_side=True)
        s.sendall(receive(s, MESSAGE))
        if s.recv(1):
            sys.exit("there is more")
        s.close()

    serve_once()
    measured(n, lambda: [serve_once() for _ in range(n)])


STREAMS = (tls_write, tls_read, tls_readsome, tls_lines, tls_pingpong)
CONNECTIONS = (tls_connect, tls_serve)


def main():
    name, host, port, n, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    for work in STREAMS:
        if work.__name__ == name:
            s = dial(host, port, client_context())
            measured(n, lambda work=work: work(s, n, size))
            os._exit(0)  # nobody measures how it leaves
    for work in CONNECTIONS:
        if work.__name__ == name:
            return work(host, port, n)
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
