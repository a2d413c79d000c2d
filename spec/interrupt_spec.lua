local t = require "support.t"
local calls = require "support.waiting"
local socket = t.socket

-- pitfall: EINTR counted as failure, or restarting the full wait
describe("signals that interrupt a call", function()
    t.guard()

    local before
    before_each(function()
        before = t.sys.disposition(t.sys.SIGUSR1, "count")
        t.sys.caught()
    end)
    after_each(function()
        t.sys.disposition(t.sys.SIGUSR1, before)
    end)

    -- Sends us SIGUSR1 each 3 ms until it is killed.
    local function signals()
        local p = t.python [[
            say("go")
            while True: os.kill(os.getppid(), signal.SIGUSR1); time.sleep(0.003)
        ]]
        p:line()
        return p
    end

    for name, call in pairs(calls) do
        for _, seconds in ipairs { 0.06, 0.2 } do
            it(("neither end %s nor make it longer than %g s"):format(name, seconds), function()
                local client, accepted, listener = t.narrow()
                client:settimeout(seconds)
                local p = signals()
                local limit, caught = t.sys.now() + 20, 0
                repeat -- a busy machine may not let the sender run in time
                    t.takes(seconds, call, client)
                    caught = caught + t.sys.caught()
                until caught >= 5 or t.sys.now() > limit
                p:kill()
                assert.is_true(caught >= 5)
                client:close()
                accepted:close()
                listener:close()
            end)
        end
    end

    it("do not end calls without a time-out: accept, read, readuntil and write go on", function()
        local p = signals()
        local listener, address = t.listener()
        local late = t.python(
            [[
            time.sleep(0.1); s = connect(argv[0])
            time.sleep(0.1); s.sendall(b"ab"); time.sleep(0.05); s.sendall(b"cd")
            time.sleep(0.1); s.sendall(b"ef\n"); time.sleep(0.1); say(len(drain(s)))
            ]],
            address[2]
        )
        local s = assert(listener:accept())
        assert.equal("abcd", s:read(4))
        assert.equal("ef", s:readuntil "\n"())
        assert.equal(#t.much, s:write(t.much))
        s:close()
        assert.equal(#t.much, late:number())
        late:finish()
        p:kill()
        assert.is_true(t.sys.caught() >= 20)
        listener:close()
    end)

    it("do not end an accept or a connect before its time", function()
        local p = signals()
        local listener = t.listener()
        listener:settimeout(0.15)
        t.takes(0.15, function()
            t.fails(socket.ERROR_TIMEOUT, nil, listener:accept())
        end)
        listener:close()
        local full = socket.tcp()
        assert(full:bind(t.abstract()))
        assert(full:listen(0))
        local first, second = socket.tcp(), socket.tcp()
        assert(first:connect(full:getsockname()))
        second:settimeout(0.15)
        t.takes(0.15, function()
            t.fails(socket.ERROR_TIMEOUT, nil, second:connect(full:getsockname()))
        end)
        p:kill()
        full:close()
        first:close()
        second:close()
    end)
end)
