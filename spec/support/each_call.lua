-- Runs small programs that use the whole module again and again: each time another one of the module's system calls
-- fails, once, with one of the errors that its manual page names. Run by script/each-call-fails, with the shim
-- preloaded and, where it is known, a list of the places where the module calls: lines "NAME WHERE FUNCTION".
--
-- Each run is a process of its own. It ends well if the call was met and failed; if each call of the module's
-- succeeded, or told the error (once, since the system fails once) and then succeeded when it was made again; if as
-- many descriptors are open at the end as when nothing fails; and in time. Each place must be met, or stands in UNMET.

local sys = require "testsys"
local sky = require "badweather"

local E = {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, EAGAIN = 11, ENOMEM = 12, EACCES = 13,
    ENODEV = 19, EINVAL = 22,
    ENFILE = 23, EMFILE = 24, ENOSPC = 28, EPIPE = 32, EPROTO = 71, ENOSYS = 38, EMSGSIZE = 90, ENOPROTOOPT = 92,
    EPROTONOSUPPORT = 93, EAFNOSUPPORT = 97, EADDRINUSE = 98, EADDRNOTAVAIL = 99, ENETDOWN = 100,
    ENETUNREACH = 101, ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, ENOTCONN = 107, ETIMEDOUT = 110,
    ECONNREFUSED = 111, EHOSTUNREACH = 113, EINPROGRESS = 115, EAI_AGAIN = -3, EAI_FAIL = -4, EAI_NONAME = -2,
    EAI_MEMORY = -10, EAI_SYSTEM = -11,
}

-- What may come of each function, by its manual page (ERRORS), less what needs other arguments than ours.
local ERRORS = {
    accept4 = "EINTR EAGAIN ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPROTO EPERM", -- accept(2)
    bind = "EACCES EADDRINUSE EADDRNOTAVAIL ENOMEM", -- bind(2)
    close = "EINTR EIO", -- close(2)
    connect = "EACCES EADDRINUSE EADDRNOTAVAIL EAGAIN ECONNREFUSED EHOSTUNREACH EINTR ENETUNREACH ETIMEDOUT",
    epoll_create1 = "EMFILE ENFILE ENOMEM", -- epoll_create(2)
    epoll_ctl = "ENOMEM ENOSPC", -- epoll_ctl(2)
    epoll_pwait2 = "EINTR ENOSYS", -- epoll_wait(2); ENOSYS before Linux 5.11
    epoll_wait = "EINTR", -- epoll_wait(2)
    eventfd = "EMFILE ENFILE ENOMEM", -- eventfd(2)
    read = "EAGAIN EINTR", -- eventfd(2), read(2)
    getaddrinfo = "EAI_AGAIN EAI_FAIL EAI_NONAME EAI_MEMORY EAI_SYSTEM", -- getaddrinfo(3)
    getpeername = "ENOBUFS ENOTCONN", -- getpeername(2)
    getsockname = "ENOBUFS", -- getsockname(2)
    getsockopt = "ENOPROTOOPT", -- getsockopt(2)
    if_indextoname = "ENXIO", -- if_indextoname(3)
    if_nametoindex = "ENODEV", -- if_nametoindex(3)
    listen = "EADDRINUSE", -- listen(2)
    madvise = "EINVAL EAGAIN", -- madvise(2)
    mmap = "ENOMEM", -- mmap(2)
    poll = "EINTR ENOMEM", -- poll(2)
    ppoll = "EINTR ENOMEM", -- poll(2)
    pthread_create = "EAGAIN", -- pthread_create(3)
    recv = "EAGAIN EINTR ECONNREFUSED ECONNRESET ENOMEM ETIMEDOUT", -- recv(2), tcp(7)
    recvfrom = "EAGAIN EINTR ECONNREFUSED ENOMEM", -- recv(2)
    recvmmsg = "EAGAIN EINTR ECONNREFUSED ENOMEM", -- recvmmsg(2)
    recvmsg = "EAGAIN EINTR ECONNRESET ENOMEM", -- recv(2)
    send = "EAGAIN EINTR ECONNREFUSED ECONNRESET ENOBUFS ENOMEM EPIPE EHOSTUNREACH", -- send(2)
    sendmmsg = "EAGAIN EINTR EACCES ECONNREFUSED EIO EINVAL EMSGSIZE ENOBUFS ENOMEM", -- sendmmsg(2), udp(7)
    sendmsg = "EAGAIN EINTR ECONNRESET ENOBUFS ENOMEM EPIPE", -- send(2)
    sendto = "EAGAIN EINTR EACCES ECONNREFUSED EMSGSIZE ENOBUFS ENOMEM ENETUNREACH", -- send(2), ip(7)
    setsockopt = "ENOPROTOOPT ENOMEM ENOBUFS", -- setsockopt(2) and POSIX
    shutdown = "ENOTCONN ENOBUFS", -- shutdown(2) and POSIX
    socket = "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM", -- socket(2)
    socketpair = "EMFILE ENFILE EAFNOSUPPORT", -- socketpair(2)
}

