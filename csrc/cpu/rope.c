#include "cpu/rope.h"

#include "base/log.h"

/* Adding and taking away 1.5 * 2^52 rounds to the nearest integer. */
#define ROUND_MAGIC 6755399441055744.0

static double f64_scale(double x, int n) { /* x * 2^n, for normal results */
  union {
    uint64_t u;
    double f;
  } power = {(uint64_t)(n + 1023) << 52};
  return x * power.f;
}

/* e^x for |x| < 700: x = n ln 2 + r, and a Taylor polynomial in r, |r| <= 0.35. */
static double f64_exp(double x) {
  double n = (x * 0x1.71547652b82fep+0 + ROUND_MAGIC) - ROUND_MAGIC;
  double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33, sum = 1;
  for (int k = 14; k >= 1; k--) sum = sum * (r / k) + 1;
  return f64_scale(sum, (int)n);
}

/* cos and sin of x, 0 <= x < 2^24: pi / 2 in three parts, the first two of 28 bits so that their multiples are exact.
 */
static void f64_cos_sin(double x, double *cosine, double *sine) {
  double n = (x * 0x1.45f306dc9c883p-1 + ROUND_MAGIC) - ROUND_MAGIC;
  double r = ((x - n * 0x1.921fb54p+0) - n * 0x1.10b461p-30) - n * 0x1.a62633145c06ep-58;
  double r2 = r * r, s = 0, c = 0;
  for (int k = 17; k >= 3; k -= 2) s = (1 - s) * (r2 / (k * (k - 1)));
  for (int k = 18; k >= 2; k -= 2) c = (1 - c) * (r2 / (k * (k - 1)));
  s = r * (1 - s);
  c = 1 - c;
  int quarter = (int)((int64_t)n & 3);
  *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
  *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
}

void rope_frequencies(double *frequencies, double theta, int32_t rope_dim) {
  double log_theta = f64_log(theta);
  for (int32_t i = 0; i < rope_dim / 2; i++) frequencies[i] = f64_exp(-2.0 * i / rope_dim * log_theta);
}

void rope_angles(float *table, const double *frequencies, int32_t n, int32_t position) {
  for (int32_t i = 0; i < n; i++) {
    double cosine, sine;
    f64_cos_sin(position * frequencies[i], &cosine, &sine);
    table[2 * i] = (float)cosine;
    table[2 * i + 1] = (float)sine;
  }
}
