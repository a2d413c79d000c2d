/* Files that are read whole: what changes while it is read, signals, errors, memory. */
#include "check.h"
#include "heap.h"
#include "os/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>  /* snprintf */
#include <stdlib.h> /* abort */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/ssocket-file-XXXXXX";

/* What read(2) does on our file: number `at`, from 1, comes to `error`, or finds that the file has another length. */
static struct {
    int fd; /* a descriptor of the same file; -1: read(2) as it is */
    int n, at, error;
    off_t length; /* -1: as it is */
    size_t most;  /* bytes at once; 0: no limit */
} plan;

__typeof__(read) __real_read, __wrap_read;
ssize_t __wrap_read(int fd, void *buf, size_t len)
{
    if (plan.fd < 0)
        return __real_read(fd, buf, len);
    bool now = ++plan.n == plan.at;
    if (now && plan.error != 0) {
        errno = plan.error;
        return -1;
    }
    if (now && plan.length >= 0 && ftruncate(plan.fd, plan.length) != 0)
        abort();
    return __real_read(fd, buf, plan.most > 0 && len > plan.most ? plan.most : len);
}

/* Bytes that the memory of a file must not keep when it is freed. */
enum { SECRET = 'S' };
static size_t dirty; /* blocks that had some */

static void *resize_and_look(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    const struct ss_mem mem = heap_mem(ud);
    dirty += ptr && memchr(ptr, SECRET, old_size);
    return ss_mem_resize(&mem, ptr, old_size, new_size);
}

static struct ss_mem memory(struct heap *heap)
{
    *heap = (struct heap){ 0 };
    return (struct ss_mem){ .resize = resize_and_look, .ud = heap };
}

/* Makes the file with `size` secret bytes; the rest of a longer one is a hole. */
static void begin(size_t size, off_t length)
{
    char bytes[4096];
    memset(bytes, SECRET, sizeof bytes);
    plan.fd = open(path, O_RDWR | O_TRUNC);
    for (size_t n; size > 0; size -= n) {
        n = ss_min_size(size, sizeof bytes);
        if (write(plan.fd, bytes, n) != (ssize_t)n)
            abort();
    }
    if (length > 0 && ftruncate(plan.fd, length) != 0)
        abort();
    plan.n = plan.at = plan.error = 0;
    plan.length = -1;
    plan.most = 0;
    dirty = 0;
}

static void end(struct heap *heap)
{
    close(plan.fd);
    plan.fd = -1;
    heap_check_empty(heap);
    CHECKF(dirty == 0, "%zu blocks were freed with secret bytes", dirty);
}

/* `last`: the last byte. */
static void check_reads(size_t len, char last)
{
    struct heap heap;
    struct os_file file;
    struct ss_error err;
    const struct ss_mem mem = memory(&heap);
    enum ss_status st = os_file_read(path, &mem, &file, &err);
    CHECK(st == SS_OK);
    CHECKF(file.len == len, "%zu of %zu bytes", file.len, len);
    if (st == SS_OK && file.len == len)
        CHECK(file.data[len] == '\0' && (len == 0 || file.data[len - 1] == last));
    os_file_free(&mem, &file);
    end(&heap);
}

static void check_fails(int code)
{
    struct heap heap;
    struct os_file file;
    struct ss_error err = { SS_SYSTEM, 0 };
    const struct ss_mem mem = memory(&heap);
    CHECK(os_file_read(path, &mem, &file, &err) == SS_ERROR);
    CHECKF(err.space == SS_SYSTEM && err.code == code, "%d, not %d", err.code, code);
    CHECK(!file.data && file.len == 0);
    end(&heap);
}

static void test_every_length(void)
{
    static const size_t lengths[] = { 0, 1, 4093, 4094, 4095, 4096, 4097, 65536, 100000 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        begin(lengths[i], 0);
        check_reads(lengths[i], SECRET);
        begin(lengths[i], 0);
        plan.most = 1000;
        check_reads(lengths[i], SECRET);
    }
}

