/* test_bad_gguf: small models of all types and small vocabularies, damaged: each file is refused with one line, or it is
 * a model that computes and a tokenizer that reads any text. */
#include "gguf_image.h"

#include <unistd.h>

#define ROW(NAME, name, values, bytes) {LLAMA2_##NAME, #name, values, bytes},
static const dtype_traits types[] = {BLOCK_DTYPES(ROW)};
#undef ROW

enum { N_TYPES = sizeof types / sizeof *types };

/* What a bad file may end in: a line that names it. */
static void check_refused(const char *path, llama2_status status, llama2_status expected) {
  const llama2_error *error = llama2_last_error();
  CHECK_THAT(status == expected && error->status == status, "%d: %s", status, error->message);
  CHECK_THAT(strncmp(error->message, path, strlen(path)) == 0, "'%s' does not name the file", error->message);
  for (const char *c = error->message; *c; c++) CHECK_THAT((unsigned char)*c >= ' ', "'%s'", error->message);
}

/* Models. */

static llama2_status load(const image *f, int32_t quantize, llama2_model **model) {
  char path[256];
  llama2_model_options options = llama2_model_defaults();
  options.quantize = quantize;
  options.threads = 1;
  write_file(path, f->bytes, f->n);
  llama2_status status = llama2_model_load(path, &options, NULL, model);
  if (status != LLAMA2_OK) check_refused(path, status, LLAMA2_ERR_FORMAT);
  unlink(path);
  return status;
}

/* Computes a few tokens with a model and draws one, which is what NUMERIC may come of. */
static llama2_status compute(const llama2_model *model, float temperature) {
  llama2_session *session = NULL;
  llama2_session_options options = llama2_session_defaults();
  llama2_model_info info = llama2_model_describe(model);
  options.context = info.context < CONTEXT ? info.context : CONTEXT;
  options.threads = 1;
  CHECK(strncmp(info.format, "GGUF v", 6) == 0);
  CHECK(llama2_session_new(model, &options, &session) == LLAMA2_OK);
  int32_t tokens[CONTEXT] = {0}, drawn, n;
  for (int i = 0; i < CONTEXT; i++) tokens[i] = 3 * i % info.vocab_size;
  llama2_sampling sampling = {temperature, 0.9f, 7};
  llama2_finish finish;
  CHECK(llama2_session_eval(session, tokens, options.context, NULL) == LLAMA2_OK);
  llama2_status status = llama2_session_generate(session, &sampling, NULL, 0, &drawn, 1, &n, &finish);
  CHECK(status == LLAMA2_ERR_NUMERIC || (status == LLAMA2_OK && n == 1 && drawn >= 0 && drawn < info.vocab_size));
  llama2_session_free(session);
  return status;
}

/* Loads what may be good, and computes with it. Returns whether it was. */
static bool use(const image *f, int32_t quantize) {
  llama2_model *model = NULL;
  if (load(f, quantize, &model) != LLAMA2_OK) return false;
  compute(model, 1);
  llama2_model_free(model);
  return true;
}

/* A file cut short at any byte is refused, as a GGUF file and as a model. */
static void test_models_cut_short(int32_t dtype) {
  static image f;
  char path[256];
  gguf_file g;
  llama2_model_options options = llama2_model_defaults();
  llama2_model *model = NULL;
  make(&f, dtype, false);
  CHECK(use(&f, LLAMA2_KEEP) && use(&f, LLAMA2_Q8_0));
  write_file(path, f.bytes, f.n);
  for (size_t n = f.n; n-- > 0;) {
    CHECK(truncate(path, (off_t)n) == 0);
    CHECK_THAT(gguf_open(&g, path) == LLAMA2_ERR_FORMAT, "%zu of %zu bytes opened", n, f.n);
    check_refused(path, LLAMA2_ERR_FORMAT, LLAMA2_ERR_FORMAT);
    CHECK(strpbrk(llama2_last_error()->message + strlen(path), "0123456789"));
    if (n % 64 == 0) CHECK(llama2_model_load(path, &options, NULL, &model) == LLAMA2_ERR_FORMAT);
  }
  unlink(path);
}

