-- The two time-outs of an object: `block` bounds each wait of a call, `total` all of them together. Negative: none.
--
-- With one of them ssocket's own deadline of a call is the same. With both (`both` is true) the socket's time-out is
-- `block`, and a call that may wait more than once waits within `total` by socket.within, one wait at a time.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local timeouts = {}

local function seconds_of(value)
    return value == value and value or 0
end

-- Hands the object's time-outs to its socket.
function timeouts.apply(self)
    local block, total = seconds_of(self.block), seconds_of(self.total)
    self.both = block >= 0 and total >= 0
    self.sock:settimeout(block >= 0 and block or total)
end

-- Calls f(...), which waits at most once.
function timeouts.call(self, f, ...)
    if self.both then
        return socket.within(seconds_of(self.total), f, ...)
    end
    return f(...)
end

-- Calls f(...), which waits several times, each at most `block` seconds.
function timeouts.call_within_total(self, f, ...)
    return socket.within(seconds_of(self.total), f, ...)
end

local FIELDS = { b = "block", t = "total", r = "total" }

-- The methods of a class's group; `changed` is told of the object afterwards.
function timeouts.methods(group, changed)
    local methods = {}

    function methods.settimeout(self, value, mode)
        object.check(self, group)
        value = value == nil and -1 or object.check_number(value, 2)
        mode = mode == nil and "b" or object.check_string(mode, 3)
        local field = FIELDS[mode:sub(1, 1)]
        if not field then
            object.misuse(1, 3, "invalid timeout mode")
        end
        self[field] = value
        timeouts.apply(self)
        if changed then
            changed(self)
        end
        return 1
    end

    function methods.gettimeout(self)
        object.check(self, group)
        return self.block, self.total
    end

    return methods
end

return timeouts
