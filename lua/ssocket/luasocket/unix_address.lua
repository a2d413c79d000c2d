-- Names of Unix sockets: LuaSocket's paths, and ssocket's addresses "unix:/path", "unix:@name" and "unix:".

local names = require "ssocket.luasocket.names"
local object = require "ssocket.luasocket.object"

local unix_address = { TOO_LONG = "path too long" }

local LONGEST = 107 -- bytes, see unix(7)

-- ssocket's address for a path, or nil: it is too long. A name that begins with NUL is in Linux's abstract namespace;
-- elsewhere NUL ends a path.
function unix_address.of(path)
    local is_abstract = path:byte() == 0 and #path > 1
    local name = is_abstract and path or path:match "^[^%z]*"
    if #name > LONGEST then
        return nil
    elseif is_abstract then
        return "unix:@" .. name:sub(2)
    elseif name:sub(1, 1) == "@" then
        return "unix:./" .. name
    end
    return "unix:" .. name
end

-- The path of an address.
function unix_address.path(address)
    local name = address:sub(6)
    return name:sub(1, 1) == "@" and "\0" .. name:sub(2) or name
end

-- The method of a group's objects.
function unix_address.getsockname(group)
    return function(self)
        object.check(self, group)
        local address, err = self.sock:getsockname()
        if not address then
            return nil, names.text_of(err)
        end
        return unix_address.path(address)
    end
end

return unix_address
