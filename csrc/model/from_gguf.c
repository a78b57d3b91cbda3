#include "model/from_gguf.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME 128
#define CONTEXT_MAX (1 << 24) /* positions that rotary angles are computed for */
#define EXPERTS_MAX 1024

static const char *const names[ROLES] = {
    [ROLE_EMBEDDING] = "token_embd.weight",
    [ROLE_ATTENTION_NORM] = "attn_norm.weight",
    [ROLE_WQ] = "attn_q.weight",
    [ROLE_WK] = "attn_k.weight",
    [ROLE_WV] = "attn_v.weight",
    [ROLE_WO] = "attn_output.weight",
    [ROLE_FFN_NORM] = "ffn_norm.weight",
    [ROLE_W1] = "ffn_gate.weight",
    [ROLE_W2] = "ffn_down.weight",
    [ROLE_W3] = "ffn_up.weight",
    [ROLE_FINAL_NORM] = "output_norm.weight",
    [ROLE_CLASSIFIER] = "output.weight",
    [ROLE_ROUTER] = "ffn_gate_inp.weight",
    [ROLE_EXPERTS_W1] = "ffn_gate_exps.weight",
    [ROLE_EXPERTS_W2] = "ffn_down_exps.weight",
    [ROLE_EXPERTS_W3] = "ffn_up_exps.weight",
    [ROLE_BQ] = "attn_q.bias",
    [ROLE_BK] = "attn_k.bias",
    [ROLE_BV] = "attn_v.bias",
    [ROLE_BO] = "attn_output.bias",
    [ROLE_Q_NORM] = "attn_q_norm.weight",
    [ROLE_K_NORM] = "attn_k_norm.weight",
    [ROLE_ROPE_FACTORS] = "rope_freqs.weight",
};

/* What an architecture's name alone says. */
typedef struct family {
  const char *name;
  bool rope_halves;
  bool qk_norm;
  bool windows; /* a sliding window is all layers' */
  bool experts; /* chosen as Mixtral's are */
} family;

static const family families[] = {
    {"llama",   false, false, true,  true },
    {"mistral", false, false, true,  false},
    {"qwen2",   true,  false, false, false},
    {"qwen3",   true,  true,  false, false},
};

/* Metadata. */

/* A file, and the family whose name its keys begin with. */
typedef struct metadata {
  const gguf_file *f;
  const family *family;
} metadata;

typedef struct key {
  char text[NAME];
} key;

static key key_of(const metadata *m, const char *name) {
  key k;
  snprintf(k.text, sizeof k.text, "%s.%s", m->family->name, name);
  return k;
}

static bool has(const metadata *m, const char *name) {
  return gguf_find(m->f, key_of(m, name).text) != NULL;
}

static llama2_status number(const metadata *m, const char *name, int64_t most, int32_t *value) {
  int64_t found;
  RETURN_IF_FAILED(gguf_int(m->f, key_of(m, name).text, 1, most, &found));
  *value = (int32_t)found;
  return LLAMA2_OK;
}

/* A number, or an array that has it once for each layer: all layers are alike here. */
static llama2_status number_of_layers(const metadata *m, const char *name, int32_t n_layers, int64_t most,
                                      int32_t *value) {
  key k = key_of(m, name);
  const gguf_value *array = gguf_find(m->f, k.text);
  if (!array || array->type != GGUF_ARRAY) return number(m, name, most, value);
  if (array->n != (uint64_t)n_layers)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s has %" PRIu64 " numbers, expected 1 for each of the %d layers",
                       m->f->path, k.text, array->n, n_layers);
  gguf_value item;
  int64_t first = 0, found;
  for (gguf_walk w = gguf_items(array); gguf_next(&w, &item);) {
    if (!gguf_as_int(&item, &found) || found < 1 || found > most)
      return status_fail(LLAMA2_ERR_FORMAT, "%s: %s has what is no whole number from 1 to %" PRId64, m->f->path, k.text,
                         most);
    if (!first) first = found;
    if (found != first)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: %s is %" PRId64 " in one layer and %" PRId64
                         " in another; expected layers that are alike",
                         m->f->path, k.text, first, found);
  }
  *value = (int32_t)first;
  return LLAMA2_OK;
}

