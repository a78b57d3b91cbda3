/* text/tokenizer: text to tokens and back. SentencePiece's BPE (Kudo and Richardson, 2018) merges characters by the
 * score of what comes out; byte-level BPE (Radford et al., 2019) cuts text into words first and merges bytes by rank.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/status.h"
#include "text/words.h"

typedef struct piece {
  const char *text; /* not NUL-terminated; in plain bytes, spaces as spaces */
  int32_t length;
  int32_t rank; /* SentencePiece: pieces of lower rank are merged first */
  float score;  /* as the file has it */
  int16_t byte; /* the byte that "<0xHH>" stands for, or -1 */
  int16_t kind; /* piece_kind */
} piece;

/* Two pieces that become one; its index in the list is its rank. */
typedef struct joint {
  int32_t left, right, whole;
} joint;

/* What is read out of a text whole. */
typedef struct mark {
  const char *text;
  int32_t length;
  int32_t token;
  int32_t added; /* flags of vocabulary.h */
} mark;

typedef struct mark_set {
  mark *list; /* (n) by text, of equal ones the lower token first */
  int32_t n;
  bool begins[256]; /* whether one of them begins with this byte */
} mark_set;

struct llama2_tokenizer {
  int32_t vocab_size;
  int32_t unknown, bos, eos; /* -1: none */
  int32_t *eos_ids;          /* (n_eos) `eos` and others that end a text */
  int32_t n_eos;
  bool add_bos, add_eos;                   /* what a prompt has */
  bool add_space;                          /* before a text, as `space` says */
  bool plain;                              /* U+2581 in a text is not a space, and what is no piece never merges */
  bool ranked;                             /* merges are those of `joints` */
  bool whole_words;                        /* a word that is a piece needs no merges */
  bool split_spaces, each_unknown, normal; /* as in vocabulary.h */
  int32_t space;                           /* vocabulary_space */
  bool inner_spaces;  /* a piece has a space after another character: merges may cross from word to word */
  word_rule words;    /* WORDS_NONE: SentencePiece */
  int32_t longest;    /* piece, in bytes; at least 1 */
  piece *pieces;      /* (vocab_size) */
  char *blob;         /* their texts */
  int32_t bytes[256]; /* token of each byte; `unknown` where the vocabulary has none */
  uint32_t *slots;    /* (n_slots) hash table of the pieces that text may become: id + 1, or 0 */
  uint32_t n_slots;   /* a power of two */
  joint *joints;      /* (n_joints) where `ranked` */
  int32_t n_joints;
  uint32_t *joint_slots;  /* (n_joint_slots) hash table of the joints: index + 1, or 0 */
  uint32_t n_joint_slots; /* a power of two */
  hash_key key;           /* of both tables */
  mark *mark_list;        /* those of both sets */
  char *mark_blob;        /* their texts */
  mark_set marks[2];      /* those of a text as it is, and of what has its normal form and its space */
};

/* Each is documented at its llama2_tokenizer_… in llama2.h. */
llama2_status tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer);
/* Counts the tokens of a file, up to one more than `most`, without keeping anything. Errors: IO, TOKENIZER. */
llama2_status tokenizer_count(const char *path, int32_t most, int32_t *count);
llama2_status tokenizer_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity);
llama2_status tokenizer_write(const llama2_tokenizer *t, const char *path, bool replace);
void tokenizer_free(llama2_tokenizer *t);

/* special: control tokens that are written out in the text become tokens; user-defined ones always do.
 * At most 3 n + 3 tokens. */
llama2_status tokenizer_encode(const llama2_tokenizer *t, const char *text, size_t n, bool bos, bool eos, bool special,
                               int32_t *tokens, size_t capacity, size_t *n_tokens);

/* The piece that reads text[0..n) and that text may become, or -1. Of equal pieces the first counts. */
int32_t tokenizer_piece(const llama2_tokenizer *t, const char *text, size_t n);

/* Copies text[0..n) for "llama", with a space for each U+2581, and returns its length: at most n. */
size_t tokenizer_spaced(const char *text, size_t n, char *out);

/* The joint of two pieces, or -1. */
int32_t tokenizer_joint(const llama2_tokenizer *t, int32_t left, int32_t right);

/* Each is documented at its llama2_text_stream_… in llama2.h; the room is checked there. */
size_t stream_bound(const llama2_tokenizer *t);
size_t stream_push(llama2_text_stream *stream, const llama2_tokenizer *t, int32_t token, char *text);
size_t stream_end(llama2_text_stream *stream, char *text);

#endif
