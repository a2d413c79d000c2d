/* Texts of error codes, in the C locale whatever the program's is. */
#ifndef SS_OS_TEXT_H
#define SS_OS_TEXT_H

#include "base/status.h"

#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* The system's text for a code: a string that stays, or `text`, filled in. */
const char *os_error_text(const struct ss_error *err, char *text, size_t size);

#pragma GCC visibility pop

#endif
