/* cpu/attend: the stage that attends: how its work is cut into units, and what a query sees. */
#include <math.h>

#include "base/checked.h"
#include "cpu/cpu.h"

/* A tile is some rows of one sequence, whose queries go over keys and values together. A unit is a tile with one head of
 * keys and values; or, where a few rows cannot keep all workers busy, one run of pages of those, and who ends the last
 * run of a unit adds them up. */

#define QUERIES_LEAST 8 /* that a tile has, if there are so many: pages are read once for all of them */

static int32_t first_key(const config *c, const row *r) {
  return c->window && r->position >= c->window ? r->position + 1 - c->window : 0;
}

void cpu_plan_attend(cpu_state *s, const step *step) {
  const config *c = &s->weights->config;
  int32_t group = c->n_heads / c->n_kv_heads;
  int64_t even = (int64_t)step->n_rows * c->n_kv_heads / (4 * s->limits.threads); /* four units for each worker */
  int64_t most = ATTEND_QUERIES / group, least = QUERIES_LEAST / group;
  if (even < most) most = even > least ? even : least;
  if (most < 1) most = 1;
  int32_t first = INT32_MAX, last = 0;
  s->n_tiles = 0;
  for (int32_t i = 0; i < step->n_rows;) {
    cpu_tile *tile = &s->tiles[s->n_tiles++];
    tile->first = i;
    for (tile->n = 0; i < step->n_rows && tile->n < most && step->rows[i].sequence == step->rows[tile->first].sequence;
         i++, tile->n++) {
      int32_t from = first_key(c, &step->rows[i]);
      if (from < first) first = from;
      if (step->rows[i].position > last) last = step->rows[i].position;
    }
  }
  s->first_run = first / ATTEND_KEYS;
  s->n_runs = 1;
  int64_t units = (int64_t)s->n_tiles * c->n_kv_heads;
  if (units >= s->limits.threads || step->n_rows > s->split_rows) return;
  s->n_runs = last / ATTEND_KEYS - s->first_run + 1;
  for (int64_t i = 0; i < units; i++) atomic_init(&s->runs_done[i], 0);
}

typedef struct attend_stage {
  cpu_state *state;
  int32_t layer;
} attend_stage;

static unsigned char *kv_base(const cpu_state *s, int32_t layer, int64_t kv_head) {
  uint64_t block = (uint64_t)layer * (uint64_t)s->weights->config.n_kv_heads + (uint64_t)kv_head;
  return s->kv.base + block * s->sizes.kv.bytes;
}

unsigned char *cpu_kv_block(const cpu_state *s, const row *r, int32_t layer, int64_t kv_head) {
  return kv_base(s, layer, kv_head) + (uint64_t)r->sequence->pages[r->position / KV_PAGE] * s->sizes.kv_page;
}

/* Adds a query, and says whether there is room for one more. */
static bool add_query(attend_job *job, const cpu_state *s, int32_t row, int64_t head) {
  const config *c = &s->weights->config;
  int32_t j = job->n++;
  job->q[j] = s->q + (row * c->n_heads + head) * s->sizes.kv.head_pad;
  job->out[j] = s->a + row * s->sizes.ld_heads + head * c->head_dim;
  job->first[j] = first_key(c, &s->step->rows[row]);
  job->limit[j] = s->step->rows[row].position + 1;
  return job->n < ATTEND_QUERIES;
}

/* One run of a job that is query `query` and those after it of the step's with a head of keys and values. */
static void attend_one_run(const cpu_state *s, const attend_job *job, int64_t kv_head, int64_t query, int64_t run,
                           bool last) {
  const kernels *k = s->weights->kernels;
  const config *c = &s->weights->config;
  int64_t part = attend_part(s->sizes.kv.head_pad), group = c->n_heads / c->n_kv_heads;
  float *parts = s->parts + (kv_head * s->step->n_rows * group + query) * part;
  int64_t each = (int64_t)s->step->n_rows * c->n_heads * part; /* floats of a run */
  if (!last) {
    k->attend_run(job, s->first_run + run, parts + run * each);
  } else {
    for (int64_t i = 1; i < s->n_runs; i++) k->attend_add(job, s->first_run + i, parts, parts + i * each);
    k->attend_end(job, parts);
  }
}

typedef void job_fn(const cpu_state *s, const attend_job *job, int64_t kv_head, int64_t query, int64_t run, bool last);

static void attend_whole(const cpu_state *s, const attend_job *job, int64_t kv_head, int64_t query, int64_t run,
                         bool last) {
  (void)kv_head, (void)query, (void)run, (void)last;
  kernels_attend(s->weights->kernels, job);
}

/* The jobs of a tile with a head of keys and values. */
static void each_job(worker *w, const attend_stage *stage, const cpu_tile *tile, int64_t kv_head, job_fn *fn,
                     int64_t run, bool last) {
  const cpu_state *s = stage->state;
  const config *c = &s->weights->config;
  int64_t group = c->n_heads / c->n_kv_heads, query = tile->first * group;
  attend_job job = {.form = &s->sizes.kv,
                    .scale = 1.0f / sqrtf((float)c->head_dim),
                    .base = kv_base(s, stage->layer, kv_head),
                    .page_bytes = s->sizes.kv_page,
                    .pages = s->step->rows[tile->first].sequence->pages,
                    .scratch = s->scratch[w->id].attend};
  for (int32_t i = tile->first; i < tile->first + tile->n; i++)
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
      if (add_query(&job, s, i, head)) continue;
      fn(s, &job, kv_head, query, run, last);
      query += job.n;
      job.n = 0;
    }
  if (job.n) fn(s, &job, kv_head, query, run, last);
}

static void attend_units(worker *w, void *context, int64_t begin, int64_t end) {
  const attend_stage *stage = context;
  cpu_state *s = stage->state;
  int64_t n_heads = s->weights->config.n_kv_heads, n_units = s->n_tiles * n_heads;
  for (int64_t i = begin; i < end; i++) {
    int64_t unit = i % n_units, run = i / n_units;
    const cpu_tile *tile = &s->tiles[unit / n_heads];
    if (s->n_runs == 1) {
      each_job(w, stage, tile, unit % n_heads, attend_whole, 0, false);
      continue;
    }
    each_job(w, stage, tile, unit % n_heads, attend_one_run, run, false);
    if (atomic_fetch_add(&s->runs_done[unit], 1) < s->n_runs - 1) continue;
    atomic_store(&s->runs_done[unit], 0);
    each_job(w, stage, tile, unit % n_heads, attend_one_run, 0, true);
  }
}

void cpu_attend(void *lane, const step *step, int32_t layer) {
  (void)step;
  cpu_lane *l = lane;
  cpu_state *s = l->state;
  attend_stage stage = {s, layer};
  team_for(l->worker, (int64_t)s->n_tiles * s->weights->config.n_kv_heads * s->n_runs, 1, attend_units, &stage);
}
