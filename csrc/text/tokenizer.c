/* text/tokenizer: reading the file, and text to tokens. */
#include "text/tokenizer.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "text/utf8.h"

/* The file. */

#define ENTRY_HEADER 8 /* float32 score, int32 length */
#define ENTRIES_MAX (1 << 24)

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int16_t byte_of(const char *text, int32_t length) {
  if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : (int16_t)(16 * high + low);
}

/* Counts the entries, up to one more than `most` (0: all), and checks that each lies inside the file. */
static llama2_status count_entries(const unsigned char *data, uint64_t size, const char *path, int32_t most,
                                   int32_t *count) {
  if (size < 4)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: %" PRIu64 " bytes are too few for a tokenizer, expected at least 4",
                       path, size);
  if (most == 0 || most > ENTRIES_MAX) most = ENTRIES_MAX;
  uint64_t at = 4;
  for (*count = 0; at < size && *count <= most; ++*count) {
    uint64_t left = size - at;
    int32_t length = left < ENTRY_HEADER ? 0 : load_i32(data + at + 4);
    if (left < ENTRY_HEADER || length < 0 || (uint64_t)length > left - ENTRY_HEADER)
      return status_fail(LLAMA2_ERR_TOKENIZER,
                         "%s: entry %d at byte %" PRIu64 " needs %" PRId64 " bytes, but %" PRIu64
                         " are left; the file is cut short, or not a tokenizer.bin",
                         path, *count, at, (int64_t)length + ENTRY_HEADER, left);
    at += ENTRY_HEADER + (uint64_t)length;
  }
  if (*count > ENTRIES_MAX) return status_fail(LLAMA2_ERR_TOKENIZER, "%s: more than %d entries", path, ENTRIES_MAX);
  return LLAMA2_OK;
}

llama2_status tokenizer_count(const char *path, int32_t most, int32_t *count) {
  file_map file;
  RETURN_IF_FAILED(file_open(&file, path));
  llama2_status status = count_entries(file.data, file.size, path, most, count);
  file_close(&file);
  return status;
}

static uint32_t hash(const char *text, size_t n) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 16777619u;
  return h ^ h >> 15;
}

/* The piece that reads text[0..n), or -1. Of equal pieces the first counts. */
static int32_t find_piece(const llama2_tokenizer *t, const char *text, size_t n) {
  if (n > (size_t)t->longest) return -1;
  for (uint32_t i = hash(text, n);; i++) {
    uint32_t slot = t->slots[i & (t->n_slots - 1)];
    if (!slot) return -1;
    const piece *p = &t->pieces[slot - 1];
    if ((size_t)p->length == n && memcmp(p->text, text, n) == 0) return (int32_t)slot - 1;
  }
}

static void add_piece(llama2_tokenizer *t, int32_t id) {
  const piece *p = &t->pieces[id];
  if (find_piece(t, p->text, (size_t)p->length) >= 0) return;
  uint32_t i = hash(p->text, (size_t)p->length);
  while (t->slots[i & (t->n_slots - 1)]) i++;
  t->slots[i & (t->n_slots - 1)] = (uint32_t)id + 1;
}

static void read_entries(llama2_tokenizer *t) {
  const unsigned char *data = (const unsigned char *)t->blob;
  uint64_t at = 4;
  t->longest = 1;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    piece *p = &t->pieces[id];
    p->score = load_f32(data + at);
    p->length = load_i32(data + at + 4);
    p->text = t->blob + at + ENTRY_HEADER;
    p->byte = byte_of(p->text, p->length);
    if (p->length > t->longest) t->longest = p->length;
    at += ENTRY_HEADER + (uint64_t)p->length;
  }
  for (int b = 0; b < 256; b++) t->bytes[b] = t->unknown;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    const piece *p = &t->pieces[id];
    bool control = id == t->unknown || id == t->bos || id == t->eos; /* text never becomes one of these */
    if (p->byte >= 0) {
      if (t->bytes[p->byte] == t->unknown) t->bytes[p->byte] = id;
    } else if (!control && p->length > 0) {
      add_piece(t, id);
    }
  }
  t->space = find_piece(t, " ", 1);
}

/* Everything is read from a copy, since the file may be written to meanwhile. */
static llama2_status copy_file(llama2_tokenizer *t, const char *path, uint64_t *size) {
  file_map file;
  RETURN_IF_FAILED(file_open(&file, path));
  llama2_status status = LLAMA2_OK;
  *size = file.size;
  if (file.size > mem_available() || !(t->blob = mem_new(1, (size_t)file.size)))
    status = status_fail_sized(LLAMA2_ERR_MEMORY, file.size, mem_available(), "%s: no memory for its %" PRIu64 " bytes",
                               path, file.size);
  else if (file.size)
    memcpy(t->blob, file.data, (size_t)file.size);
  file_close(&file);
  return status;
}

static llama2_status fill(llama2_tokenizer *t, const char *path, int32_t vocab_size) {
  uint64_t size;
  int32_t count;
  RETURN_IF_FAILED(copy_file(t, path, &size));
  RETURN_IF_FAILED(count_entries((const unsigned char *)t->blob, size, path, vocab_size, &count));
  if (vocab_size && count != vocab_size)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: holds %s%d tokens, but the model has %d; it belongs to another model",
                       path, count > vocab_size ? "at least " : "", count, vocab_size);
  if (count == 0) return status_fail(LLAMA2_ERR_TOKENIZER, "%s: holds no tokens", path);
  t->vocab_size = count;
  t->unknown = 0;
  t->bos = 1;
  t->eos = 2;
  for (t->n_slots = 16; t->n_slots < 2 * (uint32_t)count; t->n_slots *= 2) {
  }
  t->pieces = mem_new((size_t)count, sizeof *t->pieces);
  t->slots = mem_new(t->n_slots, sizeof *t->slots);
  if (!t->pieces || !t->slots)
    return status_fail_sized(LLAMA2_ERR_MEMORY, (uint64_t)count * sizeof *t->pieces, mem_available(),
                             "%s: no memory for its %d tokens", path, count);
  read_entries(t);
  return LLAMA2_OK;
}

