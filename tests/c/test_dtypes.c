/* test_dtypes: the table of types, rows read in pieces, and what quantising gives and does with numbers that are none.
 * That blocks mean what the format says is checked against the gguf package, in tests/py/test_dtypes.py. */
#include "check.h"

#include <math.h>
#include <stdbool.h>

#include "base/half.h"
#include "cpu/kernels.h"
#include "format/dequantize.h"
#include "format/dtype.h"
#include "format/quantize.h"

#define ROW(NAME, name, values, bytes) {LLAMA2_##NAME, #name, values, bytes},
static const dtype_traits types[] = {DTYPES(ROW)}, block_types[] = {BLOCK_DTYPES(ROW)};
#undef ROW

enum { N_TYPES = sizeof types / sizeof *types, N_BLOCK_TYPES = sizeof block_types / sizeof *block_types };

static void test_table(void) {
  CHECK(N_TYPES == N_BLOCK_TYPES + 1);
  for (int i = 0; i < N_TYPES; i++) {
    const dtype_traits *t = dtype_find(types[i].id);
    CHECK_THAT(t && t->id == types[i].id && strcmp(t->name, types[i].name) == 0, "%s", types[i].name);
    CHECK(t->block_values == types[i].block_values && t->block_bytes == types[i].block_bytes);
    CHECK(t->block_values == 1 || t->block_values == QBLOCK || t->block_values == KBLOCK);
  }
  const int32_t unknown[] = {LLAMA2_KEEP, 4, 5, 9, 15, 40, 999, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) CHECK(!dtype_find(unknown[i]));
}

/* n values of the shape that weights have. */
static void fill(float *x, int64_t n, float scale) {
  for (int64_t i = 0; i < n; i++) x[i] = scale * (random_float() + random_float() + random_float() + random_float());
}

static size_t row_bytes(const dtype_traits *t, int64_t n) {
  return (size_t)(n / t->block_values * t->block_bytes);
}

/* Rows of any bits, at an odd address, in pieces that begin at a block and end anywhere. */
static void test_pieces(const dtype_traits *t) {
  enum { ROWS = 3, COLS = 3 * KBLOCK };
  size_t bytes = row_bytes(t, ROWS * COLS);
  unsigned char *data = aligned(bytes + 1);
  float *whole = aligned(ROWS * COLS * 4), *piece = aligned(COLS * 4);
  for (size_t i = 0; i < bytes; i++) data[i + 1] = (unsigned char)random_bits();
  tensor m = {.dtype = t->id, .rows = ROWS, .cols = COLS, .data = data + 1, .bytes = bytes};
  dequantize_row(t->id, m.data, ROWS * COLS, whole);
  for (int i = 0; i < 300; i++) {
    int64_t row = random_below(ROWS), first = random_below(COLS / t->block_values) * t->block_values;
    int64_t n = random_below(COLS - first + 1);
    float *out = piece + COLS - n; /* ends where the memory does */
    tensor_values(&m, row, first, n, out);
    CHECK_THAT(memcmp(out, whole + row * COLS + first, (size_t)n * 4) == 0, "%s: %d values from %d", t->name, (int)n,
               (int)first);
  }
  free(piece);
  free(whole);
  free(data);
}

/* n values there and back; the blocks lie at an odd address. Returns what quantize_row() does. */
static bool round_trip(const dtype_traits *t, const float *x, int64_t n, float *out) {
  size_t bytes = row_bytes(t, n);
  unsigned char *blocks = aligned(bytes + 1);
  memset(blocks, 0xa5, bytes + 1);
  bool finite = quantize_row(t->id, x, n, blocks + 1);
  dequantize_row(t->id, blocks + 1, n, out);
  CHECK(blocks[0] == 0xa5);
  free(blocks);
  return finite;
}

typedef struct quantizer {
  int32_t id;
  double error;  /* the squared error over the square, of what fill() makes, is less */
  float most;    /* a value that it holds, within a quarter (of four levels, a third) */
  uint32_t hash; /* of the blocks that test_hash() makes: the same from every compiler, on every machine */
} quantizer;

