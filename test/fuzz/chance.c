#define OPENSSL_SUPPRESS_DEPRECATED /* there is no other way for 1.1.1 and 3.x */

#include "chance.h"
#include "fuzz_tls.h"
#include "rng.h"
#include "tls_rig.h"

#include <openssl/rand.h>
#include <stdlib.h>

const unsigned char *tls_noise(void)
{
    static unsigned char noise[TLS_NOISE];
    uint32_t state = 7;
    if (noise[0] == 0)
        for (size_t i = 0; i < TLS_NOISE; i++)
            noise[i] = (unsigned char)(rng_next(&state) >> 11 | (i == 0));
    return noise;
}

#ifdef OPENSSL_NO_DEPRECATED_3_0

void chance_begin(void)
{
}

#else

static uint32_t states[2]; /* the peer's, and ours */

static int give_numbers(unsigned char *bytes, int n)
{
    for (int i = 0; i < n; i++)
        bytes[i] = (unsigned char)(rng_next(&states[tls_rig_runs_ours]) >> 11);
    return 1;
}

static int take_seed(const void *bytes, int n)
{
    (void)bytes, (void)n;
    return 1;
}

static int take_entropy(const void *bytes, int n, double entropy)
{
    (void)entropy;
    return take_seed(bytes, n);
}

static int is_seeded(void)
{
    return 1;
}

static const RAND_METHOD method = { take_seed, give_numbers, NULL, take_entropy, give_numbers, is_seeded };

void chance_begin(void)
{
    states[0] = 1;
    states[1] = 2;
    if (RAND_get_rand_method() != &method && RAND_set_rand_method(&method) != 1)
        abort();
}

#endif
