-- Every public call of ssocket, described once. script/gen-docs.lua makes docs/reference.md,
-- types/ssocket.lua and the files under types/ssocket, and the table of calls in README.md from it, and
-- checks that the modules have exactly these calls and constants.
--
-- An entry says: call (signatures), text, takes, gives, errors, raises, partial, waits, by (what
-- decides), tls (what is different when the stream is TLS), example. A parameter of type "address" stands for the
-- three ways to give one. Text is Markdown; line breaks in it mean nothing, an empty line ends a paragraph.

local closed = { "ERROR_CLOSED", "the socket has no descriptor: never opened, or closed" }
local timeout = { "ERROR_TIMEOUT", "the deadline passed, or the kernel gave up (`ETIMEDOUT`)" }
local reset = { "ERROR_RESET", "the peer reset the connection" }

local unreachable = {
    { "ERROR_UNREACHABLE", "there is no way to that network" },
    { "ERROR_NOROUTE", "there is no way to that host" },
}

local resolving = {
    { "ERROR_NOTFOUND", "the host has no address, or is no host" },
    { "gai_strerror", "any other failure of the name look-up; `EAI_AGAIN` also if too many [go on](#deadlines)" },
}

local function errors(...)
    local list = {}
    for _, group in ipairs { ... } do
        if type(group[1]) == "table" then
            for _, row in ipairs(group) do
                list[#list + 1] = row
            end
        else
            list[#list + 1] = group
        end
    end
    return list
end

local api = {}

api.text = [[
    What every call takes, gives and does, how it fails, and which document decides. Square brackets mark
    parameters that may be left out. `address...` stands for any of the forms under
    [Addresses](#addresses). Manual pages are named with their section: recv(2), tcp(7).]]

api.rules = {
    {
        id = "failures",
        title = "Failures and misuse",
        text = [[
            What the network, the system or the peer can cause is a result: `nil` in every place up to
            that of `err`, then a string. What only a faulty program can cause (a wrong type, a negative or
            fractional size, a port outside 0..65535, an unknown option, a method called on another kind of
            socket) raises a Lua argument error that names the argument, before anything has been sent, read
            or changed.

            An error string is either the value of one of the [`ERROR_` constants](#errors), or of [those of
            `ssocket.tls`](#tls-errors), which never changes, or the text that strerror(3) or gai_strerror(3)
            has for it in the C locale. "Text of `EINVAL`" below means the latter. Every call can also fail
            with the text of a system error that is not listed with it, such as `EMFILE` or `ENOMEM`.

            Sizes and ports may be given as integers, as floats with an integral value, or as numerals;
            numbers are taken as data wherever a string is.]],
    },
    {
        id = "deadlines",
        title = "Deadlines",
        text = [[
            [`settimeout`](#sock-settimeout) bounds each later call as a whole, all of its system calls
            together, on the monotonic clock. A call that is interrupted by a signal goes on within the same
            deadline. With a timeout of 0 a call does what can be done without waiting and then fails with
            `ERROR_TIMEOUT`; [`select`](#socket-select) tells when to repeat it: the reading calls and
            `accept` wait for their socket to be readable, the writing calls for it to be writable.

            A name look-up is the system's getaddrinfo(3), which nothing can end. It runs on a thread of its own and
            is left to itself when the time is over, so with a timeout of 0 no name is found.
            Numeric hosts and paths are never looked up.

            Of the look-ups that calls wait for, at most 64 run at once in a Lua state; the others queue, each within
            the deadline of its call. Those left to themselves do not count among the 64. They go on until the
            resolver gives up, with a silent name server and the defaults of resolv.conf(5) after ten seconds, and
            while there are 256 of them a further look-up fails at once with the text of `EAI_AGAIN`; those that
            run are left to themselves as before, so there are never more than 319. A name in the hosts file with an
            address of the family asked for, an address in it, and `localhost` are found whatever the others do. A
            look-up that runs takes a thread with a stack of 256 KiB, of which it uses some 16, and the descriptors
            that the resolver opens. Where no thread can be had, a look-up without a deadline in the main program
            runs on the program's own thread, and no signal ends it.]],
    },
    {
        id = "bytes",
        title = "No byte is lost",
        text = [[
            What arrived and is not part of a result is either in the `partial` that came with the error, or
            still in the socket and there for the next call. What `write` did not send is told by `sent`.
            Data and delimiters hold any bytes, NUL included.]],
    },
    {
        id = "descriptors",
        title = "Descriptors",
        text = [[
            `socket.tcp()` and `socket.udp()` open nothing: the descriptor comes when the address family is
            known, with `connect`, `bind`, `sendto` or `join`, or with `open`. It is close-on-exec, and closed by
            `close`, by the garbage collector and, in Lua 5.4, at the end of the block of a `local s <close>`.

            A closed socket is as a new one, its timeout and options kept, and can be opened again. On a
            socket that is not open every call that needs a descriptor fails with `ERROR_CLOSED`.

            When a call needs a descriptor and none is left (`EMFILE`, `ENFILE`), it runs the garbage collector,
            which closes lost sockets, and tries once more before it fails: at most once a second, not in a
            finalizer, and not while the program has stopped the collector (Lua 5.1 can't be asked). An error that
            a finalizer raises then comes out of the call, as out of any other that takes memory.]],
    },
    {
        id = "signals",
        title = "Signals",
        text = [[
            Writing to a peer that is gone gives `ERROR_CLOSED` or `ERROR_RESET` and never raises SIGPIPE.
            The module changes no signal's disposition and no signal mask, but for those that
            [`socket.signals`](#socket-signals) is given, and prints nothing.

            A signal handler of Lua only sets a hook (`debug.sethook`'s, lua_sethook), which runs when Lua executes
            something: so does that of the commands `lua` and `luajit` for Ctrl-C, and so do luaposix's. When a
            signal ends the wait of a call in the main program, or that of the loop, the module lets the hook of the
            waiting coroutine run (on LuaJIT all coroutines have one) before the wait goes on, within the same
            deadline. If the hook raises, as that of Ctrl-C does ("interrupted!"), the call ends with that error,
            in the main program and not in a task: what it has received stays in the socket for the next call, but
            how much `write` has sent is not told. A hook may use the module; if it closes the socket, the call ends
            with `ERROR_CLOSED`. Waits without a deadline are thus bounded by `SO_RCVTIMEO` and `SO_SNDTIMEO` of 11 days
            (socket(7)), because the system would continue them after a handler that was installed with `SA_RESTART`
            (signal(7)); after that time they go on.]],
    },
    {
        id = "tasks",
        title = "Tasks",
        text = [[
            A task is a coroutine that [`socket.spawn`](#socket-spawn) has started. There is one rule: while one
            call waits, every task runs. In a task a call that has to wait suspends this task alone. Outside tasks, in
            the main program, it waits and lets the tasks run meanwhile. Results, errors, partial data and
            deadlines are the same in both, and so is what `settimeout` means. This holds for every call that can
            wait: those on sockets, `select`, `sleep`, `resolve`, `nameinfo`, `run`, and those of tasks, groups
            and channels.
            [`socket.within`](#socket-within) bounds all that a function calls.
            [tasks.md](tasks.md) is the guide to them.

            *Turns.* All tasks run in one thread, one after the other. A task begins when the code that started it
            next waits, and keeps the turn until a call in it waits. After 64 calls in a row that need not wait a call
            lets the others run first, in the main program too; so do `coroutine.yield()` in a task and
            `socket.sleep(0)`. A task that computes for long without such a call holds up the others, and their
            deadlines with them.

            *One reader and one writer.* On each socket one reading and one writing call may wait at a time. One
            more fails at once with `ERROR_BUSY`; nothing is read or sent. `accept` and `recv...` count as reading,
            `send...` as writing, `connect`, `bind` and a send that has to look a name up or to open the socket as both.
            `close` and `detach` end such waits: those calls fail with `ERROR_CLOSED`, and `select` with the text of
            `EBADF`.

            *Cancelling.* After [`task:cancel`](#task-cancel) the call in which the task waits, and each later call
            in it that would have to wait, fails with `ERROR_CANCELLED`; partial data is handed out and kept as with
            a time-out. Calls that need not wait work on, so that a task can tidy up; one that has no time says
            `ERROR_TIMEOUT`, and `socket.sleep` always `ERROR_CANCELLED`. The entries below do not repeat
            `ERROR_BUSY` and `ERROR_CANCELLED`.

            *Errors.* A task that raises ends alone. [`task:wait`](#task-wait) gives the error to whoever asks. When
            nobody has asked and nobody has the task's handle any more, the error goes to
            [`socket.onerror`](#socket-onerror) as soon as the collector has found that, or else is raised by
            [`socket.run`](#socket-run). Before the program sleeps the module has it look: once for the tasks that
            have failed meanwhile, for at most a twentieth of the time, and not where the program has stopped the
            collector (Lua 5.1 can't be asked). What is left when the Lua state is closed goes to `onerror` then;
            where that is not set, Lua 5.4 and later give a warning (`lua -W`).

            A task has failed too when the program ends its coroutine while it waits in a call, with `coroutine.close`
            or by resuming it: its call is over, and its socket free. Nothing tells the module, so it looks before the
            program sleeps: each time when there have been at most 16 tasks at once, else at most a thousand times a
            second and for a hundredth of the time.

            *Variables with `<close>`* (Lua 5.4 and later) of a task that raises are closed when the traceback has
            been taken, each with the error as its second argument. An error of theirs takes the place of the first,
            as in Lua; the message tells both. So it is with a task that was cancelled and raises; `wait` does not
            tell that error. They are closed as well, and nobody is told, when the program has resumed a task's
            coroutine and an error has ended it there.

            *Other coroutines.* A coroutine that a task resumes with [`socket.coroutine`](#socket-coroutine) waits as
            the task does. In one that Lua's own `coroutine` library resumes, a call that would have to wait raises an
            error, since our yield would reach the code that resumed it as a value; one that need not wait works. A
            coroutine that the main program resumes waits as the main program does.

            *Where nothing can wait.* A call that has to wait raises an error in a finalizer, a debug hook, an error
            handler of `xpcall` and a `<close>` variable of a task that has failed, when they run in a task; one that
            need not wait works there. In the main program it waits, on LuaJIT only outside finalizers and hooks. When
            the Lua state is being closed, calls on sockets that are open work on as in the main program; opening a
            socket or starting a task raises an error once the module has ended.

            Where functions in C are nested almost as deeply as Lua allows (190 of 200), the main program cannot run
            tasks: a call that has to wait beside them raises "C stack overflow". When `socket.onerror` or a finalizer
            closes the coroutine in which the main program waits (Lua 5.5), that wait ends with an error.

            *Where Lua can't suspend.* In a comparison function of `table.sort`, a replacement function of
            `string.gsub`, a finalizer that runs in a task, or a file that `require` loads, a call that would have to
            wait raises an error; one that need not wait works. In Lua 5.1 (not in LuaJIT) the same holds inside `pcall`
            and `xpcall`, metamethods, and the iterator of a `for ... in`. There, write `socket.spawn(f):wait()` instead
            of `pcall(f)`, and instead of `for line in next_line do` a `while` loop that calls `next_line()` itself.

            *The rest.* `OPT_SPIN` has no effect while there are tasks. After a fork(2) the child has all tasks as
            well, and neither process disturbs the other's; a name look-up that was under way is begun anew in the
            child, within the same deadline.]],
    },
}

-- ---- address values --------------------------------------------------------------------------------

api.address = {
    text = [[
        A call that takes an address takes one of four forms: `host, port`; both in one string; a string for a Unix
        socket; or one address value that this module returned, so that `sendto(data, addr)` and `connect(addr)` work
        with what `recvfrom` and `getsockname` gave, and with `tostring` of that.]],
    forms = {
        {
            "`host`",
            [[a name, an IPv4 literal, or an IPv6 literal (`"::1"`, `"fe80::1%eth0"`, also in brackets).
            Numeric hosts are taken in their strict form only: `"127.1"`, `"127.0.0.01"` and hosts with blanks are
            `ERROR_NOTFOUND`. In `bind`, `"*"` is every local address, IPv4 and IPv6 where the system has
            both. A NUL is an argument error]],
        },
        { "`port`", "integer, 0..65535; 0 in `bind` lets the system choose" },
        {
            '`"host:port"`',
            [[host and port in one string, the port in decimal digits; an IPv6 host stands in brackets
            (`"[::1]:80"`), since `"::1:80"` is a host. A single string that is neither this nor a Unix socket is an
            argument error: its port is missing]],
        },
        {
            '`"unix:/path"`',
            [[a Unix socket; any single string with a `/` in it is taken as a path as well, also `"./a:80"`. A path
            that does not fit into the system's address (107 bytes on Linux) fails with the text of
            `ENAMETOOLONG`]],
        },
        { '`"unix:@name"`', "a name in Linux's abstract namespace; it may hold any bytes and leaves no file" },
        { '`"unix:"`', "an unnamed socket; in `bind` Linux chooses an abstract name" },
    },
    returned = [[
        Returned addresses are tables for IP, and for Unix sockets strings as above (`"unix:/path"`, `"unix:@name"`,
        `"unix:"`). The last is a sender without a name, which cannot be answered: a client that wants answers binds to
        `"unix:"` or a path.
        `tostring(addr)` is `"127.0.0.1:80"` or `"[::1]:80"`. An IPv4 peer of a socket that serves both
        families is shown as IPv4.]],
    fields = {
        { "1", "string", "the host in numeric form" },
        { "2", "integer", "the port, 0..65535" },
        { "family", '"inet"|"inet6"', "the address family" },
    },
    by = {
        "inet_pton(3)",
        "ip(7)",
        "ipv6(7)",
        "unix(7), Address format",
        "RFC 4007 section 11 (zones)",
        "RFC 4291 section 2.5.5.2 (IPv4-mapped)",
        "RFC 3986 sections 3.2.2 (brackets) and 3.2.3 (port)",
    },
}

local address = { name = "address", type = "address", text = "see [Addresses](#addresses)" }
local option = {
    name = "opt",
    type = "ssocket.option",
    text = "one of the `OPT_` constants; with `level` an integer",
}
local optional_address = { name = "address", type = "address", optional = true, text = address.text }

-- ---- constants -------------------------------------------------------------------------------------

api.version = { name = "_VERSION", value = "ssocket 1.0.0", text = "name and version of the module" }

api.errors = {
    { "ERROR_TIMEOUT", "Operation timed out", "the deadline passed, or the kernel gave up (`ETIMEDOUT`)" },
    {
        "ERROR_CLOSED",
        "Connection closed",
        "the socket is not open, the peer ended the stream, or the peer is gone (`EPIPE`)",
    },
    { "ERROR_REFUSED", "Connection refused", "nobody listens there (`ECONNREFUSED`)" },
    { "ERROR_RESET", "Connection reset by peer", "the peer broke the connection off (`ECONNRESET`)" },
    { "ERROR_INUSE", "Address already in use", "the local address is taken (`EADDRINUSE`)" },
    { "ERROR_UNREACHABLE", "Network is unreachable", "there is no way to that network (`ENETUNREACH`)" },
    { "ERROR_NOROUTE", "No route to host", "there is no way to that host (`EHOSTUNREACH`)" },
    { "ERROR_NOTFOUND", "Name or service not known", "the host does not resolve (`EAI_NONAME`)" },
    { "ERROR_TOOBIG", "Message too long", "the datagram is too long to be sent (`EMSGSIZE`)" },
    { "ERROR_TRUNCATED", "Datagram truncated", "the datagram was longer than the size asked for" },
    { "ERROR_ACCESS", "Permission denied", "the system forbids it (`EACCES`)" },
    { "ERROR_LIMIT", "Limit exceeded", "more bytes than the `max` of `readuntil` or `readall`" },
    {
        "ERROR_BUSY",
        "Another task waits on the socket",
        "a call of the same direction waits on the socket already, see [Tasks](#tasks)",
    },
    { "ERROR_CANCELLED", "Task cancelled", "the task has been cancelled, see [Tasks](#tasks)" },
}

api.shutdowns = {
    { "SHUT_RD", "reading ends" },
    { "SHUT_WR", "writing ends: the peer sees the end of the stream" },
    { "SHUT_RDWR", "both" },
}

api.options_text = [[
    For [`setopt`](#sock-setopt) and [`getopt`](#sock-getopt). A system that lacks an option lacks its constant.
    A socket of the Unix family passes over options of TCP and IP that were set before it was opened.]]

-- name, value, type, sockets ("tcp", "udp", "both"), unit and meaning, what decides
api.options = {
    {
        "OPT_TCP_NODELAY",
        "tcp_nodelay",
        "boolean",
        "tcp",
        "send small pieces at once instead of gathering them (Nagle's algorithm off)",
        "tcp(7); RFC 9293 section 3.7.4",
    },
    {
        "OPT_TCP_KEEPALIVE",
        "tcp_keepalive",
        "boolean",
        "tcp",
        "probe a silent peer (`SO_KEEPALIVE`)",
        "socket(7); RFC 9293 section 3.8.4",
    },
    {
        "OPT_TCP_REUSEADDR",
        "tcp_reuseaddr",
        "boolean",
        "both",
        "`bind` to an address that an earlier connection still occupies (`SO_REUSEADDR`); set it before `bind`",
        "socket(7)",
    },
    {
        "OPT_REUSEPORT",
        "reuseport",
        "boolean",
        "both",
        "several sockets of one user share a port, and the system shares out what arrives; set it before `bind`",
        "socket(7)",
    },
    {
        "OPT_IPV6_V6ONLY",
        "ipv6_v6only",
        "boolean",
        "both",
        "an IPv6 socket serves IPv6 alone; set it before `bind`",
        "ipv6(7); RFC 3493 section 5.3",
    },
    { "OPT_RCVBUF", "rcvbuf", "integer", "both", "receive buffer, bytes; Linux doubles what is set", "socket(7)" },
    { "OPT_SNDBUF", "sndbuf", "integer", "both", "send buffer, bytes; Linux doubles what is set", "socket(7)" },
    {
        "OPT_LINGER",
        "linger",
        "integer|false",
        "both",
        [[seconds for which `close` waits until unsent data is delivered; 0 drops the data and resets the connection;
        `false`, the default, leaves delivery to the system]],
        "socket(7)",
    },
    {
        "OPT_TCP_KEEPIDLE",
        "tcp_keepidle",
        "integer",
        "tcp",
        "seconds of silence before the first keep-alive probe",
        "tcp(7)",
    },
    { "OPT_TCP_KEEPINTVL", "tcp_keepintvl", "integer", "tcp", "seconds between keep-alive probes", "tcp(7)" },
    {
        "OPT_TCP_KEEPCNT",
        "tcp_keepcnt",
        "integer",
        "tcp",
        "unanswered probes after which the connection is given up",
        "tcp(7)",
    },
    {
        "OPT_TCP_USER_TIMEOUT",
        "tcp_user_timeout",
        "integer",
        "tcp",
        "milliseconds that sent data may stay unacknowledged; 0 is the system's own limit",
        "tcp(7); RFC 5482",
    },
    {
        "OPT_TCP_CORK",
        "tcp_cork",
        "boolean",
        "tcp",
        "hold partial segments back until it is switched off (on the BSDs `TCP_NOPUSH`)",
        "tcp(7)",
    },
    {
        "OPT_TCP_FASTOPEN",
        "tcp_fastopen",
        "integer",
        "tcp",
        "on a listener: how many fast-open requests may be pending",
        "tcp(7); RFC 7413",
    },
    {
        "OPT_TCP_DEFER_ACCEPT",
        "tcp_defer_accept",
        "integer",
        "tcp",
        "on a listener: seconds to wait for first data before `accept` is told of a connection",
        "tcp(7)",
    },
    {
        "OPT_ERROR",
        "error",
        "integer",
        "both",
        "read only: the pending error, an errno(3) number or 0; asking clears it, yet a later read or connect fails",
        "socket(7), `SO_ERROR`",
    },
    { "OPT_BROADCAST", "broadcast", "boolean", "udp", "datagrams may go to broadcast addresses", "socket(7)" },
    {
        "OPT_IP_TTL",
        "ip_ttl",
        "integer",
        "both",
        "hops that a packet may make, 1..255; the unicast hop limit on IPv6",
        "ip(7); ipv6(7)",
    },
    {
        "OPT_IP_TOS",
        "ip_tos",
        "integer",
        "both",
        [[type of service of packets, 0..255: DSCP times 4, and ECN, whose two bits Linux keeps to itself on TCP; the
        traffic class on IPv6]],
        "ip(7); ipv6(7); RFC 2474; RFC 3542 section 6.5",
    },
    {
        "OPT_IP_MULTICAST_TTL",
        "ip_multicast_ttl",
        "integer",
        "udp",
        "hops that a multicast datagram may make, 0..255",
        "ip(7); ipv6(7); RFC 3493 section 5.2",
    },
    {
        "OPT_IP_MULTICAST_LOOP",
        "ip_multicast_loop",
        "boolean",
        "udp",
        "multicast datagrams reach listeners on this machine too",
        "ip(7); ipv6(7); RFC 3493 section 5.2",
    },
    {
        "OPT_IP_MULTICAST_IF",
        "ip_multicast_if",
        "string|integer",
        "udp",
        [[the interface by which multicast datagrams leave: its name, its index or one of its addresses, IPv4 or IPv6;
        0, `"0.0.0.0"` or `"::"`: the system's choice. `getopt` on an open socket: the index on IPv6, an address of the
        interface on IPv4. No such interface: text of `ENODEV`]],
        "ip(7); ipv6(7); RFC 3493 section 5.2",
    },
    {
        "OPT_IP_FREEBIND",
        "ip_freebind",
        "boolean",
        "both",
        "`bind` to an address that this machine does not have, or not yet; set it before `bind`",
        "ip(7)",
    },
    {
        "OPT_BINDTODEVICE",
        "bindtodevice",
        "string",
        "both",
        [[the name of the one interface that the socket uses, `""`: any. No such interface: text of `ENODEV`; changing
        it may need a privilege]],
        "socket(7)",
    },
    {
        "OPT_DONTROUTE",
        "dontroute",
        "boolean",
        "both",
        "send to hosts of the networks that this machine is in, and through no gateway",
        "socket(7)",
    },
    {
        "OPT_PEERCRED",
        "peercred",
        "table",
        "both",
        [[read only: `{ pid =, uid =, gid = }` of the process that called `connect`, `listen` or `pair` at the other end
        of a Unix stream, as it was then; `pid` is 0 when this process cannot see that one. Without a peer: text of
        `ENOTCONN`]],
        "unix(7), `SO_PEERCRED`",
    },
    {
        "OPT_SPIN",
        "spin",
        "integer",
        "both",
        [[microseconds, 0 to 1000, default 0: how long a call tries before it sleeps in the kernel, while there are no
        tasks; needs no descriptor]],
        "this module",
    },
}

-- ---- the module ------------------------------------------------------------------------------------

local module = {
    static = true,
    id = "socket",
    title = "Module functions",
    class = "ssocket",
    prefix = "socket.",
    text = [[
        ```lua
        local socket = require "ssocket"
        ```

        `require` sets no global. All that the module holds is listed here and under [Constants](#constants).]],
    entries = {
        {
            name = "tcp",
            call = { "tcpsock = socket.tcp()" },
            brief = "a stream socket",
            text = "A stream socket, for TCP or a Unix socket: the address with which it is opened decides.",
            takes = {},
            gives = { { "tcpsock", "tcpsock", "not open yet" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never; no system call is made",
        },
        {
            name = "udp",
            call = { "udpsock = socket.udp()" },
            brief = "a datagram socket",
            text = "A datagram socket, for UDP or a Unix socket: the address with which it is opened decides.",
            takes = {},
            gives = { { "udpsock", "udpsock", "not open yet" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never; no system call is made",
        },
        {
            name = "select",
            call = { "readfds, writefds, err = socket.select(readfds, writefds[, timeout])" },
            brief = "wait for many sockets",
            text = [[
                Waits until at least one of the listed sockets can be read or written without waiting, and tells
                which. Tasks and channels may stand beside them. A stream whose input buffer holds bytes is readable,
                also when it is listed by its number; a listening socket is readable when `accept` would not wait; a
                socket with a pending error or hang-up is ready in whichever list it stands. Neither the number nor the
                value of descriptors is limited. The lists must stay as they are until it ends.

                A task is ready when it has ended, in either list; its results or its error are left to
                [`task:wait`](#task-wait). So `select` waits for the first of several tasks. A channel is readable when
                `get` would not wait, writable when `put` would not, and both when it is closed. What is told of them is
                true when the call returns: when another task has taken the value meanwhile, `select` goes on waiting.
                It takes nothing itself, and is no waiting `get` or `put`: values go to those first, and two tasks that
                `select` the two sides of a channel without capacity do not wake each other. Where only tasks and
                channels are listed that nothing can make ready any more, and there is no `timeout`, the main program's
                wait raises the deadlock error of [`run`](#socket-run).]],
            takes = {
                {
                    name = "readfds",
                    type = "(tcpsock|udpsock|integer|task|channel)[]|nil",
                    text = "sockets and descriptor numbers to read from, tasks, channels to `get` from",
                },
                {
                    name = "writefds",
                    type = "(tcpsock|udpsock|integer|task|channel)[]|nil",
                    text = "likewise, to write to",
                },
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "-1",
                    text = "negative or `math.huge`: no limit; 0: only look",
                },
            },
            gives = {
                {
                    "readfds",
                    "(tcpsock|udpsock|integer|task|channel)[]?",
                    "the elements that are ready, in the order passed; may be empty",
                },
                { "writefds", "(tcpsock|udpsock|integer|task|channel)[]?", "likewise" },
            },
            errors = {
                { "ERROR_TIMEOUT", "nothing became ready in time" },
                { "EBADF", "an element is a closed socket or the number of no open descriptor" },
            },
            tls = [[a socket is readable as well when it has bytes in memory that can be decrypted. What makes it
                readable may be a message of TLS alone, or half a record: a call with a timeout of 0 then says
                `ERROR_TIMEOUT`]],
            raises = [[
                an element of a wrong type, or the task that calls, named by list and index; a timeout that is no
                number, or NaN; a deadlock, as above]],
            waits = "up to `timeout`; the sockets' own timeouts play no part",
            by = { "poll(2)", "POSIX.1-2017 poll()" },
            example = [[
                local ready, _, err = socket.select({ a, b }, nil, 1.5)
                for _, s in ipairs(ready or {}) do print(s:readsome(4096)) end
                if not ready then print(err) end]],
        },
        {
            name = "connect",
            call = { "tcpsock, err = socket.connect(address...[, timeout])" },
            brief = "a connected stream socket",
            text = [[
                A stream socket with that timeout that is connected to the address: `tcp`, `settimeout` and
                [`connect`](#tcpsock-connect) in one call, in which a failure leaves nothing open.

                A number behind an address value, a Unix address or `"host:port"` is the timeout; behind any other
                string it is the port.]],
            takes = {
                address,
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "-1",
                    text = "the socket's timeout, for this call and those that follow; negative: no limit",
                },
            },
            gives = { { "tcpsock", "tcpsock?", "the connection" } },
            errors = { { "ERROR_REFUSED", "nobody listens there; the other errors are those of `tcpsock:connect`" } },
            raises = "a malformed address; a port out of range; a timeout that is no number, or NaN",
            waits = "for the look-up and the connection, both within `timeout`",
            by = { "connect(2)", "RFC 8305" },
            example = [[
                local s = assert(socket.connect("localhost", 8080, 5))]],
        },
        {
            name = "listen",
            call = { "tcpsock, err = socket.listen(address...[, options])" },
            brief = "a listening stream socket",
            text = [[
                A stream socket that is bound to the address, with `OPT_TCP_REUSEADDR` set, and listens: `tcp`,
                `setopt`, [`bind`](#sock-bind) and [`listen`](#tcpsock-listen) in one call, in which a failure leaves
                nothing open.

                The options: `backlog`, as in `tcpsock:listen`; `reuseport`, `nodelay` and `v6only`, booleans for
                `OPT_REUSEPORT`, `OPT_TCP_NODELAY` and `OPT_IPV6_V6ONLY`.

                Where the file of a Unix socket exists already, and a connection to it is refused because its server
                has gone, that file is replaced. A file on which somebody listens, be its queue full, a datagram
                socket, a symbolic link and any other file stay; whoever listens on it accepts a connection that ends at
                once. Servers that begin at the same moment may take a
                file for dead that another one has bound and does not listen on yet.]],
            takes = {
                address,
                { name = "options", type = "table", optional = true, text = "see above" },
            },
            gives = { { "tcpsock", "tcpsock?", "the listener; it has no timeout" } },
            errors = {
                { "ERROR_INUSE", "the address is taken; the other errors are those of `bind`, `listen` and `setopt`" },
            },
            raises = [[a malformed address; a port out of range; an unknown option, or one that this system lacks; an
                option of a wrong type]],
            waits = "for the look-up of a name; without limit",
            by = { "bind(2)", "listen(2)", "unix(7)", "socket(7), `SO_REUSEADDR`" },
            example = [[
                local listener = assert(socket.listen("*", 8080))]],
        },
        {
            name = "pair",
            call = { "a, b = socket.pair()" },
            brief = "two connected stream sockets",
            text = [[
                Two stream sockets that are connected to each other. They have no names: both addresses are
                `"unix:"`.]],
            takes = {},
            gives = { { "a", "tcpsock?", "one end" }, { "b", "tcpsock|string", "the other end, or `err`" } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            bare = true,
            raises = "nothing",
            waits = "never",
            by = { "socketpair(2)", "unix(7)" },
        },
        {
            name = "fromfd",
            call = { "sock, err = socket.fromfd(fd)" },
            brief = "take over an open descriptor",
            text = [[
                A socket that owns an open descriptor from now on, made close-on-exec: one inherited from
                systemd, inetd or a parent, or given away by [`detach`](#sock-detach). Kind and family are
                asked of the system. On failure the descriptor stays the caller's.]],
            takes = {
                { name = "fd", type = "integer", range = "0 or more", text = "the descriptor" },
            },
            gives = { { "sock", "tcpsock|udpsock|nil", "a tcpsock for a stream, a udpsock for datagrams" } },
            errors = {
                { "EBADF", "no open descriptor has this number" },
                { "ENOTSOCK", "the descriptor is no socket" },
                { "EBUSY", "a socket of this Lua state owns it already" },
                { "EPROTOTYPE", "neither a stream nor a datagram socket" },
                { "EAFNOSUPPORT", "neither IP nor Unix" },
            },
            raises = "a negative or fractional number; no number",
            waits = "never",
            by = { "getsockopt(2)", "socket(7), `SO_TYPE`, `SO_DOMAIN`", "fcntl(2), `FD_CLOEXEC`" },
            example = [[
                local listener = assert(socket.fromfd(3)) -- systemd: SD_LISTEN_FDS_START]],
        },
        {
            name = "signals",
            call = { "sig, err = socket.signals(...)" },
            brief = "take signals, to wait for them",
            text = [[
                From now on the program takes these signals of the process, instead of what they did: the one change
                of the module to the process as a whole, made only on request, and only to the signals named.
                [Signals](#sig) tells of the result. Handlers are installed with `SA_RESTART` (sigaction(2)); programs
                that are started inherit nothing of it (execve(2)). A process made by fork(2) alone keeps the handler,
                which drops its signals until `sig` is closed there as well.]],
            takes = {
                {
                    name = "...",
                    type = "string",
                    text = "names of signals, with or without `SIG`, as `TERM` or `SIGHUP`",
                },
            },
            gives = { { "sig", "ssocket.signals?", "a new object that holds them" } },
            errors = {
                { "EBUSY", "another object holds one of them in this process, perhaps in another Lua state" },
                { "EMFILE", "the process has no descriptor left" },
            },
            raises = [[
                no name, or one of no signal that a program can take: unknown here, `KILL`, `STOP`, or `SEGV`, `BUS`,
                `FPE` and `ILL`, after which a program cannot go on]],
            waits = "never",
            by = { "sigaction(2)", "signal(7)", "signal-safety(7)" },
        },
        {
            name = "sleep",
            call = { "ok, err = socket.sleep(seconds)" },
            brief = "wait for a time",
            text = [[
                Waits. A negative time counts as 0, which returns at once, or where there are tasks lets each of them
                have a turn. A signal does not end it early.]],
            takes = { { name = "seconds", type = "number", unit = "seconds", text = "fractions count" } },
            gives = { { "ok", "true?", "always, outside tasks" } },
            errors = { { "ERROR_CANCELLED", "the task it is called in has been cancelled" } },
            raises = "no number; NaN",
            waits = "for the time given, on the monotonic clock",
            by = { "clock_gettime(2), `CLOCK_MONOTONIC`" },
        },
        {
            name = "now",
            call = { "seconds = socket.now()" },
            brief = "monotonic time",
            text = [[
                The monotonic clock, for measuring and for deadlines of one's own. Only differences mean something.]],
            takes = {},
            gives = { { "seconds", "number", "with fractions; never goes back" } },
            raises = "nothing",
            waits = "never",
            by = { "clock_gettime(2), `CLOCK_MONOTONIC`", "POSIX.1-2017 clock_gettime()" },
        },
        {
            name = "time",
            call = { "seconds = socket.time()" },
            brief = "wall clock",
            text = [[
                The system's clock, for stamps. Somebody may set it, so that it jumps: [`now`](#socket-now) is the
                one to
                measure with.]],
            takes = {},
            gives = { { "seconds", "number", "since 1970-01-01 00:00 UTC, with fractions" } },
            raises = "nothing",
            waits = "never",
            by = { "clock_gettime(2), `CLOCK_REALTIME`", "POSIX.1-2017 clock_gettime()" },
        },
        {
            name = "hostname",
            call = { "name, err = socket.hostname()" },
            brief = "the machine's name",
            text = "The name that the administrator gave this machine. No name server need know it.",
            takes = {},
            gives = { { "name", "string?", "the first 255 bytes of it" } },
            errors = { { "EPERM", "a filter of the program's (seccomp(2)) forbids uname(2)" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
            by = { "gethostname(2)" },
        },
        {
            name = "interfaces",
            call = { "list, err = socket.interfaces()" },
            brief = "the network interfaces",
            text = [[
                The network interfaces of this machine with their addresses: one entry for each address, and one for
                an interface that has none. `join` takes their names and numbers, and `bind` their addresses.]],
            takes = {},
            gives = {
                {
                    "list",
                    "table[]?",
                    [[each has `name`, `index` (the interface's number) and the booleans `up`, `loopback` and
                    `multicast` (it
                    can); those of an address also `family` (`"inet"` or `"inet6"`), `address` (as a numeric host),
                    `netmask`, and `broadcast` where there is one]],
                },
            },
            errors = { { "EMFILE", "no descriptor is left for the question" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
            by = { "getifaddrs(3)", "netdevice(7)" },
            example = [[
                for _, at in ipairs(assert(socket.interfaces())) do
                    if at.up and at.family == "inet6" then print(at.name, at.address) end
                end]],
        },
        {
            name = "strerror",
            call = { "text = socket.strerror(n)" },
            brief = "the text of an error number",
            text = [[
                The text that this module uses for an error number of the system: that of the
                [`ERROR_` constant](#errors) if there is one for it, otherwise that of strerror(3) in the C locale.]],
            takes = {
                { name = "n", type = "integer", range = "0..2147483647", text = "an error number, see errno(3)" },
            },
            gives = { { "text", "string", "also for a number that the system does not know" } },
            raises = "no number; a number that is negative, fractional or too large",
            waits = "never",
            by = { "strerror(3)", "errno(3)" },
        },
        {
            name = "errname",
            call = { "symbol = socket.errname(err)" },
            brief = "the symbol of an error text",
            text = [[
                The symbol that stands for an error in C: for logs, and to branch on an error that has no constant. It
                is `"ETIMEDOUT"` for `ERROR_TIMEOUT`, of a deadline too; `"EPIPE"` for `ERROR_CLOSED`, `"EAI_NONAME"`
                for
                `ERROR_NOTFOUND`.]],
            takes = { { name = "err", type = "string", text = "an error as a call of this module gave it" } },
            gives = {
                {
                    "symbol",
                    "string?",
                    [[of errno(3) or getaddrinfo(3), such as `"EMFILE"` or `"EAI_AGAIN"`; nil: the text is none of the
                    system's]],
                },
            },
            raises = "no string",
            waits = "never",
            by = { "errno(3)", "getaddrinfo(3)" },
            example = [[
                local data, err = sock:read(1)
                if not data then io.stderr:write(socket.errname(err) or err, "\n") end]],
        },
        {
            name = "resolve",
            call = { "addresses, err, exists = socket.resolve(host[, port[, timeout[, family]]])" },
            brief = "look a name up",
            text = "All addresses of a host, in the order in which the system wants them tried.",
            takes = {
                {
                    name = "host",
                    type = "string",
                    text = "a name or a numeric host, as in [Addresses](#addresses); no name has a `/` in it",
                },
                {
                    name = "port",
                    type = "integer|string",
                    optional = true,
                    range = "0..65535",
                    default = "0",
                    text = [[put into each address; or the name of a service (`"https"`), which is looked up: its port
                        for TCP, or for UDP if it has none for TCP; an unknown one fails with the text of
                        `EAI_SERVICE`]],
                },
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "-1",
                    text = "negative: no limit",
                },
                {
                    name = "family",
                    type = "string",
                    optional = true,
                    text = "`\"inet\"` or `\"inet6\"`: addresses of that family only; no others are asked for",
                },
            },
            gives = {
                {
                    "addresses",
                    "ssocket.address[]?",
                    [[one or more; the field `canonical` of the array is the host's canonical name, which the
                    resolver finds
                    behind aliases; of a numeric host it is this host]],
                },
                { "err", "string?", "" },
                {
                    "exists",
                    "boolean?",
                    [[after `ERROR_NOTFOUND`: `true` if there is such a host, but without an address, or without one of
                    `family`; nil if there is no such host, or the system's resolver does not tell]],
                },
            },
            errors = errors(resolving, {
                { "ERROR_TIMEOUT", "the look-up took longer than `timeout`; always for a name when that is 0" },
            }),
            raises = [[a wrong type; a Unix address; a port out of range; a NUL in the host or the service; another
                family; a timeout of NaN]],
            waits = "for the system's look-up of a name or a service, up to `timeout`",
            by = { "getaddrinfo(3)", "gai.conf(5)", "services(5)", "RFC 6724 (order)" },
            example = [[
                for _, addr in ipairs(assert(socket.resolve("localhost", 80))) do print(addr) end]],
        },
        {
            name = "nameinfo",
            call = { "host, service = socket.nameinfo(addr[, timeout])" },
            brief = "look an address up",
            text = [[
                The name of an address, and of the service at its port. Whoever has the address decides what its name
                is:
                before you trust it, [`resolve`](#socket-resolve) it and see whether the address is among what comes.]],
            takes = {
                {
                    name = "addr",
                    type = "ssocket.address|string",
                    text = "an address value with a numeric host, as calls give them; or a numeric host",
                },
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "-1",
                    text = "negative: no limit",
                },
            },
            gives = {
                { "host", "string?", "the name" },
                { "service", "string", "the name of the TCP service at this port, or the port in digits; or `err`" },
            },
            bare = true,
            errors = errors({
                { "ERROR_NOTFOUND", "the address has no name; or `addr` has a host that is none" },
                resolving[2],
                { "EAFNOSUPPORT", "a Unix address" },
                { "ERROR_TIMEOUT", "the look-up took longer than `timeout`; always when that is 0" },
            }),
            raises = "a wrong type; a host that is a name; a NUL in the host; a timeout of NaN",
            waits = "for the system's look-up, up to `timeout`",
            by = { "getnameinfo(3), `NI_NAMEREQD`", "services(5)" },
            example = [[
                local client = assert(listener:accept())
                local addr = assert(client:getpeername())
                print(addr, (socket.nameinfo(addr, 2)))]],
        },
        {
            name = "spawn",
            call = { "task = socket.spawn(f, ...)" },
            brief = "start a task",
            text = [[
                Starts a [task](#tasks) that runs `f(...)`. It begins when the caller next waits. It lives until `f`
                returns or raises, whether its handle is kept or not.]],
            takes = {
                { name = "f", type = "function", text = "what the task does" },
                { name = "...", type = "any", text = "its arguments" },
            },
            gives = { { "task", "ssocket.task", "the handle, see [Task objects](#task)" } },
            raises = "`f` is no function",
            waits = "never",
            example = [[
                repeat
                    local client, err = listener:accept()
                    if client then
                        socket.spawn(serve, client)
                    else -- no descriptor is left, say: try again when some client may have gone
                        print(err)
                        socket.sleep(0.1)
                    end
                until err == socket.ERROR_CLOSED]],
        },
        {
            name = "run",
            call = { "socket.run()" },
            brief = "run tasks until none is left",
            text = [[
                Runs the tasks, those too that they start, and returns when all have ended, apart from those in the
                [background](#task-background). A program whose main part waits in some other call need not call it.

                It returns nothing; inside of [`within`](#socket-within), when the time is over and tasks are left,
                `nil, ERROR_TIMEOUT`.]],
            takes = {},
            gives = {},
            raises = [[
                a call inside a task; the errors of tasks that have failed, that nobody can wait for any more and
                that [`socket.onerror`](#socket-onerror) has not been given, all in one message with their
                tracebacks; a deadlock: tasks wait for each other alone, so that nothing could ever wake them (every
                call that waits in the main program raises that one). What tasks in the background wait for does not
                count there]],
            waits = "until no task is left but those in the background",
        },
        {
            name = "group",
            call = { "group = socket.group()" },
            brief = "tasks that end together",
            text = [[
                A group of tasks: [`group:spawn`](#group-spawn) starts them, [`group:wait`](#group-wait) waits for all,
                and the first that fails ends the others. Nothing that was started in it outlives it unseen.]],
            takes = {},
            gives = { { "group", "ssocket.group", "see [Groups](#group)" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
            example = [[
                local group = socket.group()
                for _, host in ipairs(hosts) do
                    group:spawn(fetch, host)
                end
                local ok, err = group:wait(10)
                if not ok then
                    group:cancel() -- when time is over they would go on
                end]],
        },
        {
            name = "within",
            call = { "... = socket.within(seconds, f, ...)" },
            brief = "one deadline for all calls that a function makes",
            text = [[
                Calls `f(...)` and returns what it returns. Each call of the module that waits meanwhile, in `f` and in
                what `f` calls, ends `seconds` from now at the latest, whatever the socket's time-out or an argument
                allows: then with `ERROR_TIMEOUT`, as after a time-out of its own, and partial data is handed out and
                kept likewise. `socket.sleep` then says `nil, ERROR_TIMEOUT`, and so does [`run`](#socket-run), whose
                tasks go on when something next waits; [`loop:step`](#loop-step) returns, and `close` with
                `OPT_LINGER` waits no longer. `f` itself is not interrupted: it goes on, and when the time is over its
                calls act as with a time-out of 0.

                Calls nest: the sooner deadline counts. A deadline holds in the coroutines that `f` resumes, while they
                run in it; a coroutine that yields out of `within` is bound again when it goes on inside. Tasks have
                deadlines of their own: those that `f` starts are not bound by this one, and a task is not bound by
                those of the main program.

                In the main program, of coroutines that Lua's own library has resumed one in another, the innermost and
                the main one are found; [`socket.coroutine`](#socket-coroutine) has no such limit. While a deadline may
                hold, each call that waits looks through the functions under way: with some dozens of them that takes
                a few microseconds, and grows with the square of their number.]],
            takes = {
                {
                    name = "seconds",
                    type = "number",
                    unit = "seconds",
                    range = "0 or more",
                    text = "from now; 0: the time is over already; math.huge: no deadline",
                },
                { name = "f", type = "function", text = "what is to be done in that time" },
                { name = "...", type = "any", text = "its arguments" },
            },
            gives = { { "...", "any", "what `f` returned" } },
            raises = "`seconds` that is negative, NaN or no number; `f` is nothing that can be called; what `f` raises",
            waits = "as what `f` calls",
            by = { "clock_gettime(2), `CLOCK_MONOTONIC`" },
            example = [[
                local function greet(client)
                    local name, err = client:readline(100)
                    return name and client:write("hello " .. name .. "\n"), err
                end
                print(socket.within(5, greet, client))]],
        },
        {
            name = "channel",
            call = { "channel = socket.channel([capacity])" },
            brief = "hand values from task to task",
            text = [[
                A queue through which tasks, and the main program, hand values to each other. When it is full, who
                puts waits for who gets, and so a fast giver is held back.]],
            takes = {
                {
                    name = "capacity",
                    type = "integer",
                    optional = true,
                    range = "0 or more",
                    unit = "values",
                    default = "0",
                    text = "how many are kept for later; 0: each is handed from hand to hand",
                },
            },
            gives = { { "channel", "ssocket.channel", "see [Channels](#channel)" } },
            raises = "a capacity that is negative or fractional; no number",
            waits = "never",
        },
        {
            name = "loop",
            call = { "loop = socket.loop()" },
            brief = "drive tasks from another event loop",
            text = [[
                What a program needs that has an event loop already. All loop objects of a Lua state stand for the same
                tasks.]],
            takes = {},
            gives = { { "loop", "ssocket.loop", "see [The loop](#loop)" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
        },
    },
    fields = {
        {
            name = "coroutine",
            type = "coroutinelib",
            brief = "Lua's coroutine library, for coroutines in which a task's calls wait",
            call = "local coroutine = socket.coroutine",
            text = [[
                The functions of Lua's `coroutine` library, as this Lua has them. `resume` and `wrap` are the module's
                own: in a coroutine that they resume in a task, however deeply nested, a call that has to wait suspends
                the whole task. When the call has ended, the coroutine goes on with the results; the code that resumed
                it notices nothing. Everything else is as with Lua's library, and coroutines of both libraries are the
                same: `create`, `yield`, `status`, `running` and `isyieldable` *are* Lua's.

                A coroutine whose call waits is suspended. `resume` of it by somebody else returns `false` and a text,
                and the call goes on. `close` (Lua 5.4 and later) ends the call, and the code that resumed the coroutine
                gets what `resume` of a dead one returns; so it does when Lua's own library has closed or
                resumed it, when the call's wait ends.

                Where Lua's own `resume` or `wrap` is on the way from the task to the call, the call raises an error
                that names the remedy. In the main program both libraries do the same. What keeps Lua from suspending
                a task holds for each coroutine on the way ([Tasks](#tasks), *Where Lua can't suspend*): in Lua 5.1
                also `pcall` and the iterator of a `for ... in`.]],
            raises = "as Lua's",
            waits = "`resume` and a function of `wrap`, in a task, while a call in the coroutine waits",
            example = [[
                local coroutine = socket.coroutine
                local next_pair = coroutine.wrap(function()
                    while true do
                        local name, value = assert(sock:read(4)), assert(sock:read(4))
                        coroutine.yield(name, value)
                    end
                end)
                print(next_pair())]],
        },
        {
            name = "onerror",
            settable = true,
            type = "fun(task: ssocket.task?, message: string)|nil",
            brief = "your function that is told of failed tasks",
            call = [[
                function socket.onerror(task, message)
                    io.stderr:write(message, "\n")
                end]],
            text = [[
                A function that the program may set. It is called for each task that has failed, for which nobody has
                waited, and whose handle has been collected, so that nobody can any more: with the task, and the
                error's text with its traceback. Of more than 1,000 that are found at once the rest is told in one
                call, with nil and their number. A task that was cancelled does not count as failed.

                A server whose main part never ends should set it. Without it `socket.run` raises these errors, and
                until then they are kept.]],
            raises = [[
                nothing by itself; an error in it comes out of the call that runs the tasks, in the main program]],
            waits = "it must not: it is called between the tasks' turns",
        },
    },
}

-- ---- both kinds of socket --------------------------------------------------------------------------

local both = {
    id = "sock",
    title = "Calls of both kinds of socket",
    class = "ssocket.socket",
    prefix = "sock:",
    text = [[
        These work the same on a tcpsock and a udpsock. `tostring(sock)` is `<tcpsock: FD>` or
        `<udpsock: FD>` with the descriptor, or -1. `getmetatable(sock)` is the name of its kind.]],
    entries = {
        {
            name = "bind",
            call = { "ok, err = sock:bind(address...)" },
            brief = "choose the local address",
            text = [[
                Gives the socket its local address, and its descriptor if it has none. A failed `bind` leaves
                the socket as it was. A path is a file that stays after `close`; whoever made it removes it.]],
            takes = { address },
            gives = { { "ok", "true?", "bound" } },
            errors = errors({ { "ERROR_INUSE", "the address is taken" } }, resolving, {
                { "ERROR_ACCESS", "a port or a directory that this user may not use" },
                { "EAFNOSUPPORT", "the socket is open already, in another family" },
                { "EADDRNOTAVAIL", "the host is no address of this machine" },
                { "ENOENT", "there is no such directory" },
                { "ENAMETOOLONG", "the path is too long" },
                { "EINVAL", "the socket is bound already" },
                { "ERROR_TIMEOUT", "the look-up of a name took longer than the timeout" },
            }),
            raises = "a malformed address; a port out of range",
            waits = "for a name look-up only, within the deadline",
            by = { "bind(2)", "ip(7)", "ipv6(7), `IPV6_V6ONLY`", "unix(7)" },
        },
        {
            name = "open",
            call = { "ok, err = sock:open(family)" },
            brief = "get the descriptor now",
            text = [[
                Gives a socket that is not open its descriptor: `fileno` is known, and options take effect at once,
                those that were set before too. `bind`, `connect` and what sends then need an address of that family, or
                one of IPv4 with `"inet6"`. The descriptor stays, whatever fails, until `close` or `detach`; then the
                socket is as a new one. A stream socket that was opened [connects](#tcpsock-connect) in a way that
                other event loops can use.]],
            takes = {
                { name = "family", type = "string", range = '`"inet"`, `"inet6"`, `"unix"`', text = "what it is for" },
            },
            gives = { { "ok", "true?", "open" } },
            errors = {
                { "EISCONN", "the socket is open already" },
                { "ERROR_BUSY", "another task's call that opens the socket waits" },
                { "EMFILE", "the process has no descriptor left" },
                { "EAFNOSUPPORT", "this system has no such sockets" },
            },
            raises = "another family, or none",
            waits = "never",
            by = { "socket(2)", "ip(7)", "ipv6(7)", "unix(7)" },
            example = [[
                local s = socket.tcp()
                assert(s:open "inet")
                s:setopt(socket.OPT_IP_TOS, 16)]],
        },
        {
            name = "close",
            call = { "ok, err = sock:close()" },
            brief = "give the descriptor back",
            text = [[
                Closes the descriptor. The socket is then as a new one, with its timeout and options. Closing a
                socket that is not open is a success.]],
            takes = {},
            gives = { { "ok", "1?", "closed" } },
            errors = { { "EIO", "or another error that the system reports; the socket is closed all the same" } },
            tls = [[tells the peer of the end (close_notify), when all that was written has gone and the system
                takes it at once; it never waits for that. What has come is dropped, up to 64 KiB, so that it
                causes no reset. What the collector closes, the end of the Lua state, or an error in the block of
                a `<close>` variable, ends without close_notify: to the peer the stream is cut. Afterwards the
                socket is plain]],
            raises = "nothing",
            partial = [[
                bytes that were received and not read are dropped, but for those that a waiting call had taken: they
                are its `partial`. What was written is still delivered, with one exception: if anything that the peer
                has sent is unread, or if it sends more, the system resets the connection, and that may cost the
                peer what was written and it had not read yet. [`finish`](#tcpsock-finish) ends a stream without that]],
            waits = [[
                never, unless `OPT_LINGER` is set to more than 0: then until the peer has confirmed what was written,
                or so many seconds, or the timeout. While there are tasks the others run meanwhile. The
                collector does not wait, nor does a call where nothing can wait, nor one in a cancelled task: the rest
                is sent in the background. Of a descriptor that others may have as well (from
                [`fromfd`](#socket-fromfd), or from before a fork) the system alone decides: it waits only with the
                last who closes it, and nobody runs meanwhile]],
            by = { "close(2)", "socket(7), `SO_LINGER`", "RFC 2525 section 2.17 (unread input and the reset)" },
        },
        {
            name = "detach",
            call = { "fd, err = sock:detach()" },
            brief = "hand the descriptor out",
            text = [[
                Gives the open descriptor to the caller, who closes it from then on. The socket is afterwards as
                a new one. [`fromfd`](#socket-fromfd) is the way back.]],
            takes = {},
            gives = { { "fd", "integer?", "the descriptor" } },
            errors = {
                closed,
                {
                    '"Unread bytes are pending"',
                    "the input buffer holds bytes, or, after `recvmany`, the system datagrams (or an error) that only "
                        .. "the module takes apart; read them first",
                },
                { '"TLS is in use"', "the stream is TLS, which a descriptor cannot take along" },
            },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "fileno",
            call = { "fd = sock:fileno()" },
            brief = "the descriptor's number",
            text = "The number of the descriptor, which stays the socket's.",
            takes = {},
            gives = { { "fd", "integer", "the descriptor, or -1 when the socket is not open" } },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "settimeout",
            call = { "sock:settimeout(seconds)" },
            brief = "set the deadline of later calls",
            text = [[
                Bounds each later call on this socket as a whole, to about a millisecond. See
                [Deadlines](#deadlines).]],
            takes = {
                {
                    name = "seconds",
                    type = "number",
                    unit = "seconds",
                    text = "fractions count; negative (the default) or `math.huge`: no limit; 0: do not wait",
                },
            },
            gives = {},
            tls = "the whole handshake is one call",
            raises = "no number; NaN",
            waits = "never",
        },
        {
            name = "gettimeout",
            call = { "seconds = sock:gettimeout()" },
            brief = "the timeout",
            text = "The timeout as it was set.",
            takes = {},
            gives = { { "seconds", "number", "-1 at first" } },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "setopt",
            call = { "ok, err = sock:setopt(opt, value)", "ok, err = sock:setopt(level, opt, value)" },
            brief = "set an option",
            text = [[
                Sets an [option](#options), by name or, for any other option of the system, by its two numbers: an
                integer as C's `int`, a string as the bytes of whatever C type the option has. On a
                socket that is not open the value is noted and applied when the descriptor is
                made; if the system refuses it then, that call fails. Only its type is checked until then. Set options
                outlive `close`. What an option such as Linux's `IP_RECVERR` or `SO_TIMESTAMPING` puts into the error
                queue is for who reads the descriptor by other means: a call that would wait in vain for it drops it.]],
            takes = {
                option,
                {
                    name = "value",
                    type = "boolean|integer|string",
                    text = "of the option's type; with `level` an integer, or a string of up to 65536 bytes",
                },
                {
                    name = "level",
                    type = "integer",
                    optional = true,
                    text = "a protocol level of the system, such as `IPPROTO_TCP`",
                },
            },
            gives = { { "ok", "true?", "set" } },
            errors = {
                { "ENOPROTOOPT", "the system does not know the option" },
                { "EOPNOTSUPP", "sockets of this family do not have the option" },
                { "EINVAL", "the system does not take the value" },
                { "ENODEV", "there is no such interface" },
                { "ERROR_ACCESS", "the option needs a privilege (or text of `EPERM`)" },
            },
            raises = [[an unknown option; one of the other kind of socket; one that can only be read; a wrong type;
                no value; `SO_RCVTIMEO` and `SO_SNDTIMEO` by number, which are the module's (`settimeout`)]],
            waits = "never",
            by = { "setsockopt(2)", "the page named in the [table of options](#options)" },
            example = [[
                sock:setopt(socket.OPT_TCP_NODELAY, true)]],
            overload = "fun(self: ssocket.socket, level: integer, opt: integer, value: integer|string): true?, string?",
            annotated = { "opt", "value" },
        },
        {
            name = "getopt",
            call = { "value, err = sock:getopt(opt)", "value, err = sock:getopt(level, opt[, size])" },
            brief = "read an option",
            text = [[
                Reads an [option](#options), by name or by its two numbers. On an open socket the system
                answers; on one that is not open, what was set. With `size` the value by numbers is the bytes that the
                system gives, which may be fewer.]],
            takes = {
                option,
                {
                    name = "level",
                    type = "integer",
                    optional = true,
                    text = "a protocol level of the system, such as `IPPROTO_TCP`",
                },
                {
                    name = "size",
                    type = "integer",
                    optional = true,
                    range = "1 to 65536",
                    unit = "bytes",
                    text = "with `level`: room for the value, which is then a string",
                },
            },
            gives = {
                {
                    "value",
                    "boolean|integer|string|table|nil",
                    "of the option's type; with `level` an integer, with `size` a string",
                },
            },
            errors = {
                { "ERROR_CLOSED", "the socket is not open and the option was not set" },
                { "ENOPROTOOPT", "the system does not know the option" },
                { "EOPNOTSUPP", "sockets of this family do not have the option" },
            },
            raises = "an unknown option; one of the other kind of socket; a size out of range",
            waits = "never",
            by = { "getsockopt(2)", "the page named in the [table of options](#options)" },
            overload = "fun(self: ssocket.socket, level: integer, opt: integer, size?: integer): "
                .. "integer|string|nil, string?",
            annotated = { "opt" },
        },
        {
            name = "getsockname",
            call = { "addr, err = sock:getsockname()" },
            brief = "the local address",
            text = "The local address: after `bind` to port 0 the way to learn the port.",
            takes = {},
            gives = { { "addr", "ssocket.address|string|nil", "see [Addresses](#addresses)" } },
            errors = { closed },
            raises = "nothing",
            waits = "never",
            by = { "getsockname(2)", "POSIX.1-2017 getsockname()" },
        },
        {
            name = "getpeername",
            call = { "addr, err = sock:getpeername()" },
            brief = "the peer's address",
            text = "The address to which the socket is connected.",
            takes = {},
            gives = { { "addr", "ssocket.address|string|nil", "see [Addresses](#addresses)" } },
            errors = { closed, { "ENOTCONN", "the socket is not connected" } },
            raises = "nothing",
            waits = "never",
            by = { "getpeername(2)", "POSIX.1-2017 getpeername()" },
        },
    },
}

-- ---- streams ---------------------------------------------------------------------------------------

local reading = errors(timeout, {
    { "ERROR_RESET", "the peer reset the connection; also when a write or `getopt` was told so before" },
}, {
    "ENOTCONN",
    "the socket is open and not connected; a Unix socket says `EINVAL`",
})

local tcp = {
    id = "tcpsock",
    title = "Stream sockets",
    class = "tcpsock",
    prefix = "tcpsock:",
    text = "What `socket.tcp()`, `accept` and `pair` return: TCP over IPv4 or IPv6, and stream Unix sockets.",
    entries = {
        {
            name = "connect",
            call = { "ok, err = tcpsock:connect(address...)" },
            brief = "open a connection",
            text = [[
                Opens a connection. When a name has several addresses they are tried in the system's order, IPv6 and
                IPv4 in turn, the next one when the last has failed or has not answered for 250 ms; the first to answer
                is taken, and if none does the most telling error is the result. After a failure the socket can connect
                again.

                A socket that is bound connects from its local address. It has one descriptor, on which addresses can
                only be tried one after another: each one for 250 ms; then, if none was reached and some were silent,
                once more, where the time to the deadline is shared out over the addresses that are left, at least 2 s
                for each (or all that is left). Without a deadline the second attempt at a silent address ends when the
                system gives it up, after minutes. A port that the system chose in `bind` may be another one after an
                attempt that failed or was given up.

                A connection to itself, which TCP makes when nobody listens on a port of this machine and the system
                chooses that very port for the socket, is closed and reported as refused, unless the program has bound
                the socket to that port.

                A connection that is not made within the deadline is given up. With a timeout of 0 only a peer on
                the same machine can be reached, and only by a number or path: a name, `localhost` too, is then
                never found in time. Signals are not noticed while a connect without a deadline waits for a listener of
                this machine (`127.0.0.1`, `::1`) whose queue is full.

                *On a socket that was [opened](#sock-open)* a connect goes on when its deadline passes or its task
                is cancelled, and the descriptor stays whatever becomes of it. `select` calls the socket writable when
                the attempt has ended; the same call again waits on for it, and gives its outcome, once. Until then
                another address is refused (`EALREADY`). So with a timeout of 0 a connect can be started, waited for
                elsewhere, and finished. A host may be a name if it has exactly one address of the socket's family; it
                is looked up in each call. Meanwhile `read` and `write` wait for the connection within their deadlines,
                and `getpeername` says `ENOTCONN`; `shutdown` breaks the attempt off, `close` ends it, and `detach`
                hands it out with the descriptor. Where a read has told of the failure already, connect says
                `ECONNABORTED`. At a Unix listener whose queue is full nothing goes on: each call tries anew.]],
            takes = { address },
            gives = { { "ok", "true?", "connected" } },
            errors = errors(
                { { "ERROR_REFUSED", "nobody listens there" } },
                timeout,
                unreachable,
                resolving,
                {
                    { "EISCONN", "the socket is connected already" },
                    { "ENOENT", "there is no such path" },
                    { "ENAMETOOLONG", "the path is too long" },
                    { "EAFNOSUPPORT", "a bound or opened socket and an address of another family" },
                    { "EALREADY", "an opened socket whose connect to another address is under way" },
                    { "EDESTADDRREQ", "an opened socket, and a name with several addresses of its family" },
                    { "ECONNABORTED", "an opened socket: another call was told why the connect failed" },
                }
            ),
            raises = "a malformed address; a port out of range",
            partial = "nothing has been sent",
            waits = "for the name look-up and the peer's answer, within the deadline; see [Deadlines](#deadlines)",
            by = {
                "connect(2)",
                "tcp(7)",
                "unix(7)",
                "getaddrinfo(3)",
                "RFC 9293 section 3.10.1",
                "RFC 6724 (order)",
                "RFC 8305 section 5",
                "Go, net.Dialer (shares)",
            },
            example = [[
                tcpsock:settimeout(5)
                assert(tcpsock:connect("localhost", 8080)) -- or ("unix:/run/app.sock")]],
        },
        {
            name = "listen",
            call = { "ok, err = tcpsock:listen([backlog])" },
            brief = "begin to take connections",
            text = "Makes a bound socket one that takes connections.",
            takes = {
                {
                    name = "backlog",
                    type = "integer",
                    optional = true,
                    default = "the system's maximum",
                    text = "connections that may wait for `accept`; a negative number counts as 0",
                },
            },
            gives = { { "ok", "true?", "listening" } },
            errors = {
                closed,
                { "ERROR_INUSE", "another socket listens on the port" },
                { "EINVAL", "the socket is connected" },
            },
            raises = "a fractional number; no number",
            waits = "never",
            by = { "listen(2)", "POSIX.1-2017 listen()" },
        },
        {
            name = "accept",
            call = { "tcpsock, err = tcpsock:accept()" },
            brief = "take a connection",
            text = [[
                Takes the next connection. Its socket has no timeout and nothing pending; options are those that the
                system hands down from the listener. Connections that break off while they wait in the queue, where
                the system says so, are passed over.]],
            takes = {},
            gives = { { "tcpsock", "tcpsock?", "the connection" } },
            errors = {
                { "ERROR_TIMEOUT", "none came before the deadline" },
                closed,
                { "EINVAL", "the socket does not listen" },
                { "EMFILE", "the process has no descriptor left; the connection stays in the queue" },
            },
            tls = [[the connection is plain until [`tls.server`](#tls-server), which belongs in the task that
                serves it]],
            raises = "nothing",
            waits = "for a connection, within the deadline; readable in `select` when it would not wait",
            by = { "accept(2)", "POSIX.1-2017 accept(), `ECONNABORTED`" },
        },
        {
            name = "write",
            call = { "bytes, err, sent = tcpsock:write(data[, i[, j]])" },
            brief = "send all of it",
            text = [[
                Sends all of the data. An array is sent in order as one, gathered by the system and not copied
                together first. Empty data is 0 bytes sent.

                With `i` or `j` only the bytes from `i` to `j` of a string are sent, counted as string.sub does: from
                1, or
                with a negative number from the end. No copy of that part is made, so a long string can be sent in
                pieces at no further cost. (A call that is the last argument passes all of its results: write
                `tcpsock:write((text:gsub("\n", "\r\n")))`, with two pairs of parentheses.)]],
            takes = {
                {
                    name = "data",
                    type = "string|number|(string|number)[]",
                    unit = "bytes",
                    text = "a string, or an array of strings and numbers",
                },
                {
                    name = "i",
                    type = "integer",
                    optional = true,
                    default = "1",
                    text = "position of the first byte to send; of a string only",
                },
                {
                    name = "j",
                    type = "integer",
                    optional = true,
                    default = "-1",
                    text = "position of the last byte to send; of a string only",
                },
            },
            gives = {
                { "bytes", "integer?", "the length of what was to be sent" },
                { "err", "string?", "" },
                { "sent", "integer?", "with an error: bytes of it that the system took" },
            },
            errors = {
                { "ERROR_TIMEOUT", "the peer did not take all of it before the deadline" },
                { "ERROR_CLOSED", "the socket is not open, or the peer is gone (`EPIPE`)" },
                reset,
                { "ENOTCONN", "a Unix socket that is not connected; one of TCP gives `ERROR_CLOSED`" },
            },
            tls = [[full records are made of the data, of an array too. `sent` counts what is encrypted, of which
                at most 64 KiB wait in the socket after an error such as `ERROR_TIMEOUT`; they go out first with
                the next `write`, `shutdown`, `finish` or `close`. So the connection goes on, also with other
                data. Empty data sends no record. After `shutdown(SHUT_WR)` the error is `ERROR_CLOSED`]],
            raises = "another type; a wrong element of an array, by its index, before anything is sent; an "
                .. "`i` or `j` that is "
                .. "no whole number, or given with an array",
            partial = "the first `sent` bytes are sent, the rest is not; go on with `write(data, sent + 1)`, "
                .. "or, of a part with an `i` above 0, with `write(data, i + sent, j)`",
            waits = [[for room in the system's send buffer, within the deadline; success does not mean that the peer has
                read it]],
            by = { "sendmsg(2), `MSG_NOSIGNAL`", "POSIX.1-2017 sendmsg()", "RFC 9293 section 3.10.2" },
            example = [[
                assert(tcpsock:write { "HELO ", name, "\r\n" })]],
        },
        {
            name = "read",
            call = { "data, err, partial = tcpsock:read(size)" },
            brief = "exactly so many bytes",
            text = "Exactly `size` bytes, waiting for all of them. `read(0)` is `\"\"` on an open socket.",
            takes = { { name = "size", type = "integer", range = "0 or more", unit = "bytes", text = "how many" } },
            gives = {
                { "data", "string?", "of length `size`" },
                { "err", "string?", "" },
                { "partial", "string?", "with an error: the bytes that did arrive" },
            },
            errors = errors(
                reading,
                { "ERROR_CLOSED", "the stream ended before `size` bytes, or the socket is not open" }
            ),
            tls = [[the bytes are decrypted. The peer's close_notify is the end of the stream. The end of the
                connection without it is [`tls.ERROR_EOF`](#tls-errors), a peer's alert `tls.ERROR_ALERT`, and a
                bad record `tls.ERROR_PROTOCOL`, each with `partial`]],
            raises = "a negative or fractional size; no number",
            partial = "`partial` is handed out and no longer in the socket; later calls go on behind it",
            waits = "for all of the bytes, within the deadline",
            by = { "recv(2)", "POSIX.1-2017 recv()", "RFC 9293 section 3.10.3" },
            example = [[
                local data, err, partial = tcpsock:read(1024)
                data = data or partial -- with an error: what came before it]],
        },
        {
            name = "readuntil",
            call = { "iterator = tcpsock:readuntil(pattern[, inclusive[, max]])" },
            brief = "an iterator over records",
            text = [[
                A function that gives, with each call, the bytes up to the next occurrence of `pattern`,
                wherever it stands, also across the pieces in which data arrives. Nothing is read before
                the first call. Iterators and the other reading calls share one buffer and may be mixed.
                An iterator keeps its socket alive; one of a closed socket gives `nil, ERROR_CLOSED, ""`.]],
            takes = {
                {
                    name = "pattern",
                    type = "string",
                    range = "1 byte or more",
                    text = "the delimiter, plain text and no Lua pattern",
                },
                {
                    name = "inclusive",
                    type = "boolean",
                    optional = true,
                    default = "false",
                    text = "whether results end with the delimiter",
                },
                {
                    name = "max",
                    type = "integer",
                    optional = true,
                    range = "1 or more",
                    unit = "bytes",
                    default = "no limit",
                    text = "longest run of bytes before a delimiter; set it where the peer is not trusted",
                },
            },
            gives = { { "iterator", "ssocket.iterator", "see [Iterators](#iterator)" } },
            bare = true,
            tls = "an iterator that was made before the handshake goes on in the decrypted stream",
            raises = "an empty pattern; a `max` that is below 1 or fractional; a wrong type",
            waits = "never; the iterator does",
            example = [[
                for line in tcpsock:readuntil("\r\n", false, 8192) do
                    print(line)
                end]],
        },
        {
            name = "readline",
            call = { "line, err, partial = tcpsock:readline([max])" },
            brief = "one line of text",
            text = [[
                The next line, without the LF that ends it and without a CR before that. Bytes at the end of the stream
                that no LF ends are a line too; after it comes `nil, ERROR_CLOSED, ""`. A CR elsewhere, also at the very
                end of the stream, is data.]],
            takes = {
                {
                    name = "max",
                    type = "integer",
                    optional = true,
                    range = "1 or more",
                    unit = "bytes",
                    default = "1048576 (1 MiB)",
                    text = "longest line that is accepted, its LF or CR LF not counted",
                },
            },
            gives = {
                { "line", "string?", "`\"\"` for an empty line" },
                { "err", "string?", "" },
                { "partial", "string?", "with an error: the bytes of a line that is not complete" },
            },
            errors = errors(
                reading,
                {
                    { "ERROR_CLOSED", "the stream has ended and no bytes are left, or the socket is not open" },
                    { "ERROR_LIMIT",
                        "the line is longer than `max`; `partial` is the first `max` bytes, the rest stays" },
                }
            ),
            tls = [[as [`read`](#tcpsock-read). Bytes without LF are a line at close_notify only; when the
                connection was cut they are the `partial` of `tls.ERROR_EOF`]],
            raises = "a `max` below 1 or fractional; no number",
            partial = [[
                `partial` is handed out and no longer in the socket. After a time-out a CR at its end stays behind,
                since
                an LF may follow; later calls go on with it]],
            waits = "for the end of the line, within the deadline",
            by = { "recv(2)", "POSIX.1-2017 recv()", "RFC 9112 section 2.2 (a lone LF ends a line as well)" },
            example = [[
                local line, err = tcpsock:readline(8192)]],
        },
        {
            name = "readsome",
            call = { "data, err = tcpsock:readsome(max)" },
            brief = "what is there",
            text = "The bytes that are there, at most `max`; when there are none it waits for the first.",
            takes = {
                { name = "max", type = "integer", range = "1 or more", unit = "bytes", text = "at most so many" },
            },
            gives = { { "data", "string?", "1 to `max` bytes" } },
            errors = errors(reading, { "ERROR_CLOSED", "the stream ended, or the socket is not open" }),
            tls = "decrypted bytes; errors as with [`read`](#tcpsock-read)",
            raises = "a size below 1 or fractional; no number",
            partial = "there is none: an error means that nothing was taken",
            waits = "for the first byte, within the deadline",
            by = { "recv(2)", "POSIX.1-2017 recv()" },
        },
        {
            name = "readall",
            call = { "data, err, partial = tcpsock:readall([max])" },
            brief = "all until the peer ends",
            text = [[
                Everything until the peer ends the stream, whose end is the success. At the end of the
                stream it gives `""`, each time.]],
            takes = {
                {
                    name = "max",
                    type = "integer",
                    optional = true,
                    range = "0 or more",
                    unit = "bytes",
                    default = "no limit",
                    text = "most that is accepted; set it where the peer is not trusted",
                },
            },
            gives = {
                { "data", "string?", "all of it" },
                { "err", "string?", "" },
                { "partial", "string?", "with an error: what did arrive" },
            },
            errors = errors(
                { "ERROR_LIMIT", "more than `max` bytes came; `partial` is the first `max`, the rest stays" },
                reading,
                { "ERROR_CLOSED", "the socket is not open" }
            ),
            tls = [[the peer's close_notify is the success. When the connection was cut without it, the error is
                [`tls.ERROR_EOF`](#tls-errors), with all that came as `partial`]],
            raises = "a negative or fractional `max`",
            partial = "`partial` is handed out and no longer in the socket; later calls go on behind it",
            waits = "for the end of the stream, within the deadline",
            by = { "recv(2)", "RFC 9293 section 3.6" },
        },
        {
            name = "peek",
            call = { "data, err = tcpsock:peek([max])" },
            brief = "what comes next, not taken",
            text = [[
                What `readsome(max)` would give, without taking it: the next call that reads begins with these bytes.
                So a
                server can tell one protocol from another by the first byte. At most 64 KiB are given. What has been
                seen is in the module's buffer: `pending` counts it, and `detach` refuses to leave it behind.]],
            takes = {
                {
                    name = "max",
                    type = "integer",
                    optional = true,
                    range = "1 or more",
                    unit = "bytes",
                    default = "1",
                    text = "at most so many; above 65536 as 65536",
                },
            },
            gives = { { "data", "string?", "1 to `max` bytes" } },
            errors = errors(reading, { "ERROR_CLOSED", "the stream has ended, or the socket is not open" }),
            tls = "decrypted bytes; errors as with [`read`](#tcpsock-read)",
            raises = "a `max` below 1 or fractional; no number",
            partial = "there is none: nothing is taken in any case",
            waits = "for the first byte, within the deadline; bytes that wait in the buffer are given at "
                .. "once, without others",
            by = { "recv(2)", "POSIX.1-2017 recv()" },
        },
        {
            name = "pending",
            call = { "bytes = tcpsock:pending()" },
            brief = "bytes in the input buffer",
            text = [[
                How many bytes wait in the module's own buffer, having been received and not yet read. More may
                wait in the system.]],
            takes = {},
            gives = { { "bytes", "integer", "0 also when the socket is not open" } },
            tls = [[bytes that are decrypted; others may be in memory encrypted, of which
                [`select`](#socket-select) knows]],
            raises = "nothing",
            waits = "never; no system call is made",
        },
        {
            name = "sendfd",
            call = { "ok, err, sent = tcpsock:sendfd(data, fd)" },
            brief = "send bytes and an open descriptor",
            text = [[
                Sends all of the data, as `write` does, and an open descriptor beside its first byte. The process at the
                other end gets a descriptor of its own for the same open file or connection. A socket of this module is
                handed over: the module's time-outs are taken off its descriptor as by [`detach`](#sock-detach), and
                as soon as the descriptor has gone the socket here is as a new one; calls that wait on it fail with
                `ERROR_CLOSED`. A number stays open and the program's, and has to stay open until the call returns.
                Only over stream Unix sockets.]],
            takes = {
                {
                    name = "data",
                    type = "string|number",
                    unit = "bytes",
                    text = "one byte or more, for example what the descriptor is",
                },
                {
                    name = "fd",
                    type = "tcpsock|udpsock|integer",
                    range = "0 or more",
                    text = "a descriptor's number, or another socket, which is handed over",
                },
            },
            gives = {
                { "ok", "true?", "all of the data is sent, and the descriptor" },
                { "err", "string?", "" },
                { "sent", "integer?", "with an error: bytes of the data that the system took" },
            },
            errors = {
                { "ERROR_TIMEOUT", "the peer did not take all of it before the deadline" },
                { "ERROR_CLOSED", "the socket is not open, or the peer is gone (`EPIPE`)" },
                reset,
                {
                    '"Unread bytes are pending"',
                    "the socket to be handed over holds bytes, as [`detach`](#sock-detach) says; read them first",
                },
                { '"TLS is in use"', "the socket to be handed over is TLS" },
                { "EBADF", "`fd` is not open, or is a socket that is not" },
                { "EOPNOTSUPP", "this is no Unix socket, or it is TLS" },
                { "ENOTCONN", "the socket is not connected" },
                { "ETOOMANYREFS", "too many descriptors are on their way, sent and not received" },
            },
            raises = [[
                no data, or no string; an `fd` that is neither socket nor whole number, or is the socket itself]],
            partial = [[
                the first `sent` bytes are sent, the rest is not. The descriptor has gone if `sent` is more than 0;
                else a socket that was to be handed over is untouched, and still this program's]],
            waits = "for room in the system's send buffer, within the deadline",
            by = { "unix(7), `SCM_RIGHTS`", "sendmsg(2)", "POSIX.1-2017 sendmsg()" },
            example = [[
                assert(channel:sendfd("client", client)) -- whoever receives it goes on with this client]],
        },
        {
            name = "recvfd",
            call = { "data, fd, err = tcpsock:recvfd(max)" },
            brief = "receive bytes and the descriptor beside them",
            text = [[
                Bytes, at most `max` and at least one, and the descriptor that came with one of them, or `nil` when none
                did. The descriptor is close-on-exec and the program's to close; [`fromfd`](#socket-fromfd) makes a
                socket of it. Of several that came together the first is given and the others are closed. Bytes that
                were sent before, without a descriptor, may come with it; what is behind it comes with later calls.

                Every other reading call closes descriptors that come, and reads ahead: what it has put into the input
                buffer ([`pending`](#tcpsock-pending)) `recvfd` gives first, without a descriptor. So where descriptors
                come, read with `recvfd` alone, which takes no byte more than `max` from the system, or let the
                sender wait for a word before it sends one. Only over stream Unix sockets.]],
            takes = {
                { name = "max", type = "integer", range = "1 or more", unit = "bytes", text = "at most so many" },
            },
            gives = {
                { "data", "string?", "1 to `max` bytes; a call gives no more than 64 KiB" },
                { "fd", "integer?", "the descriptor; with an error in the first place: the error" },
                { "err", "string?", "with data: why the descriptor that came with it is not there (`EMFILE`)" },
            },
            errors = errors(
                reading,
                { "ERROR_CLOSED", "the stream ended, or the socket is not open" },
                { "EOPNOTSUPP", "this is no Unix socket, or it is TLS" },
                {
                    "EMFILE",
                    "in the third place, after data: this process has no room for the descriptor, which is closed",
                }
            ),
            raises = "a size below 1 or fractional; no number",
            partial = "there is none: `nil` in the first place means that nothing was taken",
            waits = "for the first byte, within the deadline",
            by = { "unix(7), `SCM_RIGHTS`", "recvmsg(2), `MSG_CTRUNC`", "POSIX.1-2017 recvmsg()" },
            example = [[
                local what, fd, err = channel:recvfd(100)
                local client = fd and socket.fromfd(fd)]],
        },
        {
            name = "shutdown",
            call = { "ok, err = tcpsock:shutdown(how)" },
            brief = "end one direction",
            text = [[
                Ends one direction of the connection, or both, and leaves the descriptor open. After `SHUT_WR`
                the peer reads to the end of the stream while this side can still read.]],
            takes = {
                {
                    name = "how",
                    type = "ssocket.shutdown",
                    text = "`SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`",
                },
            },
            gives = { { "ok", "true?", "done" } },
            errors = { closed, { "ENOTCONN", "the socket is not connected, or the peer has reset it" } },
            tls = [[`SHUT_WR` sends what `write` has left and close_notify, for which it may wait within the
                deadline, then ends the system's side too; after `ERROR_TIMEOUT` call it again. So it counts as writing
                ([Tasks](#tasks)). Reading goes on.
                After `SHUT_RD` bytes that are in memory can still be read, then the error is `ERROR_CLOSED`. The
                error that has ended the connection is also that of `shutdown`]],
            raises = "any other value",
            partial = "bytes in the input buffer stay readable",
            waits = "never, but over TLS",
            by = {
                "shutdown(2)",
                "RFC 9293 section 3.6.1 (half-closed connections)",
                "RFC 8446 section 6.1 (close_notify)",
            },
        },
        {
            name = "finish",
            call = { "ok, err = tcpsock:finish([max])" },
            brief = "close so that the peer gets all that was written",
            text = [[
                Ends writing, reads and drops what comes until the peer has ended its side too and has confirmed all
                that
                was written, then closes. [`close`](#sock-close) alone would reset the connection when anything is
                unread,
                and may cost the peer what it had not read yet. Set a timeout: a peer that neither sends nor ends is
                waited
                for so long. `OPT_LINGER` does not matter here.

                The socket is closed whatever comes of it, and is then as a new one. It stays as it is with
                `ERROR_BUSY`, while another call reads or writes, and where a call that has to wait raises.]],
            takes = {
                {
                    name = "max",
                    type = "integer",
                    optional = true,
                    range = "0 or more",
                    unit = "bytes",
                    default = "1048576 (1 MiB)",
                    text = "most that is dropped, what waits in the buffer included",
                },
            },
            gives = { { "ok", "true?", "the peer has all that was written, and has ended its side; closed" } },
            errors = errors(
                { { "ERROR_TIMEOUT", "the peer has not ended before the deadline; closed all the same, as below" } },
                {
                    { "ERROR_LIMIT", "more than `max` bytes came; closed" },
                    {
                        "ERROR_RESET",
                        "the peer reset the connection, or, having ended, has refused what was written then; closed",
                    },
                    { "ERROR_CLOSED", "the socket is not open, or another task has closed it" },
                    { "ENOTCONN", "the socket is not connected, a Unix socket says `EINVAL`; closed" },
                }
            ),
            tls = [[sends close_notify and waits for the peer's. When the connection ends without it, the error is
                [`tls.ERROR_EOF`](#tls-errors); closed]],
            raises = "a negative or fractional `max`; no number",
            partial = "what comes is dropped. After an error the peer may miss some of what was written, as "
                .. "with `close`",
            waits = "for the peer to end and to confirm, within the deadline",
            by = { "shutdown(2)", "close(2)", "RFC 9293 section 3.6", "RFC 9112 section 9.6" },
            example = [[
                tcpsock:write "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n"
                tcpsock:settimeout(5)
                tcpsock:finish()]],
        },
    },
}

api.iterator = {
    text = [[
        What [`readuntil`](#tcpsock-readuntil) returns; each call gives the next record.
        As it gives `nil` on any error it works in a `for` loop, which cannot tell one error from another and does
        not see `partial`: a last record without its delimiter is lost to it. Call it by hand where that matters.

        With a `size` a call gives the next piece of a record instead, so that a record of any length is handled in
        little memory. Each piece has `size` bytes, however the bytes arrive; the last one has fewer, perhaps none, and
        comes with `true`. With `inclusive` the delimiter belongs to the last piece, which has at most `size` bytes with
        it; where it would not fit, a piece ends before it, and the next one is the delimiter alone. A call without a
        size in mid-record gives the rest of the record, and `true`. A socket that was closed begins a new record;
        what other reading calls take of a record is not counted.]],
    call = { "data, err, partial = iterator([size])" },
    takes = {
        {
            name = "size",
            type = "integer",
            optional = true,
            range = "1 or more; with `inclusive` the delimiter's length or more",
            unit = "bytes",
            default = "the whole record, or the rest of it",
            text = "most that the call gives of the record",
        },
    },
    gives = {
        { "data", "string?", "the bytes before the delimiter, with it if `inclusive`; `\"\"` between two delimiters" },
        { "err", "string|true?", "or, with the last piece of a record, `true`" },
        { "partial", "string?", "with an error: the bytes of a record that is not complete" },
    },
    tls = [[errors as with [`read`](#tcpsock-read). When the connection was cut, `partial` comes with
        `tls.ERROR_EOF`]],
    raises = "a size that is below 1 or fractional, or too small for the delimiter; a wrong type",
    errors = errors(
        timeout,
        {
            { "ERROR_CLOSED", "the stream ended; `partial` is the last record, which had no delimiter, or `\"\"`" },
            reset,
            { "ERROR_LIMIT", "more than `max` bytes stand before any delimiter; `partial` is the first `max` of them" },
        }
    ),
    partial = [[
        `partial` is handed out and no longer in the socket. After a time-out, bytes that may be the beginning of the
        delimiter stay behind, so that a delimiter split by a pause is still found; after `ERROR_LIMIT` the
        rest stays; after any other error `partial` is all that was left. All results, partials and delimiters put
        end to end are the stream.

        With sizes `max` counts the whole record, the pieces and partials already given included: after
        `ERROR_LIMIT` all of them together are `max` bytes. A time-out leaves the record where it is, and the next call
        goes on in it; after any other error a new record begins.]],
    waits = [[
        for the delimiter, within the socket's deadline. While bytes stay behind, `select` calls the
        socket readable; with a delimiter of one byte none ever do]],
    by = { "recv(2)", "POSIX.1-2017 recv()" },
}

-- ---- datagrams -------------------------------------------------------------------------------------

local no_port = { "EADDRNOTAVAIL", "the socket has no port, and none is free" }

local sending = {
    timeout,
    { "ERROR_TOOBIG", "the datagram is too long for the protocol; nothing was sent" },
    { "ERROR_REFUSED", "an earlier datagram was refused: nobody has that port" },
    unreachable[1],
    unreachable[2],
    { "ERROR_ACCESS", "a broadcast address without `OPT_BROADCAST`" },
    no_port,
}

local size = {
    name = "size",
    type = "integer",
    optional = true,
    range = "1 or more",
    unit = "bytes",
    default = "65535",
    text = "most of a datagram that is wanted",
}

local function group_call(name, brief, text, errs)
    return {
        name = name,
        call = { ("ok, err = udpsock:%s(group[, interface[, source]])"):format(name) },
        brief = brief,
        text = text,
        takes = {
            { name = "group", type = "string", text = "a numeric IPv4 or IPv6 multicast address" },
            {
                name = "interface",
                type = "string|integer",
                optional = true,
                default = "the system's choice",
                text = 'name (`"eth0"`) or index of a network interface, or one of its addresses, IPv4 or IPv6',
            },
            {
                name = "source",
                type = "string",
                optional = true,
                default = "all",
                text = "the numeric address of one sender, to hear it alone (source-specific multicast)",
            },
        },
        gives = { { "ok", "true?", "done" } },
        errors = errors({
            { "ERROR_NOTFOUND", "`group` is no numeric multicast address, or `source` no other numeric one" },
        }, {
            { "EAFNOSUPPORT", "`source` is of another family than `group`" },
            { "EOPNOTSUPP", "this system has no source-specific groups (OpenBSD, NetBSD)" },
        }, errs),
        raises = "a wrong type; a NUL in a string",
        waits = "never",
        by = {
            "ip(7)",
            "ipv6(7)",
            "if_nametoindex(3)",
            "RFC 3678 section 5.1",
        },
    }
end

local udp = {
    id = "udpsock",
    title = "Datagram sockets",
    class = "udpsock",
    prefix = "udpsock:",
    text = [[
        What `socket.udp()` returns: UDP over IPv4 or IPv6, and datagram Unix sockets. One send is one
        datagram, which arrives as a whole or not at all. An empty datagram is data, `""`, not an end.]],
    entries = {
        {
            name = "connect",
            call = { "ok, err = udpsock:connect(address...)", "ok, err = udpsock:connect()" },
            brief = "set, change or dissolve the peer",
            text = [[
                Sets the peer: `send` goes there, `recv` hears it alone, and its refusals are reported.
                It may be called again at any time to change the peer; without an address it dissolves it,
                and the local port stays what it was, though datagrams that arrive in that moment may be refused. No
                packet is sent.]],
            takes = { optional_address },
            gives = { { "ok", "true?", "done" } },
            errors = errors(
                resolving,
                { { "ERROR_CLOSED", "there is no address given and the socket is not open" } },
                unreachable,
                { { "ERROR_INUSE", "no address: dissolved, but another socket has taken the port in that moment" } },
                { { "ERROR_REFUSED", "a path that no socket is bound to any more" } },
                { { "ENOENT", "there is no such path" }, { "ENAMETOOLONG", "the path is too long" } },
                { { "EAFNOSUPPORT", "a bound socket and an address of another family" }, no_port },
                { { "ERROR_TIMEOUT", "the look-up of a name took longer than the timeout" } }
            ),
            raises = "a malformed address; a port out of range",
            waits = "for a name look-up only, within the deadline",
            by = { "connect(2), `AF_UNSPEC`", "udp(7)", "unix(7)", "POSIX.1-2017 connect()" },
        },
        {
            name = "send",
            call = { "ok, err = udpsock:send(data)", "ok, err = udpsock:send(data, address...)" },
            brief = "send to the peer",
            text = "Sends one datagram to the peer. With an address it is [`sendto`](#udpsock-sendto).",
            takes = {
                { name = "data", type = "string|number", unit = "bytes", range = "0 or more", text = "the datagram" },
                optional_address,
            },
            gives = { { "ok", "true?", "handed to the system" } },
            errors = errors(sending, closed, { "EDESTADDRREQ", "the socket has no peer" }),
            raises = "a wrong type; a malformed address",
            partial = "a datagram is sent whole or not at all",
            waits = "for room in the system's send buffer, within the deadline",
            by = { "send(2)", "udp(7)", "RFC 768", "RFC 1122 section 4.1.3.3 (refusals)" },
        },
        {
            name = "sendto",
            call = { "ok, err = udpsock:sendto(data, address...)" },
            brief = "send to an address",
            text = "Sends one datagram to an address. A socket that is not open is opened in the address's family.",
            takes = {
                { name = "data", type = "string|number", unit = "bytes", range = "0 or more", text = "the datagram" },
                address,
            },
            gives = { { "ok", "true?", "handed to the system" } },
            errors = errors(sending, resolving, {
                { "EAFNOSUPPORT", "the socket is of another family" },
                { "ENOENT", "there is no such path" },
                { "ENAMETOOLONG", "the path is too long" },
            }),
            raises = "a wrong type; no address; a malformed one; a port out of range",
            partial = "a datagram is sent whole or not at all",
            waits = "for a name look-up and for room in the system's send buffer, within the deadline",
            by = { "sendto(2)", "udp(7)", "unix(7)", "RFC 768" },
        },
        {
            name = "recv",
            call = { "data, err = udpsock:recv([size])" },
            brief = "receive a datagram",
            text = [[
                Receives one datagram. One that is longer than `size` gives its first `size` bytes and, in the
                place of `err`, `ERROR_TRUNCATED`.]],
            takes = { size },
            gives = { { "data", "string?", "the datagram, which may be `\"\"`" } },
            errors = {
                { "ERROR_TIMEOUT", "none came before the deadline" },
                { "ERROR_TRUNCATED", "with `data`: the rest of the datagram is gone" },
                { "ERROR_REFUSED", "the peer's host refused what was sent" },
                closed,
            },
            raises = "a size below 1 or fractional; no number",
            partial = "there is none: a datagram comes in one piece",
            waits = "for a datagram, within the deadline",
            by = { "recv(2), `MSG_TRUNC`", "udp(7)", "RFC 768", "RFC 1122 section 4.1.3.3 (refusals)" },
        },
        {
            name = "recvfrom",
            call = { "data, addr, err = udpsock:recvfrom([size])" },
            brief = "receive, with the sender",
            text = "As [`recv`](#udpsock-recv), and tells who sent it.",
            takes = { size },
            gives = {
                { "data", "string?", "the datagram, which may be `\"\"`" },
                { "addr", "ssocket.address|string|nil", "the sender, see [Addresses](#addresses)" },
                { "err", "string?", "" },
            },
            errors = {
                { "ERROR_TIMEOUT", "none came before the deadline" },
                { "ERROR_TRUNCATED", "with `data` and `addr`: the rest of the datagram is gone" },
                { "ERROR_REFUSED", "the peer's host refused what was sent" },
                closed,
            },
            raises = "a size below 1 or fractional; no number",
            partial = "there is none: a datagram comes in one piece",
            waits = "for a datagram, within the deadline",
            by = { "recvfrom(2)", "udp(7)", "RFC 768" },
        },
        {
            name = "recvmany",
            call = { "datas, addrs, err = udpsock:recvmany(count, size)" },
            brief = "receive what is there",
            text = [[
                Receives up to `count` datagrams in as few system calls as the system allows: it waits for the
                first and then takes those that are there. More may be asked for; a call takes at most 1024
                datagrams and about 1 MiB of data, and the rest stays for the next.]],
            takes = {
                { name = "count", type = "integer", range = "1 or more", text = "most datagrams wanted" },
                {
                    name = "size",
                    type = "integer",
                    range = "1 or more",
                    unit = "bytes",
                    text = "most of each datagram that is wanted",
                },
            },
            gives = {
                { "datas", "string[]?", "one datagram or more" },
                {
                    "addrs",
                    "(ssocket.address|string)[]|nil",
                    "their senders, in the same order; datagrams in a row from one sender share one value",
                },
                { "err", "string?", "" },
            },
            errors = {
                { "ERROR_TIMEOUT", "none came before the deadline" },
                { "ERROR_TRUNCATED", "with `datas` and `addrs`: at least one datagram was longer than `size`" },
                { "ERROR_REFUSED", "the peer's host refused what was sent" },
                closed,
            },
            raises = "a number below 1 or fractional; no number",
            partial = "there is none: an error without `datas` means that nothing was taken",
            waits = "for the first datagram, within the deadline",
            by = { "recvmmsg(2)", "udp(7)" },
        },
        {
            name = "sendmany",
            call = { "count, err, sent = udpsock:sendmany(array[, address...])" },
            brief = "send many datagrams",
            text = [[
                Sends the datagrams of an array in order, to the address or else to the peer, in as few system
                calls as the system allows. An empty array is 0 sent.]],
            takes = {
                { name = "array", type = "(string|number)[]", text = "the datagrams" },
                optional_address,
            },
            gives = {
                { "count", "integer?", "how many were sent, which is all of them" },
                { "err", "string?", "" },
                { "sent", "integer?", "with an error: how many were sent before it" },
            },
            errors = errors(sending, closed, { "EDESTADDRREQ", "there is neither peer nor address" }, resolving),
            raises = "a wrong type; a wrong element, by its index, before anything is sent; a malformed address",
            partial = "the first `sent` datagrams are sent, the others are not",
            waits = "for a name look-up and for room in the system's send buffer, within the deadline",
            by = { "sendmmsg(2)", "udp(7)" },
        },
        group_call(
            "join",
            "join a multicast group",
            [[Joins a multicast group: datagrams that are sent to it arrive, on the port to which the socket is bound. A
            socket that is not open is opened in the group's family. With `source` those of this sender alone do; each
            further `join` adds one. Where the socket has joined the whole group, a source narrows that.]],
            {
                { "ENODEV", "there is no such interface, or none for multicast" },
                { "ERROR_INUSE", "the socket has joined it already, or a source of it" },
                { "EADDRNOTAVAIL", "the socket has joined that source already" },
                { "ENOPROTOOPT", "the socket is of another family" },
            }
        ),
        group_call("leave", "leave a multicast group", "Leaves a multicast group, or one source of it.", {
            closed,
            { "ENODEV", "there is no such interface" },
            { "EADDRNOTAVAIL", "the socket has not joined it (or text of `EINVAL`)" },
        }),
    },
}

-- ---- tasks -----------------------------------------------------------------------------------------

local wait_limit = {
    name = "timeout",
    type = "number",
    optional = true,
    unit = "seconds",
    default = "no limit",
    text = "negative: no limit; 0: do not wait",
}

local cancelled = { "ERROR_CANCELLED", "the task that called has been cancelled" }

local task = {
    id = "task",
    title = "Task objects",
    class = "ssocket.task",
    prefix = "task:",
    text = [[
        What [`socket.spawn`](#socket-spawn) returns; [Tasks](#tasks) says how calls behave in them. `tostring(task)` is
        `<task: waiting>`, with its status.]],
    entries = {
        {
            name = "wait",
            call = { "ok, ... = task:wait([timeout])" },
            brief = "a task's results, or its error",
            text = [[
                Waits until the task has ended and gives what it returned. Any number of tasks may wait for one, and
                any number of times. When the wait itself fails, the task goes on. In Lua 5.1 and LuaJIT a task that
                had to wait here gets at most 247 results; for more it gets `nil` and a text, and all of them when it
                calls `wait` again.]],
            takes = { wait_limit },
            gives = {
                { "ok", "true?", "it has returned, and its results follow" },
                {
                    "...",
                    "any",
                    [[its results; where it has failed, the error value and a text, message (of an object: what its
                    `__tostring` says) and traceback; else `err` alone]],
                },
            },
            errors = {
                { "ERROR_TIMEOUT", "it has not ended in time" },
                {
                    "ERROR_CANCELLED",
                    "it was cancelled, and has raised since; or the task that called `wait` has been cancelled",
                },
            },
            bare = true,
            raises = "a task that waits for itself; a timeout that is no number, or NaN",
            waits = "for the task's end, up to `timeout`",
            example = [[
                local task = socket.spawn(fetch, "example.com")
                local ok, page, err = task:wait(5)
                if not ok then
                    task:cancel() -- when time is over it would go on
                end]],
        },
        {
            name = "cancel",
            call = { "ok = task:cancel()" },
            brief = "ask a task to end",
            text = [[
                Asks the task to end. The call it waits in fails with `ERROR_CANCELLED`, and so does each later call
                in it that would have to wait. The task ends when it returns or raises; `wait` then gives what it
                returned, or `nil, ERROR_CANCELLED` if it raised. One that has not begun yet does begin. Tasks for
                which it waits are not cancelled with it.]],
            takes = {},
            gives = { { "ok", "boolean", "whether it had still to end" } },
            tls = "a [handshake](#tls-client) that is cancelled has closed its socket",
            raises = "nothing",
            waits = "never",
        },
        {
            name = "background",
            call = { "task = task:background()" },
            brief = "let the program end without it",
            text = [[
                Puts the task in the background, for good: [`socket.run`](#socket-run) does not wait for it, and its
                time or descriptor keeps no wait of the main program from being a deadlock, unless somebody waits in
                `task:wait` for it. This is for what serves the other tasks as long as there are any: a pool's reaper,
                statistics, a watcher. It runs as every other task does while the main program waits. When `run`
                returns, it stays where it is, and goes on in the next `run` or wait; at the end of the Lua state it
                ends there. Tasks that it starts are not in the background. One that has ended stays as it is.]],
            takes = {},
            gives = { { "task", "ssocket.task", "the same task" } },
            raises = "nothing",
            waits = "never",
            example = [[
                socket.spawn(function()
                    while socket.sleep(60) do
                        report(count)
                    end
                end):background()]],
        },
        {
            name = "status",
            call = { "status = task:status()" },
            brief = "what a task is doing",
            text = "What the task is doing.",
            takes = {},
            gives = {
                {
                    "status",
                    '"ready"|"waiting"|"done"|"failed"',
                    "it runs or is about to; a call in it waits; it has returned; it has raised an error",
                },
            },
            raises = "nothing",
            waits = "never",
        },
    },
}

local group = {
    id = "group",
    title = "Groups",
    class = "ssocket.group",
    prefix = "group:",
    text = [[
        What [`socket.group`](#socket-group) returns. Its tasks are [tasks](#tasks) as any: each has a handle of its
        own, and it can be waited for and cancelled alone. One that raises, and was not cancelled, *fails*; the first
        failure is the group's outcome, and cancels the other tasks. The group holds no task that has ended, apart
        from the one whose failure is its outcome.

        A group that the collector finds unreachable cancels its tasks, and in Lua 5.4 so does a `local group <close>`
        at the end of its block; neither waits. A call of `wait` keeps its group. A failure that no `wait` has told
        goes where failures of lost tasks go ([Tasks](#tasks), *Errors*) when the group and the task's handle are
        gone. `tostring(group)` is `<group: 3>`, with the number of tasks that have not ended.]],
    entries = {
        {
            name = "spawn",
            call = { "task = group:spawn(f, ...)" },
            brief = "start a task in it",
            text = [[
                Starts a task as [`socket.spawn`](#socket-spawn) does, in the group. After a failure in the group, and
                after `cancel`, the task is cancelled already: it begins, and calls in it that would have to wait fail
                with `ERROR_CANCELLED`.]],
            takes = {
                { name = "f", type = "function", text = "what the task does" },
                { name = "...", type = "any", text = "its arguments" },
            },
            gives = { { "task", "ssocket.task", "the handle, see [Task objects](#task)" } },
            raises = "`f` is no function",
            waits = "never",
        },
        {
            name = "wait",
            call = { "ok, err, traceback = group:wait([timeout])" },
            brief = "wait for all its tasks",
            text = [[
                Waits until all tasks of the group have ended, also those that a failure has cancelled, and tells how.
                Any number of tasks may wait, any number of times: the outcome is the same each time, until another
                task is started in the group. When the wait itself fails, the tasks go on. A group without tasks has
                ended.]],
            takes = { wait_limit },
            gives = {
                { "ok", "true?", "all have returned, those too that were cancelled" },
                { "err", "any", "the error of the first task that has failed, as it was raised" },
                {
                    "traceback",
                    "string?",
                    "a text: its message (of an object: what its `__tostring` says) and its traceback",
                },
            },
            bare = true,
            errors = {
                { "ERROR_TIMEOUT", "they have not all ended in time" },
                {
                    "ERROR_CANCELLED",
                    [[none has failed, but one has raised after it was cancelled; or the task that called `wait` has
                    been cancelled]],
                },
            },
            raises = "in a task of the group itself; a timeout that is no number, or NaN",
            waits = "for the end of all its tasks, up to `timeout`",
        },
        {
            name = "cancel",
            call = { "ok = group:cancel()" },
            brief = "ask all its tasks to end",
            text = [[
                Cancels each task of the group, as [`task:cancel`](#task-cancel) does, also one that makes this call,
                and those that are started in it later.]],
            takes = {},
            gives = { { "ok", "boolean", "whether any had still to end" } },
            raises = "nothing",
            waits = "never",
        },
    },
}

local channel = {
    id = "channel",
    title = "Channels",
    class = "ssocket.channel",
    prefix = "channel:",
    text = [[
        What [`socket.channel`](#socket-channel) returns. Values come out in the order in which they were put. Who
        waits first is served first. In Lua 5.4 a `local channel <close>` is closed at the end of its block.]],
    entries = {
        {
            name = "put",
            call = { "ok, err = channel:put(value[, timeout])" },
            brief = "give a value",
            text = "Gives a value: to the task that has waited longest in `get`, or to be kept for the next one.",
            takes = { { name = "value", type = "any", text = "anything but nil" }, wait_limit },
            gives = { { "ok", "true?", "taken, or kept" } },
            errors = {
                { "ERROR_TIMEOUT", "there was no room in time" },
                { "ERROR_CLOSED", "the channel is closed" },
                cancelled,
            },
            raises = "nil; a timeout that is no number, or NaN",
            partial = "with an error the value has not been put",
            waits = [[
                for room; with a capacity of 0: for somebody who gets; up to `timeout`. With 0 others may have their
                turn]],
        },
        {
            name = "get",
            call = { "value, err = channel:get([timeout])" },
            brief = "take a value",
            text = "Takes the oldest value.",
            takes = { wait_limit },
            gives = { { "value", "any", "the value, which is never nil" } },
            errors = {
                { "ERROR_TIMEOUT", "there was none in time" },
                { "ERROR_CLOSED", "the channel is closed, and what was put before that has been taken" },
                cancelled,
            },
            raises = "a timeout that is no number, or NaN",
            waits = "for a value, up to `timeout`",
            example = [[
                local job = jobs:get()
                while job do
                    work_on(job)
                    job = jobs:get()
                end]],
        },
        {
            name = "values",
            call = { "next_value = channel:values()" },
            brief = "an iterator over values",
            text = [[
                A function that takes the oldest value with each call, as `get` does without a limit. A `for` loop with
                it goes on until the channel is closed and empty, and hands out `false` like every other value. In a
                cancelled task it ends as soon as it would have to wait, and the next call that waits says why. Any
                number of iterators may take from one channel. Each keeps its channel alive. In tasks on Lua 5.1 call
                it by hand: `for` cannot wait there.]],
            takes = {},
            gives = {
                { "next_value", "fun(): any, string?", "gives a value, or `nil` and one of the errors of `get`" },
            },
            raises = "nothing",
            waits = "never; the iterator does, for a value",
            example = [[
                for job in jobs:values() do
                    work_on(job)
                end]],
        },
        {
            name = "close",
            call = { "ok = channel:close()" },
            brief = "no more values",
            text = [[
                Ends the channel. What was put can still be taken. Who waits in `put` or `get` is woken with
                `ERROR_CLOSED`. Closing it again changes nothing.]],
            takes = {},
            gives = { { "ok", "1", "always" } },
            raises = "nothing",
            waits = "never",
        },
    },
}

local sig = {
    id = "sig",
    title = "Signals that are taken",
    class = "ssocket.signals",
    prefix = "sig:",
    text = [[
        What [`socket.signals`](#socket-signals) returns. In the lists of [`select`](#socket-select) it is readable when
        a signal has come. `close`, the garbage collector, the end of the Lua state and, in Lua 5.4, the end of the
        block of a `local sig <close>` put back what the signals did before, unless somebody else has set something new.
        `tostring` tells its descriptor, -1 when it is closed.]],
    entries = {
        {
            name = "get",
            call = { "name, err = sig:get([timeout])" },
            brief = "the next signal",
            text = [[
                Waits for a signal. Kinds are given in the order in which they came. Signals of one kind that come
                before the first of them is given are given once, as signal(7) has it for those that wait.]],
            takes = {
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "no limit",
                    text = "negative: no limit; 0: only look",
                },
            },
            gives = { { "name", "string?", 'without `SIG`: `"TERM"`' } },
            errors = {
                { "ERROR_TIMEOUT", "none has come in time" },
                { "ERROR_CLOSED", "it is closed, or another process has made it (fork(2))" },
                { "ERROR_CANCELLED", "the task it is called in has been cancelled" },
            },
            raises = "a timeout that is no number, or NaN",
            waits = "for a signal, up to `timeout`; that a task waits here is no deadlock",
            example = [[
                local sig = assert(socket.signals("TERM", "INT"))
                print(sig:get() .. ": ending")]],
        },
        {
            name = "fileno",
            call = { "fd = sig:fileno()" },
            brief = "the descriptor",
            text = "A descriptor that is readable when a signal has come, for other event loops. Do not read from it.",
            takes = {},
            gives = { { "fd", "integer", "-1: closed" } },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "close",
            call = { "true = sig:close()" },
            brief = "put back what was before",
            text = [[
                Ends it. Calls that wait for it end: `get` with `ERROR_CLOSED`, `select` with the text of `EBADF`. What
                has come and was not given is dropped.]],
            takes = {},
            gives = { { "true", "true", "always, also when it is closed already" } },
            raises = "nothing",
            waits = "never",
        },
    },
}

local loop = {
    id = "loop",
    title = "The loop",
    class = "ssocket.loop",
    prefix = "loop:",
    text = [[
        What [`socket.loop`](#socket-loop) returns: for programs that are driven by another event loop. `pollfd`,
        `events` and `timeout` are the three methods by which cqueues waits for an object of somebody else.
        [in_cqueues.lua](../examples/in_cqueues.lua) and [in_luv.lua](../examples/in_luv.lua) show the whole of it.

        The other loop waits until the descriptor is readable or the time is over, and calls `step(0)` then. What its
        own code gives the tasks to do meanwhile (`spawn`, `put`, `get`, `cancel`, `close`) makes the descriptor
        readable; where that is -1, such code calls `step(0)` itself. That code is the main program to us: it must not
        make calls that wait, since these hold up the other loop. It starts a task for them instead.]],
    entries = {
        {
            name = "pollfd",
            call = { "fd, err = loop:pollfd()" },
            brief = "the descriptor to wait for",
            text = "A descriptor that is readable when a task can go on, not for its time. It stays the module's.",
            takes = {},
            gives = { { "fd", "integer?", "the descriptor; -1 where the system has only poll(2)" } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            raises = "nothing",
            waits = "never",
            by = { "epoll(7)", "kqueue(2)" },
        },
        {
            name = "events",
            call = { "events = loop:events()" },
            brief = "what to wait for there",
            text = "What to wait for on the descriptor.",
            takes = {},
            gives = { { "events", '"r"', "that it is readable" } },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "timeout",
            call = { "seconds = loop:timeout()" },
            brief = "for how long to wait",
            text = "For how long the descriptor may be waited for.",
            takes = {},
            gives = {
                {
                    "seconds",
                    "number?",
                    "until a task's time is over, or a failed one is looked for; 0: now; nil: no limit",
                },
            },
            raises = "nothing",
            waits = "never; no system call is made",
        },
        {
            name = "step",
            call = { "tasks_left = loop:step([timeout])" },
            brief = "one turn for the tasks",
            text = [[
                Lets each task go on that can, once. It tells failures as well, also when it returns false: go on until
                `timeout` returns nil to hear of the last. Tasks in the [background](#task-background) have their turn,
                but it does not wait when there are no others.]],
            takes = {
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "no limit",
                    text = "how long to wait when none can; negative: no limit; 0: do not wait",
                },
            },
            gives = { { "tasks_left", "boolean", "whether there are tasks left that are not in the background" } },
            raises = [[
                a call inside a task; a timeout that is no number, or NaN; an error of `socket.onerror`; without a
                limit, that the tasks wait for each other and nothing is left that could wake them ("deadlock")]],
            waits = "until a task can go on, up to `timeout`; never when there are no tasks but in the background",
        },
    },
}

-- ---- the pool --------------------------------------------------------------------------------------

local pool_module = {
    id = "pool",
    title = "Pools of connections",
    class = "ssocket.poolmodule",
    module = "ssocket.pool",
    static = true,
    prefix = "pool.",
    text = [[
        `local pool = require "ssocket.pool"`: a module in Lua that comes with this one. A pool keeps open
        connections for the next one who needs one to the same server. `get` hands one out, or makes one; `put`
        gives it back, `drop` closes it. It works in tasks and in the main program.

        A connection in the pool on which anything arrives, data or the end of the stream, is of no use to anybody.
        In tasks, one task in the [background](#task-background) watches all idle connections of a pool and closes
        such ones, and those that are too old, within some hundredths of a second. It is started by `put` in a
        task. Without it a connection is looked at when it would be given out. The peer may still end a connection
        just when somebody uses it: if the first use of one that was `reused` fails before anything was answered,
        drop it and try once more.

        A connection that was given out and lost, that is collected, gives its place back. A pool that is collected
        is closed. What it has given out stays open, and is the program's. In Lua 5.4 a `local p <close>` is closed
        at the end of its block.]],
    entries = {
        {
            name = "new",
            call = { "p = pool.new([options])" },
            brief = "a pool of connections",
            text = [[
                A pool with these options, each of which may be left out. `max`: how many open connections there
                may be for a key, 1 or more, no limit by default. `idle`: how many of them may be in the pool, 0 or
                more, 10 by default. `timeout`: for how many seconds each may be in the pool, 60 by default;
                negative or `math.huge`: no limit.]],
            takes = { { name = "options", type = "table", optional = true, text = "see above" } },
            gives = { { "p", "ssocket.pool", "see [Pool objects](#p)" } },
            raises = "options that are no table; an option that is unknown, or of a wrong type or range",
            waits = "never",
            example = [[
                local pool = require "ssocket.pool"
                local p = pool.new { max = 20, timeout = 30 }]],
        },
    },
}

local pool_key = {
    name = "key",
    type = "any",
    text = "what connections that are alike have in common; not nil, not NaN",
}
local pool_sock = { name = "sock", type = "tcpsock", text = "the connection" }
local not_given_out = {
    '"The connection is not one that the pool has given out for this key"',
    [[it never had it, or has it back; if it is one of the pool's (put twice, or under another key) it is closed, any
    other stays open]],
}

local pool_object = {
    id = "p",
    title = "Pool objects",
    class = "ssocket.pool",
    module = "ssocket.pool",
    prefix = "p:",
    text = "What [`pool.new`](#pool-new) returns.",
    entries = {
        {
            name = "get",
            call = { "sock, reused = p:get(key, dial[, timeout])" },
            brief = "a connection, from the pool or a new one",
            text = [[
                Gives the connection of that key that was put last, if it is still sound: not too old, and nothing
                has arrived on it. Otherwise calls `dial()`, which returns a new connection, or `nil` and an error.
                When there are `max` connections for the key, and none is idle, it waits until one is put or
                dropped. Who waits first is served first.

                When `dial` fails or raises, or the wait ends, the place goes to the next in line.]],
            takes = {
                pool_key,
                {
                    name = "dial",
                    type = "fun(): tcpsock?, string?",
                    text = "connects; what it raises comes out of `get`; it may wait and use the pool",
                },
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "no limit",
                    text = [[for the wait in line and `dial` together, as in [`within`](#socket-within); negative: no
                    limit; 0: do not wait]],
                },
            },
            gives = {
                { "sock", "tcpsock?", "the connection" },
                { "reused", "boolean|string?", "whether it was in the pool; where `sock` is nil, the error" },
            },
            errors = {
                { "ERROR_TIMEOUT", "there was no place in time, or `dial` says so" },
                { "ERROR_CLOSED", "the pool is closed, or was closed meanwhile; `dial` has returned a closed socket" },
                cancelled,
                { '"..."', "any error that `dial` returns" },
            },
            bare = true,
            raises = [[
                a key that is nil or NaN; a `dial` that cannot be called, or returns anything else than a new stream
                socket or nil; a timeout that is no number, or NaN; what `dial` raises; in the main program a deadlock,
                as [`channel:get`](#channel-get)]],
            waits = "in line, and as `dial` does, up to `timeout`",
            example = [[
                local function dial()
                    return socket.connect("127.0.0.1", 6379, 5)
                end
                local sock, reused = p:get("redis", dial, 5)
                if sock then
                    local ok = ask(sock)
                    if ok then p:put("redis", sock) else p:drop("redis", sock) end
                end]],
        },
        {
            name = "put",
            call = { "ok, err = p:put(key, sock)" },
            brief = "give a connection back",
            text = [[
                Gives back a connection that `get` has given out for this key. Who waits in line gets it; else it
                is kept for the next one, and when more than `idle` are there, the oldest is closed. The caller
                must not use it any more.

                One that nobody could go on with is not kept but closed. In that case too its place is free.]],
            takes = { pool_key, pool_sock },
            gives = { { "ok", "true?", "kept, or handed on" } },
            errors = {
                { "ERROR_CLOSED", "the connection was closed, or the pool is; it is closed now" },
                {
                    '"Unread bytes or the end of the stream are pending"',
                    "the peer has sent more than was read, or has ended the stream; it is closed now",
                },
                not_given_out,
            },
            raises = "a key that is nil or NaN; a `sock` that is no stream socket",
            waits = "never, apart from closing with `OPT_LINGER`",
        },
        {
            name = "drop",
            call = { "ok, err = p:drop(key, sock)" },
            brief = "close a connection of the pool",
            text = [[
                Closes a connection that `get` has given out for this key. The next in line may make another. This
                is for those that have failed, or of which the last answer was not read to its end.]],
            takes = { pool_key, pool_sock },
            gives = { { "ok", "true?", "closed" } },
            errors = { not_given_out },
            raises = "a key that is nil or NaN; a `sock` that is no stream socket",
            waits = "never, apart from closing with `OPT_LINGER`",
        },
        {
            name = "close",
            call = { "ok = p:close()" },
            brief = "close the idle connections, and keep no more",
            text = [[
                Closes all connections in the pool. Who waits in `get` is woken with `ERROR_CLOSED`. `put` closes
                from now on what is given back. Closing it again changes nothing.]],
            takes = {},
            gives = { { "ok", "true", "always" } },
            raises = "nothing",
            waits = "never, apart from closing with `OPT_LINGER`",
        },
    },
}

-- ---- TLS -------------------------------------------------------------------------------------------

local tls_sock = { name = "s", type = "tcpsock", text = "a connected stream socket of any kind, TCP or Unix" }
local tls_conn = { name = "s", type = "tcpsock", text = "the connection" }
local not_tls = { "EOPNOTSUPP", "the socket is not TLS, or its handshake is not over" }
local already_tls = { "EISCONN", "the socket is TLS already; it stays as it is" }
local reason = {
    "reason",
    "string?",
    "with an error of TLS: more of it, for people; it changes with OpenSSL, so compare `err` alone",
}

local not_handshaken = [[
    bytes in the socket's buffer ([`pending`](#tcpsock-pending)) are taken for the first of the peer's TLS, and none
    of them can be read as plain text later; iterators of [`readuntil`](#tcpsock-readuntil) go on in the decrypted
    stream. After a failure they are dropped with the socket]]

local keep = {
    name = "keep",
    type = "boolean",
    optional = true,
    default = "false",
    text = [[`true`: a handshake that is not over in time goes on with the next call, for
    [a loop of your own](tls.md#in-a-loop-of-your-own)]],
}
local kept_reason = {
    "reason",
    "string?",
    [[with an error of TLS: more of it, for people; it changes with OpenSSL, so compare `err` alone. With
    `ERROR_TIMEOUT` and `keep`: `"read"` or `"write"`, what the handshake waits for]],
}
local other_handshake = {
    "tls.ERROR_HANDSHAKE",
    "a handshake with other arguments is kept: another end, `ctx` or `name`; it stays as it is",
}

local function handshake_errors(certificate)
    return errors({
        { "tls.ERROR_CERTIFICATE", certificate },
        { "tls.ERROR_ALERT", "the peer has refused, or broken off; the reason is the alert's name: `unknown_ca`" },
        { "tls.ERROR_PROTOCOL", "the bytes are not TLS, or nothing is in common (version, cipher, ALPN)" },
        { "tls.ERROR_EOF", "the peer has ended the connection in mid-handshake" },
        { "ERROR_TIMEOUT", "the handshake was not over before the deadline" },
        { "ERROR_CLOSED", "the socket is not open, or another task has closed it" },
    }, reset, {
        already_tls,
        other_handshake,
        { "ERROR_BUSY", "another task's call waits on the socket, to read or to write; it stays as it is" },
        { "ENOTCONN", "the socket is open and not connected; a Unix socket says `EINVAL`" },
    })
end

local tls_module = {
    id = "tls",
    title = "TLS",
    class = "ssocket.tlsmodule",
    module = "ssocket.tls",
    static = true,
    prefix = "tls.",
    text = [[
        `local tls = require "ssocket.tls"`: TLS 1.2 and 1.3 on stream sockets. It is a shared object of its own,
        which needs OpenSSL 1.1.1 or newer, and is not there where the module was built without; `ssocket` does not
        load it. It sets no global. [tls.md](tls.md) is the guide.

        A connected socket becomes TLS *in place*: it stays the same object, and the calls of [stream
        sockets](#tcpsock) work on, in the main program and in tasks. Where they differ, their entries say so under
        *Over TLS*. After `close` the socket is as a new one, and plain. There is no way back to plain text on an open
        connection.

        An error that ends a connection, such as an alert, a bad record or an end without close_notify, is the result
        of each later call that reads or writes; only `close` is left to do. What was decrypted before it is given
        first.

        After a fork(2) a connection belongs to the process that has shaken hands. In the other one each call that
        reads or writes fails with [`tls.ERROR_PROTOCOL`](#tls-errors), and `close` sends nothing. Contexts serve
        both: fork first, then shake hands.

        Renegotiation, authentication after the handshake, compression and early data (0-RTT) are refused. More than
        32 messages in a row without data end the connection with `tls.ERROR_PROTOCOL`.]],
    entries = {
        {
            name = "connect",
            call = { "tcpsock, err, reason = tls.connect(host, port[, ctx[, timeout]])" },
            brief = "a connected TLS client",
            text = [[
                `socket.tcp`, [`connect`](#tcpsock-connect) and [`tls.client`](#tls-client) in one call, which
                verifies the server for the name `host`. A failure leaves nothing open.]],
            takes = {
                { name = "host", type = "string", text = "to connect to, and to verify, as `name` of `tls.client`" },
                { name = "port", type = "integer", range = "0..65535", text = "of the server" },
                {
                    name = "ctx",
                    type = "ssocket.tls.context",
                    optional = true,
                    text = "see [`tls.context`](#tls-context); without it the system's authorities are trusted",
                },
                {
                    name = "timeout",
                    type = "number",
                    optional = true,
                    unit = "seconds",
                    default = "-1",
                    text = "for look-up, connection and handshake together, and then the socket's; negative: no limit",
                },
            },
            gives = { { "tcpsock", "tcpsock?", "the connection" }, { "err", "string?", "" }, reason },
            errors = {
                {
                    "ERROR_REFUSED",
                    "nobody listens there; the other errors are those of `tcpsock:connect` and `tls.client`",
                },
            },
            raises = [[a `host` that is no host name and no address, such as `"unix:/path"`; a port out of range;
                another thing than a context; a timeout that is no number, or NaN]],
            partial = "nothing is left of a failed attempt",
            waits = "for the look-up, the connection and the handshake, all within `timeout`",
            by = { "connect(2)", "RFC 8446 section 4" },
            example = [[
                local s = assert(tls.connect("example.com", 443, nil, 10))]],
        },
        {
            name = "client",
            call = { "ok, err, reason = tls.client(s, name[, ctx[, keep]])" },
            brief = "make a connection TLS, as a client",
            text = [[
                Shakes hands as a client. The server's certificate must lead to one that `ctx` trusts, be within its
                dates, be one for servers, and be for `name`; else the handshake fails, unless `ctx` has another
                `verify` or `verify_name`. Names match the subject alternative names alone, never the common name;
                `*` stands for the whole first label; an address matches an address. The name is sent to the server
                (SNI), an address is not. It need not be what the socket is connected to.

                Whatever goes wrong, a time-out or [`task:cancel`](#task-cancel) too, *the socket is closed*, after an
                alert if that needs no waiting: a program that overlooks the result cannot go on in plain text. After
                misuse and after `ERROR_BUSY` and `EISCONN`, where nothing was begun, it is as it was.

                With `keep` a time-out, and it alone, leaves the socket open in mid-handshake: the results are `nil`,
                `ERROR_TIMEOUT` and what the handshake waits for, and the same call goes on with it. Until it has
                succeeded, every other call that reads or writes there is [`tls.ERROR_HANDSHAKE`](#tls-errors): no
                plain byte is sent or taken. `close` ends it.

                In TLS 1.3 a server judges our certificate after our handshake has succeeded. If it refuses, the
                first call that reads says `tls.ERROR_ALERT`.]],
            takes = {
                tls_sock,
                {
                    name = "name",
                    type = "string",
                    text = [[the server's: a host name in ASCII (an international one as `xn--...`), of which one
                    dot at its end is dropped, or a numeric address, of which the zone is dropped]],
                },
                {
                    name = "ctx",
                    type = "ssocket.tls.context",
                    optional = true,
                    text = [[see [`tls.context`](#tls-context); without it the system's authorities are trusted, no
                    certificate is sent, and no protocol (ALPN) is offered]],
                },
                keep,
            },
            gives = {
                { "ok", "true?", "the connection is encrypted, and the server verified" },
                { "err", "string?", "" },
                kept_reason,
            },
            errors = handshake_errors [[the server's certificate is refused; the reason says why, and of which one:
                depth 0 is the server's own, 1 the one that has signed it]],
            raises = [[a socket of another kind; a `name` that is empty, too long, or has a NUL or other characters;
                another thing than a context; a `keep` that is no boolean]],
            partial = not_handshaken,
            waits = "for the whole handshake, within the socket's deadline; it counts as reading and writing",
            by = {
                "SSL_do_handshake(3)",
                "SSL_CTX_set_verify(3)",
                "X509_check_host(3)",
                "X509_verify_cert_error_string(3) (reasons)",
                "RFC 8446 sections 4 and 6.2 (alerts)",
                "RFC 5246 section 7.3",
                "RFC 5280 section 6 (chains)",
                "RFC 9525 section 6 (names)",
                "RFC 6066 section 3 (SNI)",
            },
            example = [[
                tcpsock:settimeout(10)
                local ok, err, reason = tls.client(tcpsock, "mail.example.com") -- after STARTTLS
                if not ok then
                    print(err, reason) -- the socket is closed
                end]],
        },
        {
            name = "server",
            call = { "ok, err, reason = tls.server(s, ctx[, keep])" },
            brief = "make a connection TLS, as a server",
            text = [[
                Shakes hands as a server. With `client_ca` in the context it asks the client for a certificate, and
                refuses one that is bad, and the lack of one unless `client_optional` is set.

                Whatever goes wrong the socket is closed, as with [`tls.client`](#tls-client); `keep` is as there. Set
                a timeout, and call it in the task that serves the client: one that is silent then delays nobody.]],
            takes = {
                tls_sock,
                { name = "ctx", type = "ssocket.tls.context", text = "one with a certificate, `cert`" },
                keep,
            },
            gives = {
                { "ok", "true?", "the connection is encrypted" },
                { "err", "string?", "" },
                kept_reason,
            },
            errors = handshake_errors "the client's certificate is refused, or it has given none; the reason says why",
            raises = [[a socket of another kind; another thing than a context; one without a certificate; a `keep`
                that is no boolean]],
            partial = not_handshaken,
            waits = "for the whole handshake, within the socket's deadline; it counts as reading and writing",
            by = {
                "SSL_do_handshake(3)",
                "SSL_CTX_set_verify(3)",
                "RFC 8446 sections 4 and 6.2 (alerts)",
                "RFC 5246 section 7.3",
                "RFC 5280 section 6 (chains)",
            },
            example = [[
                local function serve(client)
                    client:settimeout(10)
                    if tls.server(client, ctx) then
                        client:write "hello\n"
                    end
                    client:close()
                end]],
        },
        {
            name = "context",
            call = { "ctx, err = tls.context([options])" },
            brief = "settings and certificates for connections",
            text = [[
                What connections have in common: whom they trust, their own certificates, settings. It has no methods
                and never changes; any number of clients and servers of this Lua state share it. `tostring(ctx)` is
                `<tls.context>`.

                Files are read here, once; a directory is looked into when a certificate is needed. A new certificate is
                a new context, for the connections that follow; those that are open keep theirs. Ciphers, groups and the
                security level that `conf` does not set are as the system's configuration of OpenSSL has them, but
                nothing goes below TLS 1.2.]],
            takes = {
                {
                    name = "options",
                    type = "ssocket.tls.options",
                    optional = true,
                    text = "a table, see [Options of a context](#tls-options)",
                },
            },
            gives = { { "ctx", "ssocket.tls.context?", "for `tls.connect`, `tls.client` and `tls.server`" } },
            errors = {
                {
                    '"option: file: cause"',
                    'a file that cannot be read or used, named with its option: `"key: /etc/x.key: Permission denied"`',
                },
            },
            raises = [[an unknown option, or one of a wrong type or range; an array that is empty; an empty path, or
                one with a NUL; `client_optional` without `client_ca`]],
            waits = "never; while it reads files no task runs",
            by = {
                "SSL_CTX_new(3)",
                "SSL_CONF_cmd(3)",
                "config(5)",
                "PEM_read_bio_X509(3)",
                "RFC 7468 (PEM)",
            },
            example = [[
                local ctx = assert(tls.context { cert = "fullchain.pem", key = "privkey.pem" })]],
        },
        {
            name = "hello",
            call = { "hello, err = tls.hello(s)" },
            brief = "what a client asks for, before the handshake",
            text = [[
                Waits for the client's first message, the ClientHello, and tells of it. It answers nothing and takes
                nothing: [`tls.server`](#tls-server) follows with the context that fits, and the program may wait for
                other things in between. It may be called again.

                Bytes that are no ClientHello are `tls.ERROR_PROTOCOL`, and the socket is open, plain and unread: so
                one port can serve both kinds of clients.]],
            takes = { tls_sock },
            gives = { { "hello", "ssocket.tls.hello?", "a table, see [What `hello` tells](#tls-hello-fields)" } },
            errors = errors({
                { "tls.ERROR_PROTOCOL", "what has come is no ClientHello, or a malformed one" },
                { "ERROR_TIMEOUT", "it was not complete before the deadline" },
                { "ERROR_CLOSED", "the stream ended before it was complete, or the socket is not open" },
            }, reset, {
                { "EISCONN", "the socket is TLS already" },
                { "tls.ERROR_HANDSHAKE", "it is in the middle of a handshake that is kept" },
                { "ENOTCONN", "the socket is open and not connected; a Unix socket says `EINVAL`" },
            }),
            raises = "a socket of another kind",
            partial = [[in any case all bytes stay in the socket's buffer, where `pending` counts them; those that were
                too few do not make it readable for [`select`](#socket-select), until more come]],
            waits = "for the whole message, within the socket's deadline; it counts as reading",
            by = {
                "SSL_CTX_set_client_hello_cb(3)",
                "RFC 8446 sections 4.1.2 and 4.2.1 (versions)",
                "RFC 6066 section 3 (SNI)",
                "RFC 7301 section 3.1 (ALPN)",
            },
            example = [[
                local hello = assert(tls.hello(client))
                local ctx = contexts[hello.name] or contexts.default]],
        },
        {
            name = "info",
            call = { "info = tls.info(s)" },
            brief = "what a connection has agreed on, and the peer's certificate",
            text = "Describes a TLS connection, also one that an error has ended, until it is closed.",
            takes = { { name = "s", type = "tcpsock", text = "a stream socket" } },
            gives = {
                {
                    "info",
                    "ssocket.tls.info?",
                    "a new table, see [What `info` tells](#tls-info-fields); nil: the socket is plain or closed",
                },
            },
            raises = "a socket of another kind",
            waits = "never; no system call is made",
            by = { "SSL_get_version(3)", "SSL_get_current_cipher(3)", "SSL_get_peer_cert_chain(3)" },
            example = [[
                local peer = tls.info(s).peer
                print(peer and peer.subject)]],
        },
        {
            name = "export",
            call = { "bytes, err = tls.export(s, label, length[, context])" },
            brief = "key material for a protocol above",
            text = [[
                Bytes that only the two ends of this connection can know, and that are the same at both for the same
                arguments. The label says what they are for; some protocols define one. A `context` of `""` is
                another one than none in TLS 1.2, and the same in 1.3.]],
            takes = {
                tls_conn,
                { name = "label", type = "string", range = "1 to 249", unit = "bytes", text = "the purpose" },
                { name = "length", type = "integer", range = "1 to 8160", unit = "bytes", text = "how many" },
                { name = "context", type = "string", optional = true, text = "further bytes that go in" },
            },
            gives = { { "bytes", "string?", "of length `length`" } },
            errors = {
                closed,
                {
                    "EOPNOTSUPP",
                    [[the socket is not TLS; or in TLS 1.2 the label is one that it uses for itself, the context has
                    more than 65,535 bytes, or the peer lacks the extended master secret]],
                },
            },
            raises = "a socket of another kind; a wrong type; a label or a length out of range",
            waits = "never; no system call is made",
            by = {
                "SSL_export_keying_material(3)",
                "RFC 8446 section 7.5",
                "RFC 5705 section 4",
                "RFC 7627 (extended master secret)",
            },
        },
        {
            name = "binding",
            call = { "bytes, err = tls.binding(s, kind)" },
            brief = "what binds a log-in to this connection",
            text = [[
                Channel binding: bytes by which a log-in above TLS (SCRAM-SHA-256-PLUS) proves that both ends are
                those of the same connection.]],
            takes = {
                tls_conn,
                {
                    name = "kind",
                    type = "string",
                    range = '`"tls-exporter"`, `"tls-server-end-point"`, `"tls-unique"`, `"finished"`, '
                        .. '`"peer-finished"`',
                    text = [[the first is for TLS 1.3, and for 1.2 with the extended master secret; the second a
                    digest of the server's certificate, which a server with several does not have after a resumption;
                    the third for TLS 1.2 alone, and after a resumption with that secret alone. The last two are the
                    Finished messages of this end and of the peer, for protocols that name one of them]],
                },
            },
            gives = {
                { "bytes", "string?", "32 bytes; of the second kind as its digest has; of the others 12, or a digest" },
            },
            errors = { closed, not_tls, { "EOPNOTSUPP", "or this connection has no binding of the kind" } },
            raises = "a socket of another kind; a wrong type; another kind of binding",
            waits = "never; no system call is made",
            by = {
                "RFC 9266 section 2 (tls-exporter)",
                "RFC 5929 sections 3 (tls-unique) and 4 (tls-server-end-point)",
                "RFC 7627 (extended master secret)",
                "SSL_get_finished(3)",
            },
        },
    },
    constants = {
        {
            "ERROR_CERTIFICATE",
            "Certificate verify failed",
            "we have refused the peer's certificate, or it has given none",
        },
        { "ERROR_ALERT", "TLS alert received", "the peer has refused, or broken off; the reason is the alert's name" },
        {
            "ERROR_PROTOCOL",
            "TLS protocol error",
            [[the bytes are not TLS, nothing is in common, a record is bad, messages come without end, or the
            connection is another process's]],
        },
        {
            "ERROR_EOF",
            "TLS stream truncated",
            "the connection has ended, and the peer had not said that it would (close_notify)",
        },
        {
            "ERROR_HANDSHAKE",
            "TLS handshake not finished",
            "a call comes in the middle of a handshake that is kept (`keep` of `tls.client` and `tls.server`)",
        },
    },
    version = {
        name = "_OPENSSL",
        text = 'name and version of the library in use, such as `"OpenSSL 3.0.16 11 Feb 2025"`',
    },
    opaque = { { "ssocket.tls.context", "What `tls.context` returns. It has no methods." } },
    records = {
        {
            id = "options",
            title = "Options of a context",
            class = "ssocket.tls.options",
            text = [[
                Each may be left out. A string with `-----BEGIN` in it is the text of a file in PEM, any other is a
                path. An array of them, or of names, may be a single one instead.]],
            fields = {
                {
                    "ca",
                    "string|(string)[]|nil",
                    [[what a client trusts: files, directories with hashed names, texts in PEM, `"system"`; default
                    `"system"`, the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR`, or else where they are
                    found). Each certificate in it is an anchor, self-signed or not: a server's own is trusted alone]],
                    "openssl-verification-options(1), `-partial_chain`; SSL_CTX_load_verify_locations(3)",
                },
                {
                    "verify",
                    'boolean|"report"|nil',
                    [[default `true`; `false`: a client takes any certificate from anybody. For tests. `"report"`: the
                    handshake of a client, and of a server with `client_ca`, goes on whatever is wrong with the
                    peer's certificate, and [`info`](#tls-info-fields) says that as `unverified`: whoever does not
                    look there trusts anybody. A server still wants a certificate, unless `client_optional` is set.
                    No context that refuses resumes such a session]],
                    "SSL_CTX_set_verify(3); X509_STORE_CTX_set_verify_cb(3)",
                },
                {
                    "partial_chain",
                    "boolean?",
                    [[default `true`; `false`: of the certificates in `ca` and `client_ca` only those that are
                    self-signed are anchors]],
                    "X509_VERIFY_PARAM_set_flags(3), `X509_V_FLAG_PARTIAL_CHAIN`",
                },
                {
                    "any_purpose",
                    "boolean?",
                    [[default `false`; `true`: a peer's certificate is good whatever its extended key usage says it is
                    for, one for servers alone also in a client's hands]],
                    "X509_VERIFY_PARAM_set_purpose(3)",
                },
                {
                    "verify_name",
                    "string|false|nil",
                    [[the name or address that a client verifies, in the form of `name` of
                    [`tls.client`](#tls-client), instead of that one, which is still sent (SNI). `false`: no name is
                    verified, and whoever has any certificate of a trusted authority can be the server. Not with
                    `verify = false`]],
                    "X509_VERIFY_PARAM_set1_host(3)",
                },
                {
                    "depth",
                    "integer?",
                    [[0 to 65536: how many authorities may stand between the peer's certificate and the anchor, which
                    is not counted; 0: the anchor has signed it. Default: OpenSSL's, 100]],
                    "SSL_CTX_set_verify_depth(3)",
                },
                {
                    "cert",
                    "string|(string)[]|nil",
                    [[our certificate, and behind it in the same file those that have signed it; several for several
                    types of key, one for each]],
                    "SSL_CTX_use_certificate(3)",
                },
                {
                    "key",
                    "string|(string)[]|nil",
                    "the private key of each `cert`, in the same order; default: the one in `cert`. It must fit",
                    "X509_check_private_key(3)",
                },
                {
                    "password",
                    "string?",
                    "of keys that are encrypted; without it such a key is an error: nobody is ever asked",
                    "pem_password_cb(3)",
                },
                {
                    "client_ca",
                    "string|(string)[]|nil",
                    [[as `ca`, without `"system"`: a server asks for a certificate that one of these has signed, and
                    refuses clients without]],
                    "SSL_CTX_set_client_CA_list(3); RFC 8446 section 4.3.2",
                },
                {
                    "client_optional",
                    "boolean?",
                    "default `false`; `true`: clients without a certificate are let in, those with a bad one are not",
                    "SSL_CTX_set_verify(3), `SSL_VERIFY_FAIL_IF_NO_PEER_CERT`",
                },
                {
                    "crl",
                    "string|(string)[]|nil",
                    "revocation lists; one must be there then for each authority of a chain",
                    "openssl-verification-options(1), `-crl_check_all`; RFC 5280 section 6.3",
                },
                {
                    "alpn",
                    "string|(string)[]|nil",
                    [[names of protocols, 1 to 255 bytes each, the preferred one first. The server's order decides;
                    nothing in common ends the handshake on both sides; a peer without ALPN is taken]],
                    "RFC 7301",
                },
                {
                    "alpn_optional",
                    "boolean?",
                    [[default `false`; `true`: with nothing in common a server goes on without ALPN, as servers with
                    plain OpenSSL do, and has to expect a client that speaks another protocol. Only with `alpn`]],
                    "SSL_CTX_set_alpn_select_cb(3), `SSL_TLSEXT_ERR_NOACK`; RFC 7301 section 3.2",
                },
                { "min", '"1.2"|"1.3"|nil', 'the lowest version; default `"1.2"`', "RFC 8446 section 4.2.1" },
                {
                    "sessions",
                    "integer?",
                    [[0 to 65536, default 64: how many sessions of servers a client keeps, to resume them by itself
                    for the same name and port; 0: none, and a server issues no tickets. A certificate that has
                    expired since is refused all the same]],
                    "RFC 8446 section 4.6.1; RFC 5077",
                },
                {
                    "ticket_keys",
                    "string|(string)[]|nil",
                    [[keys of a server's tickets, 80 random bytes each, for processes behind one address: the first
                    one seals, all open. Default: keys of this context's own, renewed every 12 hours. Secret]],
                    "SSL_CTX_set_tlsext_ticket_key_evp_cb(3)",
                },
                {
                    "keylog",
                    "string?",
                    "a file to which the secrets of connections are appended, for Wireshark. For tests. The "
                        .. "environment is never asked",
                    "SSL_CTX_set_keylog_callback(3)",
                },
                {
                    "conf",
                    "table?",
                    [[further settings by OpenSSL's names, strings all: `{ Groups = "X25519:P-256" }`. They override
                    the system's configuration, but get below neither TLS 1.2 nor `min`]],
                    "SSL_CONF_cmd(3)",
                },
            },
        },
        {
            id = "hello-fields",
            title = "What `hello` tells",
            class = "ssocket.tls.hello",
            text = "It comes from the client, and nobody has verified any of it.",
            fields = {
                {
                    "name",
                    "string?",
                    "the host that it wants to reach (SNI), in lower case; any bytes but NUL; nil: it has sent none",
                    "RFC 6066 section 3",
                },
                { "alpn", "string[]?", "the protocols that it offers, in its order; nil: none", "RFC 7301" },
                {
                    "versions",
                    "string[]",
                    'which of `"TLSv1.2"` and `"TLSv1.3"` it offers, in this order; may be empty',
                    "RFC 8446 section 4.2.1",
                },
            },
        },
        {
            id = "info-fields",
            title = "What `info` tells",
            class = "ssocket.tls.info",
            text = "The table is the caller's: it does not change with the connection.",
            fields = {
                { "version", "string", '`"TLSv1.2"` or `"TLSv1.3"`', "SSL_get_version(3)" },
                { "cipher", "string", 'its standard name: `"TLS_AES_256_GCM_SHA384"`', "SSL_CIPHER_standard_name(3)" },
                { "group", "string?", "of the key exchange; nil: OpenSSL does not tell", "RFC 8446 section 4.2.7" },
                { "alpn", "string?", "the protocol that was chosen; nil: none", "RFC 7301" },
                {
                    "name",
                    "string?",
                    "the name that the client has sent (SNI), in lower case; nil: none",
                    "RFC 6066 section 3",
                },
                { "server", "boolean", "whether this end is the server", "" },
                { "resumed", "boolean", "whether a session was resumed", "SSL_session_reused(3)" },
                {
                    "verified",
                    "boolean",
                    [[whether the peer has given a certificate, and it was checked and is good (a client: for the name
                    as well, unless `verify_name` is `false`)]],
                    "SSL_get_verify_result(3)",
                },
                {
                    "unverified",
                    "string?",
                    [[with `verify = "report"`: what is wrong with the peer's certificate, the first thing that was
                    found, or that it has given none; for people. Nil: it is `verified`, or nothing was asked of the
                    peer. Of a resumed session the depth is not told]],
                    "X509_verify_cert_error_string(3)",
                },
                {
                    "errors",
                    "string[]?",
                    [[all that `unverified` has the first of, in the order in which it was found, at most 8; each with
                    its depth]],
                    "X509_STORE_CTX_set_verify_cb(3)",
                },
                { "reason", "string?", "why an error has ended the connection, for people; nil: none has", "" },
                {
                    "peer",
                    "ssocket.tls.certificate?",
                    "the peer's [certificate](#tls-certificate); nil: it has given none",
                    "SSL_get_peer_certificate(3)",
                },
                {
                    "chain",
                    "string[]?",
                    [[the peer's certificate and the others that it has sent, in PEM; after a resumption perhaps the
                    first alone. Only what leads to an anchor was verified; nil with `peer`]],
                    "SSL_get_peer_cert_chain(3)",
                },
            },
        },
        {
            id = "certificate",
            title = "A certificate",
            class = "ssocket.tls.certificate",
            text = "The `peer` of [`tls.info`](#tls-info).",
            fields = {
                { "pem", "string", "the whole of it", "RFC 7468" },
                { "sha256", "string", "the digest of its DER form, 64 hexadecimal digits in lower case", "" },
                { "subject", "string", 'whose it is: `"CN=a.example,O=A"`', "RFC 4514" },
                { "issuer", "string", "who has signed it, likewise", "RFC 4514" },
                {
                    "names",
                    "string[]",
                    [[the host names and addresses among its subject alternative names; may be empty. A name with a
                    NUL or another control byte is left out]],
                    "RFC 5280 section 4.2.1.6",
                },
                {
                    "notbefore",
                    "integer?",
                    [[the first second of its time, in seconds since 1970 (UTC), as os.time counts; nil: it has no
                    time there, which is possible where nobody has verified it]],
                    "RFC 5280 section 4.1.2.5",
                },
                { "notafter", "integer?", "the last one, likewise", "RFC 5280 section 4.1.2.5" },
                { "serial", "string", "its number, hexadecimal in lower case", "RFC 5280 section 4.1.2.2" },
            },
        },
    },
}

-- ---- LuaSocket -------------------------------------------------------------------------------------

local luasocket_module = {
    id = "luasocket",
    title = "LuaSocket's programs",
    class = "ssocket.luasocket",
    module = "ssocket.luasocket",
    static = true,
    prefix = "luasocket.",
    text = [[
        `local socket = require "ssocket.luasocket"`: LuaSocket's module `socket` (and `socket.core`, which is the same
        table) on this one, in Lua, for programs that are written for LuaSocket 3. All names, arguments, results and
        error texts are those of LuaSocket's manual: `tcp`, `tcp4`, `tcp6`, `udp`, `udp4`, `udp6`, `connect`, `bind`,
        `select`, `dns`, `sleep`, `gettime`, `try`, `newtry`, `protect`, `skip`, `sink`, `source`, and the objects with
        their methods. `socket.unix` is in it as `unix`. LuaSocket's modules in Lua (`socket.http`, `socket.ftp`,
        `socket.smtp`, `socket.url`, `ltn12`, `mime`) run on it as they are, where they are installed.

        What is better: in [tasks](#tasks) each call that waits suspends its task alone, `select` has no limit of 1,024
        descriptors, and look-ups let the tasks run.

        What differs: objects are tables. Numbers that come back are integers. An option that is set before there is a
        descriptor is kept. Descriptors are close-on-exec, and in blocking mode where LuaSocket has made them
        non-blocking. SIGPIPE stays as the program has set it. `_SETSIZE` is large, and not enforced. Hosts such as
        `"127.1"`, and those with a NUL, are unknown. A Unix name that begins
        with NUL is one of Linux's abstract namespace, `receive` on a stream may leave bytes in the system that
        LuaSocket has in its buffer, and `setfd` of a descriptor that is no socket of the kind is good for `select`
        alone. `ERROR_BUSY` and `ERROR_CANCELLED` come as texts that LuaSocket does not have.]],
    entries = {
        {
            name = "install",
            call = { "socket = luasocket.install()" },
            brief = "take LuaSocket's place",
            text = [[
                Puts this module in the place of `socket` and `socket.core`, and `ssocket.luasocket.unix` in that of
                `socket.unix`, for all that is required from now on. What has required LuaSocket's own before keeps
                it.]],
            takes = {},
            gives = { { "socket", "ssocket.luasocket", "the module" } },
            raises = "nothing",
            waits = "never",
            by = { "Lua 5.4 Reference Manual, `package.loaded`" },
            example = [[
                require("ssocket.luasocket").install()
                local http = require "socket.http" -- LuaSocket's file, on ssocket]],
        },
    },
}

local unix_object = "with the methods of LuaSocket's manual"

local luasocket_unix = {
    id = "unix",
    title = "LuaSocket's Unix sockets",
    class = "ssocket.luasocket.unix",
    module = "ssocket.luasocket.unix",
    static = true,
    prefix = "unix.",
    text = [[
        `local unix = require "ssocket.luasocket.unix"`: LuaSocket's module `socket.unix`. The table may be called: that
        is `unix.stream`.]],
    entries = {
        {
            name = "stream",
            call = { "object, err = unix.stream()" },
            brief = "a stream Unix socket",
            text = "A `unixstream{master}`, with its descriptor. `unix.tcp` is the same.",
            takes = {},
            gives = { { "object", "table?", unix_object } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
            by = { "unix(7)" },
        },
        {
            name = "tcp",
            call = { "object, err = unix.tcp()" },
            brief = "the old name of `unix.stream`",
            text = "The same function as [`unix.stream`](#unix-stream).",
            takes = {},
            gives = { { "object", "table?", unix_object } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
        },
        {
            name = "dgram",
            call = { "object, err = unix.dgram()" },
            brief = "a datagram Unix socket",
            text = "A `unixdgram{unconnected}`, with its descriptor. `unix.udp` is the same.",
            takes = {},
            gives = { { "object", "table?", unix_object } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
            by = { "unix(7)" },
        },
        {
            name = "udp",
            call = { "object, err = unix.udp()" },
            brief = "the old name of `unix.dgram`",
            text = "The same function as [`unix.dgram`](#unix-dgram).",
            takes = {},
            gives = { { "object", "table?", unix_object } },
            errors = { { "EMFILE", "the process has no descriptor left" } },
            raises = "nothing but Lua's own error when memory is short",
            waits = "never",
        },
    },
}

-- ---- LuaSec ----------------------------------------------------------------------------------------

local luasec_module = {
    id = "luasec",
    title = "LuaSec's module",
    class = "ssocket.luasecmodule",
    module = "ssocket.luasec",
    static = true,
    prefix = "luasec.",
    text = [[
        `local luasec = require "ssocket.luasec"`: the module `ssl` of LuaSec 1.2, in Lua, on `ssocket.tls`. LuaSec's
        manual tells what its calls do; [from-luasec.md](from-luasec.md) tells what is different here. By default
        *nobody is verified*, as in LuaSec. It needs `ssocket.tls`.

        Beside the calls below there are `luasec.config`, the tables of what there is, `luasec._VERSION` and
        `luasec._COPYRIGHT`.]],
    entries = {
        {
            name = "install",
            call = { "luasec = luasec.install()" },
            brief = "take the place of LuaSec",
            text = [[
                Puts the module in the place of `ssl`, `ssl.core`, `ssl.context`, `ssl.config` and `ssl.x509`, for all
                that is required later. LuaSec's own `ssl.https` then runs on it.]],
            takes = {},
            gives = { { "luasec", "ssocket.luasecmodule", "the module" } },
            raises = "nothing",
            waits = "never",
        },
        {
            name = "newcontext",
            call = { "ctx, err = luasec.newcontext(params)" },
            brief = "LuaSec's context",
            text = [[
                A context of a table with LuaSec's parameters, and one of ours: `verify_name = true` has a client with
                `verify = "peer"` verify the name of `conn:sni(name)` as well.]],
            takes = { { name = "params", type = "table", text = "as LuaSec's manual has them" } },
            gives = { { "ctx", "table?", "for `luasec.wrap`" } },
            errors = { { '"error loading certificate (cause)"', "and the other texts of LuaSec" } },
            raises = "a parameter of a wrong type; an array with holes, or with names in it",
            waits = "never; while it reads files no task runs",
            by = { "LuaSec 1.2" },
        },
        {
            name = "wrap",
            call = { "conn, err = luasec.wrap(sock, params)" },
            brief = "LuaSec's connection on a socket",
            text = [[
                A connection that takes the socket over: an object of `ssocket.luasocket`, which has none from then on,
                a stream socket of this module, or an object with `getfd` and `setfd`. `conn:dohandshake()` comes
                next.]],
            takes = {
                { name = "sock", type = "any", text = "a connected socket" },
                { name = "params", type = "table", text = "a context, or the table for one" },
            },
            gives = { { "conn", "table?", "with LuaSec's methods" } },
            errors = { { '"invalid mode"', "the context has none; and what `newcontext` has" } },
            raises = "another thing than a socket; what `newcontext` raises",
            waits = "never",
            by = { "LuaSec 1.2" },
        },
        {
            name = "loadcertificate",
            call = { "cert = luasec.loadcertificate(text)" },
            brief = "LuaSec's certificate",
            text = "The first certificate of a text in PEM, as an object with LuaSec's methods.",
            takes = { { name = "text", type = "string", text = "in PEM" } },
            gives = { { "cert", "table?", "`nil` where there is none" } },
            raises = "another thing than a string",
            waits = "never",
            by = { "RFC 5280 section 4", "RFC 7468" },
        },
    },
}

api.sections = {
    module,
    both,
    tcp,
    udp,
    task,
    group,
    channel,
    loop,
    sig,
    pool_module,
    pool_object,
    tls_module,
    luasocket_module,
    luasocket_unix,
    luasec_module,
}

return api
