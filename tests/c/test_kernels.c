/* test_kernels: every kernel of every instruction set that this machine has. The scalar one is compared with float64
 * arithmetic within a tolerance that is stated at the case, all others with the scalar one, bit for bit. */
#include "check.h"

#include <math.h>
#include <stdbool.h>

#include "base/checked.h"
#include "base/half.h"
#include "cpu/kernels.h"
#include "model/kv.h"

#define EPSILON 0x1p-23 /* of float32 */
#define MARK 12345.5f   /* what nobody should have written over */

static const kernels *isas[4]; /* the scalar one first */
static int n_isas;

static void find_isas(void) {
  const char *names[] = {"scalar", "avx2", "avx512"};
  for (int i = 0; i < 3; i++) {
    llama2_status status = kernels_find(names[i], &isas[n_isas]);
    CHECK(status == LLAMA2_OK || (i > 0 && status == LLAMA2_ERR_DEVICE));
    if (status == LLAMA2_OK) CHECK(strcmp(isas[n_isas++]->isa, names[i]) == 0);
  }
  const kernels *best;
  CHECK(kernels_find(kernels_best(), &best) == LLAMA2_OK && best == isas[n_isas - 1]);
  CHECK(kernels_find("sse9", &best) == LLAMA2_ERR_DEVICE && strstr(llama2_last_error()->message, "sse9"));
}

static void check_close(const char *what, double found, double expected, double tolerance) {
  CHECK_THAT(fabs(found - expected) <= tolerance, "%s: %.9g, expected %.9g within %.2g", what, found, expected,
             tolerance);
}

static void check_bits(const char *what, int isa, const void *found, const void *expected, size_t n) {
  size_t i = 0;
  while (i < n && ((const char *)found)[i] == ((const char *)expected)[i]) i++;
  CHECK_THAT(i == n, "%s: %s differs from scalar at byte %zu of %zu", what, isas[isa]->isa, i, n);
}

/* Values as they come, and those that break things: zeros, subnormals, the huge, and what is no number. */
typedef enum flavour { PLAIN, SPARSE, TINY, HUGE_VALUES, MIXED, NOT_FINITE, FLAVOURS } flavour;
static const char *const flavours[] = {"plain", "sparse", "tiny", "huge", "mixed", "not finite"};

static float value(flavour f) {
  float x = random_float();
  switch (f) {
    case SPARSE: return random_below(4) ? 0.0f : x;
    case TINY: return x * (random_below(2) ? 1e-38f : 3e-30f);
    case HUGE_VALUES: return x * (random_below(2) ? 3e38f : 1e30f);
    case MIXED: return ldexpf(x, (int)random_below(60) - 30);
    case NOT_FINITE: return random_below(40) ? x : random_below(2) ? INFINITY : random_below(2) ? -INFINITY : NAN;
    default: return x;
  }
}

static void fill(float *x, int64_t n, flavour f) {
  for (int64_t i = 0; i < n; i++) x[i] = value(f);
}

/* Rows. */

static void test_rmsnorm(void) {
  for (int64_t n = 1; n <= 200; n += n < 70 ? 1 : 13)
    for (flavour f = PLAIN; f < FLAVOURS; f++) {
      int64_t ld = round_up(n, QBLOCK);
      float *x = aligned((size_t)ld * 4), *w = aligned((size_t)ld * 4), *out[4] = {0};
      fill(x, n, f);
      fill(w, n, PLAIN);
      for (int i = 0; i < n_isas; i++) {
        out[i] = aligned((size_t)ld * 4);
        isas[i]->rmsnorm(out[i], x, w, n, 1e-5f);
        check_bits(flavours[f], i, out[i], out[0], (size_t)ld * 4);
      }
      double sum = 0;
      for (int64_t k = 0; k < n; k++) sum += (double)x[k] * x[k];
      double inverse = 1 / sqrt(sum / (double)n + 1e-5);
      for (int64_t k = 0; k < ld && f != HUGE_VALUES && f != NOT_FINITE; k++) {
        double expected = w[k] * inverse * x[k];
        check_close("rmsnorm", out[0][k], expected, 8 * EPSILON * fabs(expected) + 1e-44);
      }
      for (int i = 0; i < n_isas; i++) free(out[i]);
      free(x);
      free(w);
    }
}

