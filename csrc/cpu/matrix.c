#include "cpu/matrix.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "format/dequantize.h"

uint64_t matrix_shape(matrix *m, int32_t dtype, int64_t rows, int64_t cols) {
  panel_form form = panel_form_of(dtype);
  m->dtype = dtype;
  m->rows = rows;
  m->cols = cols;
  m->n_panels = ceil_div(rows, LANES);
  m->k = form.low ? round_up(cols, QBLOCK) : cols;
  int64_t bytes = form.low ? m->k / QBLOCK * panel_chunk(form) + ceil_div(m->k, form.record_values) * form.record_bytes
                           : m->k * LANES * dtype_find(dtype)->block_bytes;
  m->panel_bytes = size_round_up((uint64_t)bytes, MEM_ALIGN);
  return size_mul(m->panel_bytes, (uint64_t)m->n_panels);
}

bool matrix_keeps(const tensor *t) {
  if (t->dtype == LLAMA2_Q8_F) return t->cols % QBLOCK == 0 && t->group % QBLOCK == 0;
  return true;
}

/* A chunk's values of one row, as eight words of four bytes: group g is codes[g]. */
typedef uint32_t codes[QBLOCK / 4];

/* `width` bits of each byte of w, from bit `shift` on. */
static inline uint32_t field(uint32_t w, int shift, int width) {
  return w >> shift & 0x01010101u * ((1u << width) - 1);
}

/* Four bits to the four bytes of a word. */
static inline uint32_t spread(uint32_t bits) {
  return bits * 0x00204081u & 0x01010101u;
}

static inline uint32_t word(const void *bytes, int i) {
  return load_u32((const unsigned char *)bytes + 4 * i);
}

/* Reading a row's codes from a file's blocks. */

static inline void nibbles(const uint8_t *qs, codes c) {
  for (int j = 0; j < 4; j++) {
    c[j] = field(word(qs, j), 0, 4);
    c[j + 4] = field(word(qs, j), 4, 4);
  }
}

static inline void fifth_bits(const uint8_t *qh, codes c) {
  for (int g = 0; g < 8; g++) c[g] |= spread(word(qh, 0) >> 4 * g & 15) << 4;
}

/* Codes of run `run` of 32 values in a block, which is the first and only one but in K types. */
static inline void block_codes(int32_t dtype, const void *block, int run, codes c) {
  switch (dtype) {
    case LLAMA2_Q8_0:
      for (int g = 0; g < 8; g++) c[g] = word(((const block_q8_0 *)block)->qs, g) ^ 0x80808080u;
      break;
    case LLAMA2_Q4_0: nibbles(((const block_q4_0 *)block)->qs, c); break;
    case LLAMA2_Q4_1: nibbles(((const block_q4_1 *)block)->qs, c); break;
    case LLAMA2_Q5_0:
      nibbles(((const block_q5_0 *)block)->qs, c);
      fifth_bits(((const block_q5_0 *)block)->qh, c);
      break;
    case LLAMA2_Q5_1:
      nibbles(((const block_q5_1 *)block)->qs, c);
      fifth_bits(((const block_q5_1 *)block)->qh, c);
      break;
    case LLAMA2_Q2_K: {
      const block_q2_k *b = block;
      for (int g = 0; g < 8; g++) c[g] = field(word(b->qs + run / 4 * 32, g), run % 4 * 2, 2);
      break;
    }
    case LLAMA2_Q3_K: {
      const block_q3_k *b = block;
      for (int g = 0; g < 8; g++)
        c[g] = field(word(b->qs + run / 4 * 32, g), run % 4 * 2, 2) | field(word(b->hmask, g), run, 1) << 2;
      break;
    }
    case LLAMA2_Q4_K: {
      const block_q4_k *b = block;
      for (int g = 0; g < 8; g++) c[g] = field(word(b->qs + run / 2 * 32, g), run % 2 * 4, 4);
      break;
    }
    case LLAMA2_Q5_K: {
      const block_q5_k *b = block;
      for (int g = 0; g < 8; g++)
        c[g] = field(word(b->qs + run / 2 * 32, g), run % 2 * 4, 4) | field(word(b->qh, g), run, 1) << 4;
      break;
    }
    case LLAMA2_Q6_K: {
      const block_q6_k *b = block;
      for (int g = 0; g < 8; g++)
        c[g] = field(word(b->ql + run / 4 * 64 + run % 2 * 32, g), run % 4 / 2 * 4, 4) |
               field(word(b->qh + run / 4 * 32, g), run % 4 * 2, 2) << 4;
      break;
    }
    case LLAMA2_IQ4_NL: nibbles(((const block_iq4_nl *)block)->qs, c); break;
    case LLAMA2_IQ4_XS: nibbles(((const block_iq4_xs *)block)->qs + run * 16, c); break;
    case LLAMA2_MXFP4: nibbles(((const block_mxfp4 *)block)->qs, c); break;
  }
}

