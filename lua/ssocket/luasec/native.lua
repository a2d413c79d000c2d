-- From the settings of a LuaSec context to the options of tls.context. docs/reference.md#tls-options says what these
-- are.

local nobody = require "ssocket.luasec.nobody"
local tls = require "ssocket.tls"

local native = {}

-- Values of `Options`, SSL_CONF_cmd(3).
local OPTIONS = {
    cipher_server_preference = "ServerPreference",
    disable_tlsext_ca_names = "-CANames",
    no_encrypt_then_mac = "-EncryptThenMac",
    no_extended_master_secret = "-ExtendedMasterSecret",
    no_ticket = "-SessionTicket",
    prioritize_chacha = "PrioritizeChaCha",
}

local function openssl_options(ctx)
    local list = {}
    for name, value in pairs(OPTIONS) do
        list[#list + 1] = ctx.options[name] and value or nil
    end
    if not ctx.options.cipher_server_preference then
        list[#list + 1] = "-ServerPreference" -- ssocket.tls prefers the server's order by itself
    end
    table.sort(list)
    return table.concat(list, ",")
end

local function versions(ctx)
    local only, options = ctx.protocol, ctx.options
    local min = (only == "tlsv1_3" or options.no_tlsv1_2) and "1.3" or "1.2"
    local max = (only == "tlsv1_2" or options.no_tlsv1_3) and "TLSv1.2" or nil
    return min, max
end

local function add_identities(ctx, options)
    for _, identity in ipairs(ctx.identities) do
        if identity.key and identity.certificate then -- without a key there is nothing to show
            options.cert = options.cert or {}
            options.key = options.key or {}
            table.insert(options.cert, identity.certificate)
            table.insert(options.key, identity.key)
            options.password = options.password or identity.password
        end
    end
end

local function authorities(ctx)
    local list = {}
    list[#list + 1] = ctx.cafile
    list[#list + 1] = ctx.capath
    return list[1] and list or nobody.CERTIFICATE
end

-- Whether a client's context demands a good certificate: to ask for the name's asks for the chain's verification.
function native.verifies_server(ctx)
    return ctx.verify.peer or ctx.verify_name
end

local function add_client_trust(ctx, demands, options)
    options.ca = authorities(ctx)
    options.verify = native.verifies_server(ctx) and not demands.verifyext.lsec_continue or "report"
    if not ctx.verify_name then
        options.verify_name = false
    end
    options.sessions = 0 -- LuaSec's clients resume none
end

local function add_server_trust(ctx, demands, options)
    options.ca = nobody.CERTIFICATE
    if demands.verify.peer then
        options.client_ca = authorities(ctx)
        options.sessions = 0 -- each connection is verified, as LuaSec's are
        options.client_optional = not demands.verify.fail_if_no_peer_cert
        options.verify = not demands.verifyext.lsec_continue or "report"
    end
end

-- With revocation lists each authority of a chain needs one: where the program has given none, nobody's make that so.
local function add_trust(ctx, demands, options, server)
    if server then
        add_server_trust(ctx, demands, options)
    else
        add_client_trust(ctx, demands, options)
    end
    options.depth = demands.depth
    options.partial_chain = false -- as LuaSec has it
    -- LuaSec asks for a server's purpose instead, which servers' certificates have anyway.
    options.any_purpose = server and demands.verifyext.lsec_ignore_purpose and true or nil
    if demands.verifyext.crl_check or demands.verifyext.crl_check_chain then
        options.crl = ctx.crl or nobody.REVOCATIONS
    end
end

local function conf(ctx)
    local min, max = versions(ctx)
    return {
        CipherString = ctx.ciphers,
        Ciphersuites = ctx.ciphersuites,
        Groups = ctx.groups,
        MaxProtocol = max,
        Options = openssl_options(ctx),
    },
        min
end

-- A context of ssocket.tls for one side, with these protocols; nil and why. `demands` has the verification of the peer.
function native.build(ctx, demands, server, protocols)
    local options = {}
    options.conf, options.min = conf(ctx)
    add_identities(ctx, options)
    add_trust(ctx, demands, options, server)
    if protocols and protocols[1] then
        options.alpn, options.alpn_optional = protocols, true
    end
    return tls.context(options)
end

-- The cause in an error of tls.context, which begins with the option, and with the path of a file.
function native.cause(err)
    return err:match "^%w+: .*: (.-)$" or err:match "^%w+: (.*)$" or err
end

-- Whether OpenSSL accepts an option, and otherwise why not. Nobody need be trusted for that.
function native.try(options)
    options.ca = options.ca or nobody.CERTIFICATE
    options.verify = false
    local ctx, err = tls.context(options)
    return ctx ~= nil, err and native.cause(err)
end

return native
