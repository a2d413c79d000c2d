/* Causes that programs branch on: their texts are part of the interface and the same on every system. */
#ifndef SS_CORE_CODES_H
#define SS_CORE_CODES_H

#include "base/status.h"

#pragma GCC visibility push(hidden)

enum ss_code {
    SS_CODE_TIMEOUT,
    SS_CODE_CLOSED,
    SS_CODE_REFUSED,
    SS_CODE_RESET,
    SS_CODE_INUSE,
    SS_CODE_UNREACHABLE,
    SS_CODE_NOTFOUND,
    SS_CODE_TOOBIG,
    SS_CODE_TRUNCATED,
    SS_CODE_ACCESS,
    SS_CODE_LIMIT,
    SS_CODE_BUSY,
    SS_CODE_CANCELLED,
    SS_CODES /* how many; as a result: any other cause, for which the system has a text */
};

struct ss_code_text {
    const char *name; /* as constant: "ERROR_TIMEOUT" */
    const char *text;
};

extern const struct ss_code_text ss_codes[SS_CODES];

/* Errors that are found without a system call. */
extern const struct ss_error ss_not_found;     /* no such host */
extern const struct ss_error ss_no_interface;  /* no such network interface */
extern const struct ss_error ss_not_open;      /* no such descriptor */
extern const struct ss_error ss_already_owned; /* the descriptor is another socket's */
extern const struct ss_error ss_no_memory;
extern const struct ss_error ss_wrong_family;

/* What an outcome other than SS_OK is for a program. */
enum ss_code ss_code_of(enum ss_status status, const struct ss_error *err);

#pragma GCC visibility pop

#endif