llama2_status tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  llama2_tokenizer *t = mem_new(1, sizeof *t);
  if (!t)
    return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *t, mem_available(), "%s: no memory for its description", path);
  llama2_status status = fill(t, path, vocab_size);
  if (status == LLAMA2_OK)
    *tokenizer = t;
  else
    tokenizer_free(t);
  return status;
}

void tokenizer_free(llama2_tokenizer *t) {
  if (!t) return;
  mem_free(t->slots);
  mem_free(t->blob);
  mem_free(t->pieces);
  mem_free(t);
}

/* Text to tokens. */

/* A stretch of text that is one token so far; a doubly linked list in an array. */
typedef struct symbol {
  int32_t previous, next; /* -1 at the ends */
  uint32_t start, length; /* length 0: merged into the one before */
  int32_t token;
} symbol;

/* Two neighbours that could be one token. */
typedef struct merge {
  float score;
  int32_t left;
  uint32_t length; /* of both together: tells whether the pair still is what it was */
  int32_t token;
} merge;

typedef struct encoder {
  const llama2_tokenizer *t;
  const char *text;
  symbol *symbols;
  merge *heap;
  size_t n_heap;
} encoder;

/* The better score first, of equals the one further left. */
static bool merge_before(const merge *a, const merge *b) {
  return a->score != b->score ? a->score > b->score : a->left < b->left;
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

/* Bytes and the unknown token do not merge. */
static bool mergeable(const encoder *e, const symbol *s) {
  return s->token != e->t->unknown && e->t->pieces[s->token].byte < 0;
}

static void consider(encoder *e, int32_t left) {
  if (left < 0 || e->symbols[left].next < 0) return;
  const symbol *a = &e->symbols[left], *b = &e->symbols[a->next];
  if (!mergeable(e, a) || !mergeable(e, b)) return;
  int32_t token = find_piece(e->t, e->text + a->start, a->length + b->length);
  if (token >= 0) heap_push(e, (merge){e->t->pieces[token].score, left, a->length + b->length, token});
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

/* One symbol per character, or per byte of a character that the vocabulary lacks. Returns how many. */
static int32_t split(encoder *e, size_t n) {
  const llama2_tokenizer *t = e->t;
  int32_t count = 0;
  for (size_t i = 0; i < n;) {
    size_t length = (size_t)utf8_length((unsigned char)e->text[i]);
    int32_t token = find_piece(t, e->text + i, length);
    size_t step = token >= 0 ? length : 1;
    for (size_t end = i + length; i < end; i += step) {
      int32_t id = token >= 0 ? token : t->bytes[(unsigned char)e->text[i]];
      e->symbols[count] = (symbol){count - 1, count + 1, (uint32_t)i, (uint32_t)step, id};
      count++;
    }
  }
  if (count) e->symbols[count - 1].next = -1;
  return count;
}

llama2_status tokenizer_encode(const llama2_tokenizer *t, const char *text, size_t n, bool bos, bool eos,
                               int32_t *tokens, size_t capacity, size_t *n_tokens) {
  size_t bad = utf8_check(text, n);
  if (bad < n)
    return status_fail(LLAMA2_ERR_TEXT, "the text is not valid UTF-8 at byte %zu (0x%02x)", bad,
                       (unsigned char)text[bad]);
  if (n > INT32_MAX / 4)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a text of %zu bytes, expected at most %d", n, INT32_MAX / 4);
  size_t prefix = n && t->space >= 0 ? 1 : 0, length = prefix + n;
  /* Each byte begins at most one merge; each merge at most two more. */
  symbol *symbols = mem_new(length, sizeof *symbols);
  merge *heap = mem_new(length, 3 * sizeof *heap);
  char *spaced = mem_new(length, 1);
  llama2_status status = LLAMA2_OK;
  if (!symbols || !heap || !spaced) {
    status = status_fail_sized(LLAMA2_ERR_MEMORY, length * (sizeof *symbols + 3 * sizeof *heap), mem_available(),
                               "no memory to encode a text of %zu bytes", n);
  } else {
    if (prefix) spaced[0] = ' ';
    if (n) memcpy(spaced + prefix, text, n);
    encoder e = {t, spaced, symbols, heap, 0};
    int32_t count = split(&e, length);
    for (int32_t i = 0; i < count; i++) consider(&e, i);
    merge_all(&e);
    size_t found = bos ? 1 : 0;
    for (int32_t i = count ? 0 : -1; i >= 0; i = symbols[i].next) found++;
    found += eos ? 1 : 0;
    if (found > capacity) {
      status = status_fail(LLAMA2_ERR_ARGUMENT, "room for %zu tokens, but the text has %zu", capacity, found);
    } else {
      size_t at = 0;
      if (bos) tokens[at++] = t->bos;
      for (int32_t i = count ? 0 : -1; i >= 0; i = symbols[i].next) tokens[at++] = symbols[i].token;
      if (eos) tokens[at++] = t->eos;
      *n_tokens = at;
    }
  }
  mem_free(spaced);
  mem_free(heap);
  mem_free(symbols);
  return status;
}
