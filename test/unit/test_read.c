/* readn, readsome, readall and until against tables and against a model, each script in all feedings: what comes out, what
 * stays, and that the two together are the stream. */
#include "check.h"
#include "core/op_read.h"
#include "rig.h"
#include "rng.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { EVENTS = 8, TEXT = 256, NO_MAX = 0 };

static const struct feed at_once = { .mode = SS_NO_WAIT };
static const struct feed by_bytes = { .mode = SS_NO_WAIT, .piece = 1, .pause = true };

/* Running operations as the bindings do */

typedef enum ss_status step_fn(struct ss_op *op);

struct outcome {
    enum ss_status status;
    int code;    /* of SS_ERROR */
    size_t len;  /* bytes handed out, which stand ... */
    char *bytes; /* ... here */
    unsigned calls;
};

static void hand_out(struct rig *rig, struct outcome *out, size_t len)
{
    memcpy(out->bytes, ss_inbuf_data(&rig->in), len);
    out->len = len;
    ss_inbuf_consume(&rig->in, len);
    if (out->status != SS_OK)
        ss_inbuf_shrink(&rig->in);
}

static void check_memory(const struct rig *rig)
{
    CHECK((rig->in.block != NULL) == (ss_inbuf_len(&rig->in) > 0));
    size_t size = rig->in.block ? rig->in.block->size : 0;
    CHECKF(size <= SS_BLOCK || size <= 8 * rig->peer.position, "%zu bytes of memory for %zu", size, rig->peer.position);
}

static enum ss_status run(struct rig *rig, struct ss_op *op, struct outcome *out)
{
    unsigned calls = rig->peer.calls;
    rig->peer.all_timed_out = false;
    op->io = &rig->peer.io;
    out->status = peer_run(&rig->peer, op, SS_READABLE);
    out->code = op->error.code;
    out->calls = rig->peer.calls - calls;
    CHECKF(out->status != SS_OK || !rig->peer.all_timed_out, "waited for more than was needed");
    return out->status;
}

static struct outcome run_read(struct rig *rig, step_fn *step, size_t want, char *bytes)
{
    struct outcome out = { .bytes = bytes };
    struct ss_read op = { .op = { .step = step }, .in = &rig->in, .want = want };
    enum ss_status st = run(rig, &op.op, &out);
    hand_out(rig, &out, st == SS_OK || st == SS_LIMIT ? op.len : ss_inbuf_len(&rig->in));
    check_memory(rig);
    return out;
}

struct pattern {
    struct ss_find find;
    size_t border[64];
};

static void make_pattern(struct pattern *pattern, const char *text, size_t len)
{
    pattern->find = (struct ss_find){ .pattern = (const unsigned char *)text, .len = len, .border = pattern->border };
    ss_find_init(&pattern->find);
}

/* The delimiter is left out, after a check that it stands there. */
static struct outcome run_until(struct rig *rig, const struct pattern *pattern, size_t max, char *bytes)
{
    struct outcome out = { .bytes = bytes };
    const struct ss_find *find = &pattern->find;
    struct ss_until op = { .op = { .step = ss_until_step }, .in = &rig->in, .find = find };
    op.max = max == NO_MAX ? SIZE_MAX : max;
    enum ss_status st = run(rig, &op.op, &out);
    size_t rest = st == SS_WANT ? ss_until_partial(&op) : ss_inbuf_len(&rig->in);
    hand_out(rig, &out, st == SS_OK || st == SS_LIMIT ? op.len : rest);
    if (st == SS_OK) {
        CHECK(ss_inbuf_len(&rig->in) >= find->len);
        CHECK(memcmp(ss_inbuf_data(&rig->in), find->pattern, find->len) == 0);
        ss_inbuf_consume(&rig->in, find->len);
    }
    check_memory(rig);
    return out;
}

/* Scripts */

static size_t script_bytes(const struct peer_event *script, char *bytes)
{
    size_t len = 0;
    for (; script->kind != PEER_END; script++) {
        for (size_t i = 0; i < script->len; i++)
            bytes[len + i] = script->bytes[i];
        len += script->len;
    }
    return len;
}

/* All that is left, over time-outs and errors. */
static size_t drain(struct rig *rig, char *bytes)
{
    size_t len = 0;
    for (;;) {
        bool last = rig->peer.script[rig->peer.event].kind == PEER_END;
        struct outcome out = run_read(rig, ss_readall_step, SIZE_MAX / 4, bytes + len);
        len += out.len;
        if (out.status == SS_OK || last)
            return len;
    }
}

/* One operation that hands out counted bytes */

struct row {
    const char *name;
    size_t want;
    enum ss_status status;
    int code;
    const char *result;
    struct peer_event script[EVENTS];
};

static void check_row(struct rig *rig, step_fn *step, const struct row *row, size_t way)
{
    char all[TEXT], got[TEXT];
    size_t len = script_bytes(row->script, all), result_len = strlen(row->result);
    struct outcome out = run_read(rig, step, row->want, got);
    CHECKF(out.status == row->status, "%s: status %d in feeding %zu", row->name, out.status, way);
    CHECKF(out.status != SS_ERROR || out.code == row->code, "%s: code %d", row->name, out.code);
    CHECKF(out.len == result_len && memcmp(got, row->result, result_len) == 0, "%s: '%.*s' in feeding %zu", row->name,
           (int)out.len, got, way);
    size_t left = drain(rig, got + out.len);
    CHECKF(out.len + left == len && memcmp(got, all, len) == 0, "%s: together '%.*s'", row->name, (int)(out.len + left),
           got);
}

static void check_rows(step_fn *step, const struct row *rows, size_t n)
{
    struct rig rig;
    struct feed feed;
    rig_open(&rig);
    for (size_t i = 0; i < n; i++) {
        for (size_t way = 0; feed_get(way, 12, &feed); way++) {
            rig_play(&rig, rows[i].script, &feed);
            check_row(&rig, step, &rows[i], way);
        }
    }
    rig_close(&rig);
}

#define CHECK_ROWS(step, rows) check_rows(step, rows, sizeof(rows) / sizeof *(rows))

