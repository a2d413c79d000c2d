-- LuaSec's contexts, the functions of `ssl.context`. A context has settings, which may change until it is used: in
-- which order they come is no matter. Each is tried when it comes.

local alpn = require "ssocket.luasec.alpn"
local arguments = require "ssocket.luasec.arguments"
local config = require "ssocket.luasec.config"
local files = require "ssocket.luasec.files"
local native = require "ssocket.luasec.native"
local nobody = require "ssocket.luasec.nobody"
local x509 = require "ssocket.luasec.x509"

local CONTEXT = "SSL:Context"
local PROTOCOLS = { any = true, sslv23 = true, tlsv1_2 = true, tlsv1_3 = true }
local MODES = { client = true, server = true, both = true }
local VERIFY = { none = true, peer = true, client_once = true, fail_if_no_peer_cert = true }
local MOST_DEEP = 65536 -- certificates, of tls.context
local MOST_BUILT = 32 -- contexts of ssocket.tls that are kept: a client may choose the protocols
local VERIFYEXT = { lsec_continue = true, lsec_ignore_purpose = true, crl_check = true, crl_check_chain = true }

-- OpenSSL's reasons, by those of tls.context.
local KEY_REASONS = {
    ["the key cannot be decrypted with this password"] = "bad decrypt",
    ["the key is encrypted, and there is no password"] = "bad password read",
}

local context = {}
local methods = {}
local class = { __index = methods, __name = CONTEXT }

function class.__tostring(ctx)
    return "SSL context: " .. ctx.address
end

function context.is(value)
    return getmetatable(value) == class
end

local function check_settings(ctx, call)
    if getmetatable(ctx) ~= class then
        local got = ctx == nil and "no value" or type(ctx)
        error(("bad argument #1 to '%s' (%s expected, got %s)"):format(call, CONTEXT, got), 3)
    end
    ctx.built, ctx.nbuilt = {}, nil -- a setting changes what is built
    return ctx
end

function context.create(protocol)
    protocol = arguments.text(protocol, 1, "create")
    if not PROTOCOLS[protocol] then
        return nil, "invalid protocol (" .. protocol .. ")"
    end
    local ctx = { protocol = protocol, identities = {}, verify = {}, verifyext = {}, options = {}, built = {} }
    ctx.address = tostring(ctx):match "0x%x+" or tostring(ctx)
    return setmetatable(ctx, class)
end

function context.setmode(ctx, mode)
    check_settings(ctx, "setmode")
    mode = arguments.text(mode, 2, "setmode")
    if not MODES[mode] then
        return false, "invalid mode (" .. mode .. ")"
    end
    ctx.mode = mode
    return true
end

-- ---- certificates and keys ----

