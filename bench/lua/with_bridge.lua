-- The programs of LuaSocket, unchanged, on ssocket.luasocket.
require("contest").library "ssocket.luasocket".install()
dofile((arg[0]:gsub("with_bridge", "with_luasocket")))
