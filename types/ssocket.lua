---@meta ssocket
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---@alias ssocket.option
---| "tcp_nodelay" # boolean, tcpsock; send small pieces at once instead of gathering them (Nagle's algorithm off)
---| "tcp_keepalive" # boolean, tcpsock; probe a silent peer (`SO_KEEPALIVE`)
---| "tcp_reuseaddr" # boolean, both; `bind` to an address that an earlier connection still occupies (`SO_REUSEADDR`); set it before `bind`
---| "reuseport" # boolean, both; several sockets of one user share a port, and the system shares out what arrives; set it before `bind`
---| "ipv6_v6only" # boolean, both; an IPv6 socket serves IPv6 alone; set it before `bind`
---| "rcvbuf" # integer, both; receive buffer, bytes; Linux doubles what is set
---| "sndbuf" # integer, both; send buffer, bytes; Linux doubles what is set
---| "linger" # integer or false, both; seconds for which `close` waits until unsent data is delivered; 0 drops the data and resets the connection; `false`, the default, leaves delivery to the system
---| "tcp_keepidle" # integer, tcpsock; seconds of silence before the first keep-alive probe
---| "tcp_keepintvl" # integer, tcpsock; seconds between keep-alive probes
---| "tcp_keepcnt" # integer, tcpsock; unanswered probes after which the connection is given up
---| "tcp_user_timeout" # integer, tcpsock; milliseconds that sent data may stay unacknowledged; 0 is the system's own limit
---| "tcp_cork" # boolean, tcpsock; hold partial segments back until it is switched off (on the BSDs `TCP_NOPUSH`)
---| "tcp_fastopen" # integer, tcpsock; on a listener: how many fast-open requests may be pending
---| "tcp_defer_accept" # integer, tcpsock; on a listener: seconds to wait for first data before `accept` is told of a connection
---| "error" # integer, both; read only: the pending error, an errno(3) number or 0; asking clears it, yet a later read or connect fails
---| "broadcast" # boolean, udpsock; datagrams may go to broadcast addresses
---| "ip_ttl" # integer, both; hops that a packet may make, 1..255; the unicast hop limit on IPv6
---| "ip_tos" # integer, both; type of service of packets, 0..255: DSCP times 4, and ECN, whose two bits Linux keeps to itself on TCP; the traffic class on IPv6
---| "ip_multicast_ttl" # integer, udpsock; hops that a multicast datagram may make, 0..255
---| "ip_multicast_loop" # boolean, udpsock; multicast datagrams reach listeners on this machine too
---| "ip_multicast_if" # string or integer, udpsock; the interface by which multicast datagrams leave: its name, its index or one of its addresses, IPv4 or IPv6; 0, `"0.0.0.0"` or `"::"`: the system's choice. `getopt` on an open socket: the index on IPv6, an address of the interface on IPv4. No such interface: text of `ENODEV`
---| "ip_freebind" # boolean, both; `bind` to an address that this machine does not have, or not yet; set it before `bind`
---| "bindtodevice" # string, both; the name of the one interface that the socket uses, `""`: any. No such interface: text of `ENODEV`; changing it may need a privilege
---| "dontroute" # boolean, both; send to hosts of the networks that this machine is in, and through no gateway
---| "peercred" # table, both; read only: `{ pid =, uid =, gid = }` of the process that called `connect`, `listen` or `pair` at the other end of a Unix stream, as it was then; `pid` is 0 when this process cannot see that one. Without a peer: text of `ENOTCONN`
---| "spin" # integer, both; microseconds, 0 to 1000, default 0: how long a call tries before it sleeps in the kernel, while there are no tasks; needs no descriptor

---The value of SHUT_RD, SHUT_WR or SHUT_RDWR.
---@alias ssocket.shutdown integer

---What `readuntil` returns; each call gives the next record. As it gives `nil` on any error it works in a
---`for` loop, which cannot tell one error from another and does not see `partial`: a last record without its
---delimiter is lost to it. Call it by hand where that matters.
---
---With a `size` a call gives the next piece of a record instead, so that a record of any length is handled in
---little memory. Each piece has `size` bytes, however the bytes arrive; the last one has fewer, perhaps none,
---and comes with `true`. With `inclusive` the delimiter belongs to the last piece, which has at most `size`
---bytes with it; where it would not fit, a piece ends before it, and the next one is the delimiter alone. A
---call without a size in mid-record gives the rest of the record, and `true`. A socket that was closed begins
---a new record; what other reading calls take of a record is not counted.
---@alias ssocket.iterator fun(size?: integer): string?, string|true?, string?

---Returned addresses are tables for IP, and for Unix sockets strings as above (`"unix:/path"`,
---`"unix:@name"`, `"unix:"`). The last is a sender without a name, which cannot be answered: a client that
---wants answers binds to `"unix:"` or a path. `tostring(addr)` is `"127.0.0.1:80"` or `"[::1]:80"`. An IPv4
---peer of a socket that serves both families is shown as IPv4.
---@class ssocket.address
---@field [1] string the host in numeric form
---@field [2] integer the port, 0..65535
---@field family "inet"|"inet6" the address family

