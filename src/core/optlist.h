/* Options that a program has set on a socket: kept for the descriptor that the socket does not have yet,
 * or gets next. */
#ifndef SS_CORE_OPTLIST_H
#define SS_CORE_OPTLIST_H

#include "base/mem.h"
#include "base/status.h"

#pragma GCC visibility push(hidden)

struct os_opt;

struct ss_setting {
    const struct os_opt *opt; /* by name, or NULL: by the numbers that follow */
    int level, number;
    int value;
};

struct ss_optlist {
    struct ss_setting *items; /* in the order in which they were first set */
    unsigned n, room;
};

/* The memory of all lists of a Lua state: a list that nobody finishes is freed with the state. */
struct ss_optblock;
struct ss_optmem {
    struct ss_mem mem;
    struct ss_optblock *first;
};

/* Empties all lists. */
void ss_optmem_fini(struct ss_optmem *all);

/* Notes a setting, in place of an earlier one of the same option. SS_ERROR: no memory. */
enum ss_status ss_optlist_put(struct ss_optlist *list, struct ss_optmem *all, const struct ss_setting *setting,
                              struct ss_error *err);

/* Forgets the latest new option. */
void ss_optlist_undo(struct ss_optlist *list);

/* The noted setting of an option (its value is not looked at), or NULL. */
const struct ss_setting *ss_optlist_get(const struct ss_optlist *list, const struct ss_setting *option);

/* Sets one option on a descriptor. */
enum ss_status ss_setting_apply(const struct ss_setting *setting, int fd, int family, struct ss_error *err);

/* Sets all that a socket of that family has. */
enum ss_status ss_optlist_apply(const struct ss_optlist *list, int fd, int family, struct ss_error *err);

void ss_optlist_fini(struct ss_optlist *list, struct ss_optmem *all);

#pragma GCC visibility pop

#endif
