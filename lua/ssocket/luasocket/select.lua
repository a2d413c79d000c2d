-- LuaSocket's select: over anything that has a method `getfd`, and `dirty` if it has bytes of its own.
--
-- Where all elements are objects of ours with a `plain` socket, see descriptor.lua, ssocket's select gets these.
-- Everything else is selected by the numbers of descriptors.

local descriptor = require "ssocket.luasocket.descriptor"
local object = require "ssocket.luasocket.object"
local socket = require "ssocket"

local pending = socket.tcp().pending
local fileno = { tcpsock = socket.tcp().fileno, udpsock = socket.udp().fileno }
local kind_of = descriptor.kind_of

-- ---- by numbers ----

-- The descriptor of an element, or nil: it is passed over. Numbers and booleans raise Lua's error for indexing.
local function descriptor_of(element)
    local getfd = element.getfd
    local own = kind_of[getfd]
    local fd
    if own then
        fd = element.number or fileno[own](element.sock)
    elseif getfd == nil then
        return nil
    else
        fd = tonumber((getfd(element)))
    end
    return fd and fd >= 0 and fd < 2 ^ 31 and fd - fd % 1 or nil
end

-- Adds a list's descriptors to `fds`, each once, and says in `objects` which element each one stands for.
local function collect(list, fds, objects)
    if list == nil then
        return
    end
    local seen = {}
    local i = 1
    local element = list[i]
    while element ~= nil do
        local fd = descriptor_of(element)
        if fd then
            if not seen[fd] then
                seen[fd] = true
                fds[#fds + 1] = fd
            end
            objects[fd] = element
        end
        i = i + 1
        element = list[i]
    end
end

local function is_dirty(element)
    local dirty = element.dirty
    return dirty ~= nil and dirty(element)
end

-- The elements that have bytes of their own. Their descriptors need not be watched.
local function collect_dirty(list, fds)
    local found, clean = {}, {}
    local i = 1
    local element = list and list[i]
    while element ~= nil do
        local fd = descriptor_of(element)
        if fd and is_dirty(element) then
            found[#found + 1] = element
            clean[fd] = true
        end
        i = i + 1
        element = list[i]
    end
    if not found[1] then
        return found, fds
    end
    local watched = {}
    for _, fd in ipairs(fds) do
        watched[#watched + 1] = not clean[fd] and fd or nil
    end
    return found, watched
end

-- Appends to `result` what `by_fd` has for these descriptors, by their numbers, and adds the positions of all elements.
local function add_ready(result, fds, by_fd)
    if fds[2] then
        table.sort(fds)
    end
    local n = #result
    for i = 1, #fds do
        result[n + i] = by_fd[fds[i]]
    end
    for i = 1, #result do
        result[result[i]] = i
    end
    return result
end

-- Whether a socket was closed, or has got another descriptor, since `objects` was made.
local function has_changed(objects)
    for fd, element in pairs(objects) do
        if descriptor_of(element) ~= fd then
            return true
        end
    end
    return false
end

local function seconds_left(deadline)
    return deadline and math.max(deadline - socket.now(), 0) or -1
end

-- Looks once. Returns the results, or nil when it has to look again because a socket was closed meanwhile.
local function look(readers, writers, seconds)
    local reads, writes, objects = {}, {}, {}
    collect(readers, reads, objects)
    collect(writers, writes, objects)
    local dirty, watched = collect_dirty(readers, reads)
    local ready_reads, ready_writes, err = socket.select(watched, writes, dirty[1] and 0 or seconds)
    if err == object.system.EBADF then
        return nil, has_changed(objects)
    elseif err and not dirty[1] then
        return {}, {}, object.text[err]
    end
    return add_ready(dirty, ready_reads or {}, objects), add_ready({}, ready_writes or {}, objects)
end

-- ---- by sockets ----

local plain = descriptor.plain

-- The sockets of objects, and the objects, or nil: there is something else in the list.
local function sockets_of(list)
    local socks, elements = {}, {}
    local i = 1
    local element = list and list[1]
    while element ~= nil do
        local sock = plain[element]
        if not sock then
            return nil
        end
        socks[i], elements[i] = sock, element
        i = i + 1
        element = list[i]
    end
    return socks, elements
end

-- The results for the sockets that are ready, which are in the order of `socks`. Of several elements with one socket
-- the last is meant. Those that read and have unread input come first.
local function elements_ready(ready, socks, elements, are_readers)
    local dirty, fds, by_fd = {}, {}, {}
    local at = 1
    for i = 1, #ready do
        local sock = ready[i]
        while socks[at] ~= sock do
            at = at + 1
        end
        local element = elements[at]
        at = at + 1
        local kind = getmetatable(sock)
        local fd = fileno[kind](sock)
        if are_readers and kind == "tcpsock" and pending(sock) > 0 then
            dirty[#dirty + 1] = element
        else
            fds[#fds + 1] = not by_fd[fd] and fd or nil
            by_fd[fd] = element
        end
    end
    return add_ready(dirty, fds, by_fd)
end

-- As look, or nil: the sockets have to be selected by their numbers.
local function look_at_sockets(readers, writers, seconds)
    local reads, readable = sockets_of(readers)
    local writes, writable
    if reads and not descriptor.are_shared() then
        writes, writable = sockets_of(writers)
    end
    if not writes then
        return nil
    end
    local ready_reads, ready_writes, err = socket.select(reads, writes, seconds)
    if err == object.system.EBADF then
        return nil
    elseif err then
        return {}, {}, object.text[err]
    end
    return elements_ready(ready_reads, reads, readable, true), elements_ready(ready_writes, writes, writable, false)
end

-- ---- select ----

local function check_list(list, position)
    if list ~= nil and type(list) ~= "table" then
        object.misuse(2, position, ("table expected, got %s"):format(type(list)))
    end
end

return function(readers, writers, seconds)
    seconds = seconds == nil and -1 or object.check_number(seconds, 3)
    check_list(readers, 1)
    check_list(writers, 2)
    if seconds ~= seconds then
        seconds = 0
    end
    local deadline = seconds >= 0 and socket.now() + seconds or nil
    local reads, writes, err = look_at_sockets(readers, writers, seconds)
    while not reads do
        reads, writes, err = look(readers, writers, seconds_left(deadline))
        if not reads and not writes then
            error("select failed", 2)
        end
    end
    if err then
        return reads, writes, err
    end
    return reads, writes
end
