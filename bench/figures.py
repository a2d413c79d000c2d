"""The figures to reach, and whether they are reached."""

from dataclasses import dataclass
from typing import Optional

from workloads import (BR, BRJ, CQ, LOOP, LS, LSEC, LSJ, LUV, NGINX, PEERS, PY, RAW, RAW_BUFFERED, RAW_FD, SS, SS_CONTEXT,
                       SS_EACH, SS_SPINNING, SSJ, TLS_PEERS)

RATE, COST, CALLS, BYTES = "rate", "processor time", "system calls", "bytes in Lua's accounts"
TRANSFERS = "calls that send, receive or wait"
ALL_BYTES, RESIDENT = "bytes in all", "resident bytes"


def number(value):
    return f"{value:,.0f}"


def two(value):
    return f"{value:.2f}" if value < 100 else number(value)


def microseconds(value):
    return f"{value * 1e6:.3g} µs" if value < 1e-3 else f"{value * 1e6:,.0f} µs"


# How a value is shown that is no ratio.
SHOWN = {COST: microseconds, CALLS: two, TRANSFERS: two}


@dataclass(frozen=True)
class Figure:
    workload: str
    measure: str
    sign: str                      # how what is reached has to stand to the bound
    bound: float
    against: tuple = ()            # contestants, all of whom count; none: the bound is no ratio
    who: str = SS
    elsewhere: str = ""            # another workload, in which those contestants stand
    difference: bool = False       # to those contestants, instead of a ratio
    offload: Optional[bool] = None # only where the system has (or lacks) UDP_SEGMENT and UDP_GRO

    def text(self):
        bound = f"{self.bound:g}"
        if self.difference:
            bound = f"{self.against[0]}'s and {self.bound:g} more"
        elif self.against:
            names = "every peer" if len(self.against) > 1 else self.against[0]
            where = f" in {self.elsewhere}" if self.elsewhere else ""
            bound = f"{bound} × {names}{where}"
        elif self.measure not in (CALLS, TRANSFERS):
            bound = SHOWN.get(self.measure, number)(self.bound)
        return f"{self.measure} {self.sign} {bound}"

    def holds(self, value):
        """Counts are equal but for what the first operations of a run add."""
        return {"≤": value <= self.bound, "≥": value >= self.bound, ">": value > self.bound,
                "=": abs(value - self.bound) < 0.02 * self.bound}[self.sign]


def pingpong(name, who, peers):
    yield Figure(name, CALLS, "=", 2, who=who)
    yield Figure(name, COST, "≤", 1.05, (RAW,), who)
    yield Figure(name, RATE, ">", 1, peers, who)


def servers():
    for who, bound in ((SSJ, 0.9), (SS, 0.8)):
        yield Figure("echo-100", RATE, "≥", bound, (RAW,), who)
        yield Figure("echo-100", RATE, "≥", 1.1, (LUV,), who)
    for name, bounds in (("http-100", ((RAW, 1.1), (LUV, 0.88), (CQ, 0.75), (NGINX, 0.95))),
                         ("http-10k", ((RAW, 1.1), (LUV, 0.85)))):
        for who in (SS, SSJ):
            for other, bound in bounds:
                yield Figure(name, COST, "≤", bound, (other,), who)


def over_tls():
    for side in ("client", "server"):
        for kind in ("full", "resumed"):
            yield Figure(f"tls-{side}-{kind}", COST, "≤", 1.05, (RAW,))
            # One for the handshake; and one for the end, where raw C does not look for what has come.
            yield Figure(f"tls-{side}-{kind}", TRANSFERS, "≤", 2, (RAW,), difference=True)
        yield Figure(f"tls-{side}-full", COST, "≤", 1, TLS_PEERS)
    yield Figure("tls-pingpong", CALLS, "=", 2)
    yield Figure("tls-pingpong", COST, "≤", 1.05, (RAW,))
    yield Figure("tls-write-1m", COST, "≤", 1.1, (RAW,))
    yield Figure("tls-write-1m", COST, "≤", 0.9, (LSEC,))
    yield Figure("tls-write-1m", COST, "≤", 1, (PY,))
    for name in ("tls-read-1m", "tls-readsome"):
        yield Figure(name, COST, "≤", 1.15, (RAW,))
        yield Figure(name, COST, "≤", 0.9, TLS_PEERS)
    yield Figure("tls-read-1k", COST, "≤", 0.8, (RAW_FD,))
    yield Figure("tls-lines-100", COST, "≤", 0.5, (LSEC,))
    yield Figure("tls-http-100", COST, "≤", 1.15, (NGINX,))
    yield Figure("tls-idle-http", ALL_BYTES, "≤", 20480)
    yield Figure("tls-idle-http", RESIDENT, "≤", 200e6)
    yield Figure("tls-context", COST, "≤", 1e-3)
    yield Figure("tls-context-again", COST, "≤", 1.05, (SS_CONTEXT,))
    yield Figure("tls-memory", ALL_BYTES, "≤", 20480)