static llama2_status read_architecture(metadata *m) {
  gguf_text found;
  RETURN_IF_FAILED(gguf_string(m->f, "general.architecture", &found));
  char list[NAME] = "";
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    if (gguf_text_is(found, families[i].name)) {
      m->family = &families[i];
      return LLAMA2_OK;
    }
    size_t n = strlen(list);
    snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", families[i].name);
  }
  return status_fail(LLAMA2_ERR_FORMAT, "%s: the architecture '%s' is not known; those that are: %s", m->f->path,
                     gguf_quote(found).text, list);
}

static llama2_status refuse(const metadata *m, const char *name, const char *what) {
  return status_fail(LLAMA2_ERR_FORMAT, "%s: %s asks for %s, which cannot be computed yet", m->f->path,
                     key_of(m, name).text, what);
}

/* 0, and one that is no smaller than the context, stand for none. */
static llama2_status read_window(const metadata *m, config *c) {
  int64_t n;
  if (!has(m, "attention.sliding_window")) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_int(m->f, key_of(m, "attention.sliding_window").text, 0, UINT32_MAX, &n));
  if (n == 0 || n >= c->context) return LLAMA2_OK;
  if (!m->family->windows) return refuse(m, "attention.sliding_window", "attention in a sliding window in some layers");
  if (has(m, "attention.sliding_window_pattern"))
    return refuse(m, "attention.sliding_window_pattern", "attention in a sliding window in some layers");
  c->window = (int32_t)n;
  return LLAMA2_OK;
}

/* 0 stands for none. */
static llama2_status read_experts(const metadata *m, config *c) {
  int64_t n;
  if (!has(m, "expert_count")) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_int(m->f, key_of(m, "expert_count").text, 0, EXPERTS_MAX, &n));
  if (n == 0) return LLAMA2_OK;
  if (!m->family->experts) return refuse(m, "expert_count", "a mixture of experts");
  RETURN_IF_FAILED(number(m, "expert_used_count", n, &c->n_experts_used));
  c->n_experts = (int32_t)n;
  int64_t rows = n * (c->hidden_dim > c->dim ? c->hidden_dim : c->dim);
  if (rows > INT32_MAX)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %" PRId64 " experts have %" PRId64 " rows, expected at most %d",
                       m->f->path, n, rows, INT32_MAX);
  return LLAMA2_OK;
}

/* A number that may be missing, and is then left as it is. */
static llama2_status maybe_real(const metadata *m, const char *name, double least, double most, float *value) {
  double found;
  if (!has(m, name)) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_float(m->f, key_of(m, name).text, least, most, &found));
  *value = (float)found;
  return LLAMA2_OK;
}

/* As llama.cpp reads it: scaling is linear unless another type is named, 0 stands for what is not set, and YaRN's keys
 * default to those of its paper. */