static void test_readn(void)
{
    static const struct row rows[] = {
        { "all there is", 3, SS_OK, 0, "abc", { BYTES("abc") } },
        { "less than there is", 3, SS_OK, 0, "abc", { BYTES("abcdef") } },
        { "in several pieces", 6, SS_OK, 0, "abcdef", { BYTES("ab"), PAUSE, BYTES("c"), PAUSE, PAUSE, BYTES("defg") } },
        { "nothing", 0, SS_OK, 0, "", { BYTES("abc") } },
        { "nothing at the end", 0, SS_OK, 0, "", { ENDS } },
        { "nothing before an error", 0, SS_OK, 0, "", { FAILS(ECONNRESET), ENDS } },
        { "the end", 1, SS_EOF, 0, "", { ENDS } },
        { "the end after a pause", 1, SS_EOF, 0, "", { PAUSE, ENDS } },
        { "one byte short", 4, SS_EOF, 0, "abc", { BYTES("abc"), ENDS } },
        { "exactly to the end", 3, SS_OK, 0, "abc", { BYTES("abc"), ENDS } },
        { "an error at once", 1, SS_ERROR, ECONNRESET, "", { FAILS(ECONNRESET), BYTES("a") } },
        { "an error in the middle", 4, SS_ERROR, ETIMEDOUT, "ab", { BYTES("ab"), FAILS(ETIMEDOUT), BYTES("cd") } },
        { "an error behind what is wanted", 2, SS_OK, 0, "ab", { BYTES("ab"), FAILS(ECONNRESET), BYTES("cd") } },
        { "time-out with nothing", 1, SS_WANT, 0, "", { SILENCE, BYTES("abc") } },
        { "time-out with something", 3, SS_WANT, 0, "ab", { BYTES("a"), PAUSE, BYTES("b"), SILENCE, BYTES("c") } },
        { "time-out behind what is wanted", 2, SS_OK, 0, "ab", { BYTES("ab"), SILENCE, BYTES("c") } },
        { "NUL is a byte", 2, SS_OK, 0, "ab", { BYTES("ab\0\0\r\n"), ENDS } },
    };
    CHECK_ROWS(ss_readn_step, rows);
}

static void test_readall(void)
{
    static const struct row rows[] = {
        { "nothing at all", 10, SS_OK, 0, "", { ENDS } },
        { "all", 10, SS_OK, 0, "abc", { BYTES("ab"), PAUSE, BYTES("c"), PAUSE, ENDS } },
        { "exactly the limit", 3, SS_OK, 0, "abc", { BYTES("abc"), ENDS } },
        { "one more than the limit", 3, SS_LIMIT, 0, "abc", { BYTES("abcd"), ENDS } },
        { "more than the limit, no end", 3, SS_LIMIT, 0, "abc", { BYTES("abcd"), SILENCE } },
        { "more than the limit, in pieces", 3, SS_LIMIT, 0, "abc", { BYTES("ab"), PAUSE, BYTES("cd"), SILENCE } },
        { "the limit, and time-out", 3, SS_WANT, 0, "abc", { BYTES("abc"), SILENCE, ENDS } },
        { "limit 0, nothing", 0, SS_OK, 0, "", { PAUSE, ENDS } },
        { "limit 0, something", 0, SS_LIMIT, 0, "", { BYTES("a"), SILENCE } },
        { "an error", 10, SS_ERROR, ECONNRESET, "ab", { BYTES("ab"), FAILS(ECONNRESET), BYTES("c"), ENDS } },
        { "an error at the limit",
          2,
          SS_ERROR,
          ECONNRESET,
          "ab",
          { BYTES("ab"), FAILS(ECONNRESET), BYTES("c"), ENDS } },
        { "time-out", 10, SS_WANT, 0, "ab", { BYTES("ab"), SILENCE, BYTES("c"), ENDS } },
        { "time-out with nothing", 10, SS_WANT, 0, "", { SILENCE, BYTES("c"), ENDS } },
    };
    CHECK_ROWS(ss_readall_step, rows);
}

/* The same rows whatever the pieces: where bytes come at all, one byte is wanted. */
static void test_readsome(void)
{
    static const struct row rows[] = {
        { "some", 1, SS_OK, 0, "a", { BYTES("abc"), ENDS } },
        { "after a pause", 1, SS_OK, 0, "a", { PAUSE, BYTES("abc"), ENDS } },
        { "one is enough", 9, SS_OK, 0, "a", { BYTES("a"), SILENCE, BYTES("bc") } },
        { "before an error", 9, SS_OK, 0, "a", { BYTES("a"), FAILS(ECONNRESET) } },
        { "before the end", 9, SS_OK, 0, "a", { BYTES("a"), ENDS } },
        { "the end", 9, SS_EOF, 0, "", { ENDS } },
        { "an error", 9, SS_ERROR, ECONNRESET, "", { FAILS(ECONNRESET), BYTES("a") } },
        { "time-out", 9, SS_WANT, 0, "", { SILENCE, BYTES("a") } },
    };
    CHECK_ROWS(ss_readsome_step, rows);
}

static void test_readsome_takes_what_is_there(void)
{
    static const struct peer_event script[] = { BYTES("abcdef"), SILENCE, ENDS };
    char got[TEXT];
    struct rig rig;
    rig_open(&rig);
    rig_play(&rig, script, &at_once);
    struct outcome out = run_read(&rig, ss_readsome_step, 4, got);
    CHECK(out.status == SS_OK && out.len == 4 && memcmp(got, "abcd", 4) == 0 && out.calls == 1);
    out = run_read(&rig, ss_readsome_step, 4, got);
    CHECK(out.status == SS_OK && out.len == 2 && memcmp(got, "ef", 2) == 0);
    CHECKF(out.calls == 0, "asked the peer although bytes were there");
    CHECK(run_read(&rig, ss_readsome_step, 4, got).status == SS_WANT);
    rig_close(&rig);
}

/* However much may come: only an operation that must have all its bytes lets the system wait for them. */
static void test_some_bytes_are_enough(void)
{
    static const struct peer_event script[] = { STREAM(10), SILENCE, ENDS };
    char got[TEXT];
    struct rig rig;
    rig_open(&rig);
    for (size_t max = 10; max < SIZE_MAX / 2; max *= 10) {
        rig_play(&rig, script, &(struct feed){ .mode = SS_WAIT_ALWAYS });
        struct outcome out = run_read(&rig, ss_readsome_step, max, got);
        CHECK(out.status == SS_OK && out.len == 10 && !rig.peer.asked_all);
    }
    rig_close(&rig);
}

