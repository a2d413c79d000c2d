/* ss_find_next against a model that is too simple to be wrong: all small patterns in all small texts, in pieces of
 * all sizes; long ones; and a cost that does not grow with what went before. */
#include "check.h"
#include "core/find.h"
#include "guard.h"
#include "rng.h"

#include <stdint.h>
#include <string.h>

enum { LONGEST = 4096, NONE = LONGEST + 1 };

static struct guard data_guard, pattern_guard, border_guard;

/* A pattern and its border table, each ending at a forbidden page. */
static struct ss_find make_find(const void *pattern, size_t len)
{
    struct ss_find find = { .pattern = guard_copy(&pattern_guard, pattern, len), .len = len };
    size_t size = ss_find_border_size(len);
    find.border = (size_t *)(void *)(border_guard.high - size);
    memset(border_guard.low, 0xee, (size_t)(border_guard.high - border_guard.low));
    ss_find_init(&find);
    return find;
}

/* The model */

struct answer {
    size_t at;                /* where the pattern first stands, or NONE */
    size_t held[LONGEST + 1]; /* for each length of text: how many bytes at its end may begin the pattern */
};

static size_t naive_held(const char *pattern, size_t len, const char *text, size_t n)
{
    size_t k = len - 1 < n ? len - 1 : n;
    while (k > 0 && memcmp(text + n - k, pattern, k) != 0)
        k--;
    return k;
}

static void solve(struct answer *answer, const char *pattern, size_t len, const char *text, size_t n)
{
    answer->at = NONE;
    for (size_t i = 0; i + len <= n && answer->at == NONE; i++)
        if (memcmp(text + i, pattern, len) == 0)
            answer->at = i;
    for (size_t i = 0; i <= n; i++)
        answer->held[i] = naive_held(pattern, len, text, i);
}

/* One call, with the first `n` bytes of the text there. False: found, or wrong. */
static bool look(const struct ss_find *find, struct ss_scan *scan, const struct answer *answer, const char *text,
                 size_t n)
{
    const unsigned char *data = guard_copy(&data_guard, text, n);
    size_t at = NONE;
    bool found = ss_find_next(find, scan, data, n, &at);
    bool expected = answer->at + find->len <= n;
    CHECKF(found == expected, "'%.*s' in '%.*s': found %d", (int)find->len, find->pattern, (int)n, text, found);
    if (found || expected) {
        CHECKF(at == answer->at, "'%.*s' in '%.*s': at %zu", (int)find->len, find->pattern, (int)n, text, at);
        return false;
    }
    bool good = scan->seen == n && scan->match == answer->held[n];
    CHECKF(good, "'%.*s' in '%.*s': seen %zu, match %zu", (int)find->len, find->pattern, (int)n, text, scan->seen,
           scan->match);
    return good;
}

/* The text comes in pieces, which end at the bits of `cuts` (bit 0: after the first byte). */
static void look_in_pieces(const struct ss_find *find, const struct answer *answer, const char *text, size_t len,
                           uint32_t cuts)
{
    struct ss_scan scan = { 0, 0 };
    for (size_t n = 1; n <= len; n++)
        if ((n == len || (cuts >> (n - 1) & 1)) && !look(find, &scan, answer, text, n))
            return;
}

/* Small patterns, all of them */

/* The i-th text of that length over an alphabet of `letters` letters. */
static void spell(char *text, size_t len, size_t i, size_t letters)
{
    for (size_t k = 0; k < len; k++, i /= letters)
        text[k] = (char)('a' + i % letters);
}

