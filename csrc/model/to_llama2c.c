#include "model/to_llama2c.h"

#include <inttypes.h>

#include "base/checked.h"

#define THETA 10000.0f
#define GROUP 64 /* of version 2, or the largest half of it, a quarter, ... that divides the width */

/* What there is of a model that the format has no place for; NULL: nothing. */
static const char *beyond(const checkpoint *c) {
  const config *g = &c->config;
  if (g->head_dim != g->dim / g->n_heads) return "heads that are not the width divided by their number";
  if (g->rope_theta != THETA) return "a rotary base that is not 10000";
  if (g->rope_scaling.rule != ROPE_PLAIN || g->rope_scaling.magnitude != 1 || checkpoint_has(c, ROLE_ROPE_FACTORS))
    return "scaled rotary embeddings";
  if (g->rope_halves) return "heads that are rotated by halves";
  if (g->rope_dim != g->head_dim) return "heads that are rotated in part";
  if (g->window) return "a sliding window";
  for (role r = ROLE_BQ; r <= ROLE_BO; r++)
    if (checkpoint_has(c, r)) return "biases";
  if (checkpoint_has(c, ROLE_Q_NORM) || checkpoint_has(c, ROLE_K_NORM)) return "norms of queries and keys";
  return NULL;
}

llama2_status to_llama2c(const checkpoint *c, const char *path, int32_t version, llama2c_file *f, uint64_t *bytes) {
  const config *g = &c->config;
  const char *what = beyond(c);
  if (version < 0 || version > 2)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a llama2.c checkpoint of version %" PRId32 ", expected 0, 1 or 2",
                       version);
  if (what)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the model has %s, which a llama2.c checkpoint cannot say; write a GGUF file instead", path,
                       what);
  *f = (llama2c_file){
      .version = version,
      .dim = g->dim,
      .hidden_dim = g->hidden_dim,
      .n_layers = g->n_layers,
      .n_heads = g->n_heads,
      .n_kv_heads = g->n_kv_heads,
      .vocab_size = g->vocab_size,
      .context = g->context,
      .head_dim = g->head_dim,
      .shared_classifier = g->shared_classifier,
      .group = version == 2 ? GROUP : 1,
  };
  while (g->dim % f->group) f->group /= 2;
  if (!llama2c_place(f, bytes) || *bytes == SIZE_BAD)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: its tensors are no whole number of groups of %d values", path, f->group);
  return LLAMA2_OK;
}
