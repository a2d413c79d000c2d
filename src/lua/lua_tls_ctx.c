/* tls.context: the options, and the object. */
#include "lua/lua_tls.h"
#include "tls/tls_source.h"

#include <string.h> /* memchr, memcmp, strlen */

/* The object. It has no methods. */
struct context {
    struct sstls_ctx *ctx; /* counted; NULL: none */
    const struct sstls_state *state;
};

static int context_gc(lua_State *L)
{
    struct context *object = lss_self(L);
    if (object->ctx && !object->state->ended)
        sstls_ctx_drop(object->ctx);
    object->ctx = NULL;
    return 0;
}

static int context_tostring(lua_State *L)
{
    lua_pushliteral(L, "<tls.context>");
    return 1;
}

void lss_open_tls_contexts(lua_State *L)
{
    static const luaL_Reg events[] = { { "__gc", context_gc }, { "__tostring", context_tostring }, { NULL, NULL } };
    static const luaL_Reg none[] = { { NULL, NULL } };
    lss_register_class(L, LSS_CONTEXT, events, none);
}

struct sstls_ctx *lss_check_context(lua_State *L, int arg)
{
    const struct context *object = lss_test_class(L, arg, LSS_CONTEXT);
    if (!object || !object->ctx)
        lss_type_error(L, arg, "context (of tls.context)");
    return object->ctx;
}

struct sstls_ctx *lss_opt_context(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? NULL : lss_check_context(L, arg);
}

/* Options. Stack: the table of options; a table that keeps alive what the C structs point to. */

enum { OPTIONS = 1, ANCHOR = 2 };

static int raise_option(lua_State *L, const char *name, const char *what)
{
    return luaL_argerror(L, OPTIONS, lua_pushfstring(L, "option '%s': %s", name, what));
}

static int raise_option_type(lua_State *L, const char *name, const char *expected, int index)
{
    return raise_option(L, name, lua_pushfstring(L, "%s expected, got %s", expected, luaL_typename(L, index)));
}

/* Pops a value and keeps it alive. */
static void anchor(lua_State *L)
{
    lua_rawseti(L, ANCHOR, (int)lua_rawlen(L, ANCHOR) + 1);
}

/* Pushes the option's value. */
static int push_option(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, OPTIONS);
    return lua_type(L, -1);
}

static void *anchored_memory(lua_State *L, size_t size)
{
    void *memory = lss_newuserdata(L, size);
    anchor(L);
    return memory;
}

/* Pops a string. */
static struct sstls_source pop_source(lua_State *L, const char *name)
{
    struct sstls_source source;
    if (lua_type(L, -1) != LUA_TSTRING)
        raise_option_type(L, name, "string", -1);
    source.text = lua_tolstring(L, -1, &source.len);
    anchor(L);
    return source;
}

static struct sstls_sources check_array(lua_State *L, const char *name)
{
    const size_t n = lua_rawlen(L, -1);
    if (n == 0)
        raise_option(L, name, "an empty array");
    if (n > 65536)
        raise_option(L, name, "too many elements");
    struct sstls_source *items = anchored_memory(L, n * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        items[i] = pop_source(L, name);
    }
    return (struct sstls_sources){ items, n };
}

/* A string, an array of strings, or nil. */
static struct sstls_sources check_sources(lua_State *L, const char *name)
{
    struct sstls_sources sources = { NULL, 0 };
    int type = push_option(L, name);
    if (type == LUA_TSTRING) {
        struct sstls_source *item = anchored_memory(L, sizeof *item);
        *item = pop_source(L, name);
        return (struct sstls_sources){ item, 1 };
    }
    if (type == LUA_TTABLE)
        sources = check_array(L, name);
    else if (type != LUA_TNIL)
        raise_option_type(L, name, "string or array of strings", -1);
    lua_pop(L, 1);
    return sources;
}

/* The same of texts and paths. */
static struct sstls_sources check_files(lua_State *L, const char *name)
{
    struct sstls_sources files = check_sources(L, name);
    for (size_t i = 0; i < files.n; i++) {
        const struct sstls_source *file = &files.items[i];
        if (!sstls_is_text(file) && (file->len == 0 || memchr(file->text, '\0', file->len)))
            raise_option(L, name, "a path must not be empty, and must not contain a NUL byte");
    }
    return files;
}

