/* test_text: the tokenizer's file, text to tokens against plain merging, and tokens to text against a plain decoder. */
#include "check.h"

#include <stdbool.h>
#include <unistd.h>

#include "base/utf8.h"
#include "llama2.h"

/* Files. */

typedef struct entry {
  float score;
  int32_t length;
  char text[24];
} entry;

/* A vocabulary, and the file that holds it. */
typedef struct vocabulary {
  int32_t n;
  entry entries[600];
  unsigned char file[20000];
  size_t file_bytes;
  size_t ends[600]; /* of each entry, in the file */
} vocabulary;

static void add(vocabulary *v, const char *text, size_t n, float score) {
  entry *e = &v->entries[v->n];
  CHECK(n <= sizeof e->text && v->n < 600);
  *e = (entry){score, (int32_t)n, {0}};
  memcpy(e->text, text, n);
  unsigned char *at = v->file + v->file_bytes;
  memcpy(at, &e->score, 4);
  memcpy(at + 4, &e->length, 4);
  memcpy(at + 8, text, n);
  v->file_bytes += 8 + n;
  v->ends[v->n++] = v->file_bytes;
}

static void add_string(vocabulary *v, const char *text, float score) {
  add(v, text, strlen(text), score);
}

/* The tokens that every vocabulary of llama2.c begins with. */
static void begin(vocabulary *v, bool bytes) {
  memset(v, 0, sizeof *v);
  v->file_bytes = 4;
  add_string(v, "<unk>", 0);
  add_string(v, "\n<s>\n", 0);
  add_string(v, "\n</s>\n", 0);
  for (int b = 0; bytes && b < 256; b++) {
    char text[8];
    snprintf(text, sizeof text, "<0x%02X>", b);
    add_string(v, text, 0);
  }
}

static const char *const letters[] = {" ", "a", "b", "c", "d", "é", "ж", "日", "😀", "!"};

/* Letters, and merges of what is there already, some of them twice, some of the same score. */
static void make_vocabulary(vocabulary *v, bool bytes, int merges) {
  begin(v, bytes);
  int32_t first = v->n;
  for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) add_string(v, letters[i], -1000 - (float)i);
  for (int i = 0; i < merges; i++) {
    const entry *a = &v->entries[first + random_below(v->n - first)],
                *b = &v->entries[first + random_below(v->n - first)];
    char text[48];
    size_t n = (size_t)a->length + (size_t)b->length;
    if (n > sizeof a->text) continue;
    memcpy(text, a->text, (size_t)a->length);
    memcpy(text + a->length, b->text, (size_t)b->length);
    add(v, text, n, -(float)random_below(merges));
  }
}

static llama2_status load(const void *data, size_t n, int32_t vocab_size, llama2_tokenizer **t) {
  char path[256];
  write_file(path, data, n);
  llama2_status status = llama2_tokenizer_load(path, vocab_size, t);
  if (status != LLAMA2_OK) CHECK(strstr(llama2_last_error()->message, path));
  CHECK(unlink(path) == 0);
  return status;
}

static llama2_tokenizer *load_vocabulary(const vocabulary *v) {
  llama2_tokenizer *t = NULL;
  CHECK_THAT(load(v->file, v->file_bytes, v->n, &t) == LLAMA2_OK, "%s", llama2_last_error()->message);
  CHECK(llama2_tokenizer_vocab_size(t) == v->n);
  return t;
}

/* Text to tokens. */

static int32_t find_entry(const vocabulary *v, const char *text, size_t n) {
  for (int32_t i = 3; i < v->n; i++)
    if ((size_t)v->entries[i].length == n && memcmp(v->entries[i].text, text, n) == 0) return i;
  return -1;
}

