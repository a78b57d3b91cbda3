/* test_rope: rotary angles against the C library's functions in double precision. */
#include "check.h"

#include <math.h>

#include "cpu/rope.h"

#define MOST_DIM 256
#define POSITIONS (1 << 24)

/* The distance from |x| to the next float above it. */
static double ulp(double x) {
  float f = fabsf((float)x);
  return (double)nextafterf(f, INFINITY) - (double)f;
}

static void check_angle(const double *frequencies, int32_t i, int32_t position, const float *table) {
  double angle = position * frequencies[i];
  const double expected[] = {cos(angle), sin(angle)};
  for (int k = 0; k < 2; k++)
    CHECK_THAT(fabs((double)table[2 * i + k] - expected[k]) <= ulp(expected[k]), "%s(%d * %.17g) is %a, expected %a",
               k ? "sin" : "cos", position, frequencies[i], (double)table[2 * i + k], expected[k]);
}

static void check_position(const double *frequencies, int32_t n, int32_t position) {
  float table[MOST_DIM];
  rope_angles(table, frequencies, n, position, 1);
  for (int32_t i = 0; i < n; i++) check_angle(frequencies, i, position, table);
}

static void check_model(double theta, int32_t rope_dim) {
  double frequencies[MOST_DIM / 2];
  rope_frequencies(frequencies, theta, rope_dim);
  for (int32_t i = 0; i < rope_dim / 2; i++) {
    double expected = pow(theta, -2.0 * i / rope_dim);
    CHECK_THAT(fabs(frequencies[i] / expected - 1) < 1e-14, "frequency %d of %d is %.17g, expected %.17g", i, rope_dim,
               frequencies[i], expected);
  }
  for (int32_t position = 0; position < 600; position++) check_position(frequencies, rope_dim / 2, position);
  for (int32_t bit = 10; bit < 24; bit++)
    for (int32_t d = -2; d <= 2; d++) check_position(frequencies, rope_dim / 2, (1 << bit) + d);
  for (int32_t d = 1; d < 200; d++) check_position(frequencies, rope_dim / 2, POSITIONS - d);
  for (int32_t i = 0; i < rope_dim / 2; i++) frequencies[i] *= 4; /* the greatest that scaling leads to */
  for (int32_t d = 1; d < 200; d++) check_position(frequencies, rope_dim / 2, POSITIONS - d);
  for (int32_t i = 0; i < rope_dim / 2; i++) frequencies[i] /= 4;
  for (int i = 0; i < 1000; i++) check_position(frequencies, rope_dim / 2, (int32_t)random_below(POSITIONS));
}

/* Where a multiple of pi / 2 is closest, and the result is smallest. */
static void check_near_zeros(void) {
  const double one = 1;
  for (int k = 1; k < 20000; k++) {
    float table[2];
    int32_t position = (int32_t)lround(k * 355.0 / 113 * random_below(200)) % POSITIONS;
    rope_angles(table, &one, 1, position, 1);
    check_angle(&one, 0, position, table);
  }
  const int32_t close[] = {11,     22,     33,     44,     355,     710,     52174,  103993,
                           104348, 208341, 312689, 833719, 1146408, 4272943, 5419351};
  for (size_t i = 0; i < sizeof close / sizeof *close; i++) check_position(&one, 1, close[i]);
}

static void check_rotation(bool halves) {
  for (int n = 0; n <= 64; n++) {
    float head[129], table[128], before[129];
    for (int i = 0; i < 129; i++) before[i] = head[i] = random_float();
    for (int i = 0; i < 128; i++) table[i] = random_float();
    rope_rotate(head, table, n, halves);
    for (int i = 0; i < n; i++) {
      int first = halves ? i : 2 * i, second = halves ? n + i : 2 * i + 1;
      double a = before[first], b = before[second], c = table[2 * i], s = table[2 * i + 1];
      CHECK(fabs(head[first] - (a * c - b * s)) < 2e-7 && fabs(head[second] - (a * s + b * c)) < 2e-7);
    }
    for (int i = 2 * n; i < 129; i++) CHECK(head[i] == before[i]);
  }
}

/* Scaling, against formulas written as their authors do: by wavelength, and with the C library's functions. */

static const double pi = 3.14159265358979323846;

static double llama3_frequency(const rope_scaling *s, double f) {
  double wavelength = 2 * pi / f, longest = s->context / (double)s->slow, shortest = s->context / (double)s->fast;
  if (wavelength < shortest) return f;
  if (wavelength > longest) return f / (double)s->factor;
  double smooth = (s->context / wavelength - (double)s->slow) / (double)(s->fast - s->slow);
  return (1 - smooth) * f / (double)s->factor + smooth * f;
}

static double yarn_frequency(const config *c, double f, int32_t i) {
  const rope_scaling *s = &c->rope_scaling;
  double dims[2] = {(double)s->fast, (double)s->slow};
  for (int k = 0; k < 2; k++)
    dims[k] = c->rope_dim * log(s->context / (dims[k] * 2 * pi)) / (2 * log((double)c->rope_theta));
  double low = fmax(0, floor(dims[0])), high = fmin(c->rope_dim - 1, ceil(dims[1]));
  double ramp = 1 - fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)));
  double mix = ramp * (double)s->extrapolation;
  return f / (double)s->factor * (1 - mix) + f * mix;
}

