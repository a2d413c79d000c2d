/* Look-ups on helper threads; a descriptor reports the end. getaddrinfo(3) has no timeout and no cancellation: an
 * abandoned look-up continues on its thread, which frees the look-up at the end.
 *
 * Limits. Each running look-up has a thread. At most OS_LOOKUPS run for callers that wait; more are queued. Abandoned
 * look-ups count separately: at OS_LOOKUPS_ABANDONED of them, queued and new look-ups end with EAI_AGAIN. Names that
 * need no server (os_hosts_read) are exempt: at either limit, one extra thread resolves such names. */
#ifndef SS_OS_LOOKUP_H
#define SS_OS_LOOKUP_H

#include "base/status.h"

#pragma GCC visibility push(hidden)

struct os_answer;
struct os_query;
struct os_resolver; /* threads and queues of one Lua state */
struct os_lookup;   /* one look-up */

enum { OS_LOOKUPS = 64, OS_LOOKUPS_ABANDONED = 256 };

/* Starts a look-up of `query` (copied). Creates *resolver if NULL, and again after fork(2), which copies no threads.
 * *fd becomes readable at the end and belongs to the look-up. SS_ERROR: no memory, descriptor or thread (errno). */
enum ss_status os_lookup_start(struct os_resolver **resolver, const struct os_query *query, struct os_lookup **lookup,
                               int *fd, struct ss_error *err);

/* The result. SS_OK: the caller owns *answer (os_answer_free) | SS_ERROR, as os_ask | SS_WANT: not ended | SS_CLOSED:
 * the look-up's thread is in the parent process (fork(2)), so the look-up never ends here. */
enum ss_status os_lookup_take(struct os_lookup *lookup, struct os_answer *answer, struct ss_error *err);

/* Releases the look-up, ended or not, and closes its descriptor. */
void os_lookup_drop(struct os_lookup *lookup);

/* Releases the caller's reference without waiting; the last user frees the resolver. NULL is allowed. */
void os_resolver_free(struct os_resolver *resolver);

/* Keeps this module's code mapped until the process ends (dlopen(3), RTLD_NODELETE). lua_close unloads modules, but a
 * thread may still return into the code, and on Lua 5.1 finalizers of the program may still call it. */
void os_stay_loaded(void);

#pragma GCC visibility pop

#endif
