/* model/mixture: what a file may be quantised to, and what each of its tensors becomes then. The choices and their
 * names are llama.cpp's (llama-quant.cpp there), so that a file made here has the types that one made there has. */
#ifndef MODEL_MIXTURE_H
#define MODEL_MIXTURE_H

#include "model/listing.h"

/* Which layers' attn_v and ffn_down are of the better type; ALL_LAYERS: attn_output too. */
typedef enum mixture_more { ALIKE, FIRST_LAYERS, SPREAD, ALL_LAYERS } mixture_more;

typedef struct mixture {
  const char *name;
  int32_t dtype;     /* of matrices */
  int32_t file_type; /* GGUF's general.file_type */
  mixture_more more;
  int32_t better;
} mixture;

/* The one of an index, from 0; NULL beyond the last. */
const mixture *mixture_at(int32_t index);

/* Errors: ARGUMENT, with a list of all there are. */
llama2_status mixture_find(const char *name, const mixture **found);

/* A file's own part in the choice. */
typedef struct mixture_target {
  const mixture *mixture;
  int32_t n_layers, n_heads, n_kv_heads, n_experts;
  bool shared_classifier;
} mixture_target;

/* The type that a tensor is to have, were any rows right for it. Vectors, norms and what chooses experts stay float32. */
int32_t mixture_wanted(const mixture_target *t, const gguf_info *info);

/* That type, or where rows of `cols` values are not made of its blocks the nearest that has smaller ones. */
int32_t mixture_fitting(int32_t wanted, int64_t cols);

#endif
