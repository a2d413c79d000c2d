/* Outcomes of system calls, steps and operations. */
#ifndef SS_BASE_STATUS_H
#define SS_BASE_STATUS_H

enum ss_status {
    SS_OK,        /* done */
    SS_WANT,      /* not done: step again when the wanted event occurs */
    SS_EOF,       /* the peer has ended the stream */
    SS_LIMIT,     /* more bytes than the caller permits */
    SS_TRUNCATED, /* done, but the datagram was longer than the buffer */
    SS_CLOSED,    /* the socket has no descriptor */
    SS_BUSY,      /* another task waits for the same direction */
    SS_CANCELLED, /* the task is cancelled */
    SS_TIMEOUT,   /* from drivers only: steps do not know the time */
    SS_ERROR      /* the cause is in a struct ss_error */
};

/* The origin of an error code. */
enum ss_space {
    SS_SYSTEM,   /* errno(3) */
    SS_RESOLVER, /* getaddrinfo(3), EAI_* */
    SS_TLS       /* core/tls_codes.h */
};

struct ss_error {
    enum ss_space space;
    int code;
};

#endif
