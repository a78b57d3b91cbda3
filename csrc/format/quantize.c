#include "format/quantize.h"

#include <assert.h>
#include <float.h>
#include <string.h>

#include "base/half.h"
#include "format/dtype.h"

#define LANES 16 /* partial sums; blocks and what shares a scale in them are multiples of it */
#define HALF_MAX 65504.0f
#define HALF_NAN 0x7e00
#define CUT 0x1p29f   /* more than any type with a scale can hold; sums of a block's squares stay finite below it */
#define TINY 0x1p-40f /* steps below it count as none: the least float16 is 2^-24 */

/* How far the searches go. Twice of each is four times slower, for squared errors that are 1 to 3 % lower. */
enum {
  STARTS = 5, /* steps tried at first: one that reaches the extremes, and as many as fill a level more or less */
  FITS = 5,   /* times that a line is fitted to its levels and the levels to the line */
  ROUNDS = 3, /* the same for the scales of a K block and what they are multiples of */
  REACH = 4,  /* how far around the wished for scale a K block's first round looks; the others look 1 around */
};

static float clamp(float x, float least, float most) {
  return x < least ? least : x > most ? most : x;
}

static float magnitude(float x) {
  return x < 0 ? -x : x;
}

/* The nearest whole number, of two the even one, by the adder's own rounding. |x| < 2^22. */
static float nearest(float x) {
  return x + 0x1.8p23f - 0x1.8p23f;
}

static float inverse(float d) {
  return magnitude(d) < TINY ? 0 : 1 / d;
}

static float sum_lanes(float sums[LANES]) {
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
}

static float half_round(float x) {
  return half_to_f32(half_from_f32(clamp(x, -HALF_MAX, HALF_MAX)));
}

static bool is_finite(float x) {
  return (half_f32_bits(x) & 0x7f800000) != 0x7f800000;
}

static void store_u16(uint8_t out[2], uint32_t bits) {
  out[0] = (uint8_t)bits;
  out[1] = (uint8_t)(bits >> 8);
}

static void store_half(uint8_t out[2], float x) {
  store_u16(out, half_from_f32(x));
}

/* Single values. */

static bool quantize_f32(const float *x, block_f32 *b) {
  uint32_t bits = half_f32_bits(*x);
  store_u16(b->value, bits);
  store_u16(b->value + 2, bits >> 16);
  return is_finite(*x);
}

static bool quantize_f16(const float *x, block_f16 *b) {
  bool finite = is_finite(*x);
  store_half(b->value, finite ? clamp(*x, -HALF_MAX, HALF_MAX) : *x);
  return finite;
}

static bool quantize_bf16(const float *x, block_bf16 *b) {
  uint32_t bits = half_f32_bits(*x), most = 0x7f7f0000;
  bool finite = is_finite(*x);
  if (!finite)
    bits |= (bits & 0x007fffff) ? 0x00400000 : 0; /* a NaN stays one without its low bits */
  else if ((bits & 0x7fffffff) > most)
    bits = (bits & 0x80000000) | most;
  else
    bits += 0x7fff + (bits >> 16 & 1);
  store_u16(b->value, bits >> 16);
  return finite;
}

/* Values that share a scale: x as d q + m, q a whole number from low to high. */

typedef struct grid {
  float low, high;
  enum { NO_OFFSET, NEGATIVE, ANY } offset; /* what m may be */
  bool half;                                /* d and m are float16 */
} grid;

typedef struct line {
  float d, m;
} line;

/* q: the level nearest to each value. Returns the squared error. */
static float assign(const grid *g, const float *x, int n, line at, float *q) {
  float inverse_d = inverse(at.d), sums[LANES] = {0};
  for (int i = 0; i < n; i += LANES)
    for (int j = 0; j < LANES; j++) {
      float level = nearest(clamp((x[i + j] - at.m) * inverse_d, g->low, g->high));
      float error = x[i + j] - (at.d * level + at.m);
      q[i + j] = level;
      sums[j] += error * error;
    }
  return sum_lanes(sums);
}

/* The line of least squared error for the levels q; `at` is where nothing says better. Its m is taken off first, so
 * that no digits are lost to a large one. */
