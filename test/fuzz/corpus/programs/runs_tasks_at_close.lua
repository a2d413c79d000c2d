-- While the state is closed a finalizer runs the tasks, one of which has failed. In Lua 5.3 a whole collection does not
-- end there.
local socket = require "ssocket"
socket.sleep(0)
Task = socket.spawn(error)
socket.sleep(0)
local function run() socket.run() end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = run
else Kept = setmetatable({}, { __gc = run }) end
Other = setmetatable({}, { __gc = function() end })
