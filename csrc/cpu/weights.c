/* cpu/weights: packs a checkpoint into panels, and says beforehand what that takes. */
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "cpu/rope.h"

cpu_sizes cpu_sizes_of(const config *c) {
  cpu_sizes s = {
      .head_pad = round_up(c->head_dim, LANES),
      .ld_dim = round_up(c->dim, QBLOCK),
      .ld_heads = round_up((int64_t)c->n_heads * c->head_dim, QBLOCK),
      .ld_hidden = round_up(c->hidden_dim, QBLOCK),
      .ld_vocab = round_up(c->vocab_size, LANES),
  };
  s.kv_block =
      size_round_up(size_mul((uint64_t)c->head_dim + (uint64_t)s.head_pad, KV_PAGE * sizeof(float)), MEM_ALIGN);
  s.kv_page = size_mul(s.kv_block, size_mul((uint64_t)c->n_layers, (uint64_t)c->n_kv_heads));
  return s;
}

/* A matrix to be, and where its rows come from: `parts` tensors, and which row of which is panel row i. */
typedef struct packing {
  matrix *target;
  const cpu_weights *weights;
  tensor parts[3];
  matrix_source (*locate)(const struct packing *p, int64_t i);
} packing;

static matrix_source locate_plain(const packing *p, int64_t i) {
  return i < p->parts[0].rows ? (matrix_source){&p->parts[0], i} : (matrix_source){NULL, 0};
}

/* Every head begins with a panel of its own, so that one worker has all of a head. */
static matrix_source locate_heads(const packing *p, int64_t i) {
  const config *c = &p->weights->config;
  int64_t pad = round_up(c->head_dim, LANES), head = i / pad, at = i % pad;
  int part = head < c->n_heads ? 0 : head < c->n_heads + c->n_kv_heads ? 1 : 2;
  if (at >= c->head_dim) return (matrix_source){NULL, 0};
  if (part > 0) head -= c->n_heads + (part - 1) * c->n_kv_heads;
  return (matrix_source){&p->parts[part], head * c->head_dim + at};
}

/* Panels of W1 and W3 take turns, so that one worker has a gate and what it gates. */
static matrix_source locate_pairs(const packing *p, int64_t i) {
  int64_t panel = i / LANES, row = panel / 2 * LANES + i % LANES;
  return row < p->parts[0].rows ? (matrix_source){&p->parts[panel % 2], row} : (matrix_source){NULL, 0};
}

static void pack_panels(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  const packing *p = context;
  for (int64_t panel = begin; panel < end; panel++) {
    matrix_source sources[LANES];
    for (int lane = 0; lane < LANES; lane++) sources[lane] = p->locate(p, panel * LANES + lane);
    matrix_pack(p->target, panel, sources, p->weights->kernels->pack_q8_0);
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

/* Integer tensors keep their values where their blocks allow it and all parts are alike; else a matrix becomes what
 * holds it exactly, or what was asked. */
static int32_t packed_dtype(const builder *b, int n_parts, const tensor *parts) {
  bool kept = true;
  for (int i = 0; i < n_parts; i++) kept = kept && matrix_keeps(&parts[i]) && parts[i].dtype == parts[0].dtype;
  if (kept) return parts[0].dtype;
  return b->quantize == LLAMA2_Q8_0 ? LLAMA2_Q8_0 : LLAMA2_F32;
}

static int tell_progress(void *context) {
  const builder *b = context;
  return b->progress(b->progress_context, b->w->arena.used, b->total);
}

static void build_matrix(builder *b, matrix *m, int64_t rows, matrix_source (*locate)(const packing *, int64_t),
                         int n_parts, const role *parts, int32_t layer) {
  packing p = {.target = m, .weights = b->w, .locate = locate};
  for (int i = 0; i < n_parts; i++) {
    p.parts[i] = checkpoint_tensor(b->c, parts[i], layer);
    if (p.parts[i].bytes > b->largest) b->largest = p.parts[i].bytes;
  }
  m->data = arena_take(&b->w->arena, matrix_shape(m, packed_dtype(b, n_parts, p.parts), rows, p.parts[0].cols));
  if (!m->data || atomic_load(&b->cancel)) return;
  team_loop(b->team, m->n_panels, 8, pack_panels, &p, &b->cancel, b->progress ? tell_progress : NULL, b);
  for (int i = 0; i < n_parts; i++) checkpoint_done(b->c, &p.parts[i]);
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
  int64_t pad = cpu_sizes_of(c).head_pad, n = (int64_t)c->n_heads + 2 * (int64_t)c->n_kv_heads;
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
  cpu_sizes sizes = cpu_sizes_of(c);
  w->layers = arena_take(&w->arena, size_mul((uint64_t)c->n_layers, sizeof(cpu_layer)));
  build_rope(b);
  build_matrix(b, &w->embedding, c->vocab_size, locate_plain, 1, (const role[]){ROLE_EMBEDDING}, 0);
  for (int32_t i = 0; i < c->n_layers; i++) {
    cpu_layer unread, *l = w->layers ? &w->layers[i] : &unread;
    int64_t heads = (int64_t)c->n_heads + 2 * (int64_t)c->n_kv_heads;
    l->attention_norm = build_vector(b, ROLE_ATTENTION_NORM, i);
    build_matrix(b, &l->qkv, heads * sizes.head_pad, locate_heads, 3, (const role[]){ROLE_WQ, ROLE_WK, ROLE_WV}, i);
    l->qkv_bias = build_head_biases(b, i);
    l->q_norm = build_vector(b, ROLE_Q_NORM, i);
    l->k_norm = build_vector(b, ROLE_K_NORM, i);
    build_matrix(b, &l->wo, c->dim, locate_plain, 1, (const role[]){ROLE_WO}, i);
    l->wo_bias = build_vector(b, ROLE_BO, i);
    b->dtype = l->wo.dtype;
    l->ffn_norm = build_vector(b, ROLE_FFN_NORM, i);
    build_matrix(b, &l->gate_up, 2 * round_up(c->hidden_dim, LANES), locate_pairs, 2, (const role[]){ROLE_W1, ROLE_W3},
                 i);
    build_matrix(b, &l->w2, c->dim, locate_plain, 1, (const role[]){ROLE_W2}, i);
  }
  w->final_norm = build_vector(b, ROLE_FINAL_NORM, 0);
  if (c->shared_classifier)
    w->classifier = w->embedding;
  else
    build_matrix(b, &w->classifier, c->vocab_size, locate_plain, 1, (const role[]){ROLE_CLASSIFIER}, 0);
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