/* As llama2.c does it: the best pair of neighbours is merged, of equals the leftmost, until none is left. */
static size_t encode_plainly(const vocabulary *v, const char *text, size_t n, bool bytes, int32_t *tokens) {
  char spaced[512];
  size_t count = 0, length[512], at;
  const char *start[512];
  memcpy(spaced + 1, text, n);
  spaced[0] = ' ';
  n = n ? n + 1 : 0;
  for (size_t i = 0; i < n;) {
    size_t width = 1;
    while (i + width < n && (spaced[i + width] & 0xc0) == 0x80) width++;
    int32_t id = find_entry(v, spaced + i, width);
    for (size_t k = 0; k < (id < 0 ? width : 1); k++) {
      start[count] = spaced + i + k;
      length[count] = id < 0 ? 0 : width; /* 0: never merged */
      tokens[count++] = id >= 0 ? id : bytes ? 3 + (unsigned char)spaced[i + k] : 0;
    }
    i += width;
  }
  do {
    int32_t best = -1;
    at = count;
    for (size_t i = 0; i + 1 < count; i++) {
      int32_t id = length[i] && length[i + 1] ? find_entry(v, start[i], length[i] + length[i + 1]) : -1;
      if (id >= 0 && (best < 0 || v->entries[id].score > v->entries[best].score)) best = id, at = i;
    }
    if (best >= 0) {
      tokens[at] = best;
      length[at] += length[at + 1];
      count--;
      for (size_t i = at + 1; i < count; i++)
        tokens[i] = tokens[i + 1], length[i] = length[i + 1], start[i] = start[i + 1];
    }
  } while (at < count);
  return count;
}

static size_t random_text(char *text, size_t most) {
  size_t n = 0;
  const char *const rare[] = {"z", "\n", "\xcd\xb8", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "<s>", "<0x41>", "\t"};
  while (n + 8 < most) {
    const char *piece = random_below(12) ? letters[random_below(10)] : rare[random_below(8)];
    memcpy(text + n, piece, strlen(piece));
    n += strlen(piece);
  }
  return n;
}

/* The text of tokens, pushed one by one. */
static size_t decode(const llama2_tokenizer *t, const int32_t *tokens, size_t n_tokens, char *text) {
  llama2_text_stream stream = {0};
  size_t capacity = llama2_text_stream_bound(t), total = 0, n;
  char *piece = aligned(capacity);
  for (size_t i = 0; i < n_tokens; i++) {
    CHECK(llama2_text_stream_push(&stream, t, tokens[i], piece, capacity, &n) == LLAMA2_OK && n <= capacity);
    CHECK(utf8_check(piece, n) == n);
    memcpy(text + total, piece, n);
    total += n;
  }
  CHECK(llama2_text_stream_end(&stream, piece, capacity, &n) == LLAMA2_OK && (n == 0 || n == 3));
  memcpy(text + total, piece, n);
  free(piece);
  return total + n;
}

static void check_text(const vocabulary *v, const llama2_tokenizer *t, bool bytes, const char *text, size_t n) {
  int32_t expected[600], *found = aligned((n + 3) * 4);
  char back[2000];
  size_t n_expected = encode_plainly(v, text, n, bytes, expected + 1), n_found;
  expected[0] = 1;
  expected[n_expected + 1] = 2;
  for (int ends = 0; ends < 4; ends++) {
    size_t skipped = ends & 1 ? 0 : 1, count = n_expected + (ends & 1) + (ends >> 1);
    CHECK(llama2_tokenizer_encode(t, text, n, ends & 1, ends >> 1, 0, found, n + 3, &n_found) == LLAMA2_OK);
    CHECK_THAT(n_found == count && memcmp(found, expected + skipped, count * 4) == 0, "'%.*s'", (int)n, text);
    if (count) {
      CHECK(llama2_tokenizer_encode(t, text, n, ends & 1, ends >> 1, 0, found, count - 1, &n_found) ==
            LLAMA2_ERR_ARGUMENT);
      CHECK(n_found == count);
    }
    if (!bytes) continue; /* without them a text does not come back */
    CHECK(llama2_tokenizer_encode(t, text, n, ends & 1, ends >> 1, 0, found, count, &n_found) == LLAMA2_OK);
    size_t n_back = decode(t, found, n_found, back);
    CHECK_THAT(n_back == n && memcmp(back, text, n) == 0, "'%.*s' comes back as '%.*s'", (int)n, text, (int)n_back,
               back);
  }
  free(found);
}

