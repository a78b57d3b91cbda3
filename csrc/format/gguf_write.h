/* format/gguf_write: GGUF files, version 3. The head (keys with values, then descriptions of tensors) is made in memory
 * and says how long the file will be; then the tensors' data is streamed after it, in the same order. */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "base/file.h"
#include "format/gguf.h"

typedef struct gguf_bytes {
  unsigned char *data;
  uint64_t n, capacity;
} gguf_bytes;

/* Fill with zeros and set the alignment to start; gguf_head_free() ends it. */
typedef struct gguf_head {
  uint64_t alignment; /* a power of two */
  gguf_bytes keys, tensors;
  uint64_t n_keys, n_tensors;
  uint64_t data;   /* bytes that the tensors take so far, each with what aligns the next */
  uint64_t wanted; /* not 0: there was no memory for so many bytes, and what was put since is lost */
} gguf_head;

void gguf_head_free(gguf_head *h);

/* A key must not be put twice. */
void gguf_put_u32(gguf_head *h, const char *key, uint32_t value);
void gguf_put_f32(gguf_head *h, const char *key, float value);
void gguf_put_bool(gguf_head *h, const char *key, bool value);
void gguf_put_text(gguf_head *h, const char *key, gguf_text value);

/* An array: n times the function for its items follows. */
void gguf_put_array(gguf_head *h, const char *key, gguf_type items, uint64_t n);
void gguf_put_item_text(gguf_head *h, gguf_text value);
void gguf_put_item_f32(gguf_head *h, float value);
void gguf_put_item_i32(gguf_head *h, int32_t value);

/* A key of an opened file, as it lies there. */
void gguf_put_entry(gguf_head *h, const gguf_entry *e);

/* The next tensor. `like`: its name and dimensions. */
void gguf_put_tensor(gguf_head *h, const gguf_info *like, int32_t type, uint64_t bytes);

/* Of the whole file. Errors: MEMORY, if there was none for all that was put. */
llama2_status gguf_head_measure(const gguf_head *h, uint64_t *bytes);

/* Copies the head, without what aligns the data that is to follow: n bytes, which mem_free() ends. Errors: MEMORY. */
llama2_status gguf_head_copy(const gguf_head *h, unsigned char **head, uint64_t *n);

/* Writes the head; then, for each tensor, its data and gguf_write_gap() are to follow. Errors: IO. */
llama2_status gguf_write_head(const gguf_head *h, file_out *out);
llama2_status gguf_write_gap(const gguf_head *h, file_out *out);

#endif
