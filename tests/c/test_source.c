/* test_source: a checkpoint put together in memory is the GGUF file that holds the same, whatever order its rows lie in;
 * what is put wrongly is refused at once, or when it is used; and each allocation fails in turn. */
#include "fail_each.h"
#include "format/source.h"
#include "gguf_image.h"

#include <unistd.h>

/* A source and the data that its tensors point to, each to the byte. */
typedef struct built {
  llama2_source *source;
  unsigned char *data[2 + 15 * LAYERS + 1];
  int n;
} built;

static char file[256], target[300], other[300];
static gguf_file original; /* what sources are made of, as it lies in `file` */

/* Pointers into the file. */
static int by_place(const void *a, const void *b) {
  const unsigned char *left = *(const unsigned char *const *)a, *right = *(const unsigned char *const *)b;
  return (left > right) - (left < right);
}

/* In the order of the file; arrays, of which some are nested, as they lie there. */
static void put_keys(llama2_source *s, const gguf_file *f) {
  const char *places[64];
  char key[64];
  CHECK(f->n_entries <= 64);
  for (uint64_t i = 0; i < f->n_entries; i++) places[i] = f->entries[i].key.data;
  qsort(places, (size_t)f->n_entries, sizeof *places, by_place);
  for (uint64_t k = 0; k < f->n_entries; k++) {
    const gguf_entry *e = f->entries;
    while (e->key.data != places[k]) e++;
    const gguf_value *v = &e->value;
    snprintf(key, sizeof key, "%.*s", (int)e->key.n, e->key.data);
    if (v->type == GGUF_U32)
      llama2_source_put_uint(s, key, load_u32(v->data));
    else if (v->type == GGUF_F32)
      llama2_source_put_float(s, key, load_f32(v->data));
    else if (v->type == GGUF_BOOL)
      llama2_source_put_bool(s, key, v->data[0]);
    else if (v->type == GGUF_STRING)
      llama2_source_put_text(s, key, (const char *)v->data, v->n);
    else
      gguf_put_entry(&s->head, e);
  }
}

/* How matrices are cut into pieces. */
typedef enum cut { WHOLE, ROWS, COLUMNS } cut;

/* The bytes of a tensor as two pieces of the same size, one behind the other; false where it cannot be cut so. */
static bool cut_in_two(const gguf_info *t, cut how, const unsigned char *data, unsigned char *out) {
  const dtype_traits *type = dtype_find(t->type);
  int64_t rows = t->dims[1], row = (int64_t)t->bytes / rows;
  if (t->n_dims < 2 || (how == ROWS ? rows % 2 : t->dims[0] / type->block_values % 2)) return false;
  for (int64_t i = 0; how == COLUMNS && i < 2 * rows; i++)
    memcpy(out + i * row / 2, data + i % rows * row + i / rows * (row / 2), (size_t)row / 2);
  if (how == ROWS) memcpy(out, data, (size_t)t->bytes);
  return true;
}

static int n_cut; /* tensors that were put in pieces */

/* Rows (the values of a vector) of queries and keys lie with the even ones of each head first, if `head` is not 0; what is
 * named `lacks` is left out. */
static llama2_status build(built *b, int64_t head, cut how, const char *lacks) {
  const gguf_file *f = &original;
  b->n = 0;
  RETURN_IF_FAILED(llama2_source_new("made up", &b->source));
  put_keys(b->source, f);
  llama2_status status = LLAMA2_OK;
  const unsigned char *places[2 + 15 * LAYERS + 1];
  for (uint64_t i = 0; i < f->n_tensors; i++) places[i] = f->tensors[i].data;
  qsort(places, (size_t)f->n_tensors, sizeof *places, by_place);
  for (uint64_t i = 0; status == LLAMA2_OK && i < f->n_tensors; i++) {
    const gguf_info *t = f->tensors;
    while (t->data != places[i]) t++;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.data);
    if (lacks && strstr(name, lacks)) continue;
    int64_t parts = t->n_dims == 1 ? t->dims[0] : t->dims[1], bytes = (int64_t)t->bytes / parts;
    int64_t split = strstr(name, "attn_q.") || strstr(name, "attn_k.") ? head : 0;
    unsigned char *data = malloc((size_t)t->bytes);
    CHECK(data);
    for (int64_t row = 0; row < parts; row++) {
      int64_t at = split ? row / split * split + row % split % 2 * (split / 2) + row % split / 2 : row;
      memcpy(data + at * bytes, t->data + row * bytes, (size_t)bytes);
    }
    b->data[b->n++] = data;
    if (how != WHOLE && cut_in_two(t, how, t->data, data)) {
      const void *pieces[] = {data, data + t->bytes / 2};
      n_cut++;
      status = llama2_source_join_tensor(b->source, name, t->type, t->n_dims, t->dims, pieces, 2, t->bytes / 2,
                                         how == COLUMNS);
    } else {
      status = llama2_source_put_tensor(b->source, name, t->type, t->n_dims, t->dims, data, t->bytes, split);
    }
  }
  return status;
}

