#include "core/tls_codes.h"

const struct ss_tls_code_text ss_tls_codes[SS_TLS_CODES] = {
    [SS_TLS_CERTIFICATE] = { "ERROR_CERTIFICATE", "Certificate verify failed" },
    [SS_TLS_ALERT] = { "ERROR_ALERT", "TLS alert received" },
    [SS_TLS_PROTOCOL] = { "ERROR_PROTOCOL", "TLS protocol error" },
    [SS_TLS_EOF] = { "ERROR_EOF", "TLS stream truncated" },
    [SS_TLS_HANDSHAKE] = { "ERROR_HANDSHAKE", "TLS handshake not finished" },
};
