/* Options that wait for a descriptor. */
#include "check.h"
#include "core/optlist.h"
#include "heap.h"
#include "os/os_opt.h"

#include <errno.h>
#include <netinet/in.h>  /* IPPROTO_TCP */
#include <netinet/tcp.h> /* TCP_NODELAY */
#include <stdbool.h>
#include <string.h> /* memcpy, strcmp */
#include <sys/socket.h>
#include <unistd.h> /* close */

struct list {
    struct heap heap;
    struct ss_optmem all;
    struct ss_optlist opts;
};

static void open_list(struct list *list)
{
    *list = (struct list){ .heap = { 0 } };
    list->all.mem = heap_mem(&list->heap);
}

static void close_list(struct list *list)
{
    ss_optlist_fini(&list->opts, &list->all);
    CHECK(list->opts.n == 0 && list->opts.items == NULL);
    ss_optlist_fini(&list->opts, &list->all);
    heap_check_empty(&list->heap);
}

static struct ss_setting named(const char *name, int value)
{
    return (struct ss_setting){ .opt = os_opt_find(name), .value = value };
}

static struct ss_setting numbered(int level, int number, int value)
{
    return (struct ss_setting){ .level = level, .number = number, .value = value };
}

static enum ss_status put(struct list *list, struct ss_setting setting)
{
    struct ss_error err = { SS_RESOLVER, 0 };
    enum ss_status st = ss_optlist_prepare(&list->opts, &list->all, &setting, &err);
    if (st == SS_OK)
        ss_optlist_put(&list->opts, &list->all, &setting);
    CHECK(st == SS_OK || (st == SS_ERROR && err.space == SS_SYSTEM && err.code == ENOMEM));
    return st;
}

/* -1: there is none. */
static int get(const struct list *list, struct ss_setting option)
{
    const struct ss_setting *found = ss_optlist_get(&list->opts, &option);
    return found ? found->value : -1;
}

static void test_settings_are_kept(void)
{
    struct list list;
    open_list(&list);
    CHECK(get(&list, named("rcvbuf", 0)) == -1);
    CHECK(put(&list, named("rcvbuf", 1000)) == SS_OK && put(&list, named("sndbuf", 2000)) == SS_OK);
    CHECK(put(&list, numbered(1, 2, 3)) == SS_OK && put(&list, numbered(1, 3, 4)) == SS_OK);
    CHECK(put(&list, numbered(2, 2, 5)) == SS_OK);
    CHECK(get(&list, named("rcvbuf", 0)) == 1000 && get(&list, named("sndbuf", 9)) == 2000);
    CHECK(get(&list, numbered(1, 2, 0)) == 3 && get(&list, numbered(1, 3, 0)) == 4 &&
          get(&list, numbered(2, 2, 0)) == 5);
    CHECK(get(&list, named("linger", 0)) == -1 && get(&list, numbered(2, 3, 0)) == -1);
    close_list(&list);
}

/* A second value takes the first one's place, in the order too. */
static void test_the_latest_value_counts(void)
{
    struct list list;
    open_list(&list);
    put(&list, named("rcvbuf", 1000));
    put(&list, numbered(1, 2, 3));
    put(&list, named("rcvbuf", 4000));
    put(&list, numbered(1, 2, 6));
    CHECK(list.opts.n == 2 && get(&list, named("rcvbuf", 0)) == 4000 && get(&list, numbered(1, 2, 0)) == 6);
    CHECK(list.opts.items[0].opt == os_opt_find("rcvbuf") && list.opts.items[1].opt == NULL);
    close_list(&list);
}

/* A setting that was prepared and not put leaves room for the next one, and nothing else. */
static void test_a_dropped_setting(void)
{
    struct list list;
    struct ss_error err;
    struct ss_setting bytes = { .level = 1, .number = 2, .bytes = "abc", .value = 3 };
    open_list(&list);
    put(&list, named("rcvbuf", 1000));
    CHECK(ss_optlist_prepare(&list.opts, &list.all, &bytes, &err) == SS_OK);
    ss_setting_drop(&list.all, &bytes);
    CHECK(get(&list, named("rcvbuf", 0)) == 1000 && get(&list, bytes) == -1);
    size_t requests = list.heap.requests;
    put(&list, named("linger", 3));
    CHECK(get(&list, named("linger", 0)) == 3 && list.opts.n == 2 && list.heap.requests == requests);
    close_list(&list);
}

static bool holds(const struct list *list, struct ss_setting option, const char *text)
{
    const struct ss_setting *found = ss_optlist_get(&list->opts, &option);
    return found && found->bytes && (size_t)found->value == strlen(text) && strcmp(found->bytes, text) == 0;
}