static llama2_status read_scaling(const metadata *m, config *c) {
  rope_scaling *s = &c->rope_scaling;
  gguf_text type = {"linear", 6};
  float magnitude = 1;
  int64_t context = 0;
  *s = (rope_scaling){.fast = 32, .slow = 1, .extrapolation = -1, .magnitude = 1};
  if (has(m, "rope.scaling.type")) RETURN_IF_FAILED(gguf_string(m->f, key_of(m, "rope.scaling.type").text, &type));
  if (gguf_text_is(type, "linear")) s->rule = ROPE_LINEAR;
  if (gguf_text_is(type, "yarn")) s->rule = ROPE_YARN;
  if (s->rule == ROPE_PLAIN && !gguf_text_is(type, "none"))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: %s is '%s', which cannot be computed yet; those that can: none, linear, yarn", m->f->path,
                       key_of(m, "rope.scaling.type").text, gguf_quote(type).text);
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.attn_factor", 1.0 / 1024, 1024, &s->magnitude));
  if (s->rule == ROPE_PLAIN) return LLAMA2_OK;
  const char *name = has(m, "rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  RETURN_IF_FAILED(maybe_real(m, name, 0, FLT_MAX, &s->factor));
  if (s->factor != 0 && (double)s->factor < ROPE_FACTOR_LEAST)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is %g, expected 0 (not set) or at least %g", m->f->path,
                       key_of(m, name).text, (double)s->factor, ROPE_FACTOR_LEAST);
  if (s->factor == 0) s->factor = 1;
  if (s->rule == ROPE_LINEAR) {
    if (s->factor == 1) s->rule = ROPE_PLAIN;
    return LLAMA2_OK;
  }
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.yarn_beta_fast", FLT_MIN, FLT_MAX, &s->fast));
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.yarn_beta_slow", FLT_MIN, FLT_MAX, &s->slow));
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.yarn_ext_factor", -FLT_MAX, 1, &s->extrapolation));
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.yarn_log_multiplier", 0, FLT_MAX, &s->log_multiplier));
  RETURN_IF_FAILED(maybe_real(m, "rope.scaling.yarn_attn_factor", -FLT_MAX, FLT_MAX, &magnitude));
  if (magnitude != 1) return refuse(m, "rope.scaling.yarn_attn_factor", "a magnitude other than YaRN's own");
  if (has(m, "rope.scaling.original_context_length"))
    RETURN_IF_FAILED(gguf_int(m->f, key_of(m, "rope.scaling.original_context_length").text, 0, INT32_MAX, &context));
  s->context = context ? (int32_t)context : c->context;
  if (s->extrapolation < 0) s->extrapolation = 1;
  return LLAMA2_OK;
}

static llama2_status read_heads(const metadata *m, config *c) {
  RETURN_IF_FAILED(number_of_layers(m, "attention.head_count", c->n_layers, INT32_MAX, &c->n_heads));
  c->n_kv_heads = c->n_heads;
  if (has(m, "attention.head_count_kv"))
    RETURN_IF_FAILED(number_of_layers(m, "attention.head_count_kv", c->n_layers, c->n_heads, &c->n_kv_heads));
  if (c->n_heads % c->n_kv_heads)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %d heads are not a multiple of %d key/value heads", m->f->path,
                       c->n_heads, c->n_kv_heads);
  if (has(m, "attention.key_length")) {
    RETURN_IF_FAILED(number(m, "attention.key_length", INT32_MAX, &c->head_dim));
  } else {
    if (c->dim % c->n_heads)
      return status_fail(LLAMA2_ERR_FORMAT, "%s: the width %d is not a multiple of the %d heads, and %s is missing",
                         m->f->path, c->dim, c->n_heads, key_of(m, "attention.key_length").text);
    c->head_dim = c->dim / c->n_heads;
  }
  int32_t values = c->head_dim;
  if (has(m, "attention.value_length")) RETURN_IF_FAILED(number(m, "attention.value_length", INT32_MAX, &values));
  if (values != c->head_dim)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: values of length %d and keys of length %d, expected equal lengths",
                       m->f->path, values, c->head_dim);
  c->rope_dim = c->head_dim;
  if (has(m, "rope.dimension_count")) RETURN_IF_FAILED(number(m, "rope.dimension_count", c->head_dim, &c->rope_dim));
  c->rope_halves = m->family->rope_halves;
  if (c->rope_halves && c->rope_dim % 2)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %d dimensions of a head are rotated, expected an even number in %s",
                       m->f->path, c->rope_dim, m->family->name);
  return LLAMA2_OK;
}

static llama2_status read_config(const metadata *m, config *c) {
  double eps, theta = 10000;
  RETURN_IF_FAILED(number(m, "block_count", INT32_MAX, &c->n_layers));
  RETURN_IF_FAILED(number(m, "embedding_length", INT32_MAX, &c->dim));
  RETURN_IF_FAILED(number(m, "context_length", CONTEXT_MAX, &c->context));
  RETURN_IF_FAILED(number_of_layers(m, "feed_forward_length", c->n_layers, INT32_MAX, &c->hidden_dim));
  RETURN_IF_FAILED(read_heads(m, c));
  RETURN_IF_FAILED(gguf_float(m->f, key_of(m, "attention.layer_norm_rms_epsilon").text, 0, 1, &eps));
  if (has(m, "rope.freq_base"))
    RETURN_IF_FAILED(gguf_float(m->f, key_of(m, "rope.freq_base").text, 1, FLT_MAX, &theta));
  c->norm_eps = (float)eps;
  c->rope_theta = (float)theta;
  RETURN_IF_FAILED(read_scaling(m, c));
  RETURN_IF_FAILED(read_window(m, c));
  return read_experts(m, c);
}

