/* test_gguf: values of all types, and small models of all types that load, whole and damaged. */
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "check.h"
#include "base/half.h"
#include "format/gguf.h"
#include "llama2.h"

enum { DIM = 32, HIDDEN = 64, LAYERS = 2, HEADS = 2, KV_HEADS = 1, VOCAB = 17, CONTEXT = 5, SIZE = 1 << 17 };

/* Files. */

typedef struct image {
  unsigned char bytes[SIZE];
  size_t n;
} image;

static void put(image *f, const void *data, size_t n) {
  CHECK(f->n + n <= SIZE);
  memcpy(f->bytes + f->n, data, n);
  f->n += n;
}

static void put_u16(image *f, uint16_t value) {
  put(f, &value, 2);
}

static void put_u32(image *f, uint32_t value) {
  put(f, &value, 4);
}

static void put_u64(image *f, uint64_t value) {
  put(f, &value, 8);
}

static void put_text(image *f, const char *text) {
  put_u64(f, strlen(text));
  put(f, text, strlen(text));
}

static void put_key(image *f, const char *key, uint32_t type) {
  put_text(f, key);
  put_u32(f, type);
}

static void put_header(image *f, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
  memset(f, 0, sizeof *f);
  put(f, "GGUF", 4);
  put_u32(f, version);
  put_u64(f, n_tensors);
  put_u64(f, n_keys);
}

static void put_family_key(image *f, const char *architecture, const char *name, uint32_t type) {
  char key[128];
  snprintf(key, sizeof key, "%s.%s", architecture, name);
  put_key(f, key, type);
}

static void align(image *f) {
  while (f->n % 32) f->bytes[f->n++] = 0;
}

static void put_values(image *f, int32_t dtype, int n, float base) {
  for (int i = 0; i < n; i++) {
    float value = base + 0.3f * random_float();
    if (dtype == LLAMA2_Q8_0 && i % 32 == 0) put_u16(f, half_from_f32(0.003f));
    if (dtype == LLAMA2_F32) put(f, &value, 4);
    if (dtype == LLAMA2_F16) put_u16(f, half_from_f32(value));
    if (dtype == LLAMA2_BF16) put_u16(f, (uint16_t)(half_f32_bits(value) >> 16));
    if (dtype == LLAMA2_Q8_0) put(f, &(int8_t){(int8_t)random_below(256)}, 1);
  }
}

/* A model whose matrices are of a type: a plain Llama, or one that has all that a family adds. Returns where its
 * tensors' data begins. */
