/* cpu/stages: the seven stages, but attend, which is in cpu/attend. Each is called by all workers of a step with the
 * same arguments; what is inside team_for() is shared out among them. */
#include "cpu/stages.h"

#include "base/checked.h"
#include "cpu/experts.h"
#include "cpu/rope.h"

/* Activations. */

#define PREPARE_BLOCKS 8 /* blocks of all rows that a worker takes at a time */
#define PREPARE_TWICE 16 /* rows, at most, whose norms all workers compute */

void prepare_forms(prepare_job *j, const matrix *const *matrices, int n_matrices) {
  for (int i = 0; i < n_matrices; i++) {
    bool integers = panel_form_of(matrices[i]->dtype).low > 0;
    j->integers = j->integers || integers;
    j->floats = j->floats || !integers;
  }
}

/* n values from column `first` on; out: where such a part of a row goes. */
static void prepare_values(const worker *w, const prepare_job *j, const act *out, int64_t from, int64_t to,
                           int64_t first, int64_t n) {
  const kernels *k = j->state->weights->kernels;
  const float *x = j->x + from * j->ld;
  if (j->norm) {
    float *normed = j->state->scratch[w->id].norm;
    /* The padding of x is zero, so it adds nothing to the mean's sum. */
    k->rmsnorm(normed, x, j->norm, j->n, j->state->weights->config.norm_eps);
    x = normed;
  }
  if (j->floats) k->place(out, to, x + first, n);
  if (j->integers) k->quantize(out, to, x + first, n);
}

void prepare_row(const worker *w, const prepare_job *j, int64_t from, int64_t to) {
  prepare_values(w, j, &j->out, from, to, 0, j->ld);
}

/* Rows [row, row_end), of which blocks [block, block_end). */
static void prepare_part(const worker *w, const prepare_job *j, int64_t row, int64_t row_end, int64_t block,
                         int64_t block_end) {
  act out = act_from(&j->out, block);
  for (int64_t i = row; i < row_end; i++)
    prepare_values(w, j, &out, j->index ? j->index[i] : i, i, block * QBLOCK, (block_end - block) * QBLOCK);
}

static void prepare_blocks(worker *w, void *context, int64_t begin, int64_t end) {
  const prepare_job *j = context;
  prepare_part(w, j, 0, j->n_rows, begin, end);
}

static void prepare_groups(worker *w, void *context, int64_t begin, int64_t end) {
  const prepare_job *j = context;
  int64_t group = j->out.group, last = end * group < j->n_rows ? end * group : j->n_rows;
  prepare_part(w, j, begin * group, last, 0, j->ld / QBLOCK);
}

/* Cuts several rows so that no two workers write to the same lines of memory, as rows of a group lie interleaved: into
 * groups, or into blocks of all rows, most of which a worker wrote itself. A norm wants whole rows, so that each worker
 * computes all of them; that is cheaper than to wait for one that has all to do. */
static void prepare_rows(worker *w, prepare_job *j) {
  int64_t blocks = j->ld / QBLOCK, groups = ceil_div(j->n_rows, j->out.group);
  if (!j->norm)
    team_for(w, blocks, PREPARE_BLOCKS, prepare_blocks, j);
  else if (groups < w->n && j->n_rows <= PREPARE_TWICE)
    team_for(w, blocks, ceil_div(blocks, w->n), prepare_blocks, j);
  else
    team_for(w, groups, 1, prepare_groups, j);
}

act act_of_rows(const cpu_state *s, act room, int64_t n_rows, int64_t ld) {
  const kernels *k = s->weights->kernels;
  bool tiles = k->tile_rows && n_rows >= k->tile_rows;
  room.ld = ld;
  room.group = n_rows == 1 ? 1 : tiles ? ACT_TILE_GROUP : ACT_GROUP;
  room.run = tiles ? ACT_TILE_RUN : ACT_RUN;
  return room;
}

/* Rows of x, normalised if `norm`, in the forms that products with the n_matrices read. units: of the stage that reads
 * them. */
