/* cpu/cpu: what the CPU backend's files share: packed weights, and a session's working memory. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "base/memory.h"
#include "base/threads.h"
#include "cpu/kernels.h"
#include "cpu/matrix.h"
#include "model/backend.h"

#define BLOCK_ROWS 256 /* rows whose outputs a stage keeps by while it finishes them */
#define BITE_PANELS 8  /* panels of a bite at most */
#define SPLIT_ROWS 8   /* rows of a step, at most, whose attention is cut into runs of pages for many threads */

typedef struct cpu_layer {
  float *attention_norm; /* (ld_dim) */
  matrix wq, wk, wv;     /* (n_heads or n_kv_heads heads of head_pad rows, dim) */
  float *qkv_bias;       /* (n_heads + 2 * n_kv_heads, head_pad), or NULL */
  float *q_norm;         /* (head_pad) and more, or NULL */
  float *k_norm;         /* the same */
  matrix wo;             /* (dim, n_heads * head_dim) */
  float *wo_bias;        /* (ld_dim), or NULL */
  float *ffn_norm;       /* (ld_dim) */
  matrix router;         /* (n_experts, dim), where there are experts; each then has so many panels of the three: */
  matrix w1, w3;         /* (hidden_dim, dim) */
  matrix w2;             /* (dim, hidden_dim) */
} cpu_layer;

typedef struct cpu_weights {
  config config;
  const kernels *kernels;
  arena arena;
  matrix embedding;  /* (vocab_size, dim) */
  matrix classifier; /* (vocab_size, dim); the same data where it is shared */
  float *final_norm; /* (ld_dim) */
  double *rope;      /* (rope_dim / 2) frequencies */
  double magnitude;  /* of rotary cosines and sines */
  cpu_layer *layers; /* (n_layers) */
} cpu_weights;

/* Lengths of padded rows. */
typedef struct cpu_sizes {
  int64_t ld_dim;    /* dim, to QBLOCK */
  int64_t ld_heads;  /* n_heads * head_dim, to QBLOCK */
  int64_t ld_hidden; /* hidden_dim, to QBLOCK */
  int64_t ld_vocab;  /* vocab_size, to LANES */
  kv_form kv;        /* of one head's block in a page */
  uint64_t kv_page;  /* bytes of a page: (n_layers, n_kv_heads) blocks */
} cpu_sizes;

/* kv: llama2_dtype of keys and values. */
cpu_sizes cpu_sizes_of(const config *c, int32_t kv);

/* Rows of one sequence that are attended together. */
typedef struct cpu_tile {
  int32_t first, n;
} cpu_tile;

/* The matrices that adapters may add to, those of one stage behind one another. */
typedef enum cpu_target {
  TARGET_Q,
  TARGET_K,
  TARGET_V,
  TARGET_O,
  TARGET_GATE,
  TARGET_UP,
  TARGET_DOWN,
  TARGET_HEAD
} cpu_target;

#define STAGE_TARGETS 3 /* of one stage, at most */

/* Rows that follow one another and have the same adapters. */
typedef struct cpu_piece {
  int32_t first, n;
  const adapter_set *set;
} cpu_piece;

/* What adapters add to the products of a stage. */
typedef struct cpu_adapted {
  const cpu_piece *pieces; /* (n_pieces); none: nothing is added */
  int32_t n_pieces;
  const int32_t *index; /* NULL, or which row of the step is row i */
  int32_t layer;
  cpu_target target; /* the first of n_targets */
  int32_t n_targets;
  act in;
} cpu_adapted;

/* What a worker has for itself. */
typedef struct cpu_scratch {
  act solo;    /* (1, the longest row) a step's only row, which each worker prepares for itself: cheaper than a wait */
  float *norm; /* (ld_dim) */
  float *tile; /* (BLOCK_ROWS, outputs of a bite) */
  unsigned char *product; /* matmul_scratch() of the longest row */
  float *attend;
} cpu_scratch;

/* Where the rows of a step are while experts compute them (cpu/experts.c). A place is a row of h and of y. */
typedef struct cpu_experts {
  int64_t ld_scores, ld_shares; /* n_experts and n_experts_used, to LANES */
  float *scores;                /* (rows, ld_scores) the router's */
  float *shares;                /* (rows, ld_shares) of each choice in what is added to x */
  int32_t *chosen;              /* (rows, n_experts_used) experts, the likeliest first */
  int32_t *place;               /* (rows, n_experts_used) of each choice */
  int32_t *row_at;              /* (places) the row that is there */
  int32_t *expert_of_group;     /* (places / ACT_TILE_GROUP) */
  int32_t n_groups;
  int32_t *used; /* (n_used) experts that were chosen, in order of number */
  int32_t n_used;
  int32_t *first, *count; /* (n_experts) places of each */
  float *y;               /* (places, ld_dim) W2 h */
} cpu_experts;