static void test_silu_mul(void) {
  enum { N = 16 * 64 };
  for (flavour f = PLAIN; f < FLAVOURS; f++) {
    float *gate_up = aligned(2 * N * 4), *out[4] = {0};
    fill(gate_up, 2 * N, f);
    if (f == PLAIN)
      for (int i = 0; i < 2 * N; i++) gate_up[i] *= i / 16 % 2 ? 3 : 110; /* gates at which exp overflows */
    for (int i = 0; i < n_isas; i++) {
      out[i] = aligned(N * 4);
      isas[i]->silu_mul(out[i], gate_up, N);
      check_bits(flavours[f], i, out[i], out[0], N * 4);
    }
    for (int i = 0; i < N && f != NOT_FINITE && f != HUGE_VALUES; i++) {
      double gate = gate_up[i / 16 * 32 + i % 16], up = gate_up[i / 16 * 32 + 16 + i % 16];
      double expected = gate / (1 + exp(-gate)) * up;
      /* The exponential ends at exp(88) = 1.7e38, where the result is as good as zero. */
      check_close("silu_mul", out[0][i], expected, 8 * EPSILON * fabs(expected) + 1e-38 * fabs(gate * up) + 1e-44);
    }
    for (int i = 0; i < n_isas; i++) free(out[i]);
    free(gate_up);
  }
}

/* An act of so many rows, of which the padding is zeros. */
static act new_act(int64_t rows, int64_t ld, int32_t group) {
  size_t n = (size_t)(round_up(rows, group) * ld);
  return (act){.ld = ld,
               .group = group,
               .f = aligned(n * 4),
               .q = aligned(n),
               .d = aligned(n / QBLOCK * 4),
               .start = aligned(n / QBLOCK * 4)};
}

static void free_act(act *a) {
  free(a->f);
  free(a->q);
  free(a->d);
  free(a->start);
}

static int64_t act_base(const act *a, int64_t row) {
  return row / a->group * a->group;
}
static float act_f(const act *a, int64_t row, int64_t k) {
  return a->f[act_base(a, row) * a->ld + k * a->group + row % a->group];
}
static int act_q(const act *a, int64_t row, int64_t k) {
  return a->q[act_base(a, row) * a->ld + k / 4 * a->group * 4 + row % a->group * 4 + k % 4];
}
static int64_t act_block(const act *a, int64_t row, int64_t block) {
  return act_base(a, row) * (a->ld / QBLOCK) + block * a->group + row % a->group;
}

static void check_quantized(const act *a, int64_t row, const float *x) {
  for (int64_t b = 0; b < a->ld / QBLOCK; b++) {
    float most = 0, d = a->d[act_block(a, row, b)];
    int sum = 0;
    bool finite = true;
    for (int64_t k = b * QBLOCK; k < (b + 1) * QBLOCK; k++) {
      if (!isfinite(x[k])) finite = false;
      if (fabsf(x[k]) > most) most = fabsf(x[k]);
      sum += act_q(a, row, k);
    }
    if (!finite) {
      CHECK(isnan(d));
      continue;
    }
    CHECK(a->start[act_block(a, row, b)] == -128 * sum);
    CHECK(most < 1e-30f ? d == 0 && sum == 0 : d == most / 127.0f);
    for (int64_t k = b * QBLOCK; k < (b + 1) * QBLOCK; k++) {
      int q = act_q(a, row, k);
      CHECK(q >= -127 && q <= 127);
      check_close("quantize", (double)q * d, x[k], most < 1e-30f ? 1e-30 : (0.5 + 1e-4) * d);
    }
  }
}

