#include "core/optlist.h"
#include "core/codes.h"
#include "core/iface.h"
#include "os/os_opt.h"

#include <stdbool.h>
#include <stddef.h> /* offsetof */
#include <string.h> /* memcpy */

static struct ss_setting *find_setting(const struct ss_optlist *list, const struct ss_setting *option)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct ss_setting *item = &list->items[i];
        if (item->opt == option->opt && item->level == option->level && item->number == option->number)
            return item;
    }
    return NULL;
}

struct ss_optblock {
    struct ss_optblock *next, **at; /* `at`: the pointer to this block */
    struct ss_optlist *owner;
    struct ss_setting items[];
};

static struct ss_optblock *optblock_of(const struct ss_optlist *list)
{
    return list->items ? (void *)((char *)list->items - offsetof(struct ss_optblock, items)) : NULL;
}

static size_t optblock_size(unsigned room)
{
    return room == 0 ? 0 : sizeof(struct ss_optblock) + room * sizeof(struct ss_setting);
}

static void link_block(struct ss_optmem *all, struct ss_optblock *block)
{
    block->next = all->first;
    block->at = &all->first;
    if (block->next)
        block->next->at = &block->next;
    all->first = block;
}

static void unlink_block(struct ss_optblock *block)
{
    *block->at = block->next;
    if (block->next)
        block->next->at = block->at;
}

static bool reserve_setting(struct ss_optlist *list, struct ss_optmem *all)
{
    struct ss_optblock *block = optblock_of(list);
    if (list->n < list->room)
        return true;
    if (block)
        unlink_block(block);
    struct ss_optblock *grown =
        ss_mem_resize(&all->mem, block, optblock_size(list->room), optblock_size(list->room + 1));
    if (grown || block)
        link_block(all, grown ? grown : block);
    if (!grown)
        return false;
    grown->owner = list;
    list->items = grown->items;
    list->room++;
    return true;
}

static bool copy_bytes(struct ss_setting *setting, struct ss_optmem *all)
{
    if (!setting->bytes)
        return true;
    size_t size = (size_t)setting->value + 1;
    char *copy = ss_mem_resize(&all->mem, NULL, 0, size);
    if (copy)
        setting->bytes = memcpy(copy, setting->bytes, size);
    return copy != NULL;
}

enum ss_status ss_optlist_prepare(struct ss_optlist *list, struct ss_optmem *all, struct ss_setting *setting,
                                  struct ss_error *err)
{
    *err = ss_no_memory;
    if (!find_setting(list, setting) && !reserve_setting(list, all))
        return SS_ERROR;
    return copy_bytes(setting, all) ? SS_OK : SS_ERROR;
}

void ss_setting_drop(struct ss_optmem *all, const struct ss_setting *setting)
{
    ss_mem_free(&all->mem, (char *)setting->bytes, (size_t)setting->value + 1);
}

void ss_optlist_put(struct ss_optlist *list, struct ss_optmem *all, const struct ss_setting *setting)
{
    struct ss_setting *item = find_setting(list, setting);
    if (item)
        ss_setting_drop(all, item);
    else
        item = &list->items[list->n++];
    *item = *setting;
}

const struct ss_setting *ss_optlist_get(const struct ss_optlist *list, const struct ss_setting *option)
{
    return find_setting(list, option);
}

static enum ss_status apply_bytes(const struct ss_setting *setting, int fd, int family, struct ss_error *err)
{
    size_t len = (size_t)setting->value;
    struct os_iface iface;
    if (!setting->opt)
        return os_opt_set_bytes(fd, setting->level, setting->number, setting->bytes, len, err);
    if (setting->opt->type == OS_OPT_DEVICE)
        return os_opt_set_device(fd, setting->opt, setting->bytes, len, err);
    enum ss_status st = ss_iface_find(setting->bytes, len, &iface, err);
    return st == SS_OK ? os_opt_set_iface(fd, family, setting->opt, &iface, err) : st;
}

enum ss_status ss_setting_apply(const struct ss_setting *setting, int fd, int family, struct ss_error *err)
{
    if (setting->bytes)
        return apply_bytes(setting, fd, family, err);
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

void ss_optlist_fini(struct ss_optlist *list, struct ss_optmem *all)
{
    struct ss_optblock *block = optblock_of(list);
    if (!block)
        return;
    for (unsigned i = 0; i < list->n; i++)
        ss_setting_drop(all, &list->items[i]);
    unlink_block(block);
    ss_mem_free(&all->mem, block, optblock_size(list->room));
    *list = (struct ss_optlist){ 0 };
}

void ss_optmem_fini(struct ss_optmem *all)
{
    while (all->first)
        ss_optlist_fini(all->first->owner, all);
}
