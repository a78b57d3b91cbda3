/* cpu/simd_avx2: the lanes of simd_scalar.h in two 256-bit registers. */
#ifndef CPU_SIMD_AVX2_H
#define CPU_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct vf {
  __m256 a, b; /* lanes 0-7, 8-15 */
} vf;
typedef struct vi {
  __m256i a, b;
} vi;
typedef struct vb {
  __m256i a, b;
} vb;
typedef struct vw { /* the signed weights and their magnitudes */
  __m256i a, b, magnitude_a, magnitude_b;
} vw;

static inline vf vf_load(const float *p) {
  return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline void vf_store(float *p, vf x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
static inline vf vf_set(float x) {
  return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline vf vf_load_half(const uint16_t *p) {
  return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
              _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
static inline vf vf_of_i32(__m256i a, __m256i b) {
  return (vf){_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)};
}
static inline vf vf_load_bfloat(const uint16_t *p) {
  __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
  __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)));
  return (vf){_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
}
static inline vf vf_load_u8(const uint8_t *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)p);
  return vf_of_i32(_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)));
}
static inline vf vf_load_i8(const uint8_t *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)p);
  return vf_of_i32(_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)));
}
static inline vf vf_load_u4(const uint8_t *p, int high) {
  __m128i v = _mm_loadu_si128((const __m128i *)p);
  v = _mm_and_si128(high ? _mm_srli_epi16(v, 4) : v, _mm_set1_epi8(15));
  return vf_of_i32(_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)));
}
static inline void vf_store_half(uint16_t *p, vf x) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_add(vf x, vf y) {
  return (vf){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
static inline vf vf_sub(vf x, vf y) {
  return (vf){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
static inline vf vf_mul(vf x, vf y) {
  return (vf){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
static inline vf vf_div(vf x, vf y) {
  return (vf){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
static inline vf vf_fma(vf x, vf y, vf z) {
  return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
static inline vf vf_max(vf x, vf y) {
  return (vf){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
static inline vf vf_min(vf x, vf y) {
  return (vf){_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
static inline __m256i magnitude_half(__m256 x, __m256 y) {
  __m256i mask = _mm256_set1_epi32(0x7fffffff);
  return _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(x), mask),
                          _mm256_and_si256(_mm256_castps_si256(y), mask));
}
static inline vf vf_magnitude(vf x, vf y) {
  return (vf){_mm256_castsi256_ps(magnitude_half(x.a, y.a)), _mm256_castsi256_ps(magnitude_half(x.b, y.b))};
}
static inline float vf_most(vf x) {
  __m256i h = magnitude_half(x.a, x.b);
  __m128i q = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(q, _mm_shuffle_epi32(q, 0xb1))));
}
static inline vf vf_where_less(vf a, vf b, vf x, vf y) {
  return (vf){_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
              _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ))};
}
static inline vf vf_keep(vf x, int n, float fill) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), count = _mm256_set1_epi32(n);
  __m256i keep_a = _mm256_cmpgt_epi32(count, lane);
  __m256i keep_b = _mm256_cmpgt_epi32(count, _mm256_add_epi32(lane, _mm256_set1_epi32(8)));
  __m256 f = _mm256_set1_ps(fill);
  return (vf){_mm256_blendv_ps(f, x.a, _mm256_castsi256_ps(keep_a)),
              _mm256_blendv_ps(f, x.b, _mm256_castsi256_ps(keep_b))};
}
static inline uint32_t vf_ge(vf x, vf y) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ)) |
         (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)) << 8;
}
static inline float vf_sum(vf x) {
  __m256 h = _mm256_add_ps(x.a, x.b);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ps(q, _mm_movehdup_ps(q)));
}
static inline float vf_top(vf x) {
  __m256 h = _mm256_max_ps(x.a, x.b);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ps(q, _mm_movehdup_ps(q)));
}
static inline vf vf_exp2_bits(vf x) {
  __m256i bias = _mm256_set1_epi32(127);
  return (vf){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(x.a), bias), 23)),
              _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(x.b), bias), 23))};
}

