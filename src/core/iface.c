#include "core/iface.h"
#include "core/addr.h"
#include "core/codes.h"

#include <string.h> /* strlen */

static bool is_any_address(const struct ss_addr *addr)
{
    struct ss_addr any;
    ss_addr_any(&any, addr->sa.any.sa_family, 0);
    return ss_addr_equal(addr, &any);
}

enum ss_status ss_iface_find(const char *text, size_t len, struct os_iface *iface, struct ss_error *err)
{
    *iface = (struct os_iface){ .index = 0 };
    *err = ss_no_interface;
    if (strlen(text) != len)
        return SS_ERROR;
    enum ss_status st = os_iface_find(text, &iface->index, err);
    if (st == SS_OK || ss_lacks_descriptor(err))
        return st;
    if (ss_addr_parse(&iface->addr, text, len, 0) != SS_HOST_NUMERIC)
        return SS_ERROR;
    ss_addr_unmap(&iface->addr);
    if (is_any_address(&iface->addr))
        return SS_OK;
    return os_iface_of_address(&iface->addr, &iface->index, err);
}
