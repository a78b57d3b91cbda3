#include "cpu/kernels.h"
#include "cpu/limits.h"

#ifdef KERNELS_ARM
#include <arm_neon.h>

#include "cpu/target.h"
TARGET_BEGIN(TARGET_DOTPROD)
#include "cpu/simd_neon.h"

#define SUMS 16

static uint64_t read_lines(const unsigned char *p, size_t n) {
  uint8x16_t sum[8];
  for (int k = 0; k < 8; k++) sum[k] = vdupq_n_u8(0);
  for (size_t i = 0; i < n; i += 128)
    for (int k = 0; k < 8; k++) sum[k] = vorrq_u8(sum[k], vld1q_u8(p + i + 16 * k));
  for (int k = 1; k < 8; k++) sum[0] = vorrq_u8(sum[0], sum[k]);
  return vgetq_lane_u64(vreinterpretq_u64_u8(sum[0]), 0);
}

/* Volatile, as dot() is: so that each sum is computed, though all are the same. */
static inline float32x4_t multiply_add(float32x4_t acc, float32x4_t a, float32x4_t b) {
  __asm__ __volatile__("fmla %0.4s, %1.4s, %2.4s" : "+w"(acc) : "w"(a), "w"(b));
  return acc;
}

static uint64_t f32(int64_t loops) {
  float32x4_t acc[SUMS], a = vdupq_n_f32(0.999f), b = vdupq_n_f32(0.5f);
  for (int k = 0; k < SUMS; k++) acc[k] = vdupq_n_f32(0);
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < SUMS; k++) acc[k] = multiply_add(acc[k], a, b);
  for (int k = 1; k < SUMS; k++) acc[0] = vaddq_f32(acc[0], acc[k]);
  return vgetq_lane_u64(vreinterpretq_u64_f32(acc[0]), 0);
}

static uint64_t int8(int64_t loops) {
  int32x4_t acc[SUMS];
  int8x16_t w = vdupq_n_s8(7);
  for (int k = 0; k < SUMS; k++) acc[k] = vdupq_n_s32(0);
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < SUMS; k++) acc[k] = dot(acc[k], w, 1.0f);
  for (int k = 1; k < SUMS; k++) acc[0] = veorq_s32(acc[0], acc[k]);
  return vgetq_lane_u64(vreinterpretq_u64_s32(acc[0]), 0);
}

const limits_loops limits_neon = {
    .isa = "neon",
    .read = read_lines,
    .f32 = f32,
    .int8 = int8,
    .f32_ops = 2.0 * 4 * SUMS,
    .int8_ops = 2.0 * 16 * SUMS,
};
TARGET_END
#endif
