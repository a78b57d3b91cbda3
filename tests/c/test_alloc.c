/* test_alloc: each allocation of the library fails in turn. GGUF files are in test_alloc_gguf.c. */
#include "fail_each.h"

#include <unistd.h>

/* A small model and its tokenizer. */

enum { DIM = 48, HIDDEN = 40, LAYERS = 2, HEADS = 3, VOCAB = 40, CONTEXT = 64, GROUP = 48 };

static char model_v0[256], model_v2[256], model_gguf[256], tokenizer_file[256];

static void put(unsigned char **at, const void *data, size_t n) {
  memcpy(*at, data, n);
  *at += n;
}

static void put_floats(unsigned char **at, size_t n, float scale) {
  for (size_t i = 0; i < n; i++) {
    float x = scale * random_float();
    put(at, &x, 4);
  }
}

static void put_matrix(unsigned char **at, bool integers, size_t n) {
  if (integers)
    for (size_t i = 0; i < n; i++) *(*at)++ = (unsigned char)(random_below(255) - 127);
  put_floats(at, integers ? n / GROUP : n, integers ? 1e-3f : 0.2f);
}

static void write_model(char path[256], bool integers) {
  static unsigned char file[400000];
  unsigned char *at = file;
  const uint32_t magic[] = {0x616b3432, 2};
  const int32_t shape[] = {DIM, HIDDEN, LAYERS, HEADS, HEADS, VOCAB, CONTEXT}, group = GROUP;
  const size_t layer[] = {DIM * DIM, DIM * DIM, DIM * DIM, DIM * DIM, HIDDEN * DIM, DIM * HIDDEN, HIDDEN * DIM};
  memset(file, 0, sizeof file);
  if (integers) put(&at, magic, sizeof magic);
  put(&at, shape, sizeof shape);
  if (integers) {
    *at++ = 1;
    put(&at, &group, 4);
    at = file + 256;
    put_floats(&at, (2 * LAYERS + 1) * DIM, 1);
  }
  put_matrix(&at, integers, VOCAB * DIM);
  if (!integers) put_floats(&at, LAYERS * DIM, 1);
  for (int m = 0; m < 7; m++) {
    if (!integers && m == 4) put_floats(&at, LAYERS * DIM, 1);
    for (int l = 0; l < LAYERS; l++) put_matrix(&at, integers, layer[m]);
  }
  if (!integers) {
    put_floats(&at, DIM, 1);
    at += CONTEXT * (DIM / HEADS) * 4;
  }
  CHECK(at < file + sizeof file);
  write_file(path, file, (size_t)(at - file));
}

static void write_tokenizer(char path[256]) {
  static unsigned char file[VOCAB * 9 + 4];
  unsigned char *at = file + 4;
  for (int32_t i = 0; i < VOCAB; i++) {
    const float score = (float)-i;
    const int32_t length = 1;
    put(&at, &score, 4);
    put(&at, &length, 4);
    *at++ = (unsigned char)(i < 3 ? '0' + i : i == 3 ? ' ' : 'a' + i - 4);
  }
  write_file(path, file, (size_t)(at - file));
}

/* What is tried. */

static llama2_model *model;
static llama2_tokenizer *tokenizer;

static llama2_status try_load(const char *path, int32_t quantize) {
  llama2_model *made = NULL;
  llama2_model_options options = llama2_model_defaults();
  options.quantize = quantize;
  options.threads = 2;
  llama2_status status = llama2_model_load(path, &options, NULL, &made);
  CHECK((made != NULL) == (status == LLAMA2_OK));
  llama2_model_free(made);
  return status;
}

static llama2_status try_load_floats(void) {
  return try_load(model_v0, LLAMA2_KEEP);
}
static llama2_status try_load_and_quantize(void) {
  return try_load(model_v0, LLAMA2_Q8_0);
}
static llama2_status try_load_integers(void) {
  return try_load(model_v2, LLAMA2_KEEP);
}

static llama2_status try_plan(void) {
  llama2_model_options options = llama2_model_defaults();
  llama2_session_options session = llama2_session_defaults();
  llama2_model_info info;
  llama2_plan plan = {0};
  llama2_status status = llama2_plan_file(model_v0, &options, &session, &info, &plan);
  CHECK((plan.total > 0) == (status == LLAMA2_OK));
  return status;
}

static llama2_status try_session(void) {
  llama2_session *made = NULL;
  llama2_session_options options = llama2_session_defaults();
  options.threads = 2;
  llama2_status status = llama2_session_new(model, &options, &made);
  CHECK((made != NULL) == (status == LLAMA2_OK));
  if (made) {
    const int32_t prompt[] = {1, 7, 9, 4, 30};
    int32_t tokens[20], n;
    float logits[5 * VOCAB];
    llama2_sampling sampling = {.temperature = 1, .top_p = 0.9f, .rng = 3};
    llama2_finish finish;
    long before = allocations;
    CHECK(llama2_session_eval(made, prompt, 5, logits) == LLAMA2_OK);
    CHECK(llama2_session_generate(made, &sampling, NULL, 0, tokens, 20, &n, &finish) == LLAMA2_OK && n == 20);
    CHECK_THAT(allocations == before, "%ld allocations while computing", allocations - before);
  }
  llama2_session_free(made);
  return status;
}

