"""The other end of long_run.lua, with sums of its own (zlib's CRC-32).

    python3 long_run_peer.py PORT

Its first connection is for commands, a line each. For each of them it connects once more, and does there:

    lines N      sends N lines of 1 to 200 bytes
    records N    sends N records: four digits with the length, 0 to 999 bytes
    take         takes everything up to the end

At the end of each it sends its CRC-32 of what went over that connection, in ten digits.
"""

import random
import socket
import struct
import sys
import threading
import zlib

TEXT = bytes(set(range(256)) - {10})
CHUNK = 500  # messages
draw = random.Random(1)


def line():
    return bytes(draw.choices(TEXT, k=draw.randrange(200))) + b"\n"


def record():
    data = draw.randbytes(draw.randrange(1000))
    return b"%04d" % len(data) + data


POOLS = {b"lines": [[line() for _ in range(CHUNK)] for _ in range(20)],
         b"records": [[record() for _ in range(CHUNK)] for _ in range(20)]}
JOINED = {kind: [b"".join(chunk) for chunk in pool] for kind, pool in POOLS.items()}


def chunks(kind, n):
    """Chunks of the pool in random order, the last one as long as is left."""
    for _ in range(n // CHUNK):
        yield draw.choice(JOINED[kind])
    yield b"".join(draw.choice(POOLS[kind])[:n % CHUNK])


def send(s, kind, n):
    crc = 0
    for data in chunks(kind, n):
        s.sendall(data)
        crc = zlib.crc32(data, crc)
    return crc


def take(s):
    crc = 0
    data = s.recv(1 << 18)
    while data:
        crc = zlib.crc32(data, crc)
        data = s.recv(1 << 18)
    return crc


def obey(command, port):
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        crc = take(s) if command[0] == b"take" else send(s, command[0], int(command[1]))
        s.sendall(b"%010d" % crc)
        try:
            s.recv(1)  # the other side closes first, with a reset
        except ConnectionError:
            pass


def main():
    port = int(sys.argv[1])
    control = socket.create_connection(("127.0.0.1", port), 60)
    for words in control.makefile("rb"):
        threading.Thread(target=obey, args=(words.split(), port)).start()


main()