typedef struct cpu_state {
  const cpu_weights *weights;
  limits limits;
  cpu_sizes sizes;
  arena arena, kv;
  team *team;
  cpu_scratch *scratch; /* (threads) */

  float *x;    /* (rows, ld_dim) the residual stream */
  float *rope; /* (rows, rope_dim) cosine and sine of each pair */
  float *q;    /* (rows, n_heads * head_pad) */
  float *a;    /* (rows, ld_heads) */
  float *h;    /* (rows, ld_hidden), or (places, ld_hidden) */
  act shared;  /* (rows or places, the longest row) activations as the next product reads them */
  cpu_experts experts;
  float *logits; /* (slots, ld_vocab) */

  int32_t *wanted; /* (slots) the rows whose logits are wanted */
  cpu_tile *tiles; /* (rows) */
  int32_t n_tiles;
  int32_t first_run, n_runs; /* n_runs: that a tile's keys are cut into; 1: they are not */
  int32_t split_rows;        /* rows that there is room for here: */
  float *parts;              /* (runs, n_kv_heads, split_rows * queries of a head, attend_part()) */
  atomic_int *runs_done;     /* (split_rows, n_kv_heads) of each unit */

  cpu_piece *pieces, *head_pieces; /* (rows), (slots) rows of the step that have adapters, and slots that do */
  int32_t n_pieces, n_head_pieces, most_adapters;
  float *low; /* (rows, STAGE_TARGETS * limits.ranks) what a stage's adapters make of its input: scale * (A x) */

  float *chances;   /* (vocab_size) for sampling */
  int32_t *nucleus; /* (vocab_size) */

  const step *step;
  forward_fn *forward;
} cpu_state;

/* What run() hands to the stages. */
typedef struct cpu_lane {
  worker *worker;
  cpu_state *state;
} cpu_lane;

llama2_status cpu_plan_weights(const checkpoint *c, const llama2_model_options *options, llama2_model_info *info,
                               uint64_t *load);
llama2_status cpu_prepare(const checkpoint *c, const llama2_model_options *options, void **weights);
void cpu_release(void *weights);
uint64_t cpu_fingerprint(const void *weights, uint64_t hash);

/* A matrix to be, and the tensor that its rows come from. */
typedef struct cpu_packing {
  const matrix *target;
  const kernels *kernels;
  tensor tensor;
  int64_t run, padded; /* runs of so many rows take up so many rows of the matrix */
} cpu_packing;

/* Sets the shape of a matrix that is to hold a tensor as `dtype`; returns its bytes. run: 0, or each so many rows begin with
 * a panel of their own. */
uint64_t cpu_packing_of(cpu_packing *p, matrix *m, const kernels *k, const tensor *t, int32_t dtype, int64_t run);
/* A unit_fn, of panels. */
void cpu_pack_panels(worker *w, void *packing, int64_t begin, int64_t end);

llama2_status cpu_prepare_adapter(const void *weights, const adapter_file *file, void **adapter, uint64_t *bytes);
void cpu_release_adapter(void *adapter);
uint64_t cpu_adapter_fingerprint(const void *adapter, uint64_t hash);

/* Finds which rows have adapters; before any worker is at it. */
void cpu_plan_adapters(cpu_state *s, const step *step);
/* Units of cpu_adapt(), a stage of its own: computes what cpu_add_adapted() reads, from a->in. */
int64_t cpu_adapted_units(const cpu_state *s, const cpu_adapted *a);
void cpu_adapt(cpu_lane *lane, const cpu_adapted *a);
/* Adds what adapters make of rows [row, row + n_rows) to panels [panel, panel + n_panels) of target a->target + t; out is
 * the address for (row, panel). */
void cpu_add_adapted(const worker *w, const cpu_state *s, const cpu_adapted *a, int32_t t, int64_t panel,
                     int64_t n_panels, int64_t row, int64_t n_rows, float *out, int64_t ld_out);

llama2_status cpu_sample(void *state, int32_t slot, llama2_sampling *sampling, int32_t *token);
llama2_status cpu_logprobs(void *state, int32_t slot, int32_t token, double *logprob, int32_t most, llama2_top *top,
                           int32_t *n);

/* Where a head's keys and values of the row's page are. */
unsigned char *cpu_kv_block(const cpu_state *s, const row *r, int32_t layer, int64_t kv_head);

/* Cuts a step's attention into units; before any worker is at it. */
void cpu_plan_attend(cpu_state *s, const step *step);

void cpu_embed(void *lane, const step *s);
void cpu_qkv(void *lane, const step *s, int32_t layer);
void cpu_attend(void *lane, const step *s, int32_t layer);
void cpu_attn_out(void *lane, const step *s, int32_t layer);
void cpu_ffn_up(void *lane, const step *s, int32_t layer);
void cpu_ffn_down(void *lane, const step *s, int32_t layer);
void cpu_head(void *lane, const step *s);

#endif
