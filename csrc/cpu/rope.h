/* cpu/rope: rotary position embeddings (Su et al., 2021). Everything is computed in float64 with operations written out
 * here, so that no library's rounding shows. */
#ifndef CPU_ROPE_H
#define CPU_ROPE_H

#include <stdint.h>

#include "model/config.h"

/* frequencies[i] = theta ^ (-2 i / rope_dim), for i < rope_dim / 2. theta > 0. */
void rope_frequencies(double *frequencies, double theta, int32_t rope_dim);

/* Stretches frequencies as c->rope_scaling says. */
void rope_scale(double *frequencies, const config *c);

/* What cosines and sines are multiplied by. */
double rope_magnitude(const rope_scaling *s);

/* table[2 i] = magnitude * cos(position * frequencies[i]), table[2 i + 1] = magnitude * sin(...), for i < n.
 * 0 <= position < 2^24, 0 <= frequencies[i] <= 4. */
void rope_angles(float *table, const double *frequencies, int32_t n, int32_t position, double magnitude);

/* Rotates the pairs (step * i, step * i + apart), for i < n. */
static inline void rope_turn(float *head, const float *table, int32_t n, int32_t step, int32_t apart) {
  for (int32_t i = 0; i < n; i++) {
    float a = head[step * i], b = head[step * i + apart], c = table[2 * i], s = table[2 * i + 1];
    head[step * i] = a * c - b * s;
    head[step * i + apart] = a * s + b * c;
  }
}

/* Rotates n pairs of one head: (i, n + i) if `halves`, else (2 i, 2 i + 1). */
static inline void rope_rotate(float *head, const float *table, int32_t n, bool halves) {
  if (halves)
    rope_turn(head, table, n, 1, n);
  else
    rope_turn(head, table, n, 2, 1);
}

#endif
