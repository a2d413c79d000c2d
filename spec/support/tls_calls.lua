-- Every call of ssocket.tls, for a host in which any allocation may fail. Returns the function to run, so that the host
-- counts no allocation of this chunk itself. Certificates are in the directory SSOCKET_CERTIFICATES.
--
-- A run that has failed for want of memory is brought to its end. Then all of it is done once more, and succeeds.

local error, pcall, tostring = error, pcall, tostring

-- LuaJIT counts a closure that has got no memory for its upvalues as a shorter one (lj_func_newL_gc); tls.connect is a
-- closure.
if rawget(_G, "jit") then
    require "ssocket.tls"
end

local directory = os.getenv "SSOCKET_CERTIFICATES"
local server_options = {
    cert = { directory .. "/a.pem", directory .. "/rsa.pem" },
    client_ca = directory .. "/ca.pem",
    alpn = { "x", "y" },
    ticket_keys = { ("k"):rep(80), ("l"):rep(80) },
}
local client_options = {
    ca = { directory .. "/other.pem", directory .. "/ca.pem" },
    cert = directory .. "/locked.pem",
    password = "secret",
    alpn = { "z", "y" },
    conf = { Groups = "X25519", MinProtocol = "TLSv1.2" },
}
local bad_options = { cert = "/nowhere" }
local text = ("0123456789abcdef"):rep(2048) -- 32 KiB, two records

local function no_memory(err)
    err = tostring(err)
    return err:find("not enough memory", 1, true) or err:find("Cannot allocate memory", 1, true)
end

-- Of one run.
local socket, tls, a, b, server

local function must(ok, err, reason)
    if ok == nil then
        error(tostring(err) .. ": " .. tostring(reason), 0)
    end
    return ok, err, reason
end

local function expect(expected, got)
    if got ~= expected then
        error("not as expected: " .. tostring(got), 2)
    end
end

local function serve(ctx)
    local hello = must(tls.hello(b))
    expect("a.test", hello.name)
    expect("y", hello.alpn[2])
    expect("TLSv1.2", hello.versions[1])
    must(tls.server(b, ctx))
    expect(#text, must(b:write(text)))
    return true
end

-- The client's results. Either end may fail because the other one had no memory; then that is told.
local function join(ok, err, reason)
    if not ok then
        a:close() -- nobody waits for an end that has failed
    end
    local done, why = server:wait(5)
    if not done and (ok or no_memory(why)) then
        error(why, 0)
    end
    must(ok, err, reason)
end

local function shake(client_ctx, server_ctx)
    a, b = must(socket.pair())
    a:settimeout(5)
    b:settimeout(5)
    server = socket.spawn(serve, server_ctx)
    join(tls.client(a, "a.test", client_ctx))
    expect(text, must(a:read(#text)))
end

local function look()
    local info, other = must(tls.info(a)), must(tls.info(b))
    expect("CN=a", info.peer.subject)
    expect(5, #must(tls.export(a, "EXPERIMENTAL", 5, "context")))
    expect(must(tls.binding(b, "tls-exporter")), must(tls.binding(a, "tls-exporter")))
    expect("y", other.alpn)
end

local function leave()
    must(a:write { "the ", "last" })
    must(a:shutdown(socket.SHUT_WR))
    expect("the last", must(b:readall()))
    must(b:finish())
    expect("", must(a:readall()))
    expect(1, a:close())
end

local function refuse(client_ctx)
    local ctx, err = tls.context(bad_options)
    expect(nil, ctx)
    if no_memory(err) then
        error(err, 0)
    end
    a, b = must(socket.pair())
    must(b:write "220 not TLS\r\n")
    local ok, why, reason = tls.client(a, "a.test", client_ctx)
    expect(nil, ok)
    if no_memory(why) then
        error(why, 0)
    end
    expect(tls.ERROR_PROTOCOL, why)
    expect("string", type(reason))
    expect(-1, a:fileno())
end

-- The other end does not wait for a task that has failed.
local function end_server()
    if b then
        b:close()
    end
end

local function work()
    socket = require "ssocket"
    socket.onerror = end_server
    tls = require "ssocket.tls"
    local client_ctx, server_ctx = must(tls.context(client_options)), must(tls.context(server_options))
    shake(client_ctx, server_ctx)
    look()
    leave()
    refuse(client_ctx)
end

-- A task that waits for one of these ends.
local function close_all()
    for _, s in ipairs { a or false, b or false } do
        if s then
            s:close()
        end
    end
    if server then
        server:wait(5)
    end
    a, b, server = nil, nil, nil
end

return function()
    local ok, err = pcall(work)
    if not ok and not no_memory(err) then
        error(err, 0)
    end
    if not pcall(close_all) then
        close_all()
    end
    if not ok then
        package.loaded.ssocket, package.loaded["ssocket.tls"] = nil, nil -- Lua 5.1 remembers that it failed
        work()
        close_all()
    end
end
