local luasocket = require "support.luasocket"

local is, raises = luasocket.is, luasocket.raises

luasocket.describe("a TCP socket", function(socket)
    it("is a master at first", function()
        local s = socket.tcp()
        assert.equal("tcp{master}", s.class)
        is("-1", s:getfd())
        raises("tcp{client} expected", s.send, s, "abc")
        is("1", s:close())
    end)
end)
