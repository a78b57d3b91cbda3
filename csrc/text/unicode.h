/* text/unicode: what class a character is of, and what is part of a word. */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/utf8.h"
#include "text/unicode_tables.h"

/* In the order of the table: \p{L}, \p{N}, \p{P}, and White_Space. */
typedef enum unicode_class {
  UNICODE_OTHER,
  UNICODE_LETTER,
  UNICODE_NUMBER,
  UNICODE_PUNCTUATION,
  UNICODE_SPACE
} unicode_class;

static inline unicode_class unicode_class_of(uint32_t code) {
  uint32_t low = 0, high = sizeof unicode_stretches / sizeof *unicode_stretches;
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    if (unicode_stretches[middle] >> 3 <= code)
      low = middle;
    else
      high = middle;
  }
  return (unicode_class)(unicode_stretches[low] & 7);
}

/* Whether \w of a regular expression matches it. */
static inline bool unicode_is_word(uint32_t code) {
  uint32_t low = 0, high = sizeof unicode_words / sizeof *unicode_words;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (unicode_words[middle] <= code)
      low = middle + 1;
    else
      high = middle;
  }
  return low % 2;
}

/* The code point of the character that begins at `text`, which is whole. */
static inline uint32_t unicode_code(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  switch (utf8_length(p[0])) {
    case 2: return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3: return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    case 4: return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    default: return p[0];
  }
}

#endif
