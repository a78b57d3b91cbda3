/* cpu/backend: a session's working memory on the CPU, and the step that runs in it. */
#include <string.h>

#include "base/checked.h"
#include "cpu/cpu.h"
#include "cpu/experts.h"

#define TAKE(pointer, n) pointer = arena_take(&s->arena, size_mul((n), sizeof *(pointer)))

static void take_act(cpu_state *s, act *a, int64_t rows, int64_t ld) {
  uint64_t n = size_mul((uint64_t)rows, (uint64_t)ld), blocks = size_mul((uint64_t)rows, (uint64_t)(ld / QBLOCK));
  TAKE(a->f, n);
  TAKE(a->q, n);
  TAKE(a->d, blocks);
  TAKE(a->sum, blocks);
  TAKE(a->start, blocks);
  TAKE(a->sum_half, size_mul(blocks, 2));
  TAKE(a->start_half, size_mul(blocks, 2));
}

/* What attention that is cut into runs needs; that is where there are fewer heads of keys and values than threads. */
static void lay_out_runs(cpu_state *s, const config *c) {
  const limits *l = &s->limits;
  if (c->n_kv_heads >= l->threads) return;
  s->split_rows = l->rows < SPLIT_ROWS ? l->rows : SPLIT_ROWS;
  uint64_t pages = (uint64_t)kv_pages_for(c->context);
  if ((uint64_t)l->pages < pages) pages = (uint64_t)l->pages;
  uint64_t queries = (uint64_t)s->split_rows * (uint64_t)c->n_heads, runs = (pages + ATTEND_RUN - 1) / ATTEND_RUN;
  TAKE(s->parts, size_mul(size_mul(runs, queries), (uint64_t)attend_part(s->sizes.kv.head_pad)));
  TAKE(s->runs_done, (uint64_t)s->split_rows * (uint64_t)c->n_kv_heads);
}

/* Takes everything from s->arena, which only counts while it is not open. */
static void lay_out(cpu_state *s, const config *c) {
  const limits *l = &s->limits;
  cpu_sizes z = s->sizes = cpu_sizes_of(c, l->kv);
  uint64_t rows = (uint64_t)l->rows;
  int64_t places = experts_places(c, l->rows);
  int64_t longest = z.ld_dim > z.ld_heads ? z.ld_dim : z.ld_heads;
  if (z.ld_hidden > longest) longest = z.ld_hidden;
  int64_t bite =
      BITE_PANELS * LANES > z.kv.head_pad ? BITE_PANELS * LANES : z.kv.head_pad; /* outputs; at least a whole head */

  s->team = arena_take(&s->arena, team_bytes(l->threads));
  TAKE(s->scratch, (uint64_t)l->threads);
  TAKE(s->x, rows * (uint64_t)z.ld_dim);
  TAKE(s->rope, rows * (uint64_t)c->rope_dim);
  TAKE(s->q, size_mul(rows, size_mul((uint64_t)c->n_heads, (uint64_t)z.kv.head_pad)));
  TAKE(s->a, rows * (uint64_t)z.ld_heads);
  TAKE(s->h, size_mul((uint64_t)(c->n_experts ? places : l->rows), (uint64_t)z.ld_hidden));
  take_act(s, &s->shared, places, longest);
  experts_lay_out(s, c);
  TAKE(s->logits, (uint64_t)l->logits * (uint64_t)z.ld_vocab);
  TAKE(s->wanted, (uint64_t)l->logits);
  TAKE(s->tiles, rows);
  lay_out_runs(s, c);
  TAKE(s->pieces, rows);
  TAKE(s->head_pieces, (uint64_t)l->logits);
  TAKE(s->low, size_mul(rows, STAGE_TARGETS * (uint64_t)l->ranks));
  TAKE(s->chances, (uint64_t)c->vocab_size);
  TAKE(s->nucleus, (uint64_t)c->vocab_size);
  for (int i = 0; i < l->threads; i++) {
    cpu_scratch unread, *scratch = s->scratch ? &s->scratch[i] : &unread;
    take_act(s, &scratch->solo, 1, longest);
    TAKE(scratch->norm, (uint64_t)z.ld_dim);
    TAKE(scratch->tile, (uint64_t)(BLOCK_ROWS * bite));
    TAKE(scratch->product, matmul_scratch(longest));
    TAKE(scratch->attend, (uint64_t)attend_scratch(z.kv.head_pad));
  }
#undef TAKE
}

