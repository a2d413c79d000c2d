/* Socket options by name: what each system has, and how a value looks there. */
#ifndef SS_OS_OPT_H
#define SS_OS_OPT_H

#include "base/status.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum os_opt_type {
    OS_OPT_FLAG,
    OS_OPT_INT,
    OS_OPT_LINGER,
    OS_OPT_SPIN /* our own: the system knows nothing of it */
};

enum { /* which sockets take it */
       OS_OPT_STREAM = 1,
       OS_OPT_DGRAM = 2,
       OS_OPT_READONLY = 4
};

struct os_opt {
    const char *constant; /* "OPT_TCP_NODELAY" */
    const char *name;     /* "tcp_nodelay" */
    enum os_opt_type type;
    int use; /* OS_OPT_... */
    int level, opt;
    int level6, opt6; /* the same for IPv6 where it is another one, or 0, 0 */
};

/* Ends with an entry whose name is NULL. */
extern const struct os_opt os_opts[];

const struct os_opt *os_opt_find(const char *name);

/* Whether a socket of that family has the option at all: TCP and IP options mean nothing to a Unix socket. */
bool os_opt_applies(const struct os_opt *opt, int family);

/* Values are integers: flags 0 or 1; OS_OPT_LINGER seconds, or -1 for "off". */
enum ss_status os_opt_set(int fd, int family, const struct os_opt *opt, int value, struct ss_error *err);
enum ss_status os_opt_get(int fd, int family, const struct os_opt *opt, int *value, struct ss_error *err);

/* Any integer option, by number. The pending error (SO_ERROR) is gone once it is got. */
bool os_opt_is_error(int level, int opt);
enum ss_status os_opt_set_raw(int fd, int level, int opt, int value, struct ss_error *err);
enum ss_status os_opt_get_raw(int fd, int level, int opt, int *value, struct ss_error *err);

#pragma GCC visibility pop

#endif
