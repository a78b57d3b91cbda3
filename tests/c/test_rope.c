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
  rope_angles(table, frequencies, n, position);
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
  for (int i = 0; i < 1000; i++) check_position(frequencies, rope_dim / 2, (int32_t)random_below(POSITIONS));
}

/* Where a multiple of pi / 2 is closest, and the result is smallest. */
static void check_near_zeros(void) {
  const double one = 1;
  for (int k = 1; k < 20000; k++) {
    float table[2];
    int32_t position = (int32_t)lround(k * 355.0 / 113 * random_below(200)) % POSITIONS;
    rope_angles(table, &one, 1, position);
    check_angle(&one, 0, position, table);
  }
  const int32_t close[] = {11,     22,     33,     44,     355,     710,     52174,  103993,
                           104348, 208341, 312689, 833719, 1146408, 4272943, 5419351};
  for (size_t i = 0; i < sizeof close / sizeof *close; i++) check_position(&one, 1, close[i]);
}

static void check_rotation(void) {
  for (int n = 0; n <= 64; n++) {
    float head[129], table[128], before[129];
    for (int i = 0; i < 129; i++) before[i] = head[i] = random_float();
    for (int i = 0; i < 128; i++) table[i] = random_float();
    rope_rotate(head, table, n);
    for (int i = 0; i < n; i++) {
      double a = before[2 * i], b = before[2 * i + 1], c = table[2 * i], s = table[2 * i + 1];
      CHECK(fabs(head[2 * i] - (a * c - b * s)) < 2e-7 && fabs(head[2 * i + 1] - (a * s + b * c)) < 2e-7);
    }
    for (int i = 2 * n; i < 129; i++) CHECK(head[i] == before[i]);
  }
}

int main(void) {
  const double thetas[] = {10000, 500000, 1e6, 1.5};
  const int32_t dims[] = {2, 4, 8, 46, 48, 64, 128, MOST_DIM};
  for (size_t t = 0; t < 4; t++)
    for (size_t d = 0; d < 8; d++) check_model(thetas[t], dims[d]);
  check_near_zeros();
  check_rotation();
  return checks_end("test_rope");
}