static size_t make(image *f, int32_t dtype, bool rich) {
  enum { HEAD = DIM / HEADS, KV = KV_HEADS * HEAD, PLAIN = 9, RICH = 15 };
  static const struct {
    const char *name;
    int rows, cols;
  } first[] =
      {
          {"token_embd.weight",  VOCAB, DIM     },
          {"output_norm.weight", 1,     DIM     },
          {"rope_freqs.weight",  1,     HEAD / 2},
  },
    layer[RICH] = {
        {"attn_norm.weight", 1, DIM},     {"attn_q.weight", DIM, DIM},      {"attn_k.weight", KV, DIM},
        {"attn_v.weight", KV, DIM},       {"attn_output.weight", DIM, DIM}, {"ffn_norm.weight", 1, DIM},
        {"ffn_gate.weight", HIDDEN, DIM}, {"ffn_up.weight", HIDDEN, DIM},   {"ffn_down.weight", DIM, HIDDEN},
        {"attn_q.bias", 1, DIM},          {"attn_k.bias", 1, KV},           {"attn_v.bias", 1, KV},
        {"attn_output.bias", 1, DIM},     {"attn_q_norm.weight", 1, HEAD},  {"attn_k_norm.weight", 1, HEAD},
    };
  static const struct {
    const char *key;
    uint32_t value;
  } numbers[] = {
      {"context_length",          CONTEXT },
      {"embedding_length",        DIM     },
      {"block_count",             LAYERS  },
      {"feed_forward_length",     HIDDEN  },
      {"attention.head_count",    HEADS   },
      {"attention.head_count_kv", KV_HEADS},
      {"rope.dimension_count",    HEAD    },
  };
  static const struct {
    const char *key;
    float value;
  } reals[] = {
      {"attention.layer_norm_rms_epsilon", 1e-5f},
      {"rope.freq_base",                   500  },
      {"rope.scaling.factor",              4    },
      {"rope.scaling.attn_factor",         1.25f},
      {"rope.scaling.yarn_ext_factor",     0.5f },
      {"rope.scaling.yarn_beta_fast",      16   },
      {"rope.scaling.yarn_log_multiplier", 0.5f },
  };
  const char *architecture = rich ? "qwen3" : "llama";
  const int n_reals = rich ? sizeof reals / sizeof *reals : 1, n_first = rich ? 3 : 2, n_layer = rich ? RICH : PLAIN;
  const int n_tensors = n_first + n_layer * LAYERS;
  put_header(f, 3, (uint64_t)n_tensors, (uint64_t)(10 + n_reals + rich));
  put_key(f, "general.architecture", GGUF_STRING);
  put_text(f, architecture);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    put_family_key(f, architecture, numbers[i].key, GGUF_U32);
    put_u32(f, numbers[i].value);
  }
  for (int i = 0; i < n_reals; i++) {
    put_family_key(f, architecture, reals[i].key, GGUF_F32);
    put(f, &reals[i].value, 4);
  }
  if (rich) {
    put_family_key(f, architecture, "rope.scaling.type", GGUF_STRING);
    put_text(f, "yarn");
  }
  put_key(f, "tokens", GGUF_ARRAY);
  put_u32(f, GGUF_STRING);
  put_u64(f, 2);
  put_text(f, "<s>");
  put_text(f, "");
  put_key(f, "nested", GGUF_ARRAY);
  put_u32(f, GGUF_ARRAY);
  put_u64(f, 1);
  put_u32(f, GGUF_U16);
  put_u64(f, 2);
  put_u32(f, 7);
  static image data;
  data.n = 0;
  for (int i = 0; i < n_tensors; i++) {
    const int at = i - n_first, k = at % n_layer;
    const int rows = at < 0 ? first[i].rows : layer[k].rows, cols = at < 0 ? first[i].cols : layer[k].cols;
    char name[64];
    if (at < 0)
      snprintf(name, sizeof name, "%s", first[i].name);
    else
      snprintf(name, sizeof name, "blk.%d.%s", at / n_layer, layer[k].name);
    int32_t type = rows == 1 ? LLAMA2_F32 : dtype;
    align(&data);
    put_text(f, name);
    put_u32(f, rows == 1 ? 1 : 2);
    put_u64(f, (uint64_t)cols);
    if (rows != 1) put_u64(f, (uint64_t)rows);
    put_u32(f, (uint32_t)type);
    put_u64(f, data.n);
    put_values(&data, type, rows * cols, rows == 1 ? 1.0f : 0.0f);
  }
  align(f);
  size_t begin = f->n;
  put(f, data.bytes, data.n);
  return begin;
}

/* Values. */

#define TEXT "a string"
static const char *const expected_text[] = {"", "b\xc3\xa9", "\n"};

/* The number that tests write of a type: negative where that is possible. */
static double sample(int type) {
  const double samples[] = {
      [GGUF_U8] = 250,           [GGUF_I8] = -7,       [GGUF_U16] = 65530,  [GGUF_I16] = -300,
      [GGUF_U32] = 4294967295.0, [GGUF_I32] = -70000,  [GGUF_F32] = -0.5,   [GGUF_BOOL] = 1,
      [GGUF_U64] = 0x1p52,       [GGUF_I64] = -0x1p52, [GGUF_F64] = 1e-300,
  };
  return samples[type];
}

