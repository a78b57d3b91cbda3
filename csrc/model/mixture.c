#include "model/mixture.h"

#include <stdio.h>
#include <string.h>

static const mixture mixtures[] = {
    {"f32",    LLAMA2_F32,  0,  ALIKE,        LLAMA2_F32 },
    {"f16",    LLAMA2_F16,  1,  ALIKE,        LLAMA2_F16 },
    {"bf16",   LLAMA2_BF16, 32, ALIKE,        LLAMA2_BF16},
    {"q8_0",   LLAMA2_Q8_0, 7,  ALIKE,        LLAMA2_Q8_0},
    {"q6_k",   LLAMA2_Q6_K, 18, ALIKE,        LLAMA2_Q6_K},
    {"q5_k_m", LLAMA2_Q5_K, 17, SPREAD,       LLAMA2_Q6_K},
    {"q5_k_s", LLAMA2_Q5_K, 16, ALIKE,        LLAMA2_Q5_K},
    {"q5_k",   LLAMA2_Q5_K, 16, ALIKE,        LLAMA2_Q5_K},
    {"q5_1",   LLAMA2_Q5_1, 9,  ALIKE,        LLAMA2_Q5_1},
    {"q5_0",   LLAMA2_Q5_0, 8,  ALIKE,        LLAMA2_Q5_0},
    {"q4_k_m", LLAMA2_Q4_K, 15, SPREAD,       LLAMA2_Q6_K},
    {"q4_k_s", LLAMA2_Q4_K, 14, FIRST_LAYERS, LLAMA2_Q5_K},
    {"q4_k",   LLAMA2_Q4_K, 14, ALIKE,        LLAMA2_Q4_K},
    {"q4_1",   LLAMA2_Q4_1, 3,  ALIKE,        LLAMA2_Q4_1},
    {"q4_0",   LLAMA2_Q4_0, 2,  ALIKE,        LLAMA2_Q4_0},
    {"q3_k",   LLAMA2_Q3_K, 11, ALIKE,        LLAMA2_Q3_K},
    {"q2_k",   LLAMA2_Q2_K, 10, ALL_LAYERS,   LLAMA2_Q3_K},
};

enum { MIXTURES = sizeof mixtures / sizeof *mixtures };

const mixture *mixture_at(int32_t index) {
  return index >= 0 && index < MIXTURES ? &mixtures[index] : NULL;
}

llama2_status mixture_find(const char *name, const mixture **found) {
  char list[256] = "";
  for (int i = 0; i < MIXTURES; i++) {
    if (strcmp(name, mixtures[i].name) == 0) {
      *found = &mixtures[i];
      return LLAMA2_OK;
    }
    size_t n = strlen(list);
    snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", mixtures[i].name);
  }
  return status_fail(LLAMA2_ERR_ARGUMENT, "cannot quantise to '%.32s'; expected one of %s", name, list);
}

static bool ends(gguf_text text, const char *ending) {
  size_t n = strlen(ending);
  return text.n >= n && memcmp(text.data + text.n - n, ending, n) == 0;
}

/* The N of "blk.N.…"; -1 where there is none. */
static int64_t layer_of(gguf_text name) {
  int64_t layer = 0;
  uint64_t i = 4;
  if (name.n < 6 || memcmp(name.data, "blk.", 4) != 0) return -1;
  for (; i < name.n && name.data[i] >= '0' && name.data[i] <= '9' && layer < INT32_MAX; i++)
    layer = layer * 10 + (name.data[i] - '0');
  return i > 4 && i < name.n && name.data[i] == '.' ? layer : -1;
}

/* An eighth of the layers at either end, and every third between. */
static bool spread(int64_t layer, int64_t n) {
  return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

int32_t mixture_wanted(const mixture_target *t, const gguf_info *info) {
  const mixture *m = t->mixture;
  int64_t layer = layer_of(info->name), n = t->n_layers;
  bool whole = m->dtype == LLAMA2_F32 || m->dtype == LLAMA2_F16 || m->dtype == LLAMA2_BF16;
  bool vector = info->dims[1] * info->dims[2] * info->dims[3] == 1;
  bool head = gguf_text_is(info->name, t->shared_classifier ? "token_embd.weight" : "output.weight");
  bool values = ends(info->name, ".attn_v.weight"), attention_out = ends(info->name, ".attn_output.weight");
  bool down = ends(info->name, ".ffn_down.weight") || ends(info->name, ".ffn_down_exps.weight");
  if (vector || !ends(info->name, "weight") || ends(info->name, "_norm.weight")) return LLAMA2_F32;
  if (ends(info->name, ".ffn_gate_inp.weight")) return LLAMA2_F32;
  if (whole) return m->dtype;
  if (head) return m->dtype == LLAMA2_Q8_0 ? LLAMA2_Q8_0 : LLAMA2_Q6_K;
  int32_t dtype = m->dtype;
  if (t->n_experts == 8) { /* beside eight experts attention is small */
    if (values || ends(info->name, ".attn_k.weight")) return LLAMA2_Q8_0;
    if (attention_out && (dtype == LLAMA2_Q2_K || dtype == LLAMA2_Q3_K || dtype == LLAMA2_Q4_K)) return LLAMA2_Q5_K;
  }
  if (values || down) {
    if (m->more == SPREAD && spread(layer, n)) dtype = m->better;
    if (m->more == FIRST_LAYERS && layer < (values ? 4 : n / 8)) dtype = m->better;
  }
  if (m->more == ALL_LAYERS && (values || down || attention_out)) dtype = m->better;
  if (m->more == ALL_LAYERS && values && t->n_heads / t->n_kv_heads >= 4) dtype = LLAMA2_Q4_K;
  /* Llama 2 70B and its like: eight heads share these, so that they are small and matter more. */
  bool shared = n == 80 && t->n_heads != t->n_kv_heads;
  if (values && shared && m->more != ALIKE && dtype == LLAMA2_Q4_K) dtype = LLAMA2_Q5_K;
  return dtype;
}

int32_t mixture_fitting(int32_t wanted, int64_t cols) {
  static const int32_t smaller[][2] = {
      {LLAMA2_Q2_K, LLAMA2_Q4_0},
      {LLAMA2_Q3_K, LLAMA2_Q4_0},
      {LLAMA2_Q4_K, LLAMA2_Q5_0},
      {LLAMA2_Q5_K, LLAMA2_Q5_1},
      {LLAMA2_Q6_K, LLAMA2_Q8_0},
  };
  int32_t dtype = wanted;
  for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++)
    if (wanted == smaller[i][0] && cols % KBLOCK) dtype = smaller[i][1];
  return cols % dtype_find(dtype)->block_values ? LLAMA2_F16 : dtype;
}