static void test_place_and_quantize(void) {
  for (int32_t group = 1; group <= ACT_GROUP; group += ACT_GROUP - 1)
    for (int64_t rows = 1; rows <= 19; rows += 3)
      for (int64_t ld = QBLOCK; ld <= 160; ld += QBLOCK)
        for (flavour f = PLAIN; f < FLAVOURS; f++) {
          int64_t padded = round_up(rows, group);
          size_t n = (size_t)(padded * ld);
          float *x = aligned((size_t)(rows * ld) * 4);
          act acts[4];
          fill(x, rows * ld, f);
          if (f == TINY) {
            memset(x, 0, QBLOCK * 4); /* a block that is all zeros, and blocks around what counts as that */
            for (int64_t i = ld; i < rows * ld; i++) x[i] *= ldexpf(1, -(int)(i / ld) / 3);
          }
          for (int i = 0; i < n_isas; i++) {
            acts[i] = new_act(rows, ld, group);
            for (int64_t r = 0; r < rows; r++) {
              isas[i]->place(&acts[i], r, x + r * ld, ld);
              isas[i]->quantize(&acts[i], r, x + r * ld, ld);
            }
            check_bits("place", i, acts[i].f, acts[0].f, n * 4);
            check_bits("quantize: values", i, acts[i].q, acts[0].q, n);
            check_bits("quantize: scales", i, acts[i].d, acts[0].d, n / QBLOCK * 4);
            check_bits("quantize: starts", i, acts[i].start, acts[0].start, n / QBLOCK * 4);
          }
          for (int64_t r = 0; r < rows; r++) {
            for (int64_t k = 0; k < ld; k++) {
              float placed = act_f(&acts[0], r, k);
              CHECK(memcmp(&placed, &x[r * ld + k], 4) == 0);
            }
            check_quantized(&acts[0], r, x + r * ld);
          }
          for (int i = 0; i < n_isas; i++) free_act(&acts[i]);
          free(x);
        }
}

/* Matrices. */

/* A matrix in a file's form, and the same packed for each instruction set. */
typedef struct subject {
  tensor tensor;
  void *data, *scales;
  matrix packed[4];
} subject;

static const int64_t group_sizes[] = {32, 64, 96};

static subject new_subject(int32_t dtype, int64_t rows, int64_t cols, flavour f, int64_t group) {
  subject s = {
      .tensor = {.dtype = dtype == LLAMA2_Q8_F ? LLAMA2_Q8_F : LLAMA2_F32, .rows = rows, .cols = cols}
  };
  size_t n = (size_t)(rows * cols);
  if (dtype == LLAMA2_Q8_F) {
    int8_t *q = s.data = aligned(n);
    float *d = s.scales = aligned((n / (size_t)group + 1) * 4);
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)random_below(256); /* -128 too, which no exporter writes */
    fill(d, (int64_t)(n / (size_t)group + 1), f);
    s.tensor.scales = s.scales;
    s.tensor.group = group;
    CHECK(matrix_keeps(&s.tensor));
  } else {
    s.data = aligned(n * 4);
    fill(s.data, (int64_t)n, f);
  }
  s.tensor.data = s.data;
  for (int i = 0; i < n_isas; i++) {
    matrix *m = &s.packed[i];
    size_t bytes = (size_t)matrix_shape(m, dtype, rows, cols);
    m->data = aligned(bytes);
    for (int64_t panel = 0; panel < m->n_panels; panel++) {
      matrix_source sources[LANES];
      for (int lane = 0; lane < LANES; lane++) {
        int64_t row = panel * LANES + lane;
        sources[lane] = row < rows ? (matrix_source){&s.tensor, row} : (matrix_source){NULL, 0};
      }
      matrix_pack(m, panel, sources, isas[i]->pack_q8_0);
    }
    check_bits("pack", i, m->data, s.packed[0].data, bytes);
  }
  return s;
}

