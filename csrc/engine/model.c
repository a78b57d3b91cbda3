#include "engine/model.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/memory.h"
#include "base/threads.h"

#define MIB (1024.0 * 1024.0)

llama2_status model_options_resolve(const llama2_model_options *options, llama2_model_options *resolved) {
  *resolved = *options;
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads, THREADS_MAX);
  if (options->quantize != LLAMA2_KEEP && options->quantize != LLAMA2_Q8_0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "quantize is %d, expected %d (keep) or %d (q8_0)", options->quantize, LLAMA2_KEEP,
                       LLAMA2_Q8_0);
  if (!resolved->threads) resolved->threads = threads_available();
  return LLAMA2_OK;
}

llama2_status session_options_resolve(const config *c, const llama2_session_options *options,
                                      llama2_session_options *resolved) {
  *resolved = *options;
  if (options->context < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "context is %d, expected 0 (the model's %d) or more", options->context, c->context);
  if (options->context > c->context)
    return status_fail_sized(LLAMA2_ERR_CONTEXT, (uint64_t)options->context, (uint64_t)c->context,
                             "a context of %d tokens is more than the %d that the model was trained for", options->context,
                             c->context);
  if (options->batch < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "batch is %d, expected 0 (%d) or more", options->batch, DEFAULT_BATCH);
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads, THREADS_MAX);
  if (!resolved->context) resolved->context = c->context;
  if (!resolved->batch) resolved->batch = DEFAULT_BATCH;
  if (resolved->batch > resolved->context) resolved->batch = resolved->context;
  if (!resolved->threads) resolved->threads = threads_available();
  return LLAMA2_OK;
}

limits session_limits(const llama2_session_options *resolved) {
  return (limits){
      .rows = resolved->batch,
      .logits = resolved->batch < LOGIT_ROWS ? resolved->batch : LOGIT_ROWS,
      .pages = kv_pages_for(resolved->context),
      .threads = resolved->threads,
  };
}

static llama2_status plan_checkpoint(const checkpoint *c, const llama2_model_options *model_options, llama2_plan *plan) {
  *plan = (llama2_plan){0};
  RETURN_IF_FAILED(backend_cpu.plan_weights(c, model_options, &plan->weights, &plan->load));
  plan->available = backend_cpu.memory();
  plan->total = size_add(plan->weights, plan->load);
  return LLAMA2_OK;
}

llama2_status model_plan(const char *path, const llama2_model_options *model_options,
                         const llama2_session_options *session_options, llama2_plan *plan) {
  llama2_model_options m;
  llama2_session_options s;
  checkpoint c;
  llama2_plan p;
  RETURN_IF_FAILED(model_options_resolve(model_options, &m));
  RETURN_IF_FAILED(checkpoint_open(&c, path));
  llama2_status status = session_options_resolve(&c.config, session_options, &s);
  if (status == LLAMA2_OK) status = plan_checkpoint(&c, &m, &p);
  if (status == LLAMA2_OK) {
    limits l = session_limits(&s);
    backend_cpu.plan_state(&c.config, &l, &p.kv, &p.scratch);
    uint64_t running = size_add(p.weights, size_add(p.kv, p.scratch));
    if (running > p.total) p.total = running;
    *plan = p;
  }
  checkpoint_close(&c);
  return status;
}

llama2_status model_load(const char *path, const llama2_model_options *options, llama2_model **model) {
  llama2_model_options resolved;
  checkpoint c;
  llama2_plan plan;
  RETURN_IF_FAILED(model_options_resolve(options, &resolved));
  RETURN_IF_FAILED(checkpoint_open(&c, path));
  llama2_model *m = NULL;
  llama2_status status = plan_checkpoint(&c, &resolved, &plan);
  if (status == LLAMA2_OK && plan.total > plan.available)
    status = status_fail_sized(LLAMA2_ERR_MEMORY, plan.total, plan.available,
                               "%s: loading it takes %.0f MiB, but %.0f MiB are free; %s", path, (double)plan.total / MIB,
                               (double)plan.available / MIB,
                               resolved.quantize == LLAMA2_KEEP ? "quantise it (q8_0), close other programs, or take a smaller model"
                                                                : "close other programs, or take a smaller model");
  if (status == LLAMA2_OK && !(m = mem_new(sizeof *m)))
    status = status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *m, plan.available, "%s: no memory for its description", path);
  if (status == LLAMA2_OK) {
    m->backend = &backend_cpu;
    m->config = c.config;
    status = m->backend->prepare(&c, &resolved, &m->weights);
  }
  if (status == LLAMA2_OK) {
    const config *f = &c.config;
    m->info = (llama2_model_info){
        .dim = f->dim,
        .hidden_dim = f->hidden_dim,
        .n_layers = f->n_layers,
        .n_heads = f->n_heads,
        .n_kv_heads = f->n_kv_heads,
        .head_dim = f->head_dim,
        .vocab_size = f->vocab_size,
        .context = f->context,
        .shared_classifier = f->shared_classifier,
        .parameters = c.parameters,
        .file_bytes = c.bytes,
        .format = c.format,
    };
    m->backend->describe(m->weights, &m->info);
    *model = m;
  } else {
    mem_free(m);
  }
  checkpoint_close(&c);
  return status;
}

void model_free(llama2_model *model) {
  if (model) model->backend->release(model->weights);
  mem_free(model);
}