static void put_sample(image *f, int type) {
  double value = sample(type);
  switch (type) {
    case GGUF_U8: put(f, &(uint8_t){(uint8_t)value}, 1); break;
    case GGUF_I8: put(f, &(int8_t){(int8_t)value}, 1); break;
    case GGUF_U16: put(f, &(uint16_t){(uint16_t)value}, 2); break;
    case GGUF_I16: put(f, &(int16_t){(int16_t)value}, 2); break;
    case GGUF_U32: put(f, &(uint32_t){(uint32_t)value}, 4); break;
    case GGUF_I32: put(f, &(int32_t){(int32_t)value}, 4); break;
    case GGUF_F32: put(f, &(float){(float)value}, 4); break;
    case GGUF_BOOL: put(f, &(uint8_t){(uint8_t)value}, 1); break;
    case GGUF_U64: put(f, &(uint64_t){(uint64_t)value}, 8); break;
    case GGUF_I64: put(f, &(int64_t){(int64_t)value}, 8); break;
    case GGUF_F64: put(f, &value, 8); break;
    default: abort();
  }
}

static bool is_number(int type) {
  return type != GGUF_STRING && type != GGUF_ARRAY;
}

static void check_number(const gguf_value *v, int type) {
  int64_t whole;
  double real;
  CHECK(v->type == type && v->n == 1);
  bool is_real = type == GGUF_F32 || type == GGUF_F64;
  CHECK(gguf_as_float(v, &real) == is_real && gguf_as_int(v, &whole) == (!is_real && type != GGUF_BOOL));
  if (type == GGUF_BOOL)
    CHECK(v->data[0] == 1);
  else
    CHECK((is_real ? real : (double)whole) == sample(type));
}

static void open_image(gguf_file *g, const image *f) {
  char path[256];
  write_file(path, f->bytes, f->n);
  CHECK_THAT(gguf_open(g, path) == LLAMA2_OK, "%s", llama2_last_error()->message);
  unlink(path);
}

