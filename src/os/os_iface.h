/* Network interfaces by name and number (netdevice(7)). */
#ifndef SS_OS_IFACE_H
#define SS_OS_IFACE_H

#include <stdbool.h>
#include <stddef.h> /* size_t */
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The number of the interface with that name, or that number itself (RFC 4007 section 11.2). False: there is none. */
bool os_iface_index(const char *name, uint32_t *index);

/* The name of an interface, or its number in digits when it has none (any more). */
void os_iface_name(uint32_t index, char *text, size_t size);

#pragma GCC visibility pop

#endif