/* Numbers of any size at their extremes at each byte before the data. */
static void test_extremes_in_models(void) {
  static image good, bad;
  static const struct {
    uint64_t value;
    size_t bytes;
  } extremes[] = {
      {0,                  1},
      {1,                  1},
      {0x7f,               1},
      {0x80,               1},
      {0xff,               1},
      {1,                  4},
      {1u << 31,           4},
      {UINT32_MAX,         4},
      {0,                  8},
      {2,                  8},
      {INT64_MAX,          8},
      {UINT64_MAX,         8},
      {(uint64_t)1 << 32,  8},
      {(uint64_t)1 << 61,  8},
      {(uint64_t)1 << 63,  8},
      {0x0101010101010101, 8},
  };
  size_t begin = make(&good, LLAMA2_Q8_0, true);
  int survived = 0;
  for (size_t at = 0; at < begin; at++)
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
      copy_image(&bad, &good);
      memcpy(bad.bytes + at, &extremes[k].value, extremes[k].bytes);
      survived += use(&bad, LLAMA2_KEEP);
    }
  CHECK(survived > 0);
}

static void test_random_bytes_in_models(int32_t dtype, bool rich) {
  static image good, bad;
  size_t begin = make(&good, dtype, rich);
  int survived = 0;
  for (int i = 0; i < 1000; i++) {
    copy_image(&bad, &good);
    for (int64_t k = random_below(3); k >= 0; k--)
      bad.bytes[random_below((int64_t)begin)] =
          (unsigned char)(random_below(2) ? random_bits() : 1u << random_below(8));
    survived += use(&bad, random_below(2) ? LLAMA2_KEEP : LLAMA2_Q8_0);
  }
  CHECK(survived > 0);
}

/* Weights of any bits at all give logits or, if those are not numbers, an error when a token is drawn. */
static void test_weights_of_any_bits(const dtype_traits *type, bool rich) {
  static image good, bad;
  size_t begin = make(&good, type->id, rich);
  for (int i = 0; i < (type->block_values == KBLOCK ? 6 : 40); i++) {
    copy_image(&bad, &good);
    for (int64_t k = random_below(40); k >= 0; k--) {
      uint64_t bits = random_bits();
      memcpy(bad.bytes + begin + (size_t)random_below((int64_t)(bad.n - begin - 8)), &bits, 8);
    }
    bool used = use(&bad, LLAMA2_KEEP);
    CHECK_THAT(used || (rich && strstr(llama2_last_error()->message, "rope_freqs.weight")), "%s",
               llama2_last_error()->message);
    CHECK(use(&bad, LLAMA2_Q8_0) == used);
  }
}