---Module functions.
---@class ssocket
---@field _VERSION string name and version of the module
---@field ERROR_TIMEOUT "Operation timed out" the deadline passed, or the kernel gave up (`ETIMEDOUT`)
---@field ERROR_CLOSED "Connection closed" the socket is not open, the peer ended the stream, or the peer is gone (`EPIPE`)
---@field ERROR_REFUSED "Connection refused" nobody listens there (`ECONNREFUSED`)
---@field ERROR_RESET "Connection reset by peer" the peer broke the connection off (`ECONNRESET`)
---@field ERROR_INUSE "Address already in use" the local address is taken (`EADDRINUSE`)
---@field ERROR_UNREACHABLE "Network is unreachable" there is no way to that network (`ENETUNREACH`)
---@field ERROR_NOROUTE "No route to host" there is no way to that host (`EHOSTUNREACH`)
---@field ERROR_NOTFOUND "Name or service not known" the host does not resolve (`EAI_NONAME`)
---@field ERROR_TOOBIG "Message too long" the datagram is too long to be sent (`EMSGSIZE`)
---@field ERROR_TRUNCATED "Datagram truncated" the datagram was longer than the size asked for
---@field ERROR_ACCESS "Permission denied" the system forbids it (`EACCES`)
---@field ERROR_LIMIT "Limit exceeded" more bytes than the `max` of `readuntil` or `readall`
---@field ERROR_BUSY "Another task waits on the socket" a call of the same direction waits on the socket already, see Tasks
---@field ERROR_CANCELLED "Task cancelled" the task has been cancelled, see Tasks
---@field SHUT_RD ssocket.shutdown reading ends
---@field SHUT_WR ssocket.shutdown writing ends: the peer sees the end of the stream
---@field SHUT_RDWR ssocket.shutdown both
---@field coroutine coroutinelib Lua's coroutine library, for coroutines in which a task's calls wait
---@field onerror fun(task: ssocket.task?, message: string)|nil your function that is told of failed tasks
---@field OPT_TCP_NODELAY "tcp_nodelay"
---@field OPT_TCP_KEEPALIVE "tcp_keepalive"
---@field OPT_TCP_REUSEADDR "tcp_reuseaddr"
---@field OPT_REUSEPORT "reuseport"
---@field OPT_IPV6_V6ONLY "ipv6_v6only"
---@field OPT_RCVBUF "rcvbuf"
---@field OPT_SNDBUF "sndbuf"
---@field OPT_LINGER "linger"
---@field OPT_TCP_KEEPIDLE "tcp_keepidle"
---@field OPT_TCP_KEEPINTVL "tcp_keepintvl"
---@field OPT_TCP_KEEPCNT "tcp_keepcnt"
---@field OPT_TCP_USER_TIMEOUT "tcp_user_timeout"
---@field OPT_TCP_CORK "tcp_cork"
---@field OPT_TCP_FASTOPEN "tcp_fastopen"
---@field OPT_TCP_DEFER_ACCEPT "tcp_defer_accept"
---@field OPT_ERROR "error"
---@field OPT_BROADCAST "broadcast"
---@field OPT_IP_TTL "ip_ttl"
---@field OPT_IP_TOS "ip_tos"
---@field OPT_IP_MULTICAST_TTL "ip_multicast_ttl"
---@field OPT_IP_MULTICAST_LOOP "ip_multicast_loop"
---@field OPT_IP_MULTICAST_IF "ip_multicast_if"
---@field OPT_IP_FREEBIND "ip_freebind"
---@field OPT_BINDTODEVICE "bindtodevice"
---@field OPT_DONTROUTE "dontroute"
---@field OPT_PEERCRED "peercred"
---@field OPT_SPIN "spin"
local ssocket = {}

---A stream socket, for TCP or a Unix socket: the address with which it is opened decides.
---@return tcpsock tcpsock # not open yet
function ssocket.tcp() end

---A datagram socket, for UDP or a Unix socket: the address with which it is opened decides.
---@return udpsock udpsock # not open yet
function ssocket.udp() end

---Waits until at least one of the listed sockets can be read or written without waiting, and tells which.
---Tasks and channels may stand beside them. A stream whose input buffer holds bytes is readable, also when it
---is listed by its number; a listening socket is readable when `accept` would not wait; a socket with a
---pending error or hang-up is ready in whichever list it stands. Neither the number nor the value of
---descriptors is limited. The lists must stay as they are until it ends.
---
---A task is ready when it has ended, in either list; its results or its error are left to `task:wait`. So
---`select` waits for the first of several tasks. A channel is readable when `get` would not wait, writable
---when `put` would not, and both when it is closed. What is told of them is true when the call returns: when
---another task has taken the value meanwhile, `select` goes on waiting. It takes nothing itself, and is no
---waiting `get` or `put`: values go to those first, and two tasks that `select` the two sides of a channel
---without capacity do not wake each other. Where only tasks and channels are listed that nothing can make
---ready any more, and there is no `timeout`, the main program's wait raises the deadlock error of `run`.
---@param readfds (tcpsock|udpsock|integer|task|channel)[]|nil sockets and descriptor numbers to read from, tasks, channels to `get` from
---@param writefds (tcpsock|udpsock|integer|task|channel)[]|nil likewise, to write to
---@param timeout? number seconds; negative or `math.huge`: no limit; 0: only look
---@return (tcpsock|udpsock|integer|task|channel)[]? readfds # the elements that are ready, in the order passed; may be empty
---@return (tcpsock|udpsock|integer|task|channel)[]? writefds # likewise
---@return string? err
function ssocket.select(readfds, writefds, timeout) end

