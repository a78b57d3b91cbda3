/* limits: what this machine allows. Measures how fast THREADS threads together read memory of a given size, again and
 * again, and their peaks of float32 and of int8 multiply-adds, and prints one JSON object.
 *
 *   limits THREADS BYTES...
 *
 * A figure is the best of many short windows: what the machine can do when nothing else disturbs it. A multiply and an
 * add count as two operations. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define WINDOW_SECONDS 0.001 /* short enough that some windows pass undisturbed on a machine that has other work */
#define TOTAL_SECONDS 0.25
#define HUGE_PAGE ((size_t)2 << 20)
#define LINE 512 /* bytes that a loop of the readers takes, and what slices are cut to */
#define MAX_THREADS 256

/* Each returns something that depends on all it has done, so that nothing can be left out. */
typedef uint64_t (*read_fn)(const unsigned char *p, size_t n);
typedef uint64_t (*peak_fn)(int64_t loops);

typedef struct machine {
  const char *isa;
  read_fn read;
  peak_fn f32, i8;
  double f32_ops, i8_ops; /* of a loop */
} machine;

/* Has the compiler believe that x was changed, so that a product is computed each time. */
#define OPAQUE(x) __asm__("" : "+x"(x))

/* ---- plain C ---- */

static uint64_t read_scalar(const unsigned char *p, size_t n) {
  uint64_t sum[LINE / 8] = {0};
  for (size_t i = 0; i < n; i += LINE)
    for (size_t k = 0; k < LINE / 8; k++) {
      uint64_t word;
      memcpy(&word, p + i + 8 * k, 8);
      sum[k] |= word;
    }
  for (size_t k = 1; k < LINE / 8; k++) sum[0] |= sum[k];
  return sum[0];
}

#define SCALAR_LANES 32
static uint64_t f32_scalar(int64_t loops) {
  float acc[SCALAR_LANES], sum = 0;
  volatile float factor = 0.999f;
  const float a = factor;
  for (int k = 0; k < SCALAR_LANES; k++) acc[k] = (float)k;
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < SCALAR_LANES; k++) acc[k] = acc[k] * a + 0.5f;
  for (int k = 0; k < SCALAR_LANES; k++) sum += acc[k];
  return (uint64_t)sum;
}

#define SCALAR_BYTES 2048 /* twice as much lies in the first cache */
static uint64_t i8_scalar(int64_t loops) {
  static const int8_t seed[4] = {1, -2, 3, -4};
  int8_t a[SCALAR_BYTES], b[SCALAR_BYTES];
  int32_t total = 0;
  for (int k = 0; k < SCALAR_BYTES; k++) a[k] = seed[k % 4], b[k] = seed[k % 3];
  for (int64_t i = 0; i < loops; i++) {
    int32_t dot = 0;
    for (int k = 0; k < SCALAR_BYTES; k++) dot += a[k] * b[k];
    a[i % SCALAR_BYTES] ^= 1;
    total ^= dot;
  }
  return (uint64_t)(uint32_t)total;
}

/* ---- AVX2 ---- */

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

AVX2 static uint64_t first_word_avx2(__m256i x) {
  return (uint64_t)_mm256_extract_epi64(x, 0);
}

AVX2 static uint64_t read_avx2(const unsigned char *p, size_t n) {
  __m256i sum[8];
  for (int k = 0; k < 8; k++) sum[k] = _mm256_setzero_si256();
  for (size_t i = 0; i < n; i += 256)
    for (int k = 0; k < 8; k++) sum[k] = _mm256_or_si256(sum[k], _mm256_load_si256((const __m256i *)(p + i + 32 * k)));
  for (int k = 1; k < 8; k++) sum[0] = _mm256_or_si256(sum[0], sum[k]);
  return first_word_avx2(sum[0]);
}

#define AVX2_SUMS 12
AVX2 static uint64_t f32_avx2(int64_t loops) {
  __m256 acc[AVX2_SUMS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.5f);
  for (int k = 0; k < AVX2_SUMS; k++) acc[k] = _mm256_set1_ps((float)k);
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(a);
    for (int k = 0; k < AVX2_SUMS; k++) acc[k] = _mm256_fmadd_ps(acc[k], a, b);
  }
  for (int k = 1; k < AVX2_SUMS; k++) acc[0] = _mm256_add_ps(acc[0], acc[k]);
  return first_word_avx2(_mm256_castps_si256(acc[0]));
}

