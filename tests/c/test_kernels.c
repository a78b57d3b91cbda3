/* test_kernels: every kernel of every instruction set that this machine has. The scalar one is compared with float64
 * arithmetic within a tolerance that is stated at the case, all others with the scalar one, bit for bit. */
#include "isas.h"

/* Rows. */

static void test_rmsnorm(void) {
  for (int64_t n = 1; n <= 200; n += n < 70 ? 1 : 13)
    for (flavour f = PLAIN; f < FLAVOURS; f++) {
      int64_t ld = round_up(n, QBLOCK);
      float *x = aligned((size_t)ld * 4), *w = aligned((size_t)ld * 4), *out[MAX_ISAS] = {0};
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
    float *gate = aligned(N * 4), *up = aligned(N * 4), *out[MAX_ISAS] = {0};
    fill(gate, N, f);
    fill(up, N, f);
    for (int i = 0; i < N && f == PLAIN; i++) gate[i] *= 110; /* at which exp overflows */
    for (int i = 0; i < n_isas; i++) {
      out[i] = aligned(N * 4);
      isas[i]->silu_mul(out[i], gate, up, N);
      check_bits(flavours[f], i, out[i], out[0], N * 4);
    }
    for (int i = 0; i < N && f != NOT_FINITE && f != HUGE_VALUES; i++) {
      double g = gate[i], u = up[i], expected = g / (1 + exp(-g)) * u;
      /* The exponential ends at exp(88) = 1.7e38, where the result is as good as zero. */
      check_close("silu_mul", out[0][i], expected, 8 * EPSILON * fabs(expected) + 1e-38 * fabs(g * u) + 1e-44);
    }
    for (int i = 0; i < n_isas; i++) free(out[i]);
    free(gate);
    free(up);
  }
}

/* An act of so many rows in groups, or of one, at times as an instruction set's tiles want it. The padding is zeros. */
static act new_act(const kernels *k, int64_t rows, int64_t ld, bool grouped) {
  bool tiles = k->tile_rows && random_below(4);
  size_t n = (size_t)(round_up(rows, ACT_TILE_GROUP) * ld), blocks = n / QBLOCK;
  return (act){.ld = ld,
               .group = !grouped ? 1
                        : tiles  ? ACT_TILE_GROUP
                                 : ACT_GROUP,
               .run = tiles ? ACT_TILE_RUN : ACT_RUN,
               .f = aligned(n * 4),
               .q = aligned(n),
               .d = aligned(blocks * 4),
               .start = aligned(blocks * 4),
               .start_half = aligned(blocks * 8),
               .sum = aligned(blocks * 4),
               .sum_half = aligned(blocks * 8)};
}

static void free_act(act *a) {
  free(a->f);
  free(a->q);
  free(a->d);
  free(a->start);
  free(a->start_half);
  free(a->sum);
  free(a->sum_half);
}

/* Of `parts` that a row has, in groups of rows, where part `part` of a row is. */
static int64_t act_at(const act *a, int64_t row, int64_t parts, int64_t part) {
  return row / a->group * a->group * parts + part * a->group + row % a->group;
}
static float act_f(const act *a, int64_t row, int64_t k) {
  int64_t group = a->group == 1 ? 1 : ACT_GROUP;
  return a->f[row / group * group * a->ld + k * group + row % group];
}
static int act_q(const act *a, int64_t row, int64_t k) {
  int64_t run = a->group == 1 ? 1 : a->run;
  return a->q[act_at(a, row, a->ld / run, k / run) * run + k % run];
}
static int64_t act_block(const act *a, int64_t row, int64_t block) {
  return act_at(a, row, a->ld / QBLOCK, block);
}
static int64_t act_half(const act *a, int64_t row, int64_t half) {
  return act_at(a, row, a->ld / QBLOCK * 2, half);
}

