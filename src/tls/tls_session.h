/* Resumption: the sessions that clients keep, and the keys of the tickets that servers issue. */
#ifndef SS_TLS_SESSION_H
#define SS_TLS_SESSION_H

#include "tls/tls_stream.h"

#pragma GCC visibility push(hidden)

/* Sets the callbacks of a context, as ctx->max_sessions and the keys say. False: no memory, or no random numbers. */
bool sstls_sessions_set_up(struct sstls_ctx *ctx, const struct sstls_options *options);

/* Frees the sessions and overwrites the keys. */
void sstls_sessions_free(struct sstls_ctx *ctx);

/* Before the handshake of a client whose name and port are set: offers the peer its newest session, if there is one. */
void sstls_session_offer(struct sstls_conn *conn);

#pragma GCC visibility pop

#endif
