/* engine/scheduler: requests that come and go, and the steps that compute them together. */
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include "engine/model.h"

/* Each is documented at its llama2_engine_… in llama2.h; what does not depend on an engine's state is checked there. */
llama2_status engine_new(const llama2_model *model, const llama2_engine_options *options, llama2_engine **engine);
void engine_free(llama2_engine *e);
llama2_status engine_submit(llama2_engine *e, const llama2_request *asked, int64_t *id);
llama2_status engine_fork(llama2_engine *e, int64_t id, const llama2_request *asked, int64_t *fork_id);
void engine_cancel(llama2_engine *e, int64_t id);
void engine_interrupt(llama2_engine *e);
llama2_status engine_step(llama2_engine *e, double seconds, const llama2_event **events, int32_t *n, int32_t *busy);
llama2_engine_state engine_state(llama2_engine *e);

/* engine/session_file. */
llama2_status engine_save(llama2_engine *e, const int32_t *tokens, int32_t n, const llama2_adapted *adapters,
                          int32_t n_adapters, const char *path, bool replace, int32_t *pages);
llama2_status engine_load(llama2_engine *e, const char *path, const llama2_adapted *adapters, int32_t n_adapters,
                          int32_t *tokens, int32_t *n);

#endif
