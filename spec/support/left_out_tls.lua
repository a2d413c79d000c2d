-- What SSOCKET_WORLD=tls leaves out.

local left_out = {}

-- File, a part of the test's full name ("" is all of the file), reason.
left_out.tests = {
}

-- Why a test is left out, or nil.
function left_out.reason(file, name)
    for _, entry in ipairs(left_out.tests) do
        if file:find("/" .. entry[1] .. "_spec.lua", 1, true) and name:find(entry[2], 1, true) then
            return entry[3]
        end
    end
end

return left_out
