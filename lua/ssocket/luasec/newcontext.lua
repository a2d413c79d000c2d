-- ssl.newcontext: a context of a table of parameters.

local alpn = require "ssocket.luasec.alpn"
local arguments = require "ssocket.luasec.arguments"
local context = require "ssocket.luasec.context"

local unpack = table.unpack or unpack -- luacheck: ignore 113

local function load_identity(ctx, params)
    local password = params.password
    if params.key then
        if password and type(password) ~= "function" and type(password) ~= "string" then
            return nil, "invalid password type"
        end
        local ok, err = context.loadkey(ctx, params.key, password)
        if not ok then
            return nil, err
        end
    end
    if not params.certificate then
        return true
    end
    local ok, err = context.loadcert(ctx, params.certificate)
    if ok and params.key and not context.checkkey(ctx) then
        return nil, "private key does not match public key"
    end
    return ok, err
end

local function load_identities(ctx, params)
    for _, identity in ipairs(params.certificates or { params }) do
        local ok, err = load_identity(ctx, identity)
        if not ok then
            return nil, err
        end
        -- those without a key must not get the key of the next one
        local last = ctx.identities[#ctx.identities]
        if last and not (last.key and last.certificate) then
            table.remove(ctx.identities)
        end
    end
    return true
end

local function load_locations(ctx, params)
    if not params.cafile and not params.capath then
        return true
    end
    return context.locations(ctx, params.cafile, params.capath)
end

local function set_curves(ctx, params)
    if params.curveslist then
        return context.setcurveslist(ctx, params.curveslist)
    end
    if not params.curve then
        return true
    end
    return context.setcurve(ctx, params.curve)
end

local function set_dhparam(ctx, params)
    if params.dhparam and type(params.dhparam) ~= "function" then
        return nil, "invalid DH parameter type"
    end
    context.setdhparam(ctx, params.dhparam)
    return true
end

-- ---- protocols ----

local function encoded(names)
    return (alpn.encode(names)) -- a callback has one result
end

-- A program's function takes and returns names, a context's the form in a message.
local function wrap_callback(callback)
    return function(list)
        local names = callback(alpn.decode(list))
        names = type(names) == "string" and { names } or names
        return type(names) == "table" and encoded(names) or nil
    end
end

local function set_server_protocols(ctx, names)
    if type(names) == "function" then
        return context.setalpncb(ctx, wrap_callback(names))
    elseif type(names) ~= "table" then
        return nil, "invalid ALPN parameter"
    end
    local list, err = alpn.encode(names)
    return list and context.setalpncb(ctx, function()
        return encoded(names)
    end), err
end

local function set_client_protocols(ctx, names)
    names = type(names) == "string" and { names } or names
    if type(names) ~= "table" then
        return nil, "invalid ALPN parameter"
    end
    local list, err = alpn.encode(names)
    return list and context.setalpn(ctx, list), err
end

local function set_protocols(ctx, params)
    if params.alpn and params.mode == "server" then
        return set_server_protocols(ctx, params.alpn)
    elseif params.alpn and params.mode == "client" then
        return set_client_protocols(ctx, params.alpn)
    end
    return true
end

-- ---- all of them, in LuaSec's order ----

local function spread(set, name)
    return function(ctx, params)
        return set(ctx, unpack(arguments.list(params[name], name)))
    end
end

local function single(set, name)
    return function(ctx, params)
        if not params[name] then
            return true
        end
        return set(ctx, params[name])
    end
end

local function set_verifyext(ctx, ...)
    return ctx:setverifyext(...)
end

local STEPS = {
    load_identities,
    load_locations,
    single(context.setcipher, "ciphers"),
    single(context.setciphersuites, "ciphersuites"),
    spread(context.setverify, "verify"),
    spread(context.setoptions, "options"),
    single(context.setdepth, "depth"),
    set_dhparam,
    set_curves,
    spread(set_verifyext, "verifyext"),
    set_protocols,
}

-- What only all of them together can be refused for is found when the context of ssocket.tls is made.
local function check_whole(ctx)
    local built, err = context.native(ctx, ctx.mode == "server", ctx.protocols)
    if not built then
        return nil, err:find("no version of TLS", 1, true) and "no protocols available" or err
    end
    return ctx
end

local function newcontext(params)
    local ctx, err = context.create(params.protocol)
    if not ctx then
        return nil, err
    end
    local ok
    ok, err = context.setmode(ctx, params.mode)
    for _, step in ipairs(STEPS) do
        if ok then
            ok, err = step(ctx, params)
        end
    end
    if not ok then
        return nil, err
    end
    ctx.verify_name = params.verify_name == true
    if params.verify_name and not ctx.verify_name then
        error("bad parameter 'verify_name' (true expected: sni() tells the name)", 0)
    end
    return check_whole(ctx)
end

return newcontext
