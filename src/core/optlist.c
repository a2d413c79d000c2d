#include "core/optlist.h"
#include "core/codes.h"
#include "os/os_opt.h"

#include <stdbool.h>

static struct ss_setting *find(const struct ss_optlist *list, const struct ss_setting *option)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct ss_setting *item = &list->items[i];
        if (item->opt == option->opt && item->level == option->level && item->number == option->number)
            return item;
    }
    return NULL;
}

static bool make_room(struct ss_optlist *list, const struct ss_mem *mem)
{
    if (list->n < list->room)
        return true;
    size_t size = list->room * sizeof *list->items;
    struct ss_setting *items = ss_mem_resize(mem, list->items, size, size + sizeof *items);
    if (!items)
        return false;
    list->items = items;
    list->room++;
    return true;
}

enum ss_status ss_optlist_put(struct ss_optlist *list, const struct ss_mem *mem, const struct ss_setting *setting,
                              struct ss_error *err)
{
    struct ss_setting *item = find(list, setting);
    if (!item && !make_room(list, mem)) {
        *err = ss_no_memory;
        return SS_ERROR;
    }
    if (!item)
        item = &list->items[list->n++];
    *item = *setting;
    return SS_OK;
}

void ss_optlist_undo(struct ss_optlist *list)
{
    list->n--;
}

const struct ss_setting *ss_optlist_get(const struct ss_optlist *list, const struct ss_setting *option)
{
    return find(list, option);
}

enum ss_status ss_setting_apply(const struct ss_setting *setting, int fd, int family, struct ss_error *err)
{
    if (!setting->opt)
        return os_opt_set_raw(fd, setting->level, setting->number, setting->value, err);
    return os_opt_set(fd, family, setting->opt, setting->value, err);
}

enum ss_status ss_optlist_apply(const struct ss_optlist *list, int fd, int family, struct ss_error *err)
{
    for (unsigned i = 0; i < list->n; i++) {
        const struct ss_setting *item = &list->items[i];
        if (item->opt && !os_opt_applies(item->opt, family))
            continue;
        enum ss_status st = ss_setting_apply(item, fd, family, err);
        if (st != SS_OK)
            return st;
    }
    return SS_OK;
}

void ss_optlist_fini(struct ss_optlist *list, const struct ss_mem *mem)
{
    ss_mem_free(mem, list->items, list->room * sizeof *list->items);
    *list = (struct ss_optlist){ 0 };
}