static llama2_status try_tokenizer(void) {
  llama2_tokenizer *made = NULL;
  llama2_status status = llama2_tokenizer_load(tokenizer_file, VOCAB, &made);
  CHECK((made != NULL) == (status == LLAMA2_OK));
  llama2_tokenizer_free(made);
  return status;
}

static llama2_status try_encode(void) {
  const char text[] = "abc abc z\xc3\xa9";
  int32_t tokens[20];
  size_t n = 99;
  llama2_status status = llama2_tokenizer_encode(tokenizer, text, sizeof text - 1, 1, 1, 0, tokens, 20, &n);
  CHECK((n == 99) == (status != LLAMA2_OK));
  return status;
}

static int count_tensor(void *context, const llama2_quantized *tensor) {
  CHECK(tensor->bytes > 0 && strlen(tensor->name) > 0);
  ++*(int *)context;
  return 0;
}

static llama2_status try_quantize(const char *path, const char *out, const char *named, int32_t version) {
  llama2_quantize_options options = llama2_quantize_defaults();
  llama2_quantize_result result = {0};
  int tensors = 0;
  options.tokenizer = named;
  options.llama2c = version;
  options.threads = 2;
  options.tensor = count_tensor;
  options.tensor_context = &tensors;
  llama2_status status = llama2_quantize_file(path, out, &options, &result);
  CHECK(access(out, F_OK) == (status == LLAMA2_OK ? 0 : -1));
  CHECK((result.bytes_out > 0) == (status == LLAMA2_OK) && (status != LLAMA2_OK || result.tensors == tensors));
  CHECK(remove(out) == (status == LLAMA2_OK ? 0 : -1));
  return status;
}

static llama2_status try_quantize_llama2c(void) {
  char out[300];
  snprintf(out, sizeof out, "%s.gguf", model_v2);
  return try_quantize(model_v2, out, tokenizer_file, -1);
}

static llama2_status try_quantize_gguf(void) {
  char out[300];
  snprintf(out, sizeof out, "%s.new", model_gguf);
  return try_quantize(model_gguf, out, NULL, -1);
}

static llama2_status try_export(void) {
  char out[300];
  snprintf(out, sizeof out, "%s.new", model_gguf);
  llama2_status status = try_quantize(model_gguf, out, NULL, 0);
  return status == LLAMA2_OK ? try_quantize(model_gguf, out, NULL, 2) : status;
}

static llama2_status try_write_tokenizer(void) {
  char out[300];
  snprintf(out, sizeof out, "%s.new", tokenizer_file);
  llama2_status status = llama2_tokenizer_write(tokenizer, out, 0);
  CHECK(remove(out) == (status == LLAMA2_OK ? 0 : -1));
  return status;
}

static llama2_status try_file(void) {
  llama2_file *file = NULL;
  llama2_status status = llama2_file_open(model_gguf, &file);
  CHECK((file != NULL) == (status == LLAMA2_OK));
  llama2_file_free(file);
  return status;
}

int main(void) {
  const struct {
    const char *name;
    llama2_status (*attempt)(void);
    long least;
  } cases[] = {
      {"load",              try_load_floats,       2},
      {"load and quantise", try_load_and_quantize, 2},
      {"load integers",     try_load_integers,     2},
      {"plan",              try_plan,              0},
      {"session",           try_session,           3},
      {"tokenizer",         try_tokenizer,         4},
      {"encode",            try_encode,            3},
      {"quantise",          try_quantize_llama2c,  8},
      {"quantise GGUF",     try_quantize_gguf,     8},
      {"export",            try_export,            8},
      {"write a tokenizer", try_write_tokenizer,   2},
      {"file",              try_file,              4},
  };
  write_model(model_v0, false);
  write_model(model_v2, true);
  write_tokenizer(tokenizer_file);
  snprintf(model_gguf, sizeof model_gguf, "%.240s.gguf", model_v0);
  llama2_quantize_options quantize = llama2_quantize_defaults();
  llama2_quantize_result result;
  quantize.tokenizer = tokenizer_file;
  CHECK_THAT(llama2_quantize_file(model_v0, model_gguf, &quantize, &result) == LLAMA2_OK, "%s",
             llama2_last_error()->message);
  llama2_model_options options = llama2_model_defaults();
  CHECK_THAT(llama2_model_load(model_v0, &options, NULL, &model) == LLAMA2_OK, "%s", llama2_last_error()->message);
  CHECK(llama2_tokenizer_load(tokenizer_file, VOCAB, &tokenizer) == LLAMA2_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) fail_each(cases[i].name, cases[i].attempt, cases[i].least);
  llama2_tokenizer_free(tokenizer);
  llama2_model_free(model);
  CHECK(alive == 0);
  CHECK(remove(model_v0) == 0 && remove(model_v2) == 0 && remove(tokenizer_file) == 0);
  CHECK(remove(model_gguf) == 0);
  return checks_end("test_alloc");
}
