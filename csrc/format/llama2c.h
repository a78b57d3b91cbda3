/* format/llama2c: the checkpoints of karpathy/llama2.c (export.py there is the format's document), versions 0, 1 and 2.
 *
 * Refused: a file whose size is not exactly what its header requires, dimensions below 1, heads that cannot be grouped,
 * version 2 matrices that are no whole number of groups. Rotary tables in version 0 are skipped; they are computed. */
#ifndef FORMAT_LLAMA2C_H
#define FORMAT_LLAMA2C_H

#include <stdbool.h>

#include "base/file.h"
#include "format/dtype.h"

#define LLAMA2C_HEAD 256 /* bytes of a header at most */

typedef enum llama2c_kind {
  LLAMA2C_EMBEDDING,
  LLAMA2C_ATTENTION_NORM,
  LLAMA2C_WQ,
  LLAMA2C_WK,
  LLAMA2C_WV,
  LLAMA2C_WO,
  LLAMA2C_FFN_NORM,
  LLAMA2C_W1,
  LLAMA2C_W2,
  LLAMA2C_W3,
  LLAMA2C_FINAL_NORM,
  LLAMA2C_CLASSIFIER, /* the embedding, where the file shares it */
  LLAMA2C_KINDS
} llama2c_kind;

typedef struct llama2c_file {
  file_map file;
  int32_t version;
  int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, context;
  int32_t head_dim; /* dim / n_heads, rounded down as the format's programs do */
  int32_t shared_classifier;
  int32_t group; /* version 2 */
  struct {
    int64_t rows, cols;
    uint64_t offset;
    uint64_t stride; /* bytes from a layer to the next */
    int32_t dtype;
  } kinds[LLAMA2C_KINDS];
} llama2c_file;

/* Opens and checks `path`. On success close with llama2c_close(). Errors: IO, FORMAT. */
llama2_status llama2c_open(llama2c_file *f, const char *path);
void llama2c_close(llama2c_file *f);

/* Fills f->kinds from its version, dimensions and group, and says how long such a file is, or SIZE_BAD. False: a matrix
 * is no whole number of groups. In version 0 float32 rotary tables, cosines (context, head_dim / 2) and then as many sines,
 * stand before a classifier of its own, or at the end. */
bool llama2c_place(llama2c_file *f, uint64_t *bytes);

/* The header of such a file; returns its bytes. */
uint64_t llama2c_head(const llama2c_file *f, unsigned char head[LLAMA2C_HEAD]);

/* The tensor of a kind in a layer (0 for kinds that have no layers). */
tensor llama2c_tensor(const llama2c_file *f, llama2c_kind kind, int32_t layer);

#endif
