-- Programs that are written for LuaSec: its own ssl.https against nginx and in tasks, and a server on select.

local t = require "support.t"
local peer = require "support.peer"
local luasec = require "support.luasec"

local INSTALL = {
    LuaSec = "",
    ["ssocket.luasec"] = 'require("ssocket.luasocket").install() require("ssocket.luasec").install() ',
}

local CONF = [[
    daemon off; master_process off; pid DIR/nginx.pid; error_log stderr notice;
    events { worker_connections 64; }
    http {
        access_log off; default_type text/plain; client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR;
        uwsgi_temp_path DIR; scgi_temp_path DIR; client_max_body_size 0;
        server {
            listen 127.0.0.1:PORT ssl; root DIR; ssl_protocols TLSv1.2 TLSv1.3;
            ssl_certificate CERTS/a.crt; ssl_certificate_key CERTS/a.key;
            ssl_client_certificate CERTS/ca.crt; ssl_verify_client optional;
            location /hello { return 200 "$ssl_protocol $ssl_server_name $ssl_client_s_dn\n"; }
            location /chunked/ { alias DIR/; ssi on; ssi_types *; }
            location /away { return 302 /hello; }
        }
    }
]]

local function has(program)
    local status = os.execute(("PATH=$PATH:/usr/sbin command -v %s >/dev/null 2>&1"):format(program))
    return status == true or status == 0 or os.getenv "CI" == "true"
end

local function write_file(name, text)
    local file = assert(io.open(name, "w"))
    file:write(text)
    file:close()
end

-- nginx on a free port: another one if somebody was faster.
local function start_nginx(dir)
    local ok, err
    for _ = 1, 5 do
        local finder = peer.python [[ s = socket.socket(); s.bind(("127.0.0.1", 0)); say(s.getsockname()[1]) ]]
        local port = finder:number()
        finder:finish()
        write_file(dir .. "/nginx.conf", (CONF:gsub("CERTS/", luasec.path ""):gsub("DIR", dir):gsub("PORT", port)))
        local p = peer.spawn({ "nginx", "-p", dir, "-c", dir .. "/nginx.conf", "-e", "stderr" }, true)
        ok, err = pcall(p.await, p, 'using the "')
        if ok then
            p.port = port
            return p
        end
        p:kill()
    end
    error(err, 0)
end

local function stop(p)
    t.sys.kill(p.pid, t.sys.SIGTERM)
    p:kill()
end

-- An HTTPS server that answers nobody before all have asked. argv: the certificates' directory, how many.
local TOGETHER = [[
    import threading
    context = server_context(argv[0] + "a.pem")
    all_are_here = threading.Barrier(int(argv[1]))
    def serve(s):
        s = context.wrap_socket(s, server_side=True)
        data = b""
        while b"\r\n\r\n" not in data: data += s.recv(4096)
        path = data.split()[1]
        all_are_here.wait(30)
        s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
        s.unwrap()
    l = listen(64)
    threads = [threading.Thread(target=serve, args=(l.accept()[0],)) for _ in range(int(argv[1]))]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
]]

-- Eight clients at once; the lines of each come back, the last of them long. argv: the port, the certificates.
local CLIENTS = [[
    import threading
    context = client_context(argv[1] + "ca.crt")
    results = []
    def talk(n):
        plain = connect(argv[0])
        s = context.wrap_socket(plain, server_hostname="a.test")
        file = s.makefile("rwb")
        for i in range(5):
            line = b"%d %d " % (n, i) + b"x" * (i ** 6 * 20) + b"\n"
            file.write(line); file.flush()
            if file.readline() != line: return
        s.unwrap()
        results.append(n)
    threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    say("all" if len(results) == 8 else results)
]]

