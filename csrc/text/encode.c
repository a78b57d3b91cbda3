/* text/encode: text to tokens. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

/* A stretch of text that is one piece so far; a doubly linked list in an array. */
typedef struct symbol {
  int32_t previous, next; /* -1 at the ends */
  uint32_t start, length; /* length 0: merged into the one before */
  int32_t token;          /* -1: no piece reads so */
} symbol;

/* Two neighbours that could be one token. */
typedef struct merge {
  int32_t rank;
  int32_t left;
  uint32_t length; /* of both together: tells whether the pair still is what it was */
  int32_t token;
} merge;

typedef struct encoder {
  const llama2_tokenizer *t;
  const char *text; /* what is being merged */
  symbol *symbols;
  merge *heap;
  size_t n_heap;
  char *spaced; /* a copy of the text, with a space before it and for each U+2581 */
  bool unknown; /* the token put last stands for characters that not even bytes can say */
  int32_t *tokens;
  size_t n_tokens;
} encoder;

/* Merges. */

/* The lower rank first, of equals the one further left. */
static bool merge_before(const merge *a, const merge *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void heap_push(encoder *e, merge m) {
  size_t at = e->n_heap++;
  for (; at && merge_before(&m, &e->heap[(at - 1) / 2]); at = (at - 1) / 2) e->heap[at] = e->heap[(at - 1) / 2];
  e->heap[at] = m;
}

static merge heap_pop(encoder *e) {
  merge top = e->heap[0], last = e->heap[--e->n_heap];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < e->n_heap; at = child) {
    if (child + 1 < e->n_heap && merge_before(&e->heap[child + 1], &e->heap[child])) child++;
    if (!merge_before(&e->heap[child], &last)) break;
    e->heap[at] = e->heap[child];
  }
  e->heap[at] = last;
  return top;
}

static void consider(encoder *e, int32_t left) {
  if (left < 0 || e->symbols[left].next < 0) return;
  const llama2_tokenizer *t = e->t;
  const symbol *a = &e->symbols[left], *b = &e->symbols[a->next];
  merge m = {0, left, a->length + b->length, -1};
  if (t->words != WORDS_NONE) {
    m.rank = tokenizer_joint(t, a->token, b->token);
    if (m.rank >= 0) m.token = t->joints[m.rank].whole;
  } else if (!t->plain || (a->token >= 0 && b->token >= 0)) {
    m.token = tokenizer_piece(t, e->text + a->start, m.length);
    if (m.token >= 0) m.rank = t->pieces[m.token].rank;
  }
  if (m.token >= 0) heap_push(e, m);
}

static void merge_all(encoder *e) {
  while (e->n_heap) {
    merge m = heap_pop(e);
    symbol *a = &e->symbols[m.left];
    if (a->length == 0 || a->next < 0) continue;
    symbol *b = &e->symbols[a->next];
    if (a->length + b->length != m.length) continue; /* one of them has merged since */
    a->length = m.length;
    a->token = m.token;
    a->next = b->next;
    b->length = 0;
    if (a->next >= 0) e->symbols[a->next].previous = m.left;
    consider(e, a->previous);
    consider(e, m.left);
  }
}

/* Stretches of text without marks. */

static void put(encoder *e, int32_t token) {
  e->tokens[e->n_tokens++] = token;
  e->unknown = false;
}

/* One symbol per character, or per byte where bytes are what is merged. Returns how many. */
static int32_t split(encoder *e, size_t n) {
  const llama2_tokenizer *t = e->t;
  int32_t count = 0;
  for (size_t i = 0, length; i < n; i += length, count++) {
    bool whole = t->words == WORDS_NONE;
    length = whole ? (size_t)utf8_length((unsigned char)e->text[i]) : 1;
    int32_t token = whole ? tokenizer_piece(t, e->text + i, length) : t->bytes[(unsigned char)e->text[i]];
    e->symbols[count] = (symbol){count - 1, count + 1, (uint32_t)i, (uint32_t)length, token};
  }
  if (count) e->symbols[count - 1].next = -1;
  return count;
}

/* What no piece reads goes out as bytes. To SentencePiece a run of what bytes cannot say either is one unknown token.
 */
static llama2_status put_symbol(encoder *e, const symbol *s) {
  const llama2_tokenizer *t = e->t;
  for (uint32_t i = 0; s->token < 0 && i < s->length; i++) {
    unsigned char byte = (unsigned char)e->text[s->start + i];
    int32_t token = t->bytes[byte];
    if (token < 0)
      return status_fail(LLAMA2_ERR_TEXT, "the vocabulary has no token for the byte 0x%02x, and none for the unknown",
                         byte);
    if (token != t->unknown || !e->unknown) put(e, token);
    e->unknown = token == t->unknown && t->words == WORDS_NONE && !t->plain;
  }
  if (s->token >= 0) put(e, s->token);
  return LLAMA2_OK;
}

static llama2_status put_merged(encoder *e, const char *text, size_t n) {
  e->text = text;
  int32_t count = split(e, n);
  for (int32_t i = 0; i < count; i++) consider(e, i);
  merge_all(e);
  for (int32_t i = count ? 0 : -1; i >= 0; i = e->symbols[i].next) RETURN_IF_FAILED(put_symbol(e, &e->symbols[i]));
  return LLAMA2_OK;
}

