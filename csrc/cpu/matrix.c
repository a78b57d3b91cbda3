#include "cpu/matrix.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"

/* Byte of value k of panel row `lane`. */
static int64_t q8_index(int64_t k, int lane) {
  return k / 4 * (LANES * 4) + lane * 4 + k % 4;
}

uint64_t matrix_shape(matrix *m, int32_t dtype, int64_t rows, int64_t cols) {
  m->dtype = dtype;
  m->rows = rows;
  m->cols = cols;
  m->n_panels = ceil_div(rows, LANES);
  const dtype_traits *traits = dtype_find(dtype);
  m->k = round_up(cols, traits->block_values);
  m->panel_bytes = size_round_up((uint64_t)(m->k / traits->block_values * traits->block_bytes * LANES), MEM_ALIGN);
  return size_mul(m->panel_bytes, (uint64_t)m->n_panels);
}

static void keep_q8_f(const matrix *m, unsigned char *panel, int lane, const tensor *t, int64_t row) {
  int64_t first = row * t->cols;
  const int8_t *q = (const int8_t *)t->data + first;
  float *d = (float *)matrix_scales(m, panel);
  for (int64_t k = 0; k < m->cols; k++) panel[q8_index(k, lane)] = (unsigned char)(q[k] + 128);
  for (int64_t b = 0; b < m->k / QBLOCK; b++)
    d[b * LANES + lane] = load_f32(t->scales + (first + b * QBLOCK) / t->group * 4);
}

static void keep_q8_0(const matrix *m, unsigned char *panel, int lane, const tensor *t, int64_t row) {
  const unsigned char *block = t->data + row * (m->cols / QBLOCK) * (2 + QBLOCK);
  uint16_t *d = (uint16_t *)matrix_scales(m, panel);
  for (int64_t b = 0; b < m->cols / QBLOCK; b++, block += 2 + QBLOCK) {
    d[b * LANES + lane] = load_u16(block);
    for (int i = 0; i < QBLOCK; i += 4) {
      uint32_t q = load_u32(block + 2 + i) ^ 0x80808080u; /* adds 128 to each */
      memcpy(panel + q8_index(b * QBLOCK + i, lane), &q, 4);
    }
  }
}

bool matrix_keeps(const tensor *t) {
  return t->dtype == LLAMA2_Q8_0 || (t->dtype == LLAMA2_Q8_F && t->cols % QBLOCK == 0 && t->group % QBLOCK == 0);
}

static bool keeps_row(const matrix *m, const matrix_source *source) {
  return source->tensor && source->tensor->dtype == m->dtype && matrix_keeps(source->tensor);
}

/* Rows that are not kept as they are, by way of their values. Those that are become zeros. */
static void pack_values(const matrix *m, unsigned char *out, const matrix_source sources[LANES],
                        pack_q8_0_fn *pack_q8_0) {
  enum { CHUNK = 8 * QBLOCK }; /* columns at a time: few enough for the first cache */
  for (int64_t first = 0; first < m->cols; first += CHUNK) {
    int64_t n = m->cols - first < CHUNK ? m->cols - first : CHUNK;
    _Alignas(MEM_ALIGN) float block[CHUNK * LANES], values[CHUNK];
    float *lanes = m->dtype == LLAMA2_F32 ? (float *)out + first * LANES : block;
    if (lanes == block) memset(block, 0, sizeof block);
    for (int lane = 0; lane < LANES; lane++) {
      if (!sources[lane].tensor || keeps_row(m, &sources[lane])) continue;
      tensor_values(sources[lane].tensor, sources[lane].row, first, n, values);
      for (int64_t k = 0; k < n; k++) lanes[k * LANES + lane] = values[k];
    }
    for (int64_t k = 0; lanes == block && k < n; k += QBLOCK)
      pack_q8_0(block + k * LANES, out + (first + k) * LANES,
                (uint16_t *)matrix_scales(m, out) + (first + k) / QBLOCK * LANES);
  }
}

void matrix_pack(matrix *m, int64_t panel, const matrix_source sources[LANES], pack_q8_0_fn *pack_q8_0) {
  unsigned char *out = m->data + (uint64_t)panel * m->panel_bytes;
  bool all = m->dtype != LLAMA2_F32;
  for (int lane = 0; lane < LANES; lane++) all = all && (!sources[lane].tensor || keeps_row(m, &sources[lane]));
  if (all)
    memset(out, 128, (size_t)(m->k * LANES));
  else
    pack_values(m, out, sources, pack_q8_0);
  for (int lane = 0; lane < LANES; lane++) {
    if (!keeps_row(m, &sources[lane])) continue;
    (m->dtype == LLAMA2_Q8_0 ? keep_q8_0 : keep_q8_f)(m, out, lane, sources[lane].tensor, sources[lane].row);
  }
}

void matrix_row(const matrix *m, int64_t row, float *out) {
  const unsigned char *panel = m->data + (uint64_t)(row / LANES) * m->panel_bytes;
  int lane = (int)(row % LANES);
  assert(row < m->rows);
  if (m->dtype == LLAMA2_F32) {
    for (int64_t k = 0; k < m->cols; k++) out[k] = ((const float *)panel)[k * LANES + lane];
    return;
  }
  const unsigned char *scales = matrix_scales(m, panel);
  for (int64_t b = 0; b * QBLOCK < m->cols; b++) {
    float d = m->dtype == LLAMA2_Q8_0 ? half_to_f32(((const uint16_t *)scales)[b * LANES + lane])
                                      : ((const float *)scales)[b * LANES + lane];
    int64_t n = m->cols - b * QBLOCK < QBLOCK ? m->cols - b * QBLOCK : QBLOCK;
    for (int64_t i = 0; i < n; i++) out[b * QBLOCK + i] = (float)(panel[q8_index(b * QBLOCK + i, lane)] - 128) * d;
  }
}
