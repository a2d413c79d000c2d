-- DER, X.690: elements of a string. An element is a table: `tag`, its first byte; `first` and `last`, the positions of
-- its contents in `bytes`; `start`, where its tag stands. What comes from a stranger has any bytes: whatever does not
-- fit is nil.

local der = {}

der.BOOLEAN, der.INTEGER, der.BIT_STRING, der.OCTET_STRING, der.OID = 0x01, 0x02, 0x03, 0x04, 0x06
der.UTC_TIME, der.GENERALIZED_TIME = 0x17, 0x18
der.SEQUENCE, der.SET = 0x30, 0x31

local MAX_LENGTH_BYTES = 4

-- The length at `at`, and where the contents begin. The form without a length is no DER.
local function read_length(bytes, at)
    local n = bytes:byte(at)
    if not n or n < 128 then
        return n, at + 1
    end
    local count = n - 128
    if count == 0 or count > MAX_LENGTH_BYTES or at + count > #bytes then
        return nil
    end
    local len = 0
    for i = at + 1, at + count do
        len = len * 256 + bytes:byte(i)
    end
    return len, at + 1 + count
end

-- The element whose tag stands at `at`, none of it behind `last`.
function der.element(bytes, at, last)
    local tag = at < last and bytes:byte(at)
    if not tag or tag % 32 == 31 then -- tags of several bytes: certificates have none
        return nil
    end
    local len, first = read_length(bytes, at + 1)
    if not len or first + len - 1 > last then
        return nil
    end
    return { tag = tag, bytes = bytes, start = at, first = first, last = first + len - 1 }
end

-- The elements inside another one, or nil.
function der.children(element)
    local list, at = {}, element.first
    while at <= element.last do
        local child = der.element(element.bytes, at, element.last)
        if not child then
            return nil
        end
        list[#list + 1], at = child, child.last + 1
    end
    return list
end

function der.contents(element)
    return element.bytes:sub(element.first, element.last)
end

-- With its tag and its length.
function der.whole(element)
    return element.bytes:sub(element.start, element.last)
end

local function join_arcs(arcs)
    local first = arcs[1]
    local root = math.min(math.floor(first / 40), 2)
    arcs[1] = string.format("%d.%.0f", root, first - 40 * root)
    return table.concat(arcs, ".")
end

-- "2.5.4.3", or nil. Numbers are exact below 2^53, and larger ones are refused.
function der.oid(element)
    local arcs, n, open = {}, 0, true
    for i = element.first, element.last do
        local byte = element.bytes:byte(i)
        n, open = n * 128 + byte % 128, byte >= 128
        if n >= 2 ^ 53 then
            return nil
        elseif not open then
            arcs[#arcs + 1], n = #arcs == 0 and n or string.format("%.0f", n), 0
        end
    end
    return not open and join_arcs(arcs) or nil
end

return der
