/* text/llama2c: reading llama2.c's tokenizer.bin. */
#include <inttypes.h>

#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

#define ENTRY_HEADER 8 /* float32 score, int32 length */

enum { UNKNOWN, BOS, EOS }; /* their ids, always */

/* Counts the entries and checks that each lies inside the file. */
static llama2_status count_entries(const file_map *file, const char *path, int32_t *count) {
  if (file->size < 4)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: %" PRIu64 " bytes are too few for a tokenizer, expected at least 4",
                       path, file->size);
  uint64_t at = 4;
  for (*count = 0; at < file->size; ++*count) {
    uint64_t left = file->size - at;
    int32_t length = left < ENTRY_HEADER ? 0 : load_i32(file->data + at + 4);
    if (left < ENTRY_HEADER || length < 0 || (uint64_t)length > left - ENTRY_HEADER)
      return status_fail(LLAMA2_ERR_TOKENIZER,
                         "%s: entry %d at byte %" PRIu64 " needs %" PRId64 " bytes, but %" PRIu64
                         " are left; the file is cut short, or not a tokenizer.bin",
                         path, *count, at, (int64_t)length + ENTRY_HEADER, left);
    if (*count == INT32_MAX / 4) return status_fail(LLAMA2_ERR_TOKENIZER, "%s: more than %d entries", path, *count);
    at += ENTRY_HEADER + (uint64_t)length;
  }
  return LLAMA2_OK;
}

/* <s> and </s> stand between newlines in the file. */
static text_span without_newlines(text_span s) {
  if (s.length && s.text[0] == '\n') s = (text_span){s.text + 1, s.length - 1};
  if (s.length && s.text[s.length - 1] == '\n') s.length--;
  return s;
}

static void read_entries(vocabulary_piece *pieces, int32_t count, const file_map *file) {
  uint64_t at = 4;
  for (int32_t id = 0; id < count; id++) {
    vocabulary_piece *p = &pieces[id];
    p->score = load_f32(file->data + at);
    p->text = (text_span){(const char *)file->data + at + ENTRY_HEADER, (size_t)load_i32(file->data + at + 4)};
    at += ENTRY_HEADER + p->text.length;
    if (id == BOS || id == EOS) p->text = without_newlines(p->text);
    p->kind = id == UNKNOWN ? PIECE_UNKNOWN : id == BOS || id == EOS ? PIECE_CONTROL : vocabulary_guess(p->text);
  }
}

llama2_status tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  file_map file;
  int32_t count = 0;
  RETURN_IF_FAILED(file_open(&file, path));
  llama2_status status = count_entries(&file, path, &count);
  if (status == LLAMA2_OK && vocab_size && count != vocab_size)
    status = status_fail(LLAMA2_ERR_TOKENIZER, "%s: holds %d tokens, but the model has %d; it belongs to another model",
                         path, count, vocab_size);
  size_t bytes = (size_t)count * sizeof(vocabulary_piece);
  vocabulary_piece *pieces = status == LLAMA2_OK ? mem_new(bytes) : NULL;
  if (status == LLAMA2_OK && !pieces)
    status =
        status_fail_sized(LLAMA2_ERR_MEMORY, bytes, mem_available(), "%s: no memory for its %d tokens", path, count);
  if (status == LLAMA2_OK) {
    read_entries(pieces, count, &file);
    vocabulary v = {
        .path = path,
        .model = {"llama", 5},
        .pieces = pieces,
        .n_pieces = (uint64_t)count,
        .unknown = UNKNOWN,
        .bos = count > BOS ? BOS : VOCABULARY_NONE,
        .eos = count > EOS ? EOS : VOCABULARY_NONE,
        .add_bos = VOCABULARY_YES,
        .add_eos = VOCABULARY_NO,
        .add_space = VOCABULARY_YES,
        .plain = true,
    };
    status = tokenizer_build(&v, tokenizer);
  }
  mem_free(pieces);
  file_close(&file);
  return status;
}
