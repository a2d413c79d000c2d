#include "core/codes.h"

#include <errno.h>
#include <netdb.h> /* EAI_* */

const struct ss_code_text ss_codes[SS_CODES] = {
    [SS_CODE_TIMEOUT] = { "ERROR_TIMEOUT", "Operation timed out" },
    [SS_CODE_CLOSED] = { "ERROR_CLOSED", "Connection closed" },
    [SS_CODE_REFUSED] = { "ERROR_REFUSED", "Connection refused" },
    [SS_CODE_RESET] = { "ERROR_RESET", "Connection reset by peer" },
    [SS_CODE_INUSE] = { "ERROR_INUSE", "Address already in use" },
    [SS_CODE_UNREACHABLE] = { "ERROR_UNREACHABLE", "Network is unreachable" },
    [SS_CODE_NOTFOUND] = { "ERROR_NOTFOUND", "Name or service not known" },
    [SS_CODE_TOOBIG] = { "ERROR_TOOBIG", "Message too long" },
    [SS_CODE_TRUNCATED] = { "ERROR_TRUNCATED", "Datagram truncated" },
    [SS_CODE_ACCESS] = { "ERROR_ACCESS", "Permission denied" },
    [SS_CODE_LIMIT] = { "ERROR_LIMIT", "Limit exceeded" },
    [SS_CODE_BUSY] = { "ERROR_BUSY", "Another task waits on the socket" },
    [SS_CODE_CANCELLED] = { "ERROR_CANCELLED", "Task cancelled" },
};

const struct ss_error ss_not_found = { SS_RESOLVER, EAI_NONAME };
const struct ss_error ss_no_interface = { SS_SYSTEM, ENODEV };
const struct ss_error ss_not_open = { SS_SYSTEM, EBADF };
const struct ss_error ss_already_owned = { SS_SYSTEM, EBUSY };
const struct ss_error ss_no_memory = { SS_SYSTEM, ENOMEM };
const struct ss_error ss_wrong_family = { SS_SYSTEM, EAFNOSUPPORT };
const struct ss_error ss_not_supported = { SS_SYSTEM, EOPNOTSUPP };
const struct ss_error ss_no_descriptors = { SS_SYSTEM, EMFILE };

static enum ss_code system_code(int code)
{
    switch (code) {
    case ETIMEDOUT:
        return SS_CODE_TIMEOUT;
    case EPIPE:
        return SS_CODE_CLOSED;
    case ECONNREFUSED:
        return SS_CODE_REFUSED;
    case ECONNRESET:
        return SS_CODE_RESET;
    case EADDRINUSE:
        return SS_CODE_INUSE;
    case ENETUNREACH:
    case EHOSTUNREACH:
        return SS_CODE_UNREACHABLE;
    case EMSGSIZE:
        return SS_CODE_TOOBIG;
    case EACCES:
        return SS_CODE_ACCESS;
    default:
        return SS_CODES;
    }
}

static enum ss_code resolver_code(int code)
{
    return code == EAI_NONAME ? SS_CODE_NOTFOUND : SS_CODES;
}

enum ss_code ss_code_of(enum ss_status status, const struct ss_error *err)
{
    switch (status) {
    case SS_TIMEOUT:
        return SS_CODE_TIMEOUT;
    case SS_EOF:
    case SS_CLOSED:
        return SS_CODE_CLOSED;
    case SS_LIMIT:
        return SS_CODE_LIMIT;
    case SS_TRUNCATED:
        return SS_CODE_TRUNCATED;
    case SS_BUSY:
        return SS_CODE_BUSY;
    case SS_CANCELLED:
        return SS_CODE_CANCELLED;
    case SS_ERROR:
        return err->space == SS_RESOLVER ? resolver_code(err->code) : system_code(err->code);
    case SS_OK:
    case SS_WANT:
        break; /* not failures */
    }
    return SS_CODES;
}
