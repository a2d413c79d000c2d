-- ssocket.tls and processes: what a forked child may do, what several of them share, one library in each.

local t = require "support.t"
local tasks = require "support.tasks"
local tools = require "support.tools"
local support = require "support.tls"

local socket, sys = t.socket, t.sys

if not support.is_built() then
    describe("ssocket.tls and processes", function()
        pending "is not built: OpenSSL is missing"
    end)
    return
end

local tls = require "ssocket.tls"

-- Runs f in a child; returns what waits for its end and for success.
local function fork(f)
    local near, far = assert(sys.socketpair(sys.SOCK_STREAM))
    local pid = assert(sys.fork())
    if pid == 0 then
        sys.watchdog(20)
        local ok, err = pcall(f)
        if not ok then
            sys.send(far, tostring(type(err) == "table" and err.message or err), 5)
        end
        sys._exit(ok and 0 or 1)
    end
    sys.close(far)
    return function()
        local said = sys.read(near, 65536, 20 * t.slow)
        local how, code = sys.wait(pid, 20 * t.slow)
        sys.close(near)
        assert.same({ "", "exit", 0 }, { said, how, code })
    end
end

-- ---- the wire ----

-- Passes on what comes, and keeps it in `wire`, until the end.
local function relay(from, to, wire)
    return function()
        local data = from:readsome(65536)
        while data do
            wire[#wire + 1] = data
            assert(to:write(data))
            data = from:readsome(65536)
        end
        to:shutdown(socket.SHUT_WR)
    end
end

-- Both ends of a TLS connection, and what goes from the first to the second.
local function recorded(conf)
    local a, near = assert(socket.pair())
    local far, b = assert(socket.pair())
    local wire = {}
    tasks.spawn(relay(near, far, wire))
    tasks.spawn(relay(far, near, {}))
    a, b = support.pair({ ca = "ca.pem", conf = conf }, { cert = "a.pem", sessions = 0 }, a, b)
    return a, b, wire
end

-- The records of a client, each its type and its body, from the first that is encrypted on.
local function sealed_records(wire)
    local bytes, at, records, sealed = table.concat(wire), 1, {}, false
    while at <= #bytes do
        local kind, high, low = bytes:byte(at), bytes:byte(at + 3, at + 4)
        local body = bytes:sub(at + 5, at + 4 + high * 256 + low)
        if sealed then
            records[#records + 1] = { kind, body }
        end
        sealed = sealed or kind == 20 -- ChangeCipherSpec, which TLS 1.3 sends for show
        at = at + 5 + #body
    end
    assert.equal(#bytes + 1, at)
    return records
end

-- Everything that a program may do with it, and that is refused; at last it is dropped.
local function misuse(a)
    local refused = tls.ERROR_PROTOCOL
    for _ = 1, 2 do
        t.fails(refused, 0, a:write "of the child")
        t.fails(refused, 0, a:write { "of the ", "child" })
        t.fails(refused, 0, a:write "")
        t.fails(refused, "", a:read(1))
        assert.is_nil((a:shutdown(socket.SHUT_WR)))
        assert.is_nil((a:shutdown(socket.SHUT_RDWR)))
    end
    assert.equal(1, a:close())
end

describe("a connection that a child has inherited", function()
    tasks.guard()
    support.certificates()

    -- AES-GCM of TLS 1.2 sends the number of each record along.
    local GCM = { MaxProtocol = "TLSv1.2", CipherString = "ECDHE+AESGCM" }

    for name, conf in pairs { ["TLS 1.2"] = GCM, ["TLS 1.3"] = { MinProtocol = "TLSv1.3" } } do
        it("never has two records with one number, " .. name, function()
            local a, b, wire = recorded(conf)
            assert.equal(6, a:write "before")
            assert.equal("before", b:read(6))
            fork(function()
                a:settimeout(0)
                misuse(a)
            end)()
            fork(function()
                a = nil
                t.collect()
            end)()
            for i = 1, 3 do
                assert.equal(7, a:write("after " .. i))
                assert.equal("after " .. i, b:read(7))
            end
            assert.is_true(a:shutdown(socket.SHUT_WR))
            assert.equal("", b:readall())
            local records, seen = sealed_records(wire), {}
            assert.equal(6, #records) -- Finished, four times data, close_notify
            for _, record in ipairs(records) do
                local number = conf == GCM and record[2]:sub(1, 8) or record[2]
                assert.is_nil(seen[number])
                seen[number] = true
            end
            a:close()
            b:close()
        end)
    end

    it("is refused in the middle of its handshake, too, and says nothing", function()
        local a, b = assert(socket.pair())
        a:settimeout(10)
        b:settimeout(10)
        local client = tasks.spawn(tls.client, a, "a.test", support.context { ca = "ca.pem" })
        tasks.settle()
        local head = assert(b:read(5))
        assert.equal(22, head:byte()) -- a handshake
        assert(b:read(head:byte(4) * 256 + head:byte(5)))
        fork(function()
            b:write "\22\3\3" -- the beginning of an answer, which the task of the child is woken by
            local _, ok, err = assert(client:wait(5))
            assert.same({ nil, tls.ERROR_PROTOCOL }, { ok, err })
        end)()
        b:settimeout(0)
        t.fails(socket.ERROR_TIMEOUT, "", b:read(1))
        b:close()
        local _, ok = assert(client:wait(5))
        assert.is_nil(ok)
        a:close()
    end)
end)

-- ---- servers of several processes ----

describe("children that serve one listener", function()
    tasks.guard()
    support.certificates()

    local CHILDREN = math.ceil(20 / t.slow)

    -- Each child serves one connection, with what make_context() gives it there, and tells whether it was resumed.
    local function start_children(listener, make_context)
        local finishes = {}
        for i = 1, CHILDREN do
            finishes[i] = fork(function()
                local ctx = make_context()
                listener:settimeout(15)
                local s = assert(listener:accept())
                s:settimeout(10)
                assert(tls.server(s, ctx))
                assert(s:write(sys.getpid() .. (tls.info(s).resumed and " resumed\n" or " new\n")))
                s:close()
            end)
        end
        return finishes
    end

    local function connect_to_all(address, client)
        local pids, resumed = {}, 0
        for _ = 1, CHILDREN do
            local s = socket.tcp()
            s:settimeout(10)
            assert(s:connect(address))
            local ok, err, reason = tls.client(s, "a.test", client)
            assert(ok, tostring(err) .. " " .. tostring(reason))
            local pid, how = assert(s:readall()):match "^(%d+) (%a+)\n$"
            assert.is_nil(pids[pid])
            pids[pid] = true
            assert.equal(how == "resumed", tls.info(s).resumed)
            resumed = resumed + (how == "resumed" and 1 or 0)
            s:close()
        end
        return resumed
    end

    local function check(client_options, make_context, expected)
        local listener, address = t.listener()
        local finishes = start_children(listener, make_context)
        assert.equal(expected, connect_to_all(address, support.context(client_options)))
        for _, finish in ipairs(finishes) do
            finish()
        end
        listener:close()
    end

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
        local client = { ca = "ca.pem", cert = "client.pem", conf = { MaxProtocol = version } }

        it("resume each other's sessions with the same ticket keys, " .. version, function()
            local keys = { t.random(80, 1), t.random(80, 2) }
            check(client, function()
                return support.context { cert = "a.pem", client_ca = "ca.pem", ticket_keys = keys }
            end, CHILDREN - 1)
        end)

        it("resume each other's sessions with a context made before the fork, " .. version, function()
            local ctx = support.context { cert = "a.pem" }
            check(client, function()
                return ctx
            end, CHILDREN - 1)
        end)
    end

    it("resume no session of each other's with keys of their own", function()
        check({ ca = "ca.pem" }, function()
            return support.context { cert = "a.pem" }
        end, 0)
    end)
end)

-- ---- the process ----

describe("the library", function()
    t.guard()

    it("is there once in a process", function()
        local said = tools.run_lua [[
            require "ssocket.tls"
            local seen = {}
            for line in assert(io.open "/proc/self/maps"):lines() do
                local name = line:match "/(lib%a+)[^/]*%.so[^/]*$" or line:match "/(lib%a+)%.so[^/]*$"
                local path = line:match "/%S+$"
                if (name == "libssl" or name == "libcrypto") and not seen[path] then
                    seen[path] = true
                    seen[name] = (seen[name] or 0) + 1
                end
            end
            print(seen.libssl, seen.libcrypto)
        ]]
        assert.equal("1\t1\n", said)
    end)

    it("is refused where it is of another version than the one that the module was built for", function()
        if t.slow > 1 then
            return pending "a sanitizer's runtime is preloaded, and nothing else"
        end
        local p = t.lua(
            [[
                local ok, err = pcall(require, "ssocket.tls")
                print(ok, (err:gsub("[\r\n].*", "")))
            ]],
            { "env", "LD_PRELOAD=" .. tools.build .. "/otherssl.so" }
        )
        local expected = "^false\tssocket%.tls was built with OpenSSL %d[^,]*, but the library that is loaded is "
            .. "OpenSSL 9%.0%.0 of the specs; build it again\n$"
        local said = p:finish()
        assert.is_truthy(said:find(expected), said)
    end)

    it("is not taken by a build that is not that of the module", function()
        tasks.alone_fine [[
            require "ssocket.tls"
            local key
            for k in pairs(debug.getregistry()) do
                if type(k) == "string" and k:find "^ss%d.*%.layout$" then key = k end
            end
            debug.getregistry()[key] = debug.getregistry()[key] + 1
            package.loaded["ssocket.tls"] = nil
            local ok, err = pcall(require, "ssocket.tls")
            assert(not ok and err:find("is of another build than the ssocket that is loaded", 1, true), err)
        ]]
    end)

    it("is not there without ssocket.tls", function()
        local said = tools.run_lua [[
            require "ssocket"
            local text = assert(io.open "/proc/self/maps"):read "*a"
            print(text:find("libssl", 1, true), text:find("libcrypto", 1, true))
        ]]
        assert.equal("nil\tnil\n", said)
    end)
end)
