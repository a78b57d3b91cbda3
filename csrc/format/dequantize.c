#include "format/dequantize.h"

#include <assert.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "format/dtype.h"

const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float mxfp4_scale(uint8_t e) {
  return half_bits_f32(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

void q3_k_scales(const uint8_t packed[12], int8_t scales[16]) {
  for (int j = 0; j < 16; j++) {
    int low = packed[j % 8] >> j / 8 * 4 & 15, high = packed[8 + j % 4] >> j / 4 * 2 & 3;
    scales[j] = (int8_t)((low | high << 4) - 32);
  }
}

void q4_k_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8]) {
  for (int j = 0; j < 4; j++) {
    scales[j] = packed[j] & 63;
    minima[j] = packed[j + 4] & 63;
    scales[j + 4] = (uint8_t)((packed[j + 8] & 15) | packed[j] >> 6 << 4);
    minima[j + 4] = (uint8_t)(packed[j + 8] >> 4 | packed[j + 4] >> 6 << 4);
  }
}

void iq4_xs_scales(const block_iq4_xs *b, int8_t scales[8]) {
  uint32_t high = load_u16(b->scales_h);
  for (int j = 0; j < 8; j++)
    scales[j] = (int8_t)((int)((b->scales_l[j / 2] >> j % 2 * 4 & 15) | (high >> j * 2 & 3) << 4) - 32);
}

static float load_half(const uint8_t *p) {
  return half_to_f32(load_u16(p));
}

static void dequantize_f32(const block_f32 *b, float *out) {
  *out = load_f32(b->value);
}

static void dequantize_f16(const block_f16 *b, float *out) {
  *out = load_half(b->value);
}

static void dequantize_bf16(const block_bf16 *b, float *out) {
  *out = half_bits_f32((uint32_t)load_u16(b->value) << 16);
}

static void dequantize_q8_0(const block_q8_0 *b, float *out) {
  float d = load_half(b->d);
  for (int i = 0; i < QBLOCK; i++) out[i] = d * (float)b->qs[i];
}

static void dequantize_q4_0(const block_q4_0 *b, float *out) {
  float d = load_half(b->d);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)((b->qs[i] & 15) - 8);
    out[i + 16] = d * (float)((b->qs[i] >> 4) - 8);
  }
}

static void dequantize_q4_1(const block_q4_1 *b, float *out) {
  float d = load_half(b->d), m = load_half(b->m);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)(b->qs[i] & 15) + m;
    out[i + 16] = d * (float)(b->qs[i] >> 4) + m;
  }
}

static void dequantize_q5_0(const block_q5_0 *b, float *out) {
  float d = load_half(b->d);
  uint32_t high = load_u32(b->qh);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)((int)((b->qs[i] & 15) | (high >> i & 1) << 4) - 16);
    out[i + 16] = d * (float)((int)(b->qs[i] >> 4 | (high >> (i + 16) & 1) << 4) - 16);
  }
}

static void dequantize_q5_1(const block_q5_1 *b, float *out) {
  float d = load_half(b->d), m = load_half(b->m);
  uint32_t high = load_u32(b->qh);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)((b->qs[i] & 15) | (high >> i & 1) << 4) + m;
    out[i + 16] = d * (float)(b->qs[i] >> 4 | (high >> (i + 16) & 1) << 4) + m;
  }
}

/* The K types go through their block in runs of 32 values; values 16 and on of a run have the next scale where there is
 * one for each 16. */

static void dequantize_q2_k(const block_q2_k *b, float *out) {
  float d = load_half(b->d), dmin = load_half(b->dmin);
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) {
      uint8_t scale = b->scales[run * 2 + i / 16], q = b->qs[run / 4 * 32 + i] >> run % 4 * 2 & 3;
      out[run * 32 + i] = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
    }
}

