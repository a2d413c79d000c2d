# Servers for programs that are written for LuaSocket. argv[0] is which one. It says its port; what it is told comes as
# lines. The prelude of support.peer stands before it.
import threading

SERVING = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Method: %s\r\n\r\n"


def http_body(f, headers):
    if headers.get("transfer-encoding", "") != "chunked":
        return f.read(int(headers.get("content-length", 0)))
    body = b""
    while True:
        size = int(f.readline(), 16)
        body += f.read(size)
        f.readline()
        if size == 0:
            return body


def http(s):
    """Echoes the body; /slow takes 0.2 s; /moved is elsewhere; /cut ends in the middle."""
    with s, s.makefile("rb") as f:
        method, path, _ = f.readline().decode().split()
        headers = {}
        for line in iter(f.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = http_body(f, headers)
        if path == "/moved":
            s.sendall(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
            return
        if path == "/cut":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            return
        if path == "/slow":
            time.sleep(0.2)
        body = body or path.encode()
        s.sendall((SERVING % (len(body), method)).encode() + body)


def smtp(s):
    """Says what it is told, in lines."""
    with s, s.makefile("rb") as f:
        s.sendall(b"220 here\r\n")
        data = False
        for line in f:
            line = line.decode().rstrip("\r\n")
            say(line)
            if data and line != ".":
                continue
            word = line.split(" ")[0].upper()
            data = word == "DATA"
            answers = {"EHLO": "250-here\r\n250 SIZE 100", "DATA": "354 go on", "QUIT": "221 bye", "VRFY": "502 no"}
            s.sendall((answers.get(word, "250 fine") + "\r\n").encode())
            if word == "QUIT":
                return


listener = listen(64)
while True:
    threading.Thread(target={"http": http, "smtp": smtp}[argv[0]], args=(listener.accept()[0],), daemon=True).start()
