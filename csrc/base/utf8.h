/* base/utf8: RFC 3629, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a character that begins with `lead`; 0 where none does. */
static inline int utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

/* Whether `next` may follow the first `n` bytes of a character, 1 <= n < its length. */
static inline bool utf8_continues(const unsigned char *bytes, int n, unsigned char next) {
  unsigned char low = 0x80, high = 0xbf;
  if (n == 1) {
    if (bytes[0] == 0xe0) low = 0xa0;
    if (bytes[0] == 0xed) high = 0x9f;
    if (bytes[0] == 0xf0) low = 0x90;
    if (bytes[0] == 0xf4) high = 0x8f;
  }
  return next >= low && next <= high;
}

/* Offset of the first byte of text[0..n) that is not part of a whole character; n where there is none. */
static inline size_t utf8_check(const char *text, size_t n) {
  const unsigned char *p = (const unsigned char *)text;
  for (size_t i = 0; i < n;) {
    int length = utf8_length(p[i]);
    if (length == 0 || (size_t)length > n - i) return i;
    for (int k = 1; k < length; k++)
      if (!utf8_continues(p + i, k, p[i + (size_t)k])) return i;
    i += (size_t)length;
  }
  return n;
}

#endif