/* As files of procfs are, whose size is 0. */
static void test_a_file_that_grows(void)
{
    static const size_t before[] = { 0, 1, 5000 };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        for (int at = 1; at <= 1 + (before[i] > 0); at++) { /* an empty one ends with its first read */
            begin(before[i], 0);
            plan.at = at;
            plan.length = 300000;
            plan.most = 4000;
            check_reads(300000, 0);
        }
}

static void test_a_file_that_shrinks(void)
{
    begin(100000, 0);
    plan.at = 1;
    plan.length = 10;
    check_reads(10, SECRET);
    begin(100000, 0);
    plan.at = 3;
    plan.length = 10;
    plan.most = 1000;
    check_reads(2000, SECRET);
}

static void test_signals(void)
{
    for (int at = 1; at <= 3; at++) {
        begin(5000, 0);
        plan.most = 3000;
        plan.at = at;
        plan.error = EINTR;
        check_reads(5000, SECRET);
    }
}

static void test_errors_of_reads(void)
{
    for (int at = 1; at <= 3; at++) {
        begin(5000, 0);
        plan.most = 3000;
        plan.at = at;
        plan.error = EIO;
        check_fails(EIO);
    }
}

static void test_the_limit(void)
{
    begin(1, OS_FILE_MAX);
    check_reads(OS_FILE_MAX, 0);
    begin(1, (off_t)OS_FILE_MAX + 1);
    plan.at = 1;
    plan.error = EIO; /* nothing is read */
    check_fails(EFBIG);
    begin(1, 0);
    plan.at = 1;
    plan.length = (off_t)OS_FILE_MAX + 1;
    check_fails(EFBIG);
}

static void test_memory(void)
{
    enum ss_status st = SS_ERROR;
    size_t failed = 0;
    for (size_t n = 1; st != SS_OK; n++) {
        struct heap heap;
        struct os_file file;
        struct ss_error err;
        begin(5000, 0);
        plan.at = 1;
        plan.length = 40000;
        const struct ss_mem mem = memory(&heap);
        heap.fail_from = n;
        heap.fail_count = 1;
        st = os_file_read(path, &mem, &file, &err);
        CHECK(st == SS_OK || (err.space == SS_SYSTEM && err.code == ENOMEM && !file.data));
        failed += st != SS_OK;
        os_file_free(&mem, &file);
        end(&heap);
    }
    CHECKF(failed >= 2, "%zu", failed);
}

static void check_refuses(const char *name, int code)
{
    struct heap heap;
    struct os_file file;
    struct ss_error err = { SS_SYSTEM, 0 };
    const struct ss_mem mem = memory(&heap);
    CHECK(os_file_read(name, &mem, &file, &err) == SS_ERROR);
    CHECKF(err.space == SS_SYSTEM && err.code == code, "%s: %d, not %d", name, err.code, code);
    CHECK(!file.data);
    heap_check_empty(&heap);
}

/* A FIFO to which nobody writes is refused, and does not hang. */
static void test_what_is_no_file(void)
{
    char name[sizeof path + 5];
    snprintf(name, sizeof name, "%s.fifo", path);
    if (mkfifo(name, 0600) != 0)
        abort();
    check_refuses(name, EINVAL);
    int writer = open(name, O_RDWR);
    check_refuses(name, EINVAL);
    close(writer);
    unlink(name);
    check_refuses("/dev/zero", EINVAL);
    check_refuses("/", EISDIR);
    check_refuses(name, ENOENT);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    plan.fd = -1;
    RUN(test_every_length);
    RUN(test_a_file_that_grows);
    RUN(test_a_file_that_shrinks);
    RUN(test_signals);
    RUN(test_errors_of_reads);
    RUN(test_the_limit);
    RUN(test_memory);
    RUN(test_what_is_no_file);
    unlink(path);
    return check_end();
}