---A stream socket with that timeout that is connected to the address: `tcp`, `settimeout` and `connect` in
---one call, in which a failure leaves nothing open.
---
---A number behind an address value, a Unix address or `"host:port"` is the timeout; behind any other string
---it is the port.
---@param host string see Addresses in docs/reference.md
---@param port integer 0..65535
---@param timeout? number seconds; the socket's timeout, for this call and those that follow; negative: no limit
---@return tcpsock? tcpsock # the connection
---@return string? err
---@overload fun(self: ssocket, address: ssocket.address|string, timeout: number): tcpsock?, string?
function ssocket.connect(host, port, timeout) end

---A stream socket that is bound to the address, with `OPT_TCP_REUSEADDR` set, and listens: `tcp`, `setopt`,
---`bind` and `listen` in one call, in which a failure leaves nothing open.
---
---The options: `backlog`, as in `tcpsock:listen`; `reuseport`, `nodelay` and `v6only`, booleans for
---`OPT_REUSEPORT`, `OPT_TCP_NODELAY` and `OPT_IPV6_V6ONLY`.
---
---Where the file of a Unix socket exists already, and a connection to it is refused because its server has
---gone, that file is replaced. A file on which somebody listens, be its queue full, a datagram socket, a
---symbolic link and any other file stay; whoever listens on it accepts a connection that ends at once.
---Servers that begin at the same moment may take a file for dead that another one has bound and does not
---listen on yet.
---@param host string see Addresses in docs/reference.md
---@param port integer 0..65535
---@param options? table see above
---@return tcpsock? tcpsock # the listener; it has no timeout
---@return string? err
---@overload fun(self: ssocket, address: ssocket.address|string, options: table): tcpsock?, string?
function ssocket.listen(host, port, options) end

---Two stream sockets that are connected to each other. They have no names: both addresses are `"unix:"`.
---@return tcpsock? a # one end
---@return tcpsock|string b # the other end, or `err`
function ssocket.pair() end

---A socket that owns an open descriptor from now on, made close-on-exec: one inherited from systemd, inetd or
---a parent, or given away by `detach`. Kind and family are asked of the system. On failure the descriptor
---stays the caller's.
---@param fd integer 0 or more; the descriptor
---@return tcpsock|udpsock|nil sock # a tcpsock for a stream, a udpsock for datagrams
---@return string? err
function ssocket.fromfd(fd) end

---From now on the program takes these signals of the process, instead of what they did: the one change of the
---module to the process as a whole, made only on request, and only to the signals named. Signals tells of the
---result. Handlers are installed with `SA_RESTART` (sigaction(2)); programs that are started inherit nothing
---of it (execve(2)). A process made by fork(2) alone keeps the handler, which drops its signals until `sig`
---is closed there as well.
---@param ... string names of signals, with or without `SIG`, as `TERM` or `SIGHUP`
---@return ssocket.signals? sig # a new object that holds them
---@return string? err
function ssocket.signals(...) end

---Waits. A negative time counts as 0, which returns at once, or where there are tasks lets each of them have
---a turn. A signal does not end it early.
---@param seconds number seconds; fractions count
---@return true? ok # always, outside tasks
---@return string? err
function ssocket.sleep(seconds) end

---The monotonic clock, for measuring and for deadlines of one's own. Only differences mean something.
---@return number seconds # with fractions; never goes back
function ssocket.now() end

---The system's clock, for stamps. Somebody may set it, so that it jumps: `now` is the one to measure with.
---@return number seconds # since 1970-01-01 00:00 UTC, with fractions
function ssocket.time() end

---The name that the administrator gave this machine. No name server need know it.
---@return string? name # the first 255 bytes of it
---@return string? err
function ssocket.hostname() end

---The network interfaces of this machine with their addresses: one entry for each address, and one for an
---interface that has none. `join` takes their names and numbers, and `bind` their addresses.
---@return table[]? list # each has `name`, `index` (the interface's number) and the booleans `up`, `loopback` and `multicast` (it can); those of an address also `family` (`"inet"` or `"inet6"`), `address` (as a numeric host), `netmask`, and `broadcast` where there is one
---@return string? err
function ssocket.interfaces() end

---The text that this module uses for an error number of the system: that of the `ERROR_` constant if there is
---one for it, otherwise that of strerror(3) in the C locale.
---@param n integer 0..2147483647; an error number, see errno(3)
---@return string text # also for a number that the system does not know
function ssocket.strerror(n) end

---The symbol that stands for an error in C: for logs, and to branch on an error that has no constant. It is
---`"ETIMEDOUT"` for `ERROR_TIMEOUT`, of a deadline too; `"EPIPE"` for `ERROR_CLOSED`, `"EAI_NONAME"` for
---`ERROR_NOTFOUND`.
---@param err string an error as a call of this module gave it
---@return string? symbol # of errno(3) or getaddrinfo(3), such as `"EMFILE"` or `"EAI_AGAIN"`; nil: the text is none of the system's
function ssocket.errname(err) end

