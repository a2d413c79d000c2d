/* Errors of TLS: their texts are part of the interface. The library that finds them is known to src/tls alone. */
#ifndef SS_CORE_TLS_CODES_H
#define SS_CORE_TLS_CODES_H

#pragma GCC visibility push(hidden)

/* The codes of SS_TLS. */
enum ss_tls_code {
    SS_TLS_CERTIFICATE, /* we have refused the peer's */
    SS_TLS_ALERT,       /* the peer has refused us */
    SS_TLS_PROTOCOL,    /* no TLS, nothing in common, a bad record, a flood; a connection of another process */
    SS_TLS_EOF,         /* the connection has ended without the peer's close_notify */
    SS_TLS_HANDSHAKE,   /* a call comes before the end of the handshake */
    SS_TLS_CODES        /* the number of codes */
};

struct ss_tls_code_text {
    const char *name; /* the constant: "ERROR_ALERT" */
    const char *text;
};

extern const struct ss_tls_code_text ss_tls_codes[SS_TLS_CODES];

#pragma GCC visibility pop

#endif
