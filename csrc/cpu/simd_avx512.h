/* cpu/simd_avx512: the lanes of simd_scalar.h in one 512-bit register, with VNNI's byte products. */
#ifndef CPU_SIMD_AVX512_H
#define CPU_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m512 vf;
typedef __m512i vi;
typedef __m512i vb;
typedef __m512i vw;

static inline vf vf_load(const float *p) {
  return _mm512_loadu_ps(p);
}
static inline void vf_store(float *p, vf a) {
  _mm512_storeu_ps(p, a);
}
static inline vf vf_set(float x) {
  return _mm512_set1_ps(x);
}
static inline vf vf_load_half(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vf vf_load_bfloat(const uint16_t *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
static inline vf vf_load_u8(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline vf vf_load_i8(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline vf vf_load_u4(const uint8_t *p, int high) {
  __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm512_cvtepi32_ps(high ? _mm512_srli_epi32(v, 4) : _mm512_and_si512(v, _mm512_set1_epi32(15)));
}
static inline void vf_store_half(uint16_t *p, vf a) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_add(vf a, vf b) {
  return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
  return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
  return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
  return _mm512_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c) {
  return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b) {
  return _mm512_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
  return _mm512_min_ps(a, b);
}
static inline vf vf_magnitude(vf a, vf b) {
  __m512i mask = _mm512_set1_epi32(0x7fffffff);
  return _mm512_castsi512_ps(
      _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), mask), _mm512_and_si512(_mm512_castps_si512(b), mask)));
}
static inline float vf_most(vf a) {
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(a)))));
}
static inline vf vf_where_less(vf a, vf b, vf x, vf y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline vf vf_keep(vf a, int n, float x) {
  return _mm512_mask_blend_ps((__mmask16)((1u << n) - 1), _mm512_set1_ps(x), a);
}
static inline uint32_t vf_ge(vf a, vf b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}

/* Lanes i and i + 8 of a folded by `op`, then 4 apart, 2 and 1. */
#define FOLD(a, op)                                                                                                \
  __m256 h = op##256(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1))); \
  __m128 q = op##128(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));                                      \
  q = op##128(q, _mm_movehl_ps(q, q));                                                                             \
  return _mm_cvtss_f32(op##128(q, _mm_movehdup_ps(q)))
#define add256(a, b) _mm256_add_ps(a, b)
#define add128(a, b) _mm_add_ps(a, b)
#define max256(a, b) _mm256_max_ps(a, b)
#define max128(a, b) _mm_max_ps(a, b)
static inline float vf_sum(vf a) {
  FOLD(a, add);
}
static inline float vf_top(vf a) {
  FOLD(a, max);
}
#undef FOLD
#undef add256
#undef add128
#undef max256
#undef max128

static inline vf vf_exp2_bits(vf shifted) {
  __m512i n = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(n, 23));
}

static inline vi vi_set(int32_t x) {
  return _mm512_set1_epi32(x);
}

static inline vb vb_load(const uint8_t *p) {
  return _mm512_loadu_si512(p);
}
static inline void vb_store(uint8_t *p, vb a) {
  _mm512_storeu_si512(p, a);
}
static inline vb vb_field(vb a, int from, int width, int to) {
  if (from > to) a = _mm512_srli_epi16(a, (unsigned)(from - to));
  if (from < to) a = _mm512_slli_epi16(a, (unsigned)(to - from));
  return _mm512_and_si512(a, _mm512_set1_epi8((char)(((1 << width) - 1) << to)));
}
static inline vb vb_or(vb a, vb b) {
  return _mm512_or_si512(a, b);
}
static inline vb vb_add(vb a, int n) {
  return _mm512_add_epi8(a, _mm512_set1_epi8((char)n));
}
static inline vb vb_lookup(vb a, const int8_t levels[16]) {
  __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)levels));
  return _mm512_shuffle_epi8(_mm512_xor_si512(table, _mm512_set1_epi8((char)0x80)), a);
}

/* Weights are unsigned bytes: codes that have no offset, or values + 128, which the start takes back. Products lie on
 * the magic number, so that as a float they are it and their sum. */
static inline vw vw_of(vb a, int offset) {
  return offset == 0 || offset == 128 ? a : vb_add(a, 128 - offset);
}
static inline vi vi_start(int32_t start, int offset) {
  return _mm512_set1_epi32(offset ? start : ACT_SUMS_MAGIC);
}
static inline vi vi_dot(vi acc, vw w, const int8_t *x, int offset) {
  (void)offset;
  int32_t four;
  memcpy(&four, x, 4);
  return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(four));
}
static inline vf vi_to_f32(vi a) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(a, _mm512_set1_epi32(ACT_SUMS_MAGIC)));
}
static inline vf vi_scaled(vi a, vf scale, vf magic) {
  return _mm512_fmadd_ps(scale, _mm512_castsi512_ps(a), magic);
}
static inline int32_t vf_store_i8(int8_t *p, vf a) {
  __m512i q = _mm512_cvtps_epi32(a);
  _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(q));
  return _mm512_reduce_add_epi32(q);
}

static inline void vf_store_quads(uint8_t *p, const vf v[4]) {
  __m512i bytes = _mm512_set1_epi32(0);
  for (int j = 3; j >= 0; j--) {
    __m512i q = _mm512_and_si512(_mm512_cvtps_epi32(v[j]), _mm512_set1_epi32(0xff));
    bytes = _mm512_or_si512(_mm512_slli_epi32(bytes, 8), q);
  }
  _mm512_storeu_si512(p, _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80)));
}

#define EXPAND_MAGIC true

#define TILE_SOLO 4
#define TILE_ATTEND 16
#define TILE_F32 2, 8
#define TILE_Q8_PANELS 2
#define TILE_Q8_ROWS 8

#endif
