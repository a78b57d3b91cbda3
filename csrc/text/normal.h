/* text/normal: normalisation form C of a text (Unicode Standard Annex 15): characters and the marks behind them are
 * composed where there is one character for them, and marks stand in one order. */
#ifndef TEXT_NORMAL_H
#define TEXT_NORMAL_H

#include <stddef.h>
#include <stdint.h>

#define NORMAL_GROWTH 3 /* a text gets at most so many times as long */

/* Characters that are being put in order; room for 2 n of them at each pointer suffices for a text of n bytes. */
typedef struct normal_room {
  uint32_t *codes; /* code point << 8 | combining class */
  uint32_t *spare;
} normal_room;

/* Writes the normal form of text[0..n), which is valid UTF-8, to `out` and returns its length: at most NORMAL_GROWTH n.
 * Its time grows as n does, whatever the text. */
size_t normal_form(const char *text, size_t n, normal_room room, char *out);

#endif
