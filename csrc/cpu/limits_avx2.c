#include "cpu/kernels.h"
#include "cpu/limits.h"

#ifdef KERNELS_X86
#include <immintrin.h>

#include "cpu/target.h"
TARGET_BEGIN("avx2,fma")

#define SUMS 12
#define OPAQUE(x) __asm__("" : "+x"(x)) /* may have changed, so that each product is computed */

static uint64_t first_word(__m256i x) {
  return (uint64_t)_mm256_extract_epi64(x, 0);
}

static uint64_t read_lines(const unsigned char *p, size_t n) {
  __m256i sum[8];
  for (int k = 0; k < 8; k++) sum[k] = _mm256_setzero_si256();
  for (size_t i = 0; i < n; i += 256)
    for (int k = 0; k < 8; k++) sum[k] = _mm256_or_si256(sum[k], _mm256_load_si256((const __m256i *)(p + i + 32 * k)));
  for (int k = 1; k < 8; k++) sum[0] = _mm256_or_si256(sum[0], sum[k]);
  return first_word(sum[0]);
}

static uint64_t f32(int64_t loops) {
  __m256 acc[SUMS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.5f);
  for (int k = 0; k < SUMS; k++) acc[k] = _mm256_set1_ps((float)k);
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(a);
    for (int k = 0; k < SUMS; k++) acc[k] = _mm256_fmadd_ps(acc[k], a, b);
  }
  for (int k = 1; k < SUMS; k++) acc[0] = _mm256_add_ps(acc[0], acc[k]);
  return first_word(_mm256_castps_si256(acc[0]));
}

static uint64_t int8(int64_t loops) {
  __m256i acc[SUMS], w = _mm256_set1_epi8(7), x = _mm256_set1_epi8(-3), ones = _mm256_set1_epi16(1);
  for (int k = 0; k < SUMS; k++) acc[k] = _mm256_setzero_si256();
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < SUMS; k++) {
      OPAQUE(w);
      acc[k] = _mm256_add_epi32(acc[k], _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
    }
  for (int k = 1; k < SUMS; k++) acc[0] = _mm256_xor_si256(acc[0], acc[k]);
  return first_word(acc[0]);
}

const limits_loops limits_avx2 = {
    .isa = "avx2",
    .read = read_lines,
    .f32 = f32,
    .int8 = int8,
    .f32_ops = 2.0 * 8 * SUMS,
    .int8_ops = 2.0 * 32 * SUMS,
};
TARGET_END
#endif
