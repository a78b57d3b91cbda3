/* cpu/matrix: weights as the kernels read them.
 *
 * A matrix is cut into panels of 16 rows, so that 16 outputs share a vector and each output is one lane:
 *   F32          [k][16] float32
 *   Q8_0, Q8_F   [k / 32][8][16][4] bytes: block, four k at a time, row, the value + 128; then [k / 32][16] scales,
 *                float16 for Q8_0 and float32 for Q8_F
 * Rows and k beyond the matrix are zeros. Activations are quantised per 32 values to int8 with a float32 scale. */
#ifndef CPU_MATRIX_H
#define CPU_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "format/dtype.h"

#define LANES 16

typedef struct matrix {
  int32_t dtype;
  int64_t rows, cols;
  int64_t k; /* columns as stored: cols, or the next multiple of QBLOCK */
  int64_t n_panels;
  uint64_t panel_bytes;
  unsigned char *data; /* n_panels * panel_bytes */
} matrix;

#define ACT_GROUP 8 /* rows of activations that lie interleaved, so that a kernel walks one address */

/* Rows of activations in the forms that kernels read. Rows come in groups of `group`, 1 or ACT_GROUP; ld is a multiple
 * of QBLOCK; values past a row's end are zeros. */
typedef struct act {
  int64_t ld;
  int32_t group;
  float *f;       /* (rows / group, ld, group) */
  int8_t *q;      /* (rows / group, ld / 4, group, 4) */
  float *d;       /* (rows / group, ld / QBLOCK, group) scales */
  int32_t *start; /* the same: -128 * the sum of a block's q; takes back the 128 added to each weight */
} act;

/* Sets the shape of a matrix that will hold (rows, cols) values of `dtype`; returns its bytes, or SIZE_BAD. */
uint64_t matrix_shape(matrix *m, int32_t dtype, int64_t rows, int64_t cols);

static inline const unsigned char *matrix_scales(const matrix *m, const unsigned char *panel) {
  return panel + m->k * LANES;
}

/* Where a panel's row comes from; tensor NULL: a row of zeros. */
typedef struct matrix_source {
  const tensor *tensor;
  int64_t row;
} matrix_source;

/* Whether a tensor's integers can be kept as they are, in a matrix of its type: they come in blocks of QBLOCK, each of
 * one row and with one scale. */
bool matrix_keeps(const tensor *t);

/* A block of 16 rows of weights, x: (QBLOCK, LANES), to Q8_0: q is the block's bytes in the panel, scales its float16.
 */
typedef void pack_q8_0_fn(const float *x, uint8_t *q, uint16_t *scales);

/* Packs one panel, of any dtype from any; rows of its own type that matrix_keeps() accepts are kept as they are, and a
 * Q8_F panel needs such. Panels start as zeros. */
void matrix_pack(matrix *m, int64_t panel, const matrix_source sources[LANES], pack_q8_0_fn *pack_q8_0);

/* Row `row` as float32: out[0..cols). */
void matrix_row(const matrix *m, int64_t row, float *out);

#endif