/* Tensors. */

static key name_of(role role, int32_t layer) {
  key k;
  if (role_layered(role))
    snprintf(k.text, sizeof k.text, "blk.%" PRId32 ".%s", layer, names[role]);
  else
    snprintf(k.text, sizeof k.text, "%s", names[role]);
  return k;
}

bool from_gguf_has(const checkpoint *c, role role) {
  tensor t;
  return gguf_tensor(&c->gguf, name_of(role, 0).text, &t);
}

void from_gguf_name(role role, int32_t layer, char *name, size_t capacity) {
  snprintf(name, capacity, "%s", name_of(role, layer).text);
}

tensor from_gguf_tensor(const checkpoint *c, role role, int32_t layer) {
  tensor t = {0};
  bool shared = role == ROLE_CLASSIFIER && c->config.shared_classifier;
  bool found = gguf_tensor(&c->gguf, name_of(shared ? ROLE_EMBEDDING : role, layer).text, &t);
  assert(found);
  (void)found;
  return t;
}

static llama2_status check_tensor(const gguf_file *f, role role, int32_t layer, int64_t rows, int64_t cols) {
  key k = name_of(role, layer);
  tensor t;
  if (!gguf_tensor(f, k.text, &t))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s is missing among its %" PRIu64 ", expected one of %" PRId64 " x %" PRId64,
                       f->path, k.text, f->n_tensors, rows, cols);
  if (t.rows != rows || t.cols != cols)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s is %" PRId64 " x %" PRId64 ", expected %" PRId64 " x %" PRId64
                       " as the metadata says",
                       f->path, k.text, t.rows, t.cols, rows, cols);
  if (!dtype_find(t.dtype))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s is %s (type %d), which cannot be computed with yet",
                       f->path, k.text, gguf_dtype_name(t.dtype), t.dtype);
  if (role >= ROLE_BQ && dtype_find(t.dtype)->block_values != 1)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s is %s, expected F32, F16 or BF16", f->path, k.text,
                       gguf_dtype_name(t.dtype));
  return LLAMA2_OK;
}

static bool of_experts(role role) {
  return role >= ROLE_ROUTER && role <= ROLE_EXPERTS_W3;
}

/* Files of before experts were stacked have a tensor for each; and a stack has as many as there are experts, which its rows
 * alone do not say. */
static llama2_status check_stack(const checkpoint *c, role role, int32_t layer) {
  static const char single[] = "blk.0.ffn_gate.0.weight";
  const gguf_file *f = &c->gguf;
  key k = name_of(role, layer);
  const gguf_info *info = gguf_find_tensor(f, k.text);
  if (!info && role != ROLE_ROUTER && gguf_find_tensor(f, single))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: each expert has tensors of its own, as %s; expected all of them in one, %s: convert the "
                       "model anew",
                       f->path, single, k.text);
  if (info && role != ROLE_ROUTER && (info->dims[2] != c->config.n_experts || info->dims[3] != 1))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s is %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                       ", the fastest first, expected %d experts as third",
                       f->path, k.text, info->dims[0], info->dims[1], info->dims[2], info->dims[3],
                       c->config.n_experts);
  return LLAMA2_OK;
}

static llama2_status check_rope_factors(const checkpoint *c) {
  tensor t = from_gguf_tensor(c, ROLE_ROPE_FACTORS, 0);
  float factor;
  for (int64_t i = 0; i < t.cols; i++) {
    tensor_values(&t, 0, i, 1, &factor);
    if (!((double)factor >= ROPE_FACTOR_LEAST && factor <= FLT_MAX))
      return status_fail(LLAMA2_ERR_FORMAT, "%s: value %" PRId64 " of the tensor %s is %g, expected %g to %g",
                         c->gguf.path, i, names[ROLE_ROPE_FACTORS], (double)factor, ROPE_FACTOR_LEAST, (double)FLT_MAX);
  }
  return LLAMA2_OK;
}

