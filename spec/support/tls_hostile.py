# What the peers of spec/tls_hostile_spec.lua have: a TLS whose bytes go when they are told to, and OpenSSL itself.
import ssl, ctypes

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
        s.setblocking(True)
        p, n = ctypes.c_void_p, ctypes.c_int
        for name, result, *arguments in (
            ("TLS_client_method", p), ("SSL_CTX_new", p, p), ("SSL_CTX_ctrl", ctypes.c_long, p, n, ctypes.c_long, p),
            ("SSL_new", p, p), ("SSL_set_fd", n, p, n), ("SSL_connect", n, p), ("SSL_key_update", n, p, n),
            ("SSL_do_handshake", n, p), ("SSL_renegotiate", n, p), ("SSL_write", n, p, p, n), ("SSL_read", n, p, p, n)):
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

TLS12, TLS13 = 0x0303, 0x0304
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
