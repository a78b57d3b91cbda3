/* format/dtype: how numbers are stored, in files and in memory. One table makes the names, sizes, readers and tests.
 *
 * A block is what a file holds of a type: some values that lie one behind another in a row, and the scales they share.
 * All fields are bytes, little endian, so that a block may lie anywhere. With q for a value's bits, it stands for:
 *
 *   Q4_0, Q5_0, Q8_0, Q6_K, Q3_K   d (q - middle), in K types times the scale of its 16 values
 *   Q4_1, Q5_1                     d q + m
 *   Q2_K, Q4_K, Q5_K               d scale q - dmin minimum, scale and minimum those of its 16 or 32 values
 *   IQ4_NL, IQ4_XS, MXFP4          d times entry q of a table, in IQ4_XS times the scale of its 32 values
 *
 * Q8_F has no block of its own in files: its group size is the file's. In memory it is cut into blocks of 32 that share
 * their group's scale. */
#ifndef FORMAT_DTYPE_H
#define FORMAT_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "llama2.h"

/* name, the same in small letters, values in a block, bytes of a block */
#define BLOCK_DTYPES(X)       \
  X(F32, f32, 1, 4)           \
  X(F16, f16, 1, 2)           \
  X(BF16, bf16, 1, 2)         \
  X(Q8_0, q8_0, 32, 34)       \
  X(Q4_0, q4_0, 32, 18)       \
  X(Q4_1, q4_1, 32, 20)       \
  X(Q5_0, q5_0, 32, 22)       \
  X(Q5_1, q5_1, 32, 24)       \
  X(Q2_K, q2_k, 256, 84)      \
  X(Q3_K, q3_k, 256, 110)     \
  X(Q4_K, q4_k, 256, 144)     \
  X(Q5_K, q5_k, 256, 176)     \
  X(Q6_K, q6_k, 256, 210)     \
  X(IQ4_NL, iq4_nl, 32, 18)   \
  X(IQ4_XS, iq4_xs, 256, 136) \
  X(MXFP4, mxfp4, 32, 17)

#define DTYPES(X) BLOCK_DTYPES(X) X(Q8_F, q8_f, 32, 36)

#define QBLOCK 32  /* values that share a scale, in every integer type, and in quantised activations */
#define KBLOCK 256 /* values in a block of a K type; no type has more */

typedef struct block_f32 {
  uint8_t value[4];
} block_f32;

typedef struct block_f16 {
  uint8_t value[2];
} block_f16;

typedef struct block_bf16 {
  uint8_t value[2];
} block_bf16;

/* Four-bit q of 32 values: byte i has value i in its low half and value i + 16 in its high half. Fifth bits: bit i of
 * qh is value i's. d, dmin and m are float16. */
typedef struct block_q8_0 {
  uint8_t d[2];
  int8_t qs[QBLOCK];
} block_q8_0;

typedef struct block_q4_0 {
  uint8_t d[2];
  uint8_t qs[QBLOCK / 2];
} block_q4_0;

typedef struct block_q4_1 {
  uint8_t d[2], m[2];
  uint8_t qs[QBLOCK / 2];
} block_q4_1;

typedef struct block_q5_0 {
  uint8_t d[2];
  uint8_t qh[4];
  uint8_t qs[QBLOCK / 2];
} block_q5_0;

typedef struct block_q5_1 {
  uint8_t d[2], m[2];
  uint8_t qh[4];
  uint8_t qs[QBLOCK / 2];
} block_q5_1;

/* Two-bit q: byte i of a half of 128 values has its values i, i + 32, i + 64 and i + 96, the first lowest. */
typedef struct block_q2_k {
  uint8_t scales[KBLOCK / 16]; /* scale | minimum << 4 */
  uint8_t qs[KBLOCK / 4];
  uint8_t d[2], dmin[2];
} block_q2_k;

typedef struct block_q3_k {
  uint8_t hmask[KBLOCK / 8]; /* bit i of byte j: third bit of value 32 i + j */
  uint8_t qs[KBLOCK / 4];    /* as in Q2_K */
  uint8_t scales[12];        /* 16 of six bits, see q3_k_scales() */
  uint8_t d[2];
} block_q3_k;