-- As such programs are written: sockets that never wait, a coroutine for each, and select.
local SERVER = [[
    local socket, ssl = require "socket", require "ssl"
    local context = assert(ssl.newcontext {
        mode = "server", protocol = "any", certificate = CERTS .. "a.crt", key = CERTS .. "a.key",
    })
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(0)
    print(string.format("%d", (select(2, listener:getsockname()))))
    io.stdout:flush()
    local threads, waits, served = {}, { [listener] = "wantread" }, 0

    local function wait(s, why)
        assert(why == "wantread" or why == "wantwrite", why)
        waits[s] = why
        coroutine.yield()
    end

    local function echo(s)
        local part = ""
        while true do
            local line, err, more = s:receive("*l", part)
            part = more or ""
            if line then
                local last, why, sent = s:send(line .. "\n")
                while not last do
                    wait(s, why)
                    last, why, sent = s:send(line .. "\n", sent + 1)
                end
            elseif err == "closed" then
                return
            else
                wait(s, err)
            end
        end
    end

    local function handle(s)
        local ok, err = s:dohandshake()
        while not ok do
            wait(s, err)
            ok, err = s:dohandshake()
        end
        echo(s)
        s:close()
        served = served + 1
    end

    local function go_on(s)
        waits[s] = nil
        assert(coroutine.resume(threads[s], s))
    end

    local function accept()
        local s = assert(ssl.wrap(assert(listener:accept()), context))
        s:settimeout(0)
        threads[s] = coroutine.create(handle)
        go_on(s)
    end

    while served < 8 do
        local lists = { wantread = {}, wantwrite = {} }
        for s, why in pairs(waits) do
            table.insert(lists[why], s)
        end
        local readable, writable, err = socket.select(lists.wantread, lists.wantwrite, 20)
        assert(not err, err)
        for _, list in ipairs { readable, writable } do
            for _, s in ipairs(list) do
                (s == listener and accept or go_on)(s)
            end
        end
    end
    print("served " .. served)
]]