/* What memory has is handed out although nothing may be called, and asks nobody. */
static void test_memory_comes_first(void)
{
    static const struct peer_event script[] = { BYTES("abc\ndef"), FAILS(ECONNRESET), ENDS };
    struct pattern newline;
    char got[TEXT];
    struct rig rig;
    rig_open(&rig);
    make_pattern(&newline, "\n", 1);
    rig_play(&rig, script, &at_once);
    CHECK(run_read(&rig, ss_readn_step, 1, got).calls == 1);
    struct outcome out = run_until(&rig, &newline, NO_MAX, got);
    CHECK(out.status == SS_OK && out.calls == 0 && out.len == 2 && memcmp(got, "bc", 2) == 0);
    out = run_read(&rig, ss_readn_step, 3, got);
    CHECK(out.status == SS_OK && out.calls == 0 && memcmp(got, "def", 3) == 0);
    CHECK(run_read(&rig, ss_readn_step, 0, got).calls == 0);
    rig_close(&rig);
}

/* Until */

struct until_row {
    const char *name, *pattern;
    size_t max;
    struct peer_event script[EVENTS];
    struct {
        enum ss_status status;
        const char *bytes;
    } results[6]; /* up to the end of the script */
};

static void check_until_row(struct rig *rig, const struct until_row *row, size_t way)
{
    struct pattern pattern;
    char got[TEXT];
    make_pattern(&pattern, row->pattern, strlen(row->pattern));
    for (size_t i = 0; row->results[i].bytes; i++) {
        const char *expected = row->results[i].bytes;
        struct outcome out = run_until(rig, &pattern, row->max, got);
        CHECKF(out.status == row->results[i].status, "%s: status %d of call %zu in feeding %zu", row->name, out.status,
               i + 1, way);
        CHECKF(out.len == strlen(expected) && memcmp(got, expected, out.len) == 0,
               "%s: '%.*s' of call %zu in feeding %zu", row->name, (int)out.len, got, i + 1, way);
        CHECKF(out.status != SS_ERROR || out.code == ECONNRESET, "%s: code %d", row->name, out.code);
    }
    CHECKF(drain(rig, got) == 0, "%s: something is left", row->name);
}

static void check_until_rows(const struct until_row *rows, size_t n)
{
    struct rig rig;
    struct feed feed;
    rig_open(&rig);
    for (size_t i = 0; i < n; i++) {
        for (size_t way = 0; feed_get(way, 14, &feed); way++) {
            rig_play(&rig, rows[i].script, &feed);
            check_until_row(&rig, &rows[i], way);
        }
    }
    rig_close(&rig);
}

#define CHECK_UNTIL_ROWS(rows) check_until_rows(rows, sizeof(rows) / sizeof *(rows))
#define RESET FAILS(ECONNRESET)

static void test_until_finds_delimiters(void)
{
    static const struct until_row rows[] = {
        { "lines", "\n", NO_MAX, { BYTES("a\nbc\n"), ENDS }, { { SS_OK, "a" }, { SS_OK, "bc" }, { SS_EOF, "" } } },
        { "two bytes",
          "\r\n",
          NO_MAX,
          { BYTES("a\rb\n\r\r\nc\r\n"), ENDS },
          { { SS_OK, "a\rb\n\r" }, { SS_OK, "c" } } },
        { "empty ones",
          "\r\n",
          NO_MAX,
          { BYTES("\r\n\r\na"), ENDS },
          { { SS_OK, "" }, { SS_OK, "" }, { SS_EOF, "a" } } },
        { "no last delimiter",
          "\n",
          NO_MAX,
          { BYTES("a\nbc"), ENDS },
          { { SS_OK, "a" }, { SS_EOF, "bc" }, { SS_EOF, "" } } },
        { "part of one at the end", "\r\n", NO_MAX, { BYTES("a\r"), ENDS }, { { SS_EOF, "a\r" }, { SS_EOF, "" } } },
        { "aab in aaab", "aab", NO_MAX, { BYTES("aaabaab"), ENDS }, { { SS_OK, "a" }, { SS_OK, "" }, { SS_EOF, "" } } },
        { "ABAC in ABABAC", "ABAC", NO_MAX, { BYTES("ABABAC"), ENDS }, { { SS_OK, "AB" }, { SS_EOF, "" } } },
        { "they do not overlap",
          "aa",
          NO_MAX,
          { BYTES("aaaaa"), ENDS },
          { { SS_OK, "" }, { SS_OK, "" }, { SS_EOF, "a" } } },
        { "long",
          "--boundary--",
          NO_MAX,
          { BYTES("x--boundary--boundary--"), ENDS },
          { { SS_OK, "x" }, { SS_EOF, "boundary--" } } },
        { "error before",
          "\r\n",
          NO_MAX,
          { BYTES("a"), RESET, BYTES("\r\n"), ENDS },
          { { SS_ERROR, "a" }, { SS_OK, "" } } },
        { "error inside",
          "\r\n",
          NO_MAX,
          { BYTES("a\r"), RESET, BYTES("\n"), ENDS },
          { { SS_ERROR, "a\r" }, { SS_EOF, "\n" } } },
        { "error after",
          "\r\n",
          NO_MAX,
          { BYTES("a\r\nb"), RESET, ENDS },
          { { SS_OK, "a" }, { SS_ERROR, "b" }, { SS_EOF, "" } } },
    };
    CHECK_UNTIL_ROWS(rows);
}

