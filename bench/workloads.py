"""What is measured: a table of workloads, and for each the contestants that do it.

The measured programs are bench/c/raw.c and bench/lua/*.lua; the other side is always bench/c/peer.c. Over TLS they are
bench/c/tls_raw.c, bench/lua/tls_*.lua and bench/python/tls_*.py, and bench/c/tls_peer.c. Of servers for
many connections they are bench/c/server.c, bench/lua/*.lua and nginx, and the other side is bench/c/client.c with
bench/c/wire_plain.c, or with bench/c/wire_tls.c.
"""

from dataclasses import dataclass
from typing import Optional

# Contestants. Where no other Lua is named, they run on Lua 5.4.
RAW = "raw C"
SS = "ssocket"
SSJ = "ssocket, LuaJIT"
LS = "LuaSocket"
LSJ = "LuaSocket, LuaJIT"
CQ = "cqueues"
LUV = "luv"
COPAS = "copas, LuaJIT"
NGINX = "nginx"
PY = "Python"
LSEC = "LuaSec"
BR = "ssocket.luasocket"
BRJ = "ssocket.luasocket, LuaJIT"
PEERS = (LS, CQ, LUV)
TLS_PEERS = (LSEC, CQ, PY)

RAW_BUFFERED = "raw C, 64 KiB buffer"
RAW_SPINNING = "raw C, spinning"
RAW_EACH = "raw C, 16 writes"
RAW_BATCHES = "raw C, without offload"
RAW_FD = "raw C, SSL_set_fd"
SS_SPINNING = "ssocket, OPT_SPIN"
SSJ_SPINNING = "ssocket, OPT_SPIN, LuaJIT"
SS_EACH = "ssocket, one by one"
SSJ_EACH = "ssocket, one by one, LuaJIT"
SS_CONTEXT = "ssocket, with a context"
LOOP = "C loop in Lua"
LOOP_CALLED = "C function called by Lua"
MEMMEM = "memmem in memory"

LUA, JIT, PYTHON = "lua5.4", "luajit", "python3"

# The program of each: an interpreter and a file of bench/lua, or none and raw.
PROGRAMS = {
    RAW: None, RAW_BUFFERED: None, RAW_SPINNING: None, RAW_EACH: None, RAW_BATCHES: None, RAW_FD: None, MEMMEM: None,
    SS: (LUA, "with_ssocket"), SS_SPINNING: (LUA, "with_ssocket"), SS_EACH: (LUA, "with_ssocket"),
    SSJ: (JIT, "with_ssocket"), SSJ_SPINNING: (JIT, "with_ssocket"), SSJ_EACH: (JIT, "with_ssocket"),
    LS: (LUA, "with_luasocket"), LSJ: (JIT, "with_luasocket"), CQ: (LUA, "with_cqueues"), LUV: (LUA, "with_luv"),
    BR: (LUA, "with_bridge"), BRJ: (JIT, "with_bridge"), COPAS: (JIT, "with_copas"), LOOP: (LUA, "bare_lines"), LOOP_CALLED: (LUA, "bare_lines"), NGINX: None,
    PY: (PYTHON, "with_python"), LSEC: (LUA, "with_luasec"), SS_CONTEXT: (LUA, "with_ssocket"),
}


