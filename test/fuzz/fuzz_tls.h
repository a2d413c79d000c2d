/* The inputs of fuzz_tls.c, for it and for the program that makes the first ones (seeds.c). */
#ifndef FUZZ_TLS_H
#define FUZZ_TLS_H

enum { TLS_NOISE = 1 << 18 };

/* What both sides write, from its beginning on: so many bytes, the same in each run (chance.c). */
const unsigned char *tls_noise(void);

/* Bits of the first byte. */
enum {
    TLS_IS_SERVER = 1,
    TLS_IS_12 = 2,
    TLS_IS_RAW = 4,
    TLS_HAS_SESSIONS = 8,
    TLS_WANTS = 16,
    TLS_LEAVES_ONE = 32,
    TLS_ASKS = 64
};

/* What happens to one of the peer's records: the kind, the number of the record, a place in it (two bytes), a value. */
enum tls_change {
    TLS_FLIP,
    TLS_SET,
    TLS_CUT,     /* the rest is missing */
    TLS_SHORTEN, /* the same, with the length set right */
    TLS_DROP,
    TLS_DOUBLE,
    TLS_SWAP,    /* comes behind the next one */
    TLS_PRECEDE, /* by a plain record of a type, with a part of this one */
    TLS_SPLIT,
    TLS_RETYPE,
    TLS_END, /* the connection ends behind it */
    TLS_CHANGES
};

/* Our calls, then the rest. Reads and writes have a mode and a length of two bytes. */
enum tls_event {
    TLS_SHAKE,
    TLS_READ,
    TLS_WRITE,
    TLS_SHUT, /* how */
    TLS_LEAVE,
    TLS_READY,
    TLS_SETTLE,
    TLS_INFO,
    TLS_KEYS, /* kind */
    TLS_HELLO,
    TLS_PEER_WRITE, /* a length of two bytes */
    TLS_PEER_END,
    TLS_PEER_UPDATE, /* whether it asks for one */
    TLS_FORGE,       /* type, padding, length, bytes */
    TLS_RAW,         /* a length of two bytes, bytes: arrive as they are */
    TLS_REST,        /* the rest of the input arrives as it is */
    TLS_DEAF,        /* the peer reads no more, or again */
    TLS_ENDS,        /* the input, here: how */
    TLS_PIECE,       /* bytes of a receive */
    TLS_ROOM,        /* bytes of a send */
    TLS_REFUSE,      /* memory: which requests */
    TLS_EVENTS
};

#endif
