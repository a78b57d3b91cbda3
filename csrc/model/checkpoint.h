/* model/checkpoint: an opened checkpoint of any format: its shape, and its tensors by role. */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include <stdbool.h>

#include "format/dtype.h"
#include "format/gguf.h"
#include "format/llama2c.h"
#include "format/source.h"
#include "model/config.h"

typedef enum role {
  ROLE_EMBEDDING,      /* (vocab_size, dim) */
  ROLE_ATTENTION_NORM, /* (1, dim) */
  ROLE_WQ,             /* (n_heads * head_dim, dim) */
  ROLE_WK,             /* (n_kv_heads * head_dim, dim) */
  ROLE_WV,             /* (n_kv_heads * head_dim, dim) */
  ROLE_WO,             /* (dim, n_heads * head_dim) */
  ROLE_FFN_NORM,       /* (1, dim) */
  ROLE_W1,             /* (hidden_dim, dim) */
  ROLE_W2,             /* (dim, hidden_dim) */
  ROLE_W3,             /* (hidden_dim, dim) */
  ROLE_FINAL_NORM,     /* (1, dim) */
  ROLE_CLASSIFIER,     /* (vocab_size, dim); the embedding where it is shared */
  /* What not every model has; see checkpoint_has(). With experts these stand for W1, W2 and W3, one expert's rows behind
   * another's. */
  ROLE_ROUTER,      /* (n_experts, dim) */
  ROLE_EXPERTS_W1,  /* (n_experts * hidden_dim, dim) */
  ROLE_EXPERTS_W2,  /* (n_experts * dim, hidden_dim) */
  ROLE_EXPERTS_W3,  /* (n_experts * hidden_dim, dim) */
  ROLE_BQ,          /* (1, n_heads * head_dim) added to queries */
  ROLE_BK,          /* (1, n_kv_heads * head_dim) */
  ROLE_BV,          /* (1, n_kv_heads * head_dim) */
  ROLE_BO,          /* (1, dim) added to what attention adds to the residual stream */
  ROLE_Q_NORM,      /* (1, head_dim) of each query head, before it is rotated */
  ROLE_K_NORM,      /* (1, head_dim) of each key head */
  ROLE_ROPE_FACTORS /* (1, rope_dim / 2) what frequencies are divided by, each at least ROPE_FACTOR_LEAST */
} role;

#define ROLES (ROLE_ROPE_FACTORS + 1)

/* Whether each layer has a tensor of its own. */
bool role_layered(role role);

/* What shape a model's tensor has, as it says at the role. */
void role_shape(const config *c, role role, int64_t *rows, int64_t *cols);

typedef struct checkpoint {
  config config;
  const char *architecture; /* "llama", "qwen2", ...; static */
  const char *format;       /* static */
  uint64_t bytes;
  uint64_t parameters;
  bool is_gguf; /* which of the two is open; a source is as GGUF is */
  llama2c_file llama2c;
  gguf_file gguf;
} checkpoint;

/* A llama2.c checkpoint, or a GGUF file of an architecture that is known. Errors: IO, FORMAT, MEMORY. On success close
 * with checkpoint_close(). */
llama2_status checkpoint_open(checkpoint *c, const char *path);
void checkpoint_close(checkpoint *c);

/* The same of what a caller put together, for as long as the source lives. Errors: FORMAT, MEMORY. */
llama2_status checkpoint_open_source(checkpoint *c, const llama2_source *source);

/* checkpoint_open(), whatever is in a GGUF file: config and parameters are not filled. */
llama2_status checkpoint_open_file(checkpoint *c, const char *path);

/* Whether there is a tensor of a role. A layer has what the others have. The classifier: one of its own. */
bool checkpoint_has(const checkpoint *c, role role);

/* What a llama2.c checkpoint calls a role, for those that it can have: ROLE_EMBEDDING to ROLE_CLASSIFIER. */
llama2c_kind checkpoint_kind(role role);

/* Of a type that tensor_values() takes, and of the role's shape. layer is 0 for roles outside the layers. The
 * checkpoint has the role, or it is the classifier. */
tensor checkpoint_tensor(const checkpoint *c, role role, int32_t layer);

/* Says that a tensor will not be read again. */
void checkpoint_done(const checkpoint *c, const tensor *t);

#endif