static line fit(const grid *g, const float *x, int n, const float *q, line at) {
  float sums[4][LANES] = {{0}};
  for (int i = 0; i < n; i += LANES)
    for (int j = 0; j < LANES; j++) {
      float rest = x[i + j] - at.m;
      sums[0][j] += q[i + j];
      sums[1][j] += q[i + j] * q[i + j];
      sums[2][j] += rest;
      sums[3][j] += q[i + j] * rest;
    }
  float sq = sum_lanes(sums[0]), sqq = sum_lanes(sums[1]), sx = sum_lanes(sums[2]), sqx = sum_lanes(sums[3]);
  float spread = (float)n * sqq - sq * sq, m = 0;
  if (g->offset != NO_OFFSET) {
    float d = spread > 0 ? ((float)n * sqx - sq * sx) / spread : at.d;
    m = at.m + (sx - d * sq) / (float)n;
    if (g->offset == NEGATIVE && m > 0) m = 0;
    if (g->half) m = half_round(m);
  }
  if (sqq > 0) at.d = (sqx - (m - at.m) * sq) / sqq;
  if (g->half) at.d = half_round(at.d);
  at.m = m;
  return at;
}

/* The m of least squared error for the levels q and the step d. */
static float fit_offset(const float *x, int n, const float *q, float d) {
  float sums[LANES] = {0};
  for (int i = 0; i < n; i += LANES)
    for (int j = 0; j < LANES; j++) sums[j] += x[i + j] - d * q[i + j];
  return sum_lanes(sums) / (float)n;
}

/* The best line that was found, and its levels in q. The first one tried is the usual choice, from extreme to extreme,
 * so that the result is never worse than that. */
static line search(const grid *g, const float *x, int n, float *q) {
  float least = x[0], most = x[0], trial[QBLOCK], best_error = 0;
  for (int i = 1; i < n; i++) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  if (g->offset == NEGATIVE && least > 0) least = 0;
  float span = g->offset ? most - least : -least > most ? least : most, levels = g->offset ? g->high : g->low;
  line best = {0, 0};
  for (int start = 0; start < STARTS; start++) {
    float more = (float)(start % 2 ? -(start + 1) / 2 : start / 2);
    line at = {span / (levels + more), 0};
    if (g->offset) at.m = least + 0.5f * more * at.d;
    if (g->half) at = (line){half_round(at.d), half_round(at.m)};
    if (g->offset == NEGATIVE && at.m > 0) at.m = 0;
    for (int fits = 0;; fits++) {
      float error = assign(g, x, n, at, trial);
      if (fits + start == 0 || error < best_error) {
        best = at;
        best_error = error;
        memcpy(q, trial, (size_t)n * sizeof *q);
      }
      if (fits == FITS) break;
      line better = fit(g, x, n, trial, at);
      if (better.d == at.d && better.m == at.m) break;
      at = better;
    }
  }
  return best;
}

/* Levels as bytes, the lowest as 0. */
static void levels_as_bytes(const grid *g, const float *q, int n, uint8_t *out) {
  for (int i = 0; i < n; i++) out[i] = (uint8_t)(q[i] - g->low);
}

/* Blocks of 32. */

/* The low four bits of q[i] and of q[apart + i] in byte i. */
static void pack_halves(const uint8_t *q, int apart, uint8_t *out) {
  for (int i = 0; i < apart; i++) out[i] = (uint8_t)((q[i] & 15) | (q[apart + i] & 15) << 4);
}

static void pack_fifth(const uint8_t q[QBLOCK], uint8_t out[4]) {
  memset(out, 0, 4);
  for (int i = 0; i < QBLOCK; i++) out[i / 8] |= (uint8_t)((q[i] >> 4 & 1) << i % 8);
}

static line search_bytes(const grid *g, const float *x, uint8_t q[QBLOCK]) {
  float levels[QBLOCK];
  line at = search(g, x, QBLOCK, levels);
  levels_as_bytes(g, levels, QBLOCK, q);
  return at;
}

/* No search: 255 levels leave it nothing to find. What is packed while loading gets the same bits. */
static void block_to_q8_0(const float *x, block_q8_0 *b) {
  float most = 0;
  for (int i = 0; i < QBLOCK; i++) most = magnitude(x[i]) > most ? magnitude(x[i]) : most;
  float d = half_round(most / 127.0f), inverse_d = inverse(d);
  store_half(b->d, d);
  for (int i = 0; i < QBLOCK; i++) b->qs[i] = (int8_t)nearest(clamp(x[i] * inverse_d, -127, 127));
}

static void block_to_q4_0(const float *x, block_q4_0 *b) {
  static const grid g = {-8, 7, NO_OFFSET, true};
  uint8_t q[QBLOCK];
  line at = search_bytes(&g, x, q);
  store_half(b->d, at.d);
  pack_halves(q, 16, b->qs);
}

