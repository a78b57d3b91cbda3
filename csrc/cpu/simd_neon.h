/* cpu/simd_neon: the lanes of simd_scalar.h in four 128-bit registers, with the dot products of ARMv8.2. */
#ifndef CPU_SIMD_NEON_H
#define CPU_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* Lanes 0-3, 4-7, 8-11, 12-15. Not an array: compilers keep arrays within arrays in memory. */
typedef struct vf {
  float32x4_t a, b, c, d;
} vf;
typedef struct vi {
  int32x4_t a, b, c, d;
} vi;
typedef struct vu { /* masks of lanes */
  uint32x4_t a, b, c, d;
} vu;
typedef struct vw { /* the signed weights */
  int8x16_t a, b, c, d;
} vw;

/* f of each quarter. */
#define MAP1(type, f, x) ((type){f((x).a), f((x).b), f((x).c), f((x).d)})
#define MAP2(type, f, x, y) ((type){f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)})
#define MAP3(type, f, x, y, z) \
  ((type){f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b), f((x).c, (y).c, (z).c), f((x).d, (y).d, (z).d)})

static inline vf vf_load(const float *p) {
  return (vf){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static inline void vf_store(float *p, vf x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
static inline vf vf_set(float x) {
  return (vf){vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)};
}
static inline float32x4_t load_halves(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vf vf_load_half(const uint16_t *p) {
  return (vf){load_halves(p), load_halves(p + 4), load_halves(p + 8), load_halves(p + 12)};
}
static inline uint16x4_t to_halves(float32x4_t x) {
  return vreinterpret_u16_f16(vcvt_f16_f32(x));
}
static inline void vf_store_half(uint16_t *p, vf x) {
  vst1_u16(p, to_halves(x.a));
  vst1_u16(p + 4, to_halves(x.b));
  vst1_u16(p + 8, to_halves(x.c));
  vst1_u16(p + 12, to_halves(x.d));
}
static inline vf vf_add(vf x, vf y) {
  return MAP2(vf, vaddq_f32, x, y);
}
static inline vf vf_sub(vf x, vf y) {
  return MAP2(vf, vsubq_f32, x, y);
}
static inline vf vf_mul(vf x, vf y) {
  return MAP2(vf, vmulq_f32, x, y);
}
static inline vf vf_div(vf x, vf y) {
  return MAP2(vf, vdivq_f32, x, y);
}
static inline vf vf_fma(vf x, vf y, vf z) {
  return MAP3(vf, vfmaq_f32, z, x, y);
}
/* Not vmaxq_f32 and vminq_f32: those give NaN where either is NaN, and tell one zero from the other. */
static inline float32x4_t greater(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
static inline float32x4_t lesser(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
static inline vf vf_max(vf x, vf y) {
  return MAP2(vf, greater, x, y);
}
static inline vf vf_min(vf x, vf y) {
  return MAP2(vf, lesser, x, y);
}
static inline float32x4_t magnitude(float32x4_t x, float32x4_t y) {
  uint32x4_t x_bits = vreinterpretq_u32_f32(vabsq_f32(x)), y_bits = vreinterpretq_u32_f32(vabsq_f32(y));
  return vreinterpretq_f32_u32(vmaxq_u32(x_bits, y_bits));
}
static inline vf vf_magnitude(vf x, vf y) {
  return MAP2(vf, magnitude, x, y);
}
static inline float vf_most(vf x) {
  uint32x4_t q = vreinterpretq_u32_f32(magnitude(magnitude(x.a, x.b), magnitude(x.c, x.d)));
  return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(vmaxvq_u32(q))), 0);
}
static inline vf vf_where_less(vf a, vf b, vf x, vf y) {
  vu less = MAP2(vu, vcltq_f32, a, b);
  return MAP3(vf, vbslq_f32, less, x, y);
}
static inline vf vf_keep(vf x, int n, float fill) {
  static const int32_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  int32x4_t count = vdupq_n_s32(n);
  vu kept = {vcltq_s32(vld1q_s32(lane), count), vcltq_s32(vld1q_s32(lane + 4), count),
             vcltq_s32(vld1q_s32(lane + 8), count), vcltq_s32(vld1q_s32(lane + 12), count)};
  vf other = vf_set(fill);
  return MAP3(vf, vbslq_f32, kept, x, other);
}
static inline uint32_t vf_ge(vf x, vf y) {
  static const uint32_t bits[] = {1, 2, 4, 8};
  uint32x4_t bit = vld1q_u32(bits);
  vu ge = MAP2(vu, vcgeq_f32, x, y);
  uint32x4_t low = vorrq_u32(vandq_u32(ge.a, bit), vandq_u32(ge.b, vshlq_n_u32(bit, 4)));
  uint32x4_t high = vorrq_u32(vandq_u32(ge.c, bit), vandq_u32(ge.d, vshlq_n_u32(bit, 4)));
  return vaddvq_u32(vorrq_u32(low, vshlq_n_u32(high, 8)));
}
static inline float vf_sum(vf x) {
  float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  return vpadds_f32(vadd_f32(vget_low_f32(q), vget_high_f32(q)));
}
static inline float vf_top(vf x) {
  float32x4_t q = greater(greater(x.a, x.c), greater(x.b, x.d));
  q = greater(q, vextq_f32(q, q, 2));
  return vgetq_lane_f32(greater(q, vextq_f32(q, q, 1)), 0);
}
static inline float32x4_t exp2_bits(float32x4_t x) {
  uint32x4_t n = vaddq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(127));
  return vreinterpretq_f32_u32(vshlq_n_u32(n, 23));
}
static inline vf vf_exp2_bits(vf x) {
  return MAP1(vf, exp2_bits, x);
}

static inline vi vi_set(int32_t x) {
  return (vi){vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)};
}
static inline vf vi_to_f32(vi x) {
  return MAP1(vf, vcvtq_f32_s32, x);
}
/* vw_load takes the 128 off each weight, as both sides of a dot product are signed. */
static inline vi vi_start(int32_t start) {
  (void)start;
  return vi_set(0);
}
static inline int8x16_t load_weights(const uint8_t *p) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
}
static inline vw vw_load(const uint8_t *p) {
  return (vw){load_weights(p), load_weights(p + 16), load_weights(p + 32), load_weights(p + 48)};
}
/* The products with four int8 that lie in a float's place. Not vdotq_lane_s32: some compilers declare it only where a
 * whole file is compiled for it, and gcc unrolls a block and moves its loads up until they do not fit the registers.
 * Volatile instructions stay in order. */
