/* text/encode: text to tokens. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/normal.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
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
  normal_room room; /* these three only where texts get their normal form */
  char *normal;
  char *spaced; /* a copy of a stretch of text, with a space before it and for each U+2581 */
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
  if (t->ranked) {
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

/* What no piece reads goes out as bytes. A run of what bytes cannot say either is one unknown token to SentencePiece, and
 * one for each character to others. */
static llama2_status put_symbol(encoder *e, const symbol *s) {
  const llama2_tokenizer *t = e->t;
  for (uint32_t i = 0; s->token < 0 && i < s->length; i++) {
    unsigned char byte = (unsigned char)e->text[s->start + i];
    int32_t token = t->bytes[byte];
    if (token < 0)
      return status_fail(LLAMA2_ERR_TEXT, "the vocabulary has no token for the byte 0x%02x, and none for the unknown",
                         byte);
    bool again = e->unknown || (t->each_unknown && !t->plain && i > 0);
    if (token != t->unknown || !again) put(e, token);
    e->unknown = token == t->unknown && t->words == WORDS_NONE && !t->each_unknown;
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

/* How far merges from `at` on can reach: mostly to the end of a word and no further, and small heaps are fast ones. */
static size_t piece_bound(const encoder *e, const char *text, size_t at, size_t n) {
  if (e->t->inner_spaces && !e->t->split_spaces) return n;
  if (e->t->split_spaces && at < n)
    at++;
  else
    while (at < n && text[at] == ' ') at++;
  while (at < n && text[at] != ' ') at++;
  return at;
}

/* Text that is in its last form and without marks. */
static llama2_status put_words(encoder *e, const char *text, size_t n) {
  const llama2_tokenizer *t = e->t;
  words w = {.rule = t->words, .text = text, .end = n};
  size_t begin = 0;
  if (t->whole_words && t->words == WORDS_NONE && !t->split_spaces) {
    int32_t token = tokenizer_piece(t, text, n);
    if (token >= 0) {
      put(e, token);
      return LLAMA2_OK;
    }
  }
  for (; begin < n; begin = w.at) {
    if (t->words == WORDS_NONE)
      w.at = piece_bound(e, text, begin, n);
    else
      words_next(&w);
    bool whole = t->whole_words && (t->words != WORDS_NONE || t->split_spaces);
    int32_t token = whole ? tokenizer_piece(t, text + begin, w.at - begin) : -1;
    if (token >= 0)
      put(e, token);
    else
      RETURN_IF_FAILED(put_merged(e, text + begin, w.at - begin));
  }
  return LLAMA2_OK;
}

/* Marks. */

/* The first of list[low..high) whose byte at `depth`, which all of them have, is at least `byte`. */
static int32_t first_mark(const mark *list, int32_t low, int32_t high, int32_t depth, int byte) {
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if ((unsigned char)list[middle].text[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool is_wanted(const llama2_tokenizer *t, const mark *m, bool special) {
  return special || t->pieces[m->token].kind == PIECE_USER;
}

/* The longest mark that text[0..n) begins with, or NULL. */
static const mark *mark_at(const llama2_tokenizer *t, const mark_set *set, const char *text, size_t n, bool special) {
  const mark *found = NULL, *list = set->list;
  if (!set->begins[(unsigned char)text[0]]) return found;
  for (int32_t low = 0, high = set->n, depth = 0; low < high; depth++) {
    for (; low < high && list[low].length == depth; low++)
      if ((!found || found->length < depth) && is_wanted(t, &list[low], special)) found = &list[low];
    if ((size_t)depth == n) break;
    int byte = (unsigned char)text[depth];
    low = first_mark(list, low, high, depth, byte);
    high = first_mark(list, low, high, depth, byte + 1);
  }
  return found;
}

/* The offset of the character before `at`, which is not 0. */
static size_t before(const char *text, size_t at) {
  do at--;
  while (((unsigned char)text[at] & 0xc0) == 0x80);
  return at;
}

static bool is_space(const char *text) {
  return unicode_class_of(unicode_code(text)) == UNICODE_SPACE;
}

static bool is_in_word(const char *text, size_t n, size_t begin, size_t end) {
  return (begin > 0 && unicode_is_word(unicode_code(text + before(text, begin)))) ||
         (end < n && unicode_is_word(unicode_code(text + end)));
}

/* The next mark in text[from..n), and where it begins and ends with the white space that it takes; NULL: there is none.
 * As in Hugging Face's tokenizers, what is a mark but for the word that it stands in is passed over whole. */
static const mark *next_mark(const llama2_tokenizer *t, const mark_set *set, const char *text, size_t n, size_t from,
                             bool special, size_t *begin, size_t *end) {
  for (size_t at = from; set->n && at < n;) {
    const mark *found = mark_at(t, set, text + at, n - at, special);
    if (!found) {
      at++;
      continue;
    }
    *begin = at;
    *end = at += (size_t)found->length;
    if (found->added & ADDED_WORD && is_in_word(text, n, *begin, *end)) continue;
    if (found->added & ADDED_LEFT)
      while (*begin > from && is_space(text + before(text, *begin))) *begin = before(text, *begin);
    if (found->added & ADDED_RIGHT)
      while (*end < n && is_space(text + *end)) *end += (size_t)utf8_length((unsigned char)text[*end]);
    return found;
  }
  return NULL;
}

/* What is left of a text that is in its normal form, between marks of that form. In front of `text` is room for a
 * character, and what lies there is not needed any more. */
static llama2_status put_rest(encoder *e, char *text, size_t n, bool first) {
  const llama2_tokenizer *t = e->t;
  if (n == 0) return LLAMA2_OK;
  bool wants = t->add_space && (t->space == SPACE_WANTING || (t->space == SPACE_FIRST && first));
  if (wants && text[0] != ' ') {
    *--text = ' ';
    n++;
  }
  return put_words(e, text, n);
}

/* A stretch of text without marks of its first form; first: it is the beginning of the whole. */
static llama2_status put_stretch(encoder *e, const char *text, size_t n, bool first, bool special) {
  const llama2_tokenizer *t = e->t;
  const mark_set *set = &t->marks[1];
  if (n == 0) return LLAMA2_OK;
  if (t->normal) {
    n = normal_form(text, n, e->room, e->normal);
    text = e->normal;
  }
  if (t->words != WORDS_NONE && !set->n) return put_words(e, text, n);
  char *copy = e->spaced + 1;
  size_t length = 0, begin = 0, from, end;
  if (t->add_space && t->space == SPACE_EACH) copy[length++] = ' ';
  if (t->plain || t->words != WORDS_NONE) {
    memcpy(copy + length, text, n);
    length += n;
  } else {
    length += tokenizer_spaced(text, n, copy + length);
  }
  for (const mark *m; (m = next_mark(t, set, copy, length, begin, special, &from, &end)); begin = end) {
    RETURN_IF_FAILED(put_rest(e, copy + begin, from - begin, first && begin == 0));
    put(e, m->token);
  }
  return put_rest(e, copy + begin, length - begin, first && begin == 0);
}

static llama2_status put_text(encoder *e, const char *text, size_t n, bool special) {
  size_t begin = 0, from, end;
  for (const mark *m; (m = next_mark(e->t, &e->t->marks[0], text, n, begin, special, &from, &end)); begin = end) {
    RETURN_IF_FAILED(put_stretch(e, text + begin, from - begin, begin == 0, special));
    put(e, m->token);
  }
  return put_stretch(e, text + begin, n - begin, begin == 0, special);
}

/* How many times as long a text may get: characters below U+0300 are in normal form. */
static size_t growth_of(const llama2_tokenizer *t, const char *text, size_t n) {
  size_t i = 0;
  while (t->normal && i < n && (unsigned char)text[i] < 0xcc) i++;
  return t->normal && i < n ? NORMAL_GROWTH : 1;
}

llama2_status tokenizer_encode(const llama2_tokenizer *t, const char *text, size_t n, bool bos, bool eos, bool special,
                               int32_t *tokens, size_t capacity, size_t *n_tokens) {
  size_t bad = utf8_check(text, n);
  if (bad < n)
    return status_fail(LLAMA2_ERR_TEXT, "the text is not valid UTF-8 at byte %zu (0x%02x)", bad,
                       (unsigned char)text[bad]);
  if (n > INT32_MAX / 4)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a text of %zu bytes, expected at most %d", n, INT32_MAX / 4);
  size_t length = growth_of(t, text, n) * n + 1, tokens_max = 3 * n + 3;
  /* Each byte begins at most one merge; each merge at most two more. */
  encoder e = {
      .t = t,
      .symbols = mem_new(length, sizeof *e.symbols),
      .heap = mem_new(length, 3 * sizeof *e.heap),
      .room = {mem_new(t->normal ? 2 * n : 0, sizeof(uint32_t)), mem_new(t->normal ? 2 * n : 0, sizeof(uint32_t))},
      .normal = mem_new(t->normal ? length : 0, 1),
      .spaced = mem_new(length + 1, 1),
      .tokens = mem_new(tokens_max, sizeof *e.tokens),
  };
  llama2_status status;
  if (e.symbols && e.heap && e.room.codes && e.room.spare && e.normal && e.spaced && e.tokens) {
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
  mem_free(e.normal);
  mem_free(e.room.spare);
  mem_free(e.room.codes);
  mem_free(e.heap);
  mem_free(e.symbols);
  return status;
}