@dataclass(frozen=True)
class Workload:
    name: str                    # what ONLY= selects by its beginning
    title: str
    unit: str                    # what one operation is
    peer: str                    # mode of the other side
    work: dict                   # contestant -> its function; the first one is the reference
    note: str = ""               # what a reader should know about the contestants
    size: int = 64               # bytes of a message or record, or number of connections
    clients: bool = False        # `size` connections to a server, by client.c, for which `peer` is the protocol
    idle: bool = False           # nothing happens on those, and the server's memory is weighed
    rounds: int = 0              # at most so many; 0: as many as there are
    times: int = 1               # so many times longer than others
    delimiter: str = ""
    fill: str = ""               # "" is random
    peers: Optional[dict] = None # contestant -> another mode of the other side
    one_cpu: bool = False
    serves: bool = False         # the measured program listens and the other side calls it
    udp: bool = False
    start: int = 1000            # operations of the first, unmeasured run
    most: int = 0                # operations of a run at most; 0: what fits the time
    multiple: int = 1            # operations come in groups of so many
    laps: bool = False           # each group is a lap of the stopwatch, and `size` is its length
    counted: bool = True         # by make bench-counts; not, where another workload is the same for it
    count: int = 1000            # operations when system calls are counted, against twice as many; 0: they are not
    instructions: int = 2000     # the same for instructions; 0: the same operations
    ahead: int = 0               # bytes of an operation, when those `count` are to have all data there
    chance: int = 6              # so many system calls more are no growth: the first operations may have to wait
    count_peer: str = ""         # another mode of the other side when counting

    @property
    def reference(self):
        return next(iter(self.work))

    @property
    def over_tls(self):
        return self.name.startswith("tls-")

    @property
    def group(self):
        return self.name.split("-")[0]


def everybody(function, *others):
    return {who: function for who in (RAW, SS, SSJ, LS, *others)}


def ping_pongs():
    work = everybody("pingpong", CQ, LUV)
    yield Workload("tcp-pingpong", "TCP ping-pong, 64 bytes, one processor, timeout set", "round trip", "answer",
                   work, one_cpu=True,
                   note="Everybody sets TCP_NODELAY and a timeout; each answer is different data.")
    spinning = (RAW_SPINNING, SS_SPINNING, SSJ_SPINNING)
    yield Workload("spin-pingpong", "TCP ping-pong, 64 bytes, two processors; spinning on both ends, or sleeping",
                   "round trip", "answer",
                   {RAW: "pingpong", SS: "pingpong", **{who: "pingpong_spinning" for who in spinning}},
                   peers={who: "answer-spinning" for who in spinning},
                   note="Those that spin talk to another side that spins, the others to one that sleeps.",
                   counted=False)
    yield Workload("udp-pingpong", "UDP ping-pong, 64 bytes, one processor, timeout set", "round trip",
                   "answer-udp", everybody("pingpong_udp", LUV), udp=True, one_cpu=True,
                   note="All sockets are connected; each answer is different data.")


def writes():
    for name, size, start in (("64", 64, 5000), ("1k", 1024, 5000), ("64k", 65536, 500), ("1m", 1 << 20, 50)):
        yield Workload(f"write-{name}", f"write of {bytes_text(size)}", "write", "sink",
                       everybody("write", CQ, LUV), size=size, start=start,
                       note="The other side takes everything, and is woken up only for 64 KiB or more.",
                       instructions=min(4000, start * 2))
    yield Workload("write-list", "write of an array of 16 strings of 64 bytes", "array", "sink",
                   {RAW: "write_list", RAW_EACH: "write_each", SS: "write_list", SS_EACH: "write_each",
                    SSJ: "write_list", SSJ_EACH: "write_each", LS: "write_list", LUV: "write_list"},
                   note="LuaSocket has no such call: it joins the strings first.")


def reads():
    yield Workload("read-1k", "exact read of 1 KiB", "read", "feed",
                   {RAW: "read", RAW_BUFFERED: "read_buffered", SS: "read", SSJ: "read", LS: "read", LSJ: "read",
                    CQ: "read", LUV: "read"}, size=1024, start=10000,
                   note="raw C calls recv for each KiB; with a buffer it copies each KiB out of 64, like fread.",
                   count=28, ahead=1024, chance=0, instructions=6400)
    for name, size, start in (("64k", 65536, 500), ("1m", 1 << 20, 50)):
        yield Workload(f"read-{name}", f"exact read of {bytes_text(size)}", "read", "feed",
                       everybody("read", LSJ, CQ, LUV), size=size, start=start,
                       note="raw C calls recv with MSG_WAITALL, always into the same memory.",
                       count_peer="feed-late", instructions=max(start, 100))