static void free_subject(subject *s) {
  for (int i = 0; i < n_isas; i++) free(s->packed[i].data);
  free(s->data);
  free(s->scales);
}

/* What a row reads back as: the same for F32 and Q8_F; for Q8_0 within half a step of a block's scale. */
static void check_rows(const subject *s) {
  const matrix *m = &s->packed[0];
  float *row = aligned((size_t)m->cols * 4), *original = aligned((size_t)m->cols * 4);
  for (int64_t r = 0; r < m->rows; r++) {
    matrix_row(m, r, row);
    tensor_values(&s->tensor, r, 0, m->cols, original);
    for (int64_t b = 0; b < m->cols; b += QBLOCK) {
      int64_t end = b + QBLOCK < m->cols ? b + QBLOCK : m->cols;
      double most = 0;
      bool finite = true;
      for (int64_t k = b; k < end; k++) {
        most = fmax(most, fabs(original[k]));
        finite = finite && isfinite(original[k]);
      }
      for (int64_t k = b; k < end; k++) {
        if (m->dtype != LLAMA2_Q8_0) {
          CHECK(row[k] == original[k] || (isnan(row[k]) && isnan(original[k])));
        } else if (!finite) {
          CHECK(isnan(row[k]));
        } else if (most < 127 * 65504.0) {
          /* A float16 scale is off by 2^-11 of itself, or by half of the least one. */
          double d = most / 127;
          check_close("row", row[k], original[k], 0.5 * d + 127 * fmax(d * 0x1p-11, 0x1p-25) + 1e-4 * d);
        } else {
          CHECK(isfinite(row[k]));
        }
      }
    }
  }
  free(row);
  free(original);
}

static void test_packing(void) {
  for (int64_t rows = 1; rows <= 40; rows += 3)
    for (int64_t cols = 1; cols <= 600; cols += cols < 70 ? 1 : 97)
      for (int type = 0; type < 2; type++) {
        flavour f = (flavour)random_below(FLAVOURS);
        subject s = new_subject(type ? LLAMA2_Q8_0 : LLAMA2_F32, rows, cols, f, 0);
        check_rows(&s);
        free_subject(&s);
      }
  for (int64_t rows = 1; rows <= 40; rows += 3)
    for (int64_t cols = 32; cols <= 640; cols += 96)
      for (int g = 0; g < 3; g++) {
        subject s = new_subject(LLAMA2_Q8_F, rows, cols, (flavour)random_below(FLAVOURS), group_sizes[g]);
        check_rows(&s);
        free_subject(&s);
      }
  const tensor kept[] = {
      {.dtype = LLAMA2_Q8_F, .cols = 64, .group = 32},
      {.dtype = LLAMA2_Q8_F, .cols = 96, .group = 64}
  };
  const tensor others[] = {
      {.dtype = LLAMA2_Q8_F, .cols = 64, .group = 16},
      {.dtype = LLAMA2_Q8_F,                    .cols = 40,           .group = 32},
      {.dtype = LLAMA2_F32,         .cols = 64        }
  };
  for (int i = 0; i < 2; i++) CHECK(matrix_keeps(&kept[i]));
  for (int i = 0; i < 3; i++) CHECK(!matrix_keeps(&others[i]));
}

/* One product: panels [panel, panel + n_panels) of a matrix that has one more on either side, with rows [row, …). */
typedef struct product {
  int32_t dtype;
  int64_t n_panels, n_rows, k;
  flavour flavour;
} product;

