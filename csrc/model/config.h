/* model/config: what shape a model has. Backends read fields; what a model family adds is a field here. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdint.h>

typedef struct config {
  int32_t dim;
  int32_t hidden_dim;
  int32_t n_layers;
  int32_t n_heads;
  int32_t n_kv_heads; /* divides n_heads */
  int32_t head_dim;   /* n_heads * head_dim need not equal dim */
  int32_t vocab_size;
  int32_t context;
  float norm_eps;
  float rope_theta;
  int32_t rope_dim; /* leading dimensions of a head that are rotated, in pairs (2i, 2i + 1); an odd last one is not */
  int32_t shared_classifier;
} config;

#endif