def bridge():
    for who, other in ((BR, LS), (BRJ, LSJ)):
        for name in ("send-64", "send-64k", "receive-64k", "lines-100", "http"):
            yield Figure(f"bridge-{name}", COST, "≤", 1, (other,), who)
        yield Figure("bridge-select", COST, "≤", 0.5, (other,), who)


def all_figures():
    yield from pingpong("tcp-pingpong", SS, PEERS)
    yield from pingpong("tcp-pingpong", SSJ, PEERS)
    yield from pingpong("udp-pingpong", SS, (LS, LUV))
    yield from pingpong("udp-pingpong", SSJ, (LS, LUV))
    yield Figure("spin-pingpong", RATE, "≥", 2.3, (RAW,), SS_SPINNING)
    for size, over in (("64", 1.05), ("1k", 1.05), ("64k", 1.05), ("1m", 1.3)):
        yield Figure(f"write-{size}", CALLS, "=", 1)
        yield Figure(f"write-{size}", RATE, "≥", 0.95, (RAW,))
        yield Figure(f"write-{size}", RATE, "≥", over, (LS,))
    yield Figure("write-list", CALLS, "=", 1)
    yield Figure("write-list", RATE, "≥", 5, (SS_EACH,))
    yield Figure("read-1k", RATE, "≥", 2.5, (RAW,))
    yield Figure("read-1k", RATE, "≥", 0.95, (RAW_BUFFERED,))
    yield Figure("read-1k", RATE, "≥", 1.35, PEERS)
    for size, cost in (("64k", 1.4), ("1m", 1.1)):
        yield Figure(f"read-{size}", RATE, "≥", 0.97, (RAW,))
        yield Figure(f"read-{size}", COST, "≤", cost, (RAW,))
        yield Figure(f"read-{size}", COST, "≤", 0.5, (LS,))
        yield Figure(f"read-{size}", COST, "≤", 0.4, (LSJ,), SSJ)
    for end in ("lf", "crlf"):
        for size, bounds in ((20, (2.4, 2.9, 1.9)), (100, (2.7, 2.6, 2)), (1000, (6, 3.2, 2.6))):
            name = f"lines-{size}-{end}"
            for peer, bound in zip((LS, CQ, LUV), bounds):
                yield Figure(name, RATE, "≥", bound, (peer,))
            yield Figure(name, COST, "≤", 1.15, (LOOP,))
    yield Figure("delimiter-random", RATE, "≥", 0.5, (RAW,))
    yield Figure("delimiter-aaab-1k", RATE, "≥", 0.5, (SS,), elsewhere="delimiter-aaab")
    for name in ("udp-send", "udp-receive"):
        yield Figure(name, RATE, "≥", 4, (LS,), offload=True)
        yield Figure(name, RATE, "≥", 1.15, (LS,), offload=False)
    yield Figure("connect", CALLS, "≤", 1, (RAW,))
    yield Figure("connect", COST, "≤", 1.08, (RAW,))
    yield Figure("accept", CALLS, "≤", 1, (RAW,))
    yield Figure("accept", COST, "≤", 1.2, (RAW,))
    yield Figure("select", RATE, "≥", 0.9, (RAW,))
    yield from servers()
    yield Figure("memory", BYTES, "≤", 400)
    yield Figure("memory", BYTES, "≤", 400, who=SSJ)
    yield Figure("idle-echo", BYTES, "≤", 1536)
    yield Figure("idle-echo", BYTES, "≤", 900, who=SSJ)
    yield from over_tls()
    yield from bridge()


FIGURES = list(all_figures())
