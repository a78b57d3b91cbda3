/* A figure is the best of many short windows: what the machine can do when nothing else disturbs it. */
#define _GNU_SOURCE
#include "cpu/limits.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cpu/kernels.h"

#define WINDOW_SECONDS 0.001 /* so short that some windows pass undisturbed on a machine that has other work */
#define TOTAL_SECONDS 0.25

static uint64_t read_scalar(const unsigned char *p, size_t n) {
  uint64_t sum[LIMITS_LINE / 8] = {0};
  for (size_t i = 0; i < n; i += LIMITS_LINE)
    for (size_t k = 0; k < LIMITS_LINE / 8; k++) {
      uint64_t word;
      memcpy(&word, p + i + 8 * k, 8);
      sum[k] |= word;
    }
  for (size_t k = 1; k < LIMITS_LINE / 8; k++) sum[0] |= sum[k];
  return sum[0];
}

#define SUMS 32
static uint64_t f32_scalar(int64_t loops) {
  float acc[SUMS], sum = 0;
  volatile float factor = 0.999f;
  const float a = factor;
  for (int k = 0; k < SUMS; k++) acc[k] = (float)k;
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < SUMS; k++) acc[k] = acc[k] * a + 0.5f;
  for (int k = 0; k < SUMS; k++) sum += acc[k];
  return (uint64_t)sum;
}

#define BYTES 2048 /* twice as much lies in the first cache */
static uint64_t int8_scalar(int64_t loops) {
  static const int8_t seed[4] = {1, -2, 3, -4};
  int8_t a[BYTES], b[BYTES];
  int32_t total = 0;
  for (int k = 0; k < BYTES; k++) a[k] = seed[k % 4], b[k] = seed[k % 3];
  for (int64_t i = 0; i < loops; i++) {
    int32_t dot = 0;
    for (int k = 0; k < BYTES; k++) dot += a[k] * b[k];
    a[i % BYTES] ^= 1;
    total ^= dot;
  }
  return (uint64_t)(uint32_t)total;
}

static const limits_loops limits_scalar = {
    .isa = "scalar",
    .read = read_scalar,
    .f32 = f32_scalar,
    .int8 = int8_scalar,
    .f32_ops = 2.0 * SUMS,
    .int8_ops = 2.0 * BYTES,
};

static const limits_loops *const loops[] = {
    &limits_scalar,
#ifdef KERNELS_X86
    &limits_avx2,
    &limits_avx512,
#elif defined(KERNELS_ARM)
    &limits_neon,
#endif
};

static const limits_loops *loops_of(const char *isa) {
  size_t i = sizeof loops / sizeof *loops - 1;
  if (strcmp(isa, "amx") == 0) isa = "avx512"; /* beside the tile unit it has the same */
  while (i > 0 && strcmp(loops[i]->isa, isa) != 0) i--;
  return loops[i];
}

/* What a window does: each unit is a peak's loops, or passes over a slice of a buffer. */
typedef struct job {
  limits_peak_fn *peak; /* or NULL: */
  limits_read_fn *read;
  unsigned char *buffer;
  uint64_t lines;
  int units;
  int64_t loops;
  double begin[THREADS_MAX], end[THREADS_MAX]; /* of each unit */
  _Atomic uint64_t sink;
} job;

static unsigned char *slice(const job *j, int64_t unit, size_t *n) {
  uint64_t first = j->lines * (uint64_t)unit / (uint64_t)j->units;
  uint64_t last = j->lines * ((uint64_t)unit + 1) / (uint64_t)j->units;
  *n = (size_t)((last - first) * LIMITS_LINE);
  return j->buffer + first * LIMITS_LINE;
}

static void do_units(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  job *j = context;
  for (int64_t unit = begin; unit < end; unit++) {
    uint64_t result = 0;
    j->begin[unit] = clock_seconds();
    if (j->peak) {
      result = j->peak(j->loops);
    } else {
      size_t n;
      const unsigned char *p = slice(j, unit, &n);
      for (int64_t i = 0; i < j->loops; i++) result ^= j->read(p, n);
    }
    j->end[unit] = clock_seconds();
    atomic_fetch_xor_explicit(&j->sink, result, memory_order_relaxed);
  }
}

/* A slice is written by the thread that will read it, so that its memory is near. */
static void write_units(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  const job *j = context;
  for (int64_t unit = begin; unit < end; unit++) {
    size_t n;
    unsigned char *p = slice(j, unit, &n);
    memset(p, (int)unit + 1, n);
  }
}

/* Seconds from the start of the first unit to the end of the last one. */
static double window_seconds(const job *j) {
  double first = j->begin[0], last = j->end[0];
  for (int i = 1; i < j->units; i++) {
    if (j->begin[i] < first) first = j->begin[i];
    if (j->end[i] > last) last = j->end[i];
  }
  return last - first;
}

/* Loops a second of each unit while all run. */
static double best_rate(team *t, job *j) {
  double best = 0;
  j->loops = 1;
  for (int tries = 0; tries < 5;) { /* a window that was disturbed looks longer than it is */
    team_loop(t, j->units, 1, do_units, j, NULL, NULL, NULL);
    if (window_seconds(j) >= WINDOW_SECONDS) {
      tries++;
    } else {
      j->loops *= 2;
      tries = 0;
    }
  }
  for (double until = clock_seconds() + TOTAL_SECONDS; clock_seconds() < until;) {
    team_loop(t, j->units, 1, do_units, j, NULL, NULL, NULL);
    double rate = (double)j->loops / window_seconds(j);
    if (rate > best) best = rate;
  }
  return best;
}

static double peak_rate(team *t, limits_peak_fn *peak, double ops, int units) {
  job j = {.peak = peak, .units = units};
  return best_rate(t, &j) * ops * units;
}

llama2_status limits_measure(const char *isa, int32_t threads, uint64_t bytes, llama2_limits *limits) {
  const kernels *k;
  RETURN_IF_FAILED(kernels_find(isa, &k));
  uint64_t wanted = size_add(bytes, team_bytes(threads)), available = mem_available();
  if (wanted > available)
    return status_fail_sized(LLAMA2_ERR_MEMORY, wanted, available,
                             "reading %.0f MiB takes as much memory, but %.0f MiB are free", (double)wanted / 0x1p20,
                             (double)available / 0x1p20);
  arena memory, buffer;
  RETURN_IF_FAILED(arena_open(&memory, team_bytes(threads), "threads"));
  llama2_status status = arena_open(&buffer, bytes, "the buffer to read");
  if (status != LLAMA2_OK) {
    arena_close(&memory);
    return status;
  }
  const limits_loops *l = loops_of(k->isa);
  team *t = team_init(arena_take(&memory, team_bytes(threads)), threads);
  job reading = {.read = l->read, .buffer = buffer.base, .lines = bytes / LIMITS_LINE, .units = threads};
  team_loop(t, threads, 1, write_units, &reading, NULL, NULL, NULL);
  limits->isa = k->isa;
  limits->threads = threads;
  limits->read_bytes = best_rate(t, &reading) * (double)(reading.lines * LIMITS_LINE);
  arena_close(&buffer);
  limits->f32_ops = peak_rate(t, l->f32, l->f32_ops, threads);
  limits->int8_ops = peak_rate(t, l->int8, l->int8_ops, threads);
  limits->amx_int8_ops = 0;
#ifdef KERNELS_X86
  if (l == &limits_avx512 && limits_amx_granted())
    limits->amx_int8_ops = peak_rate(t, limits_amx_int8, LIMITS_AMX_OPS, threads);
#endif
  team_close(t);
  arena_close(&memory);
  return LLAMA2_OK;
}
