# A TLS peer for spec/tls_peers_spec.lua: server or client of one connection for each case, in their order.
#
#   argv: "server" or "client", the directory of the certificates, the port (of a client; a server tells its own), CASE
#   CASE: VERSION/KEY/CLIENT-CERTIFICATE/ALPN/RESUMED/ACT, "-" for what is not
#
# After a handshake it says: version, whether resumed, protocol or "-", name of the peer's certificate or "-".
import ssl

SIZES = (1, 16383, 16384, 16385, 1 << 20)
MUCH = 10 << 20
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
role, where, port, cases = argv[0], argv[1] + "/", argv[2], [case.split("/") for case in argv[3:]]
contexts, sessions = {}, {}

def make_context(version, key, certificate, alpn):
    if role == "server":
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(where + key + ".pem")
    else:
        c = ssl.create_default_context(cafile=where + "ca.pem")
    if certificate != "-" and role == "server":
        c.load_verify_locations(where + "ca.pem")
        c.verify_mode = ssl.CERT_REQUIRED
    elif certificate != "-":
        c.load_cert_chain(where + "client.pem")
    if alpn != "-": c.set_alpn_protocols(["other", alpn])
    c.minimum_version = c.maximum_version = VERSIONS[version]
    return c

def pattern(n):
    return (bytes(range(251)) * (n // 251 + 1))[:n]

def echo(s):
    for n in SIZES: s.sendall(take(s, n))
    assert s.recv(1) == b"" # the peer's closure; what is no closure raises
    s.sendall(pattern(100000))

def attempt(f, *args):
    try: return f(*args)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError): return None

def both(s):
    s.setblocking(False)
    data = pattern(MUCH)
    left, got = memoryview(data), bytearray()
    while left or len(got) < MUCH:
        sent = attempt(s.send, left[:65536]) if left else None
        piece = attempt(s.recv, 65536) if len(got) < MUCH else None
        assert piece != b""
        got += piece or b""
        left = left[sent or 0:]
        if not sent and not piece: select.select([s], [s] if left else [], [], 10)
    s.setblocking(True)
    say("same" if got == data else "not the same")

def die(s):
    s.sendall(b"half a body")
    hear() # and is killed

def common_name(certificate):
    return dict(pair[0] for pair in certificate["subject"])["commonName"] if certificate else "-"

def serve(case, plain):
    *kind, resumed, act = case
    context = contexts.setdefault(tuple(kind), None) or make_context(*kind)
    contexts[tuple(kind)] = context
    more = dict(server_side=True) if role == "server" else dict(
        server_hostname="a.test", session=sessions.get(tuple(kind)) if resumed != "-" else None)
    s = context.wrap_socket(plain, suppress_ragged_eofs=False, **more)
    say(s.version(), "resumed" if s.session_reused else "-", s.selected_alpn_protocol() or "-",
        common_name(s.getpeercert()))
    {"echo": echo, "both": both, "die": die}[act](s)
    if role == "client": sessions[tuple(kind)] = s.session # which unwrap forgets
    s.unwrap().close()

listener = listen() if role == "server" else None
for case in cases:
    serve(case, listener.accept()[0] if listener else connect(port))
