-- Lists of protocols' names, RFC 7301: arrays, and the form that they have in a message.

local alpn = {}

-- The form in a message; nil and LuaSec's text.
function alpn.encode(names)
    local parts = {}
    for i, name in ipairs(names) do
        if type(name) ~= "string" then
            return nil
        elseif name == "" then
            return nil, "invalid ALPN name (empty string)"
        elseif #name > 255 then
            return nil, "invalid ALPN name (length > 255)"
        end
        parts[i] = string.char(#name) .. name
    end
    if not parts[1] then
        return nil, "invalid ALPN list (empty)"
    end
    return table.concat(parts)
end

function alpn.decode(text)
    local names, at = {}, 1
    while at < #text do
        local len = text:byte(at)
        names[#names + 1] = text:sub(at + 1, at + len)
        at = at + len + 1
    end
    return names
end

return alpn
