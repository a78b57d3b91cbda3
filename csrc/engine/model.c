#include "engine/model.h"

#include "base/checked.h"
#include "base/memory.h"
#include "base/threads.h"
#include "engine/adapter.h"

#define MIB (1024.0 * 1024.0)

llama2_status model_options_resolve(const llama2_model_options *options, llama2_model_options *resolved) {
  *resolved = *options;
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads,
                       THREADS_MAX);
  if (options->quantize != LLAMA2_KEEP && options->quantize != LLAMA2_Q8_0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "quantize is %d, expected %d (keep) or %d (q8_0)", options->quantize,
                       LLAMA2_KEEP, LLAMA2_Q8_0);
  if (!resolved->threads) resolved->threads = threads_default();
  return LLAMA2_OK;
}

llama2_status session_options_resolve(const config *c, const llama2_session_options *options,
                                      llama2_session_options *resolved) {
  *resolved = *options;
  if (options->context < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "context is %d, expected 0 (the model's %d) or more", options->context,
                       c->context);
  if (options->context > c->context)
    return status_fail_sized(LLAMA2_ERR_CONTEXT, (uint64_t)options->context, (uint64_t)c->context,
                             "a context of %d tokens is more than the %d that the model was trained for",
                             options->context, c->context);
  if (options->batch < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "batch is %d, expected 0 (%d) or more", options->batch, DEFAULT_BATCH);
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads,
                       THREADS_MAX);
  if (options->kv != LLAMA2_KEEP && options->kv != LLAMA2_F32 && options->kv != LLAMA2_F16 &&
      options->kv != LLAMA2_Q8_0)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "kv is %d, expected %d (the checkpoint's own), %d (f32), %d (f16) or %d (q8_0)", options->kv,
                       LLAMA2_KEEP, LLAMA2_F32, LLAMA2_F16, LLAMA2_Q8_0);
  if (resolved->kv == LLAMA2_KEEP) resolved->kv = c->kv;
  if (options->pool < LLAMA2_POOL_MANY || options->pool > POOL_MOST)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "pool is %lld tokens, expected %d (a context, at least %d) or 0 (a context) to %d",
                       (long long)options->pool, LLAMA2_POOL_MANY, MANY_TOKENS, POOL_MOST);
  if (options->ranks < 0 || options->ranks > RANKS_MOST)
    return status_fail(LLAMA2_ERR_ARGUMENT, "ranks is %d, expected 0 (%d) to %d", options->ranks, RANKS_DEFAULT,
                       RANKS_MOST);
  if (!resolved->context) resolved->context = c->context;
  if (!resolved->ranks) resolved->ranks = RANKS_DEFAULT;
  resolved->ranks = (int32_t)round_up(resolved->ranks, ADAPTER_RANKS);
  if (options->pool <= 0) resolved->pool = resolved->context;
  if (options->pool == LLAMA2_POOL_MANY && resolved->pool < MANY_TOKENS) resolved->pool = MANY_TOKENS;
  if (!resolved->batch) resolved->batch = DEFAULT_BATCH;
  if (resolved->batch > resolved->pool) resolved->batch = (int32_t)resolved->pool;
  if (!resolved->threads) resolved->threads = threads_default();
  return LLAMA2_OK;
}

limits session_limits(const llama2_session_options *resolved) {
  return (limits){
      .rows = resolved->batch,
      .logits = resolved->batch < LOGIT_ROWS ? resolved->batch : LOGIT_ROWS,
      .pages = kv_pages_for(resolved->pool),
      .threads = resolved->threads,
      .kv = resolved->kv,
      .ranks = resolved->ranks,
  };
}

/* A checkpoint that is open, and what its use would take. */
typedef struct opened {
  checkpoint checkpoint;
  llama2_model_options options; /* resolved */
  llama2_model_info info;
  llama2_plan plan;
} opened;

static void describe(opened *o) {
  static const char *const scalings[] = {
      [ROPE_PLAIN] = "none", [ROPE_LINEAR] = "linear", [ROPE_YARN] = "yarn", [ROPE_LLAMA3] = "llama3"};
  const config *f = &o->checkpoint.config;
  bool factors = f->rope_scaling.rule == ROPE_PLAIN && checkpoint_has(&o->checkpoint, ROLE_ROPE_FACTORS);
  o->info = (llama2_model_info){
      .dim = f->dim,
      .hidden_dim = f->hidden_dim,
      .n_experts = f->n_experts,
      .n_experts_used = f->n_experts_used,
      .n_layers = f->n_layers,
      .n_heads = f->n_heads,
      .n_kv_heads = f->n_kv_heads,
      .head_dim = f->head_dim,
      .vocab_size = f->vocab_size,
      .context = f->context,
      .shared_classifier = f->shared_classifier,
      .parameters = o->checkpoint.parameters,
      .file_bytes = o->checkpoint.bytes,
      .format = o->checkpoint.format,
      .architecture = o->checkpoint.architecture,
      .rope_scaling = factors ? "factors" : scalings[f->rope_scaling.rule],
  };
}