static void test_values(uint32_t version) {
  static image f;
  char key[32];
  gguf_file g;
  gguf_value item;
  put_header(&f, version, 0, 2 * GGUF_TYPE_COUNT + 1);
  for (int type = 0; type < GGUF_TYPE_COUNT; type++) {
    snprintf(key, sizeof key, "one %d", type);
    put_key(&f, key, (uint32_t)type);
    if (is_number(type)) {
      put_sample(&f, type);
    } else if (type == GGUF_STRING) {
      put_text(&f, TEXT);
    } else { /* [[uint8] [] [[string string string]]] */
      put_u32(&f, GGUF_ARRAY);
      put_u64(&f, 3);
      put_u32(&f, GGUF_U8);
      put_u64(&f, 1);
      put_sample(&f, GGUF_U8);
      put_u32(&f, GGUF_F64);
      put_u64(&f, 0);
      put_u32(&f, GGUF_ARRAY);
      put_u64(&f, 1);
      put_u32(&f, GGUF_STRING);
      put_u64(&f, 3);
      for (int i = 0; i < 3; i++) put_text(&f, expected_text[i]);
    }
    snprintf(key, sizeof key, "many %d", type);
    put_key(&f, key, GGUF_ARRAY);
    put_u32(&f, (uint32_t)type);
    put_u64(&f, type == GGUF_ARRAY ? 0 : 3);
    for (int i = 0; i < 3 && type != GGUF_ARRAY; i++) {
      if (type == GGUF_STRING)
        put_text(&f, expected_text[i]);
      else
        put_sample(&f, type);
    }
  }
  put_key(&f, "a key after all", GGUF_U64);
  put_u64(&f, UINT64_MAX);
  open_image(&g, &f);
  CHECK(g.version == (int32_t)version && g.n_entries == 2 * GGUF_TYPE_COUNT + 1 && g.n_tensors == 0);

  for (int type = 0; type < GGUF_TYPE_COUNT; type++) {
    snprintf(key, sizeof key, "one %d", type);
    const gguf_value *v = gguf_find(&g, key), *array;
    int64_t whole;
    double real;
    bool truth;
    gguf_text text;
    CHECK(v);
    if (is_number(type)) check_number(v, type);
    /* Of the getters those that take the type succeed; the others say what they found. */
    bool is_real = type == GGUF_F32 || type == GGUF_F64;
    const struct {
      llama2_status status;
      bool fits;
    } got[] = {
        {gguf_int(&g,   key, INT64_MIN,     INT64_MAX,   &whole),   is_number(type) && !is_real && type != GGUF_BOOL},
        {gguf_float(&g,             key,    -HUGE_VAL,  HUGE_VAL, &real), is_real},
        {gguf_bool(&g,      key,         &truth),           type == GGUF_BOOL             },
        {gguf_string(&g,             key,   &text), type == GGUF_STRING},
        {gguf_array(&g, key, GGUF_ARRAY,    &array),     type == GGUF_ARRAY       },
    };
    for (size_t i = 0; i < sizeof got / sizeof *got; i++)
      CHECK_THAT((got[i].status == LLAMA2_OK) == got[i].fits, "getter %zu of %s", i, key);
    CHECK(gguf_int(&g, key, 1, 0, &whole) == LLAMA2_ERR_FORMAT && strstr(llama2_last_error()->message, key));
    CHECK(strstr(llama2_last_error()->message, g.path) == llama2_last_error()->message);

    snprintf(key, sizeof key, "many %d", type);
    CHECK(gguf_array(&g, key, (gguf_type)type, &v) == LLAMA2_OK);
    CHECK(gguf_array(&g, key, (gguf_type)((type + 1) % GGUF_TYPE_COUNT), &array) == LLAMA2_ERR_FORMAT);
    int n = 0;
    for (gguf_walk w = gguf_items(v); gguf_next(&w, &item); n++) {
      if (is_number(type))
        check_number(&item, type);
      else
        CHECK(gguf_text_is((gguf_text){(const char *)item.data, item.n}, expected_text[n]));
    }
    CHECK(n == (type == GGUF_ARRAY ? 0 : 3) && v->n == (uint64_t)n);
  }

  gguf_text text;
  CHECK(gguf_string(&g, "one 8", &text) == LLAMA2_OK && gguf_text_is(text, TEXT));
  CHECK(!gguf_text_is(text, "a strin") && !gguf_text_is(text, "a string "));
  gguf_walk outer = gguf_items(gguf_find(&g, "one 9")), inner;
  CHECK(gguf_next(&outer, &item) && item.type == GGUF_ARRAY && item.items == GGUF_U8 && item.n == 1);
  inner = gguf_items(&item);
  CHECK(gguf_next(&inner, &item) && !gguf_next(&inner, &item));
  check_number(&item, GGUF_U8);
  CHECK(gguf_next(&outer, &item) && item.items == GGUF_F64 && item.n == 0);
  CHECK(gguf_next(&outer, &item) && item.items == GGUF_ARRAY && item.n == 1 && outer.left == 0);
  inner = gguf_items(&item);
  CHECK(gguf_next(&inner, &item) && item.items == GGUF_STRING && item.n == 3 && inner.left == 0);
  CHECK(inner.at == outer.at);

  int64_t whole = 5;
  CHECK(!gguf_find(&g, "one") && !gguf_find(&g, "one 13") && !gguf_find(&g, ""));
  CHECK(gguf_int(&g, "nowhere", 0, 9, &whole) == LLAMA2_ERR_FORMAT && strstr(llama2_last_error()->message, "nowhere"));
  CHECK(gguf_int(&g, "a key after all", 0, INT64_MAX, &whole) == LLAMA2_ERR_FORMAT && whole == 5);
  CHECK(strstr(llama2_last_error()->message, "18446744073709551615"));
  CHECK(!gguf_as_int(gguf_find(&g, "a key after all"), &whole));
  gguf_close(&g);
}

static void test_quote(void) {
  char expected[64], name[80];
  CHECK(strcmp(gguf_quote((gguf_text){"a\n\xff z\0", 6}).text, "a?? z?") == 0);
  for (size_t n = 0; n <= sizeof name; n++) {
    memset(name, 'n', sizeof name);
    snprintf(expected, sizeof expected, "%.*s%s", n > 63 ? 60 : (int)n, name, n > 63 ? "..." : "");
    CHECK(strcmp(gguf_quote((gguf_text){name, n}).text, expected) == 0);
  }
}

