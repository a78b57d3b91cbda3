/* engine/session: one sequence, and the memory to compute it. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/adapter.h"
#include "engine/executor.h"

struct llama2_session {
  llama2_session_options options; /* resolved */
  executor x;
  kv_sequence sequence;
  adapter_set adapters;
  int32_t last_slot; /* slot of the logits after the last token, or -1 */
  int32_t pending;   /* token that was drawn and is not computed yet, or -1 */
};

/* Each is documented at its llama2_session_… in llama2.h; arguments are checked there. */
llama2_status session_new(const llama2_model *model, const llama2_session_options *options, llama2_session **session);
void session_free(llama2_session *s);
void session_truncate(llama2_session *s, int32_t length);
llama2_status session_eval(llama2_session *s, const int32_t *tokens, int32_t n, float *logits);
llama2_status session_score(llama2_session *s, const int32_t *tokens, const int32_t *targets, int32_t n,
                            double *logprobs);
llama2_status session_generate(llama2_session *s, llama2_sampling *sampling, const int32_t *stops, int32_t n_stops,
                               int32_t *tokens, int32_t capacity, int32_t *n_tokens, llama2_finish *finish);

#endif
