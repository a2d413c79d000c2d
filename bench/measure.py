"""Runs a contestant against the other side and reads what it reports."""

import itertools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from typing import NamedTuple, Optional

from workloads import PROGRAMS, PYTHON

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "build", "bench")
CERTIFICATES = os.path.join(BUILD, "certificates")  # of the workloads over TLS
SKIPPED_STATUS = 77
LIMIT = 120  # seconds until a run is given up

# Calls that tell about the allocator and the clock source of the machine, not about the work.
NOT_COUNTED = {"brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "clock_gettime", "gettimeofday"}


def bind_below_local_ports(listener, host):
    """As services do: where the system would choose the port, a connect has to see whether it has met itself."""
    for port in range(20000, 30000):
        try:
            return listener.bind((host, port))
        except OSError:
            pass
    raise OSError("no free port from 20000 to 29999")


class Skipped(Exception):
    """The contestant can't do the work here: a library or a facility is lacking."""


class Failed(Exception):
    pass


class Lap(NamedTuple):
    ops: float
    wall: float
    cpu: float
    p99: float = 0  # seconds to an answer

    @property
    def rate(self):
        return self.ops / self.wall

    @property
    def cost(self):
        return self.cpu / self.ops


def processors(one):
    """The processors of the measured program and of the other side."""
    there = sorted(os.sched_getaffinity(0))
    return there[0], there[0] if one else there[-1]


def next_host(numbers=itertools.count()):
    """A loopback address of its own for each run, so that no port is still busy with the last one."""
    n = next(numbers)
    return f"127.77.{n // 250 % 250}.{n % 250 + 1}"


def command(who, function):
    program, over_tls = PROGRAMS[who], function.startswith("tls_")
    if program is None:
        return [os.path.join(BUILD, "tls_raw" if over_tls else "raw"), function]
    interpreter, library = program
    folder, ending = ("python", ".py") if interpreter == PYTHON else ("lua", ".lua")
    return [interpreter, os.path.join(HERE, folder, ("tls_" if over_tls else "") + library + ending), function]


def environment(who, counting):
    lua = PROGRAMS[who][0] if PROGRAMS[who] else ""
    steady = {"LD_PRELOAD": os.path.join(BUILD, "steady_seed.so"), "BENCH_COUNTING": "1"} if counting else {}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT_")}
    return dict(inherited, LUA_PATH=";".join((os.path.join(HERE, "lua", "?.lua"), os.path.join(HERE, "..", "lua", "?.lua;;"))),
                LUA_CPATH=os.path.join(BUILD, lua, "?.so;;"), BENCH_CERTIFICATES=CERTIFICATES, **steady)


class Run:
    """One contestant and the other side, from start to end. With a program `wrap` that counts something, `ahead` bytes
    or datagrams wait in the socket when the work begins (0: more and more, as otherwise)."""

    def __init__(self, workload, who, n, wrap=(), ahead=0):
        self.workload, self.who, self.n, self.wrap, self.ahead = workload, who, n, list(wrap), ahead
        self.size = n if wrap and workload.laps else workload.size
        self.cpu, self.peer_cpu = processors(workload.one_cpu)
        self.host = next_host()

    def start_measured(self, port, go):
        w = self.workload
        program = command(self.who, w.work[self.who])
        args = [self.host, str(port), str(self.n), str(self.size), w.delimiter]
        return subprocess.Popen(["taskset", "-c", str(self.cpu), *self.wrap, *program, *args], stdin=go, bufsize=0,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment(self.who, bool(self.wrap)))

    def start_peer(self, port, listener, go):
        w = self.workload
        mode = w.count_peer if self.wrap and w.count_peer else (w.peers or {}).get(self.who, w.peer)
        args = [mode, self.host, str(port), str(self.ahead), str(self.size), w.delimiter, w.fill]
        peer = os.path.join(BUILD, "tls_peer" if mode.startswith("tls-") else "peer")
        return subprocess.Popen(["taskset", "-c", str(self.peer_cpu), peer, *args],
                                stdin=listener, stdout=go, stderr=subprocess.PIPE,
                                env=dict(os.environ, BENCH_CERTIFICATES=CERTIFICATES))

    def start_both(self, wait_go, say_go):
        if self.workload.serves:
            measured = self.start_measured(0, wait_go)
            line = measured.stdout.readline().split()
            port = int(line[1]) if line else 0
            return measured, self.start_peer(port, subprocess.DEVNULL, say_go)
        with socket.socket(type=socket.SOCK_DGRAM if self.workload.udp else socket.SOCK_STREAM) as listener:
            bind_below_local_ports(listener, self.host)
            if not self.workload.udp:
                listener.listen(4096)
            peer = self.start_peer(0, listener, say_go)
            return self.start_measured(listener.getsockname()[1], wait_go), peer

    def outputs(self):
        """What the measured program printed, on standard output and error."""
        wait_go, say_go = os.pipe()
        try:
            measured, peer = self.start_both(wait_go, say_go)
        finally:
            os.close(wait_go)
            os.close(say_go)
        try:
            out, err = measured.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            out, err = b"", b"took too long"
        finally:
            measured.kill()
            peer.kill()
            measured.wait()
            _, peer_err = peer.communicate()
        self.judge(measured.returncode, err.decode(errors="replace"), peer_err.decode(errors="replace"))
        return out.decode(), err.decode(errors="replace")

    def judge(self, status, err, peer_err):
        if status == SKIPPED_STATUS:
            raise Skipped(err.strip().split("\n")[0])
        if status != 0:
            raise Failed(f"{self.workload.name}, {self.who}: status {status}: {err}{peer_err}")


def lap(workload, who, n):
    out, _ = Run(workload, who, n).outputs()
    laps = [[float(word) for word in line.split()] for line in out.splitlines() if not line.startswith("port")]
    total = Lap(*(sum(column) for column in zip(*laps))) if laps else Lap(0, 0, 0)
    if not n <= total.ops < n + workload.multiple:
        raise Failed(f"{workload.name}, {who}: {n} operations were asked for, it printed {out!r}")
    return total


class Memory(NamedTuple):
    """Bytes."""
    in_lua: Optional[float]           # of a connection in Lua's accounts; None: it has none
    in_all: float                     # of a connection
    resident: Optional[float] = None  # of the process


def memory(workload, who):
    out, _ = Run(workload, who, 1).outputs()
    return Memory(*map(float, out.split()[1:]))


def fit(workload, n):
    n = max(1, n if workload.most == 0 else min(n, workload.most))
    return max(1, round(n / workload.multiple)) * workload.multiple


def calibrate(workload, who, seconds):
    """How many operations take about that long."""
    n = fit(workload, workload.start)
    for _ in range(4):
        wall = lap(workload, who, n).wall
        goal = fit(workload, int(n * min(seconds / wall, 30)))
        if goal == n or wall > seconds / 3:
            return goal
        n = goal
    return n


def untraceable():
    """Why no system calls can be counted here, if so."""
    if not shutil.which("strace"):
        return "strace is lacking"
    done = subprocess.run(["strace", "-c", "-o", "/dev/null", "true"], stderr=subprocess.PIPE, text=True, check=False)
    return f"strace can't trace here: {done.stderr.strip()}" if done.returncode else None


def twice(counted, n):
    """What n more operations cost: twice as many, less n, so that the start cancels out."""
    first, second = counted(n), counted(2 * n)
    second.subtract(first)
    return Counter({name: count for name, count in second.items() if count})


def strace(report):
    return ["strace", "-f", "-c", "-o", report]


def traced_calls(report):
    """Name -> number, of what strace reports."""
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", report, re.M)
    return Counter({name: int(calls) for calls, name in rows if name != "total" and name not in NOT_COUNTED})


def calls_in_time(report):
    """Name -> number, between the start of the stopwatch, which reads from standard input, and its stop, which prints."""
    counts, started = Counter(), False
    for line in report:
        call = re.match(r"(?:\d+ +)?(\w+)\((\d*)", line)
        if call and started and call.groups() == ("write", "1"):
            break
        if call and started and call[1] not in NOT_COUNTED:
            counts[call[1]] += 1
        started = started or bool(call) and call.groups() == ("read", "0")
    return counts


def system_calls(workload, who, n, ahead=0):
    """Name -> number of the system calls that n operations make."""
    def traced(n):
        with tempfile.NamedTemporaryFile("r") as report:
            Run(workload, who, n, ["strace", "-f", "-o", report.name], ahead).outputs()
            return calls_in_time(report)
    return twice(traced, n)


# The C library copies with other instructions on other processors, and OpenSSL encrypts so.
NOT_INSTRUCTED = ("libcrypto", "libssl", "libc.so", "libc-", "ld-linux", "ld-", "libm.so", "vgpreload")


def counted_instructions(report):
    """Of a file of callgrind's ("Callgrind Format Specification"), without those libraries."""
    names, total, counts, is_call = {}, 0, False, False
    for line in report:
        obj = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
        if obj:
            name = names.setdefault(obj[1], obj[2] or "")
            counts = not os.path.basename(name).startswith(NOT_INSTRUCTED)
        elif line.startswith("cob="):
            called = re.match(r"cob=\((\d+)\)(?: (.*))?$", line)
            names.setdefault(called[1], called[2] or "")
        elif re.match(r"[-+*\d]", line) and not is_call and counts:
            total += int(line.split()[1])
        is_call = line.startswith("calls=")
    return total


def instructions(workload, who, n, ahead=0):
    """Instructions per operation, outside the kernel and the C library."""
    def collected(n):
        with tempfile.NamedTemporaryFile("r") as report:
            Run(workload, who, n, ["valgrind", "--tool=callgrind", "--collect-atstart=no",
                                   f"--callgrind-out-file={report.name}"], ahead).outputs()
            return Counter(all=counted_instructions(report))
    each = twice(collected, n)["all"] / n
    if each <= 0:
        raise Failed(f"{workload.name}: no instructions were counted between the meter's start and stop")
    return each
