"""The clients of script/soak: bad ones that do one bad thing for ever, and good ones that measure.

    python3 soak_clients.py KIND PORT THREADS SECONDS LIMIT PID

Runs THREADS of a kind against 127.0.0.1:PORT for SECONDS and prints what it counted, as JSON. LIMIT is how long the
server lets a client take, PID its process. "wrong" counts what the server must never do: a wrong answer, a client that is kept longer.
"""

import collections
import contextlib
import errno
import glob
import json
import os
import random
import socket
import struct
import sys
import threading
import time

ADDRESS = "127.0.0.1"
STILL = 0.005  # seconds that a processor must stand still to be noted
LATE = 3.0  # by how much the server may be late in giving a client up, on a machine under load
counted = collections.Counter()
lock = threading.Lock()
over = 0.0


def count(what, n=1):
    with lock:
        counted[what] += n


def going():
    return time.monotonic() < over


def wrong(text):
    count("wrong")
    print(text, file=sys.stderr, flush=True)


def connect(port, wait=20):
    s = socket.create_connection((ADDRESS, port), 10)
    s.settimeout(wait)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def take(s, n):
    data = bytearray()
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def wait_for_end(s):
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass


def ends_in_time(s, began, limit, who):
    """The server must end this connection at its limit, not before and not much later."""
    wait_for_end(s)
    took = time.monotonic() - began
    if not limit - 0.05 <= took <= limit + LATE:
        wrong(f"{who}: ended after {took:.3f} s, the limit is {limit} s")


# ---- the bad ones: each call is one bad connection ----


def leave(port, limit):
    connect(port).close()
    time.sleep(0.002)


def stall(port, limit):
    with connect(port, limit + 20) as s:
        began = time.monotonic()
        s.sendall(b"ECHO half a li")
        ends_in_time(s, began, limit, "stall")


def drip(port, limit):
    """One byte at a time, and never the end of the line: each byte is in time, the line is not."""
    with connect(port, limit + 20) as s:
        s.sendall(b"E")
        began = time.monotonic()
        s.settimeout(0.02)
        while time.monotonic() < began + limit + LATE + 1:
            try:
                if not s.recv(1):
                    break
            except socket.timeout:
                pass
            except ConnectionError:
                break
            try:
                s.send(b"x")
            except ConnectionError:
                break
        took = time.monotonic() - began
        if not limit - 0.05 <= took <= limit + LATE:
            wrong(f"drip: ended after {took:.3f} s, the limit is {limit} s")


def slow(port, limit):
    """One byte at a time, and in time: is served."""
    with connect(port) as s:
        for byte in b"ECHO a byte at a time\n":
            s.sendall(bytes([byte]))
            time.sleep(0.01)
        if take(s, 17) != b"a byte at a time\n":
            wrong("slow: wrong answer")


def abort(port, limit):
    s = connect(port)
    s.sendall(random.choice([b"", b"ECHO x\n", b"ECHO x", b"GIVE 200000\n", b"FLIP 10\n123"]))
    time.sleep(random.choice([0, 0, 0.001, 0.01]))
    reset(s)


def half_close(port, limit):
    with connect(port) as s:
        s.sendall(b"ECHO last words\nGIVE 100000\n")
        s.shutdown(socket.SHUT_WR)
        data = take(s, 200000)
        if data[:11] != b"last words\n" or len(data) != 100011:
            wrong(f"half_close: {len(data)} bytes")


def vanish(port, limit):
    """Gone in the middle of a message, in either direction."""
    s = connect(port)
    s.sendall(b"FLIP 100000\n" + bytes(random.randrange(100000)))
    if random.random() < 0.5:
        s.sendall(b"" if random.random() < 0.5 else bytes(10))
        s.close()
    else:
        reset(s)
    time.sleep(0.005)