/* Tensors. */

static void test_tensors(void) {
  static image f;
  gguf_file g;
  tensor t;
  size_t begin = make(&f, LLAMA2_Q8_0, false);
  open_image(&g, &f);
  CHECK(g.n_tensors == 2 + 9 * LAYERS && g.bytes == f.n);
  CHECK(gguf_tensor(&g, "token_embd.weight", &t));
  CHECK(t.dtype == LLAMA2_Q8_0 && t.rows == VOCAB && t.cols == DIM && t.bytes == VOCAB * DIM / 32 * 34);
  CHECK(memcmp(t.data, f.bytes + begin, (size_t)t.bytes) == 0);
  CHECK(gguf_tensor(&g, "output_norm.weight", &t) && t.dtype == LLAMA2_F32 && t.rows == 1 && t.cols == DIM);
  CHECK(!gguf_tensor(&g, "output_norm.weigh", &t) && !gguf_tensor(&g, "", &t));
  for (uint64_t i = 0; i < g.n_tensors; i++) {
    const gguf_info *info = &g.tensors[i];
    CHECK(info->data == g.parts[0].data + info->offset && info->offset % 32 == 0 && info->offset >= begin);
  }
  gguf_done(&g, &t);
  CHECK(memcmp(g.parts[0].data, f.bytes, f.n) == 0);
  CHECK(strcmp(gguf_dtype_name(12), "Q4_K") == 0);
  gguf_close(&g);
}

/* Pieces of a row, wherever they begin and end, are the values of the whole. */
static void test_tensor_values(void) {
  static image f;
  const int32_t dtypes[] = {LLAMA2_F32, LLAMA2_F16, LLAMA2_BF16, LLAMA2_Q8_0};
  enum { ROWS = 3, COLS = 96 };
  for (int k = 0; k < 4; k++) {
    f.n = 0;
    put_values(&f, dtypes[k], ROWS * COLS, 0);
    unsigned char *data = aligned(f.n);
    memcpy(data, f.bytes, f.n);
    tensor t = {.dtype = dtypes[k], .rows = ROWS, .cols = COLS, .data = data, .bytes = f.n};
    float whole[COLS], piece[COLS];
    for (int row = 0; row < ROWS; row++) {
      tensor_values(&t, row, 0, COLS, whole);
      for (int i = 0; i < 200; i++) {
        int64_t block = dtype_find(dtypes[k])->block_values, first = random_below(COLS / block) * block;
        int64_t n = 1 + random_below(COLS - first);
        tensor_values(&t, row, first, n, piece);
        CHECK(memcmp(piece, whole + first, (size_t)n * 4) == 0);
      }
      for (int i = 0; i < COLS; i++) {
        int at = row * COLS + i;
        const unsigned char *block = data + at / 32 * 34;
        const float expected = dtypes[k] == LLAMA2_F32    ? load_f32(data + 4 * at)
                               : dtypes[k] == LLAMA2_F16  ? half_to_f32(load_u16(data + 2 * at))
                               : dtypes[k] == LLAMA2_BF16 ? half_bits_f32((uint32_t)load_u16(data + 2 * at) << 16)
                                                          : half_to_f32(load_u16(block)) * (int8_t)block[2 + at % 32];
        CHECK(whole[i] == expected);
      }
    }
    free(data);
  }
}

/* Damage. */

static llama2_status load(const image *f, int32_t quantize, llama2_model **model) {
  char path[256];
  llama2_model_options options = llama2_model_defaults();
  options.quantize = quantize;
  options.threads = 1;
  write_file(path, f->bytes, f->n);
  llama2_status status = llama2_model_load(path, &options, NULL, model);
  if (status != LLAMA2_OK) {
    const char *message = llama2_last_error()->message;
    CHECK(llama2_last_error()->status == status);
    CHECK_THAT(strncmp(message, path, strlen(path)) == 0, "'%s' does not name the file", message);
  }
  unlink(path);
  return status;
}

