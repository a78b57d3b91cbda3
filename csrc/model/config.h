/* model/config: what shape a model has. Backends read fields; what a model family adds is a field here. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* How rotary embeddings are stretched over a longer context than a model was first trained for: the frequency f of each
 * pair becomes f * ((1 - kept) / factor + kept), where the rule says how much is kept. */
typedef enum rope_rule {
  ROPE_PLAIN,  /* 1 */
  ROPE_LINEAR, /* 0 */
  ROPE_YARN,   /* Peng et al., 2023: from `extrapolation` down to 0, linear in the number of the pair */
  ROPE_LLAMA3  /* from 1 down to 0, linear in the frequency */
} rope_rule;

typedef struct rope_scaling {
  rope_rule rule;
  float factor;
  int32_t context;      /* tokens that the model was first trained for */
  float fast, slow;     /* turns in that context: what turns `fast` times is kept whole, what turns `slow` times not */
  float extrapolation;  /* YaRN: 0 to 1 */
  float log_multiplier; /* YaRN: cosine and sine grow by (1 + ln(factor) / 10) / (1 + log_multiplier ln(factor) / 10),
                         * if factor > 1 and extrapolation is not 0 */
  float magnitude;      /* any rule: what cosine and sine are multiplied by besides; usually 1 */
} rope_scaling;

typedef struct config {
  int32_t dim;
  int32_t hidden_dim;     /* of each expert, where there are any */
  int32_t n_experts;      /* of each layer's feed-forward, of which every row is computed by some; 0: no experts */
  int32_t n_experts_used; /* by how many: 1 to n_experts */
  int32_t n_layers;
  int32_t n_heads;
  int32_t n_kv_heads; /* divides n_heads */
  int32_t head_dim;   /* n_heads * head_dim need not equal dim */
  int32_t vocab_size;
  int32_t context;
  int32_t window; /* keys that a query sees, its own the last of them; 0: all */
  float norm_eps;
  float rope_theta;
  int32_t rope_dim; /* leading dimensions of a head that are rotated, in pairs; an odd last one is not */
  bool rope_halves; /* pairs are (i, rope_dim / 2 + i), and rope_dim is even; else (2i, 2i + 1) */
  rope_scaling rope_scaling;
  int32_t shared_classifier;
  int32_t kv; /* llama2_dtype of keys and values unless another is asked for */
} config;

/* What divides frequencies, in a file's list or as the factor of a rule, is at least this, so that none exceeds 4 and
 * all angles are computed exactly. */
#define ROPE_FACTOR_LEAST 0.5

#endif
