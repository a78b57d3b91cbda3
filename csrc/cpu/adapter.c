/* cpu/adapter: what adapters add to the products of a stage. First all workers compute scale * (A x) of the rows that have
 * adapters, A by A; then whoever has computed a row's outputs of W adds those of B, adapter by adapter. Each of these is a
 * sum of one output over k in order, so a row's bits are the same whatever else is in the step. */
#include <string.h>

#include "base/checked.h"
#include "base/digest.h"
#include "cpu/cpu.h"

#define PIECE_ROWS 32 /* of a unit of work: a multiple of every group of an act */

/* One matrix, packed. */
typedef struct cpu_pair {
  matrix a; /* (rank, columns); data is NULL where nothing is added */
  matrix b; /* (rows, rank), its panels those of the model's matrix */
  float scale;
} cpu_pair;

typedef struct cpu_adapter {
  arena arena;
  int32_t n_pairs;
  cpu_pair *pairs; /* (n_layers, TARGET_HEAD) and one of the classifier */
} cpu_adapter;

static cpu_pair *pair_at(const cpu_adapter *a, int32_t layer, cpu_target target) {
  return &a->pairs[target == TARGET_HEAD ? a->n_pairs - 1 : layer * TARGET_HEAD + (int32_t)target];
}

static cpu_target target_of(role role) {
  switch (role) {
    case ROLE_WQ: return TARGET_Q;
    case ROLE_WK: return TARGET_K;
    case ROLE_WV: return TARGET_V;
    case ROLE_WO: return TARGET_O;
    case ROLE_W1: return TARGET_GATE;
    case ROLE_W3: return TARGET_UP;
    case ROLE_W2: return TARGET_DOWN;
    default: return TARGET_HEAD;
  }
}

/* Packing. */

/* Floats stay as they are. */
static void pack(cpu_adapter *a, const cpu_weights *w, matrix *m, const tensor *t, int64_t run) {
  cpu_packing p;
  bool kept = t->dtype == LLAMA2_F16 || t->dtype == LLAMA2_BF16;
  uint64_t bytes = cpu_packing_of(&p, m, w->kernels, t, kept ? t->dtype : LLAMA2_F32, run);
  m->data = arena_take(&a->arena, bytes);
  if (m->data) cpu_pack_panels(NULL, &p, 0, m->n_panels);
}

/* Takes everything from a->arena, which only counts while it is not open. */
static void build(cpu_adapter *a, const cpu_weights *w, const adapter_file *file) {
  a->n_pairs = w->config.n_layers * TARGET_HEAD + 1;
  a->pairs = arena_take(&a->arena, size_mul((uint64_t)a->n_pairs, sizeof *a->pairs));
  for (int32_t i = 0; i < file->n; i++) {
    const adapter_pair *from = &file->pairs[i];
    cpu_target target = target_of(from->role);
    cpu_pair unread, *pair = a->pairs ? pair_at(a, from->layer, target) : &unread;
    pair->scale = from->scale;
    pack(a, w, &pair->a, &from->a, 0);
    pack(a, w, &pair->b, &from->b, target <= TARGET_V ? w->config.head_dim : 0);
  }
}

llama2_status cpu_prepare_adapter(const void *weights, const adapter_file *file, void **adapter, uint64_t *bytes) {
  cpu_adapter counted = {0}, *a = mem_new(1, sizeof *a);
  uint64_t available = mem_available();
  build(&counted, weights, file);
  if (!a || counted.arena.used > available) {
    mem_free(a);
    return status_fail_sized(LLAMA2_ERR_MEMORY, counted.arena.used, available,
                             "%s: it takes %.1f MiB, but %.1f MiB are free; close other programs or models",
                             file->gguf.path, (double)counted.arena.used / 0x1p20, (double)available / 0x1p20);
  }
  llama2_status status = arena_open(&a->arena, counted.arena.used, "an adapter");
  if (status != LLAMA2_OK) {
    mem_free(a);
    return status;
  }
  build(a, weights, file);
  *adapter = a;
  *bytes = a->arena.used;
  return LLAMA2_OK;
}

void cpu_release_adapter(void *adapter) {
  cpu_adapter *a = adapter;
  if (a) arena_close(&a->arena);
  mem_free(a);
}

static uint64_t hash_matrix(uint64_t hash, const matrix *m) {
  return digest_bytes(digest_u64(hash, (uint64_t)m->dtype), m->data, m->panel_bytes * (uint64_t)m->n_panels);
}

uint64_t cpu_adapter_fingerprint(const void *adapter, uint64_t hash) {
  const cpu_adapter *a = adapter;
  for (int32_t i = 0; i < a->n_pairs; i++) {
    const cpu_pair *pair = &a->pairs[i];
    if (!pair->a.data) continue;
    hash = digest_bytes(digest_u64(hash, (uint64_t)i), &pair->scale, sizeof pair->scale);
    hash = hash_matrix(hash_matrix(hash, &pair->a), &pair->b);
  }
  return hash;
}

/* Steps. */