static void test_encoding(void) {
  static vocabulary v;
  for (int round = 0; round < 24; round++) {
    bool bytes = round % 4 != 3;
    make_vocabulary(&v, bytes, round * 14);
    llama2_tokenizer *t = load_vocabulary(&v);
    check_text(&v, t, bytes, "", 0);
    check_text(&v, t, bytes, " ", 1);
    for (int i = 0; i < 40; i++) {
      char text[200];
      check_text(&v, t, bytes, text, random_text(text, 10 + (size_t)random_below(180)));
    }
    llama2_tokenizer_free(t);
  }
}

static void test_bad_text(void) {
  static vocabulary v;
  make_vocabulary(&v, true, 50);
  llama2_tokenizer *t = load_vocabulary(&v);
  const char *const bad[] = {"\x80",     "\xff",         "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                             "\xe6\x97", "\xf0\x9f\x98", "\xc3("};
  for (size_t i = 0; i < 8; i++)
    for (size_t before = 0; before < 5; before++) {
      char text[32] = "aaaaaa", offset[32];
      int32_t tokens[40];
      size_t n = 99;
      memcpy(text + before, bad[i], strlen(bad[i]));
      CHECK(llama2_tokenizer_encode(t, text, before + strlen(bad[i]), 1, 0, 0, tokens, 40, &n) == LLAMA2_ERR_TEXT &&
            n == 99);
      snprintf(offset, sizeof offset, "at byte %zu ", before);
      CHECK_THAT(strstr(llama2_last_error()->message, offset), "%s", llama2_last_error()->message);
    }
  /* A zero byte is a character like any other. */
  int32_t tokens[8];
  size_t n;
  CHECK(llama2_tokenizer_encode(t, "a\0b", 3, 0, 0, 0, tokens, 8, &n) == LLAMA2_OK);
  char back[32];
  CHECK(decode(t, tokens, n, back) == 3 && memcmp(back, "a\0b", 3) == 0);
  llama2_tokenizer_free(t);
}

/* Damaged files. */

static void exercise(const llama2_tokenizer *t) {
  char text[100], back[100 * 24 * 3 + 100];
  int32_t tokens[103];
  size_t n = random_text(text, sizeof text), count;
  CHECK(llama2_tokenizer_encode(t, text, n, 0, 0, 0, tokens, 103, &count) == LLAMA2_OK && count <= n + 3);
  for (size_t i = 0; i < count; i++) CHECK(tokens[i] >= 0 && tokens[i] < llama2_tokenizer_vocab_size(t));
  for (size_t i = 0; i < 100; i++) tokens[i] = (int32_t)random_below(llama2_tokenizer_vocab_size(t));
  decode(t, tokens, 100, back);
}

static void test_truncation(void) {
  static vocabulary v;
  make_vocabulary(&v, false, 60);
  int32_t whole = 0;
  for (size_t n = 0; n <= v.file_bytes; n++) {
    llama2_tokenizer *t = NULL, *sized = NULL;
    if (whole < v.n && n == v.ends[whole]) whole++;
    bool at_end = whole > 0 && n == v.ends[whole - 1];
    CHECK(load(v.file, n, 0, &t) == (at_end ? LLAMA2_OK : LLAMA2_ERR_TOKENIZER));
    CHECK((t != NULL) == at_end);
    if (t) CHECK(llama2_tokenizer_vocab_size(t) == whole);
    if (t) exercise(t);
    CHECK(load(v.file, n, v.n, &sized) == (n == v.file_bytes ? LLAMA2_OK : LLAMA2_ERR_TOKENIZER));
    llama2_tokenizer_free(t);
    llama2_tokenizer_free(sized);
  }
  llama2_tokenizer *t = NULL;
  CHECK(load(v.file, v.file_bytes, v.n + 1, &t) == LLAMA2_ERR_TOKENIZER && !t);
}

static void test_corruption(void) {
  static vocabulary v;
  make_vocabulary(&v, false, 40);
  const unsigned char changes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  for (size_t at = 0; at < v.file_bytes; at++)
    for (size_t c = 0; c < sizeof changes; c++) {
      llama2_tokenizer *t = NULL;
      unsigned char kept = v.file[at];
      v.file[at] = changes[c];
      llama2_status status = load(v.file, v.file_bytes, 0, &t);
      v.file[at] = kept;
      CHECK(status == (t ? LLAMA2_OK : LLAMA2_ERR_TOKENIZER));
      if (t) exercise(t);
      llama2_tokenizer_free(t);
    }
}

/* Tokens to text. */

/* Whether some bytes may follow bytes[0..n) so that they become a character: by the code points that are still in
 * reach. */
static bool may_become_character(const unsigned char *bytes, size_t n, size_t *length) {
  const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000}, last[] = {0, 0x7f, 0x7ff, 0xffff, 0x10ffff};
  *length = bytes[0] < 0x80 ? 1 : bytes[0] >> 5 == 6 ? 2 : bytes[0] >> 4 == 14 ? 3 : bytes[0] >> 3 == 30 ? 4 : 0;
  if (*length == 0 || n > *length) return false;
  uint32_t low = *length == 1 ? bytes[0] : bytes[0] & (0x7fu >> *length), high;
  for (size_t i = 1; i < n; i++) {
    if (bytes[i] >> 6 != 2) return false;
    low = low << 6 | (bytes[i] & 0x3f);
  }
  size_t open = *length - n;
  high = (low << 6 * open) | ((1u << 6 * open) - 1);
  low <<= 6 * open;
  if (low < first[*length]) low = first[*length];
  if (high > last[*length]) high = last[*length];
  return low <= high && !(low >= 0xd800 && high <= 0xdfff);
}

/* The Unicode standard's way (chapter 3, "maximal subparts"): what cannot go on becomes one U+FFFD as far as it got. */
static size_t decode_plainly(const unsigned char *bytes, size_t n, char *out) {
  size_t total = 0, length;
  for (size_t i = 0; i < n;) {
    size_t got = 0;
    while (i + got < n && may_become_character(bytes + i, got + 1, &length)) {
      got++;
      if (got == length) break;
    }
    bool whole = got && may_become_character(bytes + i, got, &length) && got == length;
    memcpy(out + total, whole ? (const char *)bytes + i : "\xef\xbf\xbd", whole ? got : 3);
    total += whole ? got : 3;
    i += got ? got : 1;
  }
  return total;
}

static unsigned char random_byte(void) {
  const unsigned char leads[] = {0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0,
                                 0xf4, 0xf5, 0x7f, 0x80, 0xbf, 0x9f, 0xa0};
  return random_below(2)   ? leads[random_below(15)]
         : random_below(2) ? 0x80 | (unsigned char)random_below(64)
                           : (unsigned char)random_below(256);
}

static void test_utf8_check(void) {
  for (int i = 0; i < 200000; i++) {
    unsigned char bytes[12];
    char out[40];
    size_t n = (size_t)random_below(12), good = 0, length;
    for (size_t k = 0; k < n; k++) bytes[k] = random_byte();
    while (good < n && may_become_character(bytes + good, 1, &length) && good + length <= n &&
           may_become_character(bytes + good, length, &length))
      good += length;
    CHECK(utf8_check((char *)bytes, n) == good);
    size_t decoded = decode_plainly(bytes, n, out);
    CHECK(utf8_check(out, decoded) == decoded);
  }
}

/* Pieces of any bytes, as a file may hold them, and byte tokens. */
static void test_streams(void) {
  static vocabulary v;
  for (int round = 0; round < 60; round++) {
    begin(&v, true);
    for (int i = 0; i < 200; i++) {
      char text[24];
      size_t n = (size_t)random_below(i % 3 ? 4 : 24);
      for (size_t k = 0; k < n; k++) text[k] = (char)random_byte();
      add(&v, text, n, 0);
    }
    llama2_tokenizer *t = load_vocabulary(&v);
    for (int i = 0; i < 60; i++) {
      enum { TOKENS = 80 };
      int32_t tokens[TOKENS];
      unsigned char bytes[TOKENS * 24];
      char found[TOKENS * 24 * 3 + 3], expected[TOKENS * 24 * 3];
      size_t n_bytes = 0;
      for (int k = 0; k < TOKENS; k++) {
        tokens[k] = 3 + (int32_t)random_below(v.n - 3);
        const entry *e = &v.entries[tokens[k]];
        const char *text = e->text;
        size_t length = (size_t)e->length;
        unsigned char byte = (unsigned char)(tokens[k] - 3);
        if (tokens[k] < 3 + 256)
          text = (char *)&byte, length = 1;
        else if (k == 0 && length && text[0] == ' ')
          text++, length--;
        memcpy(bytes + n_bytes, text, length);
        n_bytes += length;
      }
      size_t n_expected = decode_plainly(bytes, n_bytes, expected), n_found = decode(t, tokens, TOKENS, found);
      CHECK(n_found == n_expected && memcmp(found, expected, n_found) == 0);
    }
    llama2_tokenizer_free(t);
  }
}

static void test_stream_edges(void) {
  static vocabulary v;
  begin(&v, true);
  add_string(&v, " a", 0);
  add_string(&v, " ", 0);
  llama2_tokenizer *t = load_vocabulary(&v);
  const int32_t a = 259, space = 260;
  const struct {
    int32_t tokens[5];
    size_t n;
    const char *text;
  } cases[] = {
      {{a, a},                  2, "a a"           }, /* the first token loses its space */
      {{1, a, a},               3, "a a"           }, /* so does one after <s> */
      {{a, 1, a},               3, "aa"            },
      {{2, a},                  2, " a"            }, /* </s> is no beginning */
      {{space, space, a},       3, "  a"           },
      {{3 + ' ', a},            2, "  a"           }, /* a byte is kept */
      {{3 + 0xc3, 3 + 0xa9},    2, "é"            },
      {{3 + 0xc3, a},           2, "\xef\xbf\xbd a"},
      {{3 + 0xc3, 1, 3 + 0xa9}, 3, "é"            },
      {{3 + 0xf0, 3 + 0x9f},    2, "\xef\xbf\xbd"  },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[100];
    size_t n = decode(t, cases[i].tokens, cases[i].n, text);
    CHECK_THAT(n == strlen(cases[i].text) && memcmp(text, cases[i].text, n) == 0, "case %zu: '%.*s'", i, (int)n, text);
  }
  llama2_text_stream stream = {0};
  char text[100];
  size_t n = 99, bound = llama2_text_stream_bound(t);
  CHECK(llama2_text_stream_push(&stream, t, -1, text, sizeof text, &n) == LLAMA2_ERR_ARGUMENT);
  CHECK(llama2_text_stream_push(&stream, t, v.n, text, sizeof text, &n) == LLAMA2_ERR_ARGUMENT);
  CHECK(llama2_text_stream_push(&stream, t, a, text, bound - 1, &n) == LLAMA2_ERR_ARGUMENT);
  CHECK(llama2_text_stream_end(&stream, text, 2, &n) == LLAMA2_ERR_ARGUMENT);
  CHECK(n == 99 && stream.previous == 0);
  llama2_tokenizer_free(t);
}

int main(void) {
  test_encoding();
  test_bad_text();
  test_truncation();
  test_corruption();
  test_utf8_check();
  test_streams();
  test_stream_edges();
  return checks_end("test_text");
}