---All addresses of a host, in the order in which the system wants them tried.
---@param host string a name or a numeric host, as in Addresses; no name has a `/` in it
---@param port? integer|string 0..65535; put into each address; or the name of a service (`"https"`), which is looked up: its port for TCP, or for UDP if it has none for TCP; an unknown one fails with the text of `EAI_SERVICE`
---@param timeout? number seconds; negative: no limit
---@param family? string `"inet"` or `"inet6"`: addresses of that family only; no others are asked for
---@return ssocket.address[]? addresses # one or more; the field `canonical` of the array is the host's canonical name, which the resolver finds behind aliases; of a numeric host it is this host
---@return string? err
---@return boolean? exists # after `ERROR_NOTFOUND`: `true` if there is such a host, but without an address, or without one of `family`; nil if there is no such host, or the system's resolver does not tell
function ssocket.resolve(host, port, timeout, family) end

---The name of an address, and of the service at its port. Whoever has the address decides what its name is:
---before you trust it, `resolve` it and see whether the address is among what comes.
---@param addr ssocket.address|string an address value with a numeric host, as calls give them; or a numeric host
---@param timeout? number seconds; negative: no limit
---@return string? host # the name
---@return string service # the name of the TCP service at this port, or the port in digits; or `err`
function ssocket.nameinfo(addr, timeout) end

---Starts a task that runs `f(...)`. It begins when the caller next waits. It lives until `f` returns or
---raises, whether its handle is kept or not.
---@param f function what the task does
---@param ... any its arguments
---@return ssocket.task task # the handle, see Task objects
function ssocket.spawn(f, ...) end

---Runs the tasks, those too that they start, and returns when all have ended, apart from those in the
---background. A program whose main part waits in some other call need not call it.
---
---It returns nothing; inside of `within`, when the time is over and tasks are left, `nil, ERROR_TIMEOUT`.
function ssocket.run() end

---A group of tasks: `group:spawn` starts them, `group:wait` waits for all, and the first that fails ends the
---others. Nothing that was started in it outlives it unseen.
---@return ssocket.group group # see Groups
function ssocket.group() end

---Calls `f(...)` and returns what it returns. Each call of the module that waits meanwhile, in `f` and in
---what `f` calls, ends `seconds` from now at the latest, whatever the socket's time-out or an argument
---allows: then with `ERROR_TIMEOUT`, as after a time-out of its own, and partial data is handed out and kept
---likewise. `socket.sleep` then says `nil, ERROR_TIMEOUT`, and so does `run`, whose tasks go on when
---something next waits; `loop:step` returns, and `close` with `OPT_LINGER` waits no longer. `f` itself is not
---interrupted: it goes on, and when the time is over its calls act as with a time-out of 0.
---
---Calls nest: the sooner deadline counts. A deadline holds in the coroutines that `f` resumes, while they run
---in it; a coroutine that yields out of `within` is bound again when it goes on inside. Tasks have deadlines
---of their own: those that `f` starts are not bound by this one, and a task is not bound by those of the main
---program.
---
---In the main program, of coroutines that Lua's own library has resumed one in another, the innermost and the
---main one are found; `socket.coroutine` has no such limit. While a deadline may hold, each call that waits
---looks through the functions under way: with some dozens of them that takes a few microseconds, and grows
---with the square of their number.
---@param seconds number 0 or more; seconds; from now; 0: the time is over already; math.huge: no deadline
---@param f function what is to be done in that time
---@param ... any its arguments
---@return any ... # what `f` returned
function ssocket.within(seconds, f, ...) end

---A queue through which tasks, and the main program, hand values to each other. When it is full, who puts
---waits for who gets, and so a fast giver is held back.
---@param capacity? integer 0 or more; values; how many are kept for later; 0: each is handed from hand to hand
---@return ssocket.channel channel # see Channels
function ssocket.channel(capacity) end

---What a program needs that has an event loop already. All loop objects of a Lua state stand for the same
---tasks.
---@return ssocket.loop loop # see The loop
function ssocket.loop() end

---Calls of both kinds of socket.
---@class ssocket.socket
local socket = {}

---Gives the socket its local address, and its descriptor if it has none. A failed `bind` leaves the socket as
---it was. A path is a file that stays after `close`; whoever made it removes it.
---@param host string see Addresses in docs/reference.md
---@param port integer 0..65535
---@return true? ok # bound
---@return string? err
---@overload fun(self: ssocket.socket, address: ssocket.address|string): true?, string?
function socket:bind(host, port) end

---Gives a socket that is not open its descriptor: `fileno` is known, and options take effect at once, those
---that were set before too. `bind`, `connect` and what sends then need an address of that family, or one of
---IPv4 with `"inet6"`. The descriptor stays, whatever fails, until `close` or `detach`; then the socket is as
---a new one. A stream socket that was opened connects in a way that other event loops can use.
---@param family string `"inet"`, `"inet6"`, `"unix"`; what it is for
---@return true? ok # open
---@return string? err
function socket:open(family) end

---Closes the descriptor. The socket is then as a new one, with its timeout and options. Closing a socket that
---is not open is a success.
---@return 1? ok # closed
---@return string? err
function socket:close() end

