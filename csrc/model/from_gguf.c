#include "model/from_gguf.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME 128
#define CONTEXT_MAX (1 << 24) /* positions that rotary angles are computed for */

static const struct {
  const char *name;
  bool layered;
} names[] = {
    [ROLE_EMBEDDING] = {"token_embd.weight",  false},
    [ROLE_ATTENTION_NORM] = {"attn_norm.weight",   true },
    [ROLE_WQ] = {"attn_q.weight",      true },
    [ROLE_WK] = {"attn_k.weight",      true },
    [ROLE_WV] = {"attn_v.weight",      true },
    [ROLE_WO] = {"attn_output.weight", true },
    [ROLE_FFN_NORM] = {"ffn_norm.weight",    true },
    [ROLE_W1] = {"ffn_gate.weight",    true },
    [ROLE_W2] = {"ffn_down.weight",    true },
    [ROLE_W3] = {"ffn_up.weight",      true },
    [ROLE_FINAL_NORM] = {"output_norm.weight", false},
    [ROLE_CLASSIFIER] = {"output.weight",      false},
};

#define ROLES (int)(sizeof names / sizeof *names)

/* Metadata. */

/* A file and the architecture that its keys begin with. */
typedef struct metadata {
  const gguf_file *f;
  const char *architecture;
} metadata;

typedef struct key {
  char text[NAME];
} key;

static key key_of(const metadata *m, const char *name) {
  key k;
  snprintf(k.text, sizeof k.text, "%s.%s", m->architecture, name);
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
  static const char *const known[] = {"llama", "mistral"};
  gguf_text found;
  RETURN_IF_FAILED(gguf_string(m->f, "general.architecture", &found));
  char list[NAME] = "";
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (gguf_text_is(found, known[i])) {
      m->architecture = known[i];
      return LLAMA2_OK;
    }
    size_t n = strlen(list);
    snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", known[i]);
  }
  return status_fail(LLAMA2_ERR_FORMAT, "%s: the architecture '%s' is not known; those that are: %s", m->f->path,
                     gguf_quote(found).text, list);
}

static llama2_status refuse(const metadata *m, const char *name, const char *what) {
  return status_fail(LLAMA2_ERR_FORMAT, "%s: %s asks for %s, which cannot be computed yet", m->f->path,
                     key_of(m, name).text, what);
}

/* Metadata that makes of the same tensors another model. */
static llama2_status check_plain(const metadata *m, int32_t context) {
  static const char *const factors[] = {"rope.scaling.factor", "rope.scale_linear"};
  int64_t n;
  double factor;
  gguf_text scaling = {"", 0};
  if (has(m, "expert_count")) {
    RETURN_IF_FAILED(gguf_int(m->f, key_of(m, "expert_count").text, 0, INT32_MAX, &n));
    if (n > 0) return refuse(m, "expert_count", "a mixture of experts");
  }
  if (has(m, "attention.sliding_window")) {
    RETURN_IF_FAILED(gguf_int(m->f, key_of(m, "attention.sliding_window").text, 0, UINT32_MAX, &n));
    if (n > 0 && n < context) return refuse(m, "attention.sliding_window", "attention in a sliding window");
  }
  if (has(m, "rope.scaling.type")) {
    RETURN_IF_FAILED(gguf_string(m->f, key_of(m, "rope.scaling.type").text, &scaling));
    if (gguf_text_is(scaling, "none")) return LLAMA2_OK;
    if (!gguf_text_is(scaling, "linear")) return refuse(m, "rope.scaling.type", "scaled rotary embeddings");
  }
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
    if (!has(m, factors[i])) continue;
    RETURN_IF_FAILED(gguf_float(m->f, key_of(m, factors[i]).text, 0, FLT_MAX, &factor));
    if (factor != 0 && factor != 1) return refuse(m, factors[i], "scaled rotary embeddings");
  }
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
  return check_plain(m, c->context);
}

/* Tensors. */