/* What a model cannot be without, and what else there is in the first layer, and so must be in all. */
static bool expected(const checkpoint *c, const family *family, role role) {
  if (of_experts(role)) return c->config.n_experts > 0;
  if (role >= ROLE_W1 && role <= ROLE_W3) return c->config.n_experts == 0;
  if (role == ROLE_Q_NORM || role == ROLE_K_NORM) return family->qk_norm;
  return role < ROLE_CLASSIFIER || from_gguf_has(c, role);
}

role from_gguf_role(gguf_text name, int32_t n_layers, int32_t *layer) {
  gguf_quoted text = gguf_quote(name);
  long number = strncmp(text.text, "blk.", 4) == 0 ? strtol(text.text + 4, NULL, 10) : 0;
  role r = 0;
  if (number < 0 || number >= n_layers) return ROLES;
  *layer = (int32_t)number;
  while (r < ROLES && !gguf_text_is(name, name_of(r, *layer).text)) r++;
  return r;
}

/* A tensor left over is a part of the model that would be missed. */
static llama2_status check_rest(const checkpoint *c, const family *family) {
  static const char *const kinds[][2] = {
      {"rope_f", "scaled rotary embeddings"},
      {".bias",  "further biases"          },
      {"_norm",  "further norms"           },
      {"_exps",  "experts"                 },
      {"_inp",   "experts"                 },
  };
  const gguf_file *f = &c->gguf;
  int32_t layer;
  for (uint64_t i = 0; i < f->n_tensors; i++) {
    role r = from_gguf_role(f->tensors[i].name, c->config.n_layers, &layer);
    if (r < ROLES && expected(c, family, r)) continue;
    gguf_quoted name = gguf_quote(f->tensors[i].name);
    const char *kind = "of no use here";
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
      if (strstr(name.text, kinds[k][0])) kind = kinds[k][1];
    if (r >= ROLE_BQ && r <= ROLE_BO) kind = "which the first layer lacks";
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s (%s) is not one that a %s of %d layers can be computed with yet", f->path,
                       name.text, kind, family->name, c->config.n_layers);
  }
  return LLAMA2_OK;
}

llama2_status from_gguf(checkpoint *c) {
  const gguf_file *f = &c->gguf;
  metadata m = {.f = f};
  config *g = &c->config;
  tensor embedding;
  RETURN_IF_FAILED(read_architecture(&m));
  RETURN_IF_FAILED(read_config(&m, g));
  c->architecture = m.family->name;
  if (!gguf_tensor(f, names[ROLE_EMBEDDING], &embedding))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: no tensor %s among %" PRIu64 "; a vocabulary without a model?", f->path,
                       names[ROLE_EMBEDDING], f->n_tensors);
  if (embedding.rows > INT32_MAX)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: a vocabulary of %" PRId64 ", expected 1 to %d", f->path, embedding.rows,
                       INT32_MAX);
  g->vocab_size = (int32_t)embedding.rows;
  g->shared_classifier = !from_gguf_has(c, ROLE_CLASSIFIER);
  g->kv = LLAMA2_F16;
  for (role r = 0; r < ROLES; r++) {
    int64_t rows, cols;
    if (!expected(c, m.family, r)) continue;
    role_shape(g, r, &rows, &cols);
    for (int32_t layer = 0; layer < (role_layered(r) ? g->n_layers : 1); layer++) {
      if (of_experts(r)) RETURN_IF_FAILED(check_stack(c, r, layer));
      RETURN_IF_FAILED(check_tensor(f, r, layer, rows, cols));
    }
  }
  if (from_gguf_has(c, ROLE_ROPE_FACTORS)) RETURN_IF_FAILED(check_rope_factors(c));
  return check_rest(c, m.family);
}
