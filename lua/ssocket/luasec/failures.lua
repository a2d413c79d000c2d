-- Errors of a connection in the words of LuaSec, which are OpenSSL's and LuaSocket's.

local socket = require "ssocket"
local tls = require "ssocket.tls"

local failures = {}

-- By the names of alerts that ssocket.tls gives as reasons.
local ALERTS = {
    unexpected_message = "sslv3 alert unexpected message",
    bad_record_mac = "sslv3 alert bad record mac",
    decryption_failed = "tlsv1 alert decryption failed",
    record_overflow = "tlsv1 alert record overflow",
    decompression_failure = "sslv3 alert decompression failure",
    handshake_failure = "sslv3 alert handshake failure",
    no_certificate = "sslv3 alert no certificate",
    bad_certificate = "sslv3 alert bad certificate",
    unsupported_certificate = "sslv3 alert unsupported certificate",
    certificate_revoked = "sslv3 alert certificate revoked",
    certificate_expired = "sslv3 alert certificate expired",
    certificate_unknown = "sslv3 alert certificate unknown",
    illegal_parameter = "sslv3 alert illegal parameter",
    unknown_ca = "tlsv1 alert unknown ca",
    access_denied = "tlsv1 alert access denied",
    decode_error = "tlsv1 alert decode error",
    decrypt_error = "tlsv1 alert decrypt error",
    export_restriction = "tlsv1 alert export restriction",
    protocol_version = "tlsv1 alert protocol version",
    insufficient_security = "tlsv1 alert insufficient security",
    internal_error = "tlsv1 alert internal error",
    inappropriate_fallback = "tlsv1 alert inappropriate fallback",
    user_canceled = "tlsv1 alert user cancelled",
    no_renegotiation = "tlsv1 alert no renegotiation",
    missing_extension = "tlsv13 alert missing extension",
    unsupported_extension = "tlsv1 unsupported extension",
    certificate_unobtainable = "tlsv1 certificate unobtainable",
    unrecognized_name = "tlsv1 unrecognized name",
    bad_certificate_status_response = "tlsv1 bad certificate status response",
    bad_certificate_hash_value = "tlsv1 bad certificate hash value",
    unknown_psk_identity = "tlsv1 alert unknown psk identity",
    certificate_required = "tlsv13 alert certificate required",
    no_application_protocol = "tlsv1 alert no application protocol",
}

local CLOSED = {
    [socket.ERROR_CLOSED] = true,
    [socket.ERROR_RESET] = true,
    ["Broken pipe"] = true,
}

failures.UNVERIFIED = "certificate verify failed"
failures.NO_CERTIFICATE = "peer did not return a certificate"

local NO_CERTIFICATE = "the peer has given no certificate"

-- The end of a connection without close_notify: an error of OpenSSL 3, unless the program has chosen otherwise.
local function cut_text(ctx)
    return ctx.options.ignore_unexpected_eof and "closed" or "unexpected eof while reading"
end

-- The words for an error of ssocket, and of ssocket.tls with its reason.
function failures.text(err, reason, ctx)
    if err == tls.ERROR_CERTIFICATE then
        return reason == NO_CERTIFICATE and failures.NO_CERTIFICATE or failures.UNVERIFIED
    elseif err == tls.ERROR_ALERT then
        return ALERTS[reason] or reason or err
    elseif err == tls.ERROR_PROTOCOL then
        return reason or err
    elseif err == tls.ERROR_EOF then
        return cut_text(ctx)
    end
    return CLOSED[err] and "closed" or err
end

return failures
