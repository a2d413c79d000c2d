/* What a fuzz target has: it is fed by libFuzzer, or from the files of its corpus by replay.c. A check that fails ends the
 * program, so that the input at hand is kept. */
#ifndef FUZZ_H
#define FUZZ_H

#include "check.h"

#include <stddef.h> /* size_t */
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input, taken from its front. What is not there any more is 0. */
struct input {
    const uint8_t *data;
    size_t left;
};

static inline unsigned input_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}

static inline unsigned input_word(struct input *in)
{
    unsigned high = input_byte(in);
    return high << 8 | input_byte(in);
}

/* So many bytes, or those that are left. */
static inline const uint8_t *input_bytes(struct input *in, size_t want, size_t *got)
{
    const uint8_t *bytes = in->data;
    *got = want < in->left ? want : in->left;
    in->data += *got;
    in->left -= *got;
    return bytes;
}

#endif
