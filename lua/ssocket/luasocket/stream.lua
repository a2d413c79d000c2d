-- Sending and receiving on connected streams of every kind: TCP, Unix, TLS.
--
-- `ready[object]` is the object's socket while nothing stands between the object and it. There is none for an object
-- that is no client, has both time-outs, has to tell of a failed connect (`fault`) or has kept bytes (`left`, `taken`):
-- then the calls go the long way. `lines` is the iterator over the socket's lines, once it has been needed.

local descriptor = require "ssocket.luasocket.descriptor"
local object = require "ssocket.luasocket.object"
local piecewise = require "ssocket.luasocket.piecewise"
local socket = require "ssocket"
local timeouts = require "ssocket.luasocket.timeouts"

local CLOSED = socket.ERROR_CLOSED
local MOST = 2 ^ 46 -- bytes; more than there is memory
local text, system = object.text, object.system
local find, gsub, sub = string.find, string.gsub, string.sub

local sample = socket.tcp()
local write, read, readall, peek, pending = sample.write, sample.read, sample.readall, sample.peek, sample.pending

-- No field of the objects: a program may call the methods with anything as self, and not all values can be indexed.
local ready = setmetatable({}, { __mode = "kv" })

local stream = {}

-- ---- the state ----

-- Called when the object's socket, time-outs, class, `fault` or `left` has changed.
function stream.changed(self)
    descriptor.changed(self)
    ready[self] = self.client and not self.fault and descriptor.plain[self] or nil
end

-- `is_client`: whether it is connected already.
function stream.init(self, is_client)
    self.sent, self.received, self.birthday = 0, 0, socket.now()
    self.client = is_client
    stream.changed(self)
end

-- A new object over ssocket's socket. All fields stand here, so that the table does not grow later.
function stream.new(class, sock, is_client)
    local self = {
        sock = sock,
        block = -1,
        total = -1,
        both = false,
        sent = 0,
        received = 0,
        birthday = 0,
        client = is_client,
        lines = nil,
        family = nil,
        attempt = nil,
        goal = nil,
    }
    stream.init(self, is_client)
    return setmetatable(self, class)
end

-- Makes a stream of ssocket the object's own. `left`: bytes that come before what it has, or nil.
function stream.attach(self, sock, left)
    self.sock, self.lines, self.left, self.taken = sock, nil, left, nil
    self.attempt, self.fault = nil, nil
    timeouts.apply(self)
    stream.changed(self)
end

function stream.close(self)
    self.attempt, self.fault, self.left, self.taken = nil, nil, nil, nil
    descriptor.close(self)
    stream.changed(self)
end

function stream.set_client(self)
    self.client = true
    stream.changed(self)
end

-- What a connect that has failed unseen leaves for the next call.
local function take_fault(self)
    local err = self.fault
    self.fault, self.attempt = nil, "aborted"
    stream.changed(self)
    return text[err]
end

stream.take_fault = take_fault

-- After a connect that has failed Linux takes the stream for one that has ended.
local function text_of(self, err)
    if err == system.ENOTCONN and self.attempt == "aborted" then
        return "closed"
    end
    return text[err]
end

-- ---- send ----

-- As string.sub counts, but an empty range keeps its start.
local function range_of(size, i, j)
    local first = i < 0 and size + i + 1 or i
    local last = j < 0 and size + j + 1 or j
    return first < 1 and 1 or first, last > size and size or last
end

local function write_range(self, data, first, last)
    if self.both then
        return piecewise.write(self, data, first, last)
    elseif first == 1 and last == #data then
        return write(self.sock, data)
    end
    return write(self.sock, data, first, last)
end

