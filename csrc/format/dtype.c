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

void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out) {
  int64_t at = row * t->cols + first;
  if (t->dtype == LLAMA2_Q8_F) {
    values_q8_f(t, at, n, out);
    return;
  }
  const dtype_traits *type = dtype_find(t->dtype);
  int64_t rest = n % type->block_values;
  assert(at % type->block_values == 0);
  const unsigned char *blocks = t->data + at / type->block_values * type->block_bytes;
  dequantize_row(t->dtype, blocks, n - rest, out);
  if (rest) {
    float last[KBLOCK];
    dequantize_row(t->dtype, blocks + n / type->block_values * type->block_bytes, type->block_values, last);
    memcpy(out + n - rest, last, (size_t)rest * 4);
  }
}
