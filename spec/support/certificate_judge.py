"""What Python's ssl thinks of certificates: one line of answer for each line of its standard input.

    certificate_judge.py DIR

A line is KIND, CERT, KEY, CA, NAME, CRLS, which tabs separate: files in DIR, KIND is "server" or "client" (whose
certificate is judged), CRLS may be several, apart by commas, and CERT is empty where a client has none. The answer is
"ok", or "certificate" with the verification error, or "error" with the reason. Both ends are here, over memory.
"""

import os
import ssl
import sys

os.chdir(sys.argv[1])


def judging(kind, ca, crls):
    if kind == "server":
        context = ssl.create_default_context(cafile=ca)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain("good.crt", "leaf.key")
    for crl in filter(None, crls.split(",")):
        context.load_verify_locations(crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def judged(kind, cert, key):
    protocol = ssl.PROTOCOL_TLS_SERVER if kind == "server" else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(protocol)
    if kind == "client":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it is not the one to judge
    if cert:
        context.load_cert_chain(cert, key)
    return context


def advance(end):
    try:
        end.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


def verdict(judge, other):
    done = other_done = False
    while not done:
        try:
            done = advance(judge)
        except ssl.SSLCertVerificationError as e:
            return "certificate\t" + e.verify_message
        except ssl.SSLError as e:
            return "error\t" + str(e.reason)
        other_done = other_done or advance(other)
    return "ok"


def answer(kind, cert, key, ca, name, crls):
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    judge, other = judging(kind, ca, crls), judged(kind, cert, key)
    client, server = (judge, other) if kind == "server" else (other, judge)
    client = client.wrap_bio(to_client, to_server, server_hostname=name if kind == "server" else None)
    server = server.wrap_bio(to_server, to_client, server_side=True)
    return verdict(*((client, server) if kind == "server" else (server, client)))


for line in sys.stdin:
    print(answer(*line.rstrip("\n").split("\t")), flush=True)
