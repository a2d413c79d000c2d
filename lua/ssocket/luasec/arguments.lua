-- Arguments of a LuaSec call: what it takes, and what it raises for others.

local arguments = {}

local function bad(position, call, expected, value)
    error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, call, expected, type(value)), 4)
end

-- As luaL_checkstring: a number is its text.
function arguments.text(value, position, call)
    if type(value) == "number" then
        return tostring(value)
    elseif type(value) ~= "string" then
        bad(position, call, "string", value)
    end
    return value
end

function arguments.optional_text(value, position, call)
    if value == nil then
        return nil
    elseif type(value) == "number" then
        return tostring(value)
    elseif type(value) ~= "string" then
        bad(position, call, "string", value)
    end
    return value
end

-- As luaL_checkinteger.
function arguments.integer(value, position, call)
    local number = tonumber(value)
    if not number or type(value) == "boolean" then
        bad(position, call, "number", value)
    elseif number ~= math.floor(number) then
        error(("bad argument #%d to '%s' (number has no integer representation)"):format(position, call), 3)
    end
    return number
end

-- The values of a parameter that is one value, or an array. What is in no array would be overlooked, so that it raises.
function arguments.list(value, name)
    if value == nil or value == false then
        return {}
    elseif type(value) ~= "table" then
        return { value }
    end
    local count, list = 0, {}
    for key in pairs(value) do
        count = count + 1
        if type(key) ~= "number" then
            error(("bad parameter '%s' (an array expected, and there is a field '%s')"):format(name, tostring(key)), 0)
        end
    end
    for i = 1, math.max(count, #value) do -- a proxy may have more than there is to see
        if value[i] == nil then
            error(("bad parameter '%s' (an array expected, and its element #%d is nil)"):format(name, i), 0)
        end
        list[i] = value[i]
    end
    return list
end

return arguments