/* After a time-out the start of a delimiter stays, and is found again. */
static void test_until_over_time_outs(void)
{
    static const struct until_row rows[] = {
        { "before",
          "\r\n",
          NO_MAX,
          { BYTES("ab"), SILENCE, BYTES("\r\n"), ENDS },
          { { SS_WANT, "ab" }, { SS_OK, "" } } },
        { "inside",
          "\r\n",
          NO_MAX,
          { BYTES("ab\r"), SILENCE, BYTES("\nc"), ENDS },
          { { SS_WANT, "ab" }, { SS_OK, "" }, { SS_EOF, "c" } } },
        { "behind",
          "\r\n",
          NO_MAX,
          { BYTES("ab\r\n"), SILENCE, ENDS },
          { { SS_OK, "ab" }, { SS_WANT, "" }, { SS_EOF, "" } } },
        { "twice inside",
          "abc",
          NO_MAX,
          { BYTES("xa"), SILENCE, BYTES("b"), SILENCE, BYTES("c"), ENDS },
          { { SS_WANT, "x" }, { SS_WANT, "" }, { SS_OK, "" } } },
        { "a false start",
          "\r\n",
          NO_MAX,
          { BYTES("ab\r"), SILENCE, BYTES("c\r\n"), ENDS },
          { { SS_WANT, "ab" }, { SS_OK, "\rc" }, { SS_EOF, "" } } },
        { "a false start in itself",
          "aab",
          NO_MAX,
          { BYTES("aa"), SILENCE, BYTES("ab"), ENDS },
          { { SS_WANT, "" }, { SS_OK, "a" }, { SS_EOF, "" } } },
        { "the longest start stays",
          "abab!",
          NO_MAX,
          { BYTES("xababab"), SILENCE, BYTES("!"), ENDS },
          { { SS_WANT, "xab" }, { SS_OK, "" }, { SS_EOF, "" } } },
        { "no start stays for nothing",
          "ab",
          NO_MAX,
          { BYTES("xb"), SILENCE, BYTES("ab"), ENDS },
          { { SS_WANT, "xb" }, { SS_OK, "" }, { SS_EOF, "" } } },
        { "and the end", "\r\n", NO_MAX, { BYTES("ab\r"), SILENCE, ENDS }, { { SS_WANT, "ab" }, { SS_EOF, "\r" } } },
        { "and an error",
          "\r\n",
          NO_MAX,
          { BYTES("ab\r"), SILENCE, RESET, ENDS },
          { { SS_WANT, "ab" }, { SS_ERROR, "\r" } } },
    };
    CHECK_UNTIL_ROWS(rows);
}

/* The limit counts the bytes that must stand before the delimiter: those that may belong to it do not count yet. */
static void test_until_at_its_limit(void)
{
    static const struct until_row rows[] = {
        { "exactly", "\r\n", 3, { BYTES("abc\r\n"), ENDS }, { { SS_OK, "abc" }, { SS_EOF, "" } } },
        { "one more", "\r\n", 3, { BYTES("abcd\r\n"), ENDS }, { { SS_LIMIT, "abc" }, { SS_OK, "d" }, { SS_EOF, "" } } },
        { "at once, no delimiter",
          "\r\n",
          3,
          { BYTES("abcd"), SILENCE, ENDS },
          { { SS_LIMIT, "abc" }, { SS_WANT, "d" }, { SS_EOF, "" } } },
        { "all but the delimiter",
          "\r\n",
          3,
          { BYTES("abc"), SILENCE, BYTES("\r\n"), ENDS },
          { { SS_WANT, "abc" }, { SS_OK, "" } } },
        { "and half of it",
          "\r\n",
          3,
          { BYTES("abc\r"), SILENCE, BYTES("\n"), ENDS },
          { { SS_WANT, "abc" }, { SS_OK, "" } } },
        { "and what is none",
          "\r\n",
          3,
          { BYTES("abc\rx"), SILENCE, ENDS },
          { { SS_LIMIT, "abc" }, { SS_WANT, "\rx" }, { SS_EOF, "" } } },
        { "a longer start",
          "aaab",
          1,
          { BYTES("aaaa"), SILENCE, BYTES("b"), ENDS },
          { { SS_WANT, "a" }, { SS_OK, "" } } },
        { "too many for it",
          "aaab",
          1,
          { BYTES("aaaaa"), SILENCE, BYTES("b"), ENDS },
          { { SS_LIMIT, "a" }, { SS_WANT, "a" }, { SS_OK, "" } } },
        { "the end, exactly", "\r\n", 3, { BYTES("abc"), ENDS }, { { SS_EOF, "abc" }, { SS_EOF, "" } } },
        { "the end, one more",
          "\r\n",
          3,
          { BYTES("abcd"), ENDS },
          { { SS_LIMIT, "abc" }, { SS_EOF, "d" }, { SS_EOF, "" } } },
        { "the end, half a delimiter", "\r\n", 3, { BYTES("abc\r"), ENDS }, { { SS_LIMIT, "abc" }, { SS_EOF, "\r" } } },
        { "many times",
          "\n",
          2,
          { BYTES("abcdef\n"), ENDS },
          { { SS_LIMIT, "ab" }, { SS_LIMIT, "cd" }, { SS_OK, "ef" }, { SS_EOF, "" } } },
        { "an error gives all", "\r\n", 3, { BYTES("abc\r"), RESET, ENDS }, { { SS_ERROR, "abc\r" }, { SS_EOF, "" } } },
    };
    CHECK_UNTIL_ROWS(rows);
}

/* Until, against a model: every pattern in every text */

/* What one call gives, by the contract, when `len` bytes come and then `end`: the status and, in *out, how many bytes. */
static enum ss_status model_until(const char *bytes, size_t len, enum peer_kind end, const char *pattern, size_t plen,
                                  size_t max, size_t *out)
{
    size_t at = 0, held = plen - 1 < len ? plen - 1 : len;
    while (at + plen <= len && memcmp(bytes + at, pattern, plen) != 0)
        at++;
    bool found = at + plen <= len;
    while (held > 0 && memcmp(bytes + len - held, pattern, held) != 0)
        held--;
    /* So many bytes must stand before any delimiter. */
    size_t before = found ? at : end == PEER_EOF ? len : len - held;
    if (before > max) {
        *out = max;
        return SS_LIMIT;
    }
    *out = found ? at : end == PEER_FAIL ? len : before;
    return found ? SS_OK : end == PEER_EOF ? SS_EOF : end == PEER_FAIL ? SS_ERROR : SS_WANT;
}

static void spell(char *text, size_t len, size_t i)
{
    for (size_t k = 0; k < len; k++, i /= 2)
        text[k] = (char)('a' + i % 2);
}

