/* format/dtype: how numbers are stored, in files and in memory. One table makes the names, sizes and tests.
 *
 *   name  id (llama2_dtype)  text      values in a block   bytes of a block
 *
 * Q8_F has no block of its own in files: its group size is the file's. In memory it is cut into blocks of 32 that share
 * their group's scale. */
#ifndef FORMAT_DTYPE_H
#define FORMAT_DTYPE_H

#include <stdint.h>

#include "llama2.h"

enum { LLAMA2_F16 = 1, LLAMA2_BF16 = 30 }; /* in files only; numbered as in GGUF files, as all of llama2_dtype are */

#define DTYPES(X)                      \
  X(F32, LLAMA2_F32, "f32", 1, 4)      \
  X(F16, LLAMA2_F16, "f16", 1, 2)      \
  X(BF16, LLAMA2_BF16, "bf16", 1, 2)   \
  X(Q8_0, LLAMA2_Q8_0, "q8_0", 32, 34) \
  X(Q8_F, LLAMA2_Q8_F, "q8_f", 32, 36)

#define QBLOCK 32 /* values that share a scale, in every integer type, and in quantised activations */

typedef struct dtype_traits {
  int32_t id;
  const char *name;
  int32_t block_values;
  int32_t block_bytes;
} dtype_traits;

/* NULL for an id that is not in the table. */
const dtype_traits *dtype_find(int32_t id);

/* A matrix, or a vector (rows 1), inside a mapped file. Not aligned. */
typedef struct tensor {
  int32_t dtype;
  int64_t rows, cols;
  const unsigned char *data;   /* (rows, cols) values, row-major, little endian */
  uint64_t bytes;              /* of data and scales together, which follow one another */
  const unsigned char *scales; /* Q8_F: float32, one per `group` values of the flattened matrix */
  int64_t group;
} tensor;

/* Values [first, first + n) of row `row` as float32, exactly. The type is one of DTYPES. */
void tensor_values(const tensor *t, int64_t row, int64_t first, int64_t n, float *out);

#endif
