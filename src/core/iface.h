/* Network interfaces as programs name them. */
#ifndef SS_CORE_IFACE_H
#define SS_CORE_IFACE_H

#include "os/os_iface.h"

#pragma GCC visibility push(hidden)

/* Finds an interface by name, index in digits or address (`len` bytes and a NUL); "0.0.0.0" and "::": the system's choice.
 * SS_OK | SS_ERROR: ss_no_interface, os_iface_find, os_iface_of_address. */
enum ss_status ss_iface_find(const char *text, size_t len, struct os_iface *iface, struct ss_error *err);

#pragma GCC visibility pop

#endif
