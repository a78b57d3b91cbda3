/* base/checked: sizes from untrusted numbers. A size that overflows sticks at SIZE_BAD, and so does all that is made
 * from it. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdint.h>

#define SIZE_BAD UINT64_MAX

static inline uint64_t size_mul(uint64_t a, uint64_t b) {
  if (a == SIZE_BAD || b == SIZE_BAD || (b && a > (SIZE_BAD - 1) / b)) return SIZE_BAD;
  return a * b;
}

static inline uint64_t size_add(uint64_t a, uint64_t b) {
  if (a == SIZE_BAD || b == SIZE_BAD || a > SIZE_BAD - 1 - b) return SIZE_BAD;
  return a + b;
}

/* n rounded up to a multiple of `step`, a power of two. */
static inline uint64_t size_round_up(uint64_t n, uint64_t step) {
  uint64_t sum = size_add(n, step - 1);
  return sum == SIZE_BAD ? SIZE_BAD : sum & ~(step - 1);
}

/* How many groups of `step` hold n. */
static inline int64_t ceil_div(int64_t n, int64_t step) {
  return (n + step - 1) / step;
}

static inline int64_t round_up(int64_t n, int64_t step) {
  return ceil_div(n, step) * step;
}

#endif
