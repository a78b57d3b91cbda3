/* cpu/simd_neon: the lanes of simd_scalar.h in four 128-bit registers, with the dot products of ARMv8.2. */
#ifndef CPU_SIMD_NEON_H
#define CPU_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* Lanes 0-3, 4-7, 8-11, 12-15. Not an array: tiles are arrays of these, and compilers keep arrays within arrays in memory. */
typedef struct vf {
  float32x4_t a, b, c, d;
} vf;
typedef struct vi {
  int32x4_t a, b, c, d;
} vi;
typedef struct vb {
  uint8x16_t a, b, c, d;
} vb;
typedef struct vw {
  int8x16_t a, b, c, d;
} vw;
typedef struct vu { /* unsigned integers, and masks of lanes */
  uint32x4_t a, b, c, d;
} vu;

/* Inlined at once, before loops are unrolled: else compilers keep a tile's sums in memory. */
#define OP static inline __attribute__((always_inline))

/* f of each quarter. */
#define MAP1(type, f, x) ((type){f((x).a), f((x).b), f((x).c), f((x).d)})
#define MAP2(type, f, x, y) ((type){f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)})
#define MAP3(type, f, x, y, z) \
  ((type){f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b), f((x).c, (y).c, (z).c), f((x).d, (y).d, (z).d)})