def line_reads():
    for end_name, end in (("lf", "\n"), ("crlf", "\r\n")):
        for size in (20, 100, 1000):
            yield Workload(f"lines-{size}-{end_name}", f"lines of {size} bytes, {end_name.upper()}", "line", "feed",
                           {LOOP: "lines", LOOP_CALLED: "lines_called", SS: "lines", SSJ: "lines", LS: "lines",
                            CQ: "lines", LUV: "lines"},
                           note="The C loop is recv, memchr and lua_pushlstring without ever going back to Lua; the "
                                "other one is called from Lua for each line.",
                           size=size, delimiter=end, start=50000, count=28000 // (size + len(end)),
                           ahead=size + len(end), chance=0, instructions=max(4000, 400000 // size))


RANDOM_DELIMITER = "f3Zp-Wq8LxvT0nGk5RyBdE7s_JhUaM2cQoKi9HtVw1XbNrzCl4Sg6PuAmYjIeDO3"
assert len(RANDOM_DELIMITER) == 64


def delimiters():
    for name, title, delimiter, fill, memmem in (
            ("random", "a 64-byte delimiter in random data", RANDOM_DELIMITER, "", "memmem_random"),
            ("aaab", "delimiter a…ab of 64 bytes in aaa…", "a" * 63 + "b", "a", "memmem_same"),
            ("aaab-1k", "delimiter a…ab of 1 KiB in aaa…", "a" * 1023 + "b", "a", "memmem_same")):
        yield Workload(f"delimiter-{name}", f"{title}, records of 16 KiB", "record", "feed",
                       {RAW: "records", MEMMEM: memmem, SS: "records", SSJ: "records"},
                       note="raw C is recv and memmem; memmem in memory has no socket at all.",
                       size=16384, delimiter=delimiter, fill=fill, start=2000,
                       count=6, ahead=16384 + len(delimiter), chance=0, instructions=0)


def datagrams():
    yield Workload("udp-send", "UDP one way, 64 bytes, sendmany of 64", "datagram", "sink-udp",
                   {RAW: "send", RAW_BATCHES: "send_batches", SS: "send", SS_EACH: "send_each", SSJ: "send",
                    LS: "send", LSJ: "send"},
                   note="raw C uses UDP_SEGMENT, and without offload sendmmsg; LuaSocket sends one by one.",
                   udp=True, start=64000, multiple=64, count=6400, instructions=6400)
    yield Workload("udp-receive", "UDP one way, 64 bytes, recvmany of 64", "datagram", "flood",
                   {RAW: "receive", RAW_BATCHES: "receive_batches", SS: "receive", SS_EACH: "receive_each",
                    SSJ: "receive", LS: "receive", LSJ: "receive"},
                   note="raw C uses UDP_GRO, and without offload recvmmsg; LuaSocket receives one by one.",
                   udp=True, serves=True, start=64000, multiple=64, count=6400, chance=20, instructions=6400)


def connections():
    yield Workload("connect", "connect and close", "connection", "accept", everybody("connect", CQ, LUV),
                   most=8000, count=500)
    yield Workload("accept", "accept and close, from a full queue", "connection", "crowd",
                   everybody("accept", CQ, LUV), serves=True, size=1000, multiple=1000, laps=True, most=8000, count=500,
                   note="1,000 connections wait in the queue when the clock starts, so that nobody sleeps.")
    yield Workload("select", "select over 1,000 idle sockets and a ready one", "call", "hold",
                   everybody("select"), size=1001, start=2000,
                   note="raw C is poll and a search for the first that is ready.", instructions=100)


SERVERS_NOTE = ("ssocket, cqueues and nginx keep a time-out for each connection. The clients, a program in C on the other "
                "processor, are about as busy as the server in C: the processor time tells more than the rate.")
SERVERS = {"echo": "echo", "http": "HTTP"}


def servers():
    notes = {"echo": "64 bytes, one message at a time on each connection. " + SERVERS_NOTE,
             "http": "A page of 14 bytes, HTTP/1.1 keep-alive, one request at a time on each connection; nginx sends "
                     "four header fields more. " + SERVERS_NOTE}
    for protocol, unit, others in (("echo", "message", ()), ("http", "request", (NGINX,))):
        contestants = (RAW, SS, SSJ, CQ, LUV, COPAS, *others)
        for name, size in (("1", 1), ("100", 100), ("1k", 1000), ("10k", 10000)):
            yield Workload(f"{protocol}-{name}", f"{SERVERS[protocol]} server, {size:,} connection{'s'[:size - 1]}",
                           unit, protocol, {who: protocol for who in contestants}, notes[protocol], size=size, clients=True,
                           rounds=0 if size == 100 else 3, times=2 if size > 1000 else 1, counted=False,
                           count=2000 if size <= 1000 else 0)


def memory():
    yield Workload("memory", "memory of an idle TCP socket", "socket", "hold",
                   {who: "idle" for who in (SS, SSJ, LS, LSJ, CQ, LUV)}, size=1000, counted=False,
                   note="All is the growth of the resident memory of the process, a connected socket each.")
    for protocol, others in (("echo", ()), ("http", (NGINX,))):
        yield Workload(f"idle-{protocol}", f"{SERVERS[protocol]} server, memory of an idle connection of 10,000",
                       "connection", protocol, {who: protocol for who in (RAW, SS, SSJ, CQ, LUV, COPAS, *others)},
                       "Each has had one answer. All is the growth of the server's resident memory" +
                       ("; nginx took some for each connection that may come when it began." if others else "."),
                       size=10000, clients=True, idle=True, counted=False)


HANDSHAKES_NOTE = "TLS 1.3. A connection, the handshake with verification, 64 bytes and as many back, and the end."


def tls_handshakes():
    for side, work, mode, difference in (
            ("client", "connect", "accept", "LuaSec verifies the chain and not the name."),
            ("server", "serve", "call", "LuaSec and cqueues send two tickets, the others none.")):
        # What the other side sends in two pieces may come in one: up to a call in each connection is chance.
        common = {"start": 50, "count": 50, "most": 2000, "instructions": 50, "serves": side == "server"}
        yield Workload(f"tls-{side}-full", f"TLS {side}, a full handshake", "connection", f"tls-{mode}",
                       {who: f"tls_{work}" for who in (RAW, SS, SSJ, *TLS_PEERS)}, f"{HANDSHAKES_NOTE} {difference}",
                       chance=6 if side == "client" else 40, **common)
        yield Workload(f"tls-{side}-resumed", f"TLS {side}, a resumed handshake", "connection", f"tls-{mode}-resumed",
                       {who: f"tls_{work}_resumed" for who in (RAW, SS, SSJ)}, HANDSHAKES_NOTE, chance=60, **common)


def tls_everybody(function):
    return {who: function for who in (RAW, SS, SSJ, *TLS_PEERS)}


def tls_streams():
    note = "raw C has a buffer of 64 KiB below OpenSSL."
    there = {"chance": 0, "instructions": 0}  # when counting, all data is there before
    yield Workload("tls-pingpong", "TLS ping-pong, 64 bytes, one processor, timeout set", "round trip", "tls-answer",
                   tls_everybody("tls_pingpong"), one_cpu=True)
    yield Workload("tls-write-1m", "TLS write of 1 MiB", "write", "tls-sink", tls_everybody("tls_write"), note,
                   size=1 << 20, start=50, count=50, instructions=10, chance=40)
    yield Workload("tls-read-64k", "TLS exact read of 64 KiB", "read", "tls-feed", tls_everybody("tls_read"), note,
                   size=65536, start=500, count=1, ahead=65536, **there)
    yield Workload("tls-read-1m", "TLS exact read of 1 MiB", "read", "tls-feed", tls_everybody("tls_read"),
                   note + " It reads into the same memory always.", size=1 << 20, start=50, counted=False)
    yield Workload("tls-readsome", "TLS readsome(65536)", "block", "tls-feed", tls_everybody("tls_readsome"),
                   note + " A block is 64 KiB.", size=65536, start=500, count=1, ahead=65536, **there)
    yield Workload("tls-read-1k", "TLS exact read of 1 KiB, records of that size", "read", "tls-feed-small",
                   {RAW_FD: "tls_read_by_fd", **tls_everybody("tls_read")}, size=1024, start=5000, count=28, ahead=1024,
                   **there)
    yield Workload("tls-lines-100", "TLS lines of 100 bytes, LF", "line", "tls-feed", tls_everybody("tls_lines"),
                   size=100, delimiter="\n", start=50000, count=277, ahead=101, **there)


def tls_servers():
    contestants = {who: "tls_http" for who in (NGINX, SS, SSJ, CQ)}
    yield Workload("tls-http-100", "HTTPS server, 100 connections", "request", "http", contestants,
                   "A page of 14 bytes, HTTP/1.1 keep-alive, one request at a time on each connection, after all "
                   "handshakes. The certificate is the same; nginx has one worker, and sends four header fields more.",
                   size=100, clients=True, counted=False, count=2000)
    yield Workload("tls-idle-http", "HTTPS server, memory of an idle connection of 10,000", "connection", "http",
                   contestants, "Each has had one answer. All is the growth of the server's resident memory; nginx "
                   "took some for each connection that may come when it began.", size=10000, clients=True, idle=True,
                   counted=False)


def tls_costs():
    note = "tls.client up to the wait for an answer: a connection is made, and its first message sent."
    yield Workload("tls-context", "TLS, the first use of the default context", "context", "accept",
                   {SS: "tls_context"}, note, start=1, most=1, counted=False, count=0)
    yield Workload("tls-context-again", "TLS, further uses of the default context", "use", "accept",
                   {SS_CONTEXT: "tls_context_own", SS: "tls_context_again"}, note, start=100, counted=False)
    yield Workload("tls-memory", "TLS, memory of an idle connection with its task", "connection", "tls-hold",
                   {SS: "tls_idle", SSJ: "tls_idle"}, "All is the growth of the resident memory of the process.",
                   size=1000, counted=False)


def bridge():
    """LuaSocket's programs on both; the first contestant is LuaSocket."""
    for name, title, unit, peer, function, more in (
            ("send-64", "send of 64 bytes", "send", "sink", "write", {"start": 5000}),
            ("send-64k", "send of 64 KiB", "send", "sink", "write", {"size": 65536, "start": 500}),
            ("receive-64k", "receive of 64 KiB", "receive", "feed", "read", {"size": 65536, "start": 500}),
            ("lines-100", "receive of lines of 100 bytes", "line", "feed", "lines",
             {"size": 100, "delimiter": "\n", "start": 50000}),
            ("http", "http.request of a page of 14 bytes", "request", "page", "http", {"start": 100}),
            ("select", "select over 1,000 idle sockets and a ready one", "call", "hold", "select",
             {"size": 1001, "start": 200})):
        yield Workload(f"bridge-{name}", f"LuaSocket's interface, {title}", unit, peer,
                       {who: function for who in (LS, BR, LSJ, BRJ)}, "The program is the same on both.", counted=False,
                       **more)


def bytes_text(size):
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1024 else f"{size} bytes"


WORKLOADS = [workload for part in (ping_pongs, writes, reads, line_reads, delimiters, datagrams, connections, servers,
                                      memory, tls_handshakes, tls_streams, tls_servers, tls_costs, bridge)
             for workload in part()]
