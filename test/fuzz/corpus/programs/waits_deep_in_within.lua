-- Calls that wait deep in a recursion inside socket.within: looking for the deadline must not take quadratic time.
local socket = require "ssocket"
local function down()
    return 1 + down()
end
socket.within(100, function()
    xpcall(down, function()
        for _ = 1, 20 do
            socket.sleep(0.0001)
        end
    end)
    return true
end)