OP vf vf_load(const float *p) {
  return (vf){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
OP void vf_store(float *p, vf x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
OP vf vf_set(float x) {
  return (vf){vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)};
}
OP float32x4_t load_halves(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
OP vf vf_load_half(const uint16_t *p) {
  return (vf){load_halves(p), load_halves(p + 4), load_halves(p + 8), load_halves(p + 12)};
}
OP float32x4_t load_bfloats(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
OP vf vf_load_bfloat(const uint16_t *p) {
  return (vf){load_bfloats(p), load_bfloats(p + 4), load_bfloats(p + 8), load_bfloats(p + 12)};
}
OP vf from_bytes(uint8x16_t x) {
  uint16x8_t low = vmovl_u8(vget_low_u8(x)), high = vmovl_u8(vget_high_u8(x));
  vu q = {vmovl_u16(vget_low_u16(low)), vmovl_u16(vget_high_u16(low)), vmovl_u16(vget_low_u16(high)),
          vmovl_u16(vget_high_u16(high))};
  return MAP1(vf, vcvtq_f32_u32, q);
}
OP vf vf_load_u8(const uint8_t *p) {
  return from_bytes(vld1q_u8(p));
}
OP vf vf_load_u4(const uint8_t *p, int high) {
  uint8x16_t x = vld1q_u8(p);
  return from_bytes(high ? vshrq_n_u8(x, 4) : vandq_u8(x, vdupq_n_u8(15)));
}
OP vf vf_load_i8(const uint8_t *p) {
  int8x16_t x = vreinterpretq_s8_u8(vld1q_u8(p));
  int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_s8(vget_high_s8(x));
  vi q = {vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
          vmovl_s16(vget_high_s16(high))};
  return MAP1(vf, vcvtq_f32_s32, q);
}
OP uint16x4_t to_halves(float32x4_t x) {
  return vreinterpret_u16_f16(vcvt_f16_f32(x));
}
OP void vf_store_half(uint16_t *p, vf x) {
  vst1_u16(p, to_halves(x.a));
  vst1_u16(p + 4, to_halves(x.b));
  vst1_u16(p + 8, to_halves(x.c));
  vst1_u16(p + 12, to_halves(x.d));
}
OP vf vf_add(vf x, vf y) {
  return MAP2(vf, vaddq_f32, x, y);
}
OP vf vf_sub(vf x, vf y) {
  return MAP2(vf, vsubq_f32, x, y);
}
OP vf vf_mul(vf x, vf y) {
  return MAP2(vf, vmulq_f32, x, y);
}
OP vf vf_div(vf x, vf y) {
  return MAP2(vf, vdivq_f32, x, y);
}
OP vf vf_fma(vf x, vf y, vf z) {
  return MAP3(vf, vfmaq_f32, z, x, y);
}
/* Not vmaxq_f32 and vminq_f32: those give NaN where either is NaN, and tell one zero from the other. */
OP float32x4_t greater(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
OP float32x4_t lesser(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
OP vf vf_max(vf x, vf y) {
  return MAP2(vf, greater, x, y);
}
OP vf vf_min(vf x, vf y) {
  return MAP2(vf, lesser, x, y);
}
OP float32x4_t magnitude(float32x4_t x, float32x4_t y) {
  uint32x4_t x_bits = vreinterpretq_u32_f32(vabsq_f32(x)), y_bits = vreinterpretq_u32_f32(vabsq_f32(y));
  return vreinterpretq_f32_u32(vmaxq_u32(x_bits, y_bits));
}
OP vf vf_magnitude(vf x, vf y) {
  return MAP2(vf, magnitude, x, y);
}
OP float vf_most(vf x) {
  uint32x4_t q = vreinterpretq_u32_f32(magnitude(magnitude(x.a, x.b), magnitude(x.c, x.d)));
  return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(vmaxvq_u32(q))), 0);
}
OP vf vf_where_less(vf a, vf b, vf x, vf y) {
  vu less = MAP2(vu, vcltq_f32, a, b);
  return MAP3(vf, vbslq_f32, less, x, y);
}
OP vf vf_keep(vf x, int n, float fill) {
  static const int32_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  int32x4_t count = vdupq_n_s32(n);
  vu kept = {vcltq_s32(vld1q_s32(lane), count), vcltq_s32(vld1q_s32(lane + 4), count),
             vcltq_s32(vld1q_s32(lane + 8), count), vcltq_s32(vld1q_s32(lane + 12), count)};
  vf other = vf_set(fill);
  return MAP3(vf, vbslq_f32, kept, x, other);
}
OP uint32_t vf_ge(vf x, vf y) {
  static const uint32_t bits[] = {1, 2, 4, 8};
  uint32x4_t bit = vld1q_u32(bits);
  vu ge = MAP2(vu, vcgeq_f32, x, y);
  uint32x4_t low = vorrq_u32(vandq_u32(ge.a, bit), vandq_u32(ge.b, vshlq_n_u32(bit, 4)));
  uint32x4_t high = vorrq_u32(vandq_u32(ge.c, bit), vandq_u32(ge.d, vshlq_n_u32(bit, 4)));
  return vaddvq_u32(vorrq_u32(low, vshlq_n_u32(high, 8)));
}
OP float vf_sum(vf x) {
  float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  return vpadds_f32(vadd_f32(vget_low_f32(q), vget_high_f32(q)));
}
OP float vf_top(vf x) {
  float32x4_t q = greater(greater(x.a, x.c), greater(x.b, x.d));
  q = greater(q, vextq_f32(q, q, 2));
  return vgetq_lane_f32(greater(q, vextq_f32(q, q, 1)), 0);
}
OP float32x4_t exp2_bits(float32x4_t x) {
  uint32x4_t n = vaddq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(127));
  return vreinterpretq_f32_u32(vshlq_n_u32(n, 23));
}
OP vf vf_exp2_bits(vf x) {
  return MAP1(vf, exp2_bits, x);
}

OP vi vi_set(int32_t x) {
  return (vi){vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)};
}

OP vb vb_set(int x) {
  uint8x16_t v = vdupq_n_u8((uint8_t)x);
  return (vb){v, v, v, v};
}
OP vb vb_load(const uint8_t *p) {
  return (vb){vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)};
}
OP void vb_store(uint8_t *p, vb x) {
  vst1q_u8(p, x.a);
  vst1q_u8(p + 16, x.b);
  vst1q_u8(p + 32, x.c);
  vst1q_u8(p + 48, x.d);
}
OP vb vb_field(vb x, int from, int width, int to) {
  vb mask = vb_set(((1 << width) - 1) << to);
  if (from > to) x = (vb){x.a >> (from - to), x.b >> (from - to), x.c >> (from - to), x.d >> (from - to)};
  if (from < to) x = (vb){x.a << (to - from), x.b << (to - from), x.c << (to - from), x.d << (to - from)};
  return from - to + width == 8 ? x : MAP2(vb, vandq_u8, x, mask);
}
OP vb vb_or(vb x, vb y) {
  return MAP2(vb, vorrq_u8, x, y);
}
OP vb vb_add(vb x, int n) {
  vb y = vb_set(n);
  return MAP2(vb, vaddq_u8, x, y);
}
OP vb vb_lookup(vb x, const int8_t levels[16]) {
  uint8x16_t table = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(levels)), vdupq_n_u8(0x80));
  return (vb){vqtbl1q_u8(table, x.a), vqtbl1q_u8(table, x.b), vqtbl1q_u8(table, x.c), vqtbl1q_u8(table, x.d)};
}

