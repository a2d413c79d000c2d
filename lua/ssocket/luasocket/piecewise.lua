-- Reading and writing one wait at a time: for objects with both time-outs, each of whose waits may take `block` seconds
-- and all together `total`, and for bytes that a call had taken when an error was raised in it.
--
-- `taken` has the pieces of the call under way. When a wait raises an error (a hook's) they are still there, and the
-- next call finds them; it puts them into `left`, a string that comes before what the socket has. The hook may run as
-- late as after the wait: a piece is put there before the socket gives it up, and `doubt` says so meanwhile.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local STEP = 65536 -- bytes

local sample = socket.tcp()
local write, readsome, peek, pending = sample.write, sample.readsome, sample.peek, sample.pending

local piecewise = {}

-- The seconds for all waits of a call.
local function seconds_for_all(self)
    local block, total = self.block, self.total
    local limit = self.both and total or math.max(block, total)
    return (limit < 0 or limit ~= limit) and math.huge or limit
end

-- ---- reading ----

local function is_being_read(self)
    local _, err = socket.within(0, peek, self.sock)
    return err == socket.ERROR_BUSY
end

-- Puts the pieces back that a call has lost. It may still be under way in a task: then it goes on without them.
local function put_back(self, taken)
    self.left = table.concat(taken) .. (self.left or "")
    for i = #taken, 1, -1 do
        taken[i] = nil
    end
    taken.bytes = 0
end

local function take_left(self, taken, most)
    local left = self.left
    taken[#taken + 1] = left:sub(1, math.min(most, #left))
    self.left = #left > most and left:sub(most + 1) or nil
end

local function take_from_socket(self, taken, most)
    local sock = self.sock
    local piece, err = peek(sock, math.min(most, STEP))
    if not piece then
        return err
    end
    local at = #taken + 1
    taken.doubt = { at = at, pending = pending(sock) }
    taken[at] = piece
    readsome(sock, #piece)
    taken.doubt = nil
end

-- After an error: drops the piece that the socket still has.
local function settle_doubt(self, taken)
    local doubt = taken.doubt
    if doubt and pending(self.sock) >= doubt.pending then
        taken[doubt.at] = nil
    end
    taken.doubt = nil
end

-- Puts at most that many bytes into `taken`. Returns the error.
local function take(self, taken, most)
    local err
    if self.left then
        take_left(self, taken, most)
    else
        err = take_from_socket(self, taken, most)
    end
    taken.bytes = taken.bytes + (err and 0 or #taken[#taken])
    return err
end

-- Takes what comes next up to LF. Returns the error, and whether LF is there, which is taken as well.
local function take_line(self, taken)
    local seen, err = self.left, nil
    if not seen then
        seen, err = peek(self.sock, STEP)
    end
    if not seen then
        return err
    end
    local lf = seen:find("\n", 1, true)
    return take(self, taken, lf or #seen), lf
end

local function read_line(self, taken)
    local err, lf
    repeat
        err, lf = take_line(self, taken)
    until lf or err
    return err
end

local function read_bytes(self, taken, count)
    local err
    repeat
        err = take(self, taken, count - taken.bytes)
    until err or taken.bytes >= count
    return err
end

local function read_all(self, taken)
    local err = read_bytes(self, taken, math.huge)
    return (err ~= socket.ERROR_CLOSED or taken.bytes == 0) and err or nil
end

local function peek_one(self)
    if self.left then
        return nil
    end
    local _, err = peek(self.sock, 1)
    return err
end

local function read(self, taken, what)
    if what == "line" then
        return read_line(self, taken)
    elseif what == "all" then
        return read_all(self, taken)
    elseif what == 0 then
        return peek_one(self)
    end
    return read_bytes(self, taken, what)
end

local function joined(taken, what)
    local data = table.concat(taken)
    return what == "line" and data:gsub("\n$", "") or data
end

-- Reads a "line", "all", or so many bytes. Returns what was read, the error if it is not all, and the number of bytes.
function piecewise.read(self, what)
    if self.taken then
        settle_doubt(self, self.taken)
        if is_being_read(self) then
            return "", socket.ERROR_BUSY, 0
        end
        put_back(self, self.taken)
    end
    local taken = { bytes = 0 }
    self.taken = taken
    local err = socket.within(seconds_for_all(self), read, self, taken, what)
    if self.taken == taken then
        self.taken = nil
    end
    return joined(taken, what), err, taken.bytes
end

-- ---- writing ----

local function wait_to_write(self)
    if self.block == 0 then
        return socket.ERROR_TIMEOUT
    end
    local _, _, err = socket.select(nil, { self.sock }, self.block)
    return err == object.system.EBADF and socket.ERROR_CLOSED or err
end

local function write_all(self, data, first, last)
    local at = first
    while true do
        local sent, err, part = socket.within(0, write, self.sock, data, at, last)
        if sent then
            return last - first + 1
        end
        at = at + part
        if err == socket.ERROR_TIMEOUT then
            err = wait_to_write(self)
        end
        if err then
            return nil, err, at - first
        end
    end
end

-- As ssocket's write.
function piecewise.write(self, data, first, last)
    return socket.within(seconds_for_all(self), write_all, self, data, first, last)
end

return piecewise