local function send_range(self, data, i, j)
    local first, last = range_of(#data, i, j)
    if first > last then
        return first - 1, nil, nil
    elseif self.fault then
        return nil, take_fault(self), first - 1
    end
    local sent, err, part = write_range(self, data, first, last)
    self.sent = self.sent + (sent or part)
    if sent then
        return sent + first - 1, nil, nil
    end
    return nil, text_of(self, err), part + first - 1
end

-- ---- receive ----

local function without_cr(line)
    if find(line, "\r", 1, true) then
        line = gsub(line, "\r", "")
    end
    return line
end

local function failure(self, err, part, prefix)
    self.received = self.received + #part
    return nil, text_of(self, err), prefix .. part
end

local function lines_of(self)
    self.lines = self.lines or self.sock:readuntil "\n"
    return self.lines
end

local function receive_line(self, prefix)
    local line, err, part = lines_of(self)()
    if not line then
        self.received = self.received + #part
        return nil, text_of(self, err), prefix .. without_cr(part)
    end
    self.received = self.received + #line + 1
    return prefix .. without_cr(line), nil, nil
end

local function receive_all(self, prefix)
    local data, err, part = readall(self.sock)
    if not data or data == "" then
        return failure(self, err or CLOSED, part or "", prefix)
    end
    self.received = self.received + #data
    return prefix .. data, nil, nil
end

-- Waits for a byte or the end, and takes nothing.
local function receive_nothing(self)
    local data, err = peek(self.sock, 1)
    if data then
        return "", nil, nil
    end
    return nil, text_of(self, err), ""
end

local function receive_bytes(self, count, prefix)
    if count == 0 then
        return receive_nothing(self)
    end
    local data, err, part = read(self.sock, count)
    if not data then
        return failure(self, err, part, prefix)
    end
    self.received = self.received + #data
    return prefix .. data, nil, nil
end

-- The long way, without a place in `ready`.
local function receive_piecewise(self, what, prefix)
    local got, err, count = piecewise.read(self, what)
    self.received = self.received + count
    stream.changed(self)
    if what == "line" then
        got = without_cr(got)
    end
    if err then
        return nil, text_of(self, err), prefix .. got
    end
    return prefix .. got, nil, nil
end

-- "line", "all", or how many bytes; nil: no pattern.
local function pattern_of(pattern)
    local count = type(pattern) ~= "table" and tonumber(pattern)
    if count then
        return count >= 0 and object.truncate(math.min(count, MOST), 48) or nil
    end
    local kind = pattern:sub(1, 2)
    return kind == "*l" and "line" or kind == "*a" and "all" or nil
end

local function receive_any(self, what, prefix)
    if what ~= "line" and what ~= "all" then
        if prefix ~= "" and #prefix >= what then
            return prefix, nil, nil
        end
        what = what - #prefix
    end
    if self.fault then
        return nil, take_fault(self), prefix
    elseif self.both or self.left or self.taken then
        return receive_piecewise(self, what, prefix)
    elseif what == "line" then
        return receive_line(self, prefix)
    elseif what == "all" then
        return receive_all(self, prefix)
    end
    return receive_bytes(self, what, prefix)
end

-- ---- the methods ----

local HOW = { both = socket.SHUT_RDWR, send = socket.SHUT_WR, receive = socket.SHUT_RD }

local function add_stats(methods, client)
    function methods.getstats(self)
        object.check(self, client)
        return self.received, self.sent, socket.now() - self.birthday
    end

    function methods.setstats(self, received, sent, age)
        object.check(self, client)
        self.received = received == nil and self.received or object.truncate(object.check_number(received, 2), 64)
        self.sent = sent == nil and self.sent or object.truncate(object.check_number(sent, 3), 64)
        age = type(age) ~= "table" and tonumber(age)
        self.birthday = age and socket.now() - age or self.birthday
        return 1
    end
end

-- The methods of a kind of stream, for its class `client` and its group `any`.
function stream.methods(client, any)
    local methods = {}

    function methods.send(self, data, i, j)
        local sock = ready[self]
        if sock and not i and not j and type(data) == "string" then
            local sent, err, part = write(sock, data)
            if sent then
                self.sent = self.sent + sent
                return sent, nil, nil
            elseif data == "" then
                return 0, nil, nil
            end
            self.sent = self.sent + part
            return nil, text_of(self, err), part
        end
        object.check(self, client)
        data = object.check_string(data, 2)
        i = i == nil and 1 or object.truncate(object.check_number(i, 3), 53)
        j = j == nil and -1 or object.truncate(object.check_number(j, 4), 53)
        return send_range(self, data, i, j)
    end

    function methods.receive(self, pattern, prefix)
        local sock = ready[self]
        if sock and not prefix then
            if pattern == nil or pattern == "*l" then
                local line, err, part = (self.lines or lines_of(self))()
                if line then
                    local size = #line
                    self.received = self.received + size + 1
                    local cr = find(line, "\r", 1, true)
                    if cr then
                        line = cr == size and sub(line, 1, -2) or without_cr(line)
                    end
                    return line, nil, nil
                end
                self.received = self.received + #part
                return nil, text_of(self, err), without_cr(part)
            elseif type(pattern) == "number" and pattern > 0 and pattern % 1 == 0 then
                local data, err, part = read(sock, pattern)
                if data then
                    self.received = self.received + #data
                    return data, nil, nil
                end
                return failure(self, err, part, "")
            end
        end
        object.check(self, client)
        prefix = prefix == nil and "" or object.check_string(prefix, 3)
        pattern = pattern == nil and "*l" or object.check_string(pattern, 2)
        local what = pattern_of(pattern)
        if not what then
            object.misuse(1, 2, "invalid receive pattern")
        end
        return receive_any(self, what, prefix)
    end

    function methods.dirty(self)
        object.check(self, any)
        return pending(self.sock) > 0 or self.left ~= nil or self.taken ~= nil and #self.taken > 0
    end

    function methods.shutdown(self, how)
        object.check(self, client)
        how = how == nil and "both" or object.check_string(how, 2)
        if not HOW[how] then
            object.misuse(1, 2, ("invalid option '%s'"):format(how))
        end
        self.sock:shutdown(HOW[how])
        if self.attempt == "made" then
            self.attempt = nil -- the next connect tells of the socket as it is
        end
        return 1
    end

    add_stats(methods, client)
    return methods
end

return stream