static void check_quantized(const act *a, int64_t row, const float *x) {
  for (int64_t b = 0; b < a->ld / QBLOCK; b++) {
    float most = 0, d = a->d[act_block(a, row, b)];
    int sum = 0, first = 0;
    bool finite = true;
    for (int64_t k = b * QBLOCK; k < (b + 1) * QBLOCK; k++) {
      if (!isfinite(x[k])) finite = false;
      if (fabsf(x[k]) > most) most = fabsf(x[k]);
      sum += act_q(a, row, k);
      first += k < b * QBLOCK + 16 ? act_q(a, row, k) : 0;
    }
    if (!finite) {
      CHECK(isnan(d));
      continue;
    }
    int64_t block = act_block(a, row, b), halves[] = {act_half(a, row, 2 * b), act_half(a, row, 2 * b + 1)};
    CHECK(a->start[block] == ACT_SUMS_MAGIC - 128 * sum && a->sum[block] == (float)sum);
    CHECK(a->start_half[halves[0]] == ACT_SUMS_MAGIC - 128 * first && a->sum_half[halves[0]] == (float)first);
    CHECK(a->start_half[halves[1]] == ACT_SUMS_MAGIC - 128 * (sum - first));
    CHECK(a->sum_half[halves[1]] == (float)(sum - first));
    CHECK(most < 1e-30f ? d == 0 && sum == 0 : d == most / 127.0f);
    for (int64_t k = b * QBLOCK; k < (b + 1) * QBLOCK; k++) {
      int q = act_q(a, row, k);
      CHECK(q >= -127 && q <= 127);
      check_close("quantize", (double)q * d, x[k], most < 1e-30f ? 1e-30 : (0.5 + 1e-4) * d);
    }
  }
}

/* That two acts hold the same, however each lays it out. */
static void check_same_act(int isa, const act *found, const act *expected, int64_t rows) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = 0; k < found->ld; k++) {
      float f = act_f(found, r, k), e = act_f(expected, r, k);
      check_bits("place", isa, &f, &e, 4);
      CHECK(act_q(found, r, k) == act_q(expected, r, k));
    }
    for (int64_t b = 0; b < found->ld / QBLOCK; b++)
      check_bits("quantize: scales", isa, &found->d[act_block(found, r, b)], &expected->d[act_block(expected, r, b)],
                 4);
  }
}

