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

#define ATTEND_QUERIES 8 /* queries that share a pass over keys and values */
#define ATTEND_RUN 32    /* pages whose softmax is computed as one; partial results are combined in order */

/* Queries of one key/value head against the pages of one sequence. A page holds keys (head_dim, 16) and then values
 * (16, head_pad), float32. */
typedef struct attend_job {
  int64_t head_dim, head_pad; /* head_pad: head_dim rounded up to LANES */
  float scale;                /* 1 / sqrt(head_dim) */
  int32_t n;                  /* queries, at most ATTEND_QUERIES */
  const float *q[ATTEND_QUERIES];
  float *out[ATTEND_QUERIES];    /* head_dim floats each */
  int32_t limit[ATTEND_QUERIES]; /* keys that the query sees: the first limit of the sequence; at least 1 */
  const unsigned char *base;     /* of this head's block in page 0 */
  uint64_t page_bytes;
  const int32_t *pages;
  float *scratch; /* attend_scratch() floats */
} attend_job;

static inline int64_t attend_scratch(int64_t head_pad) {
  return 2 * ATTEND_QUERIES * head_pad;
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

  void (*attend)(const attend_job *job);

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

extern const kernels kernels_scalar;
#ifdef KERNELS_X86
extern const kernels kernels_avx2, kernels_avx512, kernels_amx;
#elif defined(KERNELS_ARM)
extern const kernels kernels_neon;
#endif

#endif
