/* model/backend: the seam between the transformer and the machine that computes it. */
#ifndef MODEL_BACKEND_H
#define MODEL_BACKEND_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv.h"

/* One token to compute. */
typedef struct row {
  int32_t token;
  int32_t position;            /* in its sequence; all positions before it are computed, or are rows before this one */
  int32_t logits;              /* slot for its logits, or -1 where they are not wanted */
  const kv_sequence *sequence; /* has a page for the position */
  const adapter_set *adapters; /* that it is computed with, or NULL */
} row;

/* What one pass computes. Rows of a sequence follow one another in order of position. */
typedef struct step {
  int32_t n_layers; /* of the model */
  int32_t n_rows;
  const row *rows;
  int32_t n_logits; /* slots in use: 0 to n_logits - 1, in the order of the rows */
} step;

/* How much room a backend's state has. */
typedef struct limits {
  int32_t rows;   /* of a step */
  int32_t logits; /* slots */
  int32_t pages;  /* of the KV pool */
  int32_t threads;
  int32_t kv;    /* llama2_dtype of keys and values: LLAMA2_F32, LLAMA2_F16 or LLAMA2_Q8_0 */
  int32_t ranks; /* of a row's adapters together */
} limits;

/* How a running step may be ended early. */
typedef struct interrupt {
  atomic_int *cancel;         /* set by anyone: the step ends soon, its results unspecified */
  int (*poll)(void *context); /* NULL, or called now and then on the thread that runs the step; not 0: cancel */
  void *context;
} interrupt;

typedef struct backend backend;

/* The transformer: calls the stages in order. A backend runs it once or, with the same arguments but for `lane`, on
 * each of its threads. */
typedef void forward_fn(const backend *b, void *lane, const step *s);

/* All members are mandatory. `weights` come from prepare() and are immutable; `state` comes from open() and belongs to
 * one caller; `lane` is what run() hands to forward(). A stage returns when its results can be read by the next. */
struct backend {
  const char *name;

  /* Bytes it may still take. */
  uint64_t (*memory)(void);

  /* What prepare() would make: fills dtype, weight_bytes and isa. load: bytes that are needed besides while it works.
   */
  llama2_status (*plan_weights)(const checkpoint *c, const llama2_model_options *options, llama2_model_info *info,
                                uint64_t *load);
  llama2_status (*prepare)(const checkpoint *c, const llama2_model_options *options, void **weights);
  void (*release)(void *weights);
  /* `hash` with all numbers that the weights are, the same on every machine. */
  uint64_t (*fingerprint)(const void *weights, uint64_t hash);

  /* An adapter's matrices, packed to be added to those of `weights`, which it does not hold on to. *bytes: what they
   * take. Errors: MEMORY. */
  llama2_status (*prepare_adapter)(const void *weights, const adapter_file *file, void **adapter, uint64_t *bytes);
  void (*release_adapter)(void *adapter);
  /* As fingerprint(). */
  uint64_t (*adapter_fingerprint)(const void *adapter, uint64_t hash);

  /* Bytes of a state: its KV pages, and all the rest. SIZE_BAD where that overflows. */
  void (*plan_state)(const config *c, const limits *l, uint64_t *kv, uint64_t *scratch);
  llama2_status (*open)(const void *weights, const limits *l, void **state);
  void (*close)(void *state);

  void (*run)(void *state, const step *s, forward_fn *forward, const interrupt *i);

  void (*embed)(void *lane, const step *s);                   /* token ids -> x (rows, dim) */
  void (*qkv)(void *lane, const step *s, int32_t layer);      /* x -> q; keys and values into their pages */
  void (*attend)(void *lane, const step *s, int32_t layer);   /* q, pages -> a (rows, n_heads * head_dim) */
  void (*attn_out)(void *lane, const step *s, int32_t layer); /* x += Wo a */
  void (*ffn_up)(void *lane, const step *s, int32_t layer);   /* x -> h = silu(W1 n(x)) * (W3 n(x)) */
  void (*ffn_down)(void *lane, const step *s, int32_t layer); /* x += W2 h */
  void (*head)(void *lane, const step *s);                    /* x of the wanted rows -> logits (slots, vocab) */

  /* Pages between steps. A page's bytes are the same on every machine for the same tokens. */
  uint64_t (*page_bytes)(const void *state);
  void (*page_copy)(void *state, int32_t from, int32_t to);
  void (*page_read)(const void *state, int32_t page, void *bytes);
  void (*page_write)(void *state, int32_t page, const void *bytes);

  /* Logits of a slot of the last step, in memory that the host can read: vocab_size floats. */
  const float *(*logits)(const void *state, int32_t slot);
  /* Draws a token from a slot. Errors: NUMERIC. */
  llama2_status (*sample)(void *state, int32_t slot, llama2_sampling *sampling, int32_t *token);
  /* The logarithm of a token's probability in a slot, and those of the `most` likeliest tokens, the likeliest first, of
   * equals the one with the lower id; *n: how many, which is less in a small vocabulary. Errors: NUMERIC. */
  llama2_status (*logprobs)(void *state, int32_t slot, int32_t token, double *logprob, int32_t most, llama2_top *top,
                            int32_t *n);
};

extern const backend backend_cpu;

#endif