static void dequantize_q3_k(const block_q3_k *b, float *out) {
  float d = load_half(b->d);
  int8_t scales[16];
  q3_k_scales(b->scales, scales);
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) {
      int q = (b->qs[run / 4 * 32 + i] >> run % 4 * 2 & 3) | (b->hmask[i] >> run & 1) << 2;
      out[run * 32 + i] = d * (float)scales[run * 2 + i / 16] * (float)(q - 4);
    }
}

static void dequantize_q4_k(const block_q4_k *b, float *out) {
  float d = load_half(b->d), dmin = load_half(b->dmin);
  uint8_t scales[8], minima[8];
  q4_k_scales(b->scales, scales, minima);
  for (int run = 0; run < 8; run++) {
    float scale = d * (float)scales[run], minimum = dmin * (float)minima[run];
    for (int i = 0; i < 32; i++)
      out[run * 32 + i] = scale * (float)(b->qs[run / 2 * 32 + i] >> run % 2 * 4 & 15) - minimum;
  }
}

static void dequantize_q5_k(const block_q5_k *b, float *out) {
  float d = load_half(b->d), dmin = load_half(b->dmin);
  uint8_t scales[8], minima[8];
  q4_k_scales(b->scales, scales, minima);
  for (int run = 0; run < 8; run++) {
    float scale = d * (float)scales[run], minimum = dmin * (float)minima[run];
    for (int i = 0; i < 32; i++) {
      int q = (b->qs[run / 2 * 32 + i] >> run % 2 * 4 & 15) | (b->qh[i] >> run & 1) << 4;
      out[run * 32 + i] = scale * (float)q - minimum;
    }
  }
}

static void dequantize_q6_k(const block_q6_k *b, float *out) {
  float d = load_half(b->d);
  for (int run = 0; run < 8; run++)
    for (int i = 0; i < 32; i++) {
      int low = b->ql[run / 4 * 64 + run % 2 * 32 + i] >> run % 4 / 2 * 4 & 15;
      int high = b->qh[run / 4 * 32 + i] >> run % 4 * 2 & 3;
      out[run * 32 + i] = d * (float)b->scales[run * 2 + i / 16] * (float)((low | high << 4) - 32);
    }
}

static void dequantize_iq4_nl(const block_iq4_nl *b, float *out) {
  float d = load_half(b->d);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)iq4_levels[b->qs[i] & 15];
    out[i + 16] = d * (float)iq4_levels[b->qs[i] >> 4];
  }
}

static void dequantize_iq4_xs(const block_iq4_xs *b, float *out) {
  float d = load_half(b->d);
  int8_t scales[8];
  iq4_xs_scales(b, scales);
  for (int run = 0; run < 8; run++) {
    float step = d * (float)scales[run];
    for (int i = 0; i < 16; i++) {
      out[run * 32 + i] = step * (float)iq4_levels[b->qs[run * 16 + i] & 15];
      out[run * 32 + i + 16] = step * (float)iq4_levels[b->qs[run * 16 + i] >> 4];
    }
  }
}

static void dequantize_mxfp4(const block_mxfp4 *b, float *out) {
  float d = mxfp4_scale(b->e);
  for (int i = 0; i < 16; i++) {
    out[i] = d * (float)mxfp4_levels[b->qs[i] & 15];
    out[i + 16] = d * (float)mxfp4_levels[b->qs[i] >> 4];
  }
}

void dequantize_row(int32_t dtype, const void *blocks, int64_t n, float *out) {
  assert(dtype != LLAMA2_Q8_F && dtype_find(dtype));
  switch (dtype) {
#define ROW(NAME, name, values, bytes)                                         \
  case LLAMA2_##NAME:                                                          \
    assert(n % (values) == 0);                                                 \
    for (int64_t i = 0; i < n / (values); i++)                                 \
      dequantize_##name((const block_##name *)blocks + i, out + i * (values)); \
    return;
    BLOCK_DTYPES(ROW)
#undef ROW
  }
}
