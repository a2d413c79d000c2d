#include "os/os_name.h"

#include <errno.h>
#include <netdb.h>  /* getaddrinfo */
#include <string.h> /* memcpy */

enum ss_status os_names(const char *host, struct addrinfo **list, struct ss_error *err)
{
    /* SOCK_STREAM: one entry for each address, not one for each socket type. */
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int code = getaddrinfo(host, NULL, &hints, list);
    if (code == 0)
        return SS_OK;
#ifdef EAI_NODATA
    if (code == EAI_NODATA) /* the name exists and has no address: reported alike */
        code = EAI_NONAME;
#endif
    *err = code == EAI_SYSTEM ? (struct ss_error){ SS_SYSTEM, errno } : (struct ss_error){ SS_RESOLVER, code };
    return SS_ERROR;
}

void os_names_free(struct addrinfo *list)
{
    freeaddrinfo(list);
}

static bool is_ip_address(const struct addrinfo *info)
{
    return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

bool os_names_next(const struct addrinfo **next, uint16_t port, struct ss_addr *addr)
{
    const struct addrinfo *info = *next;
    while (info && !is_ip_address(info))
        info = info->ai_next;
    if (!info)
        return false;
    addr->len = info->ai_addrlen;
    memcpy(&addr->sa, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET)
        addr->sa.in.sin_port = htons(port);
    else
        addr->sa.in6.sin6_port = htons(port);
    *next = info->ai_next;
    return true;
}