static void plan_state(const config *c, const limits *l, uint64_t *kv, uint64_t *scratch) {
  cpu_state s = {.limits = *l};
  lay_out(&s, c);
  *kv = size_mul((uint64_t)l->pages, s.sizes.kv_page);
  *scratch = s.arena.used;
}

static void close_state(void *state) {
  cpu_state *s = state;
  if (s) {
    team_close(s->team);
    arena_close(&s->kv);
    arena_close(&s->arena);
  }
  mem_free(s);
}

static llama2_status open_state(const void *weights, const limits *l, void **state) {
  const cpu_weights *w = weights;
  uint64_t kv, scratch;
  plan_state(&w->config, l, &kv, &scratch);
  cpu_state *s = mem_new(1, sizeof *s);
  if (!s) return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *s, 0, "no memory for a session's description");
  s->weights = w;
  s->limits = *l;
  llama2_status status = arena_open(&s->arena, scratch, "activations");
  if (status == LLAMA2_OK) status = arena_open(&s->kv, kv, "KV cache");
  if (status == LLAMA2_OK) {
    lay_out(s, &w->config);
    team_init(s->team, l->threads);
    *state = s;
  } else {
    close_state(s);
  }
  return status;
}

static void run_member(worker *w, void *state) {
  cpu_state *s = state;
  cpu_lane lane = {w, s};
  s->forward(&backend_cpu, &lane, s->step);
}

static void run(void *state, const step *step, forward_fn *forward, const interrupt *i) {
  cpu_state *s = state;
  s->step = step;
  s->forward = forward;
  cpu_plan_attend(s, step);
  for (int32_t r = 0; r < step->n_rows; r++)
    if (step->rows[r].logits >= 0) s->wanted[step->rows[r].logits] = r;
  cpu_plan_adapters(s, step);
  team_run(s->team, run_member, s, i->cancel, i->poll, i->context);
}

static uint64_t page_bytes(const void *state) {
  const cpu_state *s = state;
  return s->sizes.kv_page;
}

static void page_copy(void *state, int32_t from, int32_t to) {
  cpu_state *s = state;
  uint64_t n = s->sizes.kv_page;
  memcpy(s->kv.base + (uint64_t)to * n, s->kv.base + (uint64_t)from * n, n);
}

static void page_read(const void *state, int32_t page, void *bytes) {
  const cpu_state *s = state;
  memcpy(bytes, s->kv.base + (uint64_t)page * s->sizes.kv_page, s->sizes.kv_page);
}

static void page_write(void *state, int32_t page, const void *bytes) {
  cpu_state *s = state;
  memcpy(s->kv.base + (uint64_t)page * s->sizes.kv_page, bytes, s->sizes.kv_page);
}

static const float *logits(const void *state, int32_t slot) {
  const cpu_state *s = state;
  return s->logits + slot * s->sizes.ld_vocab;
}

const backend backend_cpu = {
    .name = "cpu",
    .memory = mem_available,
    .plan_weights = cpu_plan_weights,
    .prepare = cpu_prepare,
    .release = cpu_release,
    .fingerprint = cpu_fingerprint,
    .prepare_adapter = cpu_prepare_adapter,
    .release_adapter = cpu_release_adapter,
    .adapter_fingerprint = cpu_adapter_fingerprint,
    .plan_state = plan_state,
    .open = open_state,
    .close = close_state,
    .run = run,
    .embed = cpu_embed,
    .qkv = cpu_qkv,
    .attend = cpu_attend,
    .attn_out = cpu_attn_out,
    .ffn_up = cpu_ffn_up,
    .ffn_down = cpu_ffn_down,
    .head = cpu_head,
    .page_bytes = page_bytes,
    .page_copy = page_copy,
    .page_read = page_read,
    .page_write = page_write,
    .logits = logits,
    .sample = cpu_sample,
    .logprobs = cpu_logprobs,
};
