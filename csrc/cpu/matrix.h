/* cpu/matrix: weights as the kernels read them.
 *
 * A matrix is cut into panels of 16 rows, so that 16 outputs share a vector and each output is one lane. Floats lie as
 * [k][16]. Integers lie in chunks of QBLOCK values of each row, and all scales behind all chunks; a chunk is one or two
 * planes of 64-byte vectors. With a value's bits as the format numbers them (format/dtype.h), and k in groups of four:
 *
 *   low  8 bits  vector g: group g, [16 rows][4 values]; int8 types hold the value + 128
 *        4 bits  vector j: group j in the low halves of its bytes, group j + 4 in the high halves
 *        2 bits  vector j: group 4 j + i at bit 2 i of its bytes
 *   high 2 bits  as low 2
 *        1 bit   one vector: group g at bit g
 *
 * Scales come in records of 16 rows side by side, one record for each chunk, or one for each 256 values in K types:
 *
 *   Q8_0, Q4_0, Q5_0, IQ4_NL   d, float16
 *   Q4_1, Q5_1                 d and m, float16
 *   Q8_F                       d, float32
 *   MXFP4                      d, bfloat16
 *   Q4_K, Q5_K                 d and dmin, float16; then for each chunk scale and minimum, uint8
 *   Q2_K                       d and dmin, float16; then for each half of a chunk scale | minimum << 4
 *   Q3_K, Q6_K                 d, float16; then for each half of a chunk the scale, int8
 *   IQ4_XS                     d, float16; then for each chunk the scale, int8
 *
 * Rows and k beyond the matrix have scales or values of 0. A float16 scale that is no finite number is kept as NaN.
 * Activations are quantised per 32 values to int8 with a float32 scale. */
#ifndef CPU_MATRIX_H
#define CPU_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "format/dtype.h"

#define LANES 16

/* name, bits of the low and the high plane, values and bytes of a record of scales */
#define PANEL_DTYPES(X)     \
  X(Q8_0, 8, 0, 32, 32)     \
  X(Q8_F, 8, 0, 32, 64)     \
  X(Q4_0, 4, 0, 32, 32)     \
  X(Q4_1, 4, 0, 32, 64)     \
  X(Q5_0, 4, 1, 32, 32)     \
  X(Q5_1, 4, 1, 32, 64)     \
  X(Q2_K, 2, 0, 256, 320)   \
  X(Q3_K, 2, 1, 256, 288)   \
  X(Q4_K, 4, 0, 256, 320)   \
  X(Q5_K, 4, 1, 256, 320)   \
  X(Q6_K, 4, 2, 256, 288)   \
  X(IQ4_NL, 4, 0, 32, 32)   \
  X(IQ4_XS, 4, 0, 256, 160) \
  X(MXFP4, 4, 0, 32, 32)

typedef struct panel_form {
  int32_t low, high; /* bits of the planes; 0 for floats */
  int32_t record_values, record_bytes;
} panel_form;

static inline panel_form panel_form_of(int32_t dtype) {
  switch (dtype) {
#define FORM(NAME, low, high, values, bytes) \
  case LLAMA2_##NAME: return (panel_form){low, high, values, bytes};
    PANEL_DTYPES(FORM)
#undef FORM
    default: return (panel_form){0};
  }
}

/* Bytes of a chunk's planes. */
static inline int64_t panel_chunk(panel_form form) {
  return (form.low + form.high) * (QBLOCK * LANES / 8);
}

typedef struct matrix {
  int32_t dtype;
  int64_t rows, cols;
  int64_t k; /* columns as stored: cols, or the next multiple of QBLOCK */
  int64_t n_panels;
  uint64_t panel_bytes;
  unsigned char *data; /* n_panels * panel_bytes */
} matrix;

/* How several rows of activations lie interleaved: in groups of so many rows, of each so many integers together. Products
 * by tiles of a processor's tile unit want more of both. */
#define ACT_GROUP 8
#define ACT_RUN 4
#define ACT_TILE_GROUP 16
#define ACT_TILE_RUN QBLOCK
#define ACT_SUMS_MAGIC 0x4b400000 /* as an int32: the bits of 1.5 * 2^23, whose last place is 1 */

/* Rows of activations in the forms that kernels read: one row, or groups of rows whose values lie interleaved, so that a
 * kernel walks one address. Integers come in groups of `group`, floats in groups of 1 or ACT_GROUP. ld is a multiple of
 * QBLOCK; values past a row's end are zeros. */
typedef struct act {
  int64_t ld;
  int32_t group;
  int32_t run;         /* integers of a row that lie together; any for a group of 1 */
  float *f;            /* (rows / ACT_GROUP, ld, ACT_GROUP), or (1, ld) */
  int8_t *q;           /* (rows / group, ld / run, group, run) */
  float *d;            /* (rows / group, ld / QBLOCK, group) scales */
  int32_t *start;      /* the same: ACT_SUMS_MAGIC - 128 times the sum of a block's q */
  int32_t *start_half; /* (rows / group, ld / 16, group) the same for 16 values */
  float *sum;          /* as d: the sums themselves */
  float *sum_half;     /* as start_half */
} act;

/* The same rows from block `block` on, with rows as far apart as before. */
static inline act act_from(const act *a, int64_t block) {
  act from = *a;
  int64_t group = a->group;
  from.f += block * QBLOCK * (group == 1 ? 1 : ACT_GROUP);
  from.q += block * QBLOCK * group;
  from.d += block * group;
  from.start += block * group;
  from.sum += block * group;
  from.start_half += 2 * block * group;
  from.sum_half += 2 * block * group;
  return from;
}

/* Sets the shape of a matrix that will hold (rows, cols) values of `dtype`; returns its bytes, or SIZE_BAD. */
uint64_t matrix_shape(matrix *m, int32_t dtype, int64_t rows, int64_t cols);

static inline const unsigned char *matrix_scales(const matrix *m, const unsigned char *panel) {
  return panel + m->k / QBLOCK * panel_chunk(panel_form_of(m->dtype));
}

/* Whether a tensor can be kept as it is, in a matrix of its type. */
bool matrix_keeps(const tensor *t);

/* A block of 16 rows of weights, x: (QBLOCK, LANES), to Q8_0: q is the chunk, scales its float16. */
typedef void pack_q8_0_fn(const float *x, uint8_t *q, uint16_t *scales);

/* Packs one panel: its rows are rows[0..16) of a tensor, -1 for a row of zeros. The matrix has the tensor's type and
 * matrix_keeps() it, or is F32 or Q8_0. Panels start as zeros. */
void matrix_pack(const matrix *m, int64_t panel, const tensor *t, const int64_t rows[LANES], pack_q8_0_fn *pack_q8_0);

/* Row `row` as float32: out[0..cols). */
void matrix_row(const matrix *m, int64_t row, float *out);

#endif