static void compare_with_model(struct rig *rig, const struct pattern *pattern, const char *text, size_t len,
                               enum peer_kind end, size_t max)
{
    const char *p = (const char *)pattern->find.pattern;
    char got[TEXT];
    enum ss_status expected = SS_OK;
    for (size_t pos = 0; expected == SS_OK || expected == SS_LIMIT;) {
        size_t n;
        expected = model_until(text + pos, len - pos, end, p, pattern->find.len, max, &n);
        struct outcome out = run_until(rig, pattern, max, got);
        CHECKF(out.status == expected, "'%.*s' in '%.*s' at %zu, max %zu, end %d: status %d instead of %d",
               (int)pattern->find.len, p, (int)len, text, pos, max, end, out.status, expected);
        CHECKF(out.len == n && memcmp(got, text + pos, n) == 0, "'%.*s' in '%.*s' at %zu, max %zu, end %d: '%.*s'",
               (int)pattern->find.len, p, (int)len, text, pos, max, end, (int)out.len, got);
        if (out.status != expected || out.len != n)
            return;
        pos += n + (expected == SS_OK ? pattern->find.len : 0);
    }
}

static void in_all_texts(const struct pattern *pattern, size_t longest, size_t piece)
{
    static const enum peer_kind ends[] = { PEER_EOF, PEER_FAIL, PEER_END };
    const struct feed feed = { .mode = SS_NO_WAIT, .piece = piece };
    char text[16];
    struct rig rig;
    rig_open(&rig);
    for (size_t len = 0; len <= longest; len++)
        for (size_t i = 0; i < (size_t)1 << len; i++)
            for (size_t max = 1; max <= len + 1; max++)
                for (size_t e = 0; e < 3; e++) {
                    spell(text, len, i);
                    const struct peer_event script[] = { { PEER_BYTES, text, len, 0 },
                                                         { ends[e], NULL, 0, ECONNRESET },
                                                         ENDS };
                    rig_play(&rig, script, &feed);
                    compare_with_model(&rig, pattern, text, len, ends[e], max);
                }
    rig_close(&rig);
}

static void test_until_is_as_the_contract_says(void)
{
    static const char *const patterns[] = { "a", "ab", "aa", "aab", "aba", "aaa", "abab" };
    struct pattern pattern;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (size_t piece = 0; piece <= 4; piece++) {
            make_pattern(&pattern, patterns[i], strlen(patterns[i]));
            in_all_texts(&pattern, 7, piece);
        }
}

/* Pieces of records, against a model */

struct piece_call {
    struct ss_find find;
    size_t size, tail, max;
    bool last; /* result */
};

static struct outcome run_piece(struct rig *rig, struct piece_call *call, struct ss_record *record, char *bytes)
{
    struct outcome out = { .bytes = bytes };
    struct ss_piece op = { .record = record, .size = call->size, .tail = call->tail };
    op.until =
        (struct ss_until){ .op = { .step = ss_piece_step }, .in = &rig->in, .find = &call->find, .max = call->max };
    enum ss_status st = run(rig, &op.until.op, &out);
    call->last = st == SS_OK && op.last;
    size_t rest = st == SS_WANT ? ss_until_partial(&op.until) : ss_inbuf_len(&rig->in);
    hand_out(rig, &out, st == SS_OK || st == SS_LIMIT ? op.until.len : rest);
    ss_record_advance(record, rig->in.stream, out.len, call->last || (st != SS_OK && st != SS_WANT));
    if (call->last)
        ss_inbuf_consume(&rig->in, call->find.len);
    check_memory(rig);
    return out;
}

/* As model_until, after `given` bytes of the record. */
static enum ss_status model_piece(const char *bytes, size_t len, enum peer_kind end, const struct piece_call *call,
                                  size_t given, size_t *out, bool *last)
{
    size_t before, left = call->max - given;
    enum ss_status st =
        model_until(bytes, len, end, (const char *)call->find.pattern, call->find.len, SIZE_MAX, &before);
    size_t held = 0, sure = before;
    if (st == SS_ERROR) { /* all is handed out, but what may begin a delimiter is not sure */
        model_until(bytes, len, PEER_END, (const char *)call->find.pattern, call->find.len, SIZE_MAX, &sure);
        held = before - sure;
    }
    *last = false;
    *out = sure >= call->size && call->size <= left ? call->size : left;
    if (sure >= call->size || sure > left)
        return call->size <= left ? SS_OK : SS_LIMIT;
    *last = st == SS_OK && sure + call->tail <= call->size;
    *out = sure + held;
    return st;
}

static void compare_pieces(struct rig *rig, struct piece_call *call, const char *text, size_t len, enum peer_kind end)
{
    struct ss_record record = { .given = 0, .stream = rig->in.stream };
    char got[TEXT];
    enum ss_status expected = SS_OK;
    for (size_t pos = 0; expected == SS_OK || expected == SS_LIMIT;) {
        size_t n;
        bool last;
        expected = model_piece(text + pos, len - pos, end, call, record.given, &n, &last);
        struct outcome out = run_piece(rig, call, &record, got);
        bool same = out.status == expected && call->last == last && out.len == n && memcmp(got, text + pos, n) == 0;
        CHECKF(same, "'%.*s' in '%.*s' at %zu, size %zu, max %zu, tail %zu, end %d: status %d, '%.*s'",
               (int)call->find.len, call->find.pattern, (int)len, text, pos, call->size, call->max, call->tail, end,
               out.status, (int)out.len, got);
        if (!same)
            return;
        pos += n + (last ? call->find.len : 0);
    }
}

static void pieces_of_text(struct rig *rig, struct piece_call *call, const char *text, size_t len, size_t piece)
{
    static const enum peer_kind ends[] = { PEER_EOF, PEER_FAIL, PEER_END };
    const struct feed feed = { .mode = SS_NO_WAIT, .piece = piece };
    for (size_t e = 0; e < 3; e++) {
        const struct peer_event script[] = { { PEER_BYTES, text, len, 0 }, { ends[e], NULL, 0, ECONNRESET }, ENDS };
        rig_play(rig, script, &feed);
        compare_pieces(rig, call, text, len, ends[e]);
    }
}

