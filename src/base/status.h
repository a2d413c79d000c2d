/* Outcomes: what a system call, a step or a whole operation can end with, and why. */
#ifndef SS_BASE_STATUS_H
#define SS_BASE_STATUS_H

enum ss_status {
    SS_OK,        /* done */
    SS_WANT,      /* not done: step again when what is wanted is there */
    SS_EOF,       /* the peer has ended the stream */
    SS_LIMIT,     /* more bytes than the caller allows */
    SS_TRUNCATED, /* done, but the datagram was longer than asked for */
    SS_CLOSED,    /* the socket has no descriptor */
    SS_BUSY,      /* another task waits in a call of that direction */
    SS_CANCELLED, /* the task was asked to end */
    SS_TIMEOUT,   /* said by drivers only: a step does not know the time */
    SS_ERROR      /* the cause is in a struct ss_error */
};

/* Whose number an error code is. */
enum ss_space {
    SS_SYSTEM,  /* errno(3) */
    SS_RESOLVER /* getaddrinfo(3), EAI_* */
};

struct ss_error {
    enum ss_space space;
    int code;
};

#endif
