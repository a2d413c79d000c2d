/* The type of a socket address; core/addr.h has the functions. */
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
    socklen_t len; /* 0: no address */
    union ss_sockaddr sa;
};

#endif
