/* The files of Unix sockets. */
#ifndef SS_OS_PATH_H
#define SS_OS_PATH_H

#include "base/sockaddr.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Removes the file of a stream socket that nobody listens on: connect(2) says ECONNREFUSED. False, and nothing is
 * removed: the address is no path, the file is no socket (a symbolic link is none), somebody answers, or the outcome is
 * another one, such as a full queue. */
bool os_remove_dead_socket(const struct ss_addr *addr);

#pragma GCC visibility pop

#endif
