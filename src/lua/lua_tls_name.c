/* Names of servers. */
#include "lua/lua_tls.h"

#include <string.h> /* memchr, memcpy, strchr */

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

/* An address without a scope, which no certificate has. */
static void read_address(struct lss_server_name *name, const struct ss_addr *addr)
{
    char text[SS_HOST_TEXT];
    ss_addr_host(addr, text);
    char *scope = strchr(text, '%');
    if (scope)
        *scope = '\0';
    memcpy(name->text, text, strlen(text) + 1);
    name->is_address = true;
}

/* A label is not empty: OpenSSL takes a leading dot for any subdomain. */
static bool is_host_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_host_byte(text[i]) || (text[i] == '.' && (i == 0 || i + 1 == len || text[i + 1] == '.')))
            return false;
    return true;
}

static char lower_case(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

const char *lss_read_server_name(struct lss_server_name *name, const char *text, size_t len)
{
    struct ss_addr addr;
    name->is_address = false;
    if (len == 0)
        return "name must not be empty";
    if (memchr(text, '\0', len))
        return "name must not contain a NUL byte";
    if (ss_addr_parse(&addr, text, len, 0) == SS_HOST_NUMERIC) {
        read_address(name, &addr);
        return NULL;
    }
    len -= text[len - 1] == '.';
    if (len >= sizeof name->text - 1)
        return "name is too long";
    if (len == 0 || !is_host_name(text, len))
        return "name must be a host name in ASCII or an address; an international name has the form xn--...";
    for (size_t i = 0; i < len; i++)
        name->text[i] = lower_case(text[i]);
    name->text[len] = '\0';
    return NULL;
}
