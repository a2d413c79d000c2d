/* Runs a fuzz target over files: those given, or all of its corpus. Ends with "N passed, 0 failed", or at the first fault
 * with the name of that file before it. Needs no fuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h> /* alarm */

enum { LIMIT_S = 20, LARGEST = 1 << 20 };

static int passed;

/* In memory of exactly its size, so that a sanitizer sees what is read beside it. */
static void run_file(const char *path)
{
    static uint8_t bytes[LARGEST];
    FILE *file = fopen(path, "rb");
    printf("# %s\n", path);
    fflush(stdout);
    if (!file)
        abort();
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *input = malloc(size > 0 ? size : 1);
    if (!input)
        abort();
    memcpy(input, bytes, size);
    alarm(LIMIT_S);
    LLVMFuzzerTestOneInput(input, size);
    alarm(0);
    free(input);
    passed++;
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_directory(const char *path)
{
    struct dirent **entries;
    char file[1024];
    int n = scandir(path, &entries, is_file, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        run_file(file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    if (argc == 1)
        run_directory(FUZZ_CORPUS);
    printf("%d passed, 0 failed\n", passed);
    return passed == 0;
}