static act prepare(cpu_lane *lane, const float *x, int64_t ld, int64_t n, const float *norm, const int32_t *index,
                   int64_t n_rows, const matrix *const *matrices, int n_matrices, int64_t units) {
  cpu_state *s = lane->state;
  prepare_job job = {.state = s, .x = x, .ld = ld, .norm = norm, .n = n, .index = index, .n_rows = n_rows};
  job.out = act_of_rows(s, n_rows == 1 ? s->scratch[lane->worker->id].solo : s->shared, n_rows, ld);
  prepare_forms(&job, matrices, n_matrices);
  if (n_rows > 1)
    prepare_rows(lane->worker, &job);
  else if (!team_over(lane->worker, units))
    prepare_part(lane->worker, &job, 0, 1, 0, ld / QBLOCK);
  return job.out;
}

void multiply(const worker *w, const cpu_state *s, const matrix *m, int64_t panel, int64_t n_panels, const act *x,
              int64_t row, int64_t n_rows, float *out, int64_t ld_out, bool add) {
  s->weights->kernels->matmul(m, panel, n_panels, x, row, n_rows, out, ld_out, add, s->scratch[w->id].product);
}

int64_t bite_panels(const worker *w, int64_t n_panels) {
  int64_t bite = n_panels / (4 * w->n) / 4 * 4;
  return bite < 4 ? 4 : bite > BITE_PANELS ? BITE_PANELS : bite;
}

/* What adapters make of the input of n_targets products, for cpu_add_adapted(); x to n_rows as in prepare(). Steps in which
 * no row has any do not stop here. */
static cpu_adapted adapt(cpu_lane *lane, const float *x, int64_t ld, int64_t n, const float *norm, int32_t layer,
                         cpu_target target, int32_t n_targets) {
  cpu_state *s = lane->state;
  bool head = target == TARGET_HEAD;
  const matrix floats = {.dtype = LLAMA2_F32}, *const read = &floats;
  cpu_adapted a = {.pieces = head ? s->head_pieces : s->pieces,
                   .n_pieces = head ? s->n_head_pieces : s->n_pieces,
                   .index = head ? s->wanted : NULL,
                   .layer = layer,
                   .target = target,
                   .n_targets = n_targets};
  if (a.n_pieces == 0) return a;
  a.in = prepare(lane, x, ld, n, norm, a.index, head ? s->step->n_logits : s->step->n_rows, &read, 1,
                 cpu_adapted_units(s, &a));
  cpu_adapt(lane, &a);
  return a;
}

/* A product whose outputs are used as they are. */

typedef struct product_job {
  const cpu_state *state;
  const matrix *matrix;
  act in;
  int64_t n_rows;
  float *out;
  int64_t ld_out;
  bool add;
  const float *bias; /* (panels * LANES) added besides, or NULL */
  cpu_adapted adapted;
} product_job;

static void add_to(float *x, const float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) x[i] += y[i];
}

static void product_panels(worker *w, void *context, int64_t begin, int64_t end) {
  product_job *j = context;
  for (int64_t r = 0; r < j->n_rows && !(r && team_stopped(w)); r += BLOCK_ROWS) {
    int64_t n = j->n_rows - r < BLOCK_ROWS ? j->n_rows - r : BLOCK_ROWS;
    float *out = j->out + r * j->ld_out + begin * LANES;
    multiply(w, j->state, j->matrix, begin, end - begin, &j->in, r, n, out, j->ld_out, j->add);
    for (int64_t i = 0; j->bias && i < n; i++)
      add_to(out + i * j->ld_out, j->bias + begin * LANES, (end - begin) * LANES);
    cpu_add_adapted(w, j->state, &j->adapted, 0, begin, end - begin, r, n, out, j->ld_out);
  }
}

static void product(cpu_lane *lane, product_job *job) {
  team_for(lane->worker, job->matrix->n_panels, bite_panels(lane->worker, job->matrix->n_panels), product_panels, job);
}

/* Embed. */

static void embed_rows(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  cpu_state *s = context;
  const config *c = &s->weights->config;
  for (int64_t i = begin; i < end; i++) {
    matrix_row(&s->weights->embedding, s->step->rows[i].token, s->x + i * s->sizes.ld_dim);
    rope_angles(s->rope + i * c->rope_dim, s->weights->rope, c->rope_dim / 2, s->step->rows[i].position,
                s->weights->magnitude);
  }
}

void cpu_embed(void *lane, const step *step) {
  cpu_lane *l = lane;
  team_for(l->worker, step->n_rows, 4, embed_rows, l->state);
}

