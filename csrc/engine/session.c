#include "engine/session.h"

#include <string.h>

llama2_status session_new(const llama2_model *model, const llama2_session_options *options, llama2_session **session) {
  llama2_session_options own = *options, resolved;
  own.pool = 0; /* its context */
  RETURN_IF_FAILED(session_options_resolve(&model->config, &own, &resolved));
  limits l = session_limits(&resolved);
  llama2_session *s = mem_new(1, sizeof *s);
  if (!s) return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *s, 0, "no memory for a session's description");
  void *pages;
  llama2_status status = executor_open(&s->x, model, &l, (uint64_t)l.pages * sizeof(int32_t), &pages);
  if (status != LLAMA2_OK) {
    mem_free(s);
    return status;
  }
  s->options = resolved;
  s->sequence.pages = pages;
  s->last_slot = s->pending = -1;
  *session = s;
  return LLAMA2_OK;
}

void session_free(llama2_session *s) {
  if (s) executor_close(&s->x);
  mem_free(s);
}

void session_truncate(llama2_session *s, int32_t length) {
  if (length < s->sequence.length) s->last_slot = -1;
  s->pending = -1;
  kv_truncate(&s->x.pool, &s->sequence, length);
}

/* Whose logits a step keeps: no row's, the last one's, all rows', or those with a target. */
typedef enum keep { KEEP_NONE, KEEP_LAST, KEEP_ALL, KEEP_TARGETS } keep;

/* One step over tokens[0..n), n <= batch, that keeps at most LOGIT_ROWS rows' logits. targets: for KEEP_TARGETS, (n). */
static llama2_status session_step(llama2_session *s, const int32_t *tokens, int32_t n, keep keep,
                                  const int32_t *targets) {
  int32_t length = s->sequence.length;
  if (!executor_reserve(&s->x, &s->sequence,
                        length + n)) /* the pool holds a whole context and the caller has checked that the tokens fit */
    return status_fail(LLAMA2_ERR_CONTEXT, "the KV pool is out of pages");
  int32_t slots = 0;
  const adapter_set *adapters = s->adapters.n ? &s->adapters : NULL;
  for (int32_t i = 0; i < n; i++) {
    bool wanted = keep == KEEP_ALL || (keep == KEEP_LAST && i == n - 1) || (keep == KEEP_TARGETS && targets[i] >= 0);
    s->x.rows[i] = (row){tokens[i], length + i, wanted ? slots++ : -1, &s->sequence, adapters};
  }
  if (!executor_run(&s->x, n, slots)) {
    s->last_slot = -1;
    return status_fail(LLAMA2_ERR_CANCELLED, "cancelled after %d tokens", length);
  }
  s->sequence.length = length + n;
  s->last_slot = s->x.rows[n - 1].logits;
  return LLAMA2_OK;
}

/* Gives back what was appended after the first `before` tokens by a call that failed. */
static llama2_status session_undo(llama2_session *s, int32_t before, llama2_status status) {
  s->sequence.length = before;
  kv_truncate(&s->x.pool, &s->sequence, before);
  return status;
}

llama2_status session_eval(llama2_session *s, const int32_t *tokens, int32_t n, float *logits) {
  const backend *b = s->x.model->backend;
  int64_t vocab = s->x.model->config.vocab_size;
  int32_t before = s->sequence.length, most = logits ? s->x.limits.logits : s->x.limits.rows;
  atomic_store(&s->x.cancel, 0);
  for (int32_t done = 0; done < n;) {
    int32_t chunk = n - done < most ? n - done : most;
    keep keep = logits ? KEEP_ALL : done + chunk == n ? KEEP_LAST : KEEP_NONE;
    llama2_status status = session_step(s, tokens + done, chunk, keep, NULL);
    if (status != LLAMA2_OK) return session_undo(s, before, status);
    for (int32_t i = 0; logits && i < chunk; i++)
      memcpy(logits + (done + i) * vocab, b->logits(s->x.state, i), (size_t)vocab * sizeof *logits);
    done += chunk;
  }
  s->pending = -1;
  return LLAMA2_OK;
}

llama2_status session_score(llama2_session *s, const int32_t *tokens, const int32_t *targets, int32_t n,
                            double *logprobs) {
  const backend *b = s->x.model->backend;
  int32_t before = s->sequence.length, none;
  atomic_store(&s->x.cancel, 0);
  for (int32_t done = 0; done < n;) {
    int32_t chunk = 0, slots = 0;
    while (done + chunk < n && chunk < s->x.limits.rows) {
      if (targets[done + chunk] >= 0 && slots++ == s->x.limits.logits) break;
      chunk++;
    }
    llama2_status status = session_step(s, tokens + done, chunk, KEEP_TARGETS, targets + done);
    for (int32_t i = 0; i < chunk && status == LLAMA2_OK; i++)
      if (targets[done + i] >= 0)
        status = b->logprobs(s->x.state, s->x.rows[i].logits, targets[done + i], &logprobs[done + i], 0, NULL, &none);
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
  const backend *b = s->x.model->backend;
  *n_tokens = 0;
  *finish = LLAMA2_FINISH_NONE;
  atomic_store(&s->x.cancel, 0);
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
    RETURN_IF_FAILED(b->sample(s->x.state, s->last_slot, sampling, &token));
    for (int32_t i = 0; i < n_stops; i++)
      if (token == stops[i]) {
        *finish = LLAMA2_FINISH_STOP;
        return LLAMA2_OK;
      }
    tokens[(*n_tokens)++] = s->pending = token;
  }
  return LLAMA2_OK;
}