AVX2 static uint64_t i8_avx2(int64_t loops) {
  __m256i acc[AVX2_SUMS], w = _mm256_set1_epi8(7), x = _mm256_set1_epi8(-3), ones = _mm256_set1_epi16(1);
  for (int k = 0; k < AVX2_SUMS; k++) acc[k] = _mm256_setzero_si256();
  for (int64_t i = 0; i < loops; i++)
    for (int k = 0; k < AVX2_SUMS; k++) {
      OPAQUE(w);
      acc[k] = _mm256_add_epi32(acc[k], _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
    }
  for (int k = 1; k < AVX2_SUMS; k++) acc[0] = _mm256_xor_si256(acc[0], acc[k]);
  return first_word_avx2(acc[0]);
}

/* ---- AVX-512 ---- */

AVX512 static uint64_t first_word_avx512(__m512i x) {
  return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(x));
}

AVX512 static uint64_t read_avx512(const unsigned char *p, size_t n) {
  __m512i sum[8];
  for (int k = 0; k < 8; k++) sum[k] = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 512)
    for (int k = 0; k < 8; k++) sum[k] = _mm512_or_si512(sum[k], _mm512_load_si512(p + i + 64 * k));
  for (int k = 1; k < 8; k++) sum[0] = _mm512_or_si512(sum[0], sum[k]);
  return first_word_avx512(sum[0]);
}

#define AVX512_SUMS 16
AVX512 static uint64_t f32_avx512(int64_t loops) {
  __m512 acc[AVX512_SUMS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.5f);
  for (int k = 0; k < AVX512_SUMS; k++) acc[k] = _mm512_set1_ps((float)k);
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(a);
    for (int k = 0; k < AVX512_SUMS; k++) acc[k] = _mm512_fmadd_ps(acc[k], a, b);
  }
  for (int k = 1; k < AVX512_SUMS; k++) acc[0] = _mm512_add_ps(acc[0], acc[k]);
  return first_word_avx512(_mm512_castps_si512(acc[0]));
}

AVX512 static uint64_t i8_avx512(int64_t loops) {
  __m512i acc[AVX512_SUMS], w = _mm512_set1_epi8(7), x = _mm512_set1_epi8(-3);
  for (int k = 0; k < AVX512_SUMS; k++) acc[k] = _mm512_setzero_si512();
  for (int64_t i = 0; i < loops; i++) {
    OPAQUE(w);
    for (int k = 0; k < AVX512_SUMS; k++) acc[k] = _mm512_dpbusd_epi32(acc[k], w, x);
  }
  for (int k = 1; k < AVX512_SUMS; k++) acc[0] = _mm512_xor_si512(acc[0], acc[k]);
  return first_word_avx512(acc[0]);
}
#endif

/* ---- measuring ---- */

static machine machine_best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"))
    return (machine){"avx512", read_avx512, f32_avx512, i8_avx512, 2.0 * 16 * AVX512_SUMS, 2.0 * 64 * AVX512_SUMS};
  if (avx2) return (machine){"avx2", read_avx2, f32_avx2, i8_avx2, 2.0 * 8 * AVX2_SUMS, 2.0 * 32 * AVX2_SUMS};
#endif
  return (machine){"scalar", read_scalar, f32_scalar, i8_scalar, 2.0 * SCALAR_LANES, 2.0 * SCALAR_BYTES};
}

/* What a window does: a peak, or passes over a buffer of which each thread has a slice. */
typedef struct job {
  read_fn read;
  const unsigned char *buffer;
  size_t bytes;
  peak_fn peak;
} job;

static volatile uint64_t sink;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static uint64_t do_share(const job *j, int thread, int threads, int64_t loops) {
  if (j->peak) return j->peak(loops);
  size_t lines = j->bytes / LINE, first = lines * (size_t)thread / (size_t)threads;
  size_t last = lines * ((size_t)thread + 1) / (size_t)threads;
  uint64_t sum = 0;
  for (int64_t i = 0; i < loops; i++) sum ^= j->read(j->buffer + first * LINE, (last - first) * LINE);
  return sum;
}

/* Returns when all threads have come, and lets other programs run meanwhile. */
static void meet(atomic_int *arrivals, int threads) {
  int all = (atomic_fetch_add(arrivals, 1) / threads + 1) * threads;
  while (atomic_load(arrivals) < all) sched_yield();
}

