-- Runs busted under the Lua that runs this file. The command `busted` itself belongs to one Lua (or is a
-- shell script, when luarocks installed it), and the specs are to run under each.
require("busted.runner")({ standalone = false })
