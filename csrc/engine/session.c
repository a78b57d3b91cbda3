#include "engine/session.h"

#include <string.h>

#include "base/checked.h"
#include "engine/forward.h"

/* Takes the sequence's own memory from s->arena, which only counts while it is not open. */
static void lay_out(llama2_session *s) {
  int32_t pages = s->limits.pages;
  s->rows = arena_take(&s->arena, (uint64_t)s->limits.rows * sizeof *s->rows);
  s->sequence.pages = arena_take(&s->arena, (uint64_t)pages * sizeof(int32_t));
  int32_t *free = arena_take(&s->arena, (uint64_t)pages * sizeof(int32_t));
  if (free) kv_pool_init(&s->pool, free, pages);
}

llama2_status session_new(const llama2_model *model, const llama2_session_options *options, llama2_session **session) {
  const backend *b = model->backend;
  llama2_session_options resolved;
  RETURN_IF_FAILED(session_options_resolve(&model->config, options, &resolved));
  limits l = session_limits(&resolved);
  uint64_t kv, scratch, available = b->memory();
  b->plan_state(&model->config, &l, &kv, &scratch);
  uint64_t wanted = size_add(kv, scratch);
  if (wanted > available)
    return status_fail_sized(LLAMA2_ERR_MEMORY, wanted, available,
                             "a context of %d tokens and a batch of %d take %.0f MiB, but %.0f MiB are free; ask for a "
                             "smaller context or batch",
                             resolved.context, resolved.batch, (double)wanted / 0x1p20, (double)available / 0x1p20);
  llama2_session counted = {.limits = l}, *s = mem_new(1, sizeof *s);
  if (!s) return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *s, available, "no memory for a session's description");
  s->model = model;
  s->options = resolved;
  s->limits = l;
  s->last_slot = s->pending = -1;
  lay_out(&counted);
  llama2_status status = arena_open(&s->arena, counted.arena.used, "session");
  if (status == LLAMA2_OK) {
    lay_out(s);
    status = b->open(model->weights, &l, &s->state);
  }
  if (status != LLAMA2_OK) {
    session_free(s);
    return status;
  }
  *session = s;
  return LLAMA2_OK;
}

void session_free(llama2_session *s) {
  if (!s) return;
  if (s->state) s->model->backend->close(s->state);
  arena_close(&s->arena);
  mem_free(s);
}

void session_truncate(llama2_session *s, int32_t length) {
  if (length < s->sequence.length) s->last_slot = -1;
  s->pending = -1;
  kv_truncate(&s->pool, &s->sequence, length);
}

/* Whose logits a step keeps: no row's, the last one's, all rows', or those with a target. */
typedef enum keep { KEEP_NONE, KEEP_LAST, KEEP_ALL, KEEP_TARGETS } keep;

/* One step over tokens[0..n), n <= batch, that keeps at most LOGIT_ROWS rows' logits. targets: for KEEP_TARGETS, (n). */
static llama2_status session_step(llama2_session *s, const int32_t *tokens, int32_t n, keep keep,
                                  const int32_t *targets) {
  const backend *b = s->model->backend;
  int32_t length = s->sequence.length;
  bool reserved = kv_reserve(&s->pool, &s->sequence, length + n);
  if (!reserved) /* the pool holds a whole context and the caller has checked that the tokens fit */
    return status_fail(LLAMA2_ERR_CONTEXT, "the KV pool is out of pages");
  int32_t slots = 0;
  for (int32_t i = 0; i < n; i++) {
    bool wanted = keep == KEEP_ALL || (keep == KEEP_LAST && i == n - 1) || (keep == KEEP_TARGETS && targets[i] >= 0);
    s->rows[i] = (row){tokens[i], length + i, wanted ? slots++ : -1, &s->sequence};
  }
  step step = {s->model->config.n_layers, n, s->rows, slots};
  interrupt interrupt = {&s->cancel, s->poll, s->poll_context};
  b->run(s->state, &step, forward, &interrupt);
  if (atomic_load(&s->cancel)) {
    s->last_slot = -1;
    return status_fail(LLAMA2_ERR_CANCELLED, "cancelled after %d tokens", length);
  }
  s->sequence.length = length + n;
  s->last_slot = s->rows[n - 1].logits;
  return LLAMA2_OK;
}

