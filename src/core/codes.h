/* Errors with a constant: the texts are part of the interface and equal on all systems. */
#ifndef SS_CORE_CODES_H
#define SS_CORE_CODES_H

#include "base/status.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum ss_code {
    SS_CODE_TIMEOUT,
    SS_CODE_CLOSED,
    SS_CODE_REFUSED,
    SS_CODE_RESET,
    SS_CODE_INUSE,
    SS_CODE_UNREACHABLE,
    SS_CODE_NOROUTE,
    SS_CODE_NOTFOUND,
    SS_CODE_TOOBIG,
    SS_CODE_TRUNCATED,
    SS_CODE_ACCESS,
    SS_CODE_LIMIT,
    SS_CODE_BUSY,
    SS_CODE_CANCELLED,
    SS_CODES /* the number of codes; as a result: any other error, with the system's text or TLS's */
};

struct ss_code_text {
    const char *name; /* the constant: "ERROR_TIMEOUT" */
    const char *text;
    const char *symbol; /* of the system's error, "ETIMEDOUT"; NULL: the system has none */
};

extern const struct ss_code_text ss_codes[SS_CODES];

/* Errors detected without a system call. */
extern const struct ss_error ss_not_found;     /* no such host */
extern const struct ss_error ss_no_address;    /* the host has no address, or none of the family */
extern const struct ss_error ss_no_interface;  /* no such network interface */
extern const struct ss_error ss_not_open;      /* no such descriptor */
extern const struct ss_error ss_already_owned; /* another socket has the descriptor */
extern const struct ss_error ss_no_memory;
extern const struct ss_error ss_wrong_family;
extern const struct ss_error ss_not_supported;  /* by this kind of socket */
extern const struct ss_error ss_no_descriptors; /* the process has no room for another one */

/* The code of a failure; SS_CODES for SS_OK, SS_WANT and errors without a constant. `err`: read for SS_ERROR only. */
enum ss_code ss_code_of(enum ss_status status, const struct ss_error *err);

/* Whether the process or the system has no descriptor left (EMFILE, ENFILE). */
bool ss_lacks_descriptor(const struct ss_error *err);

#pragma GCC visibility pop

#endif
