#include "model/adapter.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "model/from_gguf.h"

#define NAME 32  /* bytes of what a matrix is called */
#define ENDING 7 /* characters of ".lora_a" */
#define KEY 64   /* bytes of a key or tensor that is named by it */
#define RANK_MOST 65536

static llama2_status check_text(const gguf_file *f, const char *key, const char *expected, const char *what) {
  gguf_text found;
  RETURN_IF_FAILED(gguf_string(f, key, &found));
  if (gguf_text_is(found, expected)) return LLAMA2_OK;
  return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is '%s', expected '%s', %s", f->path, key, gguf_quote(found).text,
                     expected, what);
}

static llama2_status check_kind(const gguf_file *f, const char *architecture) {
  static const char invoked[] = "adapter.alora.invocation_tokens";
  RETURN_IF_FAILED(check_text(f, "general.type", "adapter", "as it is to be added to a model"));
  RETURN_IF_FAILED(check_text(f, "adapter.type", "lora", "the only kind that can be computed"));
  RETURN_IF_FAILED(check_text(f, "general.architecture", architecture, "as the model's is"));
  if (gguf_find(f, invoked))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s has it begin in the middle of a text, which cannot be computed yet",
                       f->path, invoked);
  return LLAMA2_OK;
}

/* Whether a tensor's name ends as a pair's `half` does; *base: what comes before. */
static bool is_half(gguf_text name, char half, gguf_text *base) {
  const char ending[] = {'.', 'l', 'o', 'r', 'a', '_', half};
  if (name.n <= ENDING || memcmp(name.data + name.n - ENDING, ending, ENDING) != 0) return false;
  *base = (gguf_text){name.data, name.n - ENDING};
  return true;
}

/* Experts cannot be yet. */
static bool adaptable(const config *c, role role) {
  bool ffn = role >= ROLE_W1 && role <= ROLE_W3 && !c->n_experts;
  return (role >= ROLE_WQ && role <= ROLE_WO) || ffn || role == ROLE_CLASSIFIER;
}

/* The factor that a file says of a matrix, named by `name`. */
static llama2_status read_scale(const gguf_file *f, const char *name, int64_t rank, float *scale) {
  char key[KEY];
  double value;
  snprintf(key, sizeof key, "llama2py.lora.scale.%s", name);
  if (gguf_find(f, key)) {
    RETURN_IF_FAILED(gguf_float(f, key, -FLT_MAX, FLT_MAX, &value));
    *scale = (float)value;
    return LLAMA2_OK;
  }
  RETURN_IF_FAILED(gguf_float(f, "adapter.lora.alpha", -FLT_MAX, FLT_MAX, &value));
  *scale = value == 0 ? 1 : (float)(value / (double)rank); /* as llama.cpp has it */
  return LLAMA2_OK;
}

static llama2_status check_shape(const gguf_file *f, const char *name, char half, const tensor *t, int64_t rows,
                                 int64_t cols) {
  if (t->rows != rows || t->cols != cols)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s.lora_%c is %" PRId64 " x %" PRId64 ", expected %" PRId64 " x %" PRId64
                       " for this model",
                       f->path, name, half, t->rows, t->cols, rows, cols);
  if (!dtype_find(t->dtype))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s.lora_%c is %s, which cannot be computed with yet", f->path,
                       name, half, gguf_dtype_name(t->dtype));
  return LLAMA2_OK;
}

