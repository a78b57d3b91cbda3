/* gguf_image: GGUF files in memory, put together byte by byte: small models of any type, and vocabularies. */
#ifndef GGUF_IMAGE_H
#define GGUF_IMAGE_H

#include "check.h"
#include "base/half.h"
#include "format/dequantize.h"
#include "format/gguf.h"
#include "llama2.h"

enum { LAYERS = 2, HEADS = 2, KV_HEADS = 1, VOCAB = 17, CONTEXT = 5, SIZE = 1 << 20 };

typedef struct image {
  unsigned char bytes[SIZE];
  size_t n;
} image;

static inline void put(image *f, const void *data, size_t n) {
  CHECK(f->n + n <= SIZE);
  memcpy(f->bytes + f->n, data, n);
  f->n += n;
}

static inline void put_u16(image *f, uint16_t value) {
  put(f, &value, 2);
}

static inline void put_u32(image *f, uint32_t value) {
  put(f, &value, 4);
}

static inline void put_u64(image *f, uint64_t value) {
  put(f, &value, 8);
}

static inline void put_text(image *f, const char *text) {
  put_u64(f, strlen(text));
  put(f, text, strlen(text));
}

static inline void put_key(image *f, const char *key, uint32_t type) {
  put_text(f, key);
  put_u32(f, type);
}

static inline void put_array(image *f, const char *key, uint32_t items, uint64_t n) {
  put_key(f, key, GGUF_ARRAY);
  put_u32(f, items);
  put_u64(f, n);
}

static inline void put_header(image *f, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
  f->n = 0;
  put(f, "GGUF", 4);
  put_u32(f, version);
  put_u64(f, n_tensors);
  put_u64(f, n_keys);
}

static inline void align(image *f) {
  while (f->n % 32) put(f, "", 1);
}

static inline void copy_image(image *to, const image *from) {
  memcpy(to->bytes, from->bytes, from->n);
  to->n = from->n;
}

/* Whether bytes at and at + 1 of a block are a float16 that its values hang on. */
static inline bool is_half(const dtype_traits *type, int at) {
  unsigned char block[256] = {0};
  float values[KBLOCK];
  if (at + 2 > type->block_bytes || type->id == LLAMA2_F32) return false;
  block[at + 1] = 0x7e;
  dequantize_row(type->id, block, type->block_values, values);
  for (int i = 0; i < type->block_values; i++)
    if (values[i] == values[i]) return false;
  return true;
}

/* Blocks of any bits, but for scales that make of them numbers about as large as weights are. */
static inline void put_blocks(image *f, const dtype_traits *type, int n) {
  const uint16_t scale = half_from_f32(type->block_values == KBLOCK ? 1e-4f : 3e-3f);
  int halves[256], n_halves = 0;
  for (int b = 0; b < type->block_bytes; b++)
    if (is_half(type, b)) halves[n_halves++] = b;
  for (int i = 0; i < n; i += type->block_values) {
    unsigned char *block = f->bytes + f->n;
    for (int b = 0; b < type->block_bytes; b++) put(f, &(uint8_t){(uint8_t)random_bits()}, 1);
    for (int b = 0; b < n_halves; b++) memcpy(block + halves[b], &scale, 2);
    if (type->id == LLAMA2_MXFP4) block[0] = 122;
  }
}

static inline void put_values(image *f, int32_t dtype, int n, float base) {
  if (dtype != LLAMA2_F32 && dtype != LLAMA2_F16 && dtype != LLAMA2_BF16) {
    put_blocks(f, dtype_find(dtype), n);
    return;
  }
  for (int i = 0; i < n; i++) {
    float value = base + 0.3f * random_float();
    if (dtype == LLAMA2_F32) put(f, &value, 4);
    if (dtype == LLAMA2_F16) put_u16(f, half_from_f32(value));
    if (dtype == LLAMA2_BF16) put_u16(f, (uint16_t)(half_f32_bits(value) >> 16));
  }
}

/* Rows are as short as the type allows. */
static inline int width_of(int32_t dtype) {
  return dtype_find(dtype)->block_values == KBLOCK ? KBLOCK : 32;
}