static void drop(built *b) {
  llama2_source_free(b->source);
  for (int i = 0; i < b->n; i++) free(b->data[i]);
  *b = (built){0};
}

static void write_original(const image *f) {
  write_file(file, f->bytes, f->n);
  snprintf(target, sizeof target, "%s.gguf", file);
  snprintf(other, sizeof other, "%s.other", file);
  CHECK(gguf_open(&original, file) == LLAMA2_OK);
}

static void remove_original(void) {
  gguf_close(&original);
  CHECK(remove(file) == 0);
}

/* What a source gives. */

static void check_same_files(const char *a, const char *b) {
  FILE *left = fopen(a, "rb"), *right = fopen(b, "rb");
  CHECK(left && right);
  int byte = 0;
  while (byte != EOF && (byte = getc(left)) == getc(right)) continue;
  CHECK_THAT(byte == EOF, "%s and %s differ", a, b);
  CHECK(feof(left) && feof(right) && fclose(left) == 0 && fclose(right) == 0 && remove(a) == 0 && remove(b) == 0);
}

static void check_written(const llama2_source *source, const char *type) {
  llama2_quantize_options options = llama2_quantize_defaults();
  llama2_quantize_result result, expected;
  options.type = type;
  options.threads = 2;
  CHECK_THAT(llama2_source_quantize(source, target, &options, &result) == LLAMA2_OK, "%s",
             llama2_last_error()->message);
  CHECK(llama2_quantize_file(file, other, &options, &expected) == LLAMA2_OK);
  CHECK(result.bytes_out == expected.bytes_out && result.tensors == expected.tensors);
  check_same_files(target, other);
}

static void compute(llama2_model *model, float logits[CONTEXT * VOCAB]) {
  const int32_t tokens[CONTEXT] = {1, 16, 3, 8, 1};
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  options.threads = 2;
  CHECK(llama2_session_new(model, &options, &session) == LLAMA2_OK);
  CHECK(llama2_session_eval(session, tokens, CONTEXT, logits) == LLAMA2_OK);
  llama2_session_free(session);
  llama2_model_free(model);
}

static void check_computed(const llama2_source *source, int32_t quantize) {
  float found[CONTEXT * VOCAB], expected[CONTEXT * VOCAB];
  llama2_model *model;
  llama2_model_options options = llama2_model_defaults();
  llama2_model_info info, said;
  llama2_plan plan, planned;
  options.quantize = quantize;
  CHECK(llama2_source_plan(source, &options, NULL, &info, &plan) == LLAMA2_OK);
  CHECK(llama2_plan_file(file, &options, NULL, &said, &planned) == LLAMA2_OK);
  CHECK(plan.weights == planned.weights && plan.load == planned.load && info.parameters == said.parameters);
  CHECK(strcmp(info.format, "source") == 0 && strcmp(info.architecture, said.architecture) == 0);
  CHECK_THAT(llama2_source_load(source, &options, NULL, &model) == LLAMA2_OK, "%s", llama2_last_error()->message);
  compute(model, found);
  CHECK(llama2_model_load(file, &options, NULL, &model) == LLAMA2_OK);
  compute(model, expected);
  CHECK_THAT(memcmp(found, expected, sizeof found) == 0, "logits differ");
}

static void test_types(void) {
  static image f;
#define ROW(NAME, name, values, bytes) LLAMA2_##NAME,
  const int32_t dtypes[] = {BLOCK_DTYPES(ROW)};
#undef ROW
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    for (int rich = 0; rich < 2; rich++)
      for (int lying = 0; lying < 4; lying++) {
        built b = {0};
        make(&f, dtypes[i], rich);
        write_original(&f);
        n_cut = 0;
        CHECK(build(&b, lying == 3 ? width_of(dtypes[i]) / HEADS : 0, lying == 3 ? WHOLE : (cut)lying, NULL) ==
              LLAMA2_OK);
        CHECK((n_cut > 0) == (lying == ROWS || (lying == COLUMNS && dtype_find(dtypes[i])->block_values < KBLOCK)));
        check_computed(b.source, LLAMA2_KEEP);
        check_computed(b.source, LLAMA2_Q8_0);
        check_written(b.source, "f32");
        if (dtype_find(dtypes[i])->block_values == 1) check_written(b.source, dtype_find(dtypes[i])->name);
        drop(&b);
        remove_original();
      }
}

