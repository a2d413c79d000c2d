"""A name server at 127.0.0.1:53 that answers as the first label of the name says:

    silent.test     never
    held.test       when "go" comes on standard input, and from then on at once, with both
    late-300.test   300 milliseconds later, with both
    nxdomain.test   there is no such name
    nodata.test     there is, without any address
    servfail.test   it can't tell at the moment
    four.test       one IPv4 address, 127.0.0.1
    six.test        one IPv6 address, ::1
    both.test       these two
    alias.test      these two, as an alias of both.test

The address 192.0.2.7 has the name ptr.test; the answer to 192.0.2.8 never comes, that to 192.0.2.9 after 200
milliseconds; others have no name.

To "count" on standard input it says how many questions it got, to "shared" how many came from the socket of a question
for held.test that is still held; it ends with standard input.
"""
import select
import socket
import struct
import sys
import time

TYPE_A, TYPE_CNAME, TYPE_PTR, TYPE_AAAA = 1, 5, 12, 28
RCODES = {"servfail": 2, "nxdomain": 3}
ADDRESSES = {
    TYPE_A: socket.inet_pton(socket.AF_INET, "127.0.0.1"),
    TYPE_AAAA: socket.inet_pton(socket.AF_INET6, "::1"),
    TYPE_PTR: b"\x03ptr\x04test\x00",
}
BOTH = b"\x04both\x04test\x00"
POINTERS = {"7": "ptr", "8": "silent", "9": "late-200"}
HOLDS = {"four": [TYPE_A], "six": [TYPE_AAAA], "nodata": [], "nxdomain": [], "servfail": []}


def parse(query):
    """The first label, the type, and where the question ends (RFC 1035 section 4.1.2)."""
    end = 12
    while query[end]:
        end += 1 + query[end]
    label = query[13:13 + query[12]].decode().lower()
    return label, struct.unpack_from("!H", query, end + 1)[0], end + 5


def answer(query, label, qtype, end):
    found = qtype in HOLDS.get(label, [TYPE_A, TYPE_AAAA, TYPE_PTR])
    records = []
    name = b"\xc0\x0c"  # as in the question
    if label == "alias":
        records.append(name + struct.pack("!HHIH", TYPE_CNAME, 1, 0, len(BOTH)) + BOTH)
        name = BOTH
    if found:
        data = ADDRESSES[qtype]
        records.append(name + struct.pack("!HHIH", qtype, 1, 0, len(data)) + data)
    header = query[:2] + struct.pack("!HHHHH", 0x8180 | RCODES.get(label, 0), 1, len(records), 0, 0)
    return header + query[12:end] + b"".join(records)


class Server:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # for hundreds of questions at once
        self.socket.bind(("127.0.0.1", 53))
        self.count = 0
        self.shared = 0
        self.held = []
        self.holds = True
        self.late = []  # (when, answer, whom)

    def hear(self):
        query, sender = self.socket.recvfrom(512)
        self.count += 1
        label, qtype, end = parse(query)
        if qtype == TYPE_PTR:
            label = POINTERS.get(label, "nxdomain")
        reply = answer(query, label, qtype, end)
        if label != "held" and self.holds and any(asker == sender for _, asker in self.held):
            self.shared += 1
        if label == "held" and self.holds:
            self.held.append((reply, sender))
        elif label.startswith("late-"):
            self.late.append((time.monotonic() + int(label[5:]) / 1000, reply, sender))
        elif label != "silent":
            self.socket.sendto(reply, sender)

    def obey(self, line):
        if line == "count":
            print(self.count, flush=True)
        if line == "shared":
            print(self.shared, flush=True)
        if line == "go":
            self.holds = False
            for reply, sender in self.held:
                self.socket.sendto(reply, sender)

    def send_late(self):
        now = time.monotonic()
        for when, reply, sender in self.late:
            if when <= now:
                self.socket.sendto(reply, sender)
        self.late = [late for late in self.late if late[0] > now]

    def wait(self):
        """What there is to read, or nothing when a late answer is due."""
        first = min((late[0] for late in self.late), default=None)
        left = None if first is None else max(0, first - time.monotonic())
        return select.select([self.socket, sys.stdin], [], [], left)[0]


def main():
    server = Server()
    print("ready", flush=True)
    while True:
        readable = server.wait()
        if server.socket in readable:
            server.hear()
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return
            server.obey(line.rstrip())
        server.send_late()


main()
