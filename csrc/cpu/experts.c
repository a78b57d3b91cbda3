/* cpu/experts: each row of a step is computed by the few experts that a router finds likeliest for it, and what they make
 * of it is added up in the order of their likelihood (Mixtral; Jiang et al., 2024).
 *
 * Rows that chose the same expert are brought together, so that its weights are read once a step and the products are
 * those of any matrix: a row's sums do not depend on who its companions are. Rows of an expert begin at a multiple of
 * ACT_TILE_GROUP places, so that each expert's lie as it suits their number, and `group` g of so many places is one
 * expert's.
 *
 * How many experts are chosen differs from layer to layer, but a worker that is late walks through stages that are over:
 * what it is told of a stage must be the same for all time. So stages have as many units as there could be work, and what
 * was chosen is read within units alone. */
#include "cpu/experts.h"

#include "base/checked.h"
#include "base/half.h"
#include "cpu/stages.h"

static int64_t most_chosen(const config *c, int64_t n_rows) {
  int64_t choices = n_rows * c->n_experts_used;
  return choices < c->n_experts ? choices : c->n_experts;
}

int64_t experts_places(const config *c, int64_t n_rows) {
  if (!c->n_experts) return round_up(n_rows, ACT_TILE_GROUP);
  int64_t places = n_rows * c->n_experts_used + (ACT_TILE_GROUP - 1) * most_chosen(c, n_rows);
  return places / ACT_TILE_GROUP * ACT_TILE_GROUP;
}

void experts_lay_out(cpu_state *s, const config *c) {
  cpu_experts *x = &s->experts;
  if (!c->n_experts) return;
  uint64_t rows = (uint64_t)s->limits.rows, experts = (uint64_t)c->n_experts;
  uint64_t places = (uint64_t)experts_places(c, s->limits.rows);
  x->ld_scores = round_up(c->n_experts, LANES);
  x->ld_shares = round_up(c->n_experts_used, LANES);
#define TAKE(pointer, n) pointer = arena_take(&s->arena, size_mul((n), sizeof *(pointer)))
  TAKE(x->scores, size_mul(rows, (uint64_t)x->ld_scores));
  TAKE(x->shares, size_mul(rows, (uint64_t)x->ld_shares));
  TAKE(x->chosen, size_mul(rows, (uint64_t)c->n_experts_used));
  TAKE(x->place, size_mul(rows, (uint64_t)c->n_experts_used));
  TAKE(x->row_at, places);
  TAKE(x->expert_of_group, places / ACT_TILE_GROUP);
  TAKE(x->used, (uint64_t)most_chosen(c, s->limits.rows));
  TAKE(x->first, experts);
  TAKE(x->count, experts);
  TAKE(x->y, size_mul(places, (uint64_t)s->sizes.ld_dim));
#undef TAKE
}

/* What is done for a layer. */
typedef struct experts_job {
  cpu_state *state;
  const cpu_layer *layer;
  prepare_job rows; /* its `out` is each unit's own */
  int64_t n_panels; /* of an expert, in the matrices at hand */
} experts_job;

/* Which experts a row goes to: the likeliest first, of equals the one with the lower number. Its shares add up to 1, as
 * if those of all experts were divided by the sum of the chosen. */
static void choose(const cpu_state *s, int64_t row) {
  const config *c = &s->weights->config;
  const kernels *k = s->weights->kernels;
  const cpu_experts *x = &s->experts;
  const float *scores = x->scores + row * x->ld_scores;
  float *shares = x->shares + row * x->ld_shares;
  int32_t *chosen = x->chosen + row * c->n_experts_used;
  bool finite;
  k->greatest(scores, c->n_experts, &finite);
  for (int32_t i = 0; i < c->n_experts_used; i++) {
    int32_t best = -1, last = i ? chosen[i - 1] : -1;
    for (int32_t e = 0; finite && e < c->n_experts; e++) {
      bool left = i == 0 || scores[e] < scores[last] || (scores[e] == scores[last] && e > last);
      if (left && (best < 0 || scores[e] > scores[best])) best = e;
    }
    chosen[i] = finite ? best : i;
    shares[i] = finite ? scores[best] : half_bits_f32(0x7fc00000); /* NaN shows in the logits */
  }
  float sum = k->exp_sum(shares, shares, c->n_experts_used, shares[0], 1.0f);
  for (int32_t i = 0; i < c->n_experts_used; i++) shares[i] /= sum;
}