/* Codes below 64 are multiplied as they are, and the start takes their offset back; with 128 they are made int8. */
OP vw vw_of(vb x, int offset) {
  if (offset == 128) x = vb_add(x, 128);
  return MAP1(vw, vreinterpretq_s8_u8, x);
}
OP vi vi_start(int32_t start, int offset) {
  return vi_set(offset < 128 ? (start - ACT_SUMS_MAGIC) / 128 * offset : 0);
}
/* The products with four int8 that lie in a float's place. Not vdotq_lane_s32: some compilers declare it only where a
 * whole file is compiled for it, and gcc unrolls a block and moves its loads up until they do not fit the registers.
 * Volatile instructions stay in order. */
OP int32x4_t dot(int32x4_t acc, int8x16_t w, float x) {
  __asm__ __volatile__("sdot %0.4s, %1.16b, %2.4b[0]" : "+w"(acc) : "w"(w), "w"(x));
  return acc;
}
OP vi vi_dot(vi acc, vw w, const int8_t *x, int offset) {
  (void)offset;
  float four;
  memcpy(&four, x, 4);
  return (vi){dot(acc.a, w.a, four), dot(acc.b, w.b, four), dot(acc.c, w.c, four), dot(acc.d, w.d, four)};
}
OP vf vi_to_f32(vi x) {
  return MAP1(vf, vcvtq_f32_s32, x);
}
OP vf vi_scaled(vi x, vf scale, vf magic) {
  (void)magic;
  return vf_mul(scale, vi_to_f32(x));
}
OP int8x16_t to_bytes(vi x) {
  int16x8_t low = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b)), high = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
  return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}
OP int32_t vf_store_i8(int8_t *p, vf x) {
  vi q = MAP1(vi, vcvtnq_s32_f32, x);
  vst1q_s8(p, to_bytes(q));
  return vaddvq_s32(vaddq_s32(vaddq_s32(q.a, q.b), vaddq_s32(q.c, q.d)));
}

OP void vf_store_quads(uint8_t *p, const vf v[4]) {
  uint8x16x4_t quads;
  for (int j = 0; j < 4; j++) {
    vi q = MAP1(vi, vcvtnq_s32_f32, v[j]);
    quads.val[j] = veorq_u8(vreinterpretq_u8_s8(to_bytes(q)), vdupq_n_u8(0x80));
  }
  vst4q_u8(p, quads);
}

#undef OP
#undef MAP1
#undef MAP2
#undef MAP3

#define EXPAND_SIGNED true

#define TILE_SOLO 2
#define TILE_ATTEND 4
#define TILE_F32 1, 4
#define TILE_Q8_PANELS 1
#define TILE_Q8_ROWS 4

#endif
