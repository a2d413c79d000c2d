-- Processes on the other side: started, talked to line by line, and never left behind.
-- Every wait has a limit; a peer that breaks it fails the spec.

local sys = require "testsys"

local LIMIT = 10 * (tonumber(os.getenv "SSOCKET_SLOW") or 1) -- seconds for one answer of a peer
local live = {} -- peers that have not been finished or killed yet

local Peer = {}
Peer.__index = Peer

local peer = {}

-- Starts argv; with errors_too its standard error comes with its standard output.
function peer.spawn(argv, errors_too)
    local pid, stdin, stdout = assert(sys.spawn(argv, errors_too))
    local self = setmetatable({ pid = pid, stdin = stdin, stdout = stdout, buffer = "", name = argv[1] }, Peer)
    live[self] = true
    return self
end

-- What the process does, where the system tells (proc(5)): whether it computes, waits or has ended.
local function activity(pid)
    local told = {}
    for _, name in ipairs { "stat", "wchan", "syscall" } do
        local file = io.open(("/proc/%d/%s"):format(pid, name))
        told[#told + 1] = file and name .. ": " .. (file:read "*l" or "?")
        if file then
            file:close()
        end
    end
    return table.concat(told, "; ")
end

-- Reads once more. False at the end of the output.
function Peer:fill(deadline)
    local data, err = sys.read(self.stdout, 65536, math.max(0, deadline - sys.now()))
    if not data then
        error(("%s: no answer: %s (%s), so far: %s"):format(self.name, err, activity(self.pid), self.buffer), 0)
    end
    self.buffer = self.buffer .. data
    return data ~= ""
end

function Peer:cut(first, last)
    local data = self.buffer:sub(1, first)
    self.buffer = self.buffer:sub(last + 1)
    return data
end

-- The next line of the output, without its end.
function Peer:line(limit)
    local deadline = sys.now() + (limit or LIMIT)
    while not self.buffer:find("\n", 1, true) do
        if not self:fill(deadline) then
            error(self.name .. " ended instead of saying a line: " .. self.buffer, 0)
        end
    end
    local at = self.buffer:find("\n", 1, true)
    return self:cut(at - 1, at)
end

-- The next line, which is a number.
function Peer:number(limit)
    return assert(tonumber(self:line(limit)))
end

-- Reads lines until one holds the plain text; returns that line.
function Peer:await(text, limit)
    local line
    repeat
        line = self:line(limit)
    until line:find(text, 1, true)
    return line
end

-- Exactly n bytes of the output.
function Peer:take(n, limit)
    local deadline = sys.now() + (limit or LIMIT)
    while #self.buffer < n do
        if not self:fill(deadline) then
            error(self.name .. " ended early: " .. self.buffer, 0)
        end
    end
    return self:cut(n, n)
end

-- All of the output up to its end.
function Peer:rest(limit)
    local deadline = sys.now() + (limit or LIMIT)
    while self:fill(deadline) do
        assert(#self.buffer < 64 * 1024 * 1024, "a peer talks without end")
    end
    return self:cut(#self.buffer, #self.buffer)
end

function Peer:send(data)
    assert(sys.send(self.stdin, data, LIMIT))
end

function Peer:say(text)
    self:send(tostring(text) .. "\n")
end

-- The peer sees the end of its standard input.
function Peer:eof()
    if self.stdin then
        sys.close(self.stdin)
        self.stdin = nil
    end
end

function Peer:forget()
    self:eof()
    sys.close(self.stdout)
    live[self] = nil
end

-- Waits for its end, which must be a success. Returns what it still said.
function Peer:finish(limit)
    local rest = self:rest(limit)
    local how, code = sys.wait(self.pid, limit or LIMIT)
    self:forget()
    if how ~= "exit" or code ~= 0 then
        error(("%s ended with %s %s: %s"):format(self.name, tostring(how), tostring(code), rest), 0)
    end
    return rest
end

function Peer:kill()
    if live[self] then
        sys.kill(self.pid, sys.SIGKILL)
        sys.wait(self.pid, LIMIT)
        self:forget()
    end
end

function peer.kill_all()
    for p in pairs(live) do
        p:kill()
    end
end

-- What every Python peer can use: say, hear, listen (tells its port), accept, connect, take, drain, reset.
local PRELUDE = [[
import socket, sys, os, time, struct, select, signal, zlib
signal.alarm(60)
argv = sys.argv[1:]
def say(*args):
    print(*args, flush=True)
def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(9)
    return line.rstrip("\n")
def listen(backlog=16, host="127.0.0.1"):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.bind((host, 0)); s.listen(backlog); say(s.getsockname()[1])
    return s
def accept():
    with listen() as l: return l.accept()[0]
def connect(port, host="127.0.0.1"):
    return socket.create_connection((host, int(port)), 10)
def take(s, n):
    data = bytearray() # bytes would be copied for each piece
    while len(data) < n:
        piece = s.recv(min(n - len(data), 1 << 20))
        if not piece: break
        data += piece
    return bytes(data)
def drain(s):
    pieces = []
    while True:
        piece = s.recv(1 << 20)
        if not piece: return b"".join(pieces)
        pieces.append(piece)
def digest(data):
    return zlib.crc32(data)
def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
]]

-- Code may be indented as the Lua around it is: the first line tells by how much.
function peer.dedent(code)
    local indent = code:match "^%s-\n?([ \t]*)%S" or ""
    return (("\n" .. code):gsub("\n" .. indent, "\n"))
end

-- The system's own, where there is one: version managers put scripts of their own before it, which take their time.
local system_python = io.open "/usr/bin/python3"
peer.python3 = system_python and "/usr/bin/python3" or "python3"
if system_python then
    system_python:close()
end

-- Runs Python code; the other arguments are its argv (as text).
function peer.python(code, ...)
    local argv = { peer.python3, "-I", "-S", "-c", PRELUDE .. peer.dedent(code) }
    for i = 1, select("#", ...) do
        argv[#argv + 1] = tostring((select(i, ...)))
    end
    return peer.spawn(argv)
end

function peer.socat(...)
    return peer.spawn { "socat", ... }
end

-- socat that listens: waits until it does. peer.address is what it says it listens on.
function peer.socat_server(...)
    local self = peer.spawn({ "socat", "-d", "-d", ... }, true)
    self.address = self:await "listening on":match "listening on (.*)$"
    self.port = tonumber(self.address:match ":(%d+)$")
    return self
end

return peer
