/* text/words: cuts text into the words that byte-level BPE merges within. Vocabularies name a rule; in their original
 * form the rules are regular expressions, which words.c quotes. */
#ifndef TEXT_WORDS_H
#define TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum word_rule {
  WORDS_NONE, /* the text is not cut */
  WORDS_GPT2,
  WORDS_LLAMA3,
  WORDS_QWEN2,
  WORDS_SMOLLM,
  WORDS_DEFAULT
} word_rule;

/* The rule that a vocabulary calls name[0..n), or WORDS_NONE. */
word_rule words_named(const char *name, size_t n);

/* The names that are known, for messages. */
#define WORDS_NAMES "llama-bpe, llama3, llama-v3, qwen2, gpt-2, smollm, default"

/* A walk over text[0..end), which is valid UTF-8. Start it with `at` and `segment` 0. */
typedef struct words {
  word_rule rule;
  const char *text;
  size_t at, end;
  size_t segment; /* words do not reach beyond it; not before `at` */
} words;

/* Moves `at` to the end of the next word; false at the end of the text. */
bool words_next(words *w);

#endif
