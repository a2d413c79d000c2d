/* Checks for the unit tests. A test is a function, which passes when no check fails. */
#ifndef CHECK_H
#define CHECK_H

/* CHECKF prints a formatted message instead of the condition; evaluates the arguments on failure only. */
#define CHECK(good) CHECKF(good, "%s", #good)
#define CHECKF(good, ...)                                  \
    do {                                                   \
        if (!(good))                                       \
            check_failed(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

#define RUN(test) check_run(#test, test)

/* Prints a failure; the number of lines for each test is limited. */
void check_failed(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Runs a test. Limit: one minute (a longer test is quadratic or hangs). Fails if the test leaks a descriptor. */
void check_run(const char *name, void (*test)(void));

/* Prints the totals and returns the program's exit status. */
int check_end(void);

#endif
