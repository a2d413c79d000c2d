#include "os/os_name.h"

#include <errno.h>
#include <netdb.h>   /* getaddrinfo */
#include <stdio.h>   /* fopen, getline */
#include <stdlib.h>  /* free */
#include <string.h>  /* memcpy, strtok_r */
#include <strings.h> /* strcasecmp */
#include <unistd.h>  /* gethostname */

#ifndef _PATH_HOSTS
#define _PATH_HOSTS "/etc/hosts"
#endif

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

/* A line is: address, names, optional comment (hosts(5)). Modifies `line`. */
static bool hosts_line_has(char *line, const char *host)
{
    static const char blanks[] = " \t\r\n";
    char *rest, *word;
    line[strcspn(line, "#")] = '\0';
    if (!strtok_r(line, blanks, &rest))
        return false;
    while ((word = strtok_r(NULL, blanks, &rest)) != NULL)
        if (strcasecmp(word, host) == 0)
            return true;
    return false;
}

bool os_name_is_local(const char *host)
{
    char *line = NULL;
    size_t room = 0;
    bool found = strcasecmp(host, "localhost") == 0; /* resolved without an entry (RFC 6761) */
    FILE *file = found ? NULL : fopen(_PATH_HOSTS, "re");
    while (file && !found && getline(&line, &room, file) != -1)
        found = hosts_line_has(line, host);
    free(line);
    if (file)
        fclose(file);
    return found;
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

enum ss_status os_hostname(char *name, size_t size, struct ss_error *err)
{
    name[size - 1] = '\0'; /* POSIX: a name that is cut need not end in a NUL */
    if (gethostname(name, size - 1) == 0)
        return SS_OK;
    *err = (struct ss_error){ SS_SYSTEM, errno };
    return SS_ERROR;
}