/* The pair whose A is a tensor, of a matrix that its name names. */
static llama2_status read_pair(const gguf_file *f, const config *c, const gguf_info *info, gguf_text base,
                               adapter_pair *pair) {
  char name[NAME], other[KEY];
  int64_t rows, cols;
  pair->role = from_gguf_role(base, c->n_layers, &pair->layer);
  if (pair->role == ROLES || !adaptable(c, pair->role))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the tensor %s adds to what cannot be adapted in a model of %d layers; what can: attn_q, "
                       "attn_k, attn_v, attn_output, output%s",
                       f->path, gguf_quote(info->name).text, c->n_layers,
                       c->n_experts ? " (and not its experts)" : ", ffn_gate, ffn_up and ffn_down");
  from_gguf_name(pair->role, pair->layer, name, sizeof name);
  role_shape(c, pair->role, &rows, &cols);
  snprintf(other, sizeof other, "%s.lora_b", name);
  pair->a = gguf_info_tensor(info);
  if (!gguf_tensor(f, other, &pair->b))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s.lora_a has no %s beside it", f->path, name, other);
  if (pair->a.rows > RANK_MOST)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s.lora_a has a rank of %" PRId64 ", expected at most %d",
                       f->path, name, pair->a.rows, RANK_MOST);
  RETURN_IF_FAILED(check_shape(f, name, 'a', &pair->a, pair->a.rows, cols));
  RETURN_IF_FAILED(check_shape(f, name, 'b', &pair->b, rows, pair->a.rows));
  return read_scale(f, name, pair->a.rows, &pair->scale);
}

/* Queries and keys of halves become pairs of neighbours, where the model has these. */
static llama2_status split_heads(adapter_file *f, const config *c) {
  static const char key[] = "llama2py.lora.halves";
  bool halves = false;
  if (gguf_find(&f->gguf, key)) RETURN_IF_FAILED(gguf_bool(&f->gguf, key, &halves));
  if (!halves || c->rope_halves) return LLAMA2_OK;
  for (int32_t i = 0; i < f->n; i++) {
    adapter_pair *pair = &f->pairs[i];
    if (pair->role != ROLE_WQ && pair->role != ROLE_WK) continue;
    if (c->rope_dim != c->head_dim || c->head_dim % 2)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: has queries or keys, but the model rotates %d of a head's %d dimensions, expected all of "
                         "an even number",
                         f->gguf.path, c->rope_dim, c->head_dim);
    pair->b.split = c->head_dim;
  }
  return LLAMA2_OK;
}

static llama2_status read_pairs(adapter_file *f, const config *c) {
  const gguf_file *g = &f->gguf;
  gguf_text base;
  tensor t;
  f->pairs = mem_new((size_t)g->n_tensors + 1, sizeof *f->pairs);
  if (!f->pairs)
    return status_fail_sized(LLAMA2_ERR_MEMORY, (g->n_tensors + 1) * sizeof *f->pairs, mem_available(),
                             "%s: no memory for its table of contents", g->path);
  for (uint64_t i = 0; i < g->n_tensors; i++) {
    const gguf_info *info = &g->tensors[i];
    if (is_half(info->name, 'a', &base)) {
      adapter_pair *pair = &f->pairs[f->n];
      RETURN_IF_FAILED(read_pair(g, c, info, base, pair));
      f->n++;
      if (pair->a.rows > f->rank) f->rank = (int32_t)pair->a.rows;
      f->parameters += (uint64_t)(pair->a.rows * pair->a.cols + pair->b.rows * pair->b.cols);
      continue;
    }
    char other[KEY];
    bool half = is_half(info->name, 'b', &base) && base.n < KEY - ENDING;
    if (half) snprintf(other, sizeof other, "%.*s.lora_a", (int)base.n, base.data);
    if (!half || !gguf_tensor(g, other, &t))
      return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s is not half of a pair, NAME.lora_a and NAME.lora_b",
                         g->path, gguf_quote(info->name).text);
  }
  if (f->n == 0) return status_fail(LLAMA2_ERR_FORMAT, "%s: holds no tensors, expected a LoRA's", g->path);
  return split_heads(f, c);
}

llama2_status adapter_open(adapter_file *f, const config *c, const char *architecture, const char *path,
                           const llama2_source *source) {
  *f = (adapter_file){0};
  RETURN_IF_FAILED(source ? source_open(source, &f->gguf) : gguf_open(&f->gguf, path));
  llama2_status status = check_kind(&f->gguf, architecture);
  if (status == LLAMA2_OK) status = read_pairs(f, c);
  if (status != LLAMA2_OK) adapter_close(f);
  return status;
}

void adapter_close(adapter_file *f) {
  mem_free(f->pairs);
  gguf_close(&f->gguf);
}
