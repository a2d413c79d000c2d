---@meta ssocket.tls
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---Options of a context. Each may be left out. A string with `-----BEGIN` in it is the text of a file in PEM,
---any other is a path. An array of them, or of names, may be a single one instead.
---@class ssocket.tls.options
---@field ca? string|(string)[] what a client trusts: files, directories with hashed names, texts in PEM, `"system"`; default `"system"`, the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR`, or else where they are found). Each certificate in it is an anchor, self-signed or not: a server's own is trusted alone
---@field verify? boolean|"report" default `true`; `false`: a client takes any certificate from anybody. For tests. `"report"`: the handshake of a client, and of a server with `client_ca`, goes on whatever is wrong with the peer's certificate, and `info` says that as `unverified`: whoever does not look there trusts anybody. A server still wants a certificate, unless `client_optional` is set. No context that refuses resumes such a session
---@field partial_chain? boolean default `true`; `false`: of the certificates in `ca` and `client_ca` only those that are self-signed are anchors
---@field any_purpose? boolean default `false`; `true`: a peer's certificate is good whatever its extended key usage says it is for, one for servers alone also in a client's hands
---@field verify_name? string|false the name or address that a client verifies, in the form of `name` of `tls.client`, instead of that one, which is still sent (SNI). `false`: no name is verified, and whoever has any certificate of a trusted authority can be the server. Not with `verify = false`
---@field depth? integer 0 to 65536: how many authorities may stand between the peer's certificate and the anchor, which is not counted; 0: the anchor has signed it. Default: OpenSSL's, 100
---@field cert? string|(string)[] our certificate, and behind it in the same file those that have signed it; several for several types of key, one for each
---@field key? string|(string)[] the private key of each `cert`, in the same order; default: the one in `cert`. It must fit
---@field password? string of keys that are encrypted; without it such a key is an error: nobody is ever asked
---@field client_ca? string|(string)[] as `ca`, without `"system"`: a server asks for a certificate that one of these has signed, and refuses clients without
---@field client_optional? boolean default `false`; `true`: clients without a certificate are let in, those with a bad one are not
---@field crl? string|(string)[] revocation lists; one must be there then for each authority of a chain
---@field alpn? string|(string)[] names of protocols, 1 to 255 bytes each, the preferred one first. The server's order decides; nothing in common ends the handshake on both sides; a peer without ALPN is taken
---@field alpn_optional? boolean default `false`; `true`: with nothing in common a server goes on without ALPN, as servers with plain OpenSSL do, and has to expect a client that speaks another protocol. Only with `alpn`
---@field min? "1.2"|"1.3" the lowest version; default `"1.2"`
---@field sessions? integer 0 to 65536, default 64: how many sessions of servers a client keeps, to resume them by itself for the same name and port; 0: none, and a server issues no tickets. A certificate that has expired since is refused all the same
---@field ticket_keys? string|(string)[] keys of a server's tickets, 80 random bytes each, for processes behind one address: the first one seals, all open. Default: keys of this context's own, renewed every 12 hours. Secret
---@field keylog? string a file to which the secrets of connections are appended, for Wireshark. For tests. The environment is never asked
---@field conf? table further settings by OpenSSL's names, strings all: `{ Groups = "X25519:P-256" }`. They override the system's configuration, but get below neither TLS 1.2 nor `min`

---What `hello` tells. It comes from the client, and nobody has verified any of it.
---@class ssocket.tls.hello
---@field name? string the host that it wants to reach (SNI), in lower case; any bytes but NUL; nil: it has sent none
---@field alpn? string[] the protocols that it offers, in its order; nil: none
---@field versions string[] which of `"TLSv1.2"` and `"TLSv1.3"` it offers, in this order; may be empty

---What `info` tells. The table is the caller's: it does not change with the connection.
---@class ssocket.tls.info
---@field version string `"TLSv1.2"` or `"TLSv1.3"`
---@field cipher string its standard name: `"TLS_AES_256_GCM_SHA384"`
---@field group? string of the key exchange; nil: OpenSSL does not tell
---@field alpn? string the protocol that was chosen; nil: none
---@field name? string the name that the client has sent (SNI), in lower case; nil: none
---@field server boolean whether this end is the server
---@field resumed boolean whether a session was resumed
---@field verified boolean whether the peer has given a certificate, and it was checked and is good (a client: for the name as well, unless `verify_name` is `false`)
---@field unverified? string with `verify = "report"`: what is wrong with the peer's certificate, the first thing that was found, or that it has given none; for people. Nil: it is `verified`, or nothing was asked of the peer. Of a resumed session the depth is not told
---@field errors? string[] all that `unverified` has the first of, in the order in which it was found, at most 8; each with its depth
---@field reason? string why an error has ended the connection, for people; nil: none has
---@field peer? ssocket.tls.certificate the peer's certificate; nil: it has given none
---@field chain? string[] the peer's certificate and the others that it has sent, in PEM; after a resumption perhaps the first alone. Only what leads to an anchor was verified; nil with `peer`

---A certificate. The `peer` of `tls.info`.
---@class ssocket.tls.certificate
---@field pem string the whole of it
---@field sha256 string the digest of its DER form, 64 hexadecimal digits in lower case
---@field subject string whose it is: `"CN=a.example,O=A"`
---@field issuer string who has signed it, likewise
---@field names string[] the host names and addresses among its subject alternative names; may be empty. A name with a NUL or another control byte is left out
---@field notbefore? integer the first second of its time, in seconds since 1970 (UTC), as os.time counts; nil: it has no time there, which is possible where nobody has verified it
---@field notafter? integer the last one, likewise
---@field serial string its number, hexadecimal in lower case

---What `tls.context` returns. It has no methods.
---@class ssocket.tls.context

---TLS.
---@class ssocket.tlsmodule
---@field _OPENSSL string name and version of the library in use, such as `"OpenSSL 3.0.16 11 Feb 2025"`
---@field ERROR_CERTIFICATE "Certificate verify failed" we have refused the peer's certificate, or it has given none
---@field ERROR_ALERT "TLS alert received" the peer has refused, or broken off; the reason is the alert's name
---@field ERROR_PROTOCOL "TLS protocol error" the bytes are not TLS, nothing is in common, a record is bad, messages come without end, or the connection is another process's
---@field ERROR_EOF "TLS stream truncated" the connection has ended, and the peer had not said that it would (close_notify)
---@field ERROR_HANDSHAKE "TLS handshake not finished" a call comes in the middle of a handshake that is kept (`keep` of `tls.client` and `tls.server`)
local tlsmodule = {}

---`socket.tcp`, `connect` and `tls.client` in one call, which verifies the server for the name `host`. A
---failure leaves nothing open.
---@param host string to connect to, and to verify, as `name` of `tls.client`
---@param port integer 0..65535; of the server
---@param ctx? ssocket.tls.context see `tls.context`; without it the system's authorities are trusted
---@param timeout? number seconds; for look-up, connection and handshake together, and then the socket's; negative: no limit
---@return tcpsock? tcpsock # the connection
---@return string? err
---@return string? reason # with an error of TLS: more of it, for people; it changes with OpenSSL, so compare `err` alone
function tlsmodule.connect(host, port, ctx, timeout) end

---Shakes hands as a client. The server's certificate must lead to one that `ctx` trusts, be within its dates,
---be one for servers, and be for `name`; else the handshake fails, unless `ctx` has another `verify` or
---`verify_name`. Names match the subject alternative names alone, never the common name; `*` stands for the
---whole first label; an address matches an address. The name is sent to the server (SNI), an address is not.
---It need not be what the socket is connected to.
---
---Whatever goes wrong, a time-out or `task:cancel` too, *the socket is closed*, after an alert if that needs
---no waiting: a program that overlooks the result cannot go on in plain text. After misuse and after
---`ERROR_BUSY` and `EISCONN`, where nothing was begun, it is as it was.
---
---With `keep` a time-out, and it alone, leaves the socket open in mid-handshake: the results are `nil`,
---`ERROR_TIMEOUT` and what the handshake waits for, and the same call goes on with it. Until it has
---succeeded, every other call that reads or writes there is `tls.ERROR_HANDSHAKE`: no plain byte is sent or
---taken. `close` ends it.
---
---In TLS 1.3 a server judges our certificate after our handshake has succeeded. If it refuses, the first call
---that reads says `tls.ERROR_ALERT`.
---@param s tcpsock a connected stream socket of any kind, TCP or Unix
---@param name string the server's: a host name in ASCII (an international one as `xn--...`), of which one dot at its end is dropped, or a numeric address, of which the zone is dropped
---@param ctx? ssocket.tls.context see `tls.context`; without it the system's authorities are trusted, no certificate is sent, and no protocol (ALPN) is offered
---@param keep? boolean `true`: a handshake that is not over in time goes on with the next call, for a loop of your own
---@return true? ok # the connection is encrypted, and the server verified
---@return string? err
---@return string? reason # with an error of TLS: more of it, for people; it changes with OpenSSL, so compare `err` alone. With `ERROR_TIMEOUT` and `keep`: `"read"` or `"write"`, what the handshake waits for
function tlsmodule.client(s, name, ctx, keep) end

---Shakes hands as a server. With `client_ca` in the context it asks the client for a certificate, and refuses
---one that is bad, and the lack of one unless `client_optional` is set.
---
---Whatever goes wrong the socket is closed, as with `tls.client`; `keep` is as there. Set a timeout, and call
---it in the task that serves the client: one that is silent then delays nobody.
---@param s tcpsock a connected stream socket of any kind, TCP or Unix
---@param ctx ssocket.tls.context one with a certificate, `cert`
---@param keep? boolean `true`: a handshake that is not over in time goes on with the next call, for a loop of your own
---@return true? ok # the connection is encrypted
---@return string? err
---@return string? reason # with an error of TLS: more of it, for people; it changes with OpenSSL, so compare `err` alone. With `ERROR_TIMEOUT` and `keep`: `"read"` or `"write"`, what the handshake waits for
function tlsmodule.server(s, ctx, keep) end

---What connections have in common: whom they trust, their own certificates, settings. It has no methods and
---never changes; any number of clients and servers of this Lua state share it. `tostring(ctx)` is
---`<tls.context>`.
---
---Files are read here, once; a directory is looked into when a certificate is needed. A new certificate is a
---new context, for the connections that follow; those that are open keep theirs. Ciphers, groups and the
---security level that `conf` does not set are as the system's configuration of OpenSSL has them, but nothing
---goes below TLS 1.2.
---@param options? ssocket.tls.options a table, see Options of a context
---@return ssocket.tls.context? ctx # for `tls.connect`, `tls.client` and `tls.server`
---@return string? err
function tlsmodule.context(options) end

---Waits for the client's first message, the ClientHello, and tells of it. It answers nothing and takes
---nothing: `tls.server` follows with the context that fits, and the program may wait for other things in
---between. It may be called again.
---
---Bytes that are no ClientHello are `tls.ERROR_PROTOCOL`, and the socket is open, plain and unread: so one
---port can serve both kinds of clients.
---@param s tcpsock a connected stream socket of any kind, TCP or Unix
---@return ssocket.tls.hello? hello # a table, see What `hello` tells
---@return string? err
function tlsmodule.hello(s) end

---Describes a TLS connection, also one that an error has ended, until it is closed.
---@param s tcpsock a stream socket
---@return ssocket.tls.info? info # a new table, see What `info` tells; nil: the socket is plain or closed
function tlsmodule.info(s) end

---Bytes that only the two ends of this connection can know, and that are the same at both for the same
---arguments. The label says what they are for; some protocols define one. A `context` of `""` is another one
---than none in TLS 1.2, and the same in 1.3.
---@param s tcpsock the connection
---@param label string 1 to 249; bytes; the purpose
---@param length integer 1 to 8160; bytes; how many
---@param context? string further bytes that go in
---@return string? bytes # of length `length`
---@return string? err
function tlsmodule.export(s, label, length, context) end

---Channel binding: bytes by which a log-in above TLS (SCRAM-SHA-256-PLUS) proves that both ends are those of
---the same connection.
---@param s tcpsock the connection
---@param kind string `"tls-exporter"`, `"tls-server-end-point"`, `"tls-unique"`, `"finished"`, `"peer-finished"`; the first is for TLS 1.3, and for 1.2 with the extended master secret; the second a digest of the server's certificate, which a server with several does not have after a resumption; the third for TLS 1.2 alone, and after a resumption with that secret alone. The last two are the Finished messages of this end and of the peer, for protocols that name one of them
---@return string? bytes # 32 bytes; of the second kind as its digest has; of the others 12, or a digest
---@return string? err
function tlsmodule.binding(s, kind) end

return tlsmodule