static void test_pieces_are_as_the_contract_says(void)
{
    enum { LEN = 6 };
    static const char *const patterns[] = { "a", "ab", "aa", "aab", "aba" };
    struct pattern pattern;
    struct rig rig;
    char text[LEN];
    rig_open(&rig);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (size_t k = 0; k < 1 << LEN; k++)
            for (size_t size = 1; size <= 4; size++)
                for (size_t max = 1; max <= LEN + 1; max++)
                    for (size_t piece = 0; piece <= 3; piece++) {
                        make_pattern(&pattern, patterns[i], strlen(patterns[i]));
                        struct piece_call call = { .find = pattern.find, .size = size, .max = max };
                        spell(text, LEN, k);
                        pieces_of_text(&rig, &call, text, LEN, piece);
                        call.tail = pattern.find.len;
                        if (size >= call.tail)
                            pieces_of_text(&rig, &call, text, LEN, piece);
                    }
    rig_close(&rig);
}

/* A record of any length takes the memory of a block. */
static void test_pieces_need_no_room_for_the_record(void)
{
    enum { LEN = 4 * 1024 * 1024, SIZE = 1000 };
    static const struct peer_event script[] = { STREAM(LEN), BYTES("\1\2\3\4\5\6\7\10"), ENDS };
    static const char delimiter[] = "\1\2\3\4\5\6\7\10";
    struct pattern pattern;
    struct ss_record record = { .given = 0 };
    char got[SIZE];
    size_t n = 0, wrong = 0;
    struct rig rig;
    make_pattern(&pattern, delimiter, sizeof delimiter - 1);
    struct piece_call call = { .find = pattern.find, .size = SIZE, .max = SIZE_MAX };
    rig_open(&rig);
    rig_play(&rig, script, &at_once);
    record.stream = rig.in.stream;
    do {
        struct outcome out = run_piece(&rig, &call, &record, got);
        CHECK(out.status == SS_OK && (out.len == SIZE || call.last));
        for (size_t i = 0; i < out.len; i++)
            wrong += (unsigned char)got[i] != peer_byte(n++);
    } while (!call.last && n < 2 * LEN);
    CHECKF(n == LEN && wrong == 0, "%zu bytes, %zu wrong", n, wrong);
    CHECKF(rig.heap.peak <= 4 * SS_BLOCK, "%zu bytes of memory", rig.heap.peak);
    rig_close(&rig);
}

/* Another stream begins another record, and no record is too long to be counted. */
static void test_records_are_counted(void)
{
    struct ss_inbuf in = { .stream = 7 };
    struct ss_record record = { .given = 0 };
    CHECK(!ss_record_has_begun(&record, &in));
    ss_record_advance(&record, 7, 3, false);
    ss_record_advance(&record, 7, 2, false);
    CHECK(record.given == 5 && ss_record_has_begun(&record, &in));
    in.stream++;
    CHECK(!ss_record_has_begun(&record, &in));
    ss_record_advance(&record, 8, 2, false);
    CHECK(record.given == 2 && ss_record_has_begun(&record, &in));
    ss_record_advance(&record, 8, SIZE_MAX - 1, false);
    CHECK(record.given == SIZE_MAX);
    ss_record_advance(&record, 8, 4, true);
    CHECK(!ss_record_has_begun(&record, &in));
}

/* A time-out after any set of bytes makes no difference to the records that are found. */

static void split(const char *text, size_t len, const char *pattern, size_t plen, char *out)
{
    for (size_t i = 0; i < len;) {
        bool hit = i + plen <= len && memcmp(text + i, pattern, plen) == 0;
        *out++ = hit ? '|' : text[i];
        i += hit ? plen : 1;
    }
    *out = '\0';
}

static void read_records(struct rig *rig, const struct pattern *pattern, char *out)
{
    enum ss_status st = SS_OK;
    while (st != SS_EOF) {
        struct outcome got = run_until(rig, pattern, NO_MAX, out);
        out += got.len;
        st = got.status;
        CHECK(st == SS_OK || st == SS_EOF || st == SS_WANT);
        if (st == SS_OK)
            *out++ = '|';
    }
    *out = '\0';
}

/* Time-outs stand at the bits of `cuts` (bit 0: after the first byte). */
static void check_records(struct rig *rig, const struct pattern *pattern, const char *text, size_t len, unsigned cuts)
{
    struct peer_event script[32];
    char got[64], expected[64];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        script[n++] = (struct peer_event){ PEER_BYTES, text + i, 1, 0 };
        if (cuts >> i & 1)
            script[n++] = (struct peer_event)SILENCE;
    }
    script[n] = (struct peer_event)ENDS;
    rig_play(rig, script, &at_once);
    read_records(rig, pattern, got);
    split(text, len, (const char *)pattern->find.pattern, pattern->find.len, expected);
    CHECKF(strcmp(got, expected) == 0, "'%.*s' in '%.*s' cut %x: %s, not %s", (int)pattern->find.len,
           pattern->find.pattern, (int)len, text, cuts, got, expected);
}

static void test_time_outs_hide_no_delimiter(void)
{
    enum { LEN = 7 };
    struct pattern pattern;
    char space[8], text[LEN];
    struct rig rig;
    rig_open(&rig);
    for (size_t len = 1; len <= 4; len++)
        for (size_t i = 0; i < (size_t)1 << len; i += 2)
            for (size_t k = 0; k < 1 << LEN; k++)
                for (unsigned cuts = 0; cuts < 1 << (LEN - 1); cuts++) {
                    spell(space, len, i);
                    spell(text, LEN, k);
                    make_pattern(&pattern, space, len);
                    check_records(&rig, &pattern, text, LEN, cuts);
                }
    rig_close(&rig);
}

/* Large reads */

