/* cpu/weights: packs a checkpoint into panels, and says beforehand what that takes. */
#include <string.h>

#include "base/checked.h"
#include "base/digest.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "cpu/rope.h"

cpu_sizes cpu_sizes_of(const config *c, int32_t kv) {
  cpu_sizes s = {
      .ld_dim = round_up(c->dim, QBLOCK),
      .ld_heads = round_up((int64_t)c->n_heads * c->head_dim, QBLOCK),
      .ld_hidden = round_up(c->hidden_dim, QBLOCK),
      .ld_vocab = round_up(c->vocab_size, LANES),
      .kv = kv_form_of(kv, c->head_dim),
  };
  s.kv_page = size_mul(s.kv.bytes, size_mul((uint64_t)c->n_layers, (uint64_t)c->n_kv_heads));
  return s;
}

uint64_t cpu_packing_of(cpu_packing *p, matrix *m, const kernels *k, const tensor *t, int32_t dtype, int64_t run) {
  *p = (cpu_packing){.target = m, .kernels = k, .tensor = *t, .run = run ? run : t->rows};
  p->padded = round_up(p->run, LANES);
  uint64_t bytes = matrix_shape(m, dtype, t->rows / p->run * p->padded, t->cols);
  if (!run) m->rows = t->rows;
  return bytes;
}

void cpu_pack_panels(worker *w, void *packing, int64_t begin, int64_t end) {
  (void)w;
  const cpu_packing *p = packing;
  for (int64_t panel = begin; panel < end; panel++) {
    int64_t rows[LANES];
    for (int lane = 0; lane < LANES; lane++) {
      int64_t i = panel * LANES + lane, row = i / p->padded * p->run + i % p->padded;
      rows[lane] = i % p->padded < p->run && row < p->tensor.rows ? row : -1;
    }
    matrix_pack(p->target, panel, &p->tensor, rows, p->kernels->pack_q8_0);
  }
}

/* Lays a model out in w->arena and, if the arena is open, fills it; else only counts. */
typedef struct builder {
  cpu_weights *w;
  const checkpoint *c;
  int32_t quantize;
  team *team;     /* that packs */
  uint64_t total; /* bytes of the arena */
  int (*progress)(void *context, uint64_t done, uint64_t total);
  void *progress_context;
  atomic_int cancel;
  uint64_t largest; /* bytes of the largest tensor in the file */
  int32_t dtype;    /* of the layers' matrices */
} builder;

/* Tensors stay as they are, but floats where something else was asked for, and what cannot be kept becomes what holds it
 * exactly. */
static int32_t packed_dtype(const tensor *t, int32_t quantize) {
  bool is_float = t->dtype == LLAMA2_F32 || t->dtype == LLAMA2_F16 || t->dtype == LLAMA2_BF16;
  if (matrix_keeps(t) && !(is_float && quantize != LLAMA2_KEEP)) return t->dtype;
  return quantize == LLAMA2_KEEP ? LLAMA2_F32 : quantize;
}

static int tell_progress(void *context) {
  const builder *b = context;
  return b->progress(b->progress_context, b->w->arena.used, b->total);
}

/* Each run of `run` rows begins with a panel of its own. */
static void build_matrix(builder *b, matrix *m, role role, int32_t layer, int64_t run) {
  cpu_packing p;
  tensor t = checkpoint_tensor(b->c, role, layer);
  if (t.bytes > b->largest) b->largest = t.bytes;
  int32_t dtype = packed_dtype(&t, role == ROLE_ROUTER ? LLAMA2_KEEP : b->quantize);
  uint64_t bytes = cpu_packing_of(&p, m, b->w->kernels, &t, dtype, run);
  m->data = arena_take(&b->w->arena, bytes);
  if (!m->data || atomic_load(&b->cancel)) return;
  team_loop(b->team, m->n_panels, 8, cpu_pack_panels, &p, &b->cancel, b->progress ? tell_progress : NULL, b);
  checkpoint_done(b->c, &t);
}

/* NULL where the model has none. */
static float *build_vector(builder *b, role role, int32_t layer) {
  if (!checkpoint_has(b->c, role)) return NULL;
  tensor t = checkpoint_tensor(b->c, role, layer);
  float *vector = arena_take(&b->w->arena, (uint64_t)round_up(t.cols, QBLOCK) * sizeof(float));
  if (vector) tensor_values(&t, 0, 0, t.cols, vector);
  return vector;
}

/* Biases in the order of the heads' panels, zeros where there are none; NULL where the model has none at all. */
static float *build_head_biases(builder *b, int32_t layer) {
  const config *c = &b->w->config;
  const role roles[] = {ROLE_BQ, ROLE_BK, ROLE_BV};
  const int32_t heads[] = {c->n_heads, c->n_kv_heads, c->n_kv_heads};
  int64_t pad = round_up(c->head_dim, LANES), n = (int64_t)c->n_heads + 2 * (int64_t)c->n_kv_heads;
  bool any = false;
  for (int i = 0; i < 3; i++) any = any || checkpoint_has(b->c, roles[i]);
  float *biases = any ? arena_take(&b->w->arena, size_mul((uint64_t)n, (uint64_t)pad * sizeof(float))) : NULL;
  if (!biases) return NULL;
  float *head = biases;
  for (int i = 0; i < 3; i++) {
    tensor t = {0};
    if (checkpoint_has(b->c, roles[i])) t = checkpoint_tensor(b->c, roles[i], layer);
    for (int64_t h = 0; h < heads[i]; h++, head += pad)
      if (t.data) tensor_values(&t, 0, h * c->head_dim, c->head_dim, head);
  }
  return biases;
}

