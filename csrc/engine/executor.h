/* engine/executor: the memory in which a model's steps are computed: a backend's state, rows, and the pool of KV pages. A
 * session has one for its sequence, a scheduler one for all of its. */
#ifndef ENGINE_EXECUTOR_H
#define ENGINE_EXECUTOR_H

#include "base/memory.h"
#include "engine/model.h"

typedef struct executor {
  const llama2_model *model;
  limits limits;
  void *state; /* the backend's */
  arena arena; /* what follows */
  row *rows;   /* (limits.rows) of the next step */
  kv_pool pool;
  atomic_int cancel; /* ends the step that runs */
  int (*poll)(void *context);
  void *poll_context;
} executor;

/* extra: bytes besides, for the owner's use, at *memory. Refused with the numbers where the machine has no room. After a
 * failure nothing is left. Errors: MEMORY. */
llama2_status executor_open(executor *x, const llama2_model *model, const limits *l, uint64_t extra, void **memory);
void executor_close(executor *x);

/* Has the sequence hold `tokens`; false where there are no pages for that. */
bool executor_reserve(executor *x, kv_sequence *sequence, int32_t tokens);

/* Computes rows[0..n_rows), of which n_slots want logits. false: it was cancelled, and the rows' keys and values are
 * unspecified. */
bool executor_run(executor *x, int32_t n_rows, int32_t n_slots);

#endif
