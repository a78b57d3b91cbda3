/* base/half: IEEE 754 binary16, in plain integer operations so that every machine agrees. */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stdint.h>

static inline float half_bits_f32(uint32_t u) {
  union {
    uint32_t u;
    float f;
  } bits = {u};
  return bits.f;
}
static inline uint32_t half_f32_bits(float f) {
  union {
    float f;
    uint32_t u;
  } bits = {f};
  return bits.u;
}

/* Exact. */
static inline float half_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) return half_bits_f32(sign | 0x7f800000 | (magnitude & 0x3ff) << 13); /* inf, NaN */
  if (magnitude >= 0x0400) return half_bits_f32(sign | ((magnitude << 13) + ((127 - 15) << 23)));
  float subnormal = (float)magnitude * 0x1p-24f;
  return half_bits_f32(sign | half_f32_bits(subnormal));
}

/* To the nearest, ties to even; what is too large becomes infinite. */
static inline uint16_t half_from_f32(float f) {
  uint32_t bits = half_f32_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* from 65520 on */
  if (magnitude < 0x38800000) {                                  /* below 2^-14: steps of 2^-24, rounded by the adder */
    float shifted = half_bits_f32(magnitude) + 0.5f;
    return (uint16_t)(sign | (half_f32_bits(shifted) - 0x3f000000));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | ((rounded - ((127 - 15) << 23)) >> 13));
}

#endif
