/* engine/model: a loaded model, and what a checkpoint would take before it is loaded. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "model/backend.h"

#define DEFAULT_BATCH 256
#define MANY_TOKENS 4096    /* the least of LLAMA2_POOL_MANY */
#define POOL_MOST (1 << 30) /* tokens */
#define LOGIT_ROWS 64       /* rows whose logits a session holds at once */

struct llama2_model {
  const backend *backend;
  void *weights;
  config config;
  llama2_model_info info;
};

/* Options with defaults replaced by their values. Errors: ARGUMENT, CONTEXT. */
llama2_status model_options_resolve(const llama2_model_options *options, llama2_model_options *resolved);
llama2_status session_options_resolve(const config *c, const llama2_session_options *options,
                                      llama2_session_options *resolved);

/* The room that a session with resolved options needs. */
limits session_limits(const llama2_session_options *resolved);

/* Each is documented at its counterpart in llama2.h. session may be NULL. source: NULL, or what is read instead of the
 * file at `path`, which is its name then. */
llama2_status model_plan(const char *path, const llama2_source *source, const llama2_model_options *options,
                         const llama2_session_options *session, llama2_model_info *info, llama2_plan *plan);
llama2_status model_load(const char *path, const llama2_source *source, const llama2_model_options *options,
                         const llama2_session_options *session, llama2_model **model);
void model_free(llama2_model *model);

#endif
