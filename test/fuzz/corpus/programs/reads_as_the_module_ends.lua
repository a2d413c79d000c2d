-- While the state is being closed a finalizer reads, and a task fails. Its handle is looked for, and in Lua 5.1 the
-- collector finalizes meanwhile all that there is: the bytes that were read come back when the module has ended.
local socket = require "ssocket"
local a, b = socket.pair()
a:settimeout(0.001)
b:settimeout(0.001)
a:write(("x"):rep(300000))
local task
local function read()
    task = socket.spawn(error)
    b:readall()
    return a, task
end
if newproxy then Kept = newproxy(true) getmetatable(Kept).__gc = read
else Kept = setmetatable({}, { __gc = read }) end
