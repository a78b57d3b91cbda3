/* cpu/kernels: the table of inner loops, one per instruction set. All tables give the same bits for the same input; the
 * scalar one is the definition. Lengths are counts of floats; buffers are 64-byte aligned and padded to LANES with
 * zeros. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "cpu/matrix.h"
#include "model/kv.h"

#if defined(__x86_64__) && !defined(LLAMA2_SCALAR_ONLY)
#define KERNELS_X86
#elif defined(__aarch64__) && !defined(LLAMA2_SCALAR_ONLY)
#define KERNELS_ARM
#endif

#ifdef __FAST_MATH__
#error "-ffast-math (or -Ofast) changes the order of sums, which must be the same on every machine"
#endif

#define ATTEND_QUERIES 32 /* queries that share a pass over keys and values, at most */
#define ATTEND_RUN 32     /* pages whose softmax is computed as one; partial results are combined in order */
#define ATTEND_KEYS (ATTEND_RUN * KV_PAGE)
#define ATTEND_PAGES 4 /* pages that all queries go over before the next */

/* How the keys and values of one head lie in a page: keys (head_dim, 16), values (16, head_pad), as float32, as float16,
 * or in Q8_0 as int8, which share a float16 scale per token and QBLOCK dimensions: of keys and then of values
 * (head_dim / QBLOCK, 16). They stand for q * scale, which float32 holds exactly. */
typedef struct kv_form {
  int32_t dtype;                             /* F32, F16 or Q8_0 */
  int64_t head_dim, head_pad;                /* head_pad: head_dim rounded up to LANES */
  uint64_t values, key_scales, value_scales; /* where they begin; keys do at 0 */
  uint64_t bytes;                            /* of all, a multiple of 64 */
} kv_form;

kv_form kv_form_of(int32_t dtype, int64_t head_dim);

/* Queries of one key/value head against the pages of one sequence. */
typedef struct attend_job {
  const kv_form *form;
  float scale; /* 1 / sqrt(head_dim) */
  int32_t n;   /* queries, at most ATTEND_QUERIES */
  const float *q[ATTEND_QUERIES];
  float *out[ATTEND_QUERIES];                           /* head_dim floats each */
  int32_t first[ATTEND_QUERIES], limit[ATTEND_QUERIES]; /* keys that the query sees: [first, limit), at least 1 */
  const unsigned char *base;                            /* of this head's block in page 0 */
  uint64_t page_bytes;
  const int32_t *pages; /* any number for those before the first key */
  float *scratch;       /* attend_scratch() floats */
} attend_job;

/* What comes of a run of pages for one query, in floats: the values so far (head_pad), 16 partial sums of the
 * exponentials, and the greatest score. */
static inline int64_t attend_part(int64_t head_pad) {
  return head_pad + 2 * LANES;
}

/* Scores, ATTEND_PAGES pages of float32 with their scales, and two parts. */
static inline int64_t attend_scratch(int64_t head_pad) {
  return ATTEND_QUERIES * (ATTEND_KEYS + LANES) + ATTEND_PAGES * KV_PAGE * (head_pad + head_pad / QBLOCK + 1) +
         2 * ATTEND_QUERIES * attend_part(head_pad);
}

/* Bytes of a matmul()'s scratch, for matrices of up to so many stored columns. */
static inline uint64_t matmul_scratch(int64_t k) {
  return 2 * (uint64_t)(k * LANES + k / (QBLOCK / 2) * 3 * LANES * (int64_t)sizeof(float));
}

typedef struct kernels {
  const char *isa;

  /* From how many rows on an act had better be laid out for tiles; 0: never, and it must not be. */
  int32_t tile_rows;

  /* out = w * x / sqrt(mean(x^2) + eps); n values, of which the padding is zero. */
  void (*rmsnorm)(float *out, const float *x, const float *w, int64_t n, float eps);

  /* One row of n values, a multiple of QBLOCK, into its place among the rows of an act. quantize: to int8, per block of
   * QBLOCK values d = max|x| / 127 and q = round(x / d). */
  void (*place)(const act *to, int64_t row, const float *x, int64_t n);
  void (*quantize)(const act *to, int64_t row, const float *x, int64_t n);

  /* row is a multiple of x->group. out(rows, panels * 16) = or += x * transpose of panels [panel, panel + n_panels) of
   * w, for rows [row, row + n_rows) of x; out is the address for (row, panel). Each output is one sum, over k in
   * increasing order. In an act of several rows those up to the end of the last one's group are read as well. */
  void (*matmul)(const matrix *w, int64_t panel, int64_t n_panels, const act *x, int64_t row, int64_t n_rows,
                 float *out, int64_t ld_out, bool add, unsigned char *scratch);

  pack_q8_0_fn *pack_q8_0;

  /* h = silu(gate) * up; n values. */
  void (*silu_mul)(float *h, const float *gate, const float *up, int64_t n);

  /* Puts a head's key, or value, into its place in a block: head_dim floats, or head_pad with zeros behind. To the
   * nearest, ties to even; what float16 cannot hold becomes infinite, and in Q8_0 NaN. Q8_0: d = max|x| / 127 as
   * float16, q = round(x * (1 / d)). */
  void (*store_key)(const kv_form *form, unsigned char *block, int64_t slot, const float *x);
  void (*store_value)(const kv_form *form, unsigned char *block, int64_t slot, const float *x);

  /* The part of each query from keys [run, run + 1) * ATTEND_KEYS: parts (queries, attend_part()). Where it sees none of
   * them its part is left as it is. */
  void (*attend_run)(const attend_job *job, int64_t run, float *parts);
  /* Adds a run's parts to those of all runs before. */
  void (*attend_add)(const attend_job *job, int64_t run, float *sums, const float *parts);
  /* Of the parts of all runs, what queries are after. */
  void (*attend_end)(const attend_job *job, const float *sums);

  /* The greatest of n values; *finite: whether all of them are finite. */
  float (*greatest)(const float *x, int64_t n, bool *finite);

  /* out = exp((x - most) * scale), n values; returns their sum, by 16 partial sums and the tree. */
  float (*exp_sum)(float *out, const float *x, int64_t n, float most, float scale);

  /* Indices of the values >= least, in increasing order; returns how many. */
  int64_t (*at_least)(int32_t *indices, const float *x, int64_t n, float least);
} kernels;

/* The table for a name; NULL stands for LLAMA2_ISA in the environment and, where that is not set, the best there is.
 * Errors: DEVICE, when the name is not known or this machine lacks it. */
llama2_status kernels_find(const char *isa, const kernels **found);

const char *kernels_best(void);

/* All runs, one after the other. */
void kernels_attend(const kernels *k, const attend_job *job);

extern const kernels kernels_scalar;
#ifdef KERNELS_X86
extern const kernels kernels_avx2, kernels_avx512, kernels_amx;
#elif defined(KERNELS_ARM)
extern const kernels kernels_neon;
#endif

#endif