/* session: NULL, or a session that is to be planned for as well. On success close o->checkpoint. */
static llama2_status open_and_plan(const char *path, const llama2_source *source, const llama2_model_options *options,
                                   const llama2_session_options *session, opened *o) {
  const backend *b = &backend_cpu;
  RETURN_IF_FAILED(model_options_resolve(options, &o->options));
  RETURN_IF_FAILED(source ? checkpoint_open_source(&o->checkpoint, source) : checkpoint_open(&o->checkpoint, path));
  describe(o);
  o->plan = (llama2_plan){.available = b->memory()};
  llama2_session_options resolved;
  llama2_status status = session ? session_options_resolve(&o->checkpoint.config, session, &resolved) : LLAMA2_OK;
  if (status == LLAMA2_OK) status = b->plan_weights(&o->checkpoint, &o->options, &o->info, &o->plan.load);
  if (status != LLAMA2_OK) {
    checkpoint_close(&o->checkpoint);
    return status;
  }
  if (session) {
    limits l = session_limits(&resolved);
    b->plan_state(&o->checkpoint.config, &l, &o->plan.kv, &o->plan.scratch);
  }
  uint64_t loading = size_add(o->info.weight_bytes, o->plan.load);
  uint64_t running = size_add(o->info.weight_bytes, size_add(o->plan.kv, o->plan.scratch));
  o->plan.weights = o->info.weight_bytes;
  o->plan.total = loading > running ? loading : running;
  return LLAMA2_OK;
}

llama2_status model_plan(const char *path, const llama2_source *source, const llama2_model_options *options,
                         const llama2_session_options *session, llama2_model_info *info, llama2_plan *plan) {
  opened o;
  RETURN_IF_FAILED(open_and_plan(path, source, options, session, &o));
  *info = o.info;
  *plan = o.plan;
  checkpoint_close(&o.checkpoint);
  return LLAMA2_OK;
}

/* What to do about a plan that does not fit: the cheapest remedy first. */
static const char *remedy(const opened *o) {
  const llama2_plan *p = &o->plan;
  bool is_float = o->info.dtype == LLAMA2_F32 || o->info.dtype == LLAMA2_F16 || o->info.dtype == LLAMA2_BF16;
  if (p->kv + p->scratch > p->weights) return "ask for a smaller context or pool";
  return is_float ? "quantise it (q8_0), close other programs, or take a smaller model"
                  : "close other programs, or take a smaller model";
}

llama2_status model_load(const char *path, const llama2_source *source, const llama2_model_options *options,
                         const llama2_session_options *session, llama2_model **model) {
  opened o;
  RETURN_IF_FAILED(open_and_plan(path, source, options, session, &o));
  const llama2_plan *p = &o.plan;
  llama2_status status = LLAMA2_OK;
  llama2_model *m = NULL;
  if (p->total > p->available)
    status = status_fail_sized(
        LLAMA2_ERR_MEMORY, p->total, p->available,
        "%s: it takes %.0f MiB (weights %.0f, KV cache %.0f, scratch %.0f), but %.0f MiB are free; %s", path,
        (double)p->total / MIB, (double)p->weights / MIB, (double)p->kv / MIB, (double)p->scratch / MIB,
        (double)p->available / MIB, remedy(&o));
  else if (!(m = mem_new(1, sizeof *m)))
    status = status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *m, p->available, "%s: no memory for its description", path);
  if (status == LLAMA2_OK) {
    m->backend = &backend_cpu;
    m->config = o.checkpoint.config;
    m->info = o.info;
    status = m->backend->prepare(&o.checkpoint, &o.options, &m->weights);
  }
  if (status == LLAMA2_OK)
    *model = m;
  else
    mem_free(m);
  checkpoint_close(&o.checkpoint);
  return status;
}

void model_free(llama2_model *model) {
  if (model) model->backend->release(model->weights);
  mem_free(model);
}