static void read_large(size_t want, const struct feed *feed)
{
    static char got[2 * 1024 * 1024];
    const struct peer_event script[] = { STREAM(want), SILENCE, STREAM(1000), { PEER_END, NULL, 0, 0 } };
    size_t i = 0;
    struct rig rig;
    rig_open(&rig);
    rig_play(&rig, script, feed);
    struct outcome out = run_read(&rig, ss_readn_step, want, got);
    CHECKF(out.status == SS_OK && out.len == want, "status %d, %zu of %zu in pieces of %zu, mode %d", out.status,
           out.len, want, feed->piece, feed->mode);
    while (i < want && (unsigned char)got[i] == peer_byte(i))
        i++;
    CHECKF(i == want, "byte %zu of %zu is wrong", i, want);
    CHECKF(rig.heap.peak <= 4 * want + SS_BLOCK, "%zu bytes of memory for %zu", rig.heap.peak, want);
    rig_close(&rig);
}

static void test_large_reads(void)
{
    static const size_t wants[] = { SS_BLOCK - 1, SS_BLOCK, SS_BLOCK + 1, 5 * SS_BLOCK + 7, 1000000 };
    static const size_t pieces[] = { 1, 1000, 16384, SS_BLOCK, 0 };
    static const enum ss_mode modes[] = { SS_NO_WAIT, SS_WAIT_ONCE, SS_WAIT_ALWAYS };
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++)
            for (size_t t = 0; t < 3; t++)
                read_large(wants[i], &(struct feed){ .piece = pieces[k], .mode = modes[t] });
}

/* Where the kernel keeps waiting until a large read is complete, one call is all it takes. */
static void test_a_large_read_is_one_call(void)
{
    static char got[SS_BLOCK];
    static const struct peer_event script[] = { STREAM(SS_BLOCK), { PEER_END, NULL, 0, 0 } };
    struct rig rig;
    rig_open(&rig);
    rig_play(&rig, script, &(struct feed){ .piece = 1000, .mode = SS_WAIT_ALWAYS });
    struct outcome out = run_read(&rig, ss_readn_step, SS_BLOCK, got);
    CHECKF(out.status == SS_OK && out.calls == 1, "%u calls", out.calls);
    rig_close(&rig);
}

enum { MUCH = 8 * 1024 * 1024 };

/* A million records, or steps up to a limit, out of bytes that are all there: were they looked at again for each, it would
 * take hours. */
static void read_from_much(size_t len, const char *delimiter, size_t max, enum ss_status expected)
{
    static char text[MUCH], got[TEXT];
    const struct peer_event script[] = { { PEER_BYTES, text, len, 0 }, ENDS };
    struct pattern pattern;
    struct rig rig;
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        text[i] = i % 8 == 7 ? '\n' : 'x';
    make_pattern(&pattern, delimiter, strlen(delimiter));
    rig_open(&rig);
    rig_play(&rig, script, &at_once);
    struct ss_read all = { .op = { .step = ss_readn_step, .io = &rig.peer.io }, .in = &rig.in, .want = len };
    CHECK(peer_run(&rig.peer, &all.op, SS_READABLE) == SS_OK);
    while (run_until(&rig, &pattern, max, got).status == expected)
        n++;
    CHECKF(n >= len / 8 - 2, "only %zu records", n);
    rig_close(&rig);
}

static void test_records_cost_their_length(void)
{
    read_from_much(MUCH, "\n", NO_MAX, SS_OK);
    read_from_much(MUCH, "\nx", NO_MAX, SS_OK);
    read_from_much(MUCH / 8, "x\nx", NO_MAX, SS_OK); /* less: AddressSanitizer looks at all that memmem may look at */
    read_from_much(MUCH, "y", 8, SS_LIMIT);
    read_from_much(MUCH, "yx", 8, SS_LIMIT);
    read_from_much(MUCH, "x\ny", 8, SS_LIMIT);
}

/* The peer announces much and sends little. */
static void test_announced_bytes_need_no_memory(void)
{
    static const struct peer_event script[] = { STREAM(1000), SILENCE };
    static const size_t wants[] = { SIZE_MAX, SIZE_MAX / 4, SIZE_MAX / 1000 };
    static char got[1000];
    struct rig rig;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        rig_open(&rig);
        rig_play(&rig, script, &by_bytes);
        struct outcome out = run_read(&rig, ss_readn_step, wants[i], got);
        CHECK(out.status == SS_WANT && out.len == 1000);
        CHECKF(rig.heap.peak <= 2 * SS_BLOCK, "%zu bytes of memory", rig.heap.peak);
        rig_close(&rig);
    }
}

/* Memory runs out at the n-th allocation: the call says so, and the next one goes on. */
static void test_no_memory_loses_nothing(void)
{
    static char got[300000];
    static const struct peer_event script[] = { STREAM(sizeof got), ENDS };
    for (size_t n = 1; n < 20; n++) {
        struct rig rig;
        struct ss_read op = { .op = { .step = ss_readn_step }, .in = &rig.in, .want = sizeof got };
        struct outcome out;
        rig_open(&rig);
        rig_play(&rig, script, &(struct feed){ .piece = 5000, .mode = SS_NO_WAIT });
        rig.heap.fail_from = n;
        rig.heap.fail_count = 1;
        enum ss_status st = run(&rig, &op.op, &out);
        CHECKF(n > 3 || (st == SS_ERROR && out.code == ENOMEM), "status %d at allocation %zu", st, n);
        CHECK(st == SS_OK || run(&rig, &op.op, &out) == SS_OK);
        CHECK(op.len == sizeof got && ss_inbuf_data(&rig.in)[sizeof got - 1] == peer_byte(sizeof got - 1));
        rig_close(&rig);
    }
}

/* All operations in any order on one stream, against a model that knows where it falls silent, fails and ends. */

enum { LETTERS = 300000, BARRIERS = 12 };

struct story {
    char text[LETTERS];
    struct peer_event script[4 * BARRIERS];
    struct {
        size_t at;
        enum peer_kind kind;
    } barriers[BARRIERS]; /* what ends an operation; the last one stays */
    size_t pos, barrier;  /* how far it was read */
    uint32_t rng;
};

static size_t random_length(uint32_t *rng)
{
    static const size_t sizes[] = { 1, 3, 30, 30, 300, 20000 };
    return rng_below(rng, sizes[rng_below(rng, sizeof sizes / sizeof *sizes)] + 1);
}

