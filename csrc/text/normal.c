#include "text/normal.h"

#include <string.h>

#include "base/utf8.h"
#include "text/normal_tables.h"
#include "text/unicode.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define POINT_MASK 0x1fffffu
#define PAIR_MASK ((UINT64_C(1) << 42) - 1)

/* Hangul syllables are not in the tables: (lead * VOWELS + vowel) * TAILS + tail, counted from the first. */
enum { LEAD = 0x1100, VOWEL = 0x1161, TAIL = 0x11a7, SYLLABLE = 0xac00, LEADS = 19, VOWELS = 21, TAILS = 28 };

static uint32_t class_of(uint32_t code) {
  size_t low = 0, high = COUNT(normal_classes);
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (normal_classes[middle] >> 8 <= code)
      low = middle;
    else
      high = middle;
  }
  return normal_classes[low] & 0xff;
}

static size_t put(uint32_t *codes, uint32_t code) {
  codes[0] = code << 8 | class_of(code);
  return 1;
}

/* Writes what a character is made of, in full. Returns how many there are. */
static size_t decompose(uint32_t code, uint32_t *codes) {
  if (code - SYLLABLE < LEADS * VOWELS * TAILS) {
    uint32_t index = code - SYLLABLE, tail = index % TAILS;
    size_t n = put(codes, LEAD + index / TAILS / VOWELS);
    n += put(codes + n, VOWEL + index / TAILS % VOWELS);
    return tail ? n + put(codes + n, TAIL + tail) : n;
  }
  size_t low = 0, high = COUNT(normal_decompositions);
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (normal_decompositions[middle] >> 42 < code)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == COUNT(normal_decompositions) || normal_decompositions[low] >> 42 != code) return put(codes, code);
  uint32_t first = (uint32_t)(normal_decompositions[low] >> 21) & POINT_MASK;
  uint32_t second = (uint32_t)normal_decompositions[low] & POINT_MASK;
  size_t n = decompose(first, codes); /* which nests three deep */
  return second ? n + decompose(second, codes + n) : n;
}

/* The character that two make, or 0. */
static uint32_t compose(uint32_t first, uint32_t second) {
  if (first - LEAD < LEADS && second - VOWEL < VOWELS)
    return SYLLABLE + ((first - LEAD) * VOWELS + second - VOWEL) * TAILS;
  if (first - SYLLABLE < LEADS * VOWELS * TAILS && (first - SYLLABLE) % TAILS == 0 && second - TAIL - 1 < TAILS - 1)
    return first + second - TAIL;
  uint64_t pair = (uint64_t)first << 21 | second;
  size_t low = 0, high = COUNT(normal_compositions);
  while (low < high) {
    size_t middle = (low + high) / 2;
    if ((normal_decompositions[normal_compositions[middle]] & PAIR_MASK) < pair)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == COUNT(normal_compositions)) return 0;
  uint64_t entry = normal_decompositions[normal_compositions[low]];
  return (entry & PAIR_MASK) == pair ? (uint32_t)(entry >> 42) : 0;
}

/* Puts marks in the order of their classes; those of one class stay as they are. */
static void sort_marks(uint32_t *codes, size_t n, uint32_t *spare) {
  size_t begins[256] = {0}, sum = 0;
  size_t unsorted = 1;
  while (unsorted < n && (codes[unsorted - 1] & 0xff) <= (codes[unsorted] & 0xff)) unsorted++;
  if (unsorted >= n) return;
  for (size_t i = 0; i < n; i++) begins[codes[i] & 0xff]++;
  for (int class = 0; class < 256; class ++) {
    size_t many = begins[class];
    begins[class] = sum;
    sum += many;
  }
  for (size_t i = 0; i < n; i++) spare[begins[codes[i] & 0xff]++] = codes[i];
  memcpy(codes, spare, n * sizeof *codes);
}

static size_t put_utf8(uint32_t code, char *out) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)(0xf00 >> length | code);
  return length;
}

size_t normal_form(const char *text, size_t n, normal_room room, char *out) {
  uint32_t *codes = room.codes;
  size_t count = 0, same = 0, kept = 0, length = 0;
  while (same < n && (unsigned char)text[same] < 0xcc) same++; /* which begins U+0300; before, all is in normal form */
  if (same == n) {
    if (n) memcpy(out, text, n);
    return n;
  }
  for (size_t i = 0; i < n; i += (size_t)utf8_length((unsigned char)text[i])) {
    uint32_t code = unicode_code(text + i);
    if (code < 0x80)
      codes[count++] = code << 8;
    else
      count += decompose(code, codes + count);
  }
  for (size_t begin = 0, end; begin < count; begin = end) {
    for (end = begin + 1; end < count && codes[end] & 0xff;) end++;
    size_t marks = codes[begin] & 0xff ? begin : begin + 1;
    sort_marks(codes + marks, end - marks, room.spare);
  }
  uint32_t *starter = NULL;
  uint32_t before = 0; /* class of what was kept since the starter, + 1; 0: nothing was */
  for (size_t i = 0; i < count; i++) {
    uint32_t class = codes[i] & 0xff;
    uint32_t whole = starter && before <= class ? compose(*starter >> 8, codes[i] >> 8) : 0;
    if (whole) {
      *starter = whole << 8;
      continue;
    }
    if (class == 0) {
      starter = &codes[kept];
      before = 0;
    } else {
      before = class + 1;
    }
    codes[kept++] = codes[i];
  }
  for (size_t i = 0; i < kept; i++) length += put_utf8(codes[i] >> 8, out + length);
  return length;
}