static inline vi vi_set(int32_t x) {
  return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

static inline vb vb_load(const uint8_t *p) {
  return (vb){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32))};
}
static inline void vb_store(uint8_t *p, vb x) {
  _mm256_storeu_si256((__m256i *)p, x.a);
  _mm256_storeu_si256((__m256i *)(p + 32), x.b);
}
static inline vb vb_field(vb x, int from, int width, int to) {
  __m256i mask = _mm256_set1_epi8((char)(((1 << width) - 1) << to));
  if (from > to) x = (vb){_mm256_srli_epi16(x.a, from - to), _mm256_srli_epi16(x.b, from - to)};
  if (from < to) x = (vb){_mm256_slli_epi16(x.a, to - from), _mm256_slli_epi16(x.b, to - from)};
  return (vb){_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
static inline vb vb_or(vb x, vb y) {
  return (vb){_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
static inline vb vb_add(vb x, int n) {
  __m256i v = _mm256_set1_epi8((char)n);
  return (vb){_mm256_add_epi8(x.a, v), _mm256_add_epi8(x.b, v)};
}
static inline vb vb_lookup(vb x, const int8_t levels[16]) {
  __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)levels));
  table = _mm256_xor_si256(table, _mm256_set1_epi8((char)0x80));
  return (vb){_mm256_shuffle_epi8(table, x.a), _mm256_shuffle_epi8(table, x.b)};
}

/* Codes below 64 are multiplied as they are, and the start takes their offset back; with 128 they are made int8. */
static inline vw vw_of(vb x, int offset) {
  if (offset < 128) return (vw){x.a, x.b, x.a, x.b};
  __m256i flip = _mm256_set1_epi8((char)0x80), a = _mm256_xor_si256(x.a, flip), b = _mm256_xor_si256(x.b, flip);
  return (vw){a, b, _mm256_abs_epi8(a), _mm256_abs_epi8(b)};
}
static inline vi vi_start(int32_t start, int offset) {
  return vi_set(offset < 128 ? (start - ACT_SUMS_MAGIC) / 128 * offset : 0);
}
/* int16 cannot saturate: a pair's sum is at most 2 * 128 * 127 = 32512. */
static inline __m256i vi_dot_half(__m256i acc, __m256i w, __m256i magnitude, __m256i x, int offset) {
  __m256i pairs = _mm256_maddubs_epi16(magnitude, offset < 128 ? x : _mm256_sign_epi8(x, w));
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  __asm__("" : "+x"(acc)); /* one sum after the other: put off and added in another order, they take more registers */
  return acc;
}
static inline vi vi_dot(vi acc, vw w, const int8_t *x, int offset) {
  int32_t four;
  memcpy(&four, x, 4);
  __m256i v = _mm256_set1_epi32(four);
  return (vi){vi_dot_half(acc.a, w.a, w.magnitude_a, v, offset), vi_dot_half(acc.b, w.b, w.magnitude_b, v, offset)};
}
/* The same in int16, for codes alone and for as many groups as narrow_groups(); and such sums added to others. */
static inline __m256i vi_dot_narrow_half(__m256i acc, __m256i w, __m256i x) {
  acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
  __asm__("" : "+x"(acc));
  return acc;
}
static inline vi vi_dot_narrow(vi acc, vw w, const int8_t *x) {
  int32_t four;
  memcpy(&four, x, 4);
  __m256i v = _mm256_set1_epi32(four);
  return (vi){vi_dot_narrow_half(acc.a, w.a, v), vi_dot_narrow_half(acc.b, w.b, v)};
}
static inline vi vi_widen(vi acc, vi narrow) {
  __m256i ones = _mm256_set1_epi16(1);
  return (vi){_mm256_add_epi32(acc.a, _mm256_madd_epi16(narrow.a, ones)),
              _mm256_add_epi32(acc.b, _mm256_madd_epi16(narrow.b, ones))};
}
static inline vf vi_to_f32(vi x) {
  return vf_of_i32(x.a, x.b);
}
static inline vf vi_scaled(vi x, vf scale, vf magic) {
  (void)magic;
  return vf_mul(scale, vi_to_f32(x));
}
static inline int32_t vf_store_i8(int8_t *p, vf x) {
  __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
  _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  __m256i sum = _mm256_add_epi32(a, b);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline void vf_store_quads(uint8_t *p, const vf v[4]) {
  __m256i a = _mm256_setzero_si256(), b = a, low = _mm256_set1_epi32(0xff), flip = _mm256_set1_epi8((char)0x80);
  for (int j = 3; j >= 0; j--) {
    a = _mm256_or_si256(_mm256_slli_epi32(a, 8), _mm256_and_si256(_mm256_cvtps_epi32(v[j].a), low));
    b = _mm256_or_si256(_mm256_slli_epi32(b, 8), _mm256_and_si256(_mm256_cvtps_epi32(v[j].b), low));
  }
  _mm256_storeu_si256((__m256i *)p, _mm256_xor_si256(a, flip));
  _mm256_storeu_si256((__m256i *)(p + 32), _mm256_xor_si256(b, flip));
}

#define NARROW_SUMS true

#define TILE_SOLO 2
#define TILE_ATTEND 4
#define TILE_F32 1, 4
#define TILE_Q8_PANELS 1
#define TILE_Q8_ROWS 4

#endif
