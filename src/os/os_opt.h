/* Socket options by name: the options of this system and the conversion of their values. */
#ifndef SS_OS_OPT_H
#define SS_OS_OPT_H

#include "base/status.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum os_opt_type {
    OS_OPT_FLAG,
    OS_OPT_INT,
    OS_OPT_LINGER,
    OS_OPT_SPIN /* OPT_SPIN, which the system does not have */
};

enum { /* sockets that have the option */
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
    int level6, opt6; /* the option's IPv6 counterpart, or 0, 0 */
};

/* The last entry's name is NULL. */
extern const struct os_opt os_opts[];

/* NULL: no such option on this system. */
const struct os_opt *os_opt_find(const char *name);

/* Whether sockets of that family have the option's level: Unix sockets have neither TCP nor IP options. */
bool os_opt_applies(const struct os_opt *opt, int family);

/* Values: OS_OPT_FLAG 0 or 1; OS_OPT_INT any; OS_OPT_LINGER seconds, -1: off. SS_OK | SS_ERROR (setsockopt(2)). */
enum ss_status os_opt_set(int fd, int family, const struct os_opt *opt, int value, struct ss_error *err);
enum ss_status os_opt_get(int fd, int family, const struct os_opt *opt, int *value, struct ss_error *err);

/* Any integer option by level and number. Reading SO_ERROR clears the pending error. */
bool os_opt_is_error(int level, int opt);
enum ss_status os_opt_set_raw(int fd, int level, int opt, int value, struct ss_error *err);
enum ss_status os_opt_get_raw(int fd, int level, int opt, int *value, struct ss_error *err);

#pragma GCC visibility pop

#endif