---Gives the open descriptor to the caller, who closes it from then on. The socket is afterwards as a new one.
---`fromfd` is the way back.
---@return integer? fd # the descriptor
---@return string? err
function socket:detach() end

---The number of the descriptor, which stays the socket's.
---@return integer fd # the descriptor, or -1 when the socket is not open
function socket:fileno() end

---Bounds each later call on this socket as a whole, to about a millisecond. See Deadlines.
---@param seconds number seconds; fractions count; negative (the default) or `math.huge`: no limit; 0: do not wait
function socket:settimeout(seconds) end

---The timeout as it was set.
---@return number seconds # -1 at first
function socket:gettimeout() end

---Sets an option, by name or, for any other option of the system, by its two numbers: an integer as C's
---`int`, a string as the bytes of whatever C type the option has. On a socket that is not open the value is
---noted and applied when the descriptor is made; if the system refuses it then, that call fails. Only its
---type is checked until then. Set options outlive `close`. What an option such as Linux's `IP_RECVERR` or
---`SO_TIMESTAMPING` puts into the error queue is for who reads the descriptor by other means: a call that
---would wait in vain for it drops it.
---@param opt ssocket.option one of the `OPT_` constants; with `level` an integer
---@param value boolean|integer|string of the option's type; with `level` an integer, or a string of up to 65536 bytes
---@return true? ok # set
---@return string? err
---@overload fun(self: ssocket.socket, level: integer, opt: integer, value: integer|string): true?, string?
function socket:setopt(opt, value) end

---Reads an option, by name or by its two numbers. On an open socket the system answers; on one that is not
---open, what was set. With `size` the value by numbers is the bytes that the system gives, which may be
---fewer.
---@param opt ssocket.option one of the `OPT_` constants; with `level` an integer
---@return boolean|integer|string|table|nil value # of the option's type; with `level` an integer, with `size` a string
---@return string? err
---@overload fun(self: ssocket.socket, level: integer, opt: integer, size?: integer): integer|string|nil, string?
function socket:getopt(opt) end

---The local address: after `bind` to port 0 the way to learn the port.
---@return ssocket.address|string|nil addr # see Addresses
---@return string? err
function socket:getsockname() end

---The address to which the socket is connected.
---@return ssocket.address|string|nil addr # see Addresses
---@return string? err
function socket:getpeername() end

---Stream sockets.
---@class tcpsock: ssocket.socket
local tcpsock = {}

---Opens a connection. When a name has several addresses they are tried in the system's order, IPv6 and IPv4
---in turn, the next one when the last has failed or has not answered for 250 ms; the first to answer is
---taken, and if none does the most telling error is the result. After a failure the socket can connect again.
---
---A socket that is bound connects from its local address. It has one descriptor, on which addresses can only
---be tried one after another: each one for 250 ms; then, if none was reached and some were silent, once more,
---where the time to the deadline is shared out over the addresses that are left, at least 2 s for each (or
---all that is left). Without a deadline the second attempt at a silent address ends when the system gives it
---up, after minutes. A port that the system chose in `bind` may be another one after an attempt that failed
---or was given up.
---
---A connection to itself, which TCP makes when nobody listens on a port of this machine and the system
---chooses that very port for the socket, is closed and reported as refused, unless the program has bound the
---socket to that port.
---
---A connection that is not made within the deadline is given up. With a timeout of 0 only a peer on the same
---machine can be reached, and only by a number or path: a name, `localhost` too, is then never found in time.
---Signals are not noticed while a connect without a deadline waits for a listener of this machine
---(`127.0.0.1`, `::1`) whose queue is full.
---
---*On a socket that was opened* a connect goes on when its deadline passes or its task is cancelled, and the
---descriptor stays whatever becomes of it. `select` calls the socket writable when the attempt has ended; the
---same call again waits on for it, and gives its outcome, once. Until then another address is refused
---(`EALREADY`). So with a timeout of 0 a connect can be started, waited for elsewhere, and finished. A host
---may be a name if it has exactly one address of the socket's family; it is looked up in each call. Meanwhile
---`read` and `write` wait for the connection within their deadlines, and `getpeername` says `ENOTCONN`;
---`shutdown` breaks the attempt off, `close` ends it, and `detach` hands it out with the descriptor. Where a
---read has told of the failure already, connect says `ECONNABORTED`. At a Unix listener whose queue is full
---nothing goes on: each call tries anew.
---@param host string see Addresses in docs/reference.md
---@param port integer 0..65535
---@return true? ok # connected
---@return string? err
---@overload fun(self: tcpsock, address: ssocket.address|string): true?, string?
function tcpsock:connect(host, port) end

---Makes a bound socket one that takes connections.
---@param backlog? integer connections that may wait for `accept`; a negative number counts as 0
---@return true? ok # listening
---@return string? err
function tcpsock:listen(backlog) end

---Takes the next connection. Its socket has no timeout and nothing pending; options are those that the system
---hands down from the listener. Connections that break off while they wait in the queue, where the system
---says so, are passed over.
---@return tcpsock? tcpsock # the connection
---@return string? err
function tcpsock:accept() end