/* Makes the numbers of a block, or its scales, infinite or what is no number. */
static void poison(unsigned char *block, const dtype_traits *type, bool infinite) {
  const uint32_t bits = infinite ? 0x7f800000 : 0x7fc00000;
  const uint16_t half = infinite ? 0x7c00 : 0x7e00;
  if (type->id == LLAMA2_F32)
    memcpy(block, &bits, 4);
  else if (type->id == LLAMA2_BF16)
    memcpy(block, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
  else if (type->id == LLAMA2_MXFP4)
    memset(block, 0xff, (size_t)type->block_bytes); /* it has no NaN; -6 times 2^128 is no float32 */
  else
    for (int b = 0; b < type->block_bytes; b++)
      if (is_half(type, b)) memcpy(block + b, &half, 2);
}

/* One block whose scale is no number, in any matrix: the file loads, and no story is told. Infinite ones may yet give
 * numbers: a gate that is closed, a key that nobody looks at. */
static void test_weights_that_are_no_numbers(const dtype_traits *type, int32_t quantize, bool infinite) {
  static image good, bad;
  char path[256];
  gguf_file g;
  make(&good, type->id, false);
  write_file(path, good.bytes, good.n);
  CHECK(gguf_open(&g, path) == LLAMA2_OK);
  for (uint64_t i = 0; i < g.n_tensors; i++) {
    const gguf_info *t = &g.tensors[i];
    const gguf_quoted name = gguf_quote(t->name);
    if (t->type != type->id || (strncmp(name.text, "blk.1", 5) == 0 && type->block_values == KBLOCK)) continue;
    int64_t block = random_below((int64_t)t->bytes / type->block_bytes);
    llama2_model *model = NULL;
    copy_image(&bad, &good);
    poison(bad.bytes + t->offset + block * type->block_bytes, type, infinite);
    CHECK_THAT(load(&bad, quantize, &model) == LLAMA2_OK, "%s", llama2_last_error()->message);
    for (int temperature = 0; temperature < 2; temperature++) {
      llama2_status status = compute(model, (float)temperature);
      CHECK_THAT(status == LLAMA2_ERR_NUMERIC || infinite, "block %d of %s in %s, quantised as %d: status %d",
                 (int)block, type->name, name.text, quantize, status);
    }
    llama2_model_free(model);
  }
  gguf_close(&g);
  unlink(path);
}

/* Tokenizers. */

/* Loads what may be good, and turns text to tokens and back with it. Returns whether it was. */
static bool use_vocabulary(const image *f) {
  static const char text[] =
      "aba b \n<s>\xc3\xa9"
      "ab";
  enum { N = sizeof text - 1 };
  char path[256];
  llama2_tokenizer *t = NULL;
  write_file(path, f->bytes, f->n);
  llama2_status status = llama2_tokenizer_load(path, 0, &t);
  if (status != LLAMA2_OK)
    check_refused(path, status, status == LLAMA2_ERR_FORMAT ? LLAMA2_ERR_FORMAT : LLAMA2_ERR_TOKENIZER);
  unlink(path);
  if (!t) return false;
  int32_t tokens[2 * N + 3];
  size_t n, room = llama2_text_stream_bound(t), length;
  char *out = aligned(room);
  for (int special = 0; special < 2; special++) {
    status = llama2_tokenizer_encode(t, text, N, -1, -1, special, tokens, 2 * N + 3, &n);
    CHECK_THAT(status == LLAMA2_OK || status == LLAMA2_ERR_TEXT, "%s", llama2_last_error()->message);
    llama2_text_stream stream = {0};
    for (size_t i = 0; status == LLAMA2_OK && i < n; i++)
      CHECK(llama2_text_stream_push(&stream, t, tokens[i], out, room, &length) == LLAMA2_OK && length <= room);
  }
  free(out);
  llama2_tokenizer_free(t);
  return true;
}

static void test_vocabularies(const char *model) {
  static image good, bad;
  make_vocabulary(&good, model);
  CHECK_THAT(use_vocabulary(&good), "%s", llama2_last_error()->message);
  copy_image(&bad, &good);
  while (bad.n-- > 0) CHECK_THAT(!use_vocabulary(&bad), "%zu of %zu bytes", bad.n, good.n);
  const uint8_t values[] = {0, 1, 2, 0x20, 0x7f, 0x80, 0xff};
  int survived = 0;
  for (size_t at = 0; at < good.n; at++)
    for (size_t k = 0; k < sizeof values; k++)
      for (size_t bytes = 1; bytes <= 8; bytes *= 2) {
        copy_image(&bad, &good);
        memset(bad.bytes + at, values[k], at + bytes > good.n ? good.n - at : bytes);
        survived += use_vocabulary(&bad);
      }
  CHECK(survived > 0);
}

int main(void) {
  test_models_cut_short(LLAMA2_Q8_0);
  test_extremes_in_models();
  for (int i = 0; i < N_TYPES; i++) {
    if (types[i].block_values == 1) test_random_bytes_in_models(types[i].id, i % 2);
    test_weights_of_any_bits(&types[i], i % 2);
    for (int infinite = 0; infinite < 2; infinite++) {
      test_weights_that_are_no_numbers(&types[i], LLAMA2_KEEP, infinite);
      test_weights_that_are_no_numbers(&types[i], LLAMA2_Q8_0, infinite);
    }
  }
  test_random_bytes_in_models(LLAMA2_Q8_0, true);
  test_random_bytes_in_models(LLAMA2_Q5_1, false);
  test_vocabularies("llama");
  test_vocabularies("gpt2");
  return checks_end("test_bad_gguf");
}