static void check_outputs(const product *p, const matrix *m, int64_t panel, const act *x, int64_t row, const float *out,
                          int64_t ld_out, const float *before) {
  float *weights = aligned((size_t)m->cols * 4);
  for (int64_t o = 0; o < p->n_panels * LANES; o++) {
    int64_t r = panel * LANES + o;
    if (r < m->rows) matrix_row(m, r, weights);
    for (int64_t i = 0; i < p->n_rows; i++) {
      double sum = before ? before[i * ld_out + o] : 0, size = fabs(sum);
      for (int64_t k = 0; k < m->cols && r < m->rows; k++) {
        double activation = m->dtype == LLAMA2_F32
                                ? act_f(x, row + i, k)
                                : act_q(x, row + i, k) * (double)x->d[act_block(x, row + i, k / QBLOCK)];
        sum += weights[k] * activation;
        size += fabs(weights[k] * activation);
      }
      /* Each of the sum's roundings is at most half of EPSILON of what has been summed up so far. */
      double roundings = (double)(m->dtype == LLAMA2_F32 ? p->k : p->k / QBLOCK + 4) + 2;
      check_close("matmul", out[i * ld_out + o], sum, roundings * EPSILON * size + 1e-37);
    }
  }
  free(weights);
}

static void check_product(product p) {
  enum { GAP = 5 };
  int64_t cols = p.dtype == LLAMA2_Q8_F ? round_up(p.k, QBLOCK) : p.k, panel = random_below(2);
  int64_t last = random_below(2), rows = (panel + p.n_panels + last) * LANES - (last ? 0 : random_below(LANES));
  int32_t group = p.n_rows == 1 && random_below(2) ? 1 : ACT_GROUP;
  int64_t row = group == 1 ? 0 : group * random_below(2), ld = round_up(cols, QBLOCK);
  subject s = new_subject(p.dtype, rows, cols, p.flavour, group_sizes[random_below(3)]);
  act x = new_act(row + p.n_rows, ld, group);
  float *values = aligned((size_t)ld * 4);
  for (int64_t r = 0; r < row + p.n_rows; r++) {
    fill(values, cols, p.flavour);
    isas[0]->place(&x, r, values, ld);
    isas[0]->quantize(&x, r, values, ld);
  }
  int64_t ld_out = p.n_panels * LANES + GAP;
  size_t bytes = (size_t)(p.n_rows * ld_out) * 4;
  float *out = aligned(bytes), *expected = aligned(bytes), *before = aligned(bytes);
  for (int add = 0; add < 2; add++) {
    for (int64_t i = 0; i < p.n_rows * ld_out; i++) before[i] = i % ld_out < ld_out - GAP ? random_float() : MARK;
    for (int i = 0; i < n_isas; i++) {
      const kernels *k = isas[i];
      matmul_fn *f = p.dtype == LLAMA2_F32 ? k->matmul_f32 : p.dtype == LLAMA2_Q8_0 ? k->matmul_q8_0 : k->matmul_q8_f;
      memcpy(out, before, bytes);
      f(&s.packed[i], panel, p.n_panels, &x, row, p.n_rows, out, ld_out, add);
      if (i == 0) memcpy(expected, out, bytes);
      check_bits("matmul", i, out, expected, bytes);
    }
    for (int64_t i = 0; i < p.n_rows * ld_out; i++)
      if (i % ld_out >= ld_out - GAP) CHECK(expected[i] == MARK);
    if (p.flavour == PLAIN || p.flavour == SPARSE)
      check_outputs(&p, &s.packed[0], panel, &x, row, expected, ld_out, add ? before : NULL);
  }
  free(before);
  free(expected);
  free(out);
  free(values);
  free_act(&x);
  free_subject(&s);
}

