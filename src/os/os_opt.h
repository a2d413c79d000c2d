/* Socket options by name: the options of this system and the conversion of their values. */
#ifndef SS_OS_OPT_H
#define SS_OS_OPT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>    /* size_t */
#include <sys/types.h> /* pid_t */

#pragma GCC visibility push(hidden)

enum os_opt_type {
    OS_OPT_FLAG,
    OS_OPT_INT,
    OS_OPT_LINGER,
    OS_OPT_DEVICE, /* an interface's name, or "" */
    OS_OPT_IFACE,  /* an interface: name, index or address */
    OS_OPT_CRED,   /* struct os_cred; can only be read */
    OS_OPT_SPIN    /* OPT_SPIN, which the system does not have */
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

/* Values: OS_OPT_FLAG 0 or 1; OS_OPT_INT any; OS_OPT_LINGER seconds, -1: off; OS_OPT_IFACE (get: IPv6 only) an index, 0: the
 * system's choice. SS_OK | SS_ERROR (setsockopt(2)). */
enum ss_status os_opt_set(int fd, int family, const struct os_opt *opt, int value, struct ss_error *err);
enum ss_status os_opt_get(int fd, int family, const struct os_opt *opt, int *value, struct ss_error *err);

/* OS_OPT_IFACE by index and address. SS_ERROR: as above; ENODEV. */
struct os_iface;
enum ss_status os_opt_set_iface(int fd, int family, const struct os_opt *opt, const struct os_iface *iface,
                                struct ss_error *err);

/* OS_OPT_DEVICE, whose names end with a NUL. SS_ERROR: setsockopt(2); ENODEV: a name that no interface can have. */
enum ss_status os_opt_set_device(int fd, const struct os_opt *opt, const char *name, size_t len, struct ss_error *err);

/* The text of OS_OPT_DEVICE, or of OS_OPT_IFACE on an IPv4 socket. */
enum { OS_OPT_TEXT = 64 };
enum ss_status os_opt_get_text(int fd, const struct os_opt *opt, char text[OS_OPT_TEXT], struct ss_error *err);

/* OS_OPT_CRED: the process at the other end. SS_ERROR: getsockopt(2); ENOTCONN: none. */
struct os_cred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
enum ss_status os_opt_get_cred(int fd, const struct os_opt *opt, struct os_cred *cred, struct ss_error *err);

/* Any option by level and number, as an integer or as bytes. Reading SO_ERROR clears the pending error. *len: in, the room; out, the
 * number of bytes. */
bool os_opt_is_error(int level, int opt);
bool os_opt_is_linger(int level, int opt);
bool os_opt_is_timeout(int level, int opt); /* SO_RCVTIMEO, SO_SNDTIMEO */
enum ss_status os_opt_set_bytes(int fd, int level, int opt, const void *bytes, size_t len, struct ss_error *err);
enum ss_status os_opt_get_bytes(int fd, int level, int opt, void *bytes, size_t *len, struct ss_error *err);
enum ss_status os_opt_set_raw(int fd, int level, int opt, int value, struct ss_error *err);
enum ss_status os_opt_get_raw(int fd, int level, int opt, int *value, struct ss_error *err);

#pragma GCC visibility pop

#endif
