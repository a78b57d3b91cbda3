/* test_checkpoint: small files of all three versions, whole and damaged, through the public interface. */
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"
#include "llama2.h"

enum { DIM = 24, HIDDEN = 20, LAYERS = 2, HEADS = 3, KV_HEADS = 1, VOCAB = 17, CONTEXT = 5, GROUP = 8, SIZE = 1 << 16 };

typedef struct image {
  unsigned char bytes[SIZE];
  size_t n;
} image;

static void put(image *f, const void *data, size_t n) {
  if (f->n + n > SIZE) abort();
  memcpy(f->bytes + f->n, data, n);
  f->n += n;
}

static void put_i32(image *f, int32_t value) {
  put(f, &value, 4);
}

static void put_floats(image *f, int n, float base) {
  for (int i = 0; i < n; i++) {
    float value = base + 0.3f * random_float();
    put(f, &value, 4);
  }
}

static void put_matrix(image *f, int version, int n) {
  if (version < 2) {
    put_floats(f, n, 0);
    return;
  }
  for (int i = 0; i < n; i++) {
    int8_t q = (int8_t)(random_below(255) - 127);
    put(f, &q, 1);
  }
  for (int i = 0; i < n / GROUP; i++) {
    float scale = 0.003f;
    put(f, &scale, 4);
  }
}

static void make(image *f, int version) {
  const int32_t shape[] = {DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT};
  const int head = DIM / HEADS;
  memset(f, 0, sizeof *f);
  if (version > 0) {
    put_i32(f, 0x616b3432);
    put_i32(f, version);
  }
  put(f, shape, sizeof shape);
  if (version > 0) {
    f->bytes[f->n++] = 1;
    put_i32(f, version == 2 ? GROUP : 0);
    f->n = 256;
    put_floats(f, (2 * LAYERS + 1) * DIM, 1);
  }
  put_matrix(f, version, VOCAB * DIM);
  if (version == 0) put_floats(f, LAYERS * DIM, 1);
  const int sizes[] = {DIM * DIM, KV_HEADS * head * DIM, KV_HEADS * head * DIM, DIM * DIM};
  for (int k = 0; k < 4; k++)
    for (int l = 0; l < LAYERS; l++) put_matrix(f, version, sizes[k]);
  if (version == 0) put_floats(f, LAYERS * DIM, 1);
  for (int k = 0; k < 3; k++)
    for (int l = 0; l < LAYERS; l++) put_matrix(f, version, HIDDEN * DIM);
  if (version == 0) {
    put_floats(f, DIM, 1);
    put_floats(f, 2 * CONTEXT * (head / 2), 0);
  }
}

static llama2_status load(const image *f, size_t n, int32_t quantize, llama2_model **model) {
  char path[256];
  llama2_model_options options = llama2_model_defaults();
  options.quantize = quantize;
  options.threads = 1;
  write_file(path, f->bytes, n);
  llama2_status status = llama2_model_load(path, &options, NULL, model);
  if (status != LLAMA2_OK) {
    const char *message = llama2_last_error()->message;
    CHECK(llama2_last_error()->status == status);
    CHECK_THAT(strncmp(message, path, strlen(path)) == 0, "'%s' does not name the file", message);
    CHECK_THAT(strpbrk(message + strlen(path), "0123456789"), "'%s' names no number", message);
  }
  unlink(path);
  return status;
}

