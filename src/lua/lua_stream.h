/* What the files of the class tcpsock share: lua_tcp.c and lua_stream.c. */
#ifndef LSS_STREAM_H
#define LSS_STREAM_H

#include "lua/lua_base.h"

#pragma GCC visibility push(hidden)

struct tcpsock {
    struct lss_socket base;
};

static inline struct tcpsock *self_tcp(lua_State *L)
{
    return lss_self_socket(L);
}

static inline bool tcp_is_closed(const struct tcpsock *s)
{
    return s->base.sock.io.fd < 0;
}

static inline struct ss_op new_tcp_op(struct tcpsock *s, enum ss_status (*step)(struct ss_op *),
                                      enum ss_kernel_timeout kernel_timeout)
{
    return (struct ss_op){ .step = step, .io = &s->base.sock.io, .kernel_timeout = (uint8_t)kernel_timeout };
}

/* Methods. */
int lss_tcp_finish(lua_State *L);
int lss_tcp_peek(lua_State *L);
int lss_tcp_pending(lua_State *L);
int lss_tcp_read(lua_State *L);
int lss_tcp_readall(lua_State *L);
int lss_tcp_readline(lua_State *L);
int lss_tcp_readsome(lua_State *L);
int lss_tcp_readuntil(lua_State *L);

#pragma GCC visibility pop

#endif
