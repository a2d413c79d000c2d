#include "os/os_iface.h"

#include <inttypes.h> /* PRIu32 */
#include <net/if.h>   /* if_nametoindex, if_indextoname */
#include <stdio.h>    /* snprintf */
#include <string.h>   /* strspn */

/* Digits, not strtoul: that takes blanks and signs. */
static bool parse_number(const char *text, uint32_t *number)
{
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *number = (uint32_t)value;
    return value > 0 && value <= UINT32_MAX;
}

bool os_iface_index(const char *name, uint32_t *index)
{
    unsigned found = if_nametoindex(name);
    *index = found;
    return found != 0 || parse_number(name, index);
}

void os_iface_name(uint32_t index, char *text, size_t size)
{
    char name[IF_NAMESIZE];
    if (if_indextoname(index, name))
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "%" PRIu32, index);
}
