/* A file is planned for, and if it is a small model loaded and computed with. Fails on what sanitizers find, on memory
 * that is not given back or is out of proportion to the file, on errors without a clear line, and on a load that does not
 * do what its plan said. */
#include "../c/check.h"
#include "fuzz.h"

#include <stdbool.h>

enum {
  OPEN_TIMES = 8,      /* bytes per byte of the file that tables of contents may take */
  WEIGHTS_TIMES = 256, /* and weights: 16 for rows that fill a panel each, 12 from 2.6 bits to 32 */
  SMALL = 4 << 20,     /* weights that are worth loading here */
  SLACK = 9 << 20,     /* each of four arenas is a whole number of huge pages */
  CONTEXT = 24,
};

typedef struct attempt {
  const char *path;
  llama2_model_options options;
  llama2_session_options session;
  float temperature;
  llama2_status status;
  llama2_model_info info;
  llama2_plan plan;
} attempt;

static void plan(void *context) {
  attempt *a = context;
  a->status = llama2_plan_file(a->path, &a->options, &a->session, &a->info, &a->plan);
  fuzz_check_error(a->status, a->path);
}

static void compute(const attempt *a, llama2_session *session) {
  llama2_sampling sampling = {a->temperature, 0.9f, 7};
  llama2_finish finish;
  int32_t tokens[CONTEXT], n, prompt = a->session.context < 6 ? a->session.context : 6;
  for (int32_t i = 0; i < prompt; i++) tokens[i] = 7 * i % a->info.vocab_size;
  CHECK_THAT(llama2_session_eval(session, tokens, prompt, NULL) == LLAMA2_OK, "%s", llama2_last_error()->message);
  llama2_status status = llama2_session_generate(session, &sampling, NULL, 0, tokens, 8, &n, &finish);
  CHECK_THAT(status == LLAMA2_OK || status == LLAMA2_ERR_NUMERIC, "%s", llama2_last_error()->message);
  fuzz_check_error(status, NULL);
  for (int32_t i = 0; i < n; i++) CHECK(tokens[i] >= 0 && tokens[i] < a->info.vocab_size);
}

/* What was planned for is neither refused nor larger. */
static void load(void *context) {
  const attempt *a = context;
  llama2_model *model = NULL;
  llama2_session *session = NULL;
  CHECK_THAT(llama2_model_load(a->path, &a->options, &a->session, &model) == LLAMA2_OK, "planned but not loaded: %s",
             llama2_last_error()->message);
  llama2_model_info info = llama2_model_describe(model);
  CHECK(info.weight_bytes == a->plan.weights && info.vocab_size == a->info.vocab_size);
  CHECK_THAT(llama2_session_new(model, &a->session, &session) == LLAMA2_OK, "%s", llama2_last_error()->message);
  compute(a, session);
  llama2_session_free(session);
  llama2_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  uint8_t choice = n ? data[n - 1] : 0;
  attempt a = {
      .path = fuzz_write(data, n),
      .options = {.quantize = choice & 1 ? LLAMA2_Q8_0 : LLAMA2_KEEP,
                  .isa = choice & 2 ? "scalar" : NULL,
                  .threads = 1},
      .session = {.batch = 4,                                                  .threads = 1                       },
      .temperature = choice & 4 ? 0 : 0.8f,
  };
  fuzz_within(OPEN_TIMES * n + 4096, plan, &a);
  if (a.status == LLAMA2_OK) {
    CHECK_THAT(a.plan.weights <= WEIGHTS_TIMES * (uint64_t)n, "%llu bytes of weights from a file of %zu",
               (unsigned long long)a.plan.weights, n);
    a.session.context = a.info.context < CONTEXT ? a.info.context : CONTEXT;
    plan(&a);
    if (a.plan.weights <= SMALL && a.plan.kv + a.plan.scratch <= SMALL)
      fuzz_within((size_t)(a.plan.weights + a.plan.kv + a.plan.scratch) + OPEN_TIMES * n + SLACK, load, &a);
  }
  fuzz_remove();
  return 0;
}

/* llama2.c's checkpoints. */

static uint64_t field(const uint8_t *data, size_t at) {
  int32_t value;
  memcpy(&value, data + at, 4);
  return (uint64_t)(value < 0 ? -(int64_t)value : value);
}

/* How long a file with this header should be; may overflow. */
static uint64_t bytes_of(const uint8_t *data) {
  bool has_magic = memcmp(data, "24ka", 4) == 0;
  size_t at = has_magic ? 8 : 0;
  uint64_t version = has_magic ? field(data, 4) : 0, group = has_magic ? field(data, 37) : 0;
  uint64_t dim = field(data, at), hidden = field(data, at + 4), layers = field(data, at + 8);
  uint64_t heads = field(data, at + 12), kv_heads = field(data, at + 16), vocab = field(data, at + 20);
  uint64_t head_dim = heads ? dim / heads : 0, q = heads * head_dim, kv = kv_heads * head_dim;
  bool shared = has_magic ? data[36] : !(data[at + 23] & 0x80);
  uint64_t matrices = vocab * dim * (shared ? 1 : 2) + layers * (2 * dim * q + 2 * dim * kv + 3 * dim * hidden);
  uint64_t bytes = (has_magic ? 256 : 28) + 4 * (2 * layers + 1) * dim;
  if (!has_magic) bytes += field(data, 24) * (head_dim / 2) * 8;
  return bytes + (version == 2 ? matrices + (group ? matrices / group : 0) * 4 : 4 * matrices);
}

static size_t mutate_llama2c(uint8_t *data, size_t n, size_t most) {
  if (n < 48 || random_below(3) == 0) return LLVMFuzzerMutate(data, n, most);
  size_t at = memcmp(data, "24ka", 4) == 0 ? 8 : 0;
  for (int64_t k = random_below(3); k >= 0; k--) {
    int32_t value = random_below(8) ? (int32_t)random_below(40) : (int32_t)random_bits();
    if (at && random_below(4) == 0)
      memcpy(data + 37, &value, 4);
    else
      memcpy(data + at + 4 * (size_t)random_below(7), &value, 4);
  }
  uint64_t wanted = bytes_of(data);
  if (wanted < 48 || wanted > most) return n;
  if (wanted > n) memset(data + n, (int)random_bits(), (size_t)wanted - n);
  return (size_t)wanted;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned int seed) {
  if (n >= 4 && memcmp(data, "GGUF", 4) == 0) return fuzz_mutate_gguf(data, n, most, seed);
  random_state = seed;
  return mutate_llama2c(data, n, most);
}