static void test_place_and_quantize(void) {
  for (int grouped = 0; grouped < 2; grouped++)
    for (int64_t rows = 1; rows <= (grouped ? 19 : 1); rows += 3)
      for (int64_t ld = QBLOCK; ld <= 160; ld += QBLOCK)
        for (flavour f = PLAIN; f < FLAVOURS; f++) {
          float *x = aligned((size_t)(rows * ld) * 4);
          act acts[MAX_ISAS];
          fill(x, rows * ld, f);
          if (f == TINY) {
            memset(x, 0, QBLOCK * 4); /* a block that is all zeros, and blocks around what counts as that */
            for (int64_t i = ld; i < rows * ld; i++) x[i] *= ldexpf(1, -(int)(i / ld) / 3);
          }
          for (int i = 0; i < n_isas; i++) {
            acts[i] = new_act(isas[i], rows, ld, grouped);
            for (int64_t r = 0; r < rows; r++) {
              isas[i]->place(&acts[i], r, x + r * ld, ld);
              isas[i]->quantize(&acts[i], r, x + r * ld, ld);
              check_quantized(&acts[i], r, x + r * ld);
            }
            check_same_act(i, &acts[i], &acts[0], rows);
          }
          for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < ld; k++) {
              float placed = act_f(&acts[0], r, k);
              CHECK(memcmp(&placed, &x[r * ld + k], 4) == 0);
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
  matrix packed[MAX_ISAS];
} subject;

static const int64_t group_sizes[] = {32, 64, 96};

/* A scale of a flavour, small enough that sums stay in float32. */
static void put_scale(uint8_t half[2], flavour f) {
  uint16_t h = half_from_f32(value(f) * 0.01f);
  memcpy(half, &h, 2);
}

/* Blocks of any bits, with scales of the flavour. */
static void fill_blocks(int32_t dtype, unsigned char *blocks, int64_t n, flavour f) {
  const dtype_traits *traits = dtype_find(dtype);
  for (int64_t i = 0; i < n; i++) {
    unsigned char *block = blocks + i * traits->block_bytes;
    for (int k = 0; k < traits->block_bytes; k++) block[k] = (unsigned char)random_below(256);
    switch (dtype) {
#define SCALE(NAME, name)                     \
  case LLAMA2_##NAME:                         \
    put_scale(((block_##name *)block)->d, f); \
    break;
#define SCALES(NAME, name, m) \
  case LLAMA2_##NAME: put_scale(((block_##name *)block)->d, f), put_scale(((block_##name *)block)->m, f); break;
      SCALE(Q8_0, q8_0)
      SCALE(Q4_0, q4_0)
      SCALE(Q5_0, q5_0)
      SCALE(Q3_K, q3_k)
      SCALE(Q6_K, q6_k)
      SCALE(IQ4_NL, iq4_nl)
      SCALE(IQ4_XS, iq4_xs)
      SCALES(Q4_1, q4_1, m)
      SCALES(Q5_1, q5_1, m)
      SCALES(Q2_K, q2_k, dmin)
      SCALES(Q4_K, q4_k, dmin)
      SCALES(Q5_K, q5_k, dmin)
#undef SCALE
#undef SCALES
      case LLAMA2_F16: put_scale(block, f); break;
      case LLAMA2_BF16: {
        float x = value(f);
        memcpy(block, (char *)&x + 2, 2);
        break;
      }
      case LLAMA2_MXFP4:
        ((block_mxfp4 *)block)->e = (uint8_t)(f == PLAIN || f == SPARSE ? 120 + random_below(12) : random_below(256));
    }
  }
}

/* `from`: the file's type: the matrix's own, or F32 for Q8_0. */
static subject new_subject(int32_t dtype, int32_t from, int64_t rows, int64_t cols, flavour f, int64_t group) {
  subject s = {
      .tensor = {.dtype = from, .rows = rows, .cols = cols}
  };
  size_t n = (size_t)(rows * cols);
  if (from == LLAMA2_Q8_F) {
    int8_t *q = s.data = aligned(n);
    float *d = s.scales = aligned((n / (size_t)group + 1) * 4);
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)random_below(256); /* -128 too, which no exporter writes */
    fill(d, (int64_t)(n / (size_t)group + 1), f);
    s.tensor.scales = s.scales;
    s.tensor.group = group;
    CHECK(matrix_keeps(&s.tensor));
  } else if (from == LLAMA2_F32) {
    s.data = aligned(n * 4);
    fill(s.data, (int64_t)n, f);
  } else {
    const dtype_traits *traits = dtype_find(from);
    int64_t blocks = (int64_t)n / traits->block_values;
    s.data = aligned((size_t)(blocks * traits->block_bytes));
    fill_blocks(from, s.data, blocks, f);
  }
  s.tensor.data = s.data;
  for (int i = 0; i < n_isas; i++) {
    matrix *m = &s.packed[i];
    size_t bytes = (size_t)matrix_shape(m, dtype, rows, cols);
    m->data = aligned(bytes);
    for (int64_t panel = 0; panel < m->n_panels; panel++) {
      int64_t sources[LANES];
      for (int lane = 0; lane < LANES; lane++) {
        int64_t row = panel * LANES + lane;
        sources[lane] = row < rows ? row : -1;
      }
      matrix_pack(m, panel, &s.tensor, sources, isas[i]->pack_q8_0);
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

/* What a row reads back as: the same, but with floats that became Q8_0 within half a step of a block's scale. */
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
        if (m->dtype == s->tensor.dtype) {
          bool as_nan = isnan(row[k]) && !isfinite(original[k]); /* infinite scales are kept as NaN */
          CHECK_THAT(row[k] == original[k] || as_nan, "%s: value %ld of row %ld is %g, expected %g",
                     llama2_dtype_name(m->dtype), (long)k, (long)r, (double)row[k], (double)original[k]);
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

/* Types that matrices may have, and columns that a row of them has at least. */
#define DTYPE(NAME, ...) LLAMA2_##NAME,
static const int32_t dtypes[] = {LLAMA2_F32, LLAMA2_F16, LLAMA2_BF16, PANEL_DTYPES(DTYPE)};
#undef DTYPE
#define N_DTYPES (int)(sizeof dtypes / sizeof *dtypes)

static int64_t block_values(int32_t dtype) {
  return dtype == LLAMA2_Q8_F ? QBLOCK : dtype_find(dtype)->block_values;
}

static void test_packing(void) {
  for (int64_t rows = 1; rows <= 40; rows += 3)
    for (int64_t cols = 1; cols <= 600; cols += cols < 70 ? 1 : 97) {
      subject s = new_subject(LLAMA2_Q8_0, LLAMA2_F32, rows, cols, (flavour)random_below(FLAVOURS), 0);
      check_rows(&s);
      free_subject(&s);
    }
  for (int t = 0; t < N_DTYPES; t++)
    for (int64_t rows = 1; rows <= 40; rows += 3)
      for (int64_t blocks = 1; blocks <= 20; blocks += 3) {
        flavour f = (flavour)random_below(FLAVOURS);
        int64_t cols = blocks * (block_values(dtypes[t]) < 256 ? block_values(dtypes[t]) : 128 * (1 + blocks % 2));
        cols = round_up(cols, block_values(dtypes[t]));
        subject s = new_subject(dtypes[t], dtypes[t], rows, cols, f, group_sizes[blocks % 3]);
        check_rows(&s);
        free_subject(&s);
      }
  const tensor kept[] = {
      {.dtype = LLAMA2_Q8_F, .cols = 64, .group = 32},
      {.dtype = LLAMA2_Q8_F,                    .cols = 96,           .group = 64},
      {.dtype = LLAMA2_F32,         .cols = 5        }
  };
  const tensor others[] = {
      {.dtype = LLAMA2_Q8_F, .cols = 64, .group = 16},
      {.dtype = LLAMA2_Q8_F, .cols = 40, .group = 32}
  };
  for (int i = 0; i < 3; i++) CHECK(matrix_keeps(&kept[i]));
  for (int i = 0; i < 2; i++) CHECK(!matrix_keeps(&others[i]));
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
  bool floats = !panel_form_of(m->dtype).low;
  for (int64_t o = 0; o < p->n_panels * LANES; o++) {
    int64_t r = panel * LANES + o;
    if (r < m->rows) matrix_row(m, r, weights);
    for (int64_t i = 0; i < p->n_rows; i++) {
      double sum = before ? before[i * ld_out + o] : 0, size = fabs(sum);
      for (int64_t k = 0; k < m->cols && r < m->rows; k++) {
        double activation =
            floats ? act_f(x, row + i, k) : act_q(x, row + i, k) * (double)x->d[act_block(x, row + i, k / QBLOCK)];
        sum += weights[k] * activation;
        size += fabs(weights[k] * activation);
      }
      /* Each of the sum's roundings is at most half of EPSILON of what has been summed up so far; what is taken off by a
       * minimum may be several times what is left. */
      double roundings = (double)(floats ? p->k : 16 * (p->k / QBLOCK + 4)) + 2;
      check_close("matmul", out[i * ld_out + o], sum, roundings * EPSILON * size + 1e-37);
    }
  }
  free(weights);
}

/* The same bits, or no number in both. */
static void check_same_product(const product *p, int isa, const float *found, const float *expected, int64_t ld_out,
                               int64_t gap) {
  for (int64_t i = 0; i < p->n_rows * ld_out; i++) {
    if (i % ld_out >= ld_out - gap || (isnan(found[i]) && isnan(expected[i]))) continue;
    CHECK_THAT(memcmp(&found[i], &expected[i], 4) == 0,
               "%s, %ld panels, %ld rows, k %ld, %s: %s has %.9g at %ld, %ld; scalar %.9g", llama2_dtype_name(p->dtype),
               (long)p->n_panels, (long)p->n_rows, (long)p->k, flavours[p->flavour], isas[isa]->isa, (double)found[i],
               (long)(i / ld_out), (long)(i % ld_out), (double)expected[i]);
  }
}

static void check_product(product p) {
  enum { GAP = 5 };
  bool quantized = p.dtype == LLAMA2_Q8_0 && random_below(2);
  int32_t from = quantized ? LLAMA2_F32 : p.dtype;
  int64_t cols = round_up(p.k, block_values(from)), panel = random_below(2);
  int64_t last = random_below(2), rows = (panel + p.n_panels + last) * LANES - (last ? 0 : random_below(LANES));
  bool grouped = p.n_rows > 1 || random_below(2);
  int64_t row = grouped ? ACT_TILE_GROUP * random_below(2) : 0, ld = round_up(cols, QBLOCK);
  subject s = new_subject(p.dtype, from, rows, cols, p.flavour, group_sizes[random_below(3)]);
  float *values = aligned((size_t)((row + p.n_rows) * ld) * 4);
  for (int64_t r = 0; r < row + p.n_rows; r++) fill(values + r * ld, cols, p.flavour);
  int64_t ld_out = p.n_panels * LANES + GAP;
  size_t bytes = (size_t)(p.n_rows * ld_out) * 4;
  float *out = aligned(bytes), *expected = aligned(bytes), *before = aligned(bytes);
  unsigned char *scratch = aligned(matmul_scratch(ld));
  for (int64_t i = 0; i < p.n_rows * ld_out; i++) before[i] = i % ld_out < ld_out - GAP ? random_float() : MARK;
  for (int i = 0; i < n_isas; i++) {
    act x = new_act(isas[i], row + p.n_rows, ld, grouped);
    for (int64_t r = 0; r < row + p.n_rows; r++) {
      isas[i]->place(&x, r, values + r * ld, ld);
      isas[i]->quantize(&x, r, values + r * ld, ld);
    }
    for (int add = 0; add < 2; add++) {
      memcpy(out, before, bytes);
      isas[i]->matmul(&s.packed[i], panel, p.n_panels, &x, row, p.n_rows, out, ld_out, add, scratch);
      for (int64_t k = 0; k < p.n_rows * ld_out; k++)
        if (k % ld_out >= ld_out - GAP) CHECK(out[k] == MARK);
      if (i == 0 && (p.flavour == PLAIN || p.flavour == SPARSE))
        check_outputs(&p, &s.packed[0], panel, &x, row, out, ld_out, add ? before : NULL);
      if (i == 0 && !add) memcpy(expected, out, bytes);
      if (!add) check_same_product(&p, i, out, expected, ld_out, GAP);
    }
    free_act(&x);
  }
  free(scratch);
  free(before);
  free(expected);
  free(out);
  free(values);
  free_subject(&s);
}

static void test_matmul(void) {
  for (int t = 0; t < N_DTYPES; t++) {
    int64_t wide = block_values(dtypes[t]) == 256 ? 4 : 1; /* a block takes longer */
    for (int64_t n_rows = 1; n_rows <= 20; n_rows++)
      for (int64_t n_panels = 1; n_panels <= 9; n_panels += wide)
        check_product((product){dtypes[t], n_panels, n_rows, 1 + 2 * random_below(50), PLAIN});
    for (int64_t k = 1; k <= 100; k += wide)
      for (int64_t n_rows = 1; n_rows <= 5; n_rows += 4)
        check_product((product){dtypes[t], 5, n_rows, k, k % 2 ? PLAIN : SPARSE});
    for (int64_t k = 200; k <= 800; k += 120) check_product((product){dtypes[t], 3, 3, k, PLAIN});
    for (flavour f = TINY; f < FLAVOURS; f++)
      for (int64_t n_rows = 1; n_rows <= 17; n_rows++) check_product((product){dtypes[t], 3, n_rows, 64, f});
    check_product((product){dtypes[t], 2, 40, 64, PLAIN});
  }
}

/* The greatest values that integers can have, all of one sign: where sums of 16 bits would saturate. */
static void test_integer_extremes(void) {
  const int64_t cols = 64, rows = 16;
  const int8_t signs[] = {-128, 127, -127};
  for (int s = 0; s < 3; s++)
    for (int sign = -1; sign <= 1; sign += 2)
      for (int grouped = 0; grouped < 2; grouped++) {
        int8_t q[64 * 16];
        float d[64 * 16 / 32], x[64], out[LANES];
        memset(q, signs[s], sizeof q);
        for (int i = 0; i < 32; i++) d[i] = 1;
        for (int i = 0; i < cols; i++) x[i] = (float)sign;
        tensor t = {.dtype = LLAMA2_Q8_F, .rows = rows, .cols = cols, .data = (unsigned char *)q, .group = 32};
        t.scales = (unsigned char *)d;
        matrix m;
        m.data = aligned((size_t)matrix_shape(&m, LLAMA2_Q8_F, rows, cols));
        int64_t sources[LANES];
        for (int i = 0; i < LANES; i++) sources[i] = i;
        matrix_pack(&m, 0, &t, sources, isas[0]->pack_q8_0);
        unsigned char *scratch = aligned(matmul_scratch(cols));
        for (int i = 0; i < n_isas; i++) {
          act a = new_act(isas[i], 1, cols, grouped);
          isas[i]->quantize(&a, 0, x, cols);
          isas[i]->matmul(&m, 0, 1, &a, 0, 1, out, LANES, false, scratch);
          double exact = 127.0 * sign * signs[s] * QBLOCK * (double)a.d[0];
          for (int lane = 0; lane < LANES; lane++) check_close("extremes", out[lane], 2 * exact, 1e-3);
          free_act(&a);
        }
        free(scratch);
        free(m.data);
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
  test_exp_sum();
  test_greatest_and_at_least();
  return checks_end("test_kernels");
}
