/* Socket options that a program has set, for a descriptor that the socket opens later. */
#ifndef SS_CORE_OPTLIST_H
#define SS_CORE_OPTLIST_H

#include "base/mem.h"
#include "base/status.h"

#pragma GCC visibility push(hidden)

struct os_opt;

struct ss_setting {
    const struct os_opt *opt; /* NULL: an option by `level` and `number` */
    int level, number;
    int value;         /* with `bytes`: their number */
    const char *bytes; /* and a NUL after them, or NULL: `value` is the value */
};

struct ss_optlist {
    struct ss_setting *items; /* in the order of the first setting */
    unsigned n, room;
};

/* The memory of all lists of a Lua state: the state's end frees lists without ss_optlist_fini. */
struct ss_optblock;
struct ss_optmem {
    struct ss_mem mem;
    struct ss_optblock *first;
};

/* Frees and empties all lists. */
void ss_optmem_fini(struct ss_optmem *all);

/* Makes room for a setting, and gives it a copy of its bytes. One of the next two functions takes the setting.
 * SS_OK | SS_ERROR: no memory. */
enum ss_status ss_optlist_prepare(struct ss_optlist *list, struct ss_optmem *all, struct ss_setting *setting,
                                  struct ss_error *err);

/* Adds the prepared setting, or replaces the earlier one of the same option. */
void ss_optlist_put(struct ss_optlist *list, struct ss_optmem *all, const struct ss_setting *setting);

/* Frees what the prepared setting holds. */
void ss_setting_drop(struct ss_optmem *all, const struct ss_setting *setting);

/* The stored setting of the same option (its value is ignored), or NULL. */
const struct ss_setting *ss_optlist_get(const struct ss_optlist *list, const struct ss_setting *option);

/* Sets one option on a descriptor. SS_OK | SS_ERROR: setsockopt(2), ss_iface_find. */
enum ss_status ss_setting_apply(const struct ss_setting *setting, int fd, int family, struct ss_error *err);

/* Sets all options that sockets of `family` have, up to the first error. */
enum ss_status ss_optlist_apply(const struct ss_optlist *list, int fd, int family, struct ss_error *err);

void ss_optlist_fini(struct ss_optlist *list, struct ss_optmem *all);

#pragma GCC visibility pop

#endif