/* A model whose matrices are of a type. Returns where its tensors' data begins. */
static inline size_t make(image *f, int32_t dtype) {
  enum { N_TENSORS = 2 + 9 * LAYERS };
  const int dim = width_of(dtype), hidden = dim < KBLOCK ? 2 * dim : dim, kv = KV_HEADS * (dim / HEADS);
  const struct {
    const char *name;
    int rows, cols;
  } layer[] = {
      {"attn_norm",   1,      dim   },
      {"attn_q",      dim,    dim   },
      {"attn_k",      kv,     dim   },
      {"attn_v",      kv,     dim   },
      {"attn_output", dim,    dim   },
      {"ffn_norm",    1,      dim   },
      {"ffn_gate",    hidden, dim   },
      {"ffn_up",      hidden, dim   },
      {"ffn_down",    dim,    hidden},
  };
  const struct {
    const char *key;
    int value;
  } numbers[] = {
      {"llama.context_length",          CONTEXT    },
      {"llama.embedding_length",        dim        },
      {"llama.block_count",             LAYERS     },
      {"llama.feed_forward_length",     hidden     },
      {"llama.attention.head_count",    HEADS      },
      {"llama.attention.head_count_kv", KV_HEADS   },
      {"llama.rope.dimension_count",    dim / HEADS},
  };
  const float eps = 1e-5f;
  put_header(f, 3, N_TENSORS, 11);
  put_key(f, "general.architecture", GGUF_STRING);
  put_text(f, "llama");
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    put_key(f, numbers[i].key, GGUF_U32);
    put_u32(f, (uint32_t)numbers[i].value);
  }
  put_key(f, "llama.attention.layer_norm_rms_epsilon", GGUF_F32);
  put(f, &eps, 4);
  put_array(f, "tokens", GGUF_STRING, 2);
  put_text(f, "<s>");
  put_text(f, "");
  put_array(f, "nested", GGUF_ARRAY, 1);
  put_u32(f, GGUF_U16);
  put_u64(f, 2);
  put_u32(f, 7);
  static image data;
  data.n = 0;
  for (int i = 0; i < N_TENSORS; i++) {
    const int k = (i - 2) % 9;
    char name[64];
    int rows = 1, cols = dim;
    if (i < 2) {
      snprintf(name, sizeof name, "%s.weight", i ? "output_norm" : "token_embd");
      if (i == 0) rows = VOCAB;
    } else {
      snprintf(name, sizeof name, "blk.%d.%s.weight", (i - 2) / 9, layer[k].name);
      rows = layer[k].rows;
      cols = layer[k].cols;
    }
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

/* A file of a vocabulary alone, "llama" or "gpt2". */
static inline void make_vocabulary(image *f, const char *model) {
  static const char *const texts[] = {"<unk>", "<s>", "</s>", "a", "b", " ", "ab", "aba", "<0x62>"};
  static const int32_t kinds[] = {2, 3, 3, 1, 1, 1, 1, 1, 6};
  enum { N = sizeof texts / sizeof *texts };
  put_header(f, 3, 0, 7);
  put_key(f, "tokenizer.ggml.model", GGUF_STRING);
  put_text(f, model);
  put_array(f, "tokenizer.ggml.tokens", GGUF_STRING, N);
  for (int i = 0; i < N; i++) put_text(f, texts[i]);
  put_array(f, "tokenizer.ggml.scores", GGUF_F32, N);
  for (int i = 0; i < N; i++) put(f, &(float){(float)-i}, 4);
  put_array(f, "tokenizer.ggml.token_type", GGUF_I32, N);
  put(f, kinds, sizeof kinds);
  put_array(f, "tokenizer.ggml.merges", GGUF_STRING, 2);
  put_text(f, "a b");
  put_text(f, "ab a");
  put_key(f, "tokenizer.ggml.bos_token_id", GGUF_U32);
  put_u32(f, 1);
  put_key(f, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
  put(f, "\1", 1);
}

#endif
