#include "format/dtype.h"

#include <string.h>

#include "base/file.h"
#include "base/half.h"

const dtype_traits *dtype_find(int32_t id) {
#define ROW(name, id, text, values, bytes) {id, text, values, bytes},
  static const dtype_traits table[] = {DTYPES(ROW)};
#undef ROW
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].id == id) return &table[i];
  return NULL;
}

static void q8_f_values(const tensor *t, int64_t at, int64_t n, float *out) {
  /* A group may begin and end anywhere in a row. */
  const int8_t *q = (const int8_t *)t->data + at;
  for (int64_t i = 0; i < n;) {
    int64_t g = (at + i) / t->group, end = (g + 1) * t->group - at;
    if (end > n) end = n;
    float scale = load_f32(t->scales + g * 4);
    for (; i < end; i++) out[i] = (float)q[i] * scale;
  }
}

static void q8_0_values(const tensor *t, int64_t at, int64_t n, float *out) {
  for (int64_t i = 0; i < n;) {
    int64_t b = (at + i) / QBLOCK, end = (b + 1) * QBLOCK - at;
    if (end > n) end = n;
    const unsigned char *block = t->data + b * (2 + QBLOCK);
    const int8_t *q = (const int8_t *)block + 2;
    float scale = half_to_f32(load_u16(block));
    for (; i < end; i++) out[i] = (float)q[(at + i) % QBLOCK] * scale;
  }
}

void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out) {
  int64_t at = row * t->cols + first;
  switch (t->dtype) {
    case LLAMA2_F32: memcpy(out, t->data + at * 4, (size_t)n * 4); return;
    case LLAMA2_F16:
      for (int64_t i = 0; i < n; i++) out[i] = half_to_f32(load_u16(t->data + (at + i) * 2));
      return;
    case LLAMA2_BF16:
      for (int64_t i = 0; i < n; i++) out[i] = half_bits_f32((uint32_t)load_u16(t->data + (at + i) * 2) << 16);
      return;
    case LLAMA2_Q8_0: q8_0_values(t, at, n, out); return;
    default: q8_f_values(t, at, n, out);
  }
}
