#include "core/codes.h"
#include "os/os_name.h"

#include <errno.h>
#include <netdb.h>  /* EAI_* */
#include <stddef.h> /* NULL */

const struct ss_code_text ss_codes[SS_CODES] = {
    [SS_CODE_TIMEOUT] = { "ERROR_TIMEOUT", "Operation timed out", "ETIMEDOUT" },
    [SS_CODE_CLOSED] = { "ERROR_CLOSED", "Connection closed", "EPIPE" },
    [SS_CODE_REFUSED] = { "ERROR_REFUSED", "Connection refused", "ECONNREFUSED" },
    [SS_CODE_RESET] = { "ERROR_RESET", "Connection reset by peer", "ECONNRESET" },
    [SS_CODE_INUSE] = { "ERROR_INUSE", "Address already in use", "EADDRINUSE" },
    [SS_CODE_UNREACHABLE] = { "ERROR_UNREACHABLE", "Network is unreachable", "ENETUNREACH" },
    [SS_CODE_NOROUTE] = { "ERROR_NOROUTE", "No route to host", "EHOSTUNREACH" },
    [SS_CODE_NOTFOUND] = { "ERROR_NOTFOUND", "Name or service not known", "EAI_NONAME" },
    [SS_CODE_TOOBIG] = { "ERROR_TOOBIG", "Message too long", "EMSGSIZE" },
    [SS_CODE_TRUNCATED] = { "ERROR_TRUNCATED", "Datagram truncated", NULL },
    [SS_CODE_ACCESS] = { "ERROR_ACCESS", "Permission denied", "EACCES" },
    [SS_CODE_LIMIT] = { "ERROR_LIMIT", "Limit exceeded", NULL },
    [SS_CODE_BUSY] = { "ERROR_BUSY", "Another task waits on the socket", NULL },
    [SS_CODE_CANCELLED] = { "ERROR_CANCELLED", "Task cancelled", NULL },
};

const struct ss_error ss_not_found = { SS_RESOLVER, EAI_NONAME };
const struct ss_error ss_no_address = { SS_RESOLVER, OS_NO_ADDRESS };
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
        return SS_CODE_UNREACHABLE;
    case EHOSTUNREACH:
        return SS_CODE_NOROUTE;
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
    return code == EAI_NONAME || code == OS_NO_ADDRESS ? SS_CODE_NOTFOUND : SS_CODES;
}

static enum ss_code error_code(const struct ss_error *err)
{
    switch (err->space) {
    case SS_SYSTEM:
        return system_code(err->code);
    case SS_RESOLVER:
        return resolver_code(err->code);
    case SS_TLS:
        break;
    }
    return SS_CODES;
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
        return error_code(err);
    case SS_OK:
    case SS_WANT:
        break; /* not failures */
    }
    return SS_CODES;
}

bool ss_lacks_descriptor(const struct ss_error *err)
{
    return err->space == SS_SYSTEM && (err->code == EMFILE || err->code == ENFILE);
}