-- The identity that lacks the field, or a new one.
local function identity_without(ctx, field)
    local identity = ctx.identities[#ctx.identities]
    if not identity or identity[field] then
        identity = {}
        table.insert(ctx.identities, identity)
    end
    return identity
end

-- Whether a key can be read: a certificate of another key tells that as well.
local function check_key(text, password)
    local _, why = native.try { cert = nobody.CERTIFICATE, key = text, password = password }
    if why == files.NO_FIT then
        return true
    end
    return false, ("error loading private key (%s)"):format(KEY_REASONS[why] or why)
end

-- Tries key and certificate together, once both are there.
local function check_identity(identity)
    if not identity.key or not identity.certificate then
        return true
    end
    local ok, why = native.try { cert = identity.certificate, key = identity.key, password = identity.password }
    identity.fits = ok
    return ok or why == files.NO_FIT, why
end

function context.loadkey(ctx, path, password)
    check_settings(ctx, "loadkey")
    path = arguments.text(path, 2, "loadkey")
    local text, why = files.key(path)
    if not text then
        return false, ("error loading private key (%s)"):format(why)
    end
    if type(password) == "function" then
        password = files.is_encrypted(text) and password() or nil
    end
    local identity = identity_without(ctx, "key")
    identity.key, identity.password = text, password ~= nil and tostring(password) or nil
    local ok, err = check_key(text, identity.password)
    if ok then
        check_identity(identity)
    end
    return ok, err
end

function context.loadcert(ctx, path)
    check_settings(ctx, "loadcert")
    path = arguments.text(path, 2, "loadcert")
    local text, why = files.certificates(path)
    if not text then
        return false, ("error loading certificate (%s)"):format(why)
    end
    local identity = identity_without(ctx, "certificate")
    identity.certificate = text
    local ok
    ok, why = check_identity(identity)
    return ok, not ok and ("error loading certificate (%s)"):format(why) or nil
end

function context.checkkey(ctx)
    check_settings(ctx, "checkkey")
    local identity = ctx.identities[#ctx.identities]
    return identity ~= nil and identity.fits == true
end

-- ---- whom to trust ----

-- A directory that has no authorities is no error in LuaSec: nobody is trusted for it.
local function usable_directory(path)
    return path and native.try { ca = path } and path or nil
end

function context.locations(ctx, cafile, capath)
    check_settings(ctx, "locations")
    cafile = arguments.optional_text(cafile, 2, "locations")
    cafile = cafile == "system" and "./system" or cafile -- a file here, and all that the system trusts in tls.context
    capath = arguments.optional_text(capath, 3, "locations")
    if cafile then
        local ok, why = native.try { ca = cafile }
        if not ok then
            return false, ("error loading CA locations (%s)"):format(why)
        end
    end
    ctx.cafile, ctx.capath = cafile, usable_directory(capath)
    ctx.crl = cafile and files.revocations(cafile)
    return true
end

-- The names as a set; nil and the first that is unknown.
local function set_of(known, call, ...)
    local set = {}
    for i = 1, select("#", ...) do
        local name = arguments.text((select(i, ...)), i + 1, call)
        if not known[name] then
            return nil, name
        end
        set[name] = true
    end
    return set
end

-- Whoever says how to verify wants it. OpenSSL would overlook the others without "peer". No word changes nothing.
function context.setverify(ctx, ...)
    check_settings(ctx, "setverify")
    if select("#", ...) == 0 then
        return true
    end
    local set, unknown = set_of(VERIFY, "setverify", ...)
    if not set then
        return false, "invalid verify option (" .. unknown .. ")"
    end
    set.peer = set.peer or set.client_once or set.fail_if_no_peer_cert
    ctx.verify = set
    return true
end

function methods.setverifyext(ctx, ...)
    check_settings(ctx, "setverifyext")
    local set, unknown = set_of(VERIFYEXT, "setverifyext", ...)
    if not set then
        return false, "invalid verify option (" .. unknown .. ")"
    end
    for _, name in ipairs { "crl_check", "crl_check_chain" } do -- are added, and stay
        set[name] = set[name] or ctx.verifyext[name]
    end
    ctx.verifyext = set
    return true
end

function context.setdepth(ctx, depth)
    check_settings(ctx, "setdepth")
    ctx.depth = math.min(math.max(0, arguments.integer(depth, 2, "setdepth")), MOST_DEEP)
    return true
end

-- ---- settings of TLS ----

function context.setoptions(ctx, ...)
    check_settings(ctx, "setoptions")
    local set, unknown = set_of(config.options, "setoptions", ...)
    if not set then
        return false, "invalid option (" .. unknown .. ")"
    end
    for name in pairs(ctx.options) do -- they are added
        set[name] = true
    end
    ctx.options = set
    return true
end

local function refused(text, why)
    return false, ("error setting cipher list (%s)"):format(text or why)
end

function context.setcipher(ctx, list)
    check_settings(ctx, "setcipher")
    list = arguments.text(list, 2, "setcipher")
    if not native.try { conf = { CipherString = list } } then
        return refused "no cipher match"
    end
    ctx.ciphers = list
    return true
end

function context.setciphersuites(ctx, list)
    check_settings(ctx, "setciphersuites")
    list = arguments.text(list, 2, "setciphersuites")
    if not native.try { conf = { Ciphersuites = list } } then
        return refused "no cipher match"
    end
    ctx.ciphersuites = list
    return true
end

function context.setcurve(ctx, name)
    check_settings(ctx, "setcurve")
    name = arguments.text(name, 2, "setcurve")
    if name:find("[:,?*/]") or not native.try { conf = { Groups = name } } then
        return false, ("elliptic curve '%s' not supported"):format(name)
    end
    ctx.groups = name
    return true
end

function context.setcurveslist(ctx, list)
    check_settings(ctx, "setcurveslist")
    list = arguments.text(list, 2, "setcurveslist")
    if not native.try { conf = { Groups = list } } then
        return false, ('unknown elliptic curve in "%s"'):format(list)
    end
    ctx.groups = list
    return true
end

-- OpenSSL chooses groups for DHE by itself.
function context.setdhparam(ctx)
    check_settings(ctx, "setdhparam")
end

-- ---- protocols ----

function context.setalpn(ctx, list)
    check_settings(ctx, "setalpn")
    ctx.protocols = alpn.decode(arguments.text(list, 2, "setalpn"))
    return true
end

function context.setalpncb(ctx, callback)
    check_settings(ctx, "setalpncb")
    ctx.choose_protocols = callback
    return true
end

-- ---- use ----

-- What both of a server's contexts demand of clients: the one that it began with, and the one of the name that the
-- client has sent. As lenient as both of them are.
local function joined_demands(ctx, first)
    if not first or first == ctx then
        return ctx
    end
    local verify, ext = {}, {}
    for name in pairs(VERIFY) do
        verify[name] = ctx.verify[name] or first.verify[name]
    end
    for name in pairs(VERIFYEXT) do
        ext[name] = ctx.verifyext[name] or first.verifyext[name]
    end
    for _, one in ipairs { ctx, first } do
        ext.lsec_continue = ext.lsec_continue and (not one.verify.peer or one.verifyext.lsec_continue)
        ext.lsec_ignore_purpose = ext.lsec_ignore_purpose and (not one.verify.peer or one.verifyext.lsec_ignore_purpose)
    end
    local depth = math.min(ctx.depth or MOST_DEEP, first.depth or MOST_DEEP)
    return { verify = verify, verifyext = ext, depth = depth < MOST_DEEP and depth or nil }
end

local function sorted_names(set)
    local list = {}
    for name, value in pairs(set) do
        list[#list + 1] = value and name or nil
    end
    table.sort(list)
    return table.concat(list, " ")
end

local function remember(ctx, key, built)
    ctx.nbuilt = built and (ctx.nbuilt or 0) + 1 or ctx.nbuilt
    if ctx.nbuilt and ctx.nbuilt > MOST_BUILT then
        ctx.built, ctx.nbuilt = {}, 1
    end
    ctx.built[key] = built
end

-- The context of ssocket.tls for one side, made once for each list of protocols, and what `first` demands, a server's
-- other context.
function context.native(ctx, server, protocols, first)
    local demands = joined_demands(ctx, first)
    local role = server and "server" or "client"
    local names = alpn.encode(protocols or {}) or ""
    local verify, ext, depth = sorted_names(demands.verify), sorted_names(demands.verifyext), tostring(demands.depth)
    local key = table.concat({ role, verify, ext, depth, names }, ";")
    local built, err = ctx.built[key], nil
    if not built then
        built, err = native.build(ctx, demands, server, protocols)
        remember(ctx, key, built)
    end
    return built, err
end

-- The certificates of our own, as objects.
function context.certificates(ctx)
    for _, identity in ipairs(ctx.identities) do
        if identity.key and identity.certificate then
            return x509.load_all(identity.certificate)
        end
    end
    return {}
end

function context.can_serve(ctx)
    for _, identity in ipairs(ctx.identities) do
        if identity.key and identity.certificate then
            return true
        end
    end
    return false
end

return context