typedef struct layer_job {
  cpu_state *state;
  const cpu_layer *layer;
  int32_t layer_index;
  act in;
  cpu_adapted adapted;
} layer_job;

/* Takes one head of one row where it belongs. x: (head_pad) the head, which may be changed. */
static void place_head(cpu_state *s, const row *r, int64_t row_index, int32_t layer, int64_t head, float *x) {
  const config *c = &s->weights->config;
  const float *angles = s->rope + row_index * c->rope_dim;
  const cpu_layer *l = &s->weights->layers[layer];
  const kernels *k = s->weights->kernels;
  int64_t pad = s->sizes.kv.head_pad, keys = head - c->n_heads, values = keys - c->n_kv_heads;
  if (l->qkv_bias) add_to(x, l->qkv_bias + head * pad, pad);
  if (values < 0) {
    const float *norm = keys < 0 ? l->q_norm : l->k_norm;
    if (norm) k->rmsnorm(x, x, norm, c->head_dim, c->norm_eps);
    rope_rotate(x, angles, c->rope_dim / 2, c->rope_halves);
  }
  if (keys < 0) {
    float *q = s->q + (row_index * c->n_heads + head) * pad;
    for (int64_t i = 0; i < pad; i++) q[i] = x[i];
  } else if (values < 0) {
    k->store_key(&s->sizes.kv, cpu_kv_block(s, r, layer, keys), r->position % KV_PAGE, x);
  } else {
    k->store_value(&s->sizes.kv, cpu_kv_block(s, r, layer, values), r->position % KV_PAGE, x);
  }
}

/* Heads [begin, end) of all queries', keys' and values', which lie in three matrices. */
static void qkv_heads(worker *w, void *context, int64_t begin, int64_t end) {
  layer_job *j = context;
  cpu_state *s = j->state;
  const config *c = &s->weights->config;
  const matrix *const matrices[] = {&j->layer->wq, &j->layer->wk, &j->layer->wv};
  const int64_t heads[] = {c->n_heads, c->n_kv_heads, c->n_kv_heads};
  float *tile = s->scratch[w->id].tile;
  int64_t pad = s->sizes.kv.head_pad, per_head = pad / LANES, width = (end - begin) * pad;
  for (int64_t r = 0; r < s->step->n_rows && !(r && team_stopped(w)); r += BLOCK_ROWS) {
    int64_t n = s->step->n_rows - r < BLOCK_ROWS ? s->step->n_rows - r : BLOCK_ROWS;
    for (int64_t i = 0, first = 0; i < 3; first += heads[i++]) {
      int64_t from = begin > first ? begin : first, to = end < first + heads[i] ? end : first + heads[i];
      if (from >= to) continue;
      int64_t panel = (from - first) * per_head, n_panels = (to - from) * per_head;
      float *out = tile + (from - begin) * pad;
      multiply(w, s, matrices[i], panel, n_panels, &j->in, r, n, out, width, false);
      cpu_add_adapted(w, s, &j->adapted, (int32_t)i, panel, n_panels, r, n, out, width);
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t head = begin; head < end; head++)
        place_head(s, &s->step->rows[r + i], r + i, j->layer_index, head, tile + i * width + (head - begin) * pad);
  }
}

void cpu_qkv(void *lane, const step *step, int32_t layer) {
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  const config *c = &s->weights->config;
  const cpu_layer *weights = &s->weights->layers[layer];
  const matrix *const matrices[] = {&weights->wq, &weights->wk, &weights->wv};
  int64_t heads = (int64_t)c->n_heads + 2 * (int64_t)c->n_kv_heads, per_head = s->sizes.kv.head_pad / LANES;
  layer_job job = {.state = s, .layer = weights, .layer_index = layer};
  job.adapted = adapt(l, s->x, s->sizes.ld_dim, c->dim, weights->attention_norm, layer, TARGET_Q, 3);
  job.in = prepare(l, s->x, s->sizes.ld_dim, c->dim, weights->attention_norm, NULL, step->n_rows, matrices, 3, heads);
  int64_t bite = bite_panels(l->worker, heads * per_head) / per_head;
  team_for(l->worker, heads, bite < 1 ? 1 : bite, qkv_heads, &job);
}