/* Four-bit q: byte i of a quarter of 64 values has its values i and i + 32. */
typedef struct block_q4_k {
  uint8_t d[2], dmin[2];
  uint8_t scales[12]; /* 8 scales and 8 minima of six bits, see q4_k_scales() */
  uint8_t qs[KBLOCK / 2];
} block_q4_k;

typedef struct block_q5_k {
  uint8_t d[2], dmin[2];
  uint8_t scales[12];     /* as in Q4_K */
  uint8_t qh[KBLOCK / 8]; /* bit i of byte j: fifth bit of value 32 i + j */
  uint8_t qs[KBLOCK / 2]; /* as in Q4_K */
} block_q5_k;

typedef struct block_q6_k {
  uint8_t ql[KBLOCK / 2]; /* byte i of a half of 128 values: the low four bits of its values i and i + 64 */
  uint8_t qh[KBLOCK / 4]; /* the high two bits, as in Q2_K */
  int8_t scales[KBLOCK / 16];
  uint8_t d[2];
} block_q6_k;

typedef struct block_iq4_nl {
  uint8_t d[2];
  uint8_t qs[QBLOCK / 2];
} block_iq4_nl;

typedef struct block_iq4_xs {
  uint8_t d[2];
  uint8_t scales_h[2];           /* the high two bits of 8 scales */
  uint8_t scales_l[KBLOCK / 64]; /* the low four bits */
  uint8_t qs[KBLOCK / 2];        /* each 32 values as in Q4_0 */
} block_iq4_xs;

typedef struct block_mxfp4 {
  uint8_t e; /* exponent of the scale */
  uint8_t qs[QBLOCK / 2];
} block_mxfp4;

#define CHECK_BLOCK(NAME, name, values, bytes) \
  _Static_assert(sizeof(block_##name) == (bytes) && _Alignof(block_##name) == 1, #NAME);
BLOCK_DTYPES(CHECK_BLOCK)
#undef CHECK_BLOCK

typedef struct dtype_traits {
  int32_t id; /* llama2_dtype */
  const char *name;
  int32_t block_values;
  int32_t block_bytes;
} dtype_traits;

/* NULL for an id that is not in the table. */
const dtype_traits *dtype_find(int32_t id);

/* Where a tensor lies that comes in pieces of one size: each has some of the rows, or, side by side, some columns of
 * all rows; a column that begins a piece begins a block. */
typedef struct tensor_pieces {
  const unsigned char *const *data; /* (n); NULL: it is all in one */
  int32_t n;
  bool side_by_side;
} tensor_pieces;

/* A matrix, or a vector (rows 1), inside a mapped file or a caller's memory. Not aligned. */
typedef struct tensor {
  int32_t dtype;
  int64_t rows, cols;          /* cols: a multiple of the type's block, Q8_F apart */
  const unsigned char *data;   /* (rows, cols) values, row-major, little endian */
  uint64_t bytes;              /* of data and scales together, which follow one another */
  const unsigned char *scales; /* Q8_F: float32, one per `group` values of the flattened matrix */
  int64_t group;
  int64_t split; /* 0, or even: each so many rows, or a vector's values, lie with the even ones before the odd ones */
  tensor_pieces pieces; /* of equal size; then `data` is the first's, and bytes that of all */
} tensor;

/* Which row of the data row `row` is. */
static inline int64_t tensor_row(const tensor *t, int64_t row) {
  if (!t->split) return row;
  int64_t within = row % t->split;
  return row - within + within / 2 + within % 2 * (t->split / 2);
}

/* How many values lie behind one another in a row from column `col` on. */
static inline int64_t tensor_run(const tensor *t, int64_t col) {
  int64_t width = t->pieces.side_by_side ? t->cols / t->pieces.n : t->cols;
  return width - col % width;
}

/* Where the values of row `row` from column `col` on lie. col: a multiple of the type's block; 0 for Q8_F. Not for a vector
 * that is split. */
const unsigned char *tensor_at(const tensor *t, int64_t row, int64_t col);

/* Values [first, first + n) of row `row`, and of those that follow it, as float32, exactly. first: a multiple of the
 * type's block; any for Q8_F. */
void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out);

/* The blocks of values [at, at + n) of all rows one behind another, as they lie: at and n are multiples of the type's
 * block. Not for Q8_F, which has none. */
void tensor_blocks(const tensor *t, int64_t at, int64_t n, unsigned char *out);

#endif
