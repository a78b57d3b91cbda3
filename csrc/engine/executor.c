#include "engine/executor.h"

#include "base/checked.h"
#include "engine/forward.h"

/* Takes everything from the arena, which only counts while it is not open. */
static void lay_out(executor *x, uint64_t extra, void **memory) {
  x->rows = arena_take(&x->arena, (uint64_t)x->limits.rows * sizeof *x->rows);
  void *pool = arena_take(&x->arena, kv_pool_bytes(x->limits.pages));
  if (pool) kv_pool_init(&x->pool, pool, x->limits.pages);
  *memory = arena_take(&x->arena, extra);
}

llama2_status executor_open(executor *x, const llama2_model *model, const limits *l, uint64_t extra, void **memory) {
  const backend *b = model->backend;
  uint64_t kv, scratch, available = b->memory();
  b->plan_state(&model->config, l, &kv, &scratch);
  uint64_t wanted = size_add(kv, scratch);
  *x = (executor){.model = model, .limits = *l};
  if (wanted > available)
    return status_fail_sized(
        LLAMA2_ERR_MEMORY, wanted, available,
        "keys and values of %lld tokens and a batch of %d take %.0f MiB, but %.0f MiB are free; ask for a "
        "smaller context, pool or batch",
        (long long)l->pages * KV_PAGE, l->rows, (double)wanted / 0x1p20, (double)available / 0x1p20);
  executor counted = *x;
  lay_out(&counted, extra, memory);
  llama2_status status = arena_open(&x->arena, counted.arena.used, "session");
  if (status == LLAMA2_OK) {
    lay_out(x, extra, memory);
    status = b->open(model->weights, l, &x->state);
  }
  if (status != LLAMA2_OK) executor_close(x);
  return status;
}

void executor_close(executor *x) {
  if (x->state) x->model->backend->close(x->state);
  x->state = NULL;
  arena_close(&x->arena);
}

bool executor_reserve(executor *x, kv_sequence *sequence, int32_t tokens) {
  kv_copy copy;
  if (!kv_reserve(&x->pool, sequence, tokens, &copy)) return false;
  if (copy.from >= 0) x->model->backend->page_copy(x->state, copy.from, copy.to);
  return true;
}

bool executor_run(executor *x, int32_t n_rows, int32_t n_slots) {
  step step = {x->model->config.n_layers, n_rows, x->rows, n_slots};
  interrupt interrupt = {&x->cancel, x->poll, x->poll_context};
  x->model->backend->run(x->state, &step, forward, &interrupt);
  return !atomic_load(&x->cancel);
}