/* Groups of ACT_TILE_GROUP rows. */
static void route_rows(worker *w, void *context, int64_t begin, int64_t end) {
  experts_job *j = context;
  const cpu_state *s = j->state;
  const matrix *router = &j->layer->router;
  int64_t ld = s->experts.ld_scores, n_rows = s->step->n_rows;
  prepare_job rows = j->rows;
  rows.out = act_of_rows(s, s->shared, n_rows, rows.ld);
  for (int64_t group = begin; group < end; group++) {
    int64_t first = group * ACT_TILE_GROUP, left = n_rows - first, n = left < ACT_TILE_GROUP ? left : ACT_TILE_GROUP;
    for (int64_t i = first; i < first + n; i++) prepare_row(w, &rows, i, i);
    multiply(w, s, router, 0, router->n_panels, &rows.out, first, n, s->experts.scores + first * ld, ld, false);
    for (int64_t i = first; i < first + n; i++) choose(s, i);
  }
}

/* Gives each choice its place. One unit. */
static void place_rows(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w, (void)begin, (void)end;
  cpu_state *s = context;
  const config *c = &s->weights->config;
  cpu_experts *x = &s->experts;
  int64_t choices = (int64_t)s->step->n_rows * c->n_experts_used, at = 0;
  for (int32_t e = 0; e < c->n_experts; e++) x->count[e] = 0;
  for (int64_t i = 0; i < choices; i++) x->count[x->chosen[i]]++;
  x->n_used = 0;
  for (int32_t e = 0; e < c->n_experts; e++) {
    x->first[e] = (int32_t)at;
    if (x->count[e]) x->used[x->n_used++] = e;
    for (int64_t end_of = at + x->count[e]; at < end_of; at += ACT_TILE_GROUP)
      x->expert_of_group[at / ACT_TILE_GROUP] = e;
    x->count[e] = 0;
  }
  x->n_groups = (int32_t)(at / ACT_TILE_GROUP);
  for (int64_t i = 0; i < choices; i++) {
    int32_t e = x->chosen[i];
    x->place[i] = x->first[e] + x->count[e]++;
    x->row_at[x->place[i]] = (int32_t)(i / c->n_experts_used);
  }
}

/* An expert's rows, of ld values, in its part of the activations. */
static act rows_of(const cpu_state *s, int32_t expert, int64_t ld) {
  int64_t first = s->experts.first[expert], blocks = ld / QBLOCK;
  act room = s->shared;
  room.f += first * ld;
  room.q += first * ld;
  room.d += first * blocks;
  room.start += first * blocks;
  room.sum += first * blocks;
  room.start_half += first * blocks * 2;
  room.sum_half += first * blocks * 2;
  return act_of_rows(s, room, s->experts.count[expert], ld);
}

/* Groups of places: of each its row of x, or where j->rows is of h its own. */
static void gather_rows(worker *w, void *context, int64_t begin, int64_t end) {
  experts_job *j = context;
  const cpu_experts *x = &j->state->experts;
  prepare_job rows = j->rows;
  for (int64_t group = begin; group < end && group < x->n_groups; group++) {
    int32_t e = x->expert_of_group[group], last = x->first[e] + x->count[e];
    rows.out = rows_of(j->state, e, rows.ld);
    for (int32_t i = (int32_t)group * ACT_TILE_GROUP; i < last && i < ((int32_t)group + 1) * ACT_TILE_GROUP; i++)
      prepare_row(w, &rows, rows.index ? x->row_at[i] : i, i - x->first[e]);
  }
}

static void gather(cpu_lane *lane, experts_job *j) {
  int64_t places = experts_places(&j->state->weights->config, j->state->step->n_rows);
  team_for(lane->worker, places / ACT_TILE_GROUP, 1, gather_rows, j);
}

/* Panels of the experts that were chosen, one expert's behind another's: some of one at a time. */
static void each_expert(worker *w, const experts_job *j, int64_t begin, int64_t end,
                        void (*fn)(worker *w, const experts_job *j, int32_t expert, int64_t panel, int64_t n)) {
  const cpu_experts *x = &j->state->experts;
  for (int64_t i = begin, n; i < end && i / j->n_panels < x->n_used && !(i > begin && team_stopped(w)); i += n) {
    int64_t panel = i % j->n_panels;
    n = end - i < j->n_panels - panel ? end - i : j->n_panels - panel;
    fn(w, j, x->used[i / j->n_panels], panel, n);
  }
}

