/* format/source: a checkpoint that a caller puts together: keys as a GGUF file has them, and tensors whose data lies in
 * the caller's memory. It is opened by the reader of GGUF files, so that whatever is checked there is checked here. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H

#include "format/gguf_write.h"

struct llama2_source {
  char *name; /* for messages */
  gguf_head head;
  gguf_data *data; /* (n) of the tensors */
  uint64_t n, capacity;
  bool mapped; /* the data lies in maps of files that are only read */
};

/* Each is documented at its llama2_source_… in llama2.h; keys are put into s->head. */
llama2_status source_new(const char *name, llama2_source **source);
void source_free(llama2_source *source);
llama2_status source_put_tensor(llama2_source *s, const char *name, int32_t dtype, int32_t n_dims, const int64_t *dims,
                                const void *data, uint64_t bytes, int64_t split);
llama2_status source_join_tensor(llama2_source *s, const char *name, int32_t dtype, int32_t n_dims, const int64_t *dims,
                                 const void *const *pieces, int32_t n_pieces, uint64_t bytes, bool side_by_side);

/* What was put, as a GGUF file that is open. On success close with gguf_close(), before the source is freed.
 * Errors: FORMAT, MEMORY. */
llama2_status source_open(const llama2_source *s, gguf_file *f);

#endif
