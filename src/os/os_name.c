#include "os/os_name.h"

#include <errno.h>
#include <netdb.h>  /* getaddrinfo, getnameinfo */
#include <stdlib.h> /* malloc, free */
#include <string.h> /* memcpy */
#include <unistd.h> /* gethostname */

#ifdef __GLIBC__
#include <arpa/nameser.h>
#include <resolv.h> /* _res, res_nclose */
#endif

/* After fork(2) glibc gives a new thread the stack of one of the parent's, and with it that one's resolver state. Its socket is the
 * parent's too, so that each would receive the other's answers. A new thread's own state is not initialized yet. */
void os_begin_names(void)
{
#ifdef __GLIBC__
    if (!(_res.options & RES_INIT))
        return;
    res_nclose(&_res);
    memset(&_res, 0, sizeof _res);
#endif
}

/* Some services have no port for streams. */
static int ask_either_kind(const struct os_query *query, struct addrinfo *hints, struct addrinfo **list)
{
    int code = getaddrinfo(query->host, query->service, hints, list);
    if (code != EAI_SERVICE)
        return code;
    hints->ai_socktype = SOCK_DGRAM;
    return getaddrinfo(query->host, query->service, hints, list);
}

static bool has_any_address(const char *host)
{
    const struct addrinfo any_family = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    if (getaddrinfo(host, NULL, &any_family, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

/* Resolvers answer in different ways when the name has only addresses of the other family. */
static int explain_code(const struct os_query *query, int code)
{
#ifdef EAI_ADDRFAMILY
    if (code == EAI_ADDRFAMILY)
        return OS_NO_ADDRESS;
#endif
    bool is_explained = code != EAI_NONAME || query->family == AF_UNSPEC || query->is_local;
    return is_explained || !has_any_address(query->host) ? code : OS_NO_ADDRESS;
}

static int ask_for_addresses(const struct os_query *query, struct addrinfo **list)
{
    /* SOCK_STREAM: one entry for each address, not one for each socket type. */
    struct addrinfo hints = { .ai_family = query->family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = query->wants_canonical ? AI_CANONNAME : 0 };
    int code = ask_either_kind(query, &hints, list);
    return code == 0 ? 0 : explain_code(query, code);
}

static int ask_for_name(const struct ss_addr *addr, struct os_reverse **reverse)
{
    struct os_reverse *r = malloc(sizeof *r);
    if (!r)
        return EAI_MEMORY;
    int code =
        getnameinfo(&addr->sa.any, addr->len, r->host, sizeof r->host, r->service, sizeof r->service, NI_NAMEREQD);
    if (code == 0) {
        *reverse = r;
        return 0;
    }
    int system_code = errno;
    free(r);
    errno = system_code;
    return code;
}

enum ss_status os_ask(const struct os_query *query, struct os_answer *answer, struct ss_error *err)
{
    struct os_answer found = { .list = NULL };
    *answer = found;
    int code =
        query->reverse.len > 0 ? ask_for_name(&query->reverse, &found.reverse) : ask_for_addresses(query, &found.list);
    if (code == 0) {
        *answer = found;
        return SS_OK;
    }
    *err = code == EAI_SYSTEM ? (struct ss_error){ SS_SYSTEM, errno } : (struct ss_error){ SS_RESOLVER, code };
    return SS_ERROR;
}

void os_answer_free(struct os_answer *answer)
{
    if (answer->list)
        freeaddrinfo(answer->list);
    if (answer->reverse) /* rare: the usual connect saves a call */
        free(answer->reverse);
    *answer = (struct os_answer){ .list = NULL };
}

const char *os_answer_canonical(const struct os_answer *answer)
{
    return answer->list ? answer->list->ai_canonname : NULL;
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

uint16_t os_answer_port(const struct os_answer *answer)
{
    const struct addrinfo *info = answer->list;
    union ss_sockaddr sa;
    while (info && !is_ip_address(info))
        info = info->ai_next;
    if (!info)
        return 0;
    memcpy(&sa, info->ai_addr, info->ai_addrlen);
    return ntohs(info->ai_family == AF_INET ? sa.in.sin_port : sa.in6.sin6_port);
}

enum ss_status os_hostname(char *name, size_t size, struct ss_error *err)
{
    name[size - 1] = '\0'; /* POSIX: a name that is cut need not end in a NUL */
    if (gethostname(name, size - 1) == 0)
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, errno };
    return SS_ERROR;
}
