/* Reproducible pseudo-random numbers (xorshift32, Marsaglia 2003). */
#ifndef RNG_H
#define RNG_H

#include <stddef.h> /* size_t */
#include <stdint.h>

/* *state: initially the seed, not 0. */
static inline uint32_t rng_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* 0 to n - 1. */
static inline size_t rng_below(uint32_t *state, size_t n)
{
    return rng_next(state) % n;
}

#endif