static bool same_set(const adapter_set *a, const adapter_set *b) {
  if (!a || !b) return a == b;
  return a == b || (a->n == b->n && memcmp(a->of, b->of, (size_t)a->n * sizeof *a->of) == 0);
}

/* Cuts rows into pieces that have one set each. index: NULL, or which row of the step is row i. */
static int32_t cut(cpu_piece *pieces, const row *rows, const int32_t *index, int32_t n_rows) {
  int32_t n = 0;
  bool follows = false; /* the row before is in the last piece */
  for (int32_t i = 0; i < n_rows; i++) {
    const adapter_set *set = rows[index ? index[i] : i].adapters;
    if (set && follows && i % PIECE_ROWS && same_set(set, pieces[n - 1].set))
      pieces[n - 1].n++;
    else if (set)
      pieces[n++] = (cpu_piece){i, 1, set};
    follows = set != NULL;
  }
  return n;
}

void cpu_plan_adapters(cpu_state *s, const step *step) {
  s->n_pieces = cut(s->pieces, step->rows, NULL, step->n_rows);
  s->n_head_pieces = s->n_pieces ? cut(s->head_pieces, step->rows, s->wanted, step->n_logits) : 0;
  s->most_adapters = 0;
  for (int32_t i = 0; i < s->n_pieces; i++)
    if (s->pieces[i].set->n > s->most_adapters) s->most_adapters = s->pieces[i].set->n;
}

int64_t cpu_adapted_units(const cpu_state *s, const cpu_adapted *a) {
  return (int64_t)a->n_pieces * a->n_targets * s->most_adapters;
}

/* Where A x of a row is, for the stage's target `t` and adapter `i` of its set. */
static float *low_at(const cpu_state *s, const adapter_set *set, int64_t row, int32_t t, int32_t i) {
  float *low = s->low + row * STAGE_TARGETS * s->limits.ranks + (int64_t)t * set->ranks;
  for (int32_t before = 0; before < i; before++) low += set->of[before].ranks;
  return low;
}

typedef struct low_job {
  const cpu_state *state;
  const cpu_adapted *adapted;
} low_job;

/* scale * (A x) of a piece's rows, for one A. Rows of its first group that are before them are computed in vain. */
static void low_rows(const worker *w, const cpu_state *s, const cpu_adapted *a, const cpu_piece *piece, int32_t t,
                     int32_t i) {
  const cpu_scratch *scratch = &s->scratch[w->id];
  const cpu_pair *pair = pair_at(piece->set->of[i].packed, a->layer, a->target + (cpu_target)t);
  if (!pair->a.data) return;
  float scale = pair->scale * piece->set->of[i].scale;
  int64_t begin = piece->first / a->in.group * a->in.group, end = piece->first + piece->n;
  for (int64_t panel = 0; panel < pair->a.n_panels; panel += BITE_PANELS) {
    int64_t n = pair->a.n_panels - panel < BITE_PANELS ? pair->a.n_panels - panel : BITE_PANELS;
    s->weights->kernels->matmul(&pair->a, panel, n, &a->in, begin, end - begin, scratch->tile, n * LANES, false,
                                scratch->product);
    for (int64_t row = piece->first; row < end; row++) {
      const float *from = scratch->tile + (row - begin) * n * LANES;
      float *to = low_at(s, piece->set, row, t, i) + panel * LANES;
      for (int64_t k = 0; k < n * LANES; k++) to[k] = scale * from[k];
    }
  }
}

static void low_units(worker *w, void *context, int64_t begin, int64_t end) {
  const low_job *j = context;
  const cpu_adapted *a = j->adapted;
  int32_t most = j->state->most_adapters;
  for (int64_t unit = begin; unit < end; unit++) {
    const cpu_piece *piece = &a->pieces[unit / most / a->n_targets];
    int32_t i = (int32_t)(unit % most), t = (int32_t)(unit / most % a->n_targets);
    if (i < piece->set->n) low_rows(w, j->state, a, piece, t, i);
  }
}

void cpu_adapt(cpu_lane *lane, const cpu_adapted *a) {
  low_job job = {lane->state, a};
  team_for(lane->worker, cpu_adapted_units(lane->state, a), 1, low_units, &job);
}

void cpu_add_adapted(const worker *w, const cpu_state *s, const cpu_adapted *a, int32_t t, int64_t panel,
                     int64_t n_panels, int64_t row, int64_t n_rows, float *out, int64_t ld_out) {
  for (int64_t r = row; a->n_pieces && r < row + n_rows; r++, out += ld_out) {
    const adapter_set *set = s->step->rows[a->index ? a->index[r] : r].adapters;
    for (int32_t i = 0; set && i < set->n; i++) {
      const cpu_pair *pair = pair_at(set->of[i].packed, a->layer, a->target + (cpu_target)t);
      if (!pair->b.data) continue;
      const act low = {.ld = set->of[i].ranks, .group = 1, .f = low_at(s, set, r, t, i)};
      s->weights->kernels->matmul(&pair->b, panel, n_panels, &low, 0, 1, out, ld_out, true, s->scratch[w->id].product);
    }
  }
}
