#include "format/dtype.h"

#include <string.h>

#include "base/file.h"

const dtype_traits *dtype_find(int32_t id) {
#define ROW(name, id, text, values, bytes) {id, text, values, bytes},
  static const dtype_traits table[] = {DTYPES(ROW)};
#undef ROW
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].id == id) return &table[i];
  return NULL;
}

void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out) {
  int64_t at = row * t->cols + first;
  if (t->dtype == LLAMA2_F32) {
    memcpy(out, t->data + at * 4, (size_t)n * 4);
    return;
  }
  /* A group may begin and end anywhere in a row. */
  const int8_t *q = (const int8_t *)t->data + at;
  for (int64_t i = 0; i < n;) {
    int64_t g = (at + i) / t->group, end = (g + 1) * t->group - at;
    if (end > n) end = n;
    float scale = load_f32(t->scales + g * 4);
    for (; i < end; i++) out[i] = (float)q[i] * scale;
  }
}