static const quantizer quantizers[] = {
    {LLAMA2_F32,  0,      3e38f,  0x64ae0dac},
    {LLAMA2_F16,  5e-8,   65504,  0x1f74907d},
    {LLAMA2_BF16, 3e-6,   3e38f,  0x2b562acd},
    {LLAMA2_Q8_0, 3e-5,   8e6f,   0x04bc9234},
    {LLAMA2_Q4_0, 7e-3,   5e5f,   0xf503d5b9},
    {LLAMA2_Q4_1, 5e-3,   6e4f,   0x8462d338},
    {LLAMA2_Q5_0, 1.7e-3, 1e6f,   0x589a4efb},
    {LLAMA2_Q5_1, 1.2e-3, 6e4f,   0x70173a1c},
    {LLAMA2_Q2_K, 7e-2,   9e5f,   0xc972aafe},
    {LLAMA2_Q3_K, 2.1e-2, 8e6f,   0x0831d33b},
    {LLAMA2_Q4_K, 5e-3,   4e6f,   0x1f50e95b},
    {LLAMA2_Q5_K, 1.3e-3, 4e6f,   0x8313c6e6},
    {LLAMA2_Q6_K, 3e-4,   2.6e8f, 0xdbd05f79},
};

enum { N_QUANTIZERS = sizeof quantizers / sizeof *quantizers, N = 64 * KBLOCK };

static void test_known(void) {
  int known = 0;
  for (int i = 0; i < N_TYPES; i++) known += quantize_knows(types[i].id);
  CHECK(known == N_QUANTIZERS);
  for (int i = 0; i < N_QUANTIZERS; i++) CHECK(quantize_knows(quantizers[i].id));
}

static void test_error(const quantizer *q, const dtype_traits *t) {
  const float scales[] = {1, 0.02f, 300};
  float *x = aligned(N * 4), *out = aligned(N * 4);
  for (int s = 0; s < 3; s++) {
    double error = 0, square = 0;
    fill(x, N, scales[s]);
    CHECK(round_trip(t, x, N, out));
    for (int i = 0; i < N; i++) {
      error += ((double)x[i] - out[i]) * ((double)x[i] - out[i]);
      square += (double)x[i] * x[i];
    }
    CHECK_THAT(error <= q->error * square, "%s: %.3g, expected at most %.3g", t->name, error / square, q->error);
  }
  free(out);
  free(x);
}

static void test_extremes(const quantizer *q, const dtype_traits *t) {
  float x[KBLOCK], out[KBLOCK], within = q->id == LLAMA2_Q2_K ? 0.34f : 0.25f;
  for (float value = 0; value<1e-30f; value = value> 0 ? value * 8 : 1e-45f) { /* too little for any scale */
    for (int i = 0; i < KBLOCK; i++) x[i] = i % 3 ? value : -value;
    CHECK(round_trip(t, x, KBLOCK, out));
    for (int i = 0; i < KBLOCK; i++) CHECK(fabsf(out[i]) <= value);
  }
  for (float scale = 1; scale < 3e38f; scale *= 16) { /* nothing becomes infinite, and what fits is kept */
    for (int i = 0; i < KBLOCK; i++) x[i] = (i % 2 ? scale : -scale) * (i % 32 < 30 ? 1 : 0.7f);
    CHECK(round_trip(t, x, KBLOCK, out));
    for (int i = 0; i < KBLOCK; i++) {
      CHECK_THAT(isfinite(out[i]), "%s: %g of %g", t->name, (double)out[i], (double)x[i]);
      if (scale <= q->most) CHECK(fabsf(out[i] - x[i]) <= within * scale);
    }
  }
  for (int i = 0; i < KBLOCK; i++) x[i] = i % 2 ? q->most : -q->most;
  CHECK(round_trip(t, x, KBLOCK, out));
  for (int i = 0; i < KBLOCK; i++)
    CHECK_THAT(fabsf(out[i] - x[i]) <= within * q->most, "%s: %g of %g", t->name, (double)out[i], (double)x[i]);
}