static size_t tell_part(struct story *story, size_t n, size_t *len)
{
    size_t more = random_length(&story->rng);
    for (size_t i = 0; i < more; i++)
        story->text[*len + i] = "aaabbcd"[rng_below(&story->rng, 7)];
    story->script[n++] = (struct peer_event){ PEER_BYTES, story->text + *len, more, 0 };
    *len += more;
    if (rng_below(&story->rng, 2) == 0)
        story->script[n++] = (struct peer_event)PAUSE;
    return n;
}

static void tell(struct story *story)
{
    static const enum peer_kind kinds[] = { PEER_SILENCE, PEER_SILENCE, PEER_FAIL }, lasts[] = { PEER_EOF, PEER_END };
    size_t n = 0, len = 0;
    story->pos = story->barrier = 0;
    for (size_t i = 0; i < BARRIERS; i++) {
        n = tell_part(story, n, &len);
        enum peer_kind kind = i < BARRIERS - 1 ? kinds[rng_below(&story->rng, 3)] : lasts[rng_below(&story->rng, 2)];
        story->barriers[i].at = len;
        story->barriers[i].kind = kind;
        story->script[n++] = (struct peer_event){ kind, NULL, 0, ECONNRESET };
    }
}

static size_t available(const struct story *story)
{
    return story->barriers[story->barrier].at - story->pos;
}

/* The operation has come to the barrier: how it ends there. */
static enum ss_status hit(struct story *story)
{
    switch (story->barriers[story->barrier].kind) {
    case PEER_EOF:
        return SS_EOF;
    case PEER_FAIL:
        story->barrier++;
        return SS_ERROR;
    case PEER_SILENCE:
        story->barrier++;
        return SS_WANT;
    case PEER_END:
    case PEER_BYTES:
    case PEER_WAIT:
        break;
    }
    return SS_WANT;
}

/* One operation: what it should give, and what it gives. */

static void expect(struct story *story, const struct outcome *out, enum ss_status status, size_t len, size_t skipped)
{
    CHECKF(out->status == status && out->len == len, "status %d, %zu bytes instead of %d, %zu at %zu", out->status,
           out->len, status, len, story->pos);
    CHECKF(memcmp(out->bytes, story->text + story->pos, len) == 0, "wrong bytes at %zu", story->pos);
    story->pos += len + skipped;
}

static void turn_readn(struct story *story, struct rig *rig, char *got)
{
    size_t want = random_length(&story->rng), len = available(story);
    struct outcome out = run_read(rig, ss_readn_step, want, got);
    if (len >= want)
        expect(story, &out, SS_OK, want, 0);
    else
        expect(story, &out, hit(story), len, 0);
}

static void turn_readsome(struct story *story, struct rig *rig, char *got)
{
    size_t max = 1 + random_length(&story->rng), len = available(story);
    struct outcome out = run_read(rig, ss_readsome_step, max, got);
    if (len == 0)
        expect(story, &out, hit(story), 0, 0);
    else
        expect(story, &out, SS_OK, out.len >= 1 && out.len <= max && out.len <= len ? out.len : 1, 0);
}

static void turn_readall(struct story *story, struct rig *rig, char *got)
{
    size_t max = random_length(&story->rng), len = available(story);
    struct outcome out = run_read(rig, ss_readall_step, max, got);
    if (len > max) {
        expect(story, &out, SS_LIMIT, max, 0);
        return;
    }
    enum ss_status st = hit(story);
    expect(story, &out, st == SS_EOF ? SS_OK : st, len, 0);
}

static void turn_until(struct story *story, struct rig *rig, char *got)
{
    static const char *const delimiters[] = { "d", "ab", "aab", "abac", "aaabbc", "c", "abbabbc" };
    const char *delimiter = delimiters[rng_below(&story->rng, sizeof delimiters / sizeof *delimiters)];
    size_t max = 1 + random_length(&story->rng) * 10, n, dlen = strlen(delimiter);
    struct pattern pattern;
    make_pattern(&pattern, delimiter, dlen);
    enum peer_kind end = story->barriers[story->barrier].kind;
    enum ss_status st = model_until(story->text + story->pos, available(story), end, delimiter, dlen, max, &n);
    struct outcome out = run_until(rig, &pattern, max, got);
    if (st == SS_WANT || st == SS_ERROR)
        hit(story);
    expect(story, &out, st, n, st == SS_OK ? dlen : 0);
}

static bool over(const struct story *story)
{
    return story->barrier == BARRIERS - 1 && available(story) == 0;
}

static void test_operations_in_any_order(void)
{
    static struct story story;
    static char got[LETTERS];
    void (*const turns[])(struct story *, struct rig *, char *) = { turn_readn, turn_readsome, turn_readall, turn_until,
                                                                    turn_until };
    struct rig rig;
    rig_open(&rig);
    for (uint32_t seed = 1; seed <= 600; seed++) {
        struct feed feed;
        story.rng = seed * 77777;
        tell(&story);
        feed_get(rng_below(&story.rng, 100), 20, &feed);
        if (rng_below(&story.rng, 2) == 0)
            feed.piece = random_length(&story.rng);
        rig_play(&rig, story.script, &feed);
        for (int round = 0; round < 3000 && !over(&story); round++)
            turns[rng_below(&story.rng, 5)](&story, &rig, got);
        CHECKF(over(&story), "seed %u does not come to its end", (unsigned)seed);
    }
    rig_close(&rig);
}

int main(void)
{
    RUN(test_readn);
    RUN(test_readall);
    RUN(test_readsome);
    RUN(test_readsome_takes_what_is_there);
    RUN(test_some_bytes_are_enough);
    RUN(test_memory_comes_first);
    RUN(test_until_finds_delimiters);
    RUN(test_until_over_time_outs);
    RUN(test_until_at_its_limit);
    RUN(test_until_is_as_the_contract_says);
    RUN(test_pieces_are_as_the_contract_says);
    RUN(test_pieces_need_no_room_for_the_record);
    RUN(test_records_are_counted);
    RUN(test_time_outs_hide_no_delimiter);
    RUN(test_large_reads);
    RUN(test_a_large_read_is_one_call);
    RUN(test_records_cost_their_length);
    RUN(test_announced_bytes_need_no_memory);
    RUN(test_no_memory_loses_nothing);
    RUN(test_operations_in_any_order);
    return check_end();
}
