#include "os/os_text.h"

#include <locale.h> /* newlocale */
#include <netdb.h>  /* gai_strerror */
#include <stdio.h>  /* snprintf */
#include <string.h> /* strerror */
#ifdef __APPLE__
#include <xlocale.h> /* uselocale */
#endif

/* Static, or valid until the next strerror(3): the caller copies the text at once. */
static const char *system_text(const struct ss_error *err)
{
    return err->space == SS_RESOLVER ? gai_strerror(err->code) : strerror(err->code);
}

const char *os_error_text(const struct ss_error *err, char *text, size_t size)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t own = c ? uselocale(c) : (locale_t)0; /* of this thread only (uselocale(3)) */
    snprintf(text, size, "%s", system_text(err));
    if (c) {
        uselocale(own);
        freelocale(c);
    }
    return text;
}
