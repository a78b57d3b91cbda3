/* A file is read as a tokenizer, and if it is one, text goes through it both ways: the end of the file, and what its tokens
 * say. Fails on what sanitizers find, on memory that is not given back or is out of proportion to the file, on errors
 * without a clear line, and on ids and characters that cannot be. */
#include "../c/check.h"
#include "base/utf8.h"
#include "fuzz.h"

enum { TIMES = 16, TEXT = 512 };

typedef struct attempt {
  const char *path;
  const char *end; /* text[0..n_end) */
  size_t n_end;
  unsigned char choice;
} attempt;

static void encode(const llama2_tokenizer *t, const attempt *a, const char *text, size_t n) {
  size_t room = 3 * n + 3, n_tokens = 0;
  int32_t *tokens = aligned(room * sizeof *tokens);
  char *copy = aligned(n);
  if (n) memcpy(copy, text, n);
  int bos = a->choice % 3 - 1, eos = a->choice / 3 % 3 - 1, special = a->choice / 9 % 2;
  llama2_status status = llama2_tokenizer_encode(t, copy, n, bos, eos, special, tokens, room, &n_tokens);
  fuzz_check_error(status, NULL);
  CHECK_THAT(status == LLAMA2_OK || status == LLAMA2_ERR_TEXT, "%s", llama2_last_error()->message);
  for (size_t i = 0; i < n_tokens; i++) CHECK(tokens[i] >= 0 && tokens[i] < llama2_tokenizer_vocab_size(t));
  free(copy);
  free(tokens);
}

/* What some of the tokens say, one after another: whole characters, at most TEXT bytes and those of one token. */
static size_t decode(const llama2_tokenizer *t, char *text) {
  int32_t n_tokens = llama2_tokenizer_vocab_size(t), step = n_tokens / 300 + 1;
  size_t room = llama2_text_stream_bound(t), length, n = 0;
  char *out = aligned(room);
  llama2_text_stream stream = {0};
  for (int32_t id = 0; id < n_tokens && n < TEXT; id += step) {
    CHECK(llama2_text_stream_push(&stream, t, id, out, room, &length) == LLAMA2_OK);
    CHECK(length <= room && utf8_check(out, length) == length);
    memcpy(text + n, out, length);
    n += length;
  }
  CHECK(llama2_text_stream_end(&stream, out, room, &length) == LLAMA2_OK && utf8_check(out, length) == length);
  free(out);
  return n;
}

static void read_and_use(void *context) {
  const attempt *a = context;
  llama2_tokenizer *t = NULL;
  llama2_status status = llama2_tokenizer_load(a->path, 0, &t);
  fuzz_check_error(status, a->path);
  if (status != LLAMA2_OK) return;
  CHECK(llama2_tokenizer_bos(t) < llama2_tokenizer_vocab_size(t));
  CHECK(llama2_tokenizer_eos(t) < llama2_tokenizer_vocab_size(t));
  int32_t n_eos;
  const int32_t *eos_ids = llama2_tokenizer_eos_ids(t, &n_eos);
  CHECK(llama2_tokenizer_eos(t) == (n_eos ? eos_ids[0] : -1));
  for (int32_t i = 0; i < n_eos; i++) CHECK(eos_ids[i] >= 0 && eos_ids[i] < llama2_tokenizer_vocab_size(t));
  encode(t, a, a->end, a->n_end);
  char *text = aligned(TEXT + llama2_text_stream_bound(t));
  encode(t, a, text, decode(t, text));
  free(text);
  llama2_tokenizer_free(t);
}

static void only_read(void *context) {
  const attempt *a = context;
  llama2_tokenizer *t = NULL;
  if (llama2_tokenizer_load(a->path, 0, &t) == LLAMA2_OK) llama2_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  size_t n_end = n < 64 ? n : 64;
  attempt a = {fuzz_write(data, n), (const char *)data + n - n_end, n_end, n ? data[n / 2] : 0};
  fuzz_within(TIMES * n + 4096, only_read, &a);
  fuzz_within(SIZE_MAX, read_and_use, &a);
  fuzz_remove();
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned int seed) {
  if (n >= 4 && memcmp(data, "GGUF", 4) == 0) return fuzz_mutate_gguf(data, n, most, seed);
  return LLVMFuzzerMutate(data, n, most);
}