/* How many loops fill a window, told by the quickest of some tries on one thread. */
static int64_t loops_of_window(const job *j, int threads) {
  for (int64_t loops = 1;; loops *= 2) {
    double least = WINDOW_SECONDS;
    for (int i = 0; i < 5; i++) {
      double begin = now();
      sink ^= do_share(j, 0, threads, loops);
      double seconds = now() - begin;
      if (seconds < least) least = seconds;
    }
    if (least >= WINDOW_SECONDS) return loops;
  }
}

/* Loops a second of each thread while all run. A window lasts from the first thread's start to the last one's end. */
static double best_rate(const job *j, int threads) {
  int64_t loops = loops_of_window(j, threads);
  double best = 0, until = now() + TOTAL_SECONDS, begin[MAX_THREADS], end[MAX_THREADS];
  atomic_int arrivals = 0;
  bool more = true;
#pragma omp parallel num_threads(threads)
  {
    int thread = omp_get_thread_num();
    uint64_t result = 0;
    while (more) {
      meet(&arrivals, threads);
      begin[thread] = now();
      result ^= do_share(j, thread, threads, loops);
      end[thread] = now();
      meet(&arrivals, threads);
      if (thread == 0) {
        double first = begin[0], last = end[0];
        for (int i = 1; i < threads; i++) {
          if (begin[i] < first) first = begin[i];
          if (end[i] > last) last = end[i];
        }
        double rate = (double)loops / (last - first);
        if (rate > best) best = rate;
        more = last < until;
      }
      meet(&arrivals, threads);
    }
#pragma omp atomic
    sink ^= result;
  }
  return best;
}

/* A buffer as the engine's weights lie, in huge pages where the system grants them, each thread's slice written by it.
 */
static bool read_rate(const machine *m, int threads, size_t bytes, double *rate) {
  size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  unsigned char *buffer = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) return false;
  madvise(buffer, whole, MADV_HUGEPAGE);
  size_t lines = bytes / LINE;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t i = 0; i < lines; i++) memset(buffer + i * LINE, (int)i, LINE);
  job j = {.read = m->read, .buffer = buffer, .bytes = bytes};
  *rate = best_rate(&j, threads) * (double)(lines * LINE);
  munmap(buffer, whole);
  return true;
}

static bool parse(const char *text, long long least, long long most, long long *value) {
  char *end;
  *value = strtoll(text, &end, 10);
  return end != text && !*end && *value >= least && *value <= most;
}

int main(int argc, char **argv) {
  long long threads = 0, bytes = 0;
  bool good = argc >= 3 && parse(argv[1], 1, MAX_THREADS, &threads);
  for (int i = 2; good && i < argc; i++) good = parse(argv[i], threads * LINE, INT64_MAX / 2, &bytes);
  if (!good) {
    fprintf(stderr, "Usage: limits THREADS BYTES...   (1 to %d threads, at least %d bytes for each)\n", MAX_THREADS,
            LINE);
    return EXIT_FAILURE;
  }
  omp_set_dynamic(0);
  if (omp_get_thread_limit() < threads) {
    fprintf(stderr, "limits: OMP_THREAD_LIMIT allows %d threads, not %lld\n", omp_get_thread_limit(), threads);
    return EXIT_FAILURE;
  }
  machine m = machine_best();
  printf("{\"isa\": \"%s\", \"threads\": %lld, \"read_bytes_per_s\": {", m.isa, threads);
  for (int i = 2; i < argc; i++) {
    double rate;
    parse(argv[i], 0, INT64_MAX, &bytes);
    if (!read_rate(&m, (int)threads, (size_t)bytes, &rate)) {
      fprintf(stderr, "limits: no memory for a buffer of %lld bytes\n", bytes);
      return EXIT_FAILURE;
    }
    printf("%s\"%lld\": %.4e", i > 2 ? ", " : "", bytes, rate);
  }
  job f32 = {.peak = m.f32}, i8 = {.peak = m.i8};
  printf("}, \"f32_ops_per_s\": %.4e", best_rate(&f32, (int)threads) * m.f32_ops * (double)threads);
  printf(", \"int8_ops_per_s\": %.4e}\n", best_rate(&i8, (int)threads) * m.i8_ops * (double)threads);
  return EXIT_SUCCESS;
}
