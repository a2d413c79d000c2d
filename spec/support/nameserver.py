"""A name server at 127.0.0.1:53 that answers as the first label of the name says:

    silent.test     never
    held.test       when "go" comes on standard input, with both
    late-300.test   300 milliseconds later, with both
    nxdomain.test   there is no such name
    nodata.test     there is, without any address
    servfail.test   it can't tell at the moment
    four.test       one IPv4 address, 127.0.0.1
    six.test        one IPv6 address, ::1
    both.test       these two

To "count" on standard input it says how many questions it got; it ends with standard input.
"""
import select
import socket
import struct
import sys
import threading

TYPE_A, TYPE_AAAA = 1, 28
RCODES = {"servfail": 2, "nxdomain": 3}
ADDRESSES = {
    TYPE_A: socket.inet_pton(socket.AF_INET, "127.0.0.1"),
    TYPE_AAAA: socket.inet_pton(socket.AF_INET6, "::1"),
}
HOLDS = {"four": [TYPE_A], "six": [TYPE_AAAA], "nodata": [], "nxdomain": [], "servfail": []}


def parse(query):
    """The first label, the type, and where the question ends (RFC 1035 section 4.1.2)."""
    end = 12
    while query[end]:
        end += 1 + query[end]
    label = query[13:13 + query[12]].decode().lower()
    return label, struct.unpack_from("!H", query, end + 1)[0], end + 5


def answer(query, label, qtype, end):
    found = qtype in HOLDS.get(label, [TYPE_A, TYPE_AAAA])
    header = query[:2] + struct.pack("!HHHHH", 0x8180 | RCODES.get(label, 0), 1, int(found), 0, 0)
    record = b""
    if found:
        data = ADDRESSES[qtype]
        record = struct.pack("!HHHIH", 0xC00C, qtype, 1, 0, len(data)) + data
    return header + query[12:end] + record


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    count, held = 0, []
    while True:
        for ready in select.select([server, sys.stdin], [], [])[0]:
            if ready is sys.stdin:
                line = sys.stdin.readline().rstrip()
                if not line:
                    return
                if line == "count":
                    print(count, flush=True)
                for reply, sender in held if line == "go" else []:
                    server.sendto(reply, sender)
                continue
            query, sender = server.recvfrom(512)
            count += 1
            label, qtype, end = parse(query)
            reply = answer(query, label, qtype, end)
            if label == "held":
                held.append((reply, sender))
            elif label.startswith("late-"):
                timer = threading.Timer(int(label[5:]) / 1000, server.sendto, (reply, sender))
                timer.daemon = True
                timer.start()
            elif label != "silent":
                server.sendto(reply, sender)


main()
