rockspec_format = "3.0"
package = "ssocket-tls"
version = "scm-1"

-- As ssocket-scm-1.rockspec, from the same checkout: `luarocks make ssocket-tls-scm-1.rockspec`.
source = {
    url = "git+file://.",
}

description = {
    summary = "TLS 1.2 and 1.3 on the sockets of ssocket, with OpenSSL",
    license = "MIT",
    labels = { "socket", "network", "tls", "ssl", "openssl" },
}

supported_platforms = { "unix" }

dependencies = {
    "lua >= 5.1, < 5.6",
    "ssocket",
}

external_dependencies = {
    OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
}

build = {
    type = "builtin",
    modules = {
        ["ssocket.tls"] = {
            defines = { "_GNU_SOURCE" },
            incdirs = { "src", "$(OPENSSL_INCDIR)" },
            libdirs = { "$(OPENSSL_LIBDIR)" },
            libraries = { "ssl", "crypto", "pthread" },
            sources = {
                -- sources begin (script/check-sources --fix)
                "src/core/addr.c",
                "src/core/codes.c",
                "src/core/dgrams.c",
                "src/core/dial.c",
                "src/core/find.c",
                "src/core/iface.c",
                "src/core/inbuf.c",
                "src/core/io_fd.c",
                "src/core/op_accept.c",
                "src/core/op_bind.c",
                "src/core/op_connect.c",
                "src/core/op_dgram.c",
                "src/core/op_finish.c",
                "src/core/op_lookup.c",
                "src/core/op_passing.c",
                "src/core/op_read.c",
                "src/core/op_send_by_name.c",
                "src/core/op_set_peer.c",
                "src/core/op_shutdown.c",
                "src/core/op_write.c",
                "src/core/optlist.c",
                "src/core/pool.c",
                "src/core/sock.c",
                "src/core/tls_codes.c",
                "src/lua/lua_addr.c",
                "src/lua/lua_anchor.c",
                "src/lua/lua_base.c",
                "src/lua/lua_build.c",
                "src/lua/lua_channel.c",
                "src/lua/lua_coroutine.c",
                "src/lua/lua_failure.c",
                "src/lua/lua_group.c",
                "src/lua/lua_interrupt.c",
                "src/lua/lua_loop.c",
                "src/lua/lua_lost.c",
                "src/lua/lua_machine.c",
                "src/lua/lua_multicast.c",
                "src/lua/lua_opt.c",
                "src/lua/lua_outcome.c",
                "src/lua/lua_passing.c",
                "src/lua/lua_resolve.c",
                "src/lua/lua_resume.c",
                "src/lua/lua_run.c",
                "src/lua/lua_sched.c",
                "src/lua/lua_select.c",
                "src/lua/lua_short.c",
                "src/lua/lua_signals.c",
                "src/lua/lua_sock.c",
                "src/lua/lua_source.c",
                "src/lua/lua_stream.c",
                "src/lua/lua_suspend.c",
                "src/lua/lua_task.c",
                "src/lua/lua_tcp.c",
                "src/lua/lua_tls.c",
                "src/lua/lua_tls_ctx.c",
                "src/lua/lua_tls_info.c",
                "src/lua/lua_tls_name.c",
                "src/lua/lua_udp.c",
                "src/lua/lua_wait.c",
                "src/lua/lua_within.c",
                "src/lua/lua_yield.c",
                "src/os/os_clock.c",
                "src/os/os_file.c",
                "src/os/os_fork.c",
                "src/os/os_group.c",
                "src/os/os_hosts.c",
                "src/os/os_iface.c",
                "src/os/os_lookup.c",
                "src/os/os_many.c",
                "src/os/os_name.c",
                "src/os/os_net.c",
                "src/os/os_opt.c",
                "src/os/os_passing.c",
                "src/os/os_path.c",
                "src/os/os_poll.c",
                "src/os/os_poller_epoll.c",
                "src/os/os_poller_kqueue.c",
                "src/os/os_poller_poll.c",
                "src/os/os_signal.c",
                "src/os/os_text.c",
                "src/run/block.c",
                "src/run/deadline.c",
                "src/run/loop.c",
                "src/run/timers.c",
                "src/run/wait.c",
                "src/run/waiter.c",
                "src/run/watch.c",
                "src/tls/op_shake.c",
                "src/tls/tls_bio.c",
                "src/tls/tls_cert.c",
                "src/tls/tls_conn.c",
                "src/tls/tls_ctx.c",
                "src/tls/tls_failure.c",
                "src/tls/tls_session.c",
                "src/tls/tls_source.c",
                "src/tls/tls_stream.c",
                -- sources end
            },
        },
        -- modules begin (script/check-sources --fix)
        -- modules end
    },
    platforms = {
        -- dladdr(3), before glibc 2.34
        linux = { modules = { ["ssocket.tls"] = { libraries = { "ssl", "crypto", "pthread", "dl" } } } },
    },
}