static void test_matmul(void) {
  const int32_t dtypes[] = {LLAMA2_F32, LLAMA2_Q8_0, LLAMA2_Q8_F};
  for (int t = 0; t < 3; t++) {
    for (int64_t n_rows = 1; n_rows <= 20; n_rows++)
      for (int64_t n_panels = 1; n_panels <= 9; n_panels++)
        check_product((product){dtypes[t], n_panels, n_rows, 1 + 2 * random_below(50), PLAIN});
    for (int64_t k = 1; k <= 100; k++)
      for (int64_t n_rows = 1; n_rows <= 5; n_rows += 4)
        check_product((product){dtypes[t], 5, n_rows, k, k % 2 ? PLAIN : SPARSE});
    for (int64_t k = 200; k <= 800; k += 120) check_product((product){dtypes[t], 3, 3, k, PLAIN});
    for (flavour f = TINY; f < FLAVOURS; f++)
      for (int64_t n_rows = 1; n_rows <= 17; n_rows++) check_product((product){dtypes[t], 3, n_rows, 64, f});
  }
}

/* The greatest values that integers can have, all of one sign: where sums of 16 bits would saturate. */
static void test_integer_extremes(void) {
  const int64_t cols = 64, rows = 16;
  const int8_t signs[] = {-128, 127, -127};
  for (int s = 0; s < 3; s++)
    for (int sign = -1; sign <= 1; sign += 2)
      for (int32_t group = 1; group <= ACT_GROUP; group += ACT_GROUP - 1) {
        int8_t q[64 * 16];
        float d[64 * 16 / 32], x[64], out[LANES];
        memset(q, signs[s], sizeof q);
        for (int i = 0; i < 32; i++) d[i] = 1;
        for (int i = 0; i < cols; i++) x[i] = (float)sign;
        tensor t = {.dtype = LLAMA2_Q8_F, .rows = rows, .cols = cols, .data = (unsigned char *)q, .group = 32};
        t.scales = (unsigned char *)d;
        matrix m;
        m.data = aligned((size_t)matrix_shape(&m, LLAMA2_Q8_F, rows, cols));
        matrix_source sources[LANES];
        for (int i = 0; i < LANES; i++) sources[i] = (matrix_source){&t, i};
        matrix_pack(&m, 0, sources, isas[0]->pack_q8_0);
        act a = new_act(1, cols, group);
        isas[0]->quantize(&a, 0, x, cols);
        for (int i = 0; i < n_isas; i++) {
          isas[i]->matmul_q8_f(&m, 0, 1, &a, 0, 1, out, LANES, false);
          double exact = 127.0 * sign * signs[s] * QBLOCK * (double)a.d[0];
          for (int lane = 0; lane < LANES; lane++) check_close("extremes", out[lane], 2 * exact, 1e-3);
        }
        free_act(&a);
        free(m.data);
      }
}

/* Attention. */

/* Keys and values of one head, in pages that lie in any order and have room between them. */
typedef struct cache {
  int64_t head_dim, head_pad, n_pages;
  uint64_t page_bytes;
  unsigned char *base;
  int32_t *pages;
} cache;

static float *cache_keys(const cache *c, int64_t position) {
  return (float *)(c->base + (uint64_t)c->pages[position / KV_PAGE] * c->page_bytes);
}
static float *cache_key(const cache *c, int64_t position, int64_t i) {
  return cache_keys(c, position) + i * KV_PAGE + position % KV_PAGE;
}
static float *cache_value(const cache *c, int64_t position, int64_t i) {
  return cache_keys(c, position) + c->head_dim * KV_PAGE + position % KV_PAGE * c->head_pad + i;
}

/* Tokens [0, n) are random. What lies behind them is left over from others, and need not be numbers. */
static cache new_cache(int64_t head_dim, int64_t n, float scale) {
  cache c = {.head_dim = head_dim, .head_pad = round_up(head_dim, LANES), .n_pages = kv_pages_for(n)};
  c.page_bytes = (uint64_t)round_up((head_dim + c.head_pad) * KV_PAGE * 4, 64) + 64 * (uint64_t)random_below(3);
  c.base = aligned((size_t)(c.page_bytes * (uint64_t)c.n_pages));
  c.pages = aligned((size_t)c.n_pages * 4);
  for (int64_t i = 0; i < c.n_pages; i++) {
    int64_t j = random_below(i + 1);
    c.pages[i] = c.pages[j];
    c.pages[j] = (int32_t)i;
  }
  for (int64_t position = 0; position < c.n_pages * KV_PAGE; position++)
    for (int64_t i = 0; i < head_dim; i++) {
      *cache_key(&c, position, i) = position < n ? scale * random_float() : NAN;
      *cache_value(&c, position, i) = position < n ? random_float() : NAN;
    }
  return c;
}