static void block_to_q4_1(const float *x, block_q4_1 *b) {
  static const grid g = {0, 15, ANY, true};
  uint8_t q[QBLOCK];
  line at = search_bytes(&g, x, q);
  store_half(b->d, at.d);
  store_half(b->m, at.m);
  pack_halves(q, 16, b->qs);
}

static void block_to_q5_0(const float *x, block_q5_0 *b) {
  static const grid g = {-16, 15, NO_OFFSET, true};
  uint8_t q[QBLOCK];
  line at = search_bytes(&g, x, q);
  store_half(b->d, at.d);
  pack_fifth(q, b->qh);
  pack_halves(q, 16, b->qs);
}

static void block_to_q5_1(const float *x, block_q5_1 *b) {
  static const grid g = {0, 31, ANY, true};
  uint8_t q[QBLOCK];
  line at = search_bytes(&g, x, q);
  store_half(b->d, at.d);
  store_half(b->m, at.m);
  pack_fifth(q, b->qh);
  pack_halves(q, 16, b->qs);
}

/* Blocks of 256: each n values have a line of their own, whose d and m are whole multiples of the block's. */

enum { PARTS_MAX = KBLOCK / LANES };

typedef struct k_grid {
  grid grid;
  int n;
  float low, high; /* scales; minima are from 0 to high */
} k_grid;

typedef struct k_fit {
  float d, dmin;
  float scale[PARTS_MAX], minimum[PARTS_MAX];
  float q[KBLOCK];
} k_fit;

static line k_line(const k_fit *f, int part) {
  return (line){f->d * f->scale[part], -(f->dmin * f->minimum[part])};
}

static float multiple(float x, float of, float least, float most) {
  return nearest(clamp(x * inverse(of), least, most));
}

/* Chooses scale, minimum and levels of a part for the block's d and dmin, with scales at most `reach` from the one that
 * `wish` comes to. Returns the squared error. */
static float k_settle(const k_grid *g, const float *x, int part, line wish, int reach, k_fit *f) {
  float best_error = -1, best_scale = 0, best_minimum = 0, trial[QBLOCK];
  float middle = multiple(wish.d, f->d, g->low, g->high);
  x += part * g->n;
  for (int s = -reach; s <= reach; s++) {
    f->scale[part] = middle + (float)s;
    if (f->scale[part] < g->low || f->scale[part] > g->high) continue;
    f->minimum[part] = multiple(-wish.m, f->dmin, 0, g->high);
    for (int again = 0; again < 2; again++) {
      line at = k_line(f, part);
      float error = assign(&g->grid, x, g->n, at, trial);
      if (best_error < 0 || error < best_error) {
        best_error = error;
        best_scale = f->scale[part];
        best_minimum = f->minimum[part];
        memcpy(f->q + part * g->n, trial, (size_t)g->n * sizeof *trial);
      }
      if (f->dmin == 0) break;
      float minimum = multiple(-fit_offset(x, g->n, trial, at.d), f->dmin, 0, g->high);
      if (minimum == f->minimum[part]) break;
      f->minimum[part] = minimum;
    }
  }
  f->scale[part] = best_scale;
  f->minimum[part] = best_minimum;
  return best_error;
}

/* The d and dmin of least squared error for all else as it is: x as d a - dmin b. */
static void k_refit(const k_grid *g, const float *x, k_fit *f) {
  float sums[5][LANES] = {{0}};
  for (int i = 0; i < KBLOCK; i += LANES) {
    float scale = f->scale[i / g->n], b = f->minimum[i / g->n];
    for (int j = 0; j < LANES; j++) {
      float a = scale * f->q[i + j];
      sums[0][j] += a * a;
      sums[1][j] += a * b;
      sums[2][j] += b * b;
      sums[3][j] += a * x[i + j];
      sums[4][j] += b * x[i + j];
    }
  }
  float aa = sum_lanes(sums[0]), ab = sum_lanes(sums[1]), bb = sum_lanes(sums[2]);
  float ax = sum_lanes(sums[3]), bx = sum_lanes(sums[4]), determinant = aa * bb - ab * ab;
  if (determinant > 1e-3f * aa * bb) {
    f->d = half_round((ax * bb - bx * ab) / determinant);
    f->dmin = half_round((ax * ab - bx * aa) / determinant);
  } else if (aa > 0) {
    f->d = half_round((ax + f->dmin * ab) / aa);
  }
}

