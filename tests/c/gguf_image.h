/* gguf_image: GGUF files in memory, put together byte by byte: small models of any type, and vocabularies. */
#ifndef GGUF_IMAGE_H
#define GGUF_IMAGE_H

#include "check.h"
#include "base/half.h"
#include "format/dequantize.h"
#include "format/gguf.h"
#include "llama2.h"

#include <stdbool.h>

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

static inline void put_family_key(image *f, const char *architecture, const char *name, uint32_t type) {
  char key[128];
  snprintf(key, sizeof key, "%s.%s", architecture, name);
  put_key(f, key, type);
}

/* A model whose matrices are of a type: a plain Llama, or one that has all that a family adds. Returns where its
 * tensors' data begins. */
static inline size_t make(image *f, int32_t dtype, bool rich) {
  enum { PLAIN = 9, RICH = 15 };
  const int dim = width_of(dtype), hidden = dim < KBLOCK ? 2 * dim : dim, head = dim / HEADS, kv = KV_HEADS * head;
  const struct {
    const char *name;
    int rows, cols;
  } first[] =
      {
          {"token_embd.weight",  VOCAB, dim     },
          {"output_norm.weight", 1,     dim     },
          {"rope_freqs.weight",  1,     head / 2},
  },
    layer[RICH] = {
        {"attn_norm.weight", 1, dim},     {"attn_q.weight", dim, dim},      {"attn_k.weight", kv, dim},
        {"attn_v.weight", kv, dim},       {"attn_output.weight", dim, dim}, {"ffn_norm.weight", 1, dim},
        {"ffn_gate.weight", hidden, dim}, {"ffn_up.weight", hidden, dim},   {"ffn_down.weight", dim, hidden},
        {"attn_q.bias", 1, dim},          {"attn_k.bias", 1, kv},           {"attn_v.bias", 1, kv},
        {"attn_output.bias", 1, dim},     {"attn_q_norm.weight", 1, head},  {"attn_k_norm.weight", 1, head},
    };
  const struct {
    const char *key;
    int value;
  } numbers[] = {
      {"context_length",          CONTEXT },
      {"embedding_length",        dim     },
      {"block_count",             LAYERS  },
      {"feed_forward_length",     hidden  },
      {"attention.head_count",    HEADS   },
      {"attention.head_count_kv", KV_HEADS},
      {"rope.dimension_count",    head    },
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
    put_u32(f, (uint32_t)numbers[i].value);
  }
  for (int i = 0; i < n_reals; i++) {
    put_family_key(f, architecture, reals[i].key, GGUF_F32);
    put(f, &reals[i].value, 4);
  }
  if (rich) {
    put_family_key(f, architecture, "rope.scaling.type", GGUF_STRING);
    put_text(f, "yarn");
  }
  put_array(f, "tokens", GGUF_STRING, 2);
  put_text(f, "<s>");
  put_text(f, "");
  put_array(f, "nested", GGUF_ARRAY, 1);
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