static void test_tokenizer(void) {
  static image f;
  built b = {0};
  llama2_tokenizer *t, *expected;
  int32_t ids[2][16];
  size_t n[2];
  make_vocabulary(&f, "llama");
  write_original(&f);
  CHECK(build(&b, 0, WHOLE, NULL) == LLAMA2_OK);
  CHECK(llama2_source_tokenizer(b.source, 9, &t) == LLAMA2_OK);
  CHECK(llama2_tokenizer_load(file, 9, &expected) == LLAMA2_OK);
  CHECK(llama2_tokenizer_encode(t, "ab aba", 6, -1, -1, 0, ids[0], 16, &n[0]) == LLAMA2_OK);
  CHECK(llama2_tokenizer_encode(expected, "ab aba", 6, -1, -1, 0, ids[1], 16, &n[1]) == LLAMA2_OK);
  CHECK(n[0] == n[1] && memcmp(ids[0], ids[1], n[0] * sizeof **ids) == 0);
  llama2_tokenizer_free(t);
  llama2_tokenizer_free(expected);
  CHECK(llama2_source_tokenizer(b.source, 8, &t) == LLAMA2_ERR_TOKENIZER);
  CHECK(llama2_source_tokenizer(b.source, -1, &t) == LLAMA2_ERR_ARGUMENT);
  drop(&b);
  remove_original();
}

/* Arrays that are put one by one, as a GGUF file has them. */
static void test_arrays(void) {
  llama2_source *s;
  gguf_file f;
  const gguf_value *v;
  gguf_value item;
  const int32_t ints[] = {-1, INT32_MAX};
  const float floats[] = {0.5f};
  const uint64_t lengths[] = {1, 0, 3};
  const char *const expected[] = {"a", "", "bcd"};
  CHECK(llama2_source_new("arrays", &s) == LLAMA2_OK);
  llama2_source_put_ints(s, "ints", ints, 2);
  llama2_source_put_floats(s, "floats", floats, 1);
  llama2_source_put_texts(s, "texts", "abcd", lengths, 3);
  llama2_source_put_texts(s, "none", NULL, NULL, 0);
  CHECK(source_open(s, &f) == LLAMA2_OK && f.n_entries == 4 && f.n_tensors == 0);
  CHECK(gguf_array(&f, "ints", GGUF_I32, &v) == LLAMA2_OK && v->n == 2 && load_i32(v->data + 4) == INT32_MAX);
  CHECK(gguf_array(&f, "floats", GGUF_F32, &v) == LLAMA2_OK && v->n == 1 && load_f32(v->data) == 0.5f);
  CHECK(gguf_array(&f, "none", GGUF_STRING, &v) == LLAMA2_OK && v->n == 0);
  CHECK(gguf_array(&f, "texts", GGUF_STRING, &v) == LLAMA2_OK && v->n == 3);
  gguf_walk w = gguf_items(v);
  for (int i = 0; gguf_next(&w, &item); i++)
    CHECK(gguf_text_is((gguf_text){(const char *)item.data, item.n}, expected[i]));
  gguf_close(&f);
  llama2_source_free(s);
}

/* What is refused. */

static llama2_status plan(const llama2_source *source) {
  llama2_model_options options = llama2_model_defaults();
  llama2_model_info info;
  llama2_plan planned;
  return llama2_source_plan(source, &options, NULL, &info, &planned);
}