static size_t power(size_t base, size_t exponent)
{
    return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

static uint32_t every(size_t piece)
{
    uint32_t cuts = 0;
    for (size_t n = piece; n <= 32; n += piece)
        cuts |= UINT32_C(1) << (n - 1);
    return cuts;
}

static void look_with_all_cuts(const struct ss_find *find, const struct answer *answer, const char *text, size_t len)
{
    for (uint32_t cuts = 0; cuts < UINT32_C(1) << (len - 1); cuts++)
        look_in_pieces(find, answer, text, len, cuts);
}

static void look_with_two_pieces_and_equal_ones(const struct ss_find *find, const struct answer *answer,
                                                const char *text, size_t len)
{
    for (size_t n = 1; n <= len; n++)
        look_in_pieces(find, answer, text, len, UINT32_C(1) << (n - 1));
    for (size_t piece = 1; piece < 6; piece++)
        look_in_pieces(find, answer, text, len, every(piece));
}

typedef void look_fn(const struct ss_find *find, const struct answer *answer, const char *text, size_t len);

/* All patterns up to that length in all texts of that length (and so in all shorter ones: they come first). Patterns
 * begin with 'a': the others are the same with the letters exchanged. */
static void look_for_all(size_t letters, size_t longest, size_t text_len, look_fn *look_at)
{
    static struct answer answer;
    char pattern[16], text[16];
    for (size_t len = 1; len <= longest; len++) {
        for (size_t i = 0; i < power(letters, len - 1); i++) {
            spell(pattern, len, i * letters, letters);
            struct ss_find find = make_find(pattern, len);
            for (size_t k = 0; k < power(letters, text_len); k++) {
                spell(text, text_len, k, letters);
                solve(&answer, pattern, len, text, text_len);
                look_at(&find, &answer, text, text_len);
            }
        }
    }
}

static void test_patterns_of_two_letters(void)
{
    look_for_all(2, 6, 12, look_with_two_pieces_and_equal_ones);
}

static void test_every_way_of_cutting(void)
{
    look_for_all(2, 4, 8, look_with_all_cuts);
    look_for_all(3, 3, 6, look_with_all_cuts);
}

/* Calls that have nothing new change nothing. */
static void test_calls_without_news(void)
{
    static struct answer answer;
    const char *text = "aabaabaaab";
    for (size_t len = 1; len <= 4; len++) {
        struct ss_find find = make_find("aaab", len);
        struct ss_scan scan = { 0, 0 };
        solve(&answer, "aaab", len, text, strlen(text));
        CHECK(!ss_find_next(&find, &scan, (const unsigned char *)"", 0, &(size_t){ 0 }));
        CHECK(scan.seen == 0 && scan.match == 0);
        for (size_t n = 1; n <= strlen(text); n++)
            if (!look(&find, &scan, &answer, text, n) || !look(&find, &scan, &answer, text, n))
                break;
    }
}

/* What stands before the data is not looked at: here it would make a delimiter of the first byte. */
static void test_nothing_is_read_before_the_data(void)
{
    static const char *const patterns[] = { "\n", "\r\n", "\r\r\n", "\n\n\n\n" };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct ss_find find = make_find(patterns[i], strlen(patterns[i]));
        for (size_t n = 1; n < strlen(patterns[i]); n++) {
            struct ss_scan scan = { 0, 0 };
            const unsigned char *data = guard_copy_low(&data_guard, patterns[i] + strlen(patterns[i]) - n, n);
            CHECK(!ss_find_next(&find, &scan, data, n, &(size_t){ 0 }));
        }
    }
}

static void test_bytes_of_all_kinds(void)
{
    static struct answer answer;
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = { (char)(byte + 1), (char)byte, (char)(byte + 1), (char)byte, (char)byte, (char)~byte };
        for (size_t len = 1; len <= 3; len++) {
            struct ss_find find = make_find(text + 6 - len, len);
            solve(&answer, text + 6 - len, len, text, sizeof text);
            look_with_all_cuts(&find, &answer, text, sizeof text);
        }
    }
}

static void test_borders(void)
{
    char pattern[10];
    for (size_t i = 0; i < power(2, sizeof pattern); i++) {
        spell(pattern, sizeof pattern, i, 2);
        for (size_t len = 3; len <= sizeof pattern; len++) {
            struct ss_find find = make_find(pattern, len);
            for (size_t n = 1; n <= len; n++)
                CHECKF(find.border[n - 1] == naive_held(pattern, n, pattern, n), "'%.*s': border of %zu: %zu", (int)len,
                       pattern, n, find.border[n - 1]);
        }
    }
    CHECK(ss_find_border_size(1) == 0 && ss_find_border_size(2) == 0);
}

/* Long patterns */

enum kind { RUN_THEN_OTHER, OTHER_THEN_RUN, ONE_LETTER, TWO_IN_TURN, MIRRORED, MIXED, KINDS };

static void make_pattern(char *pattern, size_t len, enum kind kind, uint32_t *rng)
{
    for (size_t i = 0; i < len; i++)
        pattern[i] = (char)('a' + (kind == TWO_IN_TURN ? i % 2 : kind == MIXED ? rng_below(rng, 2) : 0));
    if (kind == RUN_THEN_OTHER)
        pattern[len - 1] = 'b';
    if (kind == OTHER_THEN_RUN)
        pattern[0] = 'b';
    if (kind == MIRRORED)
        pattern[len / 2] = 'b';
}

