/* test_gguf: values of all types, and what a file says of its tensors. Damaged files are in test_bad_gguf.c. */
#include "gguf_image.h"

#include <math.h>
#include <unistd.h>

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
    put_array(&f, key, (uint32_t)type, type == GGUF_ARRAY ? 0 : 3);
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
  const int dim = width_of(LLAMA2_Q8_0);
  open_image(&g, &f);
  CHECK(g.n_tensors == 2 + 9 * LAYERS && g.bytes == f.n);
  CHECK(gguf_tensor(&g, "token_embd.weight", &t));
  CHECK(t.dtype == LLAMA2_Q8_0 && t.rows == VOCAB && t.cols == dim && t.bytes == (uint64_t)VOCAB * 34);
  CHECK(memcmp(t.data, f.bytes + begin, (size_t)t.bytes) == 0);
  CHECK(gguf_tensor(&g, "output_norm.weight", &t) && t.dtype == LLAMA2_F32 && t.rows == 1 && t.cols == dim);
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

int main(void) {
  test_values(2);
  test_values(3);
  test_quote();
  test_tensors();
  test_tensor_values();
  return checks_end("test_gguf");
}