---Sends all of the data. An array is sent in order as one, gathered by the system and not copied together
---first. Empty data is 0 bytes sent.
---
---With `i` or `j` only the bytes from `i` to `j` of a string are sent, counted as string.sub does: from 1, or
---with a negative number from the end. No copy of that part is made, so a long string can be sent in pieces
---at no further cost. (A call that is the last argument passes all of its results: write
---`tcpsock:write((text:gsub("\n", "\r\n")))`, with two pairs of parentheses.)
---@param data string|number|(string|number)[] bytes; a string, or an array of strings and numbers
---@param i? integer position of the first byte to send; of a string only
---@param j? integer position of the last byte to send; of a string only
---@return integer? bytes # the length of what was to be sent
---@return string? err
---@return integer? sent # with an error: bytes of it that the system took
function tcpsock:write(data, i, j) end

---Exactly `size` bytes, waiting for all of them. `read(0)` is `""` on an open socket.
---@param size integer 0 or more; bytes; how many
---@return string? data # of length `size`
---@return string? err
---@return string? partial # with an error: the bytes that did arrive
function tcpsock:read(size) end

---A function that gives, with each call, the bytes up to the next occurrence of `pattern`, wherever it
---stands, also across the pieces in which data arrives. Nothing is read before the first call. Iterators and
---the other reading calls share one buffer and may be mixed. An iterator keeps its socket alive; one of a
---closed socket gives `nil, ERROR_CLOSED, ""`.
---@param pattern string 1 byte or more; the delimiter, plain text and no Lua pattern
---@param inclusive? boolean whether results end with the delimiter
---@param max? integer 1 or more; bytes; longest run of bytes before a delimiter; set it where the peer is not trusted
---@return ssocket.iterator iterator # see Iterators
function tcpsock:readuntil(pattern, inclusive, max) end

---The next line, without the LF that ends it and without a CR before that. Bytes at the end of the stream
---that no LF ends are a line too; after it comes `nil, ERROR_CLOSED, ""`. A CR elsewhere, also at the very
---end of the stream, is data.
---@param max? integer 1 or more; bytes; longest line that is accepted, its LF or CR LF not counted
---@return string? line # `""` for an empty line
---@return string? err
---@return string? partial # with an error: the bytes of a line that is not complete
function tcpsock:readline(max) end

---The bytes that are there, at most `max`; when there are none it waits for the first.
---@param max integer 1 or more; bytes; at most so many
---@return string? data # 1 to `max` bytes
---@return string? err
function tcpsock:readsome(max) end

---Everything until the peer ends the stream, whose end is the success. At the end of the stream it gives
---`""`, each time.
---@param max? integer 0 or more; bytes; most that is accepted; set it where the peer is not trusted
---@return string? data # all of it
---@return string? err
---@return string? partial # with an error: what did arrive
function tcpsock:readall(max) end

---What `readsome(max)` would give, without taking it: the next call that reads begins with these bytes. So a
---server can tell one protocol from another by the first byte. At most 64 KiB are given. What has been seen
---is in the module's buffer: `pending` counts it, and `detach` refuses to leave it behind.
---@param max? integer 1 or more; bytes; at most so many; above 65536 as 65536
---@return string? data # 1 to `max` bytes
---@return string? err
function tcpsock:peek(max) end

---How many bytes wait in the module's own buffer, having been received and not yet read. More may wait in the
---system.
---@return integer bytes # 0 also when the socket is not open
function tcpsock:pending() end

---Sends all of the data, as `write` does, and an open descriptor beside its first byte. The process at the
---other end gets a descriptor of its own for the same open file or connection. A socket of this module is
---handed over: the module's time-outs are taken off its descriptor as by `detach`, and as soon as the
---descriptor has gone the socket here is as a new one; calls that wait on it fail with `ERROR_CLOSED`. A
---number stays open and the program's, and has to stay open until the call returns. Only over stream Unix
---sockets.
---@param data string|number bytes; one byte or more, for example what the descriptor is
---@param fd tcpsock|udpsock|integer 0 or more; a descriptor's number, or another socket, which is handed over
---@return true? ok # all of the data is sent, and the descriptor
---@return string? err
---@return integer? sent # with an error: bytes of the data that the system took
function tcpsock:sendfd(data, fd) end

---Bytes, at most `max` and at least one, and the descriptor that came with one of them, or `nil` when none
---did. The descriptor is close-on-exec and the program's to close; `fromfd` makes a socket of it. Of several
---that came together the first is given and the others are closed. Bytes that were sent before, without a
---descriptor, may come with it; what is behind it comes with later calls.
---
---Every other reading call closes descriptors that come, and reads ahead: what it has put into the input
---buffer (`pending`) `recvfd` gives first, without a descriptor. So where descriptors come, read with
---`recvfd` alone, which takes no byte more than `max` from the system, or let the sender wait for a word
---before it sends one. Only over stream Unix sockets.
---@param max integer 1 or more; bytes; at most so many
---@return string? data # 1 to `max` bytes; a call gives no more than 64 KiB
---@return integer? fd # the descriptor; with an error in the first place: the error
---@return string? err # with data: why the descriptor that came with it is not there (`EMFILE`)
function tcpsock:recvfd(max) end

---Ends one direction of the connection, or both, and leaves the descriptor open. After `SHUT_WR` the peer
---reads to the end of the stream while this side can still read.
---@param how ssocket.shutdown `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`
---@return true? ok # done
---@return string? err
function tcpsock:shutdown(how) end

