-- What SSOCKET_WORLD=tls leaves out.

local left_out = {}

-- File, a part of the test's full name ("" is all of the file), reason.
left_out.tests = {
    { "task_socket", "detach by another task", "detach says that TLS is in use" },
    { "task_socket", "is told when a socket in it is given away", "the same" },
    { "task_socket", "shutdown by another task ends what writes", "shutdown(SHUT_WR) counts as writing" },
    { "task_socket", "what has come before a deadline", "it sends bytes past the layer" },
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