static void test_tensors_that_do_not_fit(void) {
  static const unsigned char data[4096];
  const int64_t huge = INT64_C(1) << 62;
  const struct {
    int32_t dtype, n_dims;
    int64_t dims[5];
    uint64_t bytes;
    int64_t split;
    const char *complaint;
  } rows[] = {
      {LLAMA2_Q8_F, 1, {32},               36,  0,  "of type 1000"              },
      {5,           1, {32},               32,  0,  "of type 5"                 },
      {LLAMA2_F32,  0, {0},                0,   0,  "0 dimensions, expected 1"  },
      {LLAMA2_F32,  5, {1, 1, 1, 1, 1},    4,   0,  "5 dimensions, expected 1"  },
      {LLAMA2_F32,  2, {8, 0},             0,   0,  "expected dimensions of at" },
      {LLAMA2_F32,  2, {-8, -1},           32,  0,  "is -8 x -1 x 1 x 1"        },
      {LLAMA2_F32,  3, {huge, huge, huge}, 0,   0,  "expected dimensions of at" },
      {LLAMA2_F32,  1, {huge},             0,   0,  "expected dimensions of at" },
      {LLAMA2_F32,  1, {huge / 4},         0,   0,  "has 0 bytes, but its shape"},
      {LLAMA2_Q8_0, 2, {33, 2},            68,  0,  "a multiple of q8_0's 32"   },
      {LLAMA2_F16,  2, {8, 4},             63,  0,  "has 63 bytes, but its"     },
      {LLAMA2_F16,  2, {8, 4},             128, 0,  "takes 64"                  },
      {LLAMA2_F16,  2, {8, 6},             96,  4,  "6 rows or values that are" },
      {LLAMA2_F16,  2, {8, 6},             96,  3,  "split by 3, expected an"   },
      {LLAMA2_F16,  2, {8, 6},             96,  -2, "split by -2"               },
      {LLAMA2_Q8_0, 1, {64},               68,  2,  "split by 2"                },
  };
  llama2_source *s;
  CHECK(llama2_source_new("lies", &s) == LLAMA2_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    llama2_status status = llama2_source_put_tensor(s, "t", rows[i].dtype, rows[i].n_dims, rows[i].dims, data,
                                                    rows[i].bytes, rows[i].split);
    const char *message = llama2_last_error()->message;
    CHECK_THAT(status == LLAMA2_ERR_ARGUMENT, "row %zu is taken", i);
    CHECK_THAT(strncmp(message, "lies: the tensor t ", 19) == 0 && strstr(message, rows[i].complaint), "%s", message);
  }
  CHECK(s->head.n_tensors == 0 && s->head.n_keys == 0);
  llama2_source_free(s);
}

static void test_pieces_that_do_not_fit(void) {
  static const unsigned char data[4096];
  const void *const pieces[] = {data, data, data, data};
  const struct {
    int32_t dtype;
    int64_t dims[2];
    int32_t n;
    uint64_t bytes;
    int side_by_side;
    const char *complaint;
  } rows[] = {
      {LLAMA2_F16,  {8, 4},  0,  64,                0, "in 0 pieces, expected at least 1"         },
      {LLAMA2_F16,  {8, 4},  -1, 64,                0, "in -1 pieces, expected at least 1"        },
      {LLAMA2_F16,  {8, 4},  2,  64,                0, "has 128 bytes, but its shape takes 64"    },
      {LLAMA2_F16,  {8, 4},  2,  UINT64_C(1) << 63, 0, "but its shape takes 64"                   },
      {LLAMA2_F16,  {8, 6},  4,  24,                0, "has 6 rows, expected a multiple of 4 for" },
      {LLAMA2_F16,  {6, 8},  4,  24,                1, "has 6 columns, expected a multiple of 4"  },
      {LLAMA2_Q8_0, {96, 2}, 2,  102,               1, "has 96 columns, expected a multiple of 64"},
      {5,           {8, 4},  2,  64,                0, "of type 5"                                },
  };
  llama2_source *s;
  CHECK(llama2_source_new("lies", &s) == LLAMA2_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    llama2_status status = llama2_source_join_tensor(s, "t", rows[i].dtype, 2, rows[i].dims, pieces, rows[i].n,
                                                     rows[i].bytes, rows[i].side_by_side);
    const char *message = llama2_last_error()->message;
    CHECK_THAT(status == LLAMA2_ERR_ARGUMENT, "row %zu is taken", i);
    CHECK_THAT(strncmp(message, "lies: the tensor t ", 19) == 0 && strstr(message, rows[i].complaint), "%s", message);
  }
  CHECK(s->head.n_tensors == 0);
  llama2_source_free(s);
}

static void check_refused(llama2_source *source, const char *complaint) {
  CHECK(plan(source) == LLAMA2_ERR_FORMAT);
  const char *message = llama2_last_error()->message;
  CHECK_THAT(strncmp(message, "made up: ", 9) == 0 && strstr(message, complaint), "%s", message);
}

