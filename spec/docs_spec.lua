-- What is written is true: the generated files, the entries of docs/api.lua, links, the README's example.

local t = require "support.t"
local tls_support = require "support.tls"

local sys = t.sys
local api = dofile "docs/api.lua"
local load_text = _G.loadstring or load

local LIMIT = 10 * t.slow

local function read_file(path)
    local file = assert(io.open(path, "rb"))
    local data = file:read "*a"
    file:close()
    return data
end

local function write_file(path, data)
    local file = assert(io.open(path, "wb"))
    file:write(data)
    file:close()
end

-- Starts a program under the Lua that runs the specs; its errors come with its output.
local function start(...)
    local argv = {}
    for word in (os.getenv "SSOCKET_LUA" or "lua"):gmatch "%S+" do
        argv[#argv + 1] = word
    end
    for _, arg in ipairs { ... } do
        argv[#argv + 1] = arg
    end
    return t.spawn(argv, true)
end

-- Runs it: exit status, output.
local function run(...)
    local p = start(...)
    local text = p:rest(LIMIT)
    local how, code = sys.wait(p.pid, LIMIT)
    p:forget()
    assert.equal("exit", how, text)
    return code, text
end

local inputs = { "script/gen-docs.lua", "docs/api.lua", "docs/reference.md", "types/ssocket.lua",
    "types/ssocket/pool.lua", "types/ssocket/tls.lua",
    "types/ssocket/luasec.lua", "README.md" }

-- OpenSSL may be missing.
local has_tls = tls_support.is_built()
local NOT_BUILT = "ssocket.tls was not built: its entries are not checked\n"

-- A copy of all that gen-docs.lua reads and writes, in which one file has been changed.
local function copy_with(path, from, to)
    local dir = t.tmpdir()
    assert(os.execute(("mkdir -p %s/script %s/docs %s/types/ssocket"):format(dir, dir, dir)))
    for _, name in ipairs(inputs) do
        local data = read_file(name)
        if name == path then
            local first, last = data:find(from, 1, true)
            assert(first, "not in " .. path .. ": " .. from)
            data = data:sub(1, first - 1) .. to .. data:sub(last + 1)
        end
        write_file(dir .. "/" .. name, data)
    end
    return dir
end

local function each_entry(f)
    for _, section in ipairs(api.sections) do
        for _, entry in ipairs(section.entries) do
            f(entry, section.prefix .. entry.name)
        end
    end
    f(api.iterator, "iterator")
end

describe("script/gen-docs.lua", function()
    t.guard()

    it("has written what stands in the generated files", function()
        local code, text = run("script/gen-docs.lua", "--check")
        assert.equal("", text)
        assert.equal(0, code)
    end)

    it("writes the files, and --check is content then", function()
        local dir = copy_with("docs/api.lua", "exactly so many bytes", "just so many bytes")
        assert.equal(0, (run(dir .. "/script/gen-docs.lua")))
        assert.truthy(read_file(dir .. "/README.md"):find("just so many bytes", 1, true))
        assert.equal(0, (run(dir .. "/script/gen-docs.lua", "--check")))
    end)

    local lines = {
        { "docs/reference.md", "### tcpsock:read\n" },
        { "types/ssocket.lua", "function tcpsock:read(" },
        { "types/ssocket/pool.lua", "function pool:get(" },
        { "types/ssocket/tls.lua", "function tlsmodule.client(" },
        { "types/ssocket/luasec.lua", "function luasecmodule.wrap(" },
        { "README.md", "[`tcpsock:read(size)`]" },
    }
    for _, case in ipairs(lines) do
        local path, line = case[1], case[2]
        it("--check finds a change in " .. path, function()
            local dir = copy_with(path, line, line:upper())
            local code, text = run(dir .. "/script/gen-docs.lua", "--check")
            assert.equal(1, code)
            assert.truthy(text:find("^" .. path:gsub("%p", "%%%0") .. ":%d+: is not what docs/api.lua says"), text)
        end)
    end

    it("--check finds a change in docs/api.lua", function()
        local dir = copy_with("docs/api.lua", "Exactly `size` bytes", "Some `size` bytes")
        local code, text = run(dir .. "/script/gen-docs.lua", "--check")
        assert.equal(1, code)
        assert.truthy(text:find("docs/reference.md:", 1, true), text)
        assert.truthy(text:find("types/ssocket.lua:", 1, true), text)
    end)

    it("--module finds that the modules have what is described, and no more", function()
        local code, text = run("script/gen-docs.lua", "--module")
        assert.equal(has_tls and "" or NOT_BUILT, text)
        assert.equal(0, code)
    end)

    it("--module says that ssocket.tls was not built, and checks the others", function()
        local missing = [[error, "module 'ssocket.tls' not found:"]]
        local dir = copy_with("script/gen-docs.lua", 'require, "ssocket.tls"', missing)
        local code, text = run(dir .. "/script/gen-docs.lua", "--module")
        assert.equal(NOT_BUILT, text)
        assert.equal(0, code)
    end)

    it("--module fails where ssocket.tls is there and cannot be loaded", function()
        local dir = copy_with("script/gen-docs.lua", 'require, "ssocket.tls"', 'error, "of another build"')
        local code, text = run(dir .. "/script/gen-docs.lua", "--module")
        assert.equal(1, code)
        assert.truthy(text:find("of another build", 1, true), text)
    end)

    local wrong = {
        { 'name = "readsome"', 'name = "readany"', "tcpsock:readany is described in docs/api.lua and not there\n" },
        { 'name = "readsome"', 'name = "readany"', "tcpsock:readsome is there and not described in docs/api.lua\n" },
        { 'name = "recvmany"', 'name = "recvfrom"', "udpsock:recvmany is there and not described in docs/api.lua\n" },
        { 'name = "detach"', 'name = "close"', "udpsock:detach is there and not described in docs/api.lua\n" },
        { 'name = "now"', 'name = "later"', "socket.now is there and not described in docs/api.lua\n" },
        { 'name = "cancel"', 'name = "stop"', "task:cancel is there and not described in docs/api.lua\n" },
        { 'name = "put"', 'name = "give"', "channel:give is described in docs/api.lua and not there\n" },
        { 'name = "pollfd"', 'name = "fd"', "loop:pollfd is there and not described in docs/api.lua\n" },
        { 'name = "drop"', 'name = "lose"', "p:drop is there and not described in docs/api.lua\n" },
        { 'name = "new"', 'name = "make"', "pool.new is there and not described in docs/api.lua\n" },
        { '"Limit exceeded"', '"Too much"', 'socket.ERROR_LIMIT is "Limit exceeded", not "Too much"\n' },
        { '"SHUT_RD"', '"SHUT_NONE"', "socket.SHUT_NONE is described in docs/api.lua and not there\n" },
        { '"OPT_RCVBUF"', '"OPT_BUF"', "socket.OPT_RCVBUF is there and not described in docs/api.lua\n" },
    }
    local wrong_tls = {
        { 'name = "binding"', 'name = "bound"', "tls.binding is there and not described in docs/api.lua\n" },
        { 'name = "binding"', 'name = "bound"', "tls.bound is described in docs/api.lua and not there\n" },
        { 'name = "_OPENSSL"', 'name = "_SSL"', "tls._OPENSSL is there and not described in docs/api.lua\n" },
        { '"ERROR_ALERT"', '"ERROR_ALARM"', "tls.ERROR_ALARM is described in docs/api.lua and not there\n" },
        { '"TLS alert received"', '"TLS alarm"', 'tls.ERROR_ALERT is "TLS alert received", not "TLS alarm"\n' },
    }
    if has_tls then
        for _, case in ipairs(wrong_tls) do
            wrong[#wrong + 1] = case
        end
    else
        pending "--module compares ssocket.tls: it was not built, OpenSSL is missing"
    end
    for _, case in ipairs(wrong) do
        it("--module says: " .. case[3]:gsub("\n", ""), function()
            local dir = copy_with("docs/api.lua", case[1], case[2])
            local code, text = run(dir .. "/script/gen-docs.lua", "--module")
            assert.equal(1, code)
            assert.truthy(text:find(case[3], 1, true), text)
        end)
    end
end)

-- The section of docs/api.lua, or a part of one, with this value of this field.
local function find_by(list, field, value)
    for _, item in ipairs(list) do
        if item[field] == value then
            return item
        end
    end
    error("docs/api.lua has no " .. field .. " " .. value)
end

local tls_section = find_by(api.sections, "module", "ssocket.tls")

-- The constants of both modules, as the entries name them.
local function names_of_errors()
    local names = {}
    for _, row in ipairs(api.errors) do
        names[row[1]] = true
    end
    for _, row in ipairs(tls_section.constants) do
        names["tls." .. row[1]] = true
    end
    return names
end

describe("docs/api.lua", function()
    t.guard()

    it("tells for each call what it raises and whether it waits", function()
        each_entry(function(entry, name)
            assert.is_string(entry.text, name)
            assert.is_string(entry.waits, name)
            assert.truthy(entry.raises or entry == api.iterator, name)
        end)
    end)

    it("names the results in the signature as it describes them", function()
        each_entry(function(entry, name)
            local named, described = {}, {}
            for word in (entry.call[1]:match "^(.-)%s*=" or ""):gmatch "[%w_.]+" do
                named[#named + 1] = word
            end
            local has_err = entry.bare or not entry.errors
            for _, value in ipairs(entry.gives) do
                described[#described + 1] = value[1]
                has_err = has_err or value[1] == "err"
            end
            if not has_err then
                described[#described + 1] = "err"
            end
            assert.same(described, named, name)
        end)
    end)

    it("names the parameters in the signature as it describes them", function()
        each_entry(function(entry, name)
            local named, described = {}, {}
            for _, call in ipairs(entry.call) do
                local list = call:match("%((.*)%)$"):gsub("address%.%.%.", "address")
                for word in list:gmatch "[%a_.]+" do
                    named[word] = true
                end
            end
            for _, param in ipairs(entry.takes or {}) do
                described[param.name] = true
            end
            assert.same(described, named, name)
        end)
    end)

    it("names constants and errors that exist", function()
        local names, constants = {}, names_of_errors()
        each_entry(function(entry, name)
            for _, row in ipairs(entry.errors or {}) do
                if row[1]:find "ERROR_" then
                    assert.is_true(constants[row[1]], name .. ": " .. row[1])
                elseif row[1]:find "^E%u" then
                    names[#names + 1] = row[1]
                else
                    assert.truthy(row[1] == "gai_strerror" or row[1]:find '^".*"$', name .. ": " .. row[1])
                end
            end
        end)
        local p = t.python(
            [[
            import errno
            say([name for name in argv if not hasattr(errno, name)])
            ]],
            (table.unpack or _G.unpack)(names)
        )
        assert.equal("[]\n", p:finish())
    end)

    it("says what calls on streams do over TLS, and the reference has it", function()
        local count = 0
        each_entry(function(entry)
            count = count + (entry.tls and 1 or 0)
        end)
        for _, name in ipairs { "finish", "pending", "peek", "read", "readall", "readline", "readsome", "shutdown",
            "write" } do
            assert.is_string(find_by(find_by(api.sections, "id", "tcpsock").entries, "name", name).tls, name)
        end
        local _, written = read_file("docs/reference.md"):gsub("\n%*%*Over TLS:%*%* ", "")
        assert.equal(count, written)
    end)

    it("says of each field of a table what it is", function()
        for _, record in ipairs(tls_section.records) do
            assert.is_true(#record.fields > 0)
            for _, field in ipairs(record.fields) do
                for i = 1, 4 do
                    assert.is_string(field[i], record.title)
                end
            end
        end
    end)

    it("tells of fields what they are, and the module has them unless the program sets them", function()
        for _, field in ipairs(api.sections[1].fields) do
            assert.equal(field.settable, t.socket[field.name] == nil and true or nil, field.name)
            assert.is_string(field.waits, field.name)
            assert.is_string(field.raises, field.name)
            assert.is_function(load_text("local socket = {} " .. field.call), field.name)
            assert.truthy(read_file("types/ssocket.lua"):find("---@field " .. field.name .. " ", 1, true), field.name)
        end
    end)

    it("has examples that are Lua", function()
        each_entry(function(entry, name)
            if entry.example then
                assert.is_function(load_text(entry.example), name)
            end
        end)
    end)

    it("tells of each option the sockets that have it, and its type", function()
        local tcp, udp = t.socket.tcp(), t.socket.udp()
        local good = { boolean = true, integer = 1, ["integer|false"] = false, string = "lo",
            ["string|integer"] = "lo" }
        local bad = { boolean = 1, integer = true, ["integer|false"] = true, string = 1, ["string|integer"] = true }
        for _, option in ipairs(api.options) do
            local name, value, type, sockets = option[1], option[2], option[3], option[4]
            if t.socket[name] then
                for kind, sock in pairs { tcp = tcp, udp = udp } do
                    local its_own = sockets == "both" or sockets == kind
                    assert.equal(its_own, (pcall(sock.getopt, sock, value)), name .. " on " .. kind)
                    if its_own and name ~= "OPT_ERROR" and name ~= "OPT_PEERCRED" then
                        assert.is_true((pcall(sock.setopt, sock, value, good[type])), name)
                        assert.is_false((pcall(sock.setopt, sock, value, bad[type])), name)
                    end
                end
            end
        end
    end)
end)

-- gen-docs.lua --module compares functions and constants; this, what they take and give.
describe("what docs/api.lua tells of ssocket.tls", function()
    if not has_tls then
        pending "is not compared: it was not built, OpenSSL is missing"
        return
    end
    t.guard()
    tls_support.certificates()
    local tls = require "ssocket.tls"

    local function fields_of(id)
        return find_by(tls_section.records, "id", id).fields
    end

    -- Each name in the table is described, and each that is described without "may be nil" is there.
    local function is_described(there, id)
        local described = {}
        for _, field in ipairs(fields_of(id)) do
            described[field[1]] = true
            if not field[2]:find "%?$" then
                assert.not_nil(there[field[1]], id .. ": " .. field[1])
            end
        end
        for name in pairs(there) do
            assert.is_true(described[name], id .. ": " .. name)
        end
    end

    it("are all options of a context, and no more", function()
        for _, field in ipairs(fields_of "options") do
            local good, err = pcall(tls.context, { [field[1]] = print })
            assert.is_false(good, field[1])
            assert.truthy(err:find(("option '%s': "):format(field[1]), 1, true), err)
        end
        local described = {}
        for _, field in ipairs(fields_of "options") do
            described[#described + 1] = field[1]
        end
        table.sort(described)
        local names = read_file("src/lua/lua_tls_ctx.c"):match "check_names_of_options.-names%[%] = {(.-)}"
        local taken = {}
        for name in names:gmatch '"([%w_]+)"' do
            taken[#taken + 1] = name
        end
        assert.same(taken, described)
    end)

    it("are all fields of the tables that it gives", function()
        local client = tls_support.context { ca = "ca.pem", cert = "client.pem", alpn = { "x" } }
        local server = tls_support.context { cert = "a.pem", client_ca = "ca.pem", alpn = { "x" } }
        local a, b = assert(t.socket.pair())
        b:settimeout(LIMIT)
        local task = t.socket.spawn(tls.hello, b)
        local shaking = t.socket.spawn(tls.client, a, "a.test", client)
        local _, hello = assert(task:wait(LIMIT))
        is_described(hello, "hello-fields")
        assert.is_true(tls.server(b, server))
        assert.is_true(select(2, shaking:wait(LIMIT)))
        for _, s in ipairs { a, b } do
            local info = tls.info(s)
            is_described(info, "info-fields")
            is_described(info.peer, "certificate")
            s:close()
        end
    end)
end)

describe("types/ssocket.lua", function()
    it("is Lua and defines every call", function()
        local types = assert(loadfile "types/ssocket.lua")()
        for _, entry in ipairs(api.sections[1].entries) do
            assert.is_function(types[entry.name], entry.name)
        end
        for i = 2, #api.sections do
            local section = api.sections[i]
            local text = read_file("types/" .. (section.module or "ssocket"):gsub("%.", "/") .. ".lua")
            for _, entry in ipairs(section.entries) do
                local name = section.class:match "%w+$" .. (section.static and "." or ":") .. entry.name
                assert.truthy(text:find(("function %s("):format(name), 1, true), name)
            end
        end
        assert.is_function(assert(loadfile "types/ssocket/pool.lua")().new)
        assert.is_function(assert(loadfile "types/ssocket/tls.lua")().client)
    end)
end)

-- ---- links ----

local function markdown_files()
    local files = {}
    local list = assert(io.popen "ls *.md docs/*.md")
    for path in list:lines() do
        files[#files + 1] = path
    end
    list:close()
    return files
end

-- Code holds brackets that are no links.
local function without_code(text)
    return (text:gsub("```.-\n```", ""):gsub("`[^`\n]*`", "code"))
end

-- The anchor that a heading gets by itself.
local function slug(heading)
    return (heading:lower():gsub("[^%w%- _]", ""):gsub(" ", "-"))
end

local function anchors_of(path)
    local text, anchors = read_file(path), {}
    for id in text:gmatch '<a id="([^"]*)">' do
        assert(not anchors[id], path .. ": two anchors " .. id)
        anchors[id] = true
    end
    for heading in ("\n" .. text:gsub("```.-\n```", "")):gmatch "\n#+ ([^\n]*)" do
        anchors[slug(heading)] = true
    end
    return anchors
end

local function exists(path)
    local file = io.open(path)
    if file then
        file:close()
    end
    return file ~= nil
end

-- What is wrong with a link in the file, or nil.
local function fault(path, target)
    if target:find "^https?://" then
        return nil
    end
    local file, anchor = target:match "^([^#]*)#?(.*)$"
    local place = file == "" and path or (path:match "^.*/" or "") .. file
    if not exists(place) then
        return ("%s: %s is not there"):format(path, target)
    elseif anchor ~= "" and not anchors_of(place)[anchor] then
        return ("%s: %s has no such anchor"):format(path, target)
    end
end

describe("links", function()
    it("lead somewhere", function()
        local count, faults = 0, {}
        for _, path in ipairs(markdown_files()) do
            for target in without_code(read_file(path)):gmatch "%]%(([^)%s]+)%)" do
                count = count + 1
                faults[#faults + 1] = fault(path, target)
            end
        end
        assert.equal("", table.concat(faults, "\n"))
        assert.truthy(count > 150, count .. " links")
    end)

    it("that lead nowhere are found", function()
        assert.is_nil(fault("README.md", "docs/reference.md#tcpsock-read"))
        assert.truthy(fault("README.md", "docs/reference.md#tcpsock-reads"))
        assert.truthy(fault("README.md", "docs/references.md"))
        assert.truthy(fault("docs/reference.md", "README.md"))
        assert.is_nil(fault("docs/reference.md", "../README.md#a-client"))
    end)
end)

-- ---- programs in the text ----

-- Starts a program of the text that serves port 7777 for ever, on a free port instead. Returns its port, too.
local function serving(code)
    local path = t.tmpdir() .. "/server.lua"
    local said = 'assert(listener:listen()) print(listener:getsockname()[2]) io.stdout:flush()'
    local here, changes = code:gsub("7777", "0"):gsub("assert%(listener:listen%(%)%)", said)
    assert.equal(1, changes)
    write_file(path, here)
    local s = start(path)
    return s, s:number()
end

describe("docs/tasks.md", function()
    t.guard()

    local text = read_file "docs/tasks.md"
    local count = 0

    -- The titles are those of the page; what a program prints stands after it.
    for title, part in text:gsub("\n## ", "\1"):gmatch "\1([^\n]*)([^\1]*)" do
        for code, printed in part:gmatch "```lua\n(.-)\n```\n\n```text\n(.-)```" do
            count = count + 1
            it("has a program that prints what it says: " .. title, function()
                local path = t.tmpdir() .. "/program.lua"
                write_file(path, code)
                local status, output = run(path)
                assert.equal(printed, output)
                assert.equal(0, status)
            end)
        end
    end

    it("has no other programs than these and a server", function()
        local _, all = text:gsub("```lua\n", "")
        assert.equal(count + 1, all)
    end)

    it("has a server that works as it stands", function()
        local s, port = serving(text:match "## A server.-```lua\n(.-)\n```")
        local p = t.python(
            [[
            a, b = connect(argv[0]), connect(argv[0])
            b.sendall(b"second\n"); say(take(b, 6).decode())
            a.sendall(b"first\n"); say(take(a, 5).decode())
            a.sendall(b"x" * 2000)
            try: say(drain(a) == b"\n")
            except ConnectionResetError: say(True) # some of it was not read
            ]],
            port
        )
        assert.equal("SECOND\nFIRST\nTrue\n", p:finish())
        s:kill()
    end)
end)

describe("README.md", function()
    t.guard()

    it("has a first example that works as it stands", function()
        local code = read_file("README.md"):match "```lua\n(.-\n)```"
        local s = t.python [[
            s = accept()
            head = take(s, len("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n"))
            s.sendall(b"HTTP/1.0 200 OK\r\n\r\nwelcome"); s.close()
            say(head.decode().split())
        ]]
        local here, changes = code:gsub('"example.com", 80', ('"127.0.0.1", %d'):format(s:number()))
        assert.equal(1, changes)
        local path = t.tmpdir() .. "/client.lua"
        write_file(path, here)
        local status, text = run(path)
        assert.equal("HTTP/1.0 200 OK\r\n\r\nwelcome", text)
        assert.equal(0, status)
        assert.equal("['GET', '/', 'HTTP/1.0', 'Host:', 'example.com']\n", s:finish())
    end)

    it("has a server that works as it stands", function()
        local code = read_file("README.md"):match "## A server for many clients%s+```lua\n(.-)\n```"
        local s, port = serving(code)
        local p = t.python(
            [[
            a, b = connect(argv[0]), connect(argv[0])
            b.sendall(b"second"); say(take(b, 6).decode())
            a.sendall(b"first"); say(take(a, 5).decode())
            a.shutdown(socket.SHUT_WR); say(drain(a) == b"")
            ]],
            port
        )
        assert.equal("second\nfirst\nTrue\n", p:finish())
        s:kill()
    end)

    it("lists every example", function()
        local text = read_file "README.md"
        local list = assert(io.popen "ls examples")
        for name in list:lines() do
            assert.truthy(text:find(("](examples/%s)"):format(name), 1, true), name)
        end
        list:close()
    end)
end)

describe("docs/design.md", function()
    t.guard()

    -- As `run/block.c: ss_block_run`: a definition, of which the name stands before the parenthesis on the first line.
    it("names functions that stand in their files, and files that there are", function()
        local text, named = read_file "docs/design.md", 0
        for path, name in text:gmatch "`(%l+/[%w_]+%.[ch]): ([%w_]+)`" do
            local source = "\n" .. read_file("src/" .. path)
            local first, last = source:find("\n[%l][^\n;]*[ *]" .. name .. "%(")
            assert.truthy(first and not source:sub(first, last):find("=", 1, true), path .. ": " .. name)
            named = named + 1
        end
        assert.is_true(named > 20, named)
        for path in text:gmatch "`(%l+/[%w_]+%.[ch])`" do
            assert.is_true(#read_file("src/" .. path) > 0, path)
        end
    end)
end)
