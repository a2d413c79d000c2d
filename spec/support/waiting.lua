local t = require "support.t"
local socket = t.socket

-- Calls that wait for ever if nobody stops them, and must be stopped by the time-out. Each gets one end of t.narrow(),
-- at the other of which nobody does anything.
return {
    read = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:read(10))
    end,
    readuntil = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:readuntil "\n"())
    end,
    readsome = function(s)
        t.fails(socket.ERROR_TIMEOUT, nil, s:readsome(10))
    end,
    peek = function(s)
        t.fails(socket.ERROR_TIMEOUT, nil, s:peek())
    end,
    readline = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:readline())
    end,
    readall = function(s)
        t.fails(socket.ERROR_TIMEOUT, "", s:readall())
    end,
    write = function(s)
        local ok, err = s:write(t.much)
        t.fails(socket.ERROR_TIMEOUT, nil, ok, err)
    end,
}