def deaf(port, limit):
    """Asks and asks and never reads an answer."""
    with connect(port, limit + 20) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        began = time.monotonic()
        try:
            while time.monotonic() < began + 3 * limit + LATE:
                s.sendall(b"GIVE 65536\nECHO x\n" * 100)
                count("deaf bytes", 1800)
        except (ConnectionError, socket.timeout):
            return
        wrong("deaf: is served for ever")


def endless(port, limit):
    """A line without end, as fast as it can: the limit on a line ends it at once."""
    data = b"x" * 65536
    with connect(port) as s:
        began = time.monotonic()
        try:
            while time.monotonic() < began + limit:
                s.sendall(data)
                count("endless bytes", len(data))
        except ConnectionError:
            return
        wrong("endless: is read for ever")


def greedy(port, limit):
    """Thousands of good requests at once, all the time, and reads the answers: a flood that must be served."""
    lines = b"ECHO 0123456789012345678901234567890123456789\n" * 500
    answer = lines.replace(b"ECHO ", b"")
    with connect(port) as s:
        for _ in range(20):
            s.sendall(lines)
            if take(s, len(answer)) != answer:
                wrong("greedy: wrong answer")
            count("greedy lines", 500)


def crowd(port, limit):
    """So many at once that the server has no descriptors left."""
    several = []
    try:
        for _ in range(600):
            s = socket.socket()
            s.settimeout(10)
            several.append(s)
            s.connect((ADDRESS, port))
        time.sleep(0.2)
    finally:
        for i, s in enumerate(several):
            reset(s) if i % 2 else s.close()
    count("crowd connections", len(several))
    time.sleep(8)


BAD = (leave, stall, drip, slow, abort, half_close, vanish, deaf, endless, greedy, crowd)


def be_bad(act, port, limit):
    while going():
        try:
            act(port, limit)
            count(act.__name__)
        except socket.timeout:
            wrong(f"{act.__name__}: the server does not move")
        except ConnectionError:
            count(act.__name__ + " cut")
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.EPIPE):
                raise
            count(act.__name__ + " cut")


# ---- the good ones ----


def control_server(listener):
    """What a request takes here and now, whoever answers: a process that does nothing else than echo."""
    s = listener.accept()[0]
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = s.recv(4096)
        if not data:
            os._exit(0)
        s.sendall(data)


def start_control():
    listener = socket.create_server((ADDRESS, 0))
    pid = os.fork()
    if pid == 0:
        control_server(listener)
    return connect(listener.getsockname()[1]), Queue(f"/proc/{pid}/schedstat")


class Queue:
    """How long a process, which could have run, has had to wait for a processor (proc(5), schedstat)."""

    def __init__(self, path):
        self.file = open(path, "rb", buffering=0) if os.path.exists(path) else None

    def seconds(self):
        if not self.file:
            return 0
        self.file.seek(0)
        return int(self.file.read(100).split()[1]) / 1e9


def carriers():
    """The threads of Linux that carry packets when there are many: each has to wait for a processor like anybody else."""
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError), open(path) as file:
            if file.read().startswith("ksoftirqd/"):
                yield Queue(os.path.join(os.path.dirname(path), "schedstat"))


def heartbeat(processor, out):
    """On one processor: tells of the times at which nothing ran on it that should have, which a virtual one may do."""
    os.sched_setaffinity(0, {processor})
    queue = Queue("/proc/self/schedstat")
    queued, last, parent = queue.seconds(), time.monotonic(), os.getppid()
    while os.getppid() == parent:
        time.sleep(0.002)
        waited, now = queue.seconds() - queued, time.monotonic()
        queued, late = queued + waited, now - last - 0.002 - waited
        last = now
        if late > STILL:
            os.write(out, struct.pack("dd", now - late, now))
    os._exit(0)


def start_heartbeats():
    """Their processes, and where they write."""
    stalls, out = os.pipe()
    pids = []
    for processor in os.sched_getaffinity(0):
        pids.append(os.fork())
        if pids[-1] == 0:
            os.closerange(0, out)  # nobody is to wait for their end, or for that of the control
            heartbeat(processor, out)
    os.close(out)
    return pids, stalls