static k_fit k_search(const k_grid *g, const float *x) {
  line wish[PARTS_MAX];
  k_fit f = {0}, best = {0};
  float steepest = 0, deepest = 0, best_error = 0;
  int parts = KBLOCK / g->n;
  for (int i = 0; i < parts; i++) {
    wish[i] = search(&g->grid, x + i * g->n, g->n, f.q + i * g->n);
    if (magnitude(wish[i].d) > magnitude(steepest)) steepest = wish[i].d;
    if (-wish[i].m > deepest) deepest = -wish[i].m;
  }
  f.d = half_round(steepest / (g->low < 0 ? g->low : g->high));
  f.dmin = half_round(deepest / g->high);
  for (int round = 0; round < ROUNDS; round++) {
    float error = 0;
    for (int i = 0; i < parts; i++) {
      error += k_settle(g, x, i, wish[i], round ? 1 : REACH, &f);
      wish[i] = k_line(&f, i);
    }
    if (round == 0 || error < best_error) {
      best = f;
      best_error = error;
    }
    k_refit(g, x, &f);
  }
  return best;
}

/* The two low bits of each level, four runs of 32 to a byte. */
static void pack_quarters(const uint8_t q[KBLOCK], uint8_t out[KBLOCK / 4]) {
  memset(out, 0, KBLOCK / 4);
  for (int i = 0; i < KBLOCK; i++) out[i / 128 * 32 + i % 32] |= (uint8_t)((q[i] & 3) << i / 32 % 4 * 2);
}

static void block_to_q2_k(const float *x, block_q2_k *b) {
  static const k_grid g = {
      {0, 3, NEGATIVE, false},
      16, 0, 15
  };
  k_fit f = k_search(&g, x);
  uint8_t q[KBLOCK];
  levels_as_bytes(&g.grid, f.q, KBLOCK, q);
  store_half(b->d, f.d);
  store_half(b->dmin, f.dmin);
  for (int i = 0; i < 16; i++) b->scales[i] = (uint8_t)((int)f.scale[i] | (int)f.minimum[i] << 4);
  pack_quarters(q, b->qs);
}

static void block_to_q3_k(const float *x, block_q3_k *b) {
  static const k_grid g = {
      {-4, 3, NO_OFFSET, false},
      16, -32, 31
  };
  k_fit f = k_search(&g, x);
  uint8_t q[KBLOCK];
  levels_as_bytes(&g.grid, f.q, KBLOCK, q);
  store_half(b->d, f.d);
  memset(b->scales, 0, sizeof b->scales);
  for (int i = 0; i < 16; i++) { /* what q3_k_scales() unpacks */
    int scale = (int)f.scale[i] + 32;
    b->scales[i % 8] |= (uint8_t)((scale & 15) << i / 8 * 4);
    b->scales[8 + i % 4] |= (uint8_t)(scale >> 4 << i / 4 * 2);
  }
  pack_quarters(q, b->qs);
  memset(b->hmask, 0, sizeof b->hmask);
  for (int i = 0; i < KBLOCK; i++) b->hmask[i % 32] |= (uint8_t)(q[i] >> 2 << i / 32);
}

/* What q4_k_scales() unpacks. */
static void pack_scales(const k_fit *f, uint8_t out[12]) {
  for (int i = 0; i < 4; i++) {
    int scale = (int)f->scale[i], minimum = (int)f->minimum[i];
    int scale_4 = (int)f->scale[i + 4], minimum_4 = (int)f->minimum[i + 4];
    out[i] = (uint8_t)(scale | scale_4 >> 4 << 6);
    out[i + 4] = (uint8_t)(minimum | minimum_4 >> 4 << 6);
    out[i + 8] = (uint8_t)((scale_4 & 15) | (minimum_4 & 15) << 4);
  }
}

/* What Q4_K and Q5_K have in common: scales, minima and the low halves of the levels. q: (KBLOCK) all of each level. */
static void fit_with_minima(const k_grid *g, const float *x, uint8_t d[2], uint8_t dmin[2], uint8_t scales[12],
                            uint8_t low[KBLOCK / 2], uint8_t q[KBLOCK]) {
  k_fit f = k_search(g, x);
  levels_as_bytes(&g->grid, f.q, KBLOCK, q);
  store_half(d, f.d);
  store_half(dmin, f.dmin);
  pack_scales(&f, scales);
  for (int i = 0; i < 4; i++) pack_halves(q + i * 64, 32, low + i * 32);
}

static void block_to_q4_k(const float *x, block_q4_k *b) {
  static const k_grid g = {
      {0, 15, NEGATIVE, false},
      32, 0, 63
  };
  uint8_t q[KBLOCK];
  fit_with_minima(&g, x, b->d, b->dmin, b->scales, b->qs, q);
}

