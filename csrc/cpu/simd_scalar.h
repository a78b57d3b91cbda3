/* cpu/simd_scalar: sixteen lanes in plain C. It is the definition: every other simd_*.h does the same, bit for bit. */
#ifndef CPU_SIMD_SCALAR_H
#define CPU_SIMD_SCALAR_H

#include <math.h> /* fmaf: exactly rounded, hence the same everywhere */
#include <stdint.h>
#include <string.h>

#include "base/half.h"

typedef struct vf {
  float v[16];
} vf;
typedef struct vi {
  int32_t v[16];
} vi;
typedef struct vb { /* codes of weights: four for each lane */
  uint8_t v[64];
} vb;
typedef struct vw { /* weights ready for vi_dot() */
  int8_t v[64];
} vw;

#define EACH for (int i = 0; i < 16; i++)

static inline vf vf_load(const float *p) {
  vf r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline void vf_store(float *p, vf a) {
  memcpy(p, a.v, sizeof a.v);
}
static inline vf vf_set(float x) {
  vf r;
  EACH r.v[i] = x;
  return r;
}
static inline vf vf_load_half(const uint16_t *p) {
  vf r;
  EACH r.v[i] = half_to_f32(p[i]);
  return r;
}
/* The upper half of a float32. */
static inline vf vf_load_bfloat(const uint16_t *p) {
  vf r;
  EACH r.v[i] = half_bits_f32((uint32_t)p[i] << 16);
  return r;
}
static inline vf vf_load_u8(const uint8_t *p) {
  vf r;
  EACH r.v[i] = (float)p[i];
  return r;
}
static inline vf vf_load_i8(const uint8_t *p) {
  vf r;
  EACH r.v[i] = (float)(int8_t)p[i];
  return r;
}
/* The low or the high halves of bytes. */
static inline vf vf_load_u4(const uint8_t *p, int high) {
  vf r;
  EACH r.v[i] = (float)(high ? p[i] >> 4 : p[i] & 15);
  return r;
}
static inline void vf_store_half(uint16_t *p, vf a) {
  EACH p[i] = half_from_f32(a.v[i]);
}
static inline vf vf_add(vf a, vf b) {
  EACH a.v[i] += b.v[i];
  return a;
}
static inline vf vf_sub(vf a, vf b) {
  EACH a.v[i] -= b.v[i];
  return a;
}
static inline vf vf_mul(vf a, vf b) {
  EACH a.v[i] *= b.v[i];
  return a;
}
static inline vf vf_div(vf a, vf b) {
  EACH a.v[i] /= b.v[i];
  return a;
}
/* a * b + c, rounded once. */
static inline vf vf_fma(vf a, vf b, vf c) {
  EACH a.v[i] = fmaf(a.v[i], b.v[i], c.v[i]);
  return a;
}
/* The second where the two do not compare. */
static inline vf vf_max(vf a, vf b) {
  EACH a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
static inline vf vf_min(vf a, vf b) {
  EACH a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
/* The greater of |a| and |b|; infinity is greater than any number, and NaN than that. */
static inline vf vf_magnitude(vf a, vf b) {
  EACH {
    uint32_t x = half_f32_bits(a.v[i]) & 0x7fffffff, y = half_f32_bits(b.v[i]) & 0x7fffffff;
    a.v[i] = half_bits_f32(x > y ? x : y);
  }
  return a;
}
/* The greatest lane of a magnitude. */
static inline float vf_most(vf a) {
  uint32_t most = 0;
  EACH most = half_f32_bits(a.v[i]) > most ? half_f32_bits(a.v[i]) : most;
  return half_bits_f32(most);
}
/* x where a < b, else y. */
static inline vf vf_where_less(vf a, vf b, vf x, vf y) {
  EACH x.v[i] = a.v[i] < b.v[i] ? x.v[i] : y.v[i];
  return x;
}
/* Lanes n and on replaced by x. */
static inline vf vf_keep(vf a, int n, float x) {
  EACH if (i >= n) a.v[i] = x;
  return a;
}
/* Bit i: a.lane[i] >= b.lane[i]. */
static inline uint32_t vf_ge(vf a, vf b) {
  uint32_t bits = 0;
  EACH bits |= (uint32_t)(a.v[i] >= b.v[i]) << i;
  return bits;
}
/* The tree of every reduction: lanes 8 apart, then 4, 2 and 1. */
static inline float vf_sum(vf a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; i++) a.v[i] += a.v[i + step];
  return a.v[0];
}
static inline float vf_top(vf a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; i++) a.v[i] = a.v[i] > a.v[i + step] ? a.v[i] : a.v[i + step];
  return a.v[0];
}
/* 2^n as the bits of `shifted` say: shifted = n + 1.5 * 2^23, -126 <= n <= 127. */
static inline vf vf_exp2_bits(vf shifted) {
  EACH shifted.v[i] = half_bits_f32((half_f32_bits(shifted.v[i]) + 127) << 23);
  return shifted;
}

static inline vi vi_set(int32_t x) {
  vi r;
  EACH r.v[i] = x;
  return r;
}

static inline vb vb_load(const uint8_t *p) {
  vb r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline void vb_store(uint8_t *p, vb a) {
  memcpy(p, a.v, sizeof a.v);
}
/* `width` bits from bit `from` of each byte, moved to bit `to`. */
static inline vb vb_field(vb a, int from, int width, int to) {
  for (int i = 0; i < 64; i++) a.v[i] = (uint8_t)((a.v[i] >> from & ((1 << width) - 1)) << to);
  return a;
}
static inline vb vb_or(vb a, vb b) {
  for (int i = 0; i < 64; i++) a.v[i] |= b.v[i];
  return a;
}
static inline vb vb_add(vb a, int n) {
  for (int i = 0; i < 64; i++) a.v[i] = (uint8_t)(a.v[i] + n);
  return a;
}
/* Codes of 4 bits to their levels + 128. */
static inline vb vb_lookup(vb a, const int8_t levels[16]) {
  for (int i = 0; i < 64; i++) a.v[i] = (uint8_t)(levels[a.v[i]] + 128);
  return a;
}

/* Integer products. Weights are codes less an offset, which is a constant: 0 to 32 for codes below 64, or 128. */
static inline vw vw_of(vb a, int offset) {
  vw r;
  for (int i = 0; i < 64; i++) r.v[i] = (int8_t)(a.v[i] - offset);
  return r;
}
/* What the products of a block are added to, given its act.start. */
static inline vi vi_start(int32_t start, int offset) {
  (void)start;
  (void)offset;
  return vi_set(0);
}
/* acc.lane[i] += the four products of row i's weights with x's. */
static inline vi vi_dot(vi acc, vw w, const int8_t *x, int offset) {
  (void)offset;
  EACH for (int j = 0; j < 4; j++) acc.v[i] += w.v[4 * i + j] * x[j];
  return acc;
}
/* The products, whatever they started from. */
static inline vf vi_to_f32(vi a) {
  vf r;
  EACH r.v[i] = (float)a.v[i];
  return r;
}
/* scale * vi_to_f32(a). magic = -1.5 * 2^23 * scale, which is exact. */
static inline vf vi_scaled(vi a, vf scale, vf magic) {
  (void)magic;
  return vf_mul(scale, vi_to_f32(a));
}
/* Rounds to the nearest, ties to even, stores 16 int8, and returns their sum. |a| <= 127.5 */
static inline int32_t vf_store_i8(int8_t *p, vf a) {
  int32_t sum = 0;
  EACH {
    float r = (a.v[i] + 12582912.0f) - 12582912.0f;
    int32_t q = r == r ? (int32_t)r : 0;
    p[i] = (int8_t)q;
    sum += q;
  }
  return sum;
}

/* Rounds four vectors likewise, adds 128 and stores lane 0 of each, lane 1 of each, ... as bytes. |v| <= 127 */
static inline void vf_store_quads(uint8_t *p, const vf v[4]) {
  EACH for (int j = 0; j < 4; j++) {
    float r = (v[j].v[i] + 12582912.0f) - 12582912.0f;
    p[4 * i + j] = (uint8_t)((int32_t)r + 128);
  }
}

#undef EACH

#define TILE_SOLO 1   /* panels that one row is multiplied with at once */
#define TILE_ATTEND 4 /* sums in vectors that attention keeps in registers */
#define TILE_F32 1, 4 /* panels and rows of activations that share a pass over float weights */
#define TILE_Q8_PANELS 1
#define TILE_Q8_ROWS 4 /* the same over integer weights */

#endif