static void check_scaling(const config *c) {
  const rope_scaling *s = &c->rope_scaling;
  double plain[MOST_DIM / 2], scaled[MOST_DIM / 2];
  rope_frequencies(plain, (double)c->rope_theta, c->rope_dim);
  rope_frequencies(scaled, (double)c->rope_theta, c->rope_dim);
  rope_scale(scaled, c);
  for (int32_t i = 0; i < c->rope_dim / 2; i++) {
    double expected = plain[i];
    if (s->rule == ROPE_LINEAR) expected = plain[i] / (double)s->factor;
    if (s->rule == ROPE_YARN) expected = yarn_frequency(c, plain[i], i);
    if (s->rule == ROPE_LLAMA3) expected = llama3_frequency(s, plain[i]);
    CHECK_THAT(fabs(scaled[i] / expected - 1) < 1e-13, "rule %d, factor %g, dim %d: frequency %d is %.17g, not %.17g",
               s->rule, (double)s->factor, c->rope_dim, i, scaled[i], expected);
    CHECK(s->rule != ROPE_PLAIN || scaled[i] == plain[i]);
  }
}

static void check_scalings(void) {
  const float thetas[] = {10000, 500000, 1e6f, 1.5f};
  const int32_t dims[] = {2, 8, 46, 64, 128}, contexts[] = {1, 7, 64, 4096, 8192, 1 << 24};
  const float factors[] = {0.5f, 1, 1.5f, 8, 32, 1e30f};
  const float turns[][2] = {
      {32,     1     },
      {4,      1     },
      {1,      1     },
      {1,      4     },
      {1e-30f, 1e30f },
      {1e30f,  1e-30f}
  };
  for (int rule = ROPE_PLAIN; rule <= ROPE_LLAMA3; rule++)
    for (size_t i = 0; i < 4 * 5 * 6 * 6; i++)
      for (size_t k = 0; k < 6; k++) {
        if (rule == ROPE_LLAMA3 && k >= 2) continue; /* no frequency is between */
        rope_scaling s = {rule, factors[i / 6 % 6], contexts[i % 6], turns[k][0], turns[k][1], 0.75f, 0, 1};
        config c = {.rope_theta = thetas[i / 36 % 4], .rope_dim = dims[i / 144], .rope_scaling = s};
        check_scaling(&c);
      }
  /* Where there is nothing between fast and slow, and where all pairs turn alike, all is still a number. */
  for (int rule = ROPE_YARN; rule <= ROPE_LLAMA3; rule++)
    for (size_t k = 0; k < 6; k++) {
      config c = {.rope_theta = 1, .rope_dim = 64};
      c.rope_scaling = (rope_scaling){rule, 8, 4096, turns[k][0], turns[k][1], 1, 0, 1};
      double frequencies[32];
      rope_frequencies(frequencies, 1, 64);
      rope_scale(frequencies, &c);
      for (int i = 0; i < 32; i++) CHECK(frequencies[i] >= 0.125 && frequencies[i] <= 1);
    }
}

/* Llama 3's rule gives what dividing by the factors gives that llama.cpp's converter lists in rope_freqs.weight. */
static void check_llama3_factors(void) {
  config c = {
      .rope_theta = 500000, .rope_dim = 128, .rope_scaling = {ROPE_LLAMA3, 8, 8192, 4, 1, 0, 0, 1}
  };
  double plain[64], scaled[64];
  int kinds[3] = {0};
  rope_frequencies(plain, 500000, 128);
  rope_frequencies(scaled, 500000, 128);
  rope_scale(scaled, &c);
  for (int i = 0; i < 64; i++) {
    float f = 1.0f / powf(500000.0f, (float)(2 * i) / 128), wavelength = 2 * (float)pi / f, factor = 1;
    if (wavelength > 8192.0f) {
      factor = 8;
    } else if (wavelength >= 2048.0f) {
      float smooth = (8192.0f / wavelength - 1) / 3;
      factor = 1 / ((1 - smooth) / 8 + smooth);
    }
    kinds[factor == 1 ? 0 : factor == 8 ? 1 : 2]++;
    CHECK(fabs(plain[i] / (double)factor / scaled[i] - 1) < 2e-6);
  }
  CHECK(kinds[0] > 20 && kinds[1] > 20 && kinds[2] > 3);
}

static void check_magnitude(void) {
  const float factors[] = {0.5f, 1, 1.25f, 4, 40, 1e30f}, logs[] = {0, 0.707f, 1, 2};
  for (int rule = ROPE_PLAIN; rule <= ROPE_LLAMA3; rule++)
    for (int k = 0; k < 6; k++)
      for (int l = 0; l < 4; l++)
        for (int e = 0; e < 2; e++) {
          rope_scaling s = {rule, factors[k], 4096, 32, 1, (float)e, logs[l], 1.5f};
          double expected = 1.5, tenth = factors[k] > 1 ? 0.1 * log((double)factors[k]) : 0;
          if (rule == ROPE_YARN && e) expected *= (1 + tenth) / (1 + (double)logs[l] * tenth);
          CHECK(fabs(rope_magnitude(&s) / expected - 1) < 1e-14);
        }
  const double frequency = 0.3;
  float plain[2], doubled[2];
  rope_angles(plain, &frequency, 1, 77, 1);
  rope_angles(doubled, &frequency, 1, 77, 2);
  CHECK(doubled[0] == 2 * plain[0] && doubled[1] == 2 * plain[1]);
}

int main(void) {
  const double thetas[] = {10000, 500000, 1e6, 1.5};
  const int32_t dims[] = {2, 4, 8, 46, 48, 64, 128, MOST_DIM};
  for (size_t t = 0; t < 4; t++)
    for (size_t d = 0; d < 8; d++) check_model(thetas[t], dims[d]);
  check_near_zeros();
  check_rotation(false);
  check_rotation(true);
  check_scalings();
  check_llama3_factors();
  check_magnitude();
  return checks_end("test_rope");
}