/* Loads what may be good, and computes with it. Returns whether it was. */
static bool use(const image *f, int32_t quantize) {
  llama2_model *model = NULL;
  llama2_session *session = NULL;
  llama2_session_options options = llama2_session_defaults();
  if (load(f, quantize, &model) != LLAMA2_OK) return false;
  llama2_model_info info = llama2_model_describe(model);
  options.context = info.context < CONTEXT ? info.context : CONTEXT;
  options.threads = 1;
  CHECK(strncmp(info.format, "GGUF v", 6) == 0);
  CHECK(llama2_session_new(model, &options, &session) == LLAMA2_OK);
  int32_t tokens[CONTEXT] = {0};
  CHECK(llama2_session_eval(session, tokens, options.context, NULL) == LLAMA2_OK);
  llama2_session_free(session);
  llama2_model_free(model);
  return true;
}

/* A file cut short at any byte is refused, as a GGUF file and as a model. */
static void test_truncation(int32_t dtype) {
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
    CHECK(strncmp(llama2_last_error()->message, path, strlen(path)) == 0 &&
          strpbrk(llama2_last_error()->message, "0123456789"));
    if (n % 64 == 0) CHECK(llama2_model_load(path, &options, NULL, &model) == LLAMA2_ERR_FORMAT);
  }
  unlink(path);
}

/* Numbers of either size at their extremes at each byte before the data: refused with a line, or a model that computes.
 */
static void test_extremes(void) {
  static image good, bad;
  const uint64_t extremes[] = {
      0, 1, 2, UINT64_MAX, (uint64_t)1 << 63, 1u << 31, UINT32_MAX, (uint64_t)1 << 61, INT64_MAX, 0x0101010101010101};
  size_t begin = make(&good, LLAMA2_Q8_0, true);
  int survived = 0;
  for (size_t at = 0; at < begin; at++)
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
      bad = good;
      memcpy(bad.bytes + at, &extremes[k], k % 2 ? 4 : 8);
      survived += use(&bad, LLAMA2_KEEP);
    }
  CHECK(survived > 0);
}

static void test_random_bytes(int32_t dtype, bool rich) {
  static image good, bad;
  size_t begin = make(&good, dtype, rich);
  int survived = 0;
  for (int i = 0; i < 3000; i++) {
    bad = good;
    for (int64_t k = random_below(3); k >= 0; k--)
      bad.bytes[random_below((int64_t)begin)] =
          (unsigned char)(random_below(2) ? random_bits() : 1u << random_below(8));
    survived += use(&bad, random_below(2) ? LLAMA2_KEEP : LLAMA2_Q8_0);
  }
  CHECK(survived > 0);
}

/* Weights of any bits at all give logits or, if those are not numbers, an error when a token is drawn. */
static void test_weights_of_any_bits(int32_t dtype, int32_t quantize, bool rich) {
  static image f;
  llama2_session_options options = llama2_session_defaults();
  for (int i = 0; i < 40; i++) {
    llama2_model *model = NULL;
    llama2_session *session = NULL;
    size_t begin = make(&f, dtype, rich);
    for (int64_t k = random_below(40); k >= 0; k--) {
      uint64_t bits = random_bits();
      memcpy(f.bytes + begin + (size_t)random_below((int64_t)(f.n - begin - 8)), &bits, 8);
    }
    if (load(&f, quantize, &model) != LLAMA2_OK) {
      CHECK(rich && strstr(llama2_last_error()->message, "rope_freqs.weight"));
      continue;
    }
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
  const int32_t dtypes[] = {LLAMA2_F32, LLAMA2_F16, LLAMA2_BF16, LLAMA2_Q8_0};
  test_values(2);
  test_values(3);
  test_quote();
  test_tensors();
  test_tensor_values();
  test_truncation(LLAMA2_Q8_0);
  test_extremes();
  for (int i = 0; i < 4; i++) {
    test_random_bytes(dtypes[i], i == 3);
    test_weights_of_any_bits(dtypes[i], LLAMA2_KEEP, i == 2);
    test_weights_of_any_bits(dtypes[i], LLAMA2_Q8_0, i == 1);
  }
  return checks_end("test_gguf");
}
