/* Name look-up on helper threads, waited for like a descriptor. getaddrinfo(3) can neither be bounded nor ended: a
 * look-up that nobody waits for any more goes on by itself and frees itself when it ends.
 *
 * Look-ups do not starve each other. Each that runs has a thread. The first limit counts those that somebody waits for; more
 * of them queue. Those that were given up are apart: while there are so many that the second limit is reached, what is in
 * the queue and what comes ends with EAI_AGAIN. A name that needs no server (os_name_is_local) does not stand in line for
 * any of that: when no thread is left for a look-up, one more sees to such names. */
#ifndef SS_OS_LOOKUP_H
#define SS_OS_LOOKUP_H

#include "base/status.h"

#pragma GCC visibility push(hidden)

struct addrinfo;
struct os_resolver; /* the look-ups of one Lua state */
struct os_lookup;   /* one of them */

enum { OS_LOOKUPS = 64, OS_LOOKUPS_GIVEN_UP = 256 };

/* Begins to look up `host` (copied). *resolver may be NULL: it is made, and made anew after fork(2), which takes no
 * threads along. *fd is readable when the look-up has ended. */
enum ss_status os_lookup_start(struct os_resolver **resolver, const char *host, struct os_lookup **lookup, int *fd,
                               struct ss_error *err);

/* How it ended; SS_WANT: not yet; SS_CLOSED: a fork(2) has left it to the parent, and here it never ends. With SS_OK the list is
 * the caller's, as from os_names. */
enum ss_status os_lookup_take(struct os_lookup *lookup, struct addrinfo **list, struct ss_error *err);

/* The caller is done with it, whether it has ended or not. */
void os_lookup_drop(struct os_lookup *lookup);

/* Waits for nobody: threads that are in the middle of something finish it and free the rest. NULL is allowed. */
void os_resolver_free(struct os_resolver *resolver);

/* Keeps this module's code in the process for good. Closing a Lua state unloads its modules, but a thread may still wake up
 * in the code, and (Lua 5.1) finalizers of a program may still call it. */
void os_stay_loaded(void);

#pragma GCC visibility pop

#endif
