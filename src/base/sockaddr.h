/* The type of a socket address. What is done with one is in core/addr.h. */
#ifndef SS_BASE_SOCKADDR_H
#define SS_BASE_SOCKADDR_H

#include <netinet/in.h> /* struct sockaddr_in, struct sockaddr_in6 */
#include <sys/socket.h>
#include <sys/un.h> /* struct sockaddr_un */

union ss_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

struct ss_addr {
    socklen_t len; /* 0: nothing was filled in */
    union ss_sockaddr sa;
};

#endif