/* A value that is not finite spoils its block, and no other. */
static void test_not_finite(const dtype_traits *t) {
  const float values[] = {NAN, -NAN, INFINITY, -INFINITY, half_bits_f32(0x7f800001)};
  enum { COLS = 3 * KBLOCK };
  float x[COLS], out[COLS], good[COLS];
  fill(x, COLS, 1);
  CHECK(round_trip(t, x, COLS, good));
  for (int i = 0; i < 200; i++) {
    int64_t at = random_below(COLS);
    float kept = x[at], value = values[i % 5];
    x[at] = value;
    CHECK(!round_trip(t, x, COLS, out));
    for (int64_t k = 0; k < COLS; k++) {
      if (k / t->block_values != at / t->block_values)
        CHECK(out[k] == good[k]);
      else if (t->block_values == 1 && !isnan(value))
        CHECK(out[k] == value);
      else
        CHECK_THAT(isnan(out[k]), "%s: %g", t->name, (double)out[k]);
    }
    x[at] = kept;
  }
}

/* Values of any bits. */
static void test_any_bits(const dtype_traits *t) {
  float x[KBLOCK], out[KBLOCK];
  for (int i = 0; i < 2000; i++) {
    bool finite = true;
    for (int k = 0; k < KBLOCK; k++) {
      x[k] = half_bits_f32((uint32_t)random_bits() & (i % 2 ? UINT32_MAX : 0xbfffffff));
      finite = finite && isfinite(x[k]);
    }
    CHECK(round_trip(t, x, KBLOCK, out) == finite);
    for (int k = 0; k < KBLOCK; k++) CHECK(!finite || isfinite(out[k]));
  }
}

/* FNV-1a. */
static void test_hash(const quantizer *q, const dtype_traits *t) {
  size_t bytes = row_bytes(t, N);
  float *x = aligned(N * 4);
  unsigned char *blocks = aligned(bytes);
  random_state = 12345;
  for (int i = 0; i < N; i += 32) fill(x + i, 32, ldexpf(1, (int)random_below(20) - 14));
  for (int i = 0; i < N; i += 64) x[i] += random_float(), x[i + 1] = 0;
  quantize_row(t->id, x, N, blocks);
  uint32_t hash = 0x811c9dc5;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ blocks[i]) * 0x01000193;
  CHECK_THAT(hash == q->hash, "%s: 0x%08x, expected 0x%08x", t->name, hash, q->hash);
  free(blocks);
  free(x);
}

/* A Q8_0 file holds what packing while loading makes. */
static void test_q8_0_as_packed(void) {
  const kernels *scalar;
  CHECK(kernels_find("scalar", &scalar) == LLAMA2_OK);
  for (int round = 0; round < 500; round++) {
    float x[QBLOCK], panel[QBLOCK * LANES] = {0};
    uint8_t packed[QBLOCK * LANES];
    uint16_t scales[LANES];
    block_q8_0 b;
    fill(x, QBLOCK, ldexpf(1, (int)random_below(60) - 35));
    for (int i = 0; i < QBLOCK; i++) panel[i * LANES] = x[i];
    scalar->pack_q8_0(panel, packed, scales);
    CHECK(quantize_row(LLAMA2_Q8_0, x, QBLOCK, &b));
    CHECK((b.d[0] | b.d[1] << 8) == scales[0]);
    for (int i = 0; i < QBLOCK; i++) CHECK(b.qs[i] == packed[i / 4 * LANES * 4 + i % 4] - 128);
  }
}

int main(void) {
  test_table();
  for (int i = 0; i < N_BLOCK_TYPES; i++) test_pieces(&block_types[i]);
  test_known();
  for (int i = 0; i < N_QUANTIZERS; i++) {
    const dtype_traits *t = dtype_find(quantizers[i].id);
    test_error(&quantizers[i], t);
    test_extremes(&quantizers[i], t);
    test_not_finite(t);
    test_any_bits(t);
    test_hash(&quantizers[i], t);
  }
  test_q8_0_as_packed();
  return checks_end("test_dtypes");
}
