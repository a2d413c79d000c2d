-- Connecting as LuaSocket does: one address after another, on a descriptor that stays whatever becomes of the attempt.
--
-- `family` is what the program knows: after a bind, a connect that succeeded, or one that did not wait. The descriptor
-- may have another one, or `family` may be nil; then the next connect makes a new descriptor.
--
-- `attempt` says what a connect(2) on the descriptor would tell of the last attempt, of which ssocket tells at once:
-- "going": it has not ended, as far as is known; `goal` is its address
-- "made": connected, which the next call says once more
-- "failed": `fault` says why, and nobody has been told
-- "aborted": the program knows; the next call says "closed", and only the one after it begins anew

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"
local stream = require "ssocket.luasocket.stream"
local timeouts = require "ssocket.luasocket.timeouts"

local text, system = object.text, object.system
local TIMEOUT = socket.ERROR_TIMEOUT

-- What a peer answers. Other errors are known without asking one.
local ANSWERS = { [socket.ERROR_REFUSED] = true, [socket.ERROR_RESET] = true }

-- After which no other address is tried: the task is to end, or another task's call goes on.
local ENDS = { [socket.ERROR_CANCELLED] = true, [socket.ERROR_BUSY] = true }

local connect_sock = socket.tcp().connect

local connect = {}

-- Gives the object a new descriptor of that family.
function connect.open(self, family)
    local sock = self.sock
    sock:close()
    self.attempt, self.fault, self.goal, self.number = nil, nil, nil, nil
    local is_chosen = sock:getopt(socket.OPT_IPV6_V6ONLY) ~= nil -- by the program, before there was a descriptor
    local ok, err = sock:open(family)
    if ok and family == "inet6" and not is_chosen then
        sock:setopt(socket.OPT_IPV6_V6ONLY, true)
    end
    return ok, err
end

-- `family`: that of the descriptor, as far as LuaSocket would know it.
local function have_descriptor(self, address, family)
    if family == address.family and self.sock:fileno() >= 0 then
        return true
    end
    return connect.open(self, address.family)
end

local function call_for_address(self, address, family, call)
    local ok, err = have_descriptor(self, address, family)
    if not ok then
        return nil, err, family
    end
    ok, err = call(self.sock, address)
    return ok, err, address.family
end

-- Calls call(sock, address), which binds a socket or sets its peer, for one address after the other until it succeeds.
-- Returns 1, or nil and LuaSocket's text.
function connect.first(self, addresses, call)
    local family = self.family
    local ok, err
    for _, address in ipairs(addresses) do
        ok, err, family = call_for_address(self, address, family, call)
        if ok then
            self.family = family
            return 1
        end
    end
    return nil, text[err]
end

local function forget_attempt(self)
    self.attempt, self.fault, self.goal = nil, nil, nil
    stream.changed(self)
end

-- What is there to tell of the last attempt.
local function repeat_attempt(self)
    local state, fault = self.attempt, self.fault
    if state == "going" then
        local ok, err = socket.within(0, connect_sock, self.sock, self.goal)
        if err == TIMEOUT then
            return nil, system.EALREADY
        elseif err ~= socket.ERROR_BUSY then
            forget_attempt(self)
        end
        return ok, err
    end
    forget_attempt(self)
    if state == "made" then
        return true
    end
    return nil, fault or system.ECONNABORTED
end

local function state_after(ok, err)
    if ok then
        return "made"
    elseif err == TIMEOUT or err == socket.ERROR_CANCELLED then
        return "going"
    end
    return ANSWERS[err] and "aborted" or nil
end

-- LuaSocket does not look at an attempt that it may not wait for.
local function hide_outcome(self, ok, err)
    if ok then
        self.attempt = "made"
    else
        self.attempt, self.fault = "failed", err
    end
    return nil, TIMEOUT
end

local function begin_attempt(self, address)
    self.attempt, self.goal = "going", address -- what is true if an error is raised
    local ok, err = timeouts.call(self, connect_sock, self.sock, address)
    if self.block == 0 and (ok or ANSWERS[err]) then
        return hide_outcome(self, ok, err)
    end
    self.attempt = state_after(ok, err)
    return ok, err
end

local function connect_address(self, address, family)
    local ok, err = have_descriptor(self, address, family)
    if not ok then
        return nil, err, family
    elseif self.attempt then
        ok, err = repeat_attempt(self)
    else
        ok, err = begin_attempt(self, address)
    end
    return ok, err, address.family
end

-- Tries the addresses in turn. Returns true, or nil and LuaSocket's text.
function connect.try(self, addresses)
    local family = self.family
    local ok, err
    for _, address in ipairs(addresses) do
        ok, err, family = connect_address(self, address, family)
        if ok or self.block == 0 and family then
            self.family = family
            break
        elseif ENDS[err] then
            break
        end
    end
    stream.changed(self)
    return ok, err and text[err]
end

-- The option "error": why the last attempt has failed, once.
function connect.take_error(self)
    if self.fault then
        return stream.take_fault(self)
    end
    local number = self.sock:getopt(socket.OPT_ERROR)
    if not number then
        return nil, "getsockopt failed"
    end
    return number ~= 0 and text[socket.strerror(number)] or nil
end

return connect
