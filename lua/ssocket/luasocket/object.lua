-- What all objects of LuaSocket have in common: classes, the checks of arguments, and the texts of errors.
--
-- An object is a table whose metatable is its class. `sock` is ssocket's socket under it. A class may be read as in
-- LuaSocket: the methods and the class's name stand in getmetatable(s).__index.

local socket = require "ssocket"

local object = {}

-- ---- texts of errors ----

local BY_SYMBOL = {
    ETIMEDOUT = "timeout",
    EPIPE = "closed",
    ECONNRESET = "closed",
    ECONNABORTED = "closed",
    ECONNREFUSED = "connection refused",
    EADDRINUSE = "address already in use",
    EISCONN = "already connected",
    EACCES = "permission denied",
    EAI_AGAIN = "temporary failure in name resolution",
    EAI_BADFLAGS = "invalid value for ai_flags",
    EAI_FAIL = "non-recoverable failure in name resolution",
    EAI_FAMILY = "ai_family not supported",
    EAI_MEMORY = "memory allocation failure",
    EAI_NONAME = "host or service not provided, or not known",
    EAI_SERVICE = "service not supported for socket type",
    EAI_SOCKTYPE = "ai_socktype not supported",
}

-- LuaSocket's text for each of ssocket's. Those that have none stay as they are.
object.text = setmetatable({}, {
    __index = function(texts, err)
        local text = BY_SYMBOL[socket.errname(err) or ""] or err
        texts[err] = text
        return text
    end,
})

-- Linux numbers errors from 1 to 133, others below 100.
local LAST_ERRNO = 255

-- ssocket's text for an error of the system.
object.system = setmetatable({}, {
    __index = function(texts, symbol)
        for n = 1, LAST_ERRNO do
            local text = socket.strerror(n)
            if socket.errname(text) == symbol then
                texts[symbol] = text
                return text
            end
        end
    end,
})

-- ---- arguments ----

-- As luaL_argerror. At level 1 the caller is the function that was misused, at level 2 the caller's caller.
function object.misuse(level, position, why)
    local called = debug.getinfo(level + 1, "n") or {}
    if called.namewhat == "method" then
        position = position - 1
    end
    local name = called.name or "?"
    if position == 0 then
        error(("calling '%s' on bad self (%s)"):format(name, why), level + 2)
    end
    error(("bad argument #%d to '%s' (%s)"):format(position, name, why), level + 2)
end

local misuse = object.misuse

local function type_error(level, position, wanted, value)
    misuse(level + 1, position, ("%s expected, got %s"):format(wanted, value == nil and "no value" or type(value)))
end

-- The checks below are called by the functions whose arguments they check.

function object.check_string(value, position)
    local kind = type(value)
    if kind == "string" then
        return value
    elseif kind ~= "number" then
        type_error(2, position, "string", value)
    end
    return tostring(value)
end

function object.check_number(value, position)
    local number = type(value) ~= "table" and tonumber(value)
    if not number then
        type_error(2, position, "number", value)
    end
    return number
end

function object.check_type(value, position, kind)
    if type(value) ~= kind then
        type_error(2, position, kind, value)
    end
    return value
end

-- As C's conversion of a double to a signed type of so many bits, but one that is too large becomes the largest.
function object.truncate(number, bits)
    local most = 2 ^ (bits - 1)
    if number ~= number then
        return 0
    elseif number >= most then
        return most - 1
    elseif number <= -most then
        return -most
    end
    return number < 0 and math.ceil(number) or math.floor(number)
end

-- ---- classes ----

function object.add(methods, others)
    for name, f in pairs(others) do
        methods[name] = f
    end
end

-- A table whose metatable has a __tostring has no address that can be printed: that of another one stands for it.
local function tostring_object(self)
    self.place = self.place or {}
    return ("%s: %s"):format(getmetatable(self).__index.class, tostring(self.place):match ":%s*(.*)$")
end

-- A class with that name and a copy of the methods, which belongs to the groups.
function object.class(name, methods, ...)
    local index = { class = name }
    object.add(index, methods)
    local class = { __index = index, __tostring = tostring_object, [name] = true }
    for _, group in ipairs { ... } do
        class[group] = true
    end
    return class
end

-- Called by a method whose first argument must be an object of the class or group.
function object.check(self, group)
    local class = getmetatable(self) -- a string for ssocket's sockets
    if not class or class == true or not class[group] then
        misuse(2, 1, ("%.35s expected"):format(group))
    end
end

return object
