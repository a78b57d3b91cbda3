/* format/dequantize: blocks of every type to float32, in the operations and the order that the format defines, so that
 * all readers get the same bits. Damaged blocks are safe: any bytes stand for some numbers, finite or not. */
#ifndef FORMAT_DEQUANTIZE_H
#define FORMAT_DEQUANTIZE_H

#include <stdint.h>

#include "format/dtype.h"

/* The n values of n / block_values blocks, at any alignment, to out[0..n). dtype: any but Q8_F, which has no blocks. */
void dequantize_row(int32_t dtype, const void *blocks, int64_t n, float *out);

/* The levels of IQ4_NL and IQ4_XS, and those of MXFP4, doubled. */
extern const int8_t iq4_levels[16], mxfp4_levels[16];

/* Twice as small as the format's scale, as the levels are doubled: 2^(e - 128). */
float mxfp4_scale(uint8_t e);

/* Scales in blocks of Q3_K, from -32 to 31. */
void q3_k_scales(const uint8_t packed[12], int8_t scales[16]);

/* Scales and minima in blocks of Q4_K and Q5_K, from 0 to 63. */
void q4_k_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8]);

/* Scales in blocks of IQ4_XS, from -32 to 31. */
void iq4_xs_scales(const block_iq4_xs *b, int8_t scales[8]);

#endif