def end_heartbeats(pids, stalls):
    """When some processor stood still: [(from, to)], in order."""
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    with open(stalls, "rb") as file:
        return sorted(struct.iter_unpack("dd", file.read()))


def common(began, ended, stalls):
    """Seconds of a request in which some processor stood still."""
    seconds = 0
    for first, last in stalls:
        first, last = max(first, began), min(last, ended)
        if last > first:
            seconds, began = seconds + last - first, last
    return seconds


class Times:
    """How long requests over a connection took, and that without what those who carry it have waited for a processor meanwhile,
    or the processors have stood still."""

    def __init__(self, s, queues):
        self.s, self.queues = s, queues
        self.whole, self.slow, self.net = [], [], []

    def queued(self):
        return sum(queue.seconds() for queue in self.queues)

    def exchange(self, request, answer):
        queued, began = self.queued(), time.monotonic()
        self.s.sendall(request)
        if take(self.s, len(answer)) != answer:
            wrong("probe: wrong answer")
        ended = time.monotonic()
        self.whole.append(ended - began)
        net = max(0, ended - began - self.queued() + queued)
        if net > STILL:
            self.slow.append((began, ended, net))
        else:
            self.net.append(net)

    def all_net(self, stalls):
        return self.net + [max(0, net - common(began, ended, stalls)) for began, ended, net in self.slow]


def good(port, pid):
    """Small requests over one connection that stays, one each 5 ms, and the same to the control."""
    mine, server, (control, other) = Queue("/proc/self/schedstat"), Queue(f"/proc/{pid}/schedstat"), start_control()
    others, beats = (mine, *carriers()), start_heartbeats()
    with connect(port) as s:
        requests, controls = Times(s, (server, *others)), Times(control, (other, *others))
        for first, request in ((s, b"ECHO hello\n"), (control, b"hello\n")):  # until that is accepted it waits like a newcomer
            first.sendall(request)
            if take(first, 6) != b"hello\n":
                wrong("good: wrong first answer")
        while going():
            word = b"%016x" % random.getrandbits(64)
            if random.random() < 0.5:
                requests.exchange(b"ECHO " + word + b"\n", word + b"\n")
            else:
                requests.exchange(b"FLIP 16\n" + word, word[::-1])
            controls.exchange(word, word)
            time.sleep(0.005)
    stalls = end_heartbeats(*beats)
    return {"requests": spread(requests.whole), "requests, net": spread(requests.all_net(stalls)),
            "control": spread(controls.whole), "control, net": spread(controls.all_net(stalls)),
            "stalls": spread([last - first for first, last in stalls]) if stalls else {}}


def newcomer(port, pid):
    """A connection of its own for each request, ten a second."""
    firsts = []
    while going():
        began = time.monotonic()
        with connect(port) as s:
            s.sendall(b"ECHO hello\n")
            if take(s, 6) != b"hello\n":
                wrong("newcomer: wrong answer")
        firsts.append(time.monotonic() - began)
        time.sleep(0.1)
    return {"newcomers": spread(firsts)}


def spread(times):
    times = sorted(times) or [1e6]
    last = len(times) - 1
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p100": 1}
    return {"n": len(times), **{name: times[int(part * last)] * 1000 for name, part in at.items()}}


def start(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    global over
    kind, port, n, seconds, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:6])
    over = time.monotonic() + seconds
    result = {}
    threading.excepthook = lambda args: (sys.__excepthook__(*args[:3]), wrong("a client failed"))
    if kind in ("good", "newcomer"):  # one thread: what holds up another would count
        result = {"good": good, "newcomer": newcomer}[kind](port, sys.argv[6])
    else:
        act = next(act for act in BAD if act.__name__ == kind)
        start([threading.Thread(target=be_bad, args=(act, port, limit)) for _ in range(n)])
    print(json.dumps({**result, **counted}))


main()
