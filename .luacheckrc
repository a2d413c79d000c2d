-- One source runs on every Lua from 5.1 to 5.4 and on LuaJIT, hence every version's globals.
std = "max"
max_line_length = 120
codes = true

files["spec"] = { std = "max+busted" }
files["*.rockspec"] = { std = "rockspec" }

-- Definitions for an editor: empty functions whose parameters only carry their annotations.
files["types"] = { ignore = { "211", "212", "241", "631" } }

-- Programs that test/host/programs.c runs; what they keep until the state is closed is global.
files["test/fuzz/corpus/programs"] = { allow_defined_top = true, ignore = { "131" }, globals = { "refuse", "stress" } }
