-- getfd and setfd. setfd closes nothing: it changes which descriptor the object works on, and who closes it.
--
-- Two objects can have one descriptor for a while, as when a program writes new:setfd(old:getfd()) and then
-- old:setfd(-1). ssocket knows one owner only, so they share its socket.

local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

-- kind_of: which function is a getfd of ours, and of which kind of socket. plain: the socket of each object for which
-- select may take it. (A field of the object would be that of whatever stands before it, too.)
local descriptor = { kind_of = {}, plain = setmetatable({}, { __mode = "kv" }) }

-- Which object has told its number, and how many objects have a socket of ssocket, if several.
local lent = setmetatable({}, { __mode = "v" })
local holders = setmetatable({}, { __mode = "k" })

-- Whether two objects may have one socket.
function descriptor.are_shared()
    return next(holders) ~= nil
end

-- An object is not plain while it stands for a `number` that is no socket of its kind, or may have bytes of its own.
-- Called when one of these has changed.
function descriptor.changed(self)
    local is_plain = not (self.number or self.both or self.left or self.taken)
    descriptor.plain[self] = is_plain and self.sock or nil
end

-- The bytes that the socket has read ahead, which would keep it from giving the descriptor up.
local function take_pending(self)
    local sock = self.sock
    local count = sock.pending and sock:pending() or 0
    local left = self.left or ""
    return count > 0 and left .. (sock:read(count) or "") or self.left
end

-- Returns what was read and not handed out.
local function give_up(self)
    local sock = self.sock
    local count = holders[sock] or 1
    if count > 1 then
        holders[sock] = count > 2 and count - 1 or nil
        return nil
    end
    local left = take_pending(self)
    sock:detach()
    return left
end

local function shared_with_lender(fd, kind)
    local lender = lent[fd]
    local sock = lender and lender.sock
    if sock and getmetatable(sock) == kind and sock:fileno() == fd then
        holders[sock] = (holders[sock] or 1) + 1
        return sock
    end
end

-- ssocket's socket for the descriptor, or nil: it is none of that kind.
local function adopt(fd, kind)
    local sock, err = socket.fromfd(fd)
    if err == object.system.EBUSY then
        return shared_with_lender(fd, kind)
    elseif sock and getmetatable(sock) ~= kind then
        sock:detach()
        return nil
    end
    return sock
end

-- A descriptor that is a socket of another kind is closed, one that is no socket stays open.
local function close_number(self)
    local sock = self.number and socket.fromfd(self.number)
    if sock then
        sock:close()
    end
    self.number = nil
end

-- Closes the object's descriptor.
function descriptor.close(self)
    close_number(self)
    self.sock:close()
    self.lacks_descriptor = true
end

-- Whether the object has had a descriptor and has none now. One that has had none yet keeps options for it.
function descriptor.is_gone(self)
    return self.lacks_descriptor and self.sock:fileno() < 0
end

-- The methods of a class's group over sockets that `make` makes; attach(object, sock, left) gives it another one.
-- `number` is a descriptor that is no socket of this kind: good for select only.
function descriptor.methods(group, make, attach)
    local methods = {}
    local kind = getmetatable(make())

    function methods.getfd(self)
        object.check(self, group)
        local fd = self.number or self.sock:fileno()
        if fd >= 0 then
            lent[fd] = self
        end
        return fd
    end
    descriptor.kind_of[methods.getfd] = kind

    function methods.setfd(self, fd)
        object.check(self, group)
        fd = object.truncate(object.check_number(fd, 2), 32)
        local left = give_up(self)
        local sock = fd >= 0 and adopt(fd, kind) or nil
        self.number = fd >= 0 and not sock and fd or nil
        self.lacks_descriptor = not sock
        attach(self, sock or make(), left)
    end

    return methods
end

return descriptor
