/* base/random: xorshift64* (Vigna, 2016), the generator of llama2.c, so that the same seed draws the same numbers. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* The next number in [0, 1): 24 bits. *state is not 0. */
static inline float random_unit(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (float)((*state * UINT64_C(0x2545F4914F6CDD1D)) >> 40) / 16777216.0f;
}

#endif
