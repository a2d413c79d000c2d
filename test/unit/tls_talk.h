/* A conversation over TLS, which is the same whatever the descriptor does with the bytes, or fails. */
#ifndef TLS_TALK_H
#define TLS_TALK_H

#include "tls_rig.h"

enum { TALK_TEXT = 320, TALK_KINDS = 4 };

/* Client and server, TLS 1.3 and 1.2. */
extern const struct tls_kind talk_kinds[TALK_KINDS];

/* How far a conversation came. */
struct talk {
    enum ss_status st; /* the first that is not as it is to be; SS_OK: all are */
    struct ss_error err;
    bool shaken, sent;
    unsigned char text[TALK_TEXT];
    size_t len;
};

/* Connects not, but shakes hands; the peer writes three records, we write as much, both say close_notify. Where nothing moves any
 * more, the peer's connection ends. */
void talk_run(struct tls_rig *rig, struct talk *t);

/* Checks that all is as it is to be. `what`, `at`: for the message. */
void talk_check_all(const struct tls_rig *rig, const struct talk *t, const char *what, size_t at);

/* Checks that nobody has read what the other has not written. */
void talk_check_prefixes(const struct tls_rig *rig, const struct talk *t, const char *what, size_t at);

/* Connects, and talks with nothing between: each other connection has the same lengths. */
void talk_measure(struct tls_rig *rig, size_t *in, size_t *out);

#endif
