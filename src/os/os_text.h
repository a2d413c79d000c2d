/* Texts of error codes, always in the C locale. */
#ifndef SS_OS_TEXT_H
#define SS_OS_TEXT_H

#include "base/status.h"

#include <stddef.h> /* size_t */

#pragma GCC visibility push(hidden)

/* Writes the system's text for a code (strerror(3), gai_strerror(3)) to `text` (`size` bytes). Returns `text`. */
const char *os_error_text(const struct ss_error *err, char *text, size_t size);

/* The symbol of the code that has this text, "ENOENT" or "EAI_AGAIN". NULL: none has. */
const char *os_error_symbol(const char *text);

#pragma GCC visibility pop

#endif
