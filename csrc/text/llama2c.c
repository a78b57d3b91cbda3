/* text/llama2c: reading and writing llama2.c's tokenizer.bin (tokenizer.py of karpathy/llama2.c is its document). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

#define ENTRY_HEADER 8 /* float32 score, int32 length */
#define ENTRIES_MAX (1 << 24)

enum { UNKNOWN, BOS, EOS }; /* their ids, always */

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

/* <s> and </s> stand between newlines in the file. */
static text_span without_newlines(text_span s) {
  if (s.length && s.text[0] == '\n') s = (text_span){s.text + 1, s.length - 1};
  if (s.length && s.text[s.length - 1] == '\n') s.length--;
  return s;
}

static void read_entries(vocabulary_piece *pieces, int32_t count, const unsigned char *data) {
  uint64_t at = 4;
  for (int32_t id = 0; id < count; id++) {
    vocabulary_piece *p = &pieces[id];
    p->score = load_f32(data + at);
    p->text = (text_span){(const char *)data + at + ENTRY_HEADER, (size_t)load_i32(data + at + 4)};
    at += ENTRY_HEADER + p->text.length;
    if (id == BOS || id == EOS) p->text = without_newlines(p->text);
    p->kind = id == UNKNOWN ? PIECE_UNKNOWN : id == BOS || id == EOS ? PIECE_CONTROL : vocabulary_guess(p->text);
  }
}

/* Everything is read from a copy, since the file may be written to meanwhile. The caller frees it. */
static llama2_status copy_file(const char *path, unsigned char **data, uint64_t *size) {
  file_map file;
  RETURN_IF_FAILED(file_open(&file, path));
  llama2_status status = LLAMA2_OK;
  *size = file.size;
  if (file.size > mem_available() || !(*data = mem_new(1, (size_t)file.size)))
    status = status_fail_sized(LLAMA2_ERR_MEMORY, file.size, mem_available(), "%s: no memory for its %" PRIu64 " bytes",
                               path, file.size);
  else if (file.size)
    memcpy(*data, file.data, (size_t)file.size);
  file_close(&file);
  return status;
}

void tokenizer_bin_close(tokenizer_bin *b) {
  mem_free(b->pieces);
  mem_free(b->data);
  memset(b, 0, sizeof *b);
}

static llama2_status read_pieces(tokenizer_bin *b, const char *path, int32_t vocab_size, uint64_t size) {
  int32_t count;
  RETURN_IF_FAILED(count_entries(b->data, size, path, vocab_size, &count));
  if (vocab_size && count != vocab_size)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: holds %s%d tokens, but the model has %d; it belongs to another model",
                       path, count > vocab_size ? "at least " : "", count, vocab_size);
  b->pieces = mem_new((size_t)count, sizeof *b->pieces);
  if (!b->pieces)
    return status_fail_sized(LLAMA2_ERR_MEMORY, (uint64_t)count * sizeof *b->pieces, mem_available(),
                             "%s: no memory for its %d tokens", path, count);
  read_entries(b->pieces, count, b->data);
  b->vocabulary = (vocabulary){
      .path = path,
      .model = {"llama", 5},
      .pieces = b->pieces,
      .n_pieces = (uint64_t)count,
      .unknown = UNKNOWN,
      .bos = count > BOS ? BOS : VOCABULARY_NONE,
      .eos = {EOS      },
      .n_eos = count > EOS,
      .add_bos = VOCABULARY_YES,
      .add_eos = VOCABULARY_NO,
      .add_space = VOCABULARY_YES,
      .whole_words = VOCABULARY_USUAL,
      .plain = true,
  };
  return LLAMA2_OK;
}

llama2_status tokenizer_bin_open(tokenizer_bin *b, const char *path, int32_t vocab_size) {
  uint64_t size;
  memset(b, 0, sizeof *b);
  llama2_status status = copy_file(path, &b->data, &size);
  if (status == LLAMA2_OK) status = read_pieces(b, path, vocab_size, size);
  if (status != LLAMA2_OK) tokenizer_bin_close(b);
  return status;
}

llama2_status tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  tokenizer_bin b;
  RETURN_IF_FAILED(tokenizer_bin_open(&b, path, vocab_size));
  llama2_status status = tokenizer_build(&b.vocabulary, tokenizer);
  tokenizer_bin_close(&b);
  return status;
}

/* Writing one. */

/* What such a file cannot say; NULL: nothing. */
static const char *beyond(const llama2_tokenizer *t) {
  if (t->words != WORDS_NONE) return "merges within words of bytes";
  if (t->ranked) return "merges by rank";
  if (t->normal) return "normalisation form C";
  if (!t->add_space || t->space != SPACE_EACH) return "another rule of where a space goes before a text";
  if (t->split_spaces || t->whole_words) return "another rule of what a word is";
  if (t->unknown != UNKNOWN || t->bos != BOS || t->eos != EOS)
    return "other ids than 0, 1 and 2 of <unk>, <s> and </s>";
  return NULL;
}

static size_t put(unsigned char *out, size_t n, const void *bytes, size_t length) {
  if (out) memcpy(out + n, bytes, length);
  return n + length;
}

static size_t put_u32(unsigned char *out, size_t n, uint32_t value) {
  unsigned char bytes[4];
  for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(value >> 8 * i);
  return put(out, n, bytes, 4);
}

static size_t put_entry(unsigned char *out, size_t n, const llama2_tokenizer *t, int32_t id) {
  const piece *p = &t->pieces[id];
  const char *around = id == BOS || id == EOS ? "\n" : "";
  char byte[8];
  text_span text = {p->text, (size_t)p->length};
  if (p->byte >= 0) text = (text_span){byte, (size_t)snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)p->byte)};
  n = put_u32(out, n, half_f32_bits(p->score));
  n = put_u32(out, n, (uint32_t)(text.length + 2 * strlen(around)));
  n = put(out, n, around, strlen(around));
  n = put(out, n, text.text, text.length);
  return put(out, n, around, strlen(around));
}

/* Returns the bytes; out: NULL, or room for them. */
static size_t put_all(unsigned char *out, const llama2_tokenizer *t) {
  size_t n = 4, longest = 0;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t entry = put_entry(out, n, t, id) - n;
    if (entry - ENTRY_HEADER > longest) longest = entry - ENTRY_HEADER;
    n += entry;
  }
  put_u32(out, 0, (uint32_t)longest);
  return n;
}

llama2_status tokenizer_write(const llama2_tokenizer *t, const char *path, bool replace) {
  const char *what = beyond(t);
  if (what)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: the tokenizer has %s, which a tokenizer.bin cannot say", path, what);
  size_t n = put_all(NULL, t);
  unsigned char *data = mem_new(n, 1);
  file_out f;
  if (!data)
    return status_fail_sized(LLAMA2_ERR_MEMORY, n, mem_available(), "%s: no memory for its %zu bytes", path, n);
  put_all(data, t);
  llama2_status status = file_out_open(&f, path, n, replace);
  if (status == LLAMA2_OK) {
    status = file_out_write(&f, data, n);
    if (status == LLAMA2_OK)
      status = file_out_end(&f);
    else
      file_out_discard(&f);
  }
  mem_free(data);
  return status;
}
