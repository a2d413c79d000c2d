-- What a task yields is not its own mark, even if it is its handle, or what a debugger has found on its stack.
local socket = require "ssocket"
local task, mark, co
task = socket.spawn(function()
    co = coroutine.running()
    socket.sleep(0)
    coroutine.yield(task)
    coroutine.yield(task, task)
    if mark then coroutine.yield(mark) end
end)
socket.sleep(0)
for i = 1, 9 do
    local _, v = debug.getlocal(co, 0, i)
    if type(v) == "userdata" then mark = v end
end
pcall(socket.run)