/* Planes. */

static inline void put_word(unsigned char *vector, int lane, uint32_t w) {
  memcpy(vector + lane * 4, &w, 4);
}

static inline uint32_t get_word(const unsigned char *vector, int lane) {
  return load_u32(vector + lane * 4);
}

static inline void put_codes(panel_form form, unsigned char *chunk, int lane, const codes c) {
  if (form.low == 8) {
    for (int g = 0; g < 8; g++) put_word(chunk + g * 64, lane, c[g]);
  } else if (form.low == 4) {
    for (int j = 0; j < 4; j++) put_word(chunk + j * 64, lane, field(c[j], 0, 4) | field(c[j + 4], 0, 4) << 4);
  }
  int twos = form.low == 2 ? 0 : 4; /* where a plane of two bits begins, in the codes and in the chunk */
  for (int j = 0; j < 2 && (form.low == 2 || form.high == 2); j++) {
    uint32_t w = 0;
    for (int i = 0; i < 4; i++) w |= field(c[4 * j + i], twos, 2) << 2 * i;
    put_word(chunk + (twos + j) * 64, lane, w);
  }
  if (form.high == 1) {
    uint32_t w = 0;
    for (int g = 0; g < 8; g++) w |= field(c[g], form.low, 1) << g;
    put_word(chunk + form.low * 64, lane, w);
  }
}

static void get_codes(panel_form form, const unsigned char *chunk, int lane, codes c) {
  int twos = form.low == 2 ? 0 : 4;
  for (int g = 0; g < 8; g++) {
    c[g] = 0;
    if (form.low == 8) c[g] = get_word(chunk + g * 64, lane);
    if (form.low == 4) c[g] = field(get_word(chunk + g % 4 * 64, lane), g / 4 * 4, 4);
    if (form.low == 2 || form.high == 2)
      c[g] |= field(get_word(chunk + (twos + g / 4) * 64, lane), g % 4 * 2, 2) << twos;
    if (form.high == 1) c[g] |= field(get_word(chunk + form.low * 64, lane), g, 1) << form.low;
  }
}

/* Scales. */

static void put_half(unsigned char *at, int lane, const uint8_t half[2]) {
  uint16_t h = load_u16(half);
  if ((h & 0x7c00) == 0x7c00) h = 0x7e00;
  memcpy(at + 2 * lane, &h, 2);
}

static float get_half(const unsigned char *at, int lane) {
  return half_to_f32(load_u16(at + 2 * lane));
}

/* A block's scales: one or two of float16, and smaller ones that these are multiplied with. */
typedef struct block_scales {
  const uint8_t *d, *m; /* m: NULL, or those of the minima */
  int n;
  uint8_t small[16]; /* (n) */
} block_scales;