void cpu_attn_out(void *lane, const step *step, int32_t layer) {
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  const cpu_layer *weights = &s->weights->layers[layer];
  const matrix *m = &weights->wo;
  cpu_adapted adapted = adapt(l, s->a, s->sizes.ld_heads, 0, NULL, layer, TARGET_O, 1);
  act in = prepare(l, s->a, s->sizes.ld_heads, 0, NULL, NULL, step->n_rows, &m, 1, m->n_panels);
  product(l, &(product_job){s, m, in, step->n_rows, s->x, s->sizes.ld_dim, true, weights->wo_bias, adapted});
}

void up_panels(worker *w, cpu_state *s, const cpu_layer *layer, const cpu_adapted *adapted, int64_t panel,
               int64_t n_panels, const act *x, int64_t n_rows, float *h) {
  int64_t width = n_panels * LANES;
  float *gate = s->scratch[w->id].tile, *up = gate + width;
  for (int64_t r = 0; r < n_rows && !(r && team_stopped(w)); r += BLOCK_ROWS) {
    int64_t n = n_rows - r < BLOCK_ROWS ? n_rows - r : BLOCK_ROWS;
    multiply(w, s, &layer->w1, panel, n_panels, x, r, n, gate, 2 * width, false);
    multiply(w, s, &layer->w3, panel, n_panels, x, r, n, up, 2 * width, false);
    for (int target = 0; adapted && target < 2; target++)
      cpu_add_adapted(w, s, adapted, target, panel, n_panels, r, n, target ? up : gate, 2 * width);
    for (int64_t i = 0; i < n; i++)
      s->weights->kernels->silu_mul(h + (r + i) * s->sizes.ld_hidden, gate + i * 2 * width, up + i * 2 * width, width);
  }
}

static void ffn_up_panels(worker *w, void *context, int64_t begin, int64_t end) {
  layer_job *j = context;
  cpu_state *s = j->state;
  up_panels(w, s, j->layer, &j->adapted, begin, end - begin, &j->in, s->step->n_rows, s->h + begin * LANES);
}

void cpu_ffn_up(void *lane, const step *step, int32_t layer) {
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  const cpu_layer *weights = &s->weights->layers[layer];
  const matrix *const matrices[] = {&weights->w1, &weights->w3};
  if (s->weights->config.n_experts) {
    experts_up(l, step, weights);
    return;
  }
  int64_t n_panels = weights->w1.n_panels;
  int32_t dim = s->weights->config.dim;
  layer_job job = {.state = s, .layer = weights, .layer_index = layer};
  job.adapted = adapt(l, s->x, s->sizes.ld_dim, dim, weights->ffn_norm, layer, TARGET_GATE, 2);
  job.in = prepare(l, s->x, s->sizes.ld_dim, dim, weights->ffn_norm, NULL, step->n_rows, matrices, 2, n_panels);
  team_for(l->worker, n_panels, bite_panels(l->worker, 2 * n_panels) / 2, ffn_up_panels, &job);
}

void cpu_ffn_down(void *lane, const step *step, int32_t layer) {
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  const cpu_layer *weights = &s->weights->layers[layer];
  const matrix *m = &weights->w2;
  if (s->weights->config.n_experts) {
    experts_down(l, step, weights);
    return;
  }
  cpu_adapted adapted = adapt(l, s->h, s->sizes.ld_hidden, 0, NULL, layer, TARGET_DOWN, 1);
  act in = prepare(l, s->h, s->sizes.ld_hidden, 0, NULL, NULL, step->n_rows, &m, 1, m->n_panels);
  product(l, &(product_job){s, m, in, step->n_rows, s->x, s->sizes.ld_dim, true, NULL, adapted});
}

void cpu_head(void *lane, const step *step) {
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  const cpu_weights *w = s->weights;
  const matrix *m = &w->classifier;
  if (step->n_logits == 0) return;
  cpu_adapted adapted = adapt(l, s->x, s->sizes.ld_dim, w->config.dim, w->final_norm, 0, TARGET_HEAD, 1);
  act in =
      prepare(l, s->x, s->sizes.ld_dim, w->config.dim, w->final_norm, s->wanted, step->n_logits, &m, 1, m->n_panels);
  product(l, &(product_job){s, m, in, step->n_logits, s->logits, s->sizes.ld_vocab, false, NULL, adapted});
}