static void check_attention(const cache *c, const attend_job *job, int j) {
  int64_t n = job->limit[j];
  double most = -INFINITY, total = 0, *score = aligned((size_t)n * sizeof(double));
  for (int64_t t = 0; t < n; t++) {
    for (int64_t i = 0; i < c->head_dim; i++) score[t] += (double)job->q[j][i] * *cache_key(c, t, i);
    score[t] *= job->scale;
    most = fmax(most, score[t]);
  }
  for (int64_t t = 0; t < n; t++) total += score[t] = exp(score[t] - most);
  for (int64_t i = 0; i < c->head_dim; i++) {
    double sum = 0;
    for (int64_t t = 0; t < n; t++) sum += score[t] / total * *cache_value(c, t, i);
    /* Values are at most 1; scores of some tens are off by some 1e-5, and so are their exponentials. */
    check_close("attend", job->out[j][i], sum, 2e-5);
  }
  free(score);
}

static void check_attend(int64_t head_dim, int32_t n_queries, int64_t longest, float scale) {
  cache c = new_cache(head_dim, longest, scale);
  size_t out_bytes = (size_t)(n_queries * head_dim + 1) * 4;
  float *q = aligned((size_t)(n_queries * c.head_pad) * 4), *expected = aligned(out_bytes), *out = aligned(out_bytes);
  attend_job job = {.head_dim = head_dim,
                    .head_pad = c.head_pad,
                    .scale = 1.0f / sqrtf((float)head_dim),
                    .n = n_queries,
                    .base = c.base,
                    .page_bytes = c.page_bytes,
                    .pages = c.pages,
                    .scratch = aligned((size_t)attend_scratch(c.head_pad) * 4)};
  for (int32_t j = 0; j < n_queries; j++) {
    float *query = q + j * c.head_pad;
    for (int64_t i = 0; i < head_dim; i++) query[i] = scale * random_float();
    job.q[j] = query;
    job.limit[j] = j == n_queries / 2 ? (int32_t)longest : (int32_t)(1 + random_below(longest));
    job.out[j] = expected + j * head_dim;
  }
  for (int i = 0; i < n_isas; i++) {
    float *to = i == 0 ? expected : out;
    to[n_queries * head_dim] = MARK;
    for (int32_t j = 0; j < n_queries; j++) job.out[j] = to + j * head_dim;
    fill(job.scratch, attend_scratch(c.head_pad), NOT_FINITE);
    isas[i]->attend(&job);
    CHECK(to[n_queries * head_dim] == MARK);
    check_bits("attend", i, to, expected, out_bytes);
  }
  for (int32_t j = 0; j < n_queries; j++) job.out[j] = expected + j * head_dim, check_attention(&c, &job, j);
  /* A query alone gets what it gets among others. */
  for (int32_t j = 0; j < n_queries; j++) {
    attend_job alone = job;
    alone.n = 1;
    alone.q[0] = job.q[j];
    alone.limit[0] = job.limit[j];
    alone.out[0] = out;
    isas[n_isas - 1]->attend(&alone);
    check_bits("attend alone", n_isas - 1, out, expected + j * head_dim, (size_t)head_dim * 4);
  }
  free(job.scratch);
  free(out);
  free(expected);
  free(q);
  free(c.pages);
  free(c.base);
}

