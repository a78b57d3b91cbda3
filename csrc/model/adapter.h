/* model/adapter: what a file says that a LoRA adds to a model's matrices, and which of them a sequence has.
 *
 * Refused, by name: files that are no LoRA, or of another architecture; matrices that may not be adapted; a matrix
 * without its other half; shapes that do not fit the model or each other. */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "model/checkpoint.h"

#define ADAPTER_RANKS 16 /* what ranks are rounded up to where room for them is counted */

/* What is added to W x is scale * B (A x). */
typedef struct adapter_pair {
  role role;
  int32_t layer;
  float scale;
  tensor a; /* (rank, columns of W) */
  tensor b; /* (rows of W, rank) */
} adapter_pair;

/* An adapter that is open. */
typedef struct adapter_file {
  gguf_file gguf;
  adapter_pair *pairs; /* (n) */
  int32_t n;
  int32_t rank; /* the greatest */
  uint64_t parameters;
} adapter_file;

/* source: NULL, or what is read instead of the file at `path`. c, architecture: of the model. On success close with
 * adapter_close(). Errors: IO, FORMAT, MEMORY. */
llama2_status adapter_open(adapter_file *f, const config *c, const char *architecture, const char *path,
                           const llama2_source *source);
void adapter_close(adapter_file *f);

/* A sequence's adapters as a backend reads them, in the order in which they add. */
typedef struct adapter_set {
  int32_t n;
  int32_t ranks; /* of all together */
  struct {
    const void *packed; /* the backend's */
    int32_t ranks;
    float scale;
  } of[LLAMA2_ADAPTERS_MOST];
} adapter_set;

#endif
