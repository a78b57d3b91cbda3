/* format/quantize: float32 to blocks, with a small squared error: a bounded search finds each block's scales, and each
 * value gets the level nearest to it. Plain IEEE arithmetic in a fixed order, so that every machine writes the same
 * file. */
#ifndef FORMAT_QUANTIZE_H
#define FORMAT_QUANTIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether there is a quantize_row() for the type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K,
 * Q6_K. */
bool quantize_knows(int32_t dtype);

/* x[0..n) to n / block_values blocks of a type that quantize_knows(), at any alignment. n: whole blocks.
 * Values larger than the type can hold are cut to its largest. Returns false if a value is not finite: it stays so in
 * F32, F16 and BF16, and elsewhere all of its block reads back as NaN. */
bool quantize_row(int32_t dtype, const float *x, int64_t n, void *blocks);

/* The same in groups as llama2.c's version 2 has them (quantize_q80() of its export.py, to the last bit): q[0..n), and a
 * float32 for each `group` values, little endian, at any alignment. */
bool quantize_groups(const float *x, int64_t n, int64_t group, int8_t *q, unsigned char *scales);

#endif
