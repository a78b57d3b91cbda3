/* A file is read as a saved session, then computed with. Of a file where it matters it is said to be of the model here, and
 * its hash is made right, as a forger would. Fails on what sanitizers find, on memory that is not given back, on errors
 * without a clear line, on tokens that cannot be, and on pages that are lost. */
#include "../c/engine_kit.h"

#include <unistd.h>

#include "base/file.h"
#include "base/digest.h"
#include "fuzz.h"

enum { CONTEXT = 64, VOCAB = 5, PAGES = 4, LEAST = 56, PAGE_BYTES = 576 };

typedef struct attempt {
  const char *path;
  llama2_engine *engine;
  int32_t tokens[CONTEXT], n;
  llama2_status status;
} attempt;

static void load(void *context) {
  attempt *a = context;
  a->status = llama2_engine_load(a->engine, a->path, NULL, 0, a->tokens, &a->n);
  fuzz_check_error(a->status, a->path);
}

/* What is in its pages is any bits, so that the logits may be no numbers; but tokens are tokens. */
static void compute(const attempt *a) {
  int32_t drawn[CONTEXT], n, length = a->n < CONTEXT ? a->n : CONTEXT - 1;
  for (int32_t i = 0; i < a->n; i++) CHECK(a->tokens[i] >= 0 && a->tokens[i] < VOCAB);
  if (length == 0) return;
  llama2_request r = greedy(a->tokens, length, 4);
  r.logprobs = 1;
  llama2_event end = run_to_end(a->engine, submit(a->engine, r), drawn, &n);
  CHECK(end.end == LLAMA2_END_LENGTH || end.end == LLAMA2_END_NUMERIC);
  for (int32_t i = 0; i < n; i++) CHECK(drawn[i] >= 0 && drawn[i] < VOCAB);
}

/* What a file of this model says, from its own: where these are 0 in `data` they are put in, and the hash. */
static void seal(uint8_t *data, size_t n, llama2_engine *engine) {
  const uint8_t *own;
  char path[256];
  int32_t pages;
  write_file(path, "", 0);
  check_status(llama2_engine_save(engine, NULL, 0, NULL, 0, path, 1, &pages));
  file_map file;
  check_status(file_open(&file, path));
  own = file.data;
  CHECK(load_u64(own + 24) == PAGE_BYTES);
  for (size_t field = 16; field <= 24; field += 8)
    if (load_u64(data + field) == 0) memcpy(data + field, own + field, 8);
  file_close(&file);
  unlink(path);
  uint64_t hash = digest_bytes(DIGEST_START, data, n - 8);
  for (size_t i = 0; i < 8; i++) data[n - 8 + i] = (uint8_t)(hash >> (8 * i));
}

typedef struct input {
  const uint8_t *data;
  size_t n;
} input;

static void read_and_use(void *context) {
  static const shape tiny = {4, 1, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};
  const input *in = context;
  attempt a = {0};
  random_state = 1; /* the same model on each run */
  llama2_model *model = make_model(&tiny);
  a.engine = open_engine(model, engine_options(PAGES, 8));
  uint8_t *data = malloc(in->n ? in->n : 1);
  CHECK(data);
  if (in->n) memcpy(data, in->data, in->n);
  if (in->n >= LEAST) seal(data, in->n, a.engine);
  a.path = fuzz_write(data, in->n);
  load(&a);
  if (a.status == LLAMA2_OK) compute(&a);
  check_whole(a.engine);
  fuzz_remove();
  free(data);
  llama2_engine_free(a.engine);
  llama2_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  fuzz_within((size_t)16 << 20, read_and_use, &(input){data, n});
  return 0;
}

/* A field at an extreme or a byte changed; then often as long as it says. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned int seed) {
  static const uint32_t extremes[] = {0, 1, 2, 3, 4, 5, 31, 32, 64, 65, UINT32_MAX, INT32_MAX};
  static const size_t fields[] = {8, 12, 16, 20, 24, 28, 32, 36, 40};
  random_state = seed;
  if (random_below(2) == 0 || n < LEAST)
    n = LLVMFuzzerMutate(data, n, most);
  else
    memcpy(data + fields[random_below(sizeof fields / sizeof *fields)],
           &extremes[random_below(sizeof extremes / sizeof *extremes)], 4);
  if (n < LEAST || random_below(2)) return n;
  uint64_t tokens = load_u32(data + 32), pages = load_u32(data + 36), page = load_u64(data + 24);
  if (page == 0) page = PAGE_BYTES;
  if (tokens > 1000 || pages > 1000 || page > 10000) return n;
  size_t wanted = LEAST + (size_t)((tokens * 4 + 7) / 8 * 8 + pages * page);
  if (wanted > most) return n;
  if (wanted > n) memset(data + n, 1, wanted - n);
  return wanted;
}
