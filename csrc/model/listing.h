/* model/listing: the tensors of a checkpoint of any format, under GGUF's names, in the order they have in the file. */
#ifndef MODEL_LISTING_H
#define MODEL_LISTING_H

#include "model/checkpoint.h"

typedef struct listed {
  gguf_info info; /* type: a llama2_dtype or another that ggml has; offset is not filled */
  tensor data;
} listed;

typedef struct listing {
  listed *items; /* (n) */
  uint64_t n;
  char *names; /* what the names of tensors point to that had none */
} listing;

/* c: open, if only by checkpoint_open_file(), for as long as the listing is used. On success close with
 * listing_close(). Errors: MEMORY. */
llama2_status listing_open(listing *l, const checkpoint *c);
void listing_close(listing *l);

#endif
