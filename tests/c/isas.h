/* isas: the tables of kernels that this machine has, the numbers they are tried on, and how results are compared. */
#ifndef ISAS_H
#define ISAS_H

#include "check.h"

#include <math.h>
#include <stdbool.h>

#include "base/checked.h"
#include "base/half.h"
#include "cpu/kernels.h"

#define EPSILON 0x1p-23 /* of float32 */
#define MARK 12345.5f   /* what nobody should have written over */

#define MAX_ISAS 4

static const kernels *isas[MAX_ISAS]; /* the scalar one first */
static int n_isas;

static inline void find_isas(void) {
  const char *names[] = {"scalar", "avx2", "avx512", "amx", "neon"};
  for (int i = 0; i < 5; i++) {
    llama2_status status = kernels_find(names[i], &isas[n_isas]);
    CHECK(status == LLAMA2_OK || (i > 0 && status == LLAMA2_ERR_DEVICE));
    if (status == LLAMA2_OK) CHECK(strcmp(isas[n_isas++]->isa, names[i]) == 0);
  }
  const kernels *best;
  CHECK(kernels_find(kernels_best(), &best) == LLAMA2_OK && best == isas[n_isas - 1]);
  CHECK(kernels_find("sse9", &best) == LLAMA2_ERR_DEVICE && strstr(llama2_last_error()->message, "sse9"));
}

static inline void check_close(const char *what, double found, double expected, double tolerance) {
  CHECK_THAT(fabs(found - expected) <= tolerance, "%s: %.9g, expected %.9g within %.2g", what, found, expected,
             tolerance);
}

static inline void check_bits(const char *what, int isa, const void *found, const void *expected, size_t n) {
  size_t i = 0;
  while (i < n && ((const char *)found)[i] == ((const char *)expected)[i]) i++;
  CHECK_THAT(i == n, "%s: %s differs from scalar at byte %zu of %zu", what, isas[isa]->isa, i, n);
}

/* Values as they come, and those that break things: zeros, subnormals, the huge, and what is no number. */
typedef enum flavour { PLAIN, SPARSE, TINY, HUGE_VALUES, MIXED, NOT_FINITE, FLAVOURS } flavour;
static const char *const flavours[] = {"plain", "sparse", "tiny", "huge", "mixed", "not finite"};

static inline float value(flavour f) {
  float x = random_float();
  switch (f) {
    case SPARSE: return random_below(4) ? 0.0f : x;
    case TINY: return x * (random_below(2) ? 1e-38f : 3e-30f);
    case HUGE_VALUES: return x * (random_below(2) ? 3e38f : 1e30f);
    case MIXED: return ldexpf(x, (int)random_below(60) - 30);
    case NOT_FINITE: return random_below(40) ? x : random_below(2) ? INFINITY : random_below(2) ? -INFINITY : NAN;
    default: return x;
  }
}

static inline void fill(float *x, int64_t n, flavour f) {
  for (int64_t i = 0; i < n; i++) x[i] = value(f);
}

#endif