static key name_of(role role, int32_t layer) {
  key k;
  if (names[role].layered)
    snprintf(k.text, sizeof k.text, "blk.%" PRId32 ".%s", layer, names[role].name);
  else
    snprintf(k.text, sizeof k.text, "%s", names[role].name);
  return k;
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
  return LLAMA2_OK;
}

static bool is_part(gguf_text name, int32_t n_layers) {
  gguf_quoted text = gguf_quote(name);
  long layer = strncmp(text.text, "blk.", 4) == 0 ? strtol(text.text + 4, NULL, 10) : 0;
  if (layer < 0 || layer >= n_layers) return false;
  for (int r = 0; r < ROLES; r++)
    if (gguf_text_is(name, name_of((role)r, (int32_t)layer).text)) return true;
  return false;
}

/* A tensor left over is a part of the model that would be missed. */
static llama2_status check_rest(const gguf_file *f, const config *c) {
  static const char *const kinds[][2] = {
      {"rope_freqs", "scaled rotary embeddings"},
      {".bias",      "biases"                  },
      {"_norm",      "further norms"           },
      {"_exps",      "experts"                 },
      {"_inp",       "experts"                 },
  };
  for (uint64_t i = 0; i < f->n_tensors; i++) {
    if (is_part(f->tensors[i].name, c->n_layers)) continue;
    gguf_quoted name = gguf_quote(f->tensors[i].name);
    const char *kind = "what a plain Llama lacks";
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
      if (strstr(name.text, kinds[k][0])) kind = kinds[k][1];
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s (%s) is not one that a model of %d layers can be computed with yet", f->path,
                       name.text, kind, c->n_layers);
  }
  return LLAMA2_OK;
}

llama2_status from_gguf(checkpoint *c) {
  const gguf_file *f = &c->gguf;
  metadata m = {.f = f};
  config *g = &c->config;
  tensor embedding, classifier;
  RETURN_IF_FAILED(read_architecture(&m));
  RETURN_IF_FAILED(read_config(&m, g));
  if (!gguf_tensor(f, names[ROLE_EMBEDDING].name, &embedding))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: no tensor %s among %" PRIu64 "; a vocabulary without a model?", f->path,
                       names[ROLE_EMBEDDING].name, f->n_tensors);
  if (embedding.rows > INT32_MAX)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: a vocabulary of %" PRId64 ", expected 1 to %d", f->path, embedding.rows,
                       INT32_MAX);
  g->vocab_size = (int32_t)embedding.rows;
  g->shared_classifier = !gguf_tensor(f, names[ROLE_CLASSIFIER].name, &classifier);
  int64_t q = (int64_t)g->n_heads * g->head_dim, kv = (int64_t)g->n_kv_heads * g->head_dim;
  const struct {
    int64_t rows, cols;
  } shapes[ROLES] = {
      [ROLE_EMBEDDING] = {g->vocab_size, g->dim       },
      [ROLE_ATTENTION_NORM] = {1,             g->dim       },
      [ROLE_WQ] = {q,             g->dim       },
      [ROLE_WK] = {kv,            g->dim       },
      [ROLE_WV] = {kv,            g->dim       },
      [ROLE_WO] = {g->dim,        q            },
      [ROLE_FFN_NORM] = {1,             g->dim       },
      [ROLE_W1] = {g->hidden_dim, g->dim       },
      [ROLE_W2] = {g->dim,        g->hidden_dim},
      [ROLE_W3] = {g->hidden_dim, g->dim       },
      [ROLE_FINAL_NORM] = {1,             g->dim       },
      [ROLE_CLASSIFIER] = {g->vocab_size, g->dim       },
  };
  for (int r = 0; r < ROLES; r++) {
    if (r == ROLE_CLASSIFIER && g->shared_classifier) continue;
    for (int32_t layer = 0; layer < (names[r].layered ? g->n_layers : 1); layer++)
      RETURN_IF_FAILED(check_tensor(f, (role)r, layer, shapes[r].rows, shapes[r].cols));
  }
  return check_rest(f, g);
}