/* Gives back what was appended after the first `before` tokens by a call that failed. */
static llama2_status session_undo(llama2_session *s, int32_t before, llama2_status status) {
  s->sequence.length = before;
  kv_truncate(&s->pool, &s->sequence, before);
  return status;
}

llama2_status session_eval(llama2_session *s, const int32_t *tokens, int32_t n, float *logits) {
  const backend *b = s->model->backend;
  int64_t vocab = s->model->config.vocab_size;
  int32_t before = s->sequence.length, most = logits ? s->limits.logits : s->limits.rows;
  atomic_store(&s->cancel, 0);
  for (int32_t done = 0; done < n;) {
    int32_t chunk = n - done < most ? n - done : most;
    keep keep = logits ? KEEP_ALL : done + chunk == n ? KEEP_LAST : KEEP_NONE;
    llama2_status status = session_step(s, tokens + done, chunk, keep, NULL);
    if (status != LLAMA2_OK) return session_undo(s, before, status);
    for (int32_t i = 0; logits && i < chunk; i++)
      memcpy(logits + (done + i) * vocab, b->logits(s->state, i), (size_t)vocab * sizeof *logits);
    done += chunk;
  }
  s->pending = -1;
  return LLAMA2_OK;
}

llama2_status session_score(llama2_session *s, const int32_t *tokens, const int32_t *targets, int32_t n,
                            double *logprobs) {
  const backend *b = s->model->backend;
  int32_t before = s->sequence.length;
  atomic_store(&s->cancel, 0);
  for (int32_t done = 0; done < n;) {
    int32_t chunk = 0, slots = 0;
    while (done + chunk < n && chunk < s->limits.rows) {
      if (targets[done + chunk] >= 0 && slots++ == s->limits.logits) break;
      chunk++;
    }
    llama2_status status = session_step(s, tokens + done, chunk, KEEP_TARGETS, targets + done);
    for (int32_t i = 0; i < chunk && status == LLAMA2_OK; i++)
      if (targets[done + i] >= 0)
        status = b->logprob(s->state, s->rows[i].logits, targets[done + i], &logprobs[done + i]);
    if (status != LLAMA2_OK) {
      s->last_slot = -1;
      return session_undo(s, before, status);
    }
    done += chunk;
  }
  s->pending = -1;
  return LLAMA2_OK;
}

llama2_status session_generate(llama2_session *s, llama2_sampling *sampling, const int32_t *stops, int32_t n_stops,
                               int32_t *tokens, int32_t capacity, int32_t *n_tokens, llama2_finish *finish) {
  const backend *b = s->model->backend;
  *n_tokens = 0;
  *finish = LLAMA2_FINISH_NONE;
  atomic_store(&s->cancel, 0);
  while (*n_tokens < capacity) {
    if (s->pending >= 0) {
      if (s->sequence.length == s->options.context) {
        *finish = LLAMA2_FINISH_LENGTH;
        return LLAMA2_OK;
      }
      RETURN_IF_FAILED(session_step(s, &s->pending, 1, KEEP_LAST, NULL));
      s->pending = -1;
    }
    int32_t token;
    RETURN_IF_FAILED(b->sample(s->state, s->last_slot, sampling, &token));
    for (int32_t i = 0; i < n_stops; i++)
      if (token == stops[i]) {
        *finish = LLAMA2_FINISH_STOP;
        return LLAMA2_OK;
      }
    tokens[(*n_tokens)++] = s->pending = token;
  }
  return LLAMA2_OK;
}