static bool check_flag(lua_State *L, const char *name, bool otherwise)
{
    int type = push_option(L, name);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        raise_option_type(L, name, "boolean", -1);
    bool value = type == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* NULL: none. */
static const struct sstls_source *check_string(lua_State *L, const char *name)
{
    if (push_option(L, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    struct sstls_source *source = lss_newuserdata(L, sizeof *source);
    lua_insert(L, -2);
    *source = pop_source(L, name);
    anchor(L);
    return source;
}

static const char *check_path(lua_State *L, const char *name)
{
    const struct sstls_source *path = check_string(L, name);
    if (path && (path->len == 0 || memchr(path->text, '\0', path->len)))
        raise_option(L, name, "a path must not be empty, and must not contain a NUL byte");
    return path ? path->text : NULL;
}

static bool is_text(const struct sstls_source *source, const char *text)
{
    return source->len == strlen(text) && memcmp(source->text, text, source->len) == 0;
}

static bool check_min(lua_State *L)
{
    const struct sstls_source *min = check_string(L, "min");
    if (min && !is_text(min, "1.2") && !is_text(min, "1.3"))
        raise_option(L, "min", "\"1.2\" or \"1.3\" expected");
    return min && is_text(min, "1.3");
}

/* False: the option is not set. */
static bool check_count(lua_State *L, const char *name, size_t *count)
{
    enum { MOST = 65536 };
    int type = push_option(L, name);
    lua_Number n = type == LUA_TNIL ? 0 : lua_tonumber(L, -1);
    if (type != LUA_TNIL && type != LUA_TNUMBER)
        raise_option_type(L, name, "number", -1);
    if (!(n >= 0 && n <= MOST && n == (lua_Number)(int)n))
        raise_option(L, name, "a whole number from 0 to 65536 expected");
    lua_pop(L, 1);
    if (type != LUA_TNIL)
        *count = (size_t)n;
    return type != LUA_TNIL;
}

/* RFC 7301 section 3.1: at most 255 bytes a name, and 65,535 in all. */
static struct sstls_sources check_alpn(lua_State *L)
{
    size_t size = 0;
    struct sstls_sources names = check_sources(L, "alpn");
    for (size_t i = 0; i < names.n; i++) {
        if (names.items[i].len == 0 || names.items[i].len > 255)
            raise_option(L, "alpn", "a protocol's name has 1 to 255 bytes");
        size += 1 + names.items[i].len;
    }
    if (size > 65535)
        raise_option(L, "alpn", "too many names");
    return names;
}

static struct sstls_sources check_ticket_keys(lua_State *L)
{
    struct sstls_sources keys = check_sources(L, "ticket_keys");
    for (size_t i = 0; i < keys.n; i++)
        if (keys.items[i].len != SSTLS_TICKET_KEY)
            raise_option(L, "ticket_keys", "strings of 80 bytes expected");
    return keys;
}

/* The number of pairs of the table on top of the stack. */
static size_t count_pairs(lua_State *L)
{
    size_t n = 0;
    lua_pushnil(L);
    for (; lua_next(L, -2); n++)
        lua_pop(L, 1);
    return n;
}

/* Reads the name and the value on top of the stack; pops the value. */
static struct sstls_setting pop_setting(lua_State *L)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        raise_option(L, "conf", "names and values expected: { Groups = \"X25519\" }");
    if (lua_type(L, -1) != LUA_TSTRING)
        raise_option_type(L, "conf", "strings as values", -1);
    struct sstls_setting setting = { lua_tostring(L, -2), lua_tostring(L, -1) };
    if (strlen(setting.name) != lua_rawlen(L, -2) || strlen(setting.value) != lua_rawlen(L, -1))
        raise_option(L, "conf", "names and values must not contain a NUL byte");
    anchor(L);
    lua_pushvalue(L, -1);
    anchor(L);
    return setting;
}

static void check_conf(lua_State *L, struct sstls_options *options)
{
    int type = push_option(L, "conf");
    if (type != LUA_TNIL && type != LUA_TTABLE)
        raise_option_type(L, "conf", "table", -1);
    if (type == LUA_TTABLE) {
        const size_t room = count_pairs(L);
        struct sstls_setting *settings = anchored_memory(L, (room + 1) * sizeof *settings);
        lua_pushnil(L);
        while (options->nconf < room && lua_next(L, -2))
            settings[options->nconf++] = pop_setting(L);
        options->conf = settings;
    }
    lua_settop(L, ANCHOR);
}

static void check_names_of_options(lua_State *L)
{
    static const char *const names[] = {
        "alpn",     "alpn_optional", "any_purpose", "ca",     "cert",       "client_ca", "client_optional",
        "conf",     "crl",           "depth",       "key",    "keylog",     "min",       "partial_chain",
        "password", "sessions",      "ticket_keys", "verify", "verify_name"
    };
    lua_pushnil(L);
    for (; lua_next(L, OPTIONS); lua_pop(L, 1)) {
        size_t i = 0, n = sizeof names / sizeof *names;
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_argerror(L, OPTIONS, "options have names: { ca = path }, not { path }");
        struct sstls_source name;
        name.text = lua_tolstring(L, -2, &name.len);
        while (i < n && !is_text(&name, names[i]))
            i++;
        if (i == n)
            luaL_argerror(L, OPTIONS, lua_pushfstring(L, "unknown option '%s'", lua_tostring(L, -2)));
    }
}

/* A boolean or "report". */
static void check_verify(lua_State *L, struct sstls_options *options)
{
    int type = push_option(L, "verify");
    options->reports = type == LUA_TSTRING && lua_rawlen(L, -1) == 6 && strcmp(lua_tostring(L, -1), "report") == 0;
    if (type == LUA_TSTRING && !options->reports)
        raise_option(L, "verify", "a boolean or \"report\" expected");
    if (type != LUA_TNIL && type != LUA_TSTRING && type != LUA_TBOOLEAN)
        raise_option_type(L, "verify", "boolean or \"report\"", -1);
    options->verify = type == LUA_TNIL || lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* The string on top of the stack. */
static void check_name_to_verify(lua_State *L, struct sstls_options *options)
{
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    struct lss_server_name *name = anchored_memory(L, sizeof *name);
    const char *wrong = lss_read_server_name(name, text, len);
    if (wrong)
        raise_option(L, "verify_name", wrong);
    if (!options->verify)
        raise_option(L, "verify_name", "option 'verify' is false");
    options->verify_name = name->text;
    options->verify_name_is_address = name->is_address;
}

static void check_verify_name(lua_State *L, struct sstls_options *options)
{
    int type = push_option(L, "verify_name");
    options->any_name = type == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    if (type == LUA_TSTRING)
        check_name_to_verify(L, options);
    else if (type != LUA_TNIL && !options->any_name)
        raise_option_type(L, "verify_name", "string or false", -1);
    lua_pop(L, 1);
}

static void check_trust(lua_State *L, struct sstls_options *options)
{
    static const struct sstls_source system = { "system", 6 };
    options->ca = check_files(L, "ca");
    if (options->ca.n == 0)
        options->ca = (struct sstls_sources){ &system, 1 };
    options->client_ca = check_files(L, "client_ca");
    options->crl = check_files(L, "crl");
    check_verify(L, options);
    check_verify_name(L, options);
    options->limits_depth = check_count(L, "depth", &options->depth);
    options->whole_chain = !check_flag(L, "partial_chain", true);
    options->any_purpose = check_flag(L, "any_purpose", false);
    options->client_optional = check_flag(L, "client_optional", false);
    if (options->client_optional && options->client_ca.n == 0)
        raise_option(L, "client_optional", "there is no option 'client_ca'");
}

/* Raises for misuse, before anything is done. */
static void check_options(lua_State *L, struct sstls_options *options)
{
    if (lua_isnoneornil(L, OPTIONS)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    if (!lua_istable(L, OPTIONS))
        lss_type_error(L, OPTIONS, "options (a table)");
    lua_settop(L, OPTIONS);
    lua_newtable(L);
    check_names_of_options(L);
    check_trust(L, options);
    options->cert = check_files(L, "cert");
    options->key = check_files(L, "key");
    options->password = check_string(L, "password");
    options->alpn = check_alpn(L);
    options->alpn_optional = check_flag(L, "alpn_optional", false);
    if (options->alpn_optional && options->alpn.n == 0)
        raise_option(L, "alpn_optional", "there is no option 'alpn'");
    options->min13 = check_min(L);
    check_count(L, "sessions", &options->sessions);
    options->ticket_keys = check_ticket_keys(L);
    options->keylog = check_path(L, "keylog");
    check_conf(L, options);
}

/* OpenSSL has the memory of a context: the object takes as much, so that the collector counts it. */
static struct context *push_context(lua_State *L, const struct sstls_state *state)
{
    enum { MEMORY = 4096 };
    struct context *object = lss_newuserdata(L, sizeof *object + MEMORY);
    *object = (struct context){ NULL, state };
    luaL_getmetatable(L, LSS_CONTEXT);
    lua_setmetatable(L, -2);
    return object;
}

int lss_tls_context(lua_State *L)
{
    struct sstls_options options = { .verify = true, .sessions = 64 };
    struct sstls_problem problem;
    struct sstls_state *state = lss_tls_state(L);
    check_options(L, &options);
    struct context *object = push_context(L, state);
    object->ctx = sstls_ctx_new(state, &options, &problem);
    if (object->ctx)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, problem.text);
    return 2;
}