static void up_expert(worker *w, const experts_job *j, int32_t e, int64_t panel, int64_t n) {
  cpu_state *s = j->state;
  act in = rows_of(s, e, s->sizes.ld_dim);
  up_panels(w, s, j->layer, NULL, e * j->n_panels + panel, n, &in, s->experts.count[e],
            s->h + s->experts.first[e] * s->sizes.ld_hidden + panel * LANES);
}

static void up_units(worker *w, void *context, int64_t begin, int64_t end) {
  each_expert(w, context, begin, end, up_expert);
}

void experts_up(cpu_lane *lane, const step *step, const cpu_layer *layer) {
  cpu_state *s = lane->state;
  const config *c = &s->weights->config;
  const matrix *const matrices[] = {&layer->w1, &layer->w3}, *router = &layer->router;
  prepare_job rows = {.state = s, .x = s->x, .ld = s->sizes.ld_dim, .norm = layer->ffn_norm, .n = c->dim};
  experts_job routing = {s, layer, rows, router->n_panels};
  prepare_forms(&routing.rows, &router, 1);
  team_for(lane->worker, ceil_div(step->n_rows, ACT_TILE_GROUP), 1, route_rows, &routing);
  team_for(lane->worker, 1, 1, place_rows, s);

  experts_job up = {s, layer, rows, layer->w1.n_panels / c->n_experts};
  prepare_forms(&up.rows, matrices, 2);
  up.rows.index = s->experts.row_at;
  gather(lane, &up);
  int64_t units = most_chosen(c, step->n_rows) * up.n_panels;
  team_for(lane->worker, units, bite_panels(lane->worker, 2 * units) / 2, up_units, &up);
}

static void down_expert(worker *w, const experts_job *j, int32_t e, int64_t panel, int64_t n_panels) {
  const cpu_state *s = j->state;
  int64_t n_rows = s->experts.count[e], ld = s->sizes.ld_dim;
  act in = rows_of(s, e, s->sizes.ld_hidden);
  float *y = s->experts.y + s->experts.first[e] * ld + panel * LANES;
  for (int64_t r = 0; r < n_rows && !(r && team_stopped(w)); r += BLOCK_ROWS) {
    int64_t n = n_rows - r < BLOCK_ROWS ? n_rows - r : BLOCK_ROWS;
    multiply(w, s, &j->layer->w2, e * j->n_panels + panel, n_panels, &in, r, n, y + r * ld, ld, false);
  }
}

static void down_units(worker *w, void *context, int64_t begin, int64_t end) {
  each_expert(w, context, begin, end, down_expert);
}

/* To each row what its experts made of it, the likeliest first. */
static void add_rows(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  cpu_state *s = context;
  const config *c = &s->weights->config;
  const cpu_experts *e = &s->experts;
  for (int64_t row = begin; row < end; row++) {
    float *x = s->x + row * s->sizes.ld_dim;
    for (int64_t slot = 0; slot < c->n_experts_used; slot++) {
      const float share = e->shares[row * e->ld_shares + slot];
      const float *y = e->y + e->place[row * c->n_experts_used + slot] * s->sizes.ld_dim;
      for (int64_t i = 0; i < c->dim; i++) x[i] += share * y[i];
    }
  }
}

void experts_down(cpu_lane *lane, const step *step, const cpu_layer *layer) {
  cpu_state *s = lane->state;
  const config *c = &s->weights->config;
  const matrix *const w2 = &layer->w2;
  experts_job down = {
      s, layer, {.state = s, .x = s->h, .ld = s->sizes.ld_hidden},
        w2->n_panels / c->n_experts
  };
  prepare_forms(&down.rows, &w2, 1);
  gather(lane, &down);
  int64_t units = most_chosen(c, step->n_rows) * down.n_panels;
  team_for(lane->worker, units, bite_panels(lane->worker, units), down_units, &down);
  team_for(lane->worker, step->n_rows, 4, add_rows, s);
}
