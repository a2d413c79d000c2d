# What the peers of spec/tls_hostile_spec.lua have: a TLS whose bytes go when they are told to, and OpenSSL itself.
import ssl, ctypes, zlib

class Tls: # over memory: what it has to send is in `out`
    def __init__(self, s, context, **more):
        self.s, self.into, self.out = s, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, **more)
    def shake(self):
        while True:
            try: return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.into.write(self.s.recv(65536))
    def flush(self): self.s.sendall(self.out.read())
    def pack(self, data):
        self.tls.write(data)
        return self.out.read()
    def take(self, n):
        data = b""
        while len(data) < n:
            try: data += self.tls.read(n - len(data))
            except ssl.SSLWantReadError: self.into.write(self.s.recv(65536))
        return data

def served(s, cert, tickets=0, version=None):
    c = server_context(cert)
    c.num_tickets = tickets
    if version: c.minimum_version = c.maximum_version = version
    return Tls(s, c, server_side=True)

def records(data):
    while data:
        n = 5 + int.from_bytes(data[3:5], "big")
        yield data[:n]
        data = data[n:]

class OpenSSL: # a client that verifies nothing, for calls that Python does not make
    def __init__(self, s, version):
        for name in "libssl.so.3", "libssl.so.1.1", "libssl.dylib":
            try: self.lib = ctypes.CDLL(name); break
            except OSError: pass
        self.s = s
        s.setblocking(True)
        p, n = ctypes.c_void_p, ctypes.c_int
        for name, result, *arguments in (
            ("TLS_client_method", p), ("SSL_CTX_new", p, p), ("SSL_CTX_ctrl", ctypes.c_long, p, n, ctypes.c_long, p),
            ("SSL_new", p, p), ("SSL_set_fd", n, p, n), ("SSL_connect", n, p), ("SSL_key_update", n, p, n),
            ("SSL_do_handshake", n, p), ("SSL_renegotiate", n, p), ("SSL_write", n, p, p, n), ("SSL_read", n, p, p, n),
            ("SSL_get_error", n, p, n), ("SSL_ctrl", ctypes.c_long, p, n, ctypes.c_long, p)):
            f = getattr(self.lib, name)
            f.restype, f.argtypes = result, arguments
        context = self.lib.SSL_CTX_new(self.lib.TLS_client_method())
        for command in 123, 124: # SSL_CTRL_SET_MIN_PROTO_VERSION, SSL_CTRL_SET_MAX_PROTO_VERSION
            self.lib.SSL_CTX_ctrl(context, command, version, None)
        self.ssl = self.lib.SSL_new(context)
        self.lib.SSL_set_fd(self.ssl, s.fileno())
        assert self.lib.SSL_connect(self.ssl) == 1
    def update_key(self, ask):
        return self.lib.SSL_key_update(self.ssl, ask) == 1 and self.lib.SSL_do_handshake(self.ssl) == 1
    def renegotiate(self):
        return self.lib.SSL_renegotiate(self.ssl) == 1 and self.lib.SSL_do_handshake(self.ssl) == 1
    def write(self, data): return self.lib.SSL_write(self.ssl, data, len(data))
    def read(self, n):
        buffer = ctypes.create_string_buffer(n)
        got = self.lib.SSL_read(self.ssl, buffer, n)
        return buffer.raw[:max(0, got)]
    def try_to(self, f, *args): # the bytes that f has moved, 0 where it has to wait
        n = f(self.ssl, *args)
        assert n > 0 or self.lib.SSL_get_error(self.ssl, n) in (2, 3), "not WANT_READ or WANT_WRITE"
        return max(0, n)
    def both_ways(self, total, every):
        """Writes and reads so many bytes at once; each so many records there are new keys, with and without an answer
        asked for. The sums of what was written and of what was read."""
        self.lib.SSL_ctrl(self.ssl, 33, 3, None) # SSL_CTRL_MODE: partial writes, from anywhere
        self.s.setblocking(False)
        block = bytes((i * 7 + i // 251) % 256 for i in range(1 << 16))
        out, into = ctypes.create_string_buffer(block), ctypes.create_string_buffer(1 << 16)
        sent, got, records, here, there = 0, 0, 0, 0, 0
        while sent < total or got < total:
            wrote, at = 0, sent % len(block)
            if sent < total:
                wrote = self.try_to(self.lib.SSL_write, ctypes.addressof(out) + at, min(16384, total - sent))
                here, sent = zlib.crc32(block[at:at + wrote], here), sent + wrote
                records += wrote > 0
                if wrote and records % every == 0:
                    assert self.lib.SSL_key_update(self.ssl, records // every % 2) == 1
            read = self.try_to(self.lib.SSL_read, into, 1 << 16) if got < total else 0
            there, got = zlib.crc32(into.raw[:read], there), got + read
            if not wrote and not read:
                ready = select.select([self.s], [self.s] if sent < total else [], [], 20)
                assert any(ready), "nothing moves"
        return here, there

TLS12, TLS13 = 0x0303, 0x0304
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