-- Functions that can't fail with the module's arguments.
local CERTAIN = {
    eventfd_write = "one, to a descriptor of which nobody else knows",
    fcntl = "F_SETFD of an open descriptor",
    ioctl = "FIONBIO of an open socket",
    munmap = "what mmap has given",
    write = "one, to an eventfd of which nobody else knows",
}

-- Places that no program here meets: how many in that function, and why not.
local A_SECOND, AT_THE_END = "only after another call has failed", "when the Lua state ends"
local REFUSED = "when a newer call is refused: test/unit/test_refused.c"
local UNMET = {
    ["close os_lookup_drop"] = { 3, "when the Lua state ends, and in a child process" },
    ["close os_lookup_start"] = { 2, A_SECOND },
    ["close open_outer"] = { 3, A_SECOND },
    ["close os_poller_close.part.0"] = { 4, AT_THE_END },
    ["close os_poller_wait"] = { 1, A_SECOND },
    ["getaddrinfo os_ask"] = { 2, "services without TCP, hosts without an address of the family: spec/names_spec.lua" },
    ["if_nametoindex os_iface_index"] = { 1, "its failure is a name that is not found: spec/address_spec.lua" },
    ["getpeername os_is_delivered"] = { 1, "a reset while a socket lingers: spec/task_linger_spec.lua" },
    ["getsockname has_no_port"] = { 1, A_SECOND },
    ["poll os_poll"] = { 1, REFUSED },
    ["recv receive_is_refused"] = { 1, REFUSED },
    ["recv os_next_length"] = { 1, REFUSED },
    ["recvmsg os_drop_report"] = { 1, "after an error event alone; its outcome does not matter" },
    ["recvmsg os_recv_many"] = { 1, REFUSED },
    ["recvmsg os_recvfrom"] = { 2, REFUSED },
    ["recvmmsg batch_is_refused"] = { 1, REFUSED },
    ["sendmmsg batch_is_refused"] = { 1, REFUSED },
    ["sendmsg os_send_many"] = { 2, REFUSED },
    ["setsockopt os_opt_set_raw"] = { 1, REFUSED },
    ["socket os_socket"] = { 1, REFUSED },
    ["socketpair os_socketpair"] = { 1, REFUSED },
    ["getsockopt os_connected"] = { 1, "the shim lets SO_ERROR pass: on an open socket it can't fail" },
}

local socket, code, told

local function texts_of(number)
    if number == E.EPIPE then
        return socket.ERROR_CLOSED
    elseif number == E.ETIMEDOUT then
        return socket.ERROR_TIMEOUT
    elseif number == E.EHOSTUNREACH then
        return socket.ERROR_NOROUTE
    elseif number == E.EAI_NONAME then
        return socket.ERROR_NOTFOUND
    elseif number == E.EAI_SYSTEM then
        return sys.strerror(E.EMFILE)
    elseif number < 0 then
        return ({ [E.EAI_AGAIN] = "Temporary failure in name resolution", [E.EAI_MEMORY] = "Memory allocation failure",
            [E.EAI_FAIL] = "Non-recoverable failure in name resolution" })[number]
    end
    return sys.strerror(number)
end

local function text_of(a, b, c)
    return type(b) == "string" and b or type(c) == "string" and c or tostring(a)
end

-- From a socket that has no port yet EAGAIN means that none is free (os_unsent).
local function says_no_port(name, err)
    return code == E.EAGAIN and name == "sendto" and err:find(sys.strerror(E.EADDRNOTAVAIL), 1, true)
end

-- Those that look wrong only because the error is not told by the call that met it.
local function check_told(name, err)
    if told then
        error(("%s fails again: %s"):format(name, err), 0)
    elseif sky.fired() == 0 then
        error(("%s fails by itself: %s"):format(name, err), 0)
    elseif not err:find(texts_of(code), 1, true) and not says_no_port(name, err) then
        error(("%s says '%s', not '%s'"):format(name, err, texts_of(code)), 0)
    end
    told = true