static void build_rope(builder *b) {
  cpu_weights *w = b->w;
  const config *c = &w->config;
  w->magnitude = rope_magnitude(&c->rope_scaling);
  w->rope = arena_take(&w->arena, (uint64_t)(c->rope_dim / 2) * sizeof(double));
  if (!w->rope) return;
  rope_frequencies(w->rope, (double)c->rope_theta, c->rope_dim);
  if (checkpoint_has(b->c, ROLE_ROPE_FACTORS)) {
    tensor t = checkpoint_tensor(b->c, ROLE_ROPE_FACTORS, 0);
    float factor;
    for (int32_t i = 0; i < c->rope_dim / 2; i++) {
      tensor_values(&t, 0, i, 1, &factor);
      w->rope[i] /= (double)factor;
    }
  }
  rope_scale(w->rope, c);
}

static void build(builder *b) {
  cpu_weights *w = b->w;
  const config *c = &w->config;
  w->layers = arena_take(&w->arena, size_mul((uint64_t)c->n_layers, sizeof(cpu_layer)));
  build_rope(b);
  build_matrix(b, &w->embedding, ROLE_EMBEDDING, 0, 0);
  for (int32_t i = 0; i < c->n_layers; i++) {
    cpu_layer unread, *l = w->layers ? &w->layers[i] : &unread;
    l->attention_norm = build_vector(b, ROLE_ATTENTION_NORM, i);
    build_matrix(b, &l->wq, ROLE_WQ, i, c->head_dim); /* one worker has all of a head */
    build_matrix(b, &l->wk, ROLE_WK, i, c->head_dim);
    build_matrix(b, &l->wv, ROLE_WV, i, c->head_dim);
    l->qkv_bias = build_head_biases(b, i);
    l->q_norm = build_vector(b, ROLE_Q_NORM, i);
    l->k_norm = build_vector(b, ROLE_K_NORM, i);
    build_matrix(b, &l->wo, ROLE_WO, i, 0);
    l->wo_bias = build_vector(b, ROLE_BO, i);
    b->dtype = l->wo.dtype;
    l->ffn_norm = build_vector(b, ROLE_FFN_NORM, i);
    if (c->n_experts) {
      build_matrix(b, &l->router, ROLE_ROUTER, i, 0);
      build_matrix(b, &l->w1, ROLE_EXPERTS_W1, i, c->hidden_dim);
      build_matrix(b, &l->w3, ROLE_EXPERTS_W3, i, c->hidden_dim);
      build_matrix(b, &l->w2, ROLE_EXPERTS_W2, i, c->dim);
      continue;
    }
    build_matrix(b, &l->w1, ROLE_W1, i, 0);
    build_matrix(b, &l->w3, ROLE_W3, i, 0);
    build_matrix(b, &l->w2, ROLE_W2, i, 0);
  }
  w->final_norm = build_vector(b, ROLE_FINAL_NORM, 0);
  if (c->shared_classifier)
    w->classifier = w->embedding;
  else
    build_matrix(b, &w->classifier, ROLE_CLASSIFIER, 0, 0);
}

llama2_status cpu_plan_weights(const checkpoint *c, const llama2_model_options *options, llama2_model_info *info,
                               uint64_t *load) {
  cpu_weights w = {.config = c->config};
  builder b = {.w = &w, .c = c, .quantize = options->quantize};
  RETURN_IF_FAILED(kernels_find(options->isa, &w.kernels));
  build(&b);
  info->dtype = b.dtype;
  info->weight_bytes = w.arena.used;
  info->isa = w.kernels->isa;
  *load = b.largest;
  return LLAMA2_OK;
}

llama2_status cpu_prepare(const checkpoint *c, const llama2_model_options *options, void **weights) {
  llama2_model_info info;
  uint64_t load;
  RETURN_IF_FAILED(cpu_plan_weights(c, options, &info, &load));
  cpu_weights *w = mem_new(1, sizeof *w);
  team *packers = mem_new(1, team_bytes(options->threads));
  llama2_status status = LLAMA2_OK;
  if (!w || !packers)
    status = status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *w, mem_available(), "no memory for a model's description");
  if (status == LLAMA2_OK) status = kernels_find(options->isa, &w->kernels);
  if (status == LLAMA2_OK) status = arena_open(&w->arena, info.weight_bytes, "model weights");
  if (status == LLAMA2_OK) {
    w->config = c->config;
    builder b = {.w = w,
                 .c = c,
                 .quantize = options->quantize,
                 .team = team_init(packers, options->threads),
                 .total = info.weight_bytes,
                 .progress = options->progress,
                 .progress_context = options->progress_context};
    build(&b);
    team_close(packers);
    if (b.progress && !atomic_load(&b.cancel) && tell_progress(&b) != 0) atomic_store(&b.cancel, 1);
    if (atomic_load(&b.cancel)) status = status_fail(LLAMA2_ERR_CANCELLED, "loading was cancelled");
  }
  if (status == LLAMA2_OK)
    *weights = w;
  else
    cpu_release(w);
  mem_free(packers);
  return status;
}

void cpu_release(void *weights) {
  cpu_weights *w = weights;
  if (w) arena_close(&w->arena);
  mem_free(w);
}

uint64_t cpu_fingerprint(const void *weights, uint64_t hash) {
  const cpu_weights *w = weights;
  const unsigned char *data = (const unsigned char *)(w->layers + w->config.n_layers),
                      *end = w->arena.base + w->arena.used;
  return digest_bytes(digest_bytes(hash, &w->magnitude, sizeof w->magnitude), data, (uint64_t)(end - data));
}
