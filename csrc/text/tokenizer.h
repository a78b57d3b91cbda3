/* text/tokenizer: llama2.c's tokenizer.bin: SentencePiece's BPE (Kudo and Richardson, 2018), merges in order of score.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stdbool.h>

#include "base/status.h"

typedef struct piece {
  const char *text; /* not NUL-terminated */
  int32_t length;
  int16_t byte; /* the byte that "<0xHH>" stands for, or -1 */
  float score;
} piece;

struct llama2_tokenizer {
  int32_t vocab_size;
  int32_t unknown, bos, eos;
  int32_t longest;    /* piece, in bytes; at least 1 */
  piece *pieces;      /* (vocab_size) */
  char *blob;         /* their texts */
  int32_t bytes[256]; /* token of each byte; `unknown` where the vocabulary has none */
  int32_t space;      /* token of " ", or -1 */
  uint32_t *slots;    /* (n_slots) hash table of the pieces that text may become: id + 1, or 0 */
  uint32_t n_slots;   /* a power of two */
};

/* Each is documented at its llama2_tokenizer_… in llama2.h. */
llama2_status tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer);
/* Counts the tokens of a file, up to one more than `most`, without keeping anything. Errors: IO, TOKENIZER. */
llama2_status tokenizer_count(const char *path, int32_t most, int32_t *count);
llama2_status tokenizer_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity);
void tokenizer_free(llama2_tokenizer *t);
llama2_status tokenizer_encode(const llama2_tokenizer *t, const char *text, size_t n, bool bos, bool eos,
                               int32_t *tokens, size_t capacity, size_t *n_tokens);

/* Each is documented at its llama2_text_stream_… in llama2.h; the room is checked there. */
size_t stream_bound(const llama2_tokenizer *t);
size_t stream_push(llama2_text_stream *stream, const llama2_tokenizer *t, int32_t token, char *text);
size_t stream_end(llama2_text_stream *stream, char *text);

#endif
