-- Places for Unix sockets and files: directories that are removed after each test, names that nobody else uses.

local sys = require "testsys"

local place = {}
local dirs = {}
local names = 0

function place.tmpdir()
    local dir = assert(sys.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/ssocket-XXXXXX"))
    dirs[dir] = true
    return dir
end

function place.remove_all()
    for dir in pairs(dirs) do
        os.execute("rm -rf '" .. dir .. "'")
        dirs[dir] = nil
    end
end

-- An address in the abstract namespace.
function place.abstract()
    names = names + 1
    return ("unix:@ssocket-spec-%d-%d"):format(sys.getpid(), names)
end

return place
