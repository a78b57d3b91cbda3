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
static inline vf vi_to_f32(vi x) {
  return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
/* vi_dot takes the 128 off each weight itself. */
static inline vi vi_start(int32_t start) {
  (void)start;
  return vi_set(0);
}
static inline vw vw_load(const uint8_t *p) {
  __m256i flip = _mm256_set1_epi8((char)0x80);
  __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)p), flip);
  __m256i b = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(p + 32)), flip);
  return (vw){a, b, _mm256_abs_epi8(a), _mm256_abs_epi8(b)};
}
/* |w| * (x with w's sign): a pair's sum is at most 2 * 128 * 127 = 32512, so int16 cannot saturate. */
static inline __m256i vi_dot_half(__m256i acc, __m256i w, __m256i magnitude, __m256i x) {
  __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline vi vi_dot(vi acc, vw w, const int8_t *x) {
  int32_t four;
  memcpy(&four, x, 4);
  __m256i v = _mm256_set1_epi32(four);
  return (vi){vi_dot_half(acc.a, w.a, w.magnitude_a, v), vi_dot_half(acc.b, w.b, w.magnitude_b, v)};
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

#define TILE_F32 1, 4
#define TILE_Q8 1, 2

#endif
