#include "lua/lua_build.h"
#include "lua/lua_task.h"

#include <stddef.h> /* offsetof */

#define LAYOUT LSS_PREFIX "layout" /* in the registry: checksum of the shared structs */

static lua_Number layout_of_this(void)
{
    const size_t sizes[] = { sizeof(struct ss_env),
                             sizeof(struct ss_transport),
                             sizeof(struct ss_op),
                             sizeof(struct lss_call),
                             sizeof(struct lss_socket),
                             sizeof(struct lss_socket_handle),
                             sizeof(struct lss_tasks),
                             sizeof(struct lss_task),
                             sizeof(struct lss_member),
                             sizeof(struct lss_group),
                             offsetof(struct ss_env, by_fd),
                             lss_shared_size,
                             lss_tcp_size,
                             lss_udp_size };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        sum = (sum * 1021 + sizes[i]) % ((uint64_t)1 << 50);
    return (lua_Number)sum;
}

enum lss_builds lss_loaded_build(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LAYOUT);
    bool loaded = lua_isnumber(L, -1), same = loaded && lua_tonumber(L, -1) == layout_of_this();
    lua_pop(L, 1);
    return !loaded ? LSS_NO_BUILD : same ? LSS_SAME_BUILD : LSS_OTHER_BUILD;
}

void lss_register_build(lua_State *L)
{
    lua_pushnumber(L, layout_of_this());
    lua_setfield(L, LUA_REGISTRYINDEX, LAYOUT);
}
