#include "cpu/rope.h"

#include "base/log.h"

/* Adding and taking away 1.5 * 2^52 rounds to the nearest integer. */
#define ROUND_MAGIC 6755399441055744.0
#define TWO_PI 0x1.921fb54442d18p+2

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

/* cos and sin of x, 0 <= x < 2^26: pi / 2 in three parts, the first two of 28 bits so that their multiples are exact.
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

/* The pair that turns so many times in s->context tokens, were there one between any two; within the head. */
static double pair_that_turns(double turns, const config *c) {
  double pair =
      c->rope_dim * f64_log(c->rope_scaling.context / (turns * TWO_PI)) / (2 * f64_log((double)c->rope_theta));
  if (!(pair > 0)) return 0;
  return pair < c->rope_dim - 1 ? pair : c->rope_dim - 1;
}

/* What is kept of the frequency of pair i. */
static double kept_by_pair(int32_t i, int32_t first, int32_t last, double most) {
  double width = last > first ? last - first : 0.001;
  double done = (i - first) / width;
  return most * (done < 0 ? 1 : done > 1 ? 0 : 1 - done);
}

static double kept_by_turns(double turns, const rope_scaling *s) {
  double fast = (double)s->fast, slow = (double)s->slow;
  return turns >= fast ? 1 : turns <= slow ? 0 : (turns - slow) / (fast - slow);
}

void rope_scale(double *frequencies, const config *c) {
  const rope_scaling *s = &c->rope_scaling;
  if (s->rule == ROPE_PLAIN) return;
  int32_t first = 0, last = 0;
  if (s->rule == ROPE_YARN) {
    double end = pair_that_turns((double)s->slow, c);
    first = (int32_t)pair_that_turns((double)s->fast, c);
    last = (int32_t)end + (end > (int32_t)end);
  }
  for (int32_t i = 0; i < c->rope_dim / 2; i++) {
    double kept = 0;
    if (s->rule == ROPE_YARN) kept = kept_by_pair(i, first, last, (double)s->extrapolation);
    if (s->rule == ROPE_LLAMA3) kept = kept_by_turns(frequencies[i] * s->context / TWO_PI, s);
    frequencies[i] *= (1 - kept) / (double)s->factor + kept;
  }
}

double rope_magnitude(const rope_scaling *s) {
  double magnitude = (double)s->magnitude;
  if (s->rule != ROPE_YARN || s->extrapolation == 0 || s->factor <= 1) return magnitude;
  double tenth = 0.1 * f64_log((double)s->factor);
  return magnitude * (tenth + 1) / ((double)s->log_multiplier * tenth + 1);
}

void rope_angles(float *table, const double *frequencies, int32_t n, int32_t position, double magnitude) {
  for (int32_t i = 0; i < n; i++) {
    double cosine, sine;
    f64_cos_sin(position * frequencies[i], &cosine, &sine);
    table[2 * i] = (float)(magnitude * cosine);
    table[2 * i + 1] = (float)(magnitude * sine);
  }
}