/* Loads what may be good, and computes its whole context with it. */
static void use(const image *f, int32_t quantize) {
  llama2_model *model = NULL;
  llama2_session *session = NULL;
  llama2_session_options options = llama2_session_defaults();
  llama2_status status = load(f, f->n, quantize, &model);
  if (status != LLAMA2_OK) return;
  llama2_model_info info = llama2_model_describe(model);
  options.context = info.context < CONTEXT ? info.context : CONTEXT;
  options.threads = 2;
  CHECK(llama2_session_new(model, &options, &session) == LLAMA2_OK);
  int32_t tokens[CONTEXT] = {0};
  float *logits = aligned((size_t)options.context * (size_t)info.vocab_size * sizeof *logits);
  CHECK(llama2_session_eval(session, tokens, options.context, logits) == LLAMA2_OK);
  CHECK(llama2_session_length(session) == options.context);
  CHECK(memcmp(llama2_session_logits(session), logits + (options.context - 1) * info.vocab_size,
               (size_t)info.vocab_size * sizeof *logits) == 0);
  CHECK(llama2_session_eval(session, tokens, 1, NULL) == LLAMA2_ERR_CONTEXT);
  CHECK(llama2_last_error()->required == (uint64_t)options.context + 1);
  free(logits);
  llama2_session_free(session);
  llama2_model_free(model);
}

static void test_damage(int version) {
  static image good, bad;
  llama2_model *model = NULL;
  make(&good, version);
  use(&good, LLAMA2_KEEP);
  use(&good, LLAMA2_Q8_0);
  size_t header = version ? 256 : 28;
  for (size_t n = 0; n < good.n; n += n < header + 8 || n + 8 > good.n ? 1 : 97)
    CHECK_THAT(load(&good, n, LLAMA2_KEEP, &model) != LLAMA2_OK, "%zu of %zu bytes loaded", n, good.n);
  bad = good;
  bad.n++;
  CHECK(load(&bad, bad.n, LLAMA2_KEEP, &model) == LLAMA2_ERR_FORMAT);

  /* Each field at its extremes, and each header byte at random: refused with a line, or a model that computes. */
  const int32_t extremes[] = {0, 1, -1, 2, 3, 255, 65536, 1 << 24, INT32_MAX, INT32_MIN, INT32_MIN + 1};
  for (size_t at = 0; at + 4 <= (version ? 41 : header); at++)
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
      bad = good;
      memcpy(bad.bytes + at, &extremes[k], 4);
      use(&bad, LLAMA2_KEEP);
    }
  for (int i = 0; i < 2000; i++) {
    bad = good;
    for (int64_t k = random_below(3); k >= 0; k--)
      bad.bytes[random_below((int64_t)(version ? 45 : header))] = (unsigned char)random_bits();
    use(&bad, LLAMA2_KEEP);
  }
}

/* Weights of any bits at all give logits or, if those are not numbers, an error when a token is drawn. */
static void test_weights_of_any_bits(int version, int32_t quantize) {
  static image f;
  llama2_session_options options = llama2_session_defaults();
  for (int i = 0; i < 60; i++) {
    llama2_model *model = NULL;
    llama2_session *session = NULL;
    make(&f, version);
    for (int64_t k = random_below(40); k >= 0; k--) {
      size_t at = 256 + (size_t)random_below((int64_t)f.n - 256);
      uint64_t bits = random_bits();
      memcpy(f.bytes + (at + 8 > f.n ? f.n - 8 : at), &bits, 8);
    }
    CHECK(load(&f, f.n, quantize, &model) == LLAMA2_OK);
    CHECK(llama2_session_new(model, &options, &session) == LLAMA2_OK);
    int32_t tokens[CONTEXT] = {3, 1, 4, 1, 5}, drawn, n;
    llama2_finish finish;
    llama2_sampling sampling = {1.0f, 0.9f, 7};
    CHECK(llama2_session_eval(session, tokens, CONTEXT, NULL) == LLAMA2_OK);
    llama2_status status = llama2_session_generate(session, &sampling, NULL, 0, &drawn, 1, &n, &finish);
    CHECK(status == LLAMA2_ERR_NUMERIC || (status == LLAMA2_OK && n == 1 && drawn >= 0 && drawn < VOCAB));
    llama2_session_free(session);
    llama2_model_free(model);
  }
}

int main(void) {
  for (int version = 0; version <= 2; version++) {
    test_damage(version);
    test_weights_of_any_bits(version, LLAMA2_KEEP);
    test_weights_of_any_bits(version, LLAMA2_Q8_0);
  }
  return checks_end("test_checkpoint");
}
