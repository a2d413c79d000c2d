-- Ports of services by protocol, from services(5). ssocket finds a service of either protocol.

local services = {}

local FILE = "/etc/services"

local function is_among(name, words)
    for word in words:gmatch "%S+" do
        if word == name then
            return true
        end
    end
    return false
end

local function find_port(file, name, protocol)
    local is_listed = false
    for line in file:lines() do
        local first, port, kind, aliases = line:match "^([^#%s]+)%s+(%d+)/(%w+)([^#]*)"
        if first == name or first and is_among(name, aliases) then
            if kind == protocol then
                return tonumber(port)
            end
            is_listed = true
        end
    end
    return nil, is_listed
end

-- The port of a service for "tcp" or "udp", or nil and whether the file has it for other protocols.
function services.port(name, protocol)
    local file = io.open(FILE)
    if not file then
        return nil, false
    end
    local port, is_listed = find_port(file, name, protocol)
    file:close()
    return port, is_listed
end

return services