---Ends writing, reads and drops what comes until the peer has ended its side too and has confirmed all that
---was written, then closes. `close` alone would reset the connection when anything is unread, and may cost
---the peer what it had not read yet. Set a timeout: a peer that neither sends nor ends is waited for so long.
---`OPT_LINGER` does not matter here.
---
---The socket is closed whatever comes of it, and is then as a new one. It stays as it is with `ERROR_BUSY`,
---while another call reads or writes, and where a call that has to wait raises.
---@param max? integer 0 or more; bytes; most that is dropped, what waits in the buffer included
---@return true? ok # the peer has all that was written, and has ended its side; closed
---@return string? err
function tcpsock:finish(max) end

---Datagram sockets.
---@class udpsock: ssocket.socket
local udpsock = {}

---Sets the peer: `send` goes there, `recv` hears it alone, and its refusals are reported. It may be called
---again at any time to change the peer; without an address it dissolves it, and the local port stays what it
---was, though datagrams that arrive in that moment may be refused. No packet is sent.
---@return true? ok # done
---@return string? err
---@overload fun(self: udpsock, host: string, port: integer): true?, string?
---@overload fun(self: udpsock, address: ssocket.address|string): true?, string?
function udpsock:connect() end

---Sends one datagram to the peer. With an address it is `sendto`.
---@param data string|number 0 or more; bytes; the datagram
---@return true? ok # handed to the system
---@return string? err
---@overload fun(self: udpsock, data: string|number, host: string, port: integer): true?, string?
---@overload fun(self: udpsock, data: string|number, address: ssocket.address|string): true?, string?
function udpsock:send(data) end

---Sends one datagram to an address. A socket that is not open is opened in the address's family.
---@param data string|number 0 or more; bytes; the datagram
---@param host string see Addresses in docs/reference.md
---@param port integer 0..65535
---@return true? ok # handed to the system
---@return string? err
---@overload fun(self: udpsock, data: string|number, address: ssocket.address|string): true?, string?
function udpsock:sendto(data, host, port) end

---Receives one datagram. One that is longer than `size` gives its first `size` bytes and, in the place of
---`err`, `ERROR_TRUNCATED`.
---@param size? integer 1 or more; bytes; most of a datagram that is wanted
---@return string? data # the datagram, which may be `""`
---@return string? err
function udpsock:recv(size) end

---As `recv`, and tells who sent it.
---@param size? integer 1 or more; bytes; most of a datagram that is wanted
---@return string? data # the datagram, which may be `""`
---@return ssocket.address|string|nil addr # the sender, see Addresses
---@return string? err
function udpsock:recvfrom(size) end

---Receives up to `count` datagrams in as few system calls as the system allows: it waits for the first and
---then takes those that are there. More may be asked for; a call takes at most 1024 datagrams and about 1 MiB
---of data, and the rest stays for the next.
---@param count integer 1 or more; most datagrams wanted
---@param size integer 1 or more; bytes; most of each datagram that is wanted
---@return string[]? datas # one datagram or more
---@return (ssocket.address|string)[]|nil addrs # their senders, in the same order; datagrams in a row from one sender share one value
---@return string? err
function udpsock:recvmany(count, size) end

---Sends the datagrams of an array in order, to the address or else to the peer, in as few system calls as the
---system allows. An empty array is 0 sent.
---@param array (string|number)[] the datagrams
---@return integer? count # how many were sent, which is all of them
---@return string? err
---@return integer? sent # with an error: how many were sent before it
---@overload fun(self: udpsock, array: (string|number)[], host: string, port: integer): integer?, string?, integer?
---@overload fun(self: udpsock, array: (string|number)[], address: ssocket.address|string): integer?, string?, integer?
function udpsock:sendmany(array) end

---Joins a multicast group: datagrams that are sent to it arrive, on the port to which the socket is bound. A
---socket that is not open is opened in the group's family. With `source` those of this sender alone do; each
---further `join` adds one. Where the socket has joined the whole group, a source narrows that.
---@param group string a numeric IPv4 or IPv6 multicast address
---@param interface? string|integer name (`"eth0"`) or index of a network interface, or one of its addresses, IPv4 or IPv6
---@param source? string the numeric address of one sender, to hear it alone (source-specific multicast)
---@return true? ok # done
---@return string? err
function udpsock:join(group, interface, source) end

---Leaves a multicast group, or one source of it.
---@param group string a numeric IPv4 or IPv6 multicast address
---@param interface? string|integer name (`"eth0"`) or index of a network interface, or one of its addresses, IPv4 or IPv6
---@param source? string the numeric address of one sender, to hear it alone (source-specific multicast)
---@return true? ok # done
---@return string? err
function udpsock:leave(group, interface, source) end

---Task objects.
---@class ssocket.task
local task = {}

---Waits until the task has ended and gives what it returned. Any number of tasks may wait for one, and any
---number of times. When the wait itself fails, the task goes on. In Lua 5.1 and LuaJIT a task that had to
---wait here gets at most 247 results; for more it gets `nil` and a text, and all of them when it calls `wait`
---again.
---@param timeout? number seconds; negative: no limit; 0: do not wait
---@return true? ok # it has returned, and its results follow
---@return any ... # its results; where it has failed, the error value and a text, message (of an object: what its `__tostring` says) and traceback; else `err` alone
function task:wait(timeout) end

