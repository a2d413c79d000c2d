-- Real servers on a free loopback port or on a Unix socket, with all of their files in one directory.

local sys = require "testsys"
local peer = require "support.peer"

local NGINX = [[
daemon off; master_process off; pid DIR/nginx.pid;
error_log stderr notice;
events { worker_connections 64; }
http {
  access_log off; default_type text/plain; client_body_temp_path DIR; proxy_temp_path DIR;
  fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR; client_max_body_size 0;
  server {
    listen ADDRESS; root DIR; keepalive_timeout 20s;
    location /hello { return 200 "hello\n"; }
    location /chunked/ { alias DIR/; ssi on; ssi_types *; }
  }
}
]]

-- For each server: argv for a directory and an address, the first of which is a port or nil and the second
-- a path; and the words with which it says that it listens.
local servers = {}

servers.nginx = {
    ready = 'using the "',
    argv = function(dir, port, path)
        local address = port and "127.0.0.1:" .. port or "unix:" .. path
        local conf = assert(io.open(dir .. "/nginx.conf", "w"))
        conf:write((NGINX:gsub("DIR", dir):gsub("ADDRESS", address)))
        conf:close()
        return { "nginx", "-p", dir, "-c", dir .. "/nginx.conf", "-e", "stderr" }
    end,
}

servers.redis = {
    ready = "eady to accept connections",
    argv = function(dir, port, path)
        local argv = { "redis-server", "--dir", dir, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1" }
        for _, word in ipairs { "--port", tostring(port or 0), path and "--unixsocket", path } do
            argv[#argv + 1] = word
        end
        return argv
    end,
}

servers.memcached = {
    ready = "server listening",
    argv = function(_, port, path)
        local argv = { "memcached", "-vv", "-u", "root", "-m", "16", "-t", "1" }
        for _, word in ipairs(path and { "-s", path } or { "-U", "0", "-l", "127.0.0.1", "-p", tostring(port) }) do
            argv[#argv + 1] = word
        end
        return argv
    end,
}

local server = {}

-- A port that was free a moment ago, asked of the system without the module under test.
local function free_port()
    local p = peer.python [[
    s = socket.socket(); s.bind(("127.0.0.1", 0)); say(s.getsockname()[1])
  ]]
    local port = p:number()
    p:finish()
    return port
end

-- Starts it, on a Unix socket in dir if unix is true, else on a free port: another one if somebody was faster.
function server.start(name, dir, unix)
    local kind = assert(servers[name], "no such server")
    local err
    for _ = 1, 5 do
        local port = not unix and free_port() or nil
        local path = unix and dir .. "/" .. name .. ".sock" or nil
        local self = peer.spawn(kind.argv(dir, port, path), true)
        local ok, why = pcall(self.await, self, kind.ready)
        if ok then
            self.port, self.path, self.dir = port, path, dir
            return self
        end
        err = why
        self:kill()
    end
    error(err, 0)
end

-- Asks it to end and waits until it has.
function server.stop(self)
    sys.kill(self.pid, sys.SIGTERM)
    self:kill()
end

return server