-- What ssl.lua itself does, with the modules below it.
local BELOW = [[
    local socket = require "socket"
    local ssl, core, context = require "ssl", require "ssl.core", require "ssl.context"
    assert(ssl.config == require "ssl.config" and ssl.loadcertificate == require("ssl.x509").load)
    local function make(mode)
        local ctx = assert(context.create "tlsv1_2")
        assert(context.setmode(ctx, mode))
        if mode == "server" then
            assert(context.loadkey(ctx, CERTS .. "locked.key", "secret"))
            assert(context.loadcert(ctx, CERTS .. "a.crt") and context.checkkey(ctx))
        else
            assert(context.locations(ctx, CERTS .. "ca.crt") and context.setverify(ctx, "peer"))
            assert(context.setdepth(ctx, 1) and context.setoptions(ctx, "all", "no_ticket"))
        end
        assert(context.setcipher(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") and context.setcurve(ctx, "prime256v1"))
        return ctx
    end
    local listener = assert(socket.bind("127.0.0.1", 0))
    local plain = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
    local function wrap(sock, ctx)
        local s = assert(core.create(ctx))
        core.setfd(s, sock:getfd())
        sock:setfd(core.SOCKET_INVALID)
        s:settimeout(0)
        return s
    end
    local a, b = wrap(plain, make "client"), wrap(assert(listener:accept()), make "server")
    core.setmethod("whoami", function(s) return s == a and "client" or "server" end)
    local first, second
    for _ = 1, 1000 do
        first, second = first or a:dohandshake(), second or b:dohandshake()
    end
    assert(first and second)
    print(core.compression(a), a:whoami(), b:whoami())
    print((core.info(a):gsub("%s+", " ")))
    print(select(4, core.info(a)))
]]

-- What another Lua of the same kind says, which has PORT and CERTS and the modules of `kind` in LuaSec's place.
local function run(kind, port, code)
    local constants = ("local PORT, CERTS = %d, %q "):format(port, luasec.path "")
    local p = t.lua(INSTALL[kind.name] .. constants .. peer.dedent(code))
    return p:finish(30 * t.slow)
end

luasec.each("programs of LuaSec", function(_, _, kind)
    local dir

    local function with_nginx(code)
        local p = start_nginx(dir)
        local said = run(kind, p.port, code)
        stop(p)
        return said
    end

    before_each(function()
        dir = require("support.place").tmpdir()
    end)

    -- ssl.https, socket.http and what they need are LuaSec's and LuaSocket's own files.
    if luasec.kinds[1].is_real then
        if not has "nginx" then
            pending "fetch pages with ssl.https: there is no nginx"
            return
        end

        it("fetch pages with ssl.https", function()
            write_file(dir .. "/big", t.random(1000000))
            local said = with_nginx [[
                local https, url = require "ssl.https", "https://localhost:" .. PORT
                local body, code, headers, status = https.request(url .. "/hello")
                print(body:sub(1, -2), code, headers["content-type"], status)
                print((select(2, https.request(url .. "/none"))))
                print(select("#", https.request(url .. "/hello")))
                print(#https.request(url .. "/big"), #https.request(url .. "/chunked/big"))
                print(https.request(url .. "/hello", "a=b"):sub(1, -2))
            ]]
            assert.equal(
                "TLSv1.3 localhost \t200\ttext/plain\tHTTP/1.1 200 OK\n404\n4\n1000000\t1000000\nTLSv1.3 localhost \n",
                said
            )
        end)

        it("fetch pages with the parameters of ssl.https", function()
            local said = with_nginx [[
                local https, ltn12, url = require "ssl.https", require "ltn12", "https://localhost:" .. PORT .. "/hello"
                local function get(more)
                    local parts = {}
                    local request = { url = url, sink = ltn12.sink.table(parts) }
                    for name, value in pairs(more) do request[name] = value end
                    local ok, code = https.request(request)
                    print(ok, code, (table.concat(parts):gsub("\n", "")))
                end
                get { protocol = "tlsv1_2" }
                get { verify = "peer", cafile = CERTS .. "ca.crt" }
                get { verify = "peer", cafile = CERTS .. "other.crt" }
                get { certificate = CERTS .. "client.crt", key = CERTS .. "client.key" }
                get { protocol = "tlsv1_1" }
                get { cafile = "/none" }
                print(https.request { url = url, proxy = "http://127.0.0.1:1" })
                print(https.request { url = url, redirect = true })
                print(https.request { url = url, create = print })
                print((select(2, https.request "https://127.0.0.1:1/")))
            ]]
            local lines = {}
            for line in said:gmatch "[^\n]*" do
                lines[#lines + 1] = line ~= "" and line or nil
            end
            assert.equal("1\t200\tTLSv1.2 localhost ", lines[1])
            assert.equal("1\t200\tTLSv1.3 localhost ", lines[2])
            assert.equal("nil\tcertificate verify failed\t", lines[3])
            assert.equal("1\t200\tTLSv1.3 localhost CN=client", lines[4])
            assert.matches("^nil\t.+\t$", lines[5])
            assert.matches("^nil\terror loading CA locations %(.+%)\t$", lines[6])
            assert.equal("nil\tproxy not supported", lines[7])
            assert.equal("nil\tredirect not supported", lines[8])
            assert.equal("nil\tcreate function not permitted", lines[9])
            assert.equal("connection refused", lines[10])
        end)

        if not kind.is_real then
            it("fetch twenty pages at once in tasks", function()
                local p = luasec.python(TOGETHER, luasec.path "", 20)
                local said = run(
                    kind,
                    p:number(),
                    [[
                    local https, ssocket = require "ssl.https", require "ssocket"
                    local tasks = {}
                    for i = 1, 20 do
                        tasks[i] = ssocket.spawn(function()
                            local function sink(chunk)
                                if chunk then print(i, chunk) end
                                return 1
                            end
                            local url = "https://localhost:" .. PORT .. "/" .. i
                            return https.request { url = url, sink = sink, verify = "peer", cafile = CERTS .. "ca.crt" }
                        end)
                    end
                    for i = 1, 20 do
                        local _, ok, code = assert(tasks[i]:wait(20))
                        assert(ok == 1, code)
                        assert(code == 200)
                    end
                    ]]
                )
                local pages = {}
                for i, page in said:gmatch "(%d+)\t/(%d+)\n" do
                    assert.equal(i, page)
                    pages[#pages + 1] = i
                end
                assert.equal(20, #pages)
                p:finish()
            end)
        end
    end

    it("use the modules below ssl", function()
        local said = run(kind, 0, BELOW)
        assert.equal(
            "nil\tclient\tserver\n"
                .. "ECDHE-ECDSA-AES128-GCM-SHA256 TLSv1.2 Kx=ECDH Au=ECDSA Enc=AESGCM(128) Mac=AEAD \nTLSv1.2\n",
            said
        )
    end)

    it("serve many clients from a loop on select", function()
        local server = t.lua(INSTALL[kind.name] .. ("local CERTS = %q "):format(luasec.path "") .. SERVER)
        local clients = luasec.python(CLIENTS, server:number(), luasec.path "")
        assert.equal("all", clients:line(30))
        clients:finish()
        assert.equal("served 8", server:line(30))
        server:finish()
    end)
end)
