/* test_quantize: a checkpoint written as every type, by any number of threads, and what ends that early. */
#include "check.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "llama2.h"

enum { DIM = 256, HIDDEN = 96, LAYERS = 2, HEADS = 4, VOCAB = 24, CONTEXT = 8, TENSORS = 2 + 9 * LAYERS };

static char source[256], target[300], other[300];

static void write_model(float spoilt) {
  enum { HEAD = DIM / HEADS, LAYER = 2 * DIM * DIM + 2 * HEAD * DIM + 3 * DIM * HIDDEN + 2 * DIM };
  static float values[VOCAB * DIM + LAYERS * LAYER + DIM + CONTEXT * HEAD];
  const int32_t shape[] = {DIM, HIDDEN, LAYERS, HEADS, 1, VOCAB, CONTEXT};
  size_t n = sizeof values / sizeof *values;
  for (size_t i = 0; i < n; i++) values[i] = 0.1f * random_float();
  values[3 * DIM + 5] = spoilt;
  static unsigned char file[sizeof shape + sizeof values];
  memcpy(file, shape, sizeof shape);
  memcpy(file + sizeof shape, values, n * 4);
  if (*source) CHECK(remove(source) == 0);
  write_file(source, file, sizeof shape + n * 4);
}

static unsigned char *read_file(const char *path, size_t *n) {
  FILE *file = fopen(path, "rb");
  CHECK_THAT(file, "cannot read %s", path);
  CHECK(fseek(file, 0, SEEK_END) == 0);
  *n = (size_t)ftell(file);
  unsigned char *data = malloc(*n);
  rewind(file);
  CHECK(data && fread(data, 1, *n, file) == *n && fclose(file) == 0);
  return data;
}

static bool is_there(const char *path) {
  return access(path, F_OK) == 0;
}

/* What one call was told. */
typedef struct told {
  int tensors, progress;
  int stop_tensor, stop_progress; /* the call of each that asks to end; -1: none */
  uint64_t bytes, done, total;
} told;

static int tell_tensor(void *context, const llama2_quantized *t) {
  told *seen = context;
  CHECK(llama2_dtype_name(t->had) && llama2_dtype_name(t->wanted) && llama2_dtype_name(t->dtype) && t->bytes > 0);
  seen->bytes += t->bytes;
  return seen->tensors++ == seen->stop_tensor;
}

static int tell_progress(void *context, uint64_t done, uint64_t total) {
  told *seen = context;
  CHECK(done >= seen->done && done <= total && (!seen->total || total == seen->total));
  seen->done = done;
  seen->total = total;
  return seen->progress++ == seen->stop_progress;
}

static llama2_status quantize(const char *in, const char *out, const char *type, int32_t threads, told *seen,
                              llama2_quantize_result *result) {
  llama2_quantize_options options = llama2_quantize_defaults();
  options.type = type;
  options.threads = threads;
  options.tensor = seen ? tell_tensor : NULL;
  options.progress = seen ? tell_progress : NULL;
  options.tensor_context = options.progress_context = seen;
  return llama2_quantize_file(in, out, &options, result);
}

static void check_type(const char *type) {
  told seen = {.stop_tensor = -1, .stop_progress = -1};
  llama2_quantize_result result;
  size_t n, n_other;
  CHECK_THAT(quantize(source, target, type, 1, &seen, &result) == LLAMA2_OK, "%s", llama2_last_error()->message);
  CHECK(seen.tensors == TENSORS && result.tensors == TENSORS && seen.progress > 0);
  CHECK(seen.done == seen.total && seen.total == result.bytes_out && seen.bytes < result.bytes_out);
  unsigned char *file = read_file(target, &n);
  CHECK(n == result.bytes_out);
  CHECK(quantize(source, other, type, 3, NULL, &result) == LLAMA2_OK);
  unsigned char *file_other = read_file(other, &n_other);
  CHECK_THAT(n == n_other && memcmp(file, file_other, n) == 0, "%s by 3 threads differs", type);
  CHECK(remove(other) == 0);
  /* Once more from itself: every tensor is of the wanted type, or has what fits, and is copied. */
  CHECK_THAT(quantize(target, other, type, 2, NULL, &result) == LLAMA2_OK, "%s", llama2_last_error()->message);
  free(file_other);
  file_other = read_file(other, &n_other);
  CHECK_THAT(n == n_other && memcmp(file, file_other, n) == 0, "%s changes what is %s already", type, type);
  llama2_model *model = NULL;
  llama2_model_options options = llama2_model_defaults();
  CHECK_THAT(llama2_model_load(target, &options, NULL, &model) == LLAMA2_OK, "%s", llama2_last_error()->message);
  llama2_model_free(model);
  free(file);
  free(file_other);
  CHECK(remove(target) == 0 && remove(other) == 0);
}

static void check_ended_early(void) {
  llama2_quantize_result result;
  for (int at = 0; at < TENSORS; at += 5) {
    told seen = {.stop_tensor = at, .stop_progress = -1};
    CHECK(quantize(source, target, "f16", 2, &seen, &result) == LLAMA2_ERR_CANCELLED);
    CHECK(seen.tensors == at + 1 && !is_there(target));
  }
  told seen = {.stop_tensor = -1, .stop_progress = 0};
  CHECK(quantize(source, target, "q4_k", 2, &seen, &result) == LLAMA2_ERR_CANCELLED);
  CHECK(seen.progress == 1 && !is_there(target));
}

static void check_refused(void) {
  llama2_quantize_result result;
  CHECK(quantize(source, target, "q9_0", 1, NULL, &result) == LLAMA2_ERR_ARGUMENT && !is_there(target));
  CHECK(quantize(source, target, "f16", -1, NULL, &result) == LLAMA2_ERR_ARGUMENT);
  CHECK(quantize(source, source, "f16", 1, NULL, &result) == LLAMA2_ERR_ARGUMENT);
  CHECK(quantize(source, "", "f16", 1, NULL, &result) == LLAMA2_ERR_IO);
  CHECK(quantize(source, target, "f16", 1, NULL, &result) == LLAMA2_OK);
  CHECK(quantize(source, target, "f16", 1, NULL, &result) == LLAMA2_ERR_IO);
  CHECK(llama2_last_error()->system == EEXIST && is_there(target) && remove(target) == 0);
  write_model(1.0f / 0.0f);
  CHECK(quantize(source, target, "f32", 1, NULL, &result) == LLAMA2_ERR_NUMERIC && !is_there(target));
  CHECK_THAT(strstr(llama2_last_error()->message, "token_embd.weight") && strstr(llama2_last_error()->message, "row 3"),
             "%s", llama2_last_error()->message);
}

int main(void) {
  write_model(0);
  snprintf(target, sizeof target, "%s.gguf", source);
  snprintf(other, sizeof other, "%s.other", source);
  int types = 0;
  for (const char *type; (type = llama2_quantize_type(types)); types++) check_type(type);
  CHECK(types == 17 && !llama2_quantize_type(-1));
  check_ended_early();
  check_refused();
  CHECK(remove(source) == 0);
  return checks_end("test_quantize");
}
