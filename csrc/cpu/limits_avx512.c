#include "cpu/kernels.h"
#include "cpu/limits.h"

#ifdef KERNELS_X86
#include <immintrin.h>

#include "cpu/target.h"
TARGET_BEGIN("avx512f,avx512bw,avx512vnni")

#define SUMS 16
#define OPAQUE(x) __asm__("" : "+v"(x)) /* may have changed, so that each product is computed */

static uint64_t first_word(__m512i x) {
  return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(x));
}

static uint64_t read_lines(const unsigned char *p, size_t n) {
  __m512i sum[8];
  for (int k = 0; k < 8; k++) sum[k] = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 512)
    for (int k = 0; k < 8; k++) sum[k] = _mm512_or_si512(sum[k], _mm512_load_si512(p + i + 64 * k));
  for (int k = 1; k < 8; k++) sum[0] = _mm512_or_si512(sum[0], sum[k]);
  return first_word(sum[0]);
}

static uint64_t f32(int64_t loops) {
  __m512 acc[SUMS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.5f);
  for (int k = 0; k < SUMS; k++) acc[k] = _mm512_set1_ps((float)k);
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(a);
    for (int k = 0; k < SUMS; k++) acc[k] = _mm512_fmadd_ps(acc[k], a, b);
  }
  for (int k = 1; k < SUMS; k++) acc[0] = _mm512_add_ps(acc[0], acc[k]);
  return first_word(_mm512_castps_si512(acc[0]));
}

static uint64_t int8(int64_t loops) {
  __m512i acc[SUMS], w = _mm512_set1_epi8(7), x = _mm512_set1_epi8(-3);
  for (int k = 0; k < SUMS; k++) acc[k] = _mm512_setzero_si512();
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(w);
    for (int k = 0; k < SUMS; k++) acc[k] = _mm512_dpbusd_epi32(acc[k], w, x);
  }
  for (int k = 1; k < SUMS; k++) acc[0] = _mm512_xor_si512(acc[0], acc[k]);
  return first_word(acc[0]);
}

const limits_loops limits_avx512 = {
    .isa = "avx512",
    .read = read_lines,
    .f32 = f32,
    .int8 = int8,
    .f32_ops = 2.0 * 16 * SUMS,
    .int8_ops = 2.0 * 64 * SUMS,
};
TARGET_END
#endif
