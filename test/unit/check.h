/* Checks for the unit tests. A test is a function; it has passed when none of its checks failed. */
#ifndef CHECK_H
#define CHECK_H

/* The second form says more than the condition; its arguments are evaluated on failure only. */
#define CHECK(good) CHECKF(good, "%s", #good)
#define CHECKF(good, ...)                                  \
    do {                                                   \
        if (!(good))                                       \
            check_failed(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

#define RUN(test) check_run(#test, test)

/* Prints a line; after some lines of one test no more. */
void check_failed(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Runs a test, which has a minute: one that needs longer has become quadratic or hangs. It must leave no descriptor. */
void check_run(const char *name, void (*test)(void));

/* Prints the totals; the result is the program's exit status. */
int check_end(void);

#endif