/* Beginnings of the pattern one after another, here and there with a wrong byte. */
static void make_text(char *text, size_t len, const char *pattern, size_t pattern_len, uint32_t *rng)
{
    for (size_t n = 0; n < len;) {
        size_t part = 1 + rng_below(rng, pattern_len + 8);
        for (size_t i = 0; i < part && n < len; i++)
            text[n++] = pattern[i % pattern_len];
        if (n < len && rng_below(rng, 3) == 0)
            text[n++] = "abc"[rng_below(rng, 3)];
    }
}

static void look_in_random_pieces(const struct ss_find *find, const struct answer *answer, const char *text, size_t len,
                                  size_t longest_piece, uint32_t *rng)
{
    struct ss_scan scan = { 0, 0 };
    for (size_t n = 0; n < len;) {
        n += 1 + rng_below(rng, longest_piece);
        n = n < len ? n : len;
        if (!look(find, &scan, answer, text, n))
            return;
    }
}

static void look_for_long(size_t len, enum kind kind, uint32_t *rng)
{
    static struct answer answer;
    static char pattern[LONGEST], text[LONGEST];
    size_t text_len = 6 * len;
    make_pattern(pattern, len, kind, rng);
    make_text(text, text_len, pattern, len, rng);
    struct ss_find find = make_find(pattern, len);
    solve(&answer, pattern, len, text, text_len);
    const size_t pieces[] = { 1, 3, len / 2, len, len + 1, 2 * len, text_len };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        look_in_random_pieces(&find, &answer, text, text_len, pieces[i], rng);
}

static void test_long_patterns(void)
{
    static const size_t lengths[] = { 7, 31, 64, 300 };
    uint32_t rng = 20240607;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int round = 0; round < 8; round++)
                look_for_long(lengths[i], (enum kind)kind, &rng);
}

/* Cost. Each of these takes less than a second. Were a byte looked at again for each piece, or for each byte of the
 * pattern, it would be hours, and check_run allows a minute. */

enum { HUGE = 8 * 1024 * 1024 };

/* The pattern is "aaa...ab", of `len` bytes. */
static void search_huge(const unsigned char *text, size_t len, size_t piece)
{
    static char space[65536];
    static size_t border[65536];
    memset(space, 'a', len);
    struct ss_find find = { .pattern = (unsigned char *)space, .len = len, .border = border };
    space[len - 1] = 'b';
    ss_find_init(&find);
    struct ss_scan scan = { 0, 0 };
    size_t at = 0, n = 0;
    while (n < HUGE) {
        n = n + piece < HUGE ? n + piece : HUGE;
        if (ss_find_next(&find, &scan, text, n, &at))
            break;
    }
    CHECKF(n == HUGE && at == HUGE - len, "pattern of %zu, pieces of %zu: at %zu", len, piece, at);
}

/* At each place almost all of the pattern fits. */
static void test_runs_cost_their_length(void)
{
    struct guard huge;
    guard_open(&huge, HUGE);
    unsigned char *text = huge.high - HUGE;
    memset(text, 'a', HUGE);
    text[HUGE - 1] = 'b';
    search_huge(text, 300, 1);
    search_huge(text, 300, 299);
    search_huge(text, 300, 300);
    search_huge(text, 65536, 100);
    search_huge(text, 65536, 65535);
    search_huge(text, 65536, 65537);
    search_huge(text, 1, 1);
    search_huge(text, 1, 1000);
    search_huge(text, 2, 1);
    search_huge(text, 2, 1000);
    search_huge(text, 2, HUGE);
}

/* The second byte of the delimiter everywhere, the first nowhere but at the end. */
static void test_false_alarms_cost_their_length(void)
{
    struct guard huge;
    guard_open(&huge, HUGE);
    unsigned char *text = huge.high - HUGE;
    memset(text, 'b', HUGE);
    text[HUGE - 2] = 'a';
    search_huge(text, 2, HUGE);
    search_huge(text, 2, 3);
    text[HUGE - 3] = 'a';
    search_huge(text, 3, HUGE);
    search_huge(text, 3, 4);
}

int main(void)
{
    guard_open(&data_guard, LONGEST);
    guard_open(&pattern_guard, LONGEST);
    guard_open(&border_guard, LONGEST * sizeof(size_t));
    RUN(test_patterns_of_two_letters);
    RUN(test_every_way_of_cutting);
    RUN(test_calls_without_news);
    RUN(test_nothing_is_read_before_the_data);
    RUN(test_bytes_of_all_kinds);
    RUN(test_borders);
    RUN(test_long_patterns);
    RUN(test_runs_cost_their_length);
    RUN(test_false_alarms_cost_their_length);
    return check_end();
}
