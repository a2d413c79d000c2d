-- What SSOCKET_WORLD=tls leaves out.

local left_out = {}

-- File, a part of the test's full name ("" is all of the file), reason.
left_out.tests = {
    { "read", "has a write fail as closed once the error", "each later call has the error that ended the stream" },
    { "read", "whatever a write was told", "a write counts what is encrypted as sent" },
    { "write", "raises no signal where SIGPIPE", "a write counts what is encrypted as sent" },
    { "write", "fails as reset when the reset is seen first", "the same" },
    { "write", "does not lose what the peer had sent before", "the same" },
    { "write", "fails as closed once the reset has been seen", "each later call has the error that ended the stream" },
    { "peek", "keeps the socket readable for select", "detach says that TLS is in use" },
    { "select", "writable again when the peer has read", "what is encrypted waits in the socket after a time-out" },
    { "finish", "waits for the confirmation of a peer", "what is encrypted waits in the socket after a time-out" },
    { "close", "closes a socket that nobody holds", "a collected socket says no close_notify" },
    { "close", "closes its socket at an error", "a block left by an error says no close_notify" },
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
