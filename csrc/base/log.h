/* base/log: the natural logarithm written out, so that it is the same on every machine. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

/* ln x for normal x > 0: x = m 2^e with m near 1, and ln m = 2 artanh s = 2 (s + s^3 / 3 + ...), s = (m - 1) / (m + 1).
 */
static inline double f64_log(double x) {
  union {
    double f;
    uint64_t u;
  } bits = {x};
  int e = (int)(bits.u >> 52) - 1023;
  bits.u = (bits.u & 0xfffffffffffffu) | (uint64_t)1023 << 52;
  double m = bits.f;
  if (m > 1.4142135623730951) m *= 0.5, e++;
  double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return e * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

#endif
