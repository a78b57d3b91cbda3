/* cpu/rope: rotary position embeddings (Su et al., 2021). Everything is computed in float64 with operations written out
 * here, so that no library's rounding shows. */
#ifndef CPU_ROPE_H
#define CPU_ROPE_H

#include <stdint.h>

/* frequencies[i] = theta ^ (-2 i / rope_dim), for i < rope_dim / 2. theta > 0. */
void rope_frequencies(double *frequencies, double theta, int32_t rope_dim);

/* table[2 i] = cos(position * frequencies[i]), table[2 i + 1] = sin(...), for i < n. 0 <= position < 2^24. */
void rope_angles(float *table, const double *frequencies, int32_t n, int32_t position);

/* Rotates the pairs (2 i, 2 i + 1) of one head, for i < n. */
static inline void rope_rotate(float *head, const float *table, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    float a = head[2 * i], b = head[2 * i + 1], c = table[2 * i], s = table[2 * i + 1];
    head[2 * i] = a * c - b * s;
    head[2 * i + 1] = a * s + b * c;
  }
}

#endif