static void test_lies(void) {
  static image f;
  const int64_t dims[] = {32};
  const float values[32] = {0};
  char name[100];
  built b = {0};
  make(&f, LLAMA2_F32, false);
  write_original(&f);
  CHECK(build(&b, 0, WHOLE, "blk.1.ffn_up") == LLAMA2_OK);
  check_refused(b.source, "blk.1.ffn_up.weight is missing");
  CHECK(llama2_source_put_tensor(b.source, "blk.0.attn_norm.weight", 0, 1, dims, values, 128, 0) == LLAMA2_OK);
  check_refused(b.source, "blk.0.attn_norm.weight is there twice");
  drop(&b);
  CHECK(build(&b, 0, WHOLE, NULL) == LLAMA2_OK);
  CHECK(llama2_source_put_tensor(b.source, "blk.0.surplus", 0, 1, dims, values, 128, 0) == LLAMA2_OK);
  check_refused(b.source, "blk.0.surplus");
  drop(&b);
  CHECK(build(&b, 0, WHOLE, "output_norm") == LLAMA2_OK);
  CHECK(llama2_source_put_tensor(b.source, "output_norm.weight", 0, 1, (int64_t[]){31}, values, 124, 0) == LLAMA2_OK);
  check_refused(b.source, "output_norm.weight is 1 x 31, expected 1 x 32");
  drop(&b);
  const struct {
    const char *key, *complaint;
    uint32_t value;
  } keys[] = {
      {"llama.block_count",  "the key llama.block_count is there twice", LAYERS},
      {"general.alignment",  "general.alignment is 48",                  48    },
      {"general.alignment",  "expected a multiple of the alignment",     4096  },
      {"llama.expert_count", "llama.expert_used_count is missing",       8     },
      {"",                   "its name has 0 bytes",                     0     },
  };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    CHECK(build(&b, 0, WHOLE, NULL) == LLAMA2_OK);
    llama2_source_put_uint(b.source, keys[i].key, keys[i].value);
    check_refused(b.source, keys[i].complaint);
    drop(&b);
  }
  CHECK(llama2_source_new("made up", &b.source) == LLAMA2_OK);
  check_refused(b.source, "general.architecture is missing");
  /* Each tensor takes as many bytes as can be counted: more than one cannot be. */
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "t%d", i);
    const int64_t most[] = {INT64_C(1) << 61};
    CHECK(llama2_source_put_tensor(b.source, name, 0, 1, most, values, UINT64_C(1) << 63, 0) == LLAMA2_OK);
  }
  check_refused(b.source, "more bytes than can be counted");
  drop(&b);
  remove_original();
}

static void test_bad_values(void) {
  static image f;
  built b = {0};
  llama2_quantize_options options = llama2_quantize_defaults();
  llama2_quantize_result result;
  make(&f, LLAMA2_F32, false);
  write_original(&f);
  CHECK(build(&b, 16, WHOLE, NULL) == LLAMA2_OK);
  const float infinite = 1.0f / 0.0f;
  memcpy(b.data[0] + (size_t)4 * 32 * 9, &infinite, 4);
  options.type = "f16";
  CHECK(llama2_source_quantize(b.source, target, &options, &result) == LLAMA2_ERR_NUMERIC);
  CHECK_THAT(strstr(llama2_last_error()->message,
                    "token_embd.weight has a value that is not a finite number, in row 9, column 0"),
             "%s", llama2_last_error()->message);
  CHECK(access(target, F_OK) != 0);
  drop(&b);
  remove_original();
}

/* Memory. */

static llama2_status try_all(void) {
  built b = {0};
  llama2_model_options options = llama2_model_defaults();
  llama2_model *model = NULL;
  options.threads = 1;
  llama2_status status = build(&b, 16, COLUMNS, NULL);
  if (status == LLAMA2_OK) status = llama2_source_load(b.source, &options, NULL, &model);
  CHECK((model != NULL) == (status == LLAMA2_OK));
  llama2_model_free(model);
  drop(&b);
  return status;
}

static llama2_status try_write(void) {
  built b = {0};
  llama2_quantize_options options = llama2_quantize_defaults();
  llama2_quantize_result result;
  options.threads = 1;
  options.replace = 1;
  llama2_status status = build(&b, 16, WHOLE, NULL);
  if (status == LLAMA2_OK) status = llama2_source_quantize(b.source, target, &options, &result);
  drop(&b);
  return status;
}

int main(void) {
  static image f;
  test_types();
  test_tokenizer();
  test_arrays();
  test_tensors_that_do_not_fit();
  test_pieces_that_do_not_fit();
  test_lies();
  test_bad_values();
  make(&f, LLAMA2_F16, true);
  write_original(&f);
  fail_each("load a source", try_all, 9);
  fail_each("write a source", try_write, 12);
  CHECK(remove(target) == 0);
  remove_original();
  CHECK(alive == 0);
  return checks_end("test_source");
}