/* Bytes are copied; a later value of either type takes their place. */
static void test_bytes_are_kept(void)
{
    struct list list;
    char text[] = "first";
    struct ss_setting bytes = { .level = 1, .number = 2, .bytes = text, .value = 5 };
    open_list(&list);
    put(&list, bytes);
    memcpy(text, "other", 5);
    CHECK(holds(&list, bytes, "first"));
    put(&list, bytes);
    CHECK(holds(&list, bytes, "other") && list.opts.n == 1);
    put(&list, numbered(1, 2, 7));
    CHECK(!list.opts.items[0].bytes && get(&list, bytes) == 7);
    list.heap.fail_from = list.heap.requests + 1;
    list.heap.fail_count = 1;
    CHECK(put(&list, bytes) == SS_ERROR && get(&list, bytes) == 7);
    put(&list, bytes);
    close_list(&list);
}

static void put_in(struct list *list, struct ss_optlist *opts, struct ss_setting setting)
{
    struct ss_error err;
    CHECK(ss_optlist_prepare(opts, &list->all, &setting, &err) == SS_OK);
    ss_optlist_put(opts, &list->all, &setting);
}

/* The end of a Lua state frees what nobody has finished. */
static void test_all_lists_end_at_once(void)
{
    struct list list;
    struct ss_optlist other = { 0 }, third = { 0 };
    open_list(&list);
    const struct ss_setting setting = numbered(1, 2, 3);
    const struct ss_setting more = { .level = 1, .number = 3, .bytes = "bytes", .value = 5 };
    put_in(&list, &other, setting);
    put(&list, setting);
    put_in(&list, &third, setting);
    put_in(&list, &other, more); /* its memory moves */
    ss_optlist_fini(&list.opts, &list.all);
    ss_optmem_fini(&list.all);
    CHECK(other.n == 0 && third.n == 0 && !other.items && !third.items);
    close_list(&list);
}

static void test_no_memory_changes_nothing(void)
{
    struct list list;
    for (size_t n = 1; n <= 3; n++) {
        open_list(&list);
        list.heap.fail_from = n;
        list.heap.fail_count = 1;
        for (int i = 1; i <= 3; i++)
            CHECK((put(&list, numbered(1, i, i)) == SS_OK) == (n != (size_t)i));
        for (int i = 1; i <= 3; i++)
            CHECK(get(&list, numbered(1, i, 0)) == (n == (size_t)i ? -1 : i));
        list.heap.fail_from = list.heap.requests + 1;
        CHECK(put(&list, numbered(1, n == 1 ? 2 : 1, 7)) == SS_OK); /* needs none */
        CHECK(get(&list, numbered(1, n == 1 ? 2 : 1, 0)) == 7);
        close_list(&list);
    }
}

/* On a descriptor */

static int option_of(int fd, int level, int number)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, level, number, &value, &len) == 0 ? value : -1;
}

static void test_settings_are_applied(void)
{
    struct list list;
    struct ss_error err;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    open_list(&list);
    put(&list, named("tcp_keepalive", 1));
    put(&list, named("tcp_nodelay", 1));
    put(&list, numbered(SOL_SOCKET, SO_REUSEADDR, 1));
    CHECK(ss_optlist_apply(&list.opts, fd, AF_INET, &err) == SS_OK);
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 0 && option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK(option_of(fd, SOL_SOCKET, SO_REUSEADDR) != 0);
    close(fd);
    close_list(&list);
}

/* What a Unix socket can't have is passed over, not what comes after it. */
static void test_settings_of_other_families_are_skipped(void)
{
    struct list list;
    struct ss_error err;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), before = option_of(fd, SOL_SOCKET, SO_SNDBUF);
    open_list(&list);
    put(&list, named("tcp_nodelay", 1));
    put(&list, named("ipv6_v6only", 1));
    put(&list, named("ip_ttl", 3));
    put(&list, named("sndbuf", 5000));
    CHECK(ss_optlist_apply(&list.opts, fd, AF_UNIX, &err) == SS_OK);
    CHECK(option_of(fd, SOL_SOCKET, SO_SNDBUF) != before);
    close(fd);
    close_list(&list);
}

/* The first one that the system refuses ends it, and it is known why. */
static void test_a_refused_setting(void)
{
    struct list list;
    struct ss_error err = { SS_RESOLVER, 0 };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), before = option_of(fd, SOL_SOCKET, SO_SNDBUF);
    open_list(&list);
    put(&list, numbered(SOL_SOCKET, 0x7fff, 1));
    put(&list, named("sndbuf", 5000));
    CHECK(ss_optlist_apply(&list.opts, fd, AF_UNIX, &err) == SS_ERROR);
    CHECK(err.space == SS_SYSTEM && err.code == ENOPROTOOPT);
    CHECK(option_of(fd, SOL_SOCKET, SO_SNDBUF) == before);
    close(fd);
    CHECK(ss_setting_apply(&list.opts.items[1], fd, AF_UNIX, &err) == SS_ERROR && err.code == EBADF);
    close_list(&list);
}

int main(void)
{
    RUN(test_settings_are_kept);
    RUN(test_the_latest_value_counts);
    RUN(test_a_dropped_setting);
    RUN(test_bytes_are_kept);
    RUN(test_all_lists_end_at_once);
    RUN(test_no_memory_changes_nothing);
    RUN(test_settings_are_applied);
    RUN(test_settings_of_other_families_are_skipped);
    RUN(test_a_refused_setting);
    return check_end();
}
