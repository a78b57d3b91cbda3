/* test_alloc_gguf: each allocation that GGUF files cause fails in turn: models in one file and in two, vocabularies, and
 * files whose counts lie, which must be refused without an allocation for what they claim. */
#include "fail_each.h"
#include "gguf_image.h"

#include <unistd.h>

static char model_file[256], vocabulary_files[2][256], parts[2][256];

static llama2_status try_plan(void) {
  llama2_model_options options = llama2_model_defaults();
  llama2_model_info info;
  llama2_plan plan = {0};
  llama2_status status = llama2_plan_file(model_file, &options, NULL, &info, &plan);
  CHECK((plan.total > 0) == (status == LLAMA2_OK));
  return status;
}

static llama2_status load(const char *path, int32_t quantize) {
  llama2_model *model = NULL;
  llama2_model_options options = llama2_model_defaults();
  options.quantize = quantize;
  options.threads = 1;
  llama2_status status = llama2_model_load(path, &options, NULL, &model);
  CHECK((model != NULL) == (status == LLAMA2_OK));
  llama2_model_free(model);
  return status;
}

static llama2_status try_load(void) {
  return load(model_file, LLAMA2_KEEP);
}
static llama2_status try_load_and_quantize(void) {
  return load(model_file, LLAMA2_Q8_0);
}
static llama2_status try_load_parts(void) {
  return load(parts[0], LLAMA2_KEEP);
}

static llama2_status load_vocabulary(const char *path) {
  llama2_tokenizer *t = NULL;
  llama2_status status = llama2_tokenizer_load(path, 0, &t);
  CHECK((t != NULL) == (status == LLAMA2_OK));
  llama2_tokenizer_free(t);
  return status;
}

static llama2_status try_pieces_by_score(void) {
  return load_vocabulary(vocabulary_files[0]);
}
static llama2_status try_pieces_by_rank(void) {
  return load_vocabulary(vocabulary_files[1]);
}

static llama2_status try_find(void) {
  char path[256];
  return llama2_tokenizer_find(vocabulary_files[0], 9, path, sizeof path);
}

/* Adds what says which part a file is to its keys. */
static void put_split(image *f, uint16_t number, uint32_t tensors) {
  put_key(f, "split.no", GGUF_U16);
  put_u16(f, number);
  put_key(f, "split.count", GGUF_U16);
  put_u16(f, 2);
  put_key(f, "split.tensors.count", GGUF_I32);
  put_u32(f, tensors);
}

/* A model in one file becomes two parts: all tensors are in the second, behind the same keys. */
static void write_parts(const image *whole) {
  static image part;
  gguf_file g;
  char path[256];
  write_file(path, whole->bytes, whole->n);
  CHECK(gguf_open(&g, path) == LLAMA2_OK);
  uint64_t n_tensors = g.n_tensors, n_keys = g.n_entries;
  size_t keys = 24, infos = 0, data = SIZE;
  for (uint64_t i = 0; i < n_tensors; i++) {
    size_t name = (size_t)((const unsigned char *)g.tensors[i].name.data - g.parts->data) - 8;
    if (!infos || name < infos) infos = name;
    if (g.tensors[i].offset < data) data = (size_t)g.tensors[i].offset;
  }
  gguf_close(&g);
  unlink(path);
  for (int i = 0; i < 2; i++) {
    put_header(&part, 3, i ? n_tensors : 0, n_keys + 3);
    put(&part, whole->bytes + keys, infos - keys);
    put_split(&part, (uint16_t)i, (uint32_t)n_tensors);
    if (i) put(&part, whole->bytes + infos, data - infos);
    align(&part);
    if (i) put(&part, whole->bytes + data, whole->n - data);
    snprintf(parts[i], sizeof parts[i], "%.200s-0000%d-of-00002.gguf", path, i + 1);
    FILE *file = fopen(parts[i], "wb");
    CHECK(file && fwrite(part.bytes, 1, part.n, file) == part.n && fclose(file) == 0);
  }
}

/* Whatever counts and lengths say, less is allocated than a few times what the file has. */
static void test_lies(const image *good, llama2_status (*attempt)(const char *path)) {
  static image bad;
  char path[256];
  const uint64_t lies[] = {1000, 1u << 16, UINT32_MAX, (uint64_t)1 << 40, (uint64_t)1 << 60, INT64_MAX, UINT64_MAX};
  size_t end = good->n < 2000 ? good->n - 8 : 2000;
  for (size_t at = 8; at < end; at++)
    for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
      copy_image(&bad, good);
      memcpy(bad.bytes + at, &lies[k], 8);
      write_file(path, bad.bytes, bad.n);
      most_bytes = 0;
      attempt(path);
      CHECK_THAT(most_bytes < 8 * bad.n + 4096, "%zu bytes for a file of %zu with 0x%" PRIx64 " at byte %zu",
                 most_bytes, bad.n, lies[k], at);
      CHECK(alive == 0);
      unlink(path);
    }
}

static llama2_status plan_only(const char *path) {
  llama2_model_options options = llama2_model_defaults();
  llama2_model_info info;
  llama2_plan plan;
  return llama2_plan_file(path, &options, NULL, &info, &plan);
}

int main(void) {
  static image f;
  const struct {
    const char *name;
    llama2_status (*attempt)(void);
    long least;
  } cases[] = {
      {"plan",               try_plan,              4},
      {"load",               try_load,              6},
      {"load and quantise",  try_load_and_quantize, 6},
      {"load parts",         try_load_parts,        9},
      {"pieces by score",    try_pieces_by_score,   9},
      {"pieces by rank",     try_pieces_by_rank,    9},
      {"find the tokenizer", try_find,              4},
  };
  for (int i = 0; i < 2; i++) {
    make_vocabulary(&f, i ? "gpt2" : "llama");
    write_file(vocabulary_files[i], f.bytes, f.n);
    test_lies(&f, load_vocabulary);
  }
  make(&f, LLAMA2_Q5_1, false);
  write_file(model_file, f.bytes, f.n);
  write_parts(&f);
  test_lies(&f, plan_only);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) fail_each(cases[i].name, cases[i].attempt, cases[i].least);
  CHECK(alive == 0);
  for (int i = 0; i < 2; i++) CHECK(remove(parts[i]) == 0 && remove(vocabulary_files[i]) == 0);
  CHECK(remove(model_file) == 0);
  return checks_end("test_alloc_gguf");
}