end

local function outcome(name, again, ok, a, b, c)
    if ok and a ~= nil and a ~= false then
        return a, b, c
    end
    check_told(name, ok and text_of(a, b, c) or tostring(a))
    return again()
end

-- f(...), which must succeed: at once, or after it has told the error.
local function try(name, f, ...)
    local args, n = { ... }, select("#", ...)
    local unpack = table.unpack or _G.unpack
    local function call()
        return outcome(name, call, pcall(f, unpack(args, 1, n)))
    end
    return call()
end

local function must(s, name, ...)
    return try(name, s[name], s, ...)
end

local function expect(expected, got)
    if expected ~= got then
        error(("%s instead of %s"):format(tostring(got), tostring(expected)), 2)
    end
end

-- close tells of an error and has closed all the same.
local function close(...)
    for _, s in ipairs { ... } do
        must(s, "close")
        expect(-1, s:fileno())
    end
end

local function timed(...)
    for _, s in ipairs { ... } do
        s:settimeout(3)
    end
    return ...
end

-- Whatever s.write told, nothing of it was sent, or `sent` says how much.
local function write(s, data)
    local done, err, sent = s:write(data)
    if not done then
        check_told("write", err)
        done = s:write(data:sub(sent + 1)) + sent
    end
    expect(#data, done)
end

-- What a read has not given is in `partial`; ours are never cut.
local function read(s, n)
    local data, err, partial = s:read(n)
    if not data then
        check_told("read", err)
        data = partial .. assert(s:read(n - #partial))
    end
    return data
end

-- Where poll fails, detach does not know whether a datagram waits that nobody else could take apart, and keeps it.
local function detach(s)
    local fd, err = s:detach()
    if not fd and err == "Unread bytes are pending" and sky.fired() > 0 and not told then
        told = true
        return detach(s)
    end
    return assert(fd, err)
end

local programs = {}

function programs.stream_pair()
    local a, b = try("pair", socket.pair)
    timed(a, b)
    write(a, "one\ntwo\n")
    local next_line = b:readuntil "\n"
    expect("o", (try("readuntil", next_line, 1)))
    expect("ne", (try("readuntil", next_line)))
    expect("two\n", read(b, 4))
    expect(6, must(a, "write", { "ab", "cd", "ef" }))
    expect("abcdef", read(b, 6))
    write(a, ("x"):rep(100000))
    expect(100000, #read(b, 100000))
    write(a, "rest")
    must(a, "shutdown", socket.SHUT_WR)
    expect("rest", read(b, 4))
    close(a, b)
end

function programs.tcp()
    local listener, client = timed(socket.tcp(), socket.tcp())
    must(listener, "setopt", socket.OPT_TCP_REUSEADDR, true)
    must(client, "setopt", socket.OPT_TCP_NODELAY, true)
    must(listener, "bind", "127.0.0.1", 0)
    must(listener, "listen")
    local addr = must(listener, "getsockname")
    must(client, "connect", addr)
    local accepted = timed(must(listener, "accept"))
    must(client, "getpeername")
    must(client, "getopt", socket.OPT_TCP_NODELAY)
    must(client, "setopt", socket.OPT_LINGER, 0)
    expect(0, must(client, "getopt", socket.OPT_LINGER))
    must(client, "getopt", socket.OPT_RCVBUF)
    must(client, "getopt", sys.SOL_SOCKET, sys.SO_KEEPALIVE)
    local bytes = must(client, "getopt", sys.SOL_SOCKET, sys.SO_KEEPALIVE, 4)
    must(client, "setopt", sys.SOL_SOCKET, sys.SO_KEEPALIVE, bytes)
    write(client, "hello")
    expect("hello", read(accepted, 5))
    accepted:settimeout(0.02)
    local _, err = accepted:read(1)
    if err ~= socket.ERROR_TIMEOUT then
        check_told("read", err)
    end
    local bound = timed(socket.tcp())
    must(bound, "bind", "127.0.0.1", 0)
    must(bound, "connect", addr)
    local opened = timed(socket.tcp())
    must(opened, "open", "inet")
    must(opened, "connect", addr)
    close(timed(must(listener, "accept")), timed(must(listener, "accept")), opened, bound, accepted, client, listener)
end

function programs.short()
    local listener = timed(try("listen", socket.listen, "127.0.0.1:0", { backlog = 5, nodelay = true }))
    local client = try("connect", socket.connect, must(listener, "getsockname"), 5)
    close(timed(must(listener, "accept")), client, listener)
    listener = timed(try("listen", socket.listen, "localhost", 0))
    client = try("connect", socket.connect, "localhost", must(listener, "getsockname")[2], 5)
    close(timed(must(listener, "accept")), client, listener)
end

function programs.names()
    local listener, client = timed(socket.tcp(), socket.tcp())
    must(listener, "bind", "*", 0)
    must(listener, "listen", 5)
    local port = must(listener, "getsockname")[2]
    try("resolve", socket.resolve, "localhost", 80, 3)
    try("resolve", socket.resolve, "localhost", 80)
    try("resolve", socket.resolve, "localhost", 80, 3, "inet")
    try("interfaces", socket.interfaces)
    try("hostname", socket.hostname)
    must(client, "connect", "localhost", port)
    close(timed(must(listener, "accept")), client, listener)
end

function programs.signals()
    local sig = try("signals", socket.signals, "USR1")
    sys.kill(sys.getpid(), sys.SIGUSR1)
    expect("USR1", (try("get", sig.get, sig, 5)))
    sig:close()
end

function programs.passing()
    local a, b = try("pair", socket.pair)
    timed(a, b)
    local passed = timed(socket.udp())
    must(passed, "bind", "127.0.0.1", 0)
    must(a, "sendfd", "data", passed)
    local data, fd = must(b, "recvfd", 10)
    expect("data", data)
    close(try("fromfd", socket.fromfd, fd), a, b)
end

function programs.unix()
    local listener, client = timed(socket.tcp(), socket.tcp())
    local name = "unix:@each_call" .. sys.getpid()
    must(listener, "bind", name)
    must(listener, "listen")
    must(client, "connect", name)
    local accepted = timed(must(listener, "accept"))
    write(accepted, "unix")
    expect("unix", read(client, 4))
    close(accepted, client, listener)
    local u, v = timed(socket.udp(), socket.udp())
    must(u, "bind", name .. "u")
    must(v, "bind", "unix:")
    must(v, "sendto", "dgram", name .. "u")
    local data, from = try("recvfrom", u.recvfrom, u, 100000)
    expect("dgram", data)
    must(u, "sendto", "back", from)
    expect("back", must(v, "recv"))
    close(u, v)
end

function programs.datagrams()
    local u, v = timed(socket.udp(), socket.udp())
    must(u, "bind", "127.0.0.1", 0)
    local addr = must(u, "getsockname")
    must(v, "sendto", "one", addr)
    expect("one", must(u, "recv"))
    must(v, "connect", addr)
    must(v, "send", "two")
    expect("two", must(u, "recvfrom"))
    must(v, "sendmany", { "aa", "bb", "cc" })
    local got = 0
    while got < 3 do
        got = got + #must(u, "recvmany", 3, 100)
    end
    must(v, "sendmany", { "dd", "ee" })
    local given = u:detach() -- not while the system holds a run of them, which nobody else could take apart
    u = given and timed(try("fromfd", socket.fromfd, given)) or u
    expect("dd", must(u, "recv"))
    expect("ee", must(u, "recv"))
    must(v, "connect")
    must(u, "setopt", socket.OPT_BROADCAST, true)
    must(u, "join", "239.255.77.9", "lo")
    must(u, "leave", "239.255.77.9", "lo")
    must(u, "join", "239.255.77.9", "lo", "127.0.0.1")
    must(u, "leave", "239.255.77.9", "lo", "127.0.0.1")
    must(u, "join", "239.255.77.9", "127.0.0.1")
    must(u, "leave", "239.255.77.9", "127.0.0.1")
    must(u, "setopt", socket.OPT_IP_MULTICAST_IF, "lo")
    must(u, "getopt", socket.OPT_IP_MULTICAST_IF) -- 0.0.0.0 where the address was not found: the index counts
    must(u, "setopt", socket.OPT_BINDTODEVICE, "")
    expect("", must(u, "getopt", socket.OPT_BINDTODEVICE))
    local fd = detach(u)
    local owner = try("fromfd", socket.fromfd, fd)
    close(owner, v)
end

function programs.ipv6()
    local u, v = timed(socket.udp(), socket.udp())
    must(u, "bind", "::1", 0)
    must(u, "setopt", socket.OPT_IP_TTL, 9)
    must(u, "setopt", sys.SOL_SOCKET, sys.SO_KEEPALIVE, 1)
    expect(9, must(u, "getopt", socket.OPT_IP_TTL))
    must(v, "connect", must(u, "getsockname"))
    must(v, "send", "six")
    expect("six", must(u, "recv"))
    close(u, v)
end

function programs.select()
    local a, b = try("pair", socket.pair)
    write(b, "x")
    local readers = try("select", socket.select, { a, b:fileno() }, nil, 3)
    expect(a, readers[1])
    try("sleep", socket.sleep, 0.001)
    close(a, b)
end

-- What a task's function returns or raises is taken by wait; the loop's own errors come out of it as well.
local function join(task)
    local lives, ok, err = pcall(task.wait, task, 3)
    if not lives or not ok then
        err = not lives and ok or err
        if told and tostring(err):find(texts_of(code), 1, true) then
            return
        end
        check_told("wait", tostring(err))
        if task:status() ~= "failed" then
            return join(task)
        end
    end
end

function programs.tasks()
    local listener, client = timed(socket.tcp(), socket.tcp())
    must(listener, "bind", "127.0.0.1", 0)
    must(listener, "listen")
    local addr = must(listener, "getsockname")
    local server = try("spawn", socket.spawn, function()
        local s = timed(must(listener, "accept"))
        expect("question", read(s, 8))
        write(s, "answer")
        close(s)
    end)
    local user = try("spawn", socket.spawn, function()
        must(client, "connect", addr)
        try("sleep", socket.sleep, 0.001)
        write(client, "question")
        expect("answer", read(client, 6))
        local readers = try("select", socket.select, { client:fileno() }, nil, 3)
        expect(1, #readers)
    end)
    join(user)
    join(server)
    close(client, listener)
end

-- A descriptor that is nobody's socket is given to the poller anew for each wait.
function programs.task_select()
    local a, b = try("pair", socket.pair)
    local fd, tasks = a:detach(), {}
    for i = 1, 2 do
        tasks[i] = try("spawn", socket.spawn, function()
            expect(fd, try("select", socket.select, { fd }, nil, 3)[1])
        end)
    end
    try("sleep", socket.sleep, 0.001)
    write(b, "x")
    join(tasks[1])
    join(tasks[2])
    close(try("fromfd", socket.fromfd, fd), b)
end

-- What was registered and is closed goes on elsewhere, and what comes there is reported, until there is another poller.
function programs.task_strays()
    local a, b = try("pair", socket.pair)
    local c, d = timed(try("pair", socket.pair))
    local loop = try("loop", socket.loop)
    try("pollfd", loop.pollfd, loop)
    local reader = try("spawn", socket.spawn, function()
        expect("x", read(c, 1))
    end)
    try("spawn", socket.spawn, a.read, a, 1)
    try("sleep", socket.sleep, 0.001)
    local copy = sys.dup(a:fileno())
    close(a)
    for _ = 1, 5 do
        write(b, "x")
        try("sleep", socket.sleep, 0.001)
    end
    write(d, "x")
    join(reader)
    sys.close(copy)
    close(b, c, d)
end

function programs.task_lookup()
    local loop = try("loop", socket.loop)
    local task = try("spawn", socket.spawn, function()
        try("resolve", socket.resolve, "localhost", 80, 3)
        local u, v = timed(socket.udp(), socket.udp())
        must(u, "bind", "127.0.0.1", 0)
        local addr = must(u, "getsockname")
        socket.spawn(function()
            must(v, "sendto", "late", addr)
        end)
        expect("late", must(u, "recv"))
        close(u, v)
    end)
    try("pollfd", loop.pollfd, loop)
    try("step", loop.step, loop, 0)
    join(task)
end

-- ---- one run ----

local NOT_MET = "was not met"

-- How many descriptors there are beyond those `before`, without what the loop keeps until the state ends (the poller,
-- and what wakes it) and with it.
local function left_over(before)
    local all, others = -before, -before
    for _, fd in ipairs(sys.fds()) do
        all = all + 1
        others = others + (tostring(sys.fdname(fd)):find "anon_inode:" and 0 or 1)
    end
    return others, all
end

-- Its end as text, "" if it is good, and how many descriptors the loop keeps: `most` of them at most.
local function run_once(program, name, n, number, most)
    local fds = #sys.fds()
    local began = sys.now()
    code, told = number, false
    sky.fail(name, n, number)
    local ok, err = pcall(function()
        socket = require "ssocket"
        programs[program]()
    end)
    local took = sys.now() - began
    sky.fair()
    if not ok then
        return tostring(err)
    end
    socket = nil
    collectgarbage()
    collectgarbage()
    local others, all = left_over(fds)
    if n > 0 and sky.fired() ~= 1 then
        return NOT_MET
    elseif others > 0 or all > most then
        return ("%d descriptors more, %d of the loop"):format(others, all - others)
    end
    return took > 2 and ("it took %.1f s"):format(took) or "", all -- the time-outs in here are longer
end

-- In a process of its own, which ends in time. Returns "", or what went wrong; of a run in which nothing fails (n is 0)
-- then "\nKEPT" and for each call "\nNAME WHERE".
local function run(program, name, n, number, report, most)
    local pid = assert(sys.fork())
    if pid == 0 then
        sys.watchdog(20)
        local result, kept = run_once(program, name, n, number, most)
        local file = assert(io.open(report, "w"))
        if n == 0 then
            result = result .. "\n" .. (kept or 0)
            for _, call in ipairs(sky.calls()) do
                result = result .. ("\n%s %x"):format(call[1], call[2])
            end
        end
        file:write(result)
        file:close()
        sys._exit(0)
    end
    local how, status = sys.wait(pid, 30)
    local file = io.open(report)
    local said = file and file:read "*a" or ""
    if file then
        file:close()
        os.remove(report)
    end
    if how ~= "exit" or status ~= 0 then
        return ("ended by %s %s: %s"):format(tostring(how), tostring(status), said)
    end
    return said
end

-- ---- all of them ----

local short = os.getenv "SHORT" and os.getenv "SHORT" ~= "0"
local report = os.tmpname()
local passed, failed = 0, 0
local places, tried, all_calls, runs = {}, {}, 0, 0

local function is_new(name, where, errno)
    local key = (short and name or name .. where) .. errno
    local new = not tried[key]
    tried[key] = true
    return new or not short
end

local function judge(ok, text, ...)
    passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
    if not ok then
        print("not ok - " .. text:format(...))
    end
end

local function try_call(program, n, name, where, kept)
    places[name .. " " .. where] = true
    for errno in (ERRORS[name] or ""):gmatch "%S+" do
        if is_new(name, where, errno) then
            local said
            runs = runs + 1
            for _ = 1, 20 do -- a thread may be so fast that nobody waits for it
                said = run(program, name, n, E[errno], report, kept)
                if said ~= NOT_MET then
                    break
                end
            end
            judge(said == "", "%s: %s number %d, at %s, with %s: %s", program, name, n, where, errno, said)
        end
    end
end

local function try_calls(program)
    local said = run(program, "", 0, 0, report, math.huge)
    local problem, kept, calls = said:match "^([^\n]*)\n?(%d*)(.*)$"
    judge(problem == "", "%s: %s", program, problem)
    local n = {}
    for name, where in calls:gmatch "\n(%S+) (%x+)" do
        n[name] = (n[name] or 0) + 1
        all_calls = all_calls + 1
        judge(ERRORS[name] or CERTAIN[name], "%s: nobody says how %s fails", program, name)
        try_call(program, n[name], name, where, tonumber(kept))
    end
end

-- Each place where the module calls one of those functions is met by some program, or can't be.
local function check_places(file)
    local present, unmet = 0, {}
    for line in io.lines(file) do
        local name, where, caller = line:match "^(%S+) (%x+) (%S+)$"
        if ERRORS[name] then
            present = present + 1
            local key = name .. " " .. caller
            unmet[key] = (unmet[key] or 0) + (places[name .. " " .. where] and 0 or 1)
        end
    end
    judge(present > 0, "no places are known")
    for key, n in pairs(unmet) do
        local expected = UNMET[key] and UNMET[key][1] or 0
        judge(n == expected, "%s: %d places are not met, %d are expected", key, n, expected)
    end
    for key in pairs(UNMET) do
        judge(unmet[key], "%s is not there: take it out of UNMET", key)
    end
end

local order = {}
for name in pairs(programs) do
    order[#order + 1] = name
end
table.sort(order)
for _, program in ipairs(order) do
    try_calls(program)
end
if arg[1] then
    check_places(arg[1])
end
local count = 0
for _ in pairs(places) do
    count = count + 1
end
print(("%d calls at %d places in the module, %d failures"):format(all_calls, count, runs))
print(("each call fails: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0)
