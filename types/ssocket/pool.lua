---@meta ssocket.pool
-- Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`.

---Pools of connections.
---@class ssocket.poolmodule
local poolmodule = {}

---A pool with these options, each of which may be left out. `max`: how many open connections there may be for
---a key, 1 or more, no limit by default. `idle`: how many of them may be in the pool, 0 or more, 10 by
---default. `timeout`: for how many seconds each may be in the pool, 60 by default; negative or `math.huge`:
---no limit.
---@param options? table see above
---@return ssocket.pool p # see Pool objects
function poolmodule.new(options) end

---Pool objects.
---@class ssocket.pool
local pool = {}

---Gives the connection of that key that was put last, if it is still sound: not too old, and nothing has
---arrived on it. Otherwise calls `dial()`, which returns a new connection, or `nil` and an error. When there
---are `max` connections for the key, and none is idle, it waits until one is put or dropped. Who waits first
---is served first.
---
---When `dial` fails or raises, or the wait ends, the place goes to the next in line.
---@param key any what connections that are alike have in common; not nil, not NaN
---@param dial fun(): tcpsock?, string? connects; what it raises comes out of `get`; it may wait and use the pool
---@param timeout? number seconds; for the wait in line and `dial` together, as in `within`; negative: no limit; 0: do not wait
---@return tcpsock? sock # the connection
---@return boolean|string? reused # whether it was in the pool; where `sock` is nil, the error
function pool:get(key, dial, timeout) end

---Gives back a connection that `get` has given out for this key. Who waits in line gets it; else it is kept
---for the next one, and when more than `idle` are there, the oldest is closed. The caller must not use it any
---more.
---
---One that nobody could go on with is not kept but closed. In that case too its place is free.
---@param key any what connections that are alike have in common; not nil, not NaN
---@param sock tcpsock the connection
---@return true? ok # kept, or handed on
---@return string? err
function pool:put(key, sock) end

---Closes a connection that `get` has given out for this key. The next in line may make another. This is for
---those that have failed, or of which the last answer was not read to its end.
---@param key any what connections that are alike have in common; not nil, not NaN
---@param sock tcpsock the connection
---@return true? ok # closed
---@return string? err
function pool:drop(key, sock) end

---Closes all connections in the pool. Who waits in `get` is woken with `ERROR_CLOSED`. `put` closes from now
---on what is given back. Closing it again changes nothing.
---@return true ok # always
function pool:close() end

return poolmodule