---Asks the task to end. The call it waits in fails with `ERROR_CANCELLED`, and so does each later call in it
---that would have to wait. The task ends when it returns or raises; `wait` then gives what it returned, or
---`nil, ERROR_CANCELLED` if it raised. One that has not begun yet does begin. Tasks for which it waits are
---not cancelled with it.
---@return boolean ok # whether it had still to end
function task:cancel() end

---Puts the task in the background, for good: `socket.run` does not wait for it, and its time or descriptor
---keeps no wait of the main program from being a deadlock, unless somebody waits in `task:wait` for it. This
---is for what serves the other tasks as long as there are any: a pool's reaper, statistics, a watcher. It
---runs as every other task does while the main program waits. When `run` returns, it stays where it is, and
---goes on in the next `run` or wait; at the end of the Lua state it ends there. Tasks that it starts are not
---in the background. One that has ended stays as it is.
---@return ssocket.task task # the same task
function task:background() end

---What the task is doing.
---@return "ready"|"waiting"|"done"|"failed" status # it runs or is about to; a call in it waits; it has returned; it has raised an error
function task:status() end

---Groups.
---@class ssocket.group
local group = {}

---Starts a task as `socket.spawn` does, in the group. After a failure in the group, and after `cancel`, the
---task is cancelled already: it begins, and calls in it that would have to wait fail with `ERROR_CANCELLED`.
---@param f function what the task does
---@param ... any its arguments
---@return ssocket.task task # the handle, see Task objects
function group:spawn(f, ...) end

---Waits until all tasks of the group have ended, also those that a failure has cancelled, and tells how. Any
---number of tasks may wait, any number of times: the outcome is the same each time, until another task is
---started in the group. When the wait itself fails, the tasks go on. A group without tasks has ended.
---@param timeout? number seconds; negative: no limit; 0: do not wait
---@return true? ok # all have returned, those too that were cancelled
---@return any err # the error of the first task that has failed, as it was raised
---@return string? traceback # a text: its message (of an object: what its `__tostring` says) and its traceback
function group:wait(timeout) end

---Cancels each task of the group, as `task:cancel` does, also one that makes this call, and those that are
---started in it later.
---@return boolean ok # whether any had still to end
function group:cancel() end

---Channels.
---@class ssocket.channel
local channel = {}

---Gives a value: to the task that has waited longest in `get`, or to be kept for the next one.
---@param value any anything but nil
---@param timeout? number seconds; negative: no limit; 0: do not wait
---@return true? ok # taken, or kept
---@return string? err
function channel:put(value, timeout) end

---Takes the oldest value.
---@param timeout? number seconds; negative: no limit; 0: do not wait
---@return any value # the value, which is never nil
---@return string? err
function channel:get(timeout) end

---A function that takes the oldest value with each call, as `get` does without a limit. A `for` loop with it
---goes on until the channel is closed and empty, and hands out `false` like every other value. In a cancelled
---task it ends as soon as it would have to wait, and the next call that waits says why. Any number of
---iterators may take from one channel. Each keeps its channel alive. In tasks on Lua 5.1 call it by hand:
---`for` cannot wait there.
---@return fun(): any, string? next_value # gives a value, or `nil` and one of the errors of `get`
function channel:values() end

---Ends the channel. What was put can still be taken. Who waits in `put` or `get` is woken with
---`ERROR_CLOSED`. Closing it again changes nothing.
---@return 1 ok # always
function channel:close() end

---The loop.
---@class ssocket.loop
local loop = {}

---A descriptor that is readable when a task can go on, not for its time. It stays the module's.
---@return integer? fd # the descriptor; -1 where the system has only poll(2)
---@return string? err
function loop:pollfd() end

---What to wait for on the descriptor.
---@return "r" events # that it is readable
function loop:events() end

---For how long the descriptor may be waited for.
---@return number? seconds # until a task's time is over, or a failed one is looked for; 0: now; nil: no limit
function loop:timeout() end

---Lets each task go on that can, once. It tells failures as well, also when it returns false: go on until
---`timeout` returns nil to hear of the last. Tasks in the background have their turn, but it does not wait
---when there are no others.
---@param timeout? number seconds; how long to wait when none can; negative: no limit; 0: do not wait
---@return boolean tasks_left # whether there are tasks left that are not in the background
function loop:step(timeout) end

---Signals that are taken.
---@class ssocket.signals
local signals = {}

---Waits for a signal. Kinds are given in the order in which they came. Signals of one kind that come before
---the first of them is given are given once, as signal(7) has it for those that wait.
---@param timeout? number seconds; negative: no limit; 0: only look
---@return string? name # without `SIG`: `"TERM"`
---@return string? err
function signals:get(timeout) end

---A descriptor that is readable when a signal has come, for other event loops. Do not read from it.
---@return integer fd # -1: closed
function signals:fileno() end

---Ends it. Calls that wait for it end: `get` with `ERROR_CLOSED`, `select` with the text of `EBADF`. What has
---come and was not given is dropped.
---@return true # always, also when it is closed already
function signals:close() end

return ssocket
