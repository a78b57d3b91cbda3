#include "format/dtype.h"

#include <assert.h>
#include <string.h>

#include "base/file.h"
#include "format/dequantize.h"

const dtype_traits *dtype_find(int32_t id) {
#define ROW(NAME, name, values, bytes) {LLAMA2_##NAME, #name, values, bytes},
  static const dtype_traits table[] = {DTYPES(ROW)};
#undef ROW
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].id == id) return &table[i];
  return NULL;
}

/* A group may begin and end anywhere in a row. */
static void values_q8_f(const tensor *t, int64_t at, int64_t n, float *out) {
  const int8_t *q = (const int8_t *)t->data + at;
  for (int64_t i = 0; i < n;) {
    int64_t g = (at + i) / t->group, end = (g + 1) * t->group - at;
    if (end > n) end = n;
    float scale = load_f32(t->scales + g * 4);
    for (; i < end; i++) out[i] = (float)q[i] * scale;
  }
}

const unsigned char *tensor_at(const tensor *t, int64_t row, int64_t col) {
  const tensor_pieces *p = &t->pieces;
  const unsigned char *data = t->data;
  int64_t cols = t->cols;
  row = tensor_row(t, row);
  if (t->dtype == LLAMA2_Q8_F) return data + row * cols + col;
  const dtype_traits *type = dtype_find(t->dtype);
  if (p->data && p->side_by_side) {
    cols /= p->n;
    data = p->data[col / cols];
    col %= cols;
  } else if (p->data) {
    int64_t rows = t->rows / p->n;
    data = p->data[row / rows];
    row %= rows;
  }
  return data + (row * cols + col) / type->block_values * type->block_bytes;
}

/* Where value `at` of all rows lies, and how many of n lie behind one another from there. */
static const unsigned char *locate(const tensor *t, const dtype_traits *type, int64_t at, int64_t n, int64_t *run) {
  assert(at % type->block_values == 0);
  bool scattered = t->split || t->pieces.data, vector = t->split && t->rows == 1;
  *run = vector ? 1 : scattered ? tensor_run(t, at % t->cols) : n;
  if (*run > n) *run = n;
  if (scattered && !vector) return tensor_at(t, at / t->cols, at % t->cols);
  return t->data + tensor_row(t, at) / type->block_values * type->block_bytes;
}

void tensor_blocks(const tensor *t, int64_t at, int64_t n, unsigned char *out) {
  const dtype_traits *type = dtype_find(t->dtype);
  for (int64_t end = at + n, run; at < end; at += run) {
    const unsigned char *blocks = locate(t, type, at, end - at, &run);
    int64_t bytes = run / type->block_values * type->block_bytes;
    memcpy(out, blocks, (size_t)bytes);
    out += bytes;
  }
}

static void values_of(const dtype_traits *type, const unsigned char *blocks, int64_t n, float *out) {
  int64_t rest = n % type->block_values;
  dequantize_row(type->id, blocks, n - rest, out);
  if (rest) {
    float last[KBLOCK];
    dequantize_row(type->id, blocks + n / type->block_values * type->block_bytes, type->block_values, last);
    memcpy(out + n - rest, last, (size_t)rest * 4);
  }
}

void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out) {
  int64_t at = row * t->cols + first;
  if (t->dtype == LLAMA2_Q8_F) {
    values_q8_f(t, at, n, out);
    return;
  }
  const dtype_traits *type = dtype_find(t->dtype);
  for (int64_t end = at + n, run; at < end; at += run, out += run) {
    const unsigned char *blocks = locate(t, type, at, end - at, &run);
    values_of(type, blocks, run, out);
  }
}
