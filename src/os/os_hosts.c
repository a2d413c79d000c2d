#include "os/os_hosts.h"

#include <stdio.h>      /* fopen, getline */
#include <stdlib.h>     /* free */
#include <string.h>     /* strtok_r */
#include <strings.h>    /* strcasecmp */
#include <sys/socket.h> /* AF_INET6 */

#ifndef _PATH_HOSTS
#define _PATH_HOSTS "/etc/hosts"
#endif

/* Bits 0 to 4 of an ASCII letter do not tell its case. */
static struct os_hosts_name **bucket_of(struct os_hosts_names *names, const char *host)
{
    unsigned hash = 0;
    for (; *host; host++)
        hash = hash * 31 + ((unsigned char)*host & 31);
    return &names->buckets[(hash ^ hash >> 8) % (sizeof names->buckets / sizeof *names->buckets)];
}

void os_hosts_add(struct os_hosts_names *names, struct os_hosts_name *name)
{
    struct os_hosts_name **bucket = bucket_of(names, name->host);
    /* Resolved without an entry (RFC 6761), but for one family resolvers may ask a server. */
    name->is_local = name->family == AF_UNSPEC && strcasecmp(name->host, "localhost") == 0;
    name->next = *bucket;
    *bucket = name;
}

/* A resolver passes over lines with an address of the other family and then asks a server. */
static bool fits_line(const struct os_hosts_name *name, const char *word, int family)
{
    return (name->family == AF_UNSPEC || name->family == family) && strcasecmp(name->host, word) == 0;
}

static void mark_local(struct os_hosts_names *names, const char *word, int family)
{
    for (struct os_hosts_name *name = *bucket_of(names, word); name; name = name->next)
        name->is_local = name->is_local || fits_line(name, word, family);
}

/* A line is: address, names, optional comment. Modifies `line`. */
static void read_hosts_line(struct os_hosts_names *names, char *line)
{
    static const char blanks[] = " \t\r\n";
    char *rest;
    line[strcspn(line, "#")] = '\0';
    const char *address = strtok_r(line, blanks, &rest);
    const char *word = address ? strtok_r(NULL, blanks, &rest) : NULL;
    int family = address && strchr(address, ':') ? AF_INET6 : AF_INET;
    if (word)
        mark_local(names, address, family);
    for (; word; word = strtok_r(NULL, blanks, &rest))
        mark_local(names, word, family);
}

void os_hosts_read(struct os_hosts_names *names)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(_PATH_HOSTS, "re");
    while (file && getline(&line, &room, file) != -1)
        read_hosts_line(names, line);
    free(line);
    if (file)
        fclose(file);
}