static inline int32x4_t dot(int32x4_t acc, int8x16_t w, float x) {
  __asm__ __volatile__("sdot %0.4s, %1.16b, %2.4b[0]" : "+w"(acc) : "w"(w), "w"(x));
  return acc;
}
static inline vi vi_dot(vi acc, vw w, const int8_t *x) {
  float four;
  memcpy(&four, x, 4);
  return (vi){dot(acc.a, w.a, four), dot(acc.b, w.b, four), dot(acc.c, w.c, four), dot(acc.d, w.d, four)};
}
static inline int8x16_t to_bytes(vi x) {
  int16x8_t low = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b)), high = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
  return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}
static inline int32_t vf_store_i8(int8_t *p, vf x) {
  vi q = MAP1(vi, vcvtnq_s32_f32, x);
  vst1q_s8(p, to_bytes(q));
  return vaddvq_s32(vaddq_s32(vaddq_s32(q.a, q.b), vaddq_s32(q.c, q.d)));
}

static inline void vf_store_quads(uint8_t *p, const vf v[4]) {
  uint8x16x4_t quads;
  for (int j = 0; j < 4; j++) {
    vi q = MAP1(vi, vcvtnq_s32_f32, v[j]);
    quads.val[j] = veorq_u8(vreinterpretq_u8_s8(to_bytes(q)), vdupq_n_u8(0x80));
  }
  vst4q_u8(p, quads);
}

#undef MAP1
#undef MAP2
#undef MAP3

#define TILE_F32 1, 4
#define TILE_Q8 1, 4

#endif