static inline block_scales block_scales_of(int32_t dtype, const void *block) {
  block_scales s = {0};
  switch (dtype) {
#define SCALE(NAME, name)                   \
  case LLAMA2_##NAME:                       \
    s.d = ((const block_##name *)block)->d; \
    break;
#define SCALE_AND(NAME, name, minimum)            \
  case LLAMA2_##NAME:                             \
    s.d = ((const block_##name *)block)->d;       \
    s.m = ((const block_##name *)block)->minimum; \
    break;
    SCALE(Q8_0, q8_0)
    SCALE(Q4_0, q4_0)
    SCALE(Q5_0, q5_0)
    SCALE(IQ4_NL, iq4_nl)
    SCALE(IQ4_XS, iq4_xs)
    SCALE(Q3_K, q3_k)
    SCALE(Q6_K, q6_k)
    SCALE_AND(Q4_1, q4_1, m)
    SCALE_AND(Q5_1, q5_1, m)
    SCALE_AND(Q2_K, q2_k, dmin)
    SCALE_AND(Q4_K, q4_k, dmin)
    SCALE_AND(Q5_K, q5_k, dmin)
#undef SCALE
#undef SCALE_AND
  }
  if (dtype == LLAMA2_Q2_K || dtype == LLAMA2_Q3_K || dtype == LLAMA2_Q6_K) s.n = 16;
  if (dtype == LLAMA2_Q2_K) memcpy(s.small, ((const block_q2_k *)block)->scales, 16);
  if (dtype == LLAMA2_Q3_K) q3_k_scales(((const block_q3_k *)block)->scales, (int8_t *)s.small);
  if (dtype == LLAMA2_Q6_K) memcpy(s.small, ((const block_q6_k *)block)->scales, 16);
  if (dtype == LLAMA2_IQ4_XS) {
    s.n = 8;
    iq4_xs_scales(block, (int8_t *)s.small);
  }
  if (dtype == LLAMA2_Q4_K || dtype == LLAMA2_Q5_K) {
    uint8_t scales[8], minima[8];
    s.n = 16;
    q4_k_scales(dtype == LLAMA2_Q4_K ? ((const block_q4_k *)block)->scales : ((const block_q5_k *)block)->scales,
                scales, minima);
    for (int i = 0; i < 8; i++) s.small[2 * i] = scales[i], s.small[2 * i + 1] = minima[i];
  }
  return s;
}

static inline void put_scales(int32_t dtype, unsigned char *record, int lane, const void *block) {
  if (dtype == LLAMA2_MXFP4) {
    uint16_t d = (uint16_t)(half_f32_bits(mxfp4_scale(((const block_mxfp4 *)block)->e)) >> 16); /* a power of two */
    memcpy(record + 2 * lane, &d, 2);
    return;
  }
  block_scales s = block_scales_of(dtype, block);
  put_half(record, lane, s.d);
  if (s.m) put_half(record + 2 * LANES, lane, s.m);
  record += (s.m ? 4 : 2) * LANES + lane;
  for (int i = 0; i < s.n; i++) record[i * LANES] = s.small[i];
}

/* What a value is multiplied with, and what is then added. */
typedef struct value_scale {
  float scale, minimum;
} value_scale;

/* For half `half` of run `run` of a record. */
static value_scale get_scale(int32_t dtype, const unsigned char *record, int lane, int run, int half) {
  const unsigned char *small;
  switch (dtype) {
    case LLAMA2_Q8_F: return (value_scale){load_f32(record + 4 * lane), 0};
    case LLAMA2_MXFP4: return (value_scale){half_bits_f32((uint32_t)load_u16(record + 2 * lane) << 16), 0};
    case LLAMA2_Q4_1:
    case LLAMA2_Q5_1: return (value_scale){get_half(record, lane), get_half(record + 2 * LANES, lane)};
    case LLAMA2_Q4_K:
    case LLAMA2_Q5_K:
      small = record + (4 + 2 * run) * LANES + lane;
      return (value_scale){get_half(record, lane) * (float)small[0],
                           -(get_half(record + 2 * LANES, lane) * (float)small[LANES])};
    case LLAMA2_Q2_K:
      small = record + (4 + 2 * run + half) * LANES + lane;
      return (value_scale){get_half(record, lane) * (float)(*small & 15),
                           -(get_half(record + 2 * LANES, lane) * (float)(*small >> 4))};
    case LLAMA2_Q3_K:
    case LLAMA2_Q6_K:
      small = record + (2 + 2 * run + half) * LANES + lane;
      return (value_scale){get_half(record, lane) * (float)(int8_t)*small, 0};
    case LLAMA2_IQ4_XS:
      small = record + (2 + run) * LANES + lane;
      return (value_scale){get_half(record, lane) * (float)(int8_t)*small, 0};
    default: return (value_scale){get_half(record, lane), 0};
  }
}

static int code_value(int32_t dtype, uint32_t code) {
  switch (dtype) {
    case LLAMA2_Q8_0:
    case LLAMA2_Q8_F: return (int)code - 128;
    case LLAMA2_Q4_0: return (int)code - 8;
    case LLAMA2_Q5_0: return (int)code - 16;
    case LLAMA2_Q3_K: return (int)code - 4;
    case LLAMA2_Q6_K: return (int)code - 32;
    case LLAMA2_IQ4_NL:
    case LLAMA2_IQ4_XS: return iq4_levels[code];
    case LLAMA2_MXFP4: return mxfp4_levels[code];
    default: return (int)code;
  }
}

/* Packing. */

/* Columns [first, first + n) of 16 rows, and where each row's lie behind one another; NULL: there is no such row. */
typedef struct strip {
  int64_t first, n;
  const unsigned char *rows[LANES];
} strip;

/* Rows of blocks; a block is a record. The chunks of a record are walked lane by lane, so that they stay in the first
 * cache. */
static inline void pack_blocks(const int32_t dtype, const matrix *m, unsigned char *out, const strip *s) {
  const panel_form form = panel_form_of(dtype);
  const dtype_traits *traits = dtype_find(dtype);
  int64_t chunk = panel_chunk(form), runs = form.record_values / QBLOCK, begin = s->first / form.record_values;
  unsigned char *records = out + m->k / QBLOCK * chunk + begin * form.record_bytes;
  for (int64_t r = begin; r < begin + s->n / form.record_values; r++, records += form.record_bytes)
    for (int lane = 0; lane < LANES; lane++) {
      if (!s->rows[lane]) continue;
      const unsigned char *block = s->rows[lane] + (r - begin) * traits->block_bytes;
      for (int run = 0; run < runs; run++) {
        codes c;
        block_codes(dtype, block, run, c);
        put_codes(form, out + (r * runs + run) * chunk, lane, c);
      }
      put_scales(dtype, records, lane, block);
    }
}

static void pack_q8_f(const matrix *m, unsigned char *out, const tensor *t, const int64_t rows[LANES]) {
  const panel_form form = panel_form_of(LLAMA2_Q8_F);
  float *scales = (float *)(out + m->k / QBLOCK * panel_chunk(form));
  for (int64_t b = 0; b < m->k / QBLOCK; b++)
    for (int lane = 0; lane < LANES; lane++) {
      if (rows[lane] < 0) continue;
      int64_t at = rows[lane] * t->cols + b * QBLOCK;
      codes c;
      for (int g = 0; g < 8; g++) c[g] = word(t->data + at, g) ^ 0x80808080u;
      put_codes(form, out + b * panel_chunk(form), lane, c);
      scales[b * LANES + lane] = load_f32(t->scales + at / t->group * 4);
    }
}

static void pack_16_bits(uint16_t *out, const strip *s) {
  out += s->first * LANES;
  for (int64_t first = 0; first < s->n; first += QBLOCK)
    for (int lane = 0; lane < LANES; lane++) {
      if (!s->rows[lane]) continue;
      int64_t end = first + QBLOCK < s->n ? first + QBLOCK : s->n;
      for (int64_t k = first; k < end; k++) out[k * LANES + lane] = load_u16(s->rows[lane] + 2 * k);
    }
}

/* Any tensor, by way of its values, to F32 or Q8_0. */
static void pack_values(const matrix *m, unsigned char *out, const tensor *t, const int64_t rows[LANES],
                        pack_q8_0_fn *pack_q8_0) {
  enum { CHUNK = 8 * QBLOCK }; /* columns at a time: few enough for the first cache, and whole blocks of any type */
  for (int64_t first = 0; first < m->cols; first += CHUNK) {
    int64_t n = m->cols - first < CHUNK ? m->cols - first : CHUNK;
    _Alignas(MEM_ALIGN) float block[CHUNK * LANES], values[CHUNK];
    float *lanes = m->dtype == LLAMA2_F32 ? (float *)out + first * LANES : block;
    if (lanes == block) memset(block, 0, sizeof block);
    for (int lane = 0; lane < LANES; lane++) {
      if (rows[lane] < 0) continue;
      tensor_values(t, rows[lane], first, n, values);
      for (int64_t k = 0; k < n; k++) lanes[k * LANES + lane] = values[k];
    }
    for (int64_t k = 0; lanes == block && k < n; k += QBLOCK)
      pack_q8_0(block + k * LANES, out + (first + k) * LANES,
                (uint16_t *)matrix_scales(m, out) + (first + k) / QBLOCK * LANES);
  }
}

static void pack_strip(const matrix *m, unsigned char *out, const tensor *t, const int64_t rows[LANES],
                       const strip *s) {
  switch (m->dtype) {
    case LLAMA2_F16:
    case LLAMA2_BF16: pack_16_bits((uint16_t *)out, s); return;
    case LLAMA2_Q8_F: pack_q8_f(m, out, t, rows); return;
#define BLOCKS(NAME) \
  case LLAMA2_##NAME: pack_blocks(LLAMA2_##NAME, m, out, s); return;
      BLOCKS(Q8_0)
      BLOCKS(Q4_0)
      BLOCKS(Q4_1)
      BLOCKS(Q5_0)
      BLOCKS(Q5_1)
      BLOCKS(Q2_K)
      BLOCKS(Q3_K)
      BLOCKS(Q4_K)
      BLOCKS(Q5_K)
      BLOCKS(Q6_K)
      BLOCKS(IQ4_NL)
      BLOCKS(IQ4_XS)
      BLOCKS(MXFP4)
#undef BLOCKS
  }
}

void matrix_pack(const matrix *m, int64_t panel, const tensor *t, const int64_t rows[LANES], pack_q8_0_fn *pack_q8_0) {
  unsigned char *out = m->data + (uint64_t)panel * m->panel_bytes;
  if (m->dtype != t->dtype || m->dtype == LLAMA2_F32) {
    pack_values(m, out, t, rows, pack_q8_0);
    return;
  }
  assert(matrix_keeps(t));
  for (strip s = {0}; s.first < t->cols; s.first += s.n) {
    s.n = tensor_run(t, s.first);
    for (int lane = 0; lane < LANES; lane++) s.rows[lane] = rows[lane] < 0 ? NULL : tensor_at(t, rows[lane], s.first);
    pack_strip(m, out, t, rows, &s);
  }
}

/* Reading back. */

void matrix_row(const matrix *m, int64_t row, float *out) {
  const unsigned char *panel = m->data + (uint64_t)(row / LANES) * m->panel_bytes;
  int lane = (int)(row % LANES);
  assert(row < m->rows);
  const panel_form form = panel_form_of(m->dtype);
  if (!form.low) {
    int64_t size = dtype_find(m->dtype)->block_bytes;
    for (int64_t k = 0; k < m->cols; k++) dequantize_row(m->dtype, panel + (k * LANES + lane) * size, 1, out + k);
    return;
  }
  const unsigned char *records = matrix_scales(m, panel);
  int64_t runs = form.record_values / QBLOCK;
  for (int64_t b = 0; b * QBLOCK < m->cols; b++) {
    const unsigned char *record = records + b / runs * form.record_bytes;
    codes c;
    get_codes(form, panel + b * panel_chunk(form), lane, c);
    int64_t n = m->cols - b * QBLOCK < QBLOCK ? m->cols - b * QBLOCK : QBLOCK;
    for (int64_t i = 0; i < n; i++) {
      value_scale s = get_scale(m->dtype, record, lane, (int)(b % runs), (int)i / 16);
      out[b * QBLOCK + i] = s.scale * (float)code_value(m->dtype, c[i / 4] >> i % 4 * 8 & 255) + s.minimum;
    }
  }
}
