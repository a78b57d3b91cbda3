/* text/vocabulary: what a tokenizer is built from, whatever file it stood in. Texts are not NUL-terminated, need not be
 * UTF-8, and are only read while the tokenizer is built. */
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define VOCABULARY_NONE UINT32_MAX /* an id that the vocabulary does not have */
#define VOCABULARY_EOS_MAX 64      /* tokens that end a text */
#define MARK_MAX 4096              /* bytes of a token that is read out of a text whole */

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

/* Where "llama" puts a space, if it does: before each stretch of text between marks; the same, but for one that begins
 * with a space; or only at the beginning of the whole text, if that does not begin with a space. */
typedef enum vocabulary_space { SPACE_EACH, SPACE_WANTING, SPACE_FIRST } vocabulary_space;

/* How a token is read out of a text whole, as Hugging Face's tokenizers do it: flags of it. */
enum {
  ADDED = 1,       /* it is */
  ADDED_LEFT = 2,  /* with the white space before it */
  ADDED_RIGHT = 4, /* with the white space behind it */
  ADDED_WORD = 8,  /* not beside a character of a word */
  /* Out of what is left when the others have been, once that has its normal form and its space; so has the token. */
  ADDED_NORMAL = 16,
  ADDED_ONLY = 32 /* words and merges do not make it */
};

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
  const int32_t *added;    /* (n_pieces) flags, or NULL: user-defined, control and unknown pieces are ADDED */
  const text_span *merges; /* "gpt2", and "llama" that is ranked: "left right", the first first */
  uint64_t n_merges;
  uint32_t bos, unknown;            /* ids, or VOCABULARY_NONE */
  uint32_t eos[VOCABULARY_EOS_MAX]; /* each ends a text; the first is put behind one */
  int32_t n_eos;
  vocabulary_choice add_bos, add_eos; /* whether a prompt has them */
  vocabulary_choice add_space;        /* whether a space goes before a text */
  vocabulary_choice whole_words;      /* whether a word that is a piece is one token, without merges */
  vocabulary_space space;
  bool ranked;       /* "llama" that merges as merges are ranked: pieces have no scores */
  bool split_spaces; /* "llama": each space begins a word */
  bool each_unknown; /* "llama": each character that is unknown is a token, else each run of them */
  bool normal;       /* texts get normalisation form C */
  bool plain;        /* "llama" as llama2.c has it: pieces have spaces for U+2581, and what is no piece never merges */
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