/* Copies a text for SentencePiece and returns its length. */
static size_t copy_spaced(encoder *e, const char *text, size_t n) {
  size_t length = 0;
  if (e->t->add_space) e->spaced[length++] = ' ';
  for (size_t i = 0; i < n; length++) {
    bool space = !e->t->plain && n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
    e->spaced[length] = space ? ' ' : text[i];
    i += space ? 3 : 1;
  }
  return length;
}

/* How far merges from `at` on can reach: mostly to the end of a word and no further, and small heaps are fast ones. */
static size_t piece_bound(const encoder *e, size_t at, size_t n) {
  if (e->t->inner_spaces) return n;
  while (at < n && e->spaced[at] == ' ') at++;
  while (at < n && e->spaced[at] != ' ') at++;
  return at;
}

static llama2_status put_stretch(encoder *e, const char *text, size_t n) {
  if (n == 0) return LLAMA2_OK;
  if (e->t->words == WORDS_NONE) {
    n = copy_spaced(e, text, n);
    for (size_t begin = 0, end; begin < n; begin = end) {
      end = piece_bound(e, begin, n);
      RETURN_IF_FAILED(put_merged(e, e->spaced + begin, end - begin));
    }
    return LLAMA2_OK;
  }
  words w = {.rule = e->t->words, .text = text, .end = n};
  for (size_t begin = 0; words_next(&w); begin = w.at) {
    int32_t token = e->t->whole_words ? tokenizer_piece(e->t, text + begin, w.at - begin) : -1;
    if (token >= 0)
      put(e, token);
    else
      RETURN_IF_FAILED(put_merged(e, text + begin, w.at - begin));
  }
  return LLAMA2_OK;
}

/* Marks. */

/* The first of marks[low..high) whose byte at `depth`, which all of them have, is at least `byte`. */
static int32_t first_mark(const llama2_tokenizer *t, int32_t low, int32_t high, int32_t depth, int byte) {
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if ((unsigned char)t->marks[middle]->text[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The longest mark that text[0..n) begins with, or NULL. */
static const piece *mark_at(const llama2_tokenizer *t, const char *text, size_t n, bool special) {
  const piece *found = NULL;
  if (!t->mark_begins[(unsigned char)text[0]]) return found;
  for (int32_t low = 0, high = t->n_marks, depth = 0; low < high; depth++) {
    for (; low < high && t->marks[low]->length == depth; low++)
      if ((!found || found->length < depth) && (special || t->marks[low]->kind == PIECE_USER)) found = t->marks[low];
    if ((size_t)depth == n) break;
    int byte = (unsigned char)text[depth];
    low = first_mark(t, low, high, depth, byte);
    high = first_mark(t, low, high, depth, byte + 1);
  }
  return found;
}

static llama2_status put_text(encoder *e, const char *text, size_t n, bool special) {
  size_t begin = 0;
  for (size_t at = 0; at < n;) {
    const piece *mark = mark_at(e->t, text + at, n - at, special);
    if (!mark) {
      at++;
      continue;
    }
    RETURN_IF_FAILED(put_stretch(e, text + begin, at - begin));
    put(e, (int32_t)(mark - e->t->pieces));
    begin = at += (size_t)mark->length;
  }
  return put_stretch(e, text + begin, n - begin);
}

llama2_status tokenizer_encode(const llama2_tokenizer *t, const char *text, size_t n, bool bos, bool eos, bool special,
                               int32_t *tokens, size_t capacity, size_t *n_tokens) {
  size_t bad = utf8_check(text, n);
  if (bad < n)
    return status_fail(LLAMA2_ERR_TEXT, "the text is not valid UTF-8 at byte %zu (0x%02x)", bad,
                       (unsigned char)text[bad]);
  if (n > INT32_MAX / 4)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a text of %zu bytes, expected at most %d", n, INT32_MAX / 4);
  size_t length = n + 1, tokens_max = 2 * n + 3;
  /* Each byte begins at most one merge; each merge at most two more. */
  encoder e = {
      .t = t,
      .symbols = mem_new(length, sizeof *e.symbols),
      .heap = mem_new(length, 3 * sizeof *e.heap),
      .spaced = mem_new(length, 1),
      .tokens = mem_new(tokens_max, sizeof *e.tokens),
  };
  llama2_status status;
  if (e.symbols && e.heap && e.spaced && e.tokens) {
    if (bos && t->bos >= 0) put(&e, t->bos);
    status = put_text(&e, text, n, special);
    if (eos && t->eos >= 0) put(&e, t->eos);
  } else {
    status = status_fail_sized(LLAMA2_ERR_MEMORY, length * (sizeof *e.symbols + 3 * sizeof *e.heap + 8),
                               mem_available(), "no memory to encode a text of %zu bytes", n);
  }
  if (status == LLAMA2_OK && e.n_tokens > capacity)
    status = status_fail(LLAMA2_ERR_ARGUMENT, "room for %zu tokens, but the text has %zu", capacity, e.n_tokens);
  if (status == LLAMA2_OK) {
    if (e.n_tokens) memcpy(tokens, e.tokens, e.n_tokens * sizeof *tokens);
    *n_tokens = e.n_tokens;
  }
  mem_free(e.tokens);
  mem_free(e.spaced);
  mem_free(e.heap);
  mem_free(e.symbols);
  return status;
}
