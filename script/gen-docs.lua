-- Makes docs/reference.md, types/ssocket.lua, types/ssocket/pool.lua, types/ssocket/tls.lua, types/ssocket/luasec.lua
-- and the table of calls in README.md from docs/api.lua.
--
--   lua script/gen-docs.lua             writes the files
--   lua script/gen-docs.lua --check     exits with 1 if a file is not what it would write
--   lua script/gen-docs.lua --module    exits with 1 if the modules that `require` finds and docs/api.lua differ;
--                                       where ssocket.tls was not built it says so, and checks the others
--
-- Runs on every Lua that the module runs on and needs nothing else.

local root = arg[0]:match "^(.*)script[/\\]" or ""
local api = dofile(root .. "docs/api.lua")

-- ---- text ----

local function trim(text)
    return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- A line must not begin with what Markdown takes for a list or a heading.
local function may_begin(word)
    return not word:find "^[-+*#>|]" and not word:find "^%d+[.)]$"
end

local function wrap(text, width, prefix, first)
    local lines, line = {}, nil
    for word in text:gmatch "%S+" do
        if not line then
            line = (first or prefix) .. word
        elseif #line + 1 + #word > width and may_begin(word) then
            lines[#lines + 1] = line
            line = prefix .. word
        else
            line = line .. " " .. word
        end
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\n")
end

local function join_lines(text)
    return trim((text:gsub("%s+", " ")))
end

-- Paragraphs are wrapped, code between ``` is kept.
local function paragraphs(text, width, prefix)
    local out = {}
    for block in (trim(text) .. "\n\n"):gmatch "(.-)\n[ \t]*\n" do
        if block:find "^%s*```" then
            out[#out + 1] = (block:gsub("\n[ \t]+", "\n"))
        else
            out[#out + 1] = wrap(block, width, prefix or "")
        end
    end
    return table.concat(out, "\n" .. (prefix or "") .. "\n")
end

local function dedent(code)
    local indent = code:match "^%s-([ \t]*)%S" or ""
    return trim((("\n" .. code):gsub("\n" .. indent, "\n")))
end

local function last_or(list)
    if #list < 2 then
        return list[1] or ""
    end
    return table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list]
end

-- ---- Markdown ----

local WIDTH = 110

-- "(tcpsock|integer)[]?" is "array of tcpsock or integer, or nil" to a person.
local function type_in_words(type)
    local optional = type:find "%?$" or type:find "|nil$"
    local inner = type:gsub("%?$", ""):gsub("|nil$", "")
    local array = inner:match "^%((.*)%)%[%]$" or inner:match "^([^|]*)%[%]$"
    local words = {}
    for word in (array or inner):gmatch "[^|]+" do
        words[#words + 1] = word:gsub("^ssocket%.", ""):gsub("^%((.*)%)%[%]$", "array of %1"):gsub('^(".*")$', "`%1`")
    end
    if optional and not array then
        words[#words + 1] = "nil"
    end
    local text = last_or(words)
    if array then
        text = "array of " .. text .. (optional and ", or nil" or "")
    end
    return text
end

local function in_words(param)
    if param.type == "address" then
        return param.optional and "may be left out; " .. param.text or param.text
    end
    local parts = { type_in_words(param.type) }
    if param.range then
        parts[#parts + 1] = param.range
    end
    if param.unit then
        parts[#parts + 1] = param.unit
    end
    if param.default then
        parts[#parts + 1] = "default " .. param.default
    end
    return table.concat(parts, ", ") .. "; " .. param.text
end

local function error_in_words(name)
    if name:find "^ERROR_" then
        return ("[`%s`](#errors)"):format(name)
    elseif name:find "^tls%.ERROR_" then
        return ("[`%s`](#tls-errors)"):format(name)
    elseif name:find "^E%u" then
        return ("text of `%s`"):format(name)
    elseif name == "gai_strerror" then
        return "text of gai_strerror(3)"
    end
    return ("`%s`"):format(name)
end

local function bullet(out, text)
    out[#out + 1] = wrap(text, WIDTH, "  ", "- ")
end

local function bullets(out, title, rows)
    if #rows == 0 then
        return
    end
    out[#out + 1] = title .. "\n"
    for _, row in ipairs(rows) do
        bullet(out, row)
    end
    out[#out + 1] = ""
end

local function takes_of(entry)
    local rows = {}
    for _, param in ipairs(entry.takes or {}) do
        rows[#rows + 1] = ("`%s`: %s"):format(param.name, in_words(param))
    end
    return rows
end

local function gives_of(entry)
    local rows = {}
    for _, row in ipairs(entry.gives) do
        if row[3] ~= "" then
            rows[#rows + 1] = ("`%s`: %s; %s"):format(row[1], type_in_words(row[2]), row[3])
        end
    end
    return rows
end

local function errors_of(entry)
    local rows = {}
    for _, row in ipairs(entry.errors or {}) do
        rows[#rows + 1] = ("%s: %s"):format(error_in_words(row[1]), row[2])
    end
    return rows
end

local function facts_of(entry)
    local rows = {}
    local function fact(title, text)
        if text then
            rows[#rows + 1] = ("**%s** %s"):format(title, join_lines(text))
        end
    end
    fact("Partial data:", entry.partial)
    fact("Over TLS:", entry.tls)
    fact("Raises:", entry.raises)
    fact("Waits:", entry.waits)
    fact("Decided by:", entry.by and table.concat(entry.by, "; "))
    return rows
end

local function code_block(code)
    return "```lua\n" .. dedent(code) .. "\n```\n"
end

local function heading(out, level, id, title)
    out[#out + 1] = ('<a id="%s"></a>\n'):format(id)
    out[#out + 1] = ("#"):rep(level) .. " " .. title .. "\n"
end

local function describe(out, entry)
    out[#out + 1] = code_block(table.concat(entry.call, "\n"))
    out[#out + 1] = paragraphs(entry.text, WIDTH) .. "\n"
    bullets(out, "**Takes**", takes_of(entry))
    bullets(out, "**Gives**", gives_of(entry))
    bullets(out, "**Fails with**", errors_of(entry))
    for _, fact in ipairs(facts_of(entry)) do
        out[#out + 1] = wrap(fact, WIDTH, "") .. "\n"
    end
    if entry.example then
        out[#out + 1] = code_block(entry.example)
    end
end

-- A value that is there beside the calls, or that the program may set.
local function describe_field(out, field)
    out[#out + 1] = code_block(field.call)
    out[#out + 1] = paragraphs(field.text, WIDTH) .. "\n"
    for _, fact in ipairs(facts_of(field)) do
        out[#out + 1] = wrap(fact, WIDTH, "") .. "\n"
    end
    if field.example then
        out[#out + 1] = code_block(field.example)
    end
end

local function id_of(section, entry)
    return section.id .. "-" .. entry.name
end

local function links(section, base)
    local list = {}
    for _, entry in ipairs(section.entries) do
        list[#list + 1] = ("[%s](%s#%s)"):format(entry.name, base, id_of(section, entry))
    end
    for _, field in ipairs(section.fields or {}) do
        list[#list + 1] = ("[%s](%s#%s)"):format(field.name, base, id_of(section, field))
    end
    for _, record in ipairs(section.records or {}) do
        list[#list + 1] = ("[%s](%s#%s)"):format(record.title:lower(), base, section.id .. "-" .. record.id)
    end
    if section.constants then
        list[#list + 1] = ("[errors](%s#%s-errors)"):format(base, section.id)
    end
    return table.concat(list, " · ")
end

local function contents(out)
    bullet(out, "[How every call behaves](#rules)")
    for _, rule in ipairs(api.rules) do
        out[#out + 1] = ("  - [%s](#%s)"):format(rule.title, rule.id)
    end
    bullet(out, "[Addresses](#addresses)")
    for _, section in ipairs(api.sections) do
        bullet(out, ("[%s](#%s): %s"):format(section.title, section.id, links(section, "")))
    end
    bullet(out, "[Iterators](#iterator)")
    bullet(out, "[Constants](#constants): [errors](#errors) · [shutdown](#shutdowns) · [options](#options)")
    out[#out + 1] = ""
end

local function rules(out)
    heading(out, 2, "rules", "How every call behaves")
    for _, rule in ipairs(api.rules) do
        heading(out, 3, rule.id, rule.title)
        out[#out + 1] = paragraphs(rule.text, WIDTH) .. "\n"
    end
end

local function addresses(out)
    heading(out, 2, "addresses", "Addresses")
    out[#out + 1] = paragraphs(api.address.text, WIDTH) .. "\n"
    for _, form in ipairs(api.address.forms) do
        bullet(out, form[1] .. ": " .. form[2])
    end
    out[#out + 1] = "\n" .. paragraphs(api.address.returned, WIDTH) .. "\n"
    for _, field in ipairs(api.address.fields) do
        local name = field[1]:find "^%d" and "[" .. field[1] .. "]" or "." .. field[1]
        bullet(out, ("`addr%s`: %s; %s"):format(name, type_in_words(field[2]), field[3]))
    end
    bullet(out, "**Decided by:** " .. table.concat(api.address.by, "; "))
    out[#out + 1] = ""
end

local function row(out, ...)
    out[#out + 1] = "| " .. table.concat({ ... }, " | ") .. " |"
end

local function head(out, ...)
    row(out, ...)
    out[#out + 1] = "|" .. (" --- |"):rep(select("#", ...))
end

-- "|" separates the cells of a table.
local function cell_type(type)
    return type_in_words(type):gsub("|", " or ")
end

-- A table that a call takes or gives.
local function describe_record(out, section, record)
    heading(out, 3, section.id .. "-" .. record.id, record.title)
    out[#out + 1] = paragraphs(record.text, WIDTH) .. "\n"
    head(out, "field", "type", "meaning", "decided by")
    for _, field in ipairs(record.fields) do
        row(out, ("`%s`"):format(field[1]), cell_type(field[2]), join_lines(field[3]), field[4])
    end
    out[#out + 1] = ""
end

local function error_rows(out, rows)
    head(out, "constant", "text", "when")
    for _, error_row in ipairs(rows) do
        row(out, ("`%s`"):format(error_row[1]), ("`%q`"):format(error_row[2]), join_lines(error_row[3]))
    end
    out[#out + 1] = ""
end

-- Those of a module beside `ssocket`: its version of another library, then its errors.
local function describe_constants(out, section)
    heading(out, 3, section.id .. "-errors", "Errors of " .. section.title)
    local version = section.version
    out[#out + 1] = ("`%s%s`: %s.\n"):format(section.prefix, version.name, version.text)
    error_rows(out, section.constants)
end

local function sections(out)
    for _, section in ipairs(api.sections) do
        heading(out, 2, section.id, section.title)
        out[#out + 1] = paragraphs(section.text, WIDTH) .. "\n"
        for _, entry in ipairs(section.entries) do
            heading(out, 3, id_of(section, entry), section.prefix .. entry.name)
            describe(out, entry)
        end
        for _, field in ipairs(section.fields or {}) do
            heading(out, 3, id_of(section, field), section.prefix .. field.name)
            describe_field(out, field)
        end
        for _, record in ipairs(section.records or {}) do
            describe_record(out, section, record)
        end
        if section.constants then
            describe_constants(out, section)
        end
    end
end

local function iterator(out)
    heading(out, 2, "iterator", "Iterators")
    describe(out, api.iterator)
end

local SOCKETS = { tcp = "tcpsock", udp = "udpsock", both = "both" }

local function constants(out)
    heading(out, 2, "constants", "Constants")
    out[#out + 1] = ("`socket.%s`: %s, `%q`.\n"):format(api.version.name, api.version.text, api.version.value)
    heading(out, 3, "errors", "Errors")
    error_rows(out, api.errors)
    heading(out, 3, "shutdowns", "Shutdown")
    head(out, "constant", "meaning")
    for _, how in ipairs(api.shutdowns) do
        row(out, ("`%s`"):format(how[1]), how[2])
    end
    out[#out + 1] = ""
    heading(out, 3, "options", "Options")
    out[#out + 1] = paragraphs(api.options_text, WIDTH) .. "\n"
    head(out, "constant", "value", "type", "sockets", "meaning and unit", "decided by")
    for _, opt in ipairs(api.options) do
        local name, value = ("`%s`"):format(opt[1]), ("`%q`"):format(opt[2])
        row(out, name, value, cell_type(opt[3]), SOCKETS[opt[4]], join_lines(opt[5]), opt[6])
    end
end

local NOTE = "Made by script/gen-docs.lua from docs/api.lua: change that file and run `make docs`."

local function reference()
    local out = { "<!-- " .. NOTE .. " -->\n", "# ssocket reference\n" }
    out[#out + 1] = paragraphs(api.text, WIDTH) .. "\n"
    contents(out)
    rules(out)
    addresses(out)
    sections(out)
    iterator(out)
    constants(out)
    return table.concat(out, "\n") .. "\n"
end

-- ---- the table in the README ----

local BEGIN = "<!-- calls: made by script/gen-docs.lua -->\n\n"
local END = "\n<!-- end of calls -->"

local function call_table()
    local out = {}
    head(out, "call", "what it does")
    for _, section in ipairs(api.sections) do
        for _, entry in ipairs(section.entries) do
            local call = entry.call[1]:match "([%w]+[.:].*)$"
            local link = ("[`%s`](docs/reference.md#%s)"):format(call, id_of(section, entry))
            row(out, link, entry.brief)
        end
        for _, field in ipairs(section.fields or {}) do
            local name = section.prefix .. field.name
            row(out, ("[`%s`](docs/reference.md#%s)"):format(name, id_of(section, field)), field.brief)
        end
    end
    return table.concat(out, "\n") .. "\n"
end

local function readme(old)
    local _, from = old:find(BEGIN, 1, true)
    local to = old:find(END, 1, true)
    assert(from and to, "README.md has lost its marks: " .. BEGIN .. END)
    return old:sub(1, from) .. call_table() .. old:sub(to)
end

-- ---- LuaLS ----

local function is_name(text)
    return text == "..." or text:find "^[%a_][%w_]*$" and text ~= "true"
end

-- An editor cannot follow the links of the reference.
local function unlink(text)
    return (text:gsub("%[([^%]]*)%]%([^)]*%)", "%1"))
end

local function remark(text)
    return paragraphs(unlink(text), WIDTH, "---")
end

local function returns_of(entry)
    local rows = {}
    local has_err = entry.bare or not entry.errors
    for _, value in ipairs(entry.gives) do
        rows[#rows + 1] = { value[2], is_name(value[1]) and value[1] or "", join_lines(value[3]) }
        has_err = has_err or value[1] == "err"
    end
    if not has_err then
        rows[#rows + 1] = { "string?", "err", "" }
    end
    return rows
end

local function result_types(entry)
    local types = {}
    for _, value in ipairs(returns_of(entry)) do
        types[#types + 1] = value[1]
    end
    return #types > 0 and ": " .. table.concat(types, ", ") or ""
end

-- The parameters that the definition itself shows. An address that may be left out is in the overloads alone.
local function shown(entry)
    local list = {}
    for _, param in ipairs(entry.takes) do
        if param.type ~= "address" then
            list[#list + 1] = param
        elseif not param.optional then
            list[#list + 1] = { name = "host", type = "string", text = "see Addresses in docs/reference.md" }
            list[#list + 1] = { name = "port", type = "integer", range = "0..65535", text = "" }
        end
    end
    if not entry.annotated then
        return list
    end
    local by_name, chosen = {}, {}
    for _, param in ipairs(list) do
        by_name[param.name] = param
    end
    for i, name in ipairs(entry.annotated) do
        chosen[i] = by_name[name]
    end
    return chosen
end

local function address_param(entry)
    for _, param in ipairs(entry.takes) do
        if param.type == "address" then
            return param
        end
    end
end

-- fun(...) with the parameters before the address, and the address in the form given.
local function overload(section, entry, form)
    local list = { "self: " .. section.class }
    for _, param in ipairs(entry.takes) do
        list[#list + 1] = param.type == "address" and form or ("%s: %s"):format(param.name, param.type)
    end
    return ("---@overload fun(%s)%s"):format(table.concat(list, ", "), result_types(entry))
end

local function overloads(out, section, entry)
    local param = address_param(entry)
    if param and param.optional then
        out[#out + 1] = overload(section, entry, "host: string, port: integer")
    end
    if param then
        out[#out + 1] = overload(section, entry, "address: ssocket.address|string")
    end
    if entry.overload then
        out[#out + 1] = "---@overload " .. entry.overload
    end
end

local function param_line(param)
    local mark = param.optional and "?" or ""
    local parts = {}
    for _, part in ipairs { param.range or "", param.unit or "", param.text } do
        if part ~= "" then
            parts[#parts + 1] = join_lines(part)
        end
    end
    local line = ("---@param %s%s %s %s"):format(param.name, mark, param.type, table.concat(parts, "; "))
    return trim(unlink(line))
end

local function return_line(value)
    local line = ("---@return %s %s"):format(value[1], value[2])
    if value[3] ~= "" then
        line = trim(line) .. " # " .. value[3]
    end
    return trim(unlink(line))
end

local function define(out, section, entry, variable)
    out[#out + 1] = remark(entry.text)
    local names = {}
    for i, param in ipairs(shown(entry)) do
        names[i] = param.name
        out[#out + 1] = param_line(param)
    end
    for _, value in ipairs(returns_of(entry)) do
        out[#out + 1] = return_line(value)
    end
    overloads(out, section, entry)
    local separator = section.static and "." or ":"
    out[#out + 1] = ("function %s%s%s(%s) end\n"):format(variable, separator, entry.name, table.concat(names, ", "))
end

local PARENT = { tcpsock = ": ssocket.socket", udpsock = ": ssocket.socket" }

local function aliases(out)
    out[#out + 1] = "---@alias ssocket.option"
    for _, opt in ipairs(api.options) do
        local type, sockets = type_in_words(opt[3]), SOCKETS[opt[4]]
        out[#out + 1] = ('---| "%s" # %s, %s; %s'):format(opt[2], type, sockets, join_lines(opt[5]))
    end
    out[#out + 1] = "\n---The value of SHUT_RD, SHUT_WR or SHUT_RDWR."
    out[#out + 1] = "---@alias ssocket.shutdown integer\n"
    local types = result_types(api.iterator):gsub("^: ", "")
    out[#out + 1] = remark(api.iterator.text)
    out[#out + 1] = "---@alias ssocket.iterator fun(size?: integer): " .. types .. "\n"
    out[#out + 1] = remark(api.address.returned)
    out[#out + 1] = "---@class ssocket.address"
    for _, field in ipairs(api.address.fields) do
        local name = field[1]:find "^%d" and "[" .. field[1] .. "]" or field[1]
        out[#out + 1] = ("---@field %s %s %s"):format(name, field[2], field[3])
    end
    out[#out + 1] = ""
end

local function error_fields(out, version, rows)
    out[#out + 1] = ("---@field %s string %s"):format(version.name, version.text)
    for _, error_row in ipairs(rows) do
        out[#out + 1] = ('---@field %s "%s" %s'):format(error_row[1], error_row[2], unlink(join_lines(error_row[3])))
    end
end

local function constant_fields(out)
    error_fields(out, api.version, api.errors)
    for _, how in ipairs(api.shutdowns) do
        out[#out + 1] = ("---@field %s ssocket.shutdown %s"):format(how[1], how[2])
    end
    for _, field in ipairs(api.sections[1].fields) do
        out[#out + 1] = ("---@field %s %s %s"):format(field.name, field.type, field.brief)
    end
    for _, opt in ipairs(api.options) do
        out[#out + 1] = ('---@field %s "%s"'):format(opt[1], opt[2])
    end
end

local function define_class(out, section)
    local variable = section.class:match "%w+$"
    out[#out + 1] = "---" .. section.title .. "."
    out[#out + 1] = "---@class " .. section.class .. (PARENT[section.class] or "")
    if section.class == "ssocket" then
        constant_fields(out)
    elseif section.constants then
        error_fields(out, section.version, section.constants)
    end
    out[#out + 1] = ("local %s = {}\n"):format(variable)
    for _, entry in ipairs(section.entries) do
        define(out, section, entry, variable)
    end
end

local function define_record(out, record)
    out[#out + 1] = remark(record.title .. ". " .. record.text)
    out[#out + 1] = "---@class " .. record.class
    for _, field in ipairs(record.fields) do
        local type, optional = field[2]:gsub("|nil$", ""):gsub("%?$", ""), field[2]:find "|nil$" or field[2]:find "%?$"
        local name = field[1] .. (optional and "?" or "")
        out[#out + 1] = ("---@field %s %s %s"):format(name, type, unlink(join_lines(field[3])))
    end
    out[#out + 1] = ""
end

-- The classes of a module, of which the first is what `require` returns.
local function define_module(out, name)
    local returned
    for _, section in ipairs(api.sections) do
        if section.module == name then
            returned = returned or section.class:match "%w+$"
            for _, record in ipairs(section.records or {}) do
                define_record(out, record)
            end
            for _, class in ipairs(section.opaque or {}) do
                out[#out + 1] = ("---%s\n---@class %s\n"):format(class[2], class[1])
            end
            define_class(out, section)
        end
    end
    out[#out + 1] = "return " .. returned
    return table.concat(out, "\n") .. "\n"
end

local function types()
    local out = { "---@meta ssocket", "-- " .. NOTE .. "\n" }
    aliases(out)
    return define_module(out, nil)
end

local function pool_types()
    return define_module({ "---@meta ssocket.pool", "-- " .. NOTE .. "\n" }, "ssocket.pool")
end

local function tls_types()
    return define_module({ "---@meta ssocket.tls", "-- " .. NOTE .. "\n" }, "ssocket.tls")
end

local function luasec_types()
    return define_module({ "---@meta ssocket.luasec", "-- " .. NOTE .. "\n" }, "ssocket.luasec")
end

-- ---- files ----

local function read(path)
    local file = io.open(root .. path, "rb")
    local text = file and file:read "*a" or ""
    if file then
        file:close()
    end
    return text
end

local function write(path, text)
    local file = assert(io.open(root .. path, "wb"))
    assert(file:write(text))
    assert(file:close())
end

local files = {
    { "docs/reference.md", reference },
    { "types/ssocket.lua", types },
    { "types/ssocket/pool.lua", pool_types },
    { "types/ssocket/tls.lua", tls_types },
    { "types/ssocket/luasec.lua", luasec_types },
    { "README.md", readme },
}

local function lines_of(text)
    local lines = {}
    for line in text:gmatch "([^\n]*)\n?" do
        lines[#lines + 1] = line
    end
    return lines
end

local function complain(path, old, new)
    local is, should = lines_of(old), lines_of(new)
    local n = 1
    while is[n] == should[n] do
        n = n + 1
    end
    io.stderr:write(("%s:%d: is not what docs/api.lua says; run `make docs`\n"):format(path, n))
    io.stderr:write(("  is:     %s\n  should: %s\n"):format(is[n] or "(end)", should[n] or "(end)"))
end

local function generate(check)
    local good = true
    for _, item in ipairs(files) do
        local path, make = item[1], item[2]
        local old = read(path)
        local new = make(old)
        if old ~= new and check then
            good = false
            complain(path, old, new)
        elseif old ~= new then
            write(path, new)
        end
    end
    return good
end

-- ---- the modules ----

local function names_of(entries)
    local names = {}
    for _, entry in ipairs(entries) do
        names[entry.name] = true
    end
    return names
end

local function constants_of()
    local values = { [api.version.name] = api.version.value }
    for _, error_row in ipairs(api.errors) do
        values[error_row[1]] = error_row[2]
    end
    for _, opt in ipairs(api.options) do
        values[opt[1]] = opt[2]
    end
    return values
end

-- Differences between what is described and what is there; optional[name]: a system may lack it.
local function differences(what, described, there, optional)
    local list = {}
    for name in pairs(described) do
        if there[name] == nil and not (optional and optional(name)) then
            list[#list + 1] = ("%s%s is described in docs/api.lua and not there"):format(what, name)
        end
    end
    for name in pairs(there) do
        if not described[name] then
            list[#list + 1] = ("%s%s is there and not described in docs/api.lua"):format(what, name)
        end
    end
    return list
end

-- Adds to the list the constants that are there and have another value.
local function compare_values(list, prefix, values, there)
    for name, value in pairs(values) do
        if there[name] ~= nil and there[name] ~= value then
            list[#list + 1] = ("%s%s is %q, not %q"):format(prefix, name, tostring(there[name]), value)
        end
    end
    return list
end

local function check_module_table(socket)
    local described = names_of(api.sections[1].entries)
    local values = constants_of()
    for name in pairs(values) do
        described[name] = true
    end
    for _, how in ipairs(api.shutdowns) do
        described[how[1]] = true
    end
    local settable = {}
    for _, field in ipairs(api.sections[1].fields) do
        described[field.name], settable[field.name] = true, field.settable
    end
    local list = differences("socket.", described, socket, function(name)
        return name:find "^OPT_" or settable[name]
    end)
    return compare_values(list, "socket.", values, socket)
end

-- It may not have been built.
local function load_tls()
    local found, tls = pcall(require, "ssocket.tls")
    if not found and not tostring(tls):find("module 'ssocket.tls' not found", 1, true) then
        error(tls, 0)
    elseif not found then
        io.stderr:write "ssocket.tls was not built: its entries are not checked\n"
    end
    return found and tls or nil
end

local function check_tls(section, tls)
    local described, values = names_of(section.entries), {}
    described[section.version.name] = true
    for _, error_row in ipairs(section.constants) do
        described[error_row[1]], values[error_row[1]] = true, error_row[2]
    end
    return compare_values(differences(section.prefix, described, tls), section.prefix, values, tls)
end

-- It needs ssocket.tls. Its section's text tells of the fields.
local function check_luasec(section)
    local described = names_of(section.entries)
    described.config, described._VERSION, described._COPYRIGHT = true, true, true
    return differences(section.prefix, described, require "ssocket.luasec")
end

-- The metatable is protected, and its __index holds the methods, those of `base` too.
local function check_methods(section, object, base)
    local described = names_of(section.entries)
    for name in pairs(base and names_of(base.entries) or {}) do
        described[name] = true
    end
    return differences(section.prefix, described, debug.getmetatable(object).__index)
end

local function no_work() end

local function check_module()
    local socket = require "ssocket"
    local pool = require "ssocket.pool"
    local tls = load_tls()
    local both, tcp, udp, task, group, channel, loop, sig, pool_module, pool_object, tls_module, luasec_module =
        (table.unpack or _G.unpack)(api.sections, 2)
    local lists = {
        check_module_table(socket),
        check_methods(tcp, socket.tcp(), both),
        check_methods(udp, socket.udp(), both),
        check_methods(task, socket.spawn(no_work)),
        check_methods(group, socket.group()),
        check_methods(channel, socket.channel()),
        check_methods(loop, socket.loop()),
        check_methods(sig, socket.signals "URG"),
        differences(pool_module.prefix, names_of(pool_module.entries), pool),
        check_methods(pool_object, pool.new()),
        tls and check_tls(tls_module, tls),
        tls and check_luasec(luasec_module),
    }
    local good = true
    for _, list in ipairs(lists) do
        table.sort(list)
        for _, line in ipairs(list) do
            good = false
            io.stderr:write(line, "\n")
        end
    end
    return good
end

-- ---- command line ----

local function main(option)
    if option == nil or option == "--check" then
        return generate(option == "--check")
    elseif option == "--module" then
        return check_module()
    end
    io.stderr:write "usage: gen-docs.lua [--check | --module]\n"
    return false
end

os.exit(main(arg[1]) and 0 or 1)