static void test_attend(void) {
  const int64_t head_dims[] = {1, 8, 13, 48, 128}, run = ATTEND_RUN * KV_PAGE;
  const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 100, run - 1, run, run + 1, run + 17, 2 * run, 2 * run + 1};
  for (size_t d = 0; d < 5; d++) {
    for (int32_t n = 1; n <= ATTEND_QUERIES; n++)
      for (size_t l = 0; l < 8; l++) check_attend(head_dims[d], n, lengths[l], 2);
    for (size_t l = 8; l < 14; l++)
      check_attend(head_dims[d], 1 + (int32_t)random_below(ATTEND_QUERIES), lengths[l], 2);
    check_attend(head_dims[d], 3, 3 * run + 40, 0);
    check_attend(head_dims[d], 3, run + 40, 6);
  }
}

/* Sampling. */

static void test_exp_sum(void) {
  for (int64_t n = 1; n <= 150; n += n < 70 ? 1 : 11)
    for (int s = 0; s < 4; s++) {
      const float scales[] = {1, 0.1f, 30, 1e30f};
      float *x = aligned((size_t)n * 4), *out = aligned((size_t)n * 4), *expected = aligned((size_t)n * 4);
      float most = -INFINITY, sum = 0;
      double exact = 0;
      for (int64_t i = 0; i < n; i++) {
        x[i] = 20 * random_float();
        if (x[i] > most) most = x[i];
      }
      for (int i = 0; i < n_isas; i++) {
        float found = isas[i]->exp_sum(i ? out : expected, x, n, most, scales[s]);
        if (i == 0) sum = found;
        check_bits("exp_sum: sum", i, &found, &sum, 4);
        check_bits("exp_sum: values", i, i ? out : expected, expected, (size_t)n * 4);
      }
      for (int64_t i = 0; i < n; i++) {
        double power = ((double)x[i] - most) * scales[s];
        /* An argument of some hundreds is off by some 1e-5; below -87 the result is zero. */
        check_close("exp_sum", expected[i], exp(power), (1 + fmin(100, -power)) * 2 * EPSILON * exp(power) + 1.7e-38);
        exact += exp(power);
      }
      check_close("exp_sum", sum, exact, 1e-5 * exact);
      /* In place, as a sampler may. */
      float again = isas[n_isas - 1]->exp_sum(x, x, n, most, scales[s]);
      CHECK(again == sum && memcmp(x, expected, (size_t)n * 4) == 0);
      free(expected);
      free(out);
      free(x);
    }
}

static void test_greatest_and_at_least(void) {
  for (int64_t n = 1; n <= 150; n++)
    for (flavour f = PLAIN; f < FLAVOURS; f++) {
      float *x = aligned((size_t)n * 4), most = -INFINITY;
      int32_t *found = aligned((size_t)n * 4), *expected = aligned((size_t)n * 4);
      fill(x, n, f);
      bool all_finite = true;
      int64_t count = 0;
      float least = random_below(3) ? x[random_below(n)] : 0;
      for (int64_t i = 0; i < n; i++) {
        all_finite = all_finite && isfinite(x[i]);
        if (x[i] > most) most = x[i];
        if (x[i] >= least) expected[count++] = (int32_t)i;
      }
      for (int i = 0; i < n_isas; i++) {
        bool finite = !all_finite;
        float greatest = isas[i]->greatest(x, n, &finite);
        CHECK(finite == all_finite);
        if (all_finite) CHECK(greatest == most);
        CHECK(isas[i]->at_least(found, x, n, least) == count);
        check_bits("at_least", i, found, expected, (size_t)count * 4);
      }
      free(expected);
      free(found);
      free(x);
    }
}

int main(void) {
  find_isas();
  test_rmsnorm();
  test_silu_mul();
  test_place_and_quantize();
  test_packing();
  test_matmul();
  test_integer_extremes();
  test_attend();
  test_exp_sum();
  test_greatest_and_at_least();
  return checks_end("test_kernels");
}