static void block_to_q5_k(const float *x, block_q5_k *b) {
  static const k_grid g = {
      {0, 31, NEGATIVE, false},
      32, 0, 63
  };
  uint8_t q[KBLOCK];
  fit_with_minima(&g, x, b->d, b->dmin, b->scales, b->qs, q);
  memset(b->qh, 0, sizeof b->qh);
  for (int i = 0; i < KBLOCK; i++) b->qh[i % 32] |= (uint8_t)(q[i] >> 4 << i / 32);
}

static void block_to_q6_k(const float *x, block_q6_k *b) {
  static const k_grid g = {
      {-32, 31, NO_OFFSET, false},
      16, -128, 127
  };
  k_fit f = k_search(&g, x);
  uint8_t q[KBLOCK];
  levels_as_bytes(&g.grid, f.q, KBLOCK, q);
  store_half(b->d, f.d);
  for (int i = 0; i < 16; i++) b->scales[i] = (int8_t)f.scale[i];
  for (int i = 0; i < 2; i++) pack_halves(q + i * 128, 64, b->ql + i * 64);
  memset(b->qh, 0, sizeof b->qh);
  for (int i = 0; i < KBLOCK; i++) b->qh[i / 128 * 32 + i % 32] |= (uint8_t)(q[i] >> 4 << i / 32 % 4 * 2);
}

/* Rows. */

#define VALUES(X) X(F32, f32, 1) X(F16, f16, 1) X(BF16, bf16, 1)
#define BLOCKS(X)       \
  X(Q8_0, q8_0, 32)     \
  X(Q4_0, q4_0, 32)     \
  X(Q4_1, q4_1, 32)     \
  X(Q5_0, q5_0, 32)     \
  X(Q5_1, q5_1, 32)     \
  X(Q2_K, q2_k, KBLOCK) \
  X(Q3_K, q3_k, KBLOCK) \
  X(Q4_K, q4_k, KBLOCK) \
  X(Q5_K, q5_k, KBLOCK) \
  X(Q6_K, q6_k, KBLOCK)

#define QUANTIZE(NAME, name, values)                             \
  static bool quantize_##name(const float *x, block_##name *b) { \
    float cut[values];                                           \
    bool finite = true;                                          \
    for (int i = 0; i < (values); i++) {                         \
      finite = finite && is_finite(x[i]);                        \
      cut[i] = clamp(x[i], -CUT, CUT);                           \
    }                                                            \
    if (finite) {                                                \
      block_to_##name(cut, b);                                   \
    } else {                                                     \
      memset(b, 0, sizeof *b);                                   \
      store_u16(b->d, HALF_NAN);                                 \
    }                                                            \
    return finite;                                               \
  }
BLOCKS(QUANTIZE)
#undef QUANTIZE

bool quantize_knows(int32_t dtype) {
#define KNOWN(NAME, name, values) || dtype == LLAMA2_##NAME
  return false VALUES(KNOWN) BLOCKS(KNOWN);
#undef KNOWN
}

bool quantize_row(int32_t dtype, const float *x, int64_t n, void *blocks) {
  bool finite = true;
  assert(quantize_knows(dtype));
  switch (dtype) {
#define ROW(NAME, name, values)                                                         \
  case LLAMA2_##NAME:                                                                   \
    assert(n % (values) == 0);                                                          \
    for (int64_t i = 0; i < n / (values); i++)                                          \
      finite = quantize_##name(x + i * (values), (block_##name *)blocks + i) && finite; \
    break;
    VALUES(ROW)
    BLOCKS(ROW)
#undef ROW
  }
  return finite;
}

bool quantize_groups(const float *x, int64_t n, int64_t group, int8_t *q, unsigned char *scales) {
  bool finite = true;
  for (int64_t g = 0; g < n / group; g++, x += group, q += group, scales += 4) {
    float most = 0;
    for (int64_t i = 0; i < group; i++) {
      float magnitude = x[i] < 0 ? -x[i] : x[i];
      finite = finite && magnitude <= FLT_MAX;
      if (magnitude > most) most = magnitude;
    }
    float scale = most / 127.0f;
    uint32_t bits = half_f32_bits(scale);
    for (int i = 0; i < 4; i++) scales[i] = (unsigned char)(bits >> 8 * i);
    for (int64_t i = 0; i < group; i++) q[i] = scale > 0 ? (int8_t)nearest(clamp(x[i] / scale, -127, 127)) : 0;
  }
  return finite;
}
