/* text/vocabulary: what a tokenizer is built from, whatever file it stood in. Texts are not NUL-terminated, need not be
 * UTF-8, and are only read while the tokenizer is built. */
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define VOCABULARY_NONE UINT32_MAX /* an id that the vocabulary does not have */

/* The numbers are those of SentencePiece's files, and of GGUF. */
typedef enum piece_kind {
  PIECE_NORMAL = 1,
  PIECE_UNKNOWN = 2, /* stands for what the vocabulary cannot say */
  PIECE_CONTROL = 3, /* no text, as <s> */
  PIECE_USER = 4,    /* always a token of its own where a text has it */
  PIECE_UNUSED = 5,  /* text never becomes one */
  PIECE_BYTE = 6     /* "<0xHH>" */
} piece_kind;

/* For what a file may leave to its model. */
typedef enum vocabulary_choice { VOCABULARY_USUAL = -1, VOCABULARY_NO = 0, VOCABULARY_YES = 1 } vocabulary_choice;

typedef struct text_span {
  const char *text;
  size_t length;
} text_span;

typedef struct vocabulary_piece {
  text_span text;
  float score;  /* "llama": better pieces are merged first */
  int32_t kind; /* piece_kind; any other number is refused */
} vocabulary_piece;

typedef struct vocabulary {
  const char *path; /* for messages */
  text_span model;  /* "llama": SentencePiece's BPE; "gpt2": byte-level BPE */
  text_span pre;    /* "gpt2": how text is cut into words; empty: "default" */
  const vocabulary_piece *pieces;
  uint64_t n_pieces;
  const text_span *merges; /* "gpt2": "left right", the first first */
  uint64_t n_merges;
  uint32_t bos, eos, unknown;         /* ids, or VOCABULARY_NONE */
  vocabulary_choice add_bos, add_eos; /* whether a prompt has them */
  vocabulary_choice add_space;        /* whether a space goes before a text */
  bool plain; /* "llama" as llama2.c has it: pieces have spaces for U+2581, and what is no piece never merges */
} vocabulary;

/* The kind of a piece of "llama" in a file that does not say: a byte or normal. */
int32_t vocabulary_guess(text_span text);

/* Refuses what does not fit together with LLAMA2_ERR_TOKENIZER, and names what. Safe on untrusted texts and numbers. */
llama2_status tokenizer_build(const vocabulary *v, llama2_tokenizer **tokenizer);

/* llama2.c's tokenizer.bin, copied into memory. */
typedef struct tokenizer_bin {
  unsigned char *data;
  vocabulary_piece *pieces;
  vocabulary vocabulary; /* what it says; its texts point into data */
} tokenizer_bin;

/* vocab_size: what it must hold, or 0. `path` is kept. On success close with tokenizer_bin_close().
 * Errors: IO, TOKENIZER, MEMORY. */
llama2_status tokenizer_bin_open(tokenizer_bin *b, const char *path, int32_t vocab_size);
void tokenizer_bin_close(tokenizer_bin *b);

#endif
