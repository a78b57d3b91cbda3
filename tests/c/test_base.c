/* test_base: half floats, checked sizes, arenas, files, errors, and the team of threads. */
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/checked.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/threads.h"
#include "base/utf8.h"

/* Half floats. */

static double half_value(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                                    : ldexp(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
  return h & 0x8000 ? -magnitude : magnitude;
}

static uint16_t half_nearest(float f) {
  uint16_t sign = signbit(f) ? 0x8000 : 0;
  double magnitude = fabs((double)f);
  int exponent;
  if (isnan(f)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  frexp(magnitude, &exponent); /* magnitude = m 2^exponent, 1/2 <= m < 1 */
  if (exponent < -13) exponent = -13;
  int steps = (int)nearbyint(ldexp(magnitude, 11 - exponent)); /* ties to even */
  return sign | (uint16_t)(steps < 1024 ? steps : ((exponent + 14) << 10) + steps - 1024);
}

static void check_half_nearest(float f) {
  CHECK_THAT(half_from_f32(f) == half_nearest(f), "%a becomes 0x%04x, expected 0x%04x", (double)f, half_from_f32(f),
             half_nearest(f));
}

static void test_half(void) {
  for (uint32_t h = 0; h < 0x10000; h++) {
    float f = half_to_f32((uint16_t)h);
    double expected = half_value((uint16_t)h);
    CHECK_THAT(isnan(expected) ? isnan(f) : (double)f == expected, "0x%04x is %a", h, (double)f);
    CHECK_THAT(!signbit(f) == !(h & 0x8000), "0x%04x is %a", h, (double)f);
    if (isnan(expected))
      CHECK((half_from_f32(f) & 0x7fff) > 0x7c00);
    else
      CHECK_THAT(half_from_f32(f) == h, "0x%04x comes back as 0x%04x", h, half_from_f32(f));
  }
  for (uint32_t h = 0; h < 0x7c00; h++) { /* between each half and the next */
    float next = h == 0x7bff ? 65536.0f : half_to_f32((uint16_t)(h + 1));
    float middle = (half_to_f32((uint16_t)h) + next) / 2;
    float values[] = {middle, nextafterf(middle, 0), nextafterf(middle, INFINITY)};
    for (int i = 0; i < 3; i++) check_half_nearest(values[i]), check_half_nearest(-values[i]);
  }
  for (int i = 0; i < 300000; i++) check_half_nearest(half_bits_f32((uint32_t)random_bits()));
}

/* Sizes and arenas. */

static uint64_t saturated(unsigned __int128 exact) {
  return exact >= SIZE_BAD ? SIZE_BAD : (uint64_t)exact;
}

static void test_sizes(void) {
  uint64_t values[40] = {0, 1, 2, 3, 63, 64, 65, 4096, SIZE_BAD, SIZE_BAD - 1, SIZE_BAD - 63, SIZE_BAD - 64};
  int n = 12;
  for (int bit = 30; bit < 64; bit += 11)
    for (int d = -1; d <= 1; d++) values[n++] = ((uint64_t)1 << bit) + (uint64_t)d;
  while (n < 40) values[n++] = random_bits() >> random_below(60);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      uint64_t a = values[i], b = values[j];
      bool bad = a == SIZE_BAD || b == SIZE_BAD;
      CHECK(size_add(a, b) == (bad ? SIZE_BAD : saturated((unsigned __int128)a + b)));
      CHECK(size_mul(a, b) == (bad ? SIZE_BAD : saturated((unsigned __int128)a * b)));
    }
  for (int i = 0; i < n; i++)
    for (uint64_t step = 1; step <= 4096; step *= 8) {
      unsigned __int128 exact = ((unsigned __int128)values[i] + step - 1) / step * step;
      uint64_t rounded = size_round_up(values[i], step);
      /* Near the end it may give up a little early, but never gives a smaller size. */
      CHECK(rounded == SIZE_BAD ? exact > SIZE_BAD - step : rounded == exact);
    }
  for (int64_t a = 0; a < 100; a++)
    for (int64_t step = 1; step < 40; step++) {
      CHECK(ceil_div(a, step) * step >= a && (ceil_div(a, step) - 1) * step < a);
      CHECK(round_up(a, step) == ceil_div(a, step) * step);
    }
}

static void test_arena(void) {
  enum { PIECES = 200 };
  uint64_t sizes[PIECES];
  unsigned char *taken[PIECES];
  for (int i = 0; i < PIECES; i++) sizes[i] = (uint64_t)random_below(i % 10 ? 500 : 50000);
  arena counted = {0}, a;
  for (int i = 0; i < PIECES; i++) CHECK(arena_take(&counted, sizes[i]) == NULL);
  CHECK(arena_open(&a, counted.used, "test") == LLAMA2_OK);
  for (int i = 0; i < PIECES; i++) {
    taken[i] = arena_take(&a, sizes[i]);
    CHECK(taken[i] && (uintptr_t)taken[i] % MEM_ALIGN == 0);
    for (uint64_t k = 0; k < sizes[i]; k++)
      if (taken[i][k] != 0) CHECK(!"an arena starts as zeros");
    memset(taken[i], i, sizes[i]);
  }
  CHECK(a.used == counted.used && a.used <= a.size);
  for (int i = 0; i < PIECES; i++)
    for (uint64_t k = 0; k < sizes[i]; k++)
      if (taken[i][k] != (unsigned char)i) CHECK(!"pieces do not overlap");
  arena_close(&a);
  CHECK(a.base == NULL && a.used == 0);
  arena_close(&a);

  arena_take(&counted, SIZE_BAD - 5);
  arena_take(&counted, 1);
  CHECK(counted.used == SIZE_BAD);
  const uint64_t absurd[] = {SIZE_BAD, SIZE_BAD - 1, (uint64_t)1 << 62};
  for (int i = 0; i < 3; i++) {
    CHECK(arena_open(&a, absurd[i], "an absurd arena") == LLAMA2_ERR_MEMORY);
    CHECK(a.base == NULL && llama2_last_error()->required >= absurd[i]);
    CHECK(strstr(llama2_last_error()->message, "an absurd arena"));
  }
}

/* Errors and files. */

static void *fail_elsewhere(void *message) {
  CHECK(llama2_last_error()->message[0] == '\0');
  status_fail_sized(LLAMA2_ERR_CONTEXT, 7, 5, "%s", (const char *)message);
  CHECK(llama2_last_error()->required == 7 && llama2_last_error()->available == 5);
  return NULL;
}

static void test_errors(void) {
  char longest[3000];
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  CHECK(status_fail(LLAMA2_ERR_IO, "a\nb\tc\x7f%s", "d\x1b") == LLAMA2_ERR_IO);
  CHECK(llama2_last_error()->status == LLAMA2_ERR_IO && llama2_last_error()->required == 0);
  CHECK(strcmp(llama2_last_error()->message, "a?b?c?d?") == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, fail_elsewhere, "elsewhere") == 0 && pthread_join(thread, NULL) == 0);
  CHECK(strcmp(llama2_last_error()->message, "a?b?c?d?") == 0);
  status_fail(LLAMA2_ERR_FORMAT, "\xc3\xa9 \xff \xc3 \xe2\x82 \xc0\xaf \xed\xa0\x80");
  CHECK(strcmp(llama2_last_error()->message, "\xc3\xa9 ? ? ?? ?? ???") == 0);
  for (int odd = 0; odd < 2; odd++) { /* cut within a character, and before one */
    char cents[1200];
    for (size_t i = 0; i < sizeof cents; i++) cents[i] = "\xc2\xa2"[(i + (size_t)odd) % 2];
    cents[0] = 'c', cents[sizeof cents - 1] = '\0';
    status_fail(LLAMA2_ERR_FORMAT, "%s", cents);
    CHECK(strlen(llama2_last_error()->message) == sizeof llama2_last_error()->message - 1);
    CHECK(utf8_check(llama2_last_error()->message, sizeof llama2_last_error()->message - 1) ==
          sizeof llama2_last_error()->message - 1);
  }
  status_fail(LLAMA2_ERR_FORMAT, "%s", longest);
  CHECK(strlen(llama2_last_error()->message) == sizeof llama2_last_error()->message - 1);
}

static void check_refused(const char *path) {
  file_map file;
  CHECK(file_open(&file, path) == LLAMA2_ERR_IO);
  CHECK_THAT(strstr(llama2_last_error()->message, path), "'%s'", llama2_last_error()->message);
  CHECK(file.data == NULL);
}

static void test_files(void) {
  char path[256], missing[300], pipe[300];
  unsigned char data[10000];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)random_bits();
  write_file(path, data, sizeof data);
  snprintf(missing, sizeof missing, "%s-missing", path);
  snprintf(pipe, sizeof pipe, "%s-pipe", path);
  CHECK(mkfifo(pipe, 0600) == 0);
  check_refused(missing);
  check_refused(pipe);
  check_refused("/");
  file_map file;
  CHECK(file_open(&file, path) == LLAMA2_OK && file.size == sizeof data && memcmp(file.data, data, sizeof data) == 0);
  for (size_t begin = 0; begin < sizeof data; begin += 1009) file_done(file.data + begin, sizeof data - begin);
  CHECK(memcmp(file.data, data, sizeof data) == 0); /* dropped pages are read anew */
  file_close(&file);
  file_close(&file);
  CHECK(truncate(path, 0) == 0);
  CHECK(file_open(&file, path) == LLAMA2_OK && file.size == 0);
  file_close(&file);
  CHECK(remove(path) == 0 && remove(pipe) == 0);
}

/* Threads. */

enum { MOST_UNITS = 600, STAGES = 5 };

/* How often each unit of each stage was done, and what was out of order. */
typedef struct tally {
  int64_t units, bite;
  int stages;
  atomic_int done[STAGES][MOST_UNITS];
  atomic_int all_done[STAGES];
  atomic_int wrong;          /* bites out of range, or begun before the stage before was over */
  int stage_of[THREADS_MAX]; /* by worker */
} tally;

static void count_units(worker *w, void *context, int64_t begin, int64_t end) {
  tally *t = context;
  int stage = t->stage_of[w->id];
  if (begin < 0 || end > t->units || begin >= end || end - begin > t->bite) atomic_fetch_add(&t->wrong, 1);
  if (stage > 0 && atomic_load(&t->all_done[stage - 1]) != (int)t->units) atomic_fetch_add(&t->wrong, 1);
  for (int64_t i = begin; i < end; i++) atomic_fetch_add(&t->done[stage][i], 1);
  atomic_fetch_add(&t->all_done[stage], (int)(end - begin));
}

static void walk_stages(worker *w, void *context) {
  tally *t = context;
  for (int stage = 0; stage < t->stages; stage++) {
    t->stage_of[w->id] = stage;
    team_for(w, t->units, t->bite, count_units, t);
    for (int64_t i = 0; i < t->units; i++)
      if (atomic_load(&t->done[stage][i]) != 1) atomic_fetch_add(&t->wrong, 1);
  }
}

static void check_steps(team *t, int steps, int stages, int64_t units, int64_t bite) {
  static tally tally;
  for (int i = 0; i < steps; i++) {
    memset(&tally, 0, sizeof tally);
    tally.units = units;
    tally.bite = bite;
    tally.stages = stages;
    team_run(t, walk_stages, &tally, NULL, NULL, NULL);
    CHECK_THAT(atomic_load(&tally.wrong) == 0, "%d times, %d units by %d", atomic_load(&tally.wrong), (int)units,
               (int)bite);
    for (int stage = 0; stage < stages; stage++) CHECK(atomic_load(&tally.all_done[stage]) == (int)units);
  }
}

static team *new_team(int threads, int helpers) {
  team *t = team_init(aligned((size_t)team_bytes(threads)), threads);
  if (helpers >= 0) team_set_helpers(t, helpers);
  return t;
}

static void free_team(team *t) {
  team_close(t);
  free(t);
}

static void test_units(void) {
  const int64_t units[] = {0, 1, 2, 3, 7, 64, 257, MOST_UNITS}, bites[] = {1, 3, 64, 1000};
  const int threads[][2] = {
      {1,           -1},
      {2,           -1},
      {2,           1 },
      {3,           2 },
      {5,           1 },
      {8,           -1},
      {8,           3 },
      {64,          2 },
      {THREADS_MAX, -1}
  };
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    team *t = new_team(threads[i][0], threads[i][1]);
    for (size_t u = 0; u < 8; u++)
      for (size_t b = 0; b < 4; b++) check_steps(t, 3, STAGES, units[u], bites[b]);
    free_team(t);
  }
}

static void test_many_steps(void) {
  team *t = new_team(4, 3);
  for (int i = 0; i < 3000; i++) {
    if (i % 500 == 0) usleep(3000); /* helpers fall asleep and are woken */
    check_steps(t, 1, 1 + i % STAGES, i % 40, 1 + i % 7);
  }
  free_team(t);
  free_team(new_team(8, -1)); /* one that never ran */
  team_close(NULL);
}

typedef struct ending {
  atomic_int cancel, units;
  int cancel_at;
} ending;

static void cancel_at_unit(worker *w, void *context, int64_t begin, int64_t end) {
  ending *e = context;
  (void)w;
  if (atomic_fetch_add(&e->units, (int)(end - begin)) + (int)(end - begin) >= e->cancel_at) atomic_store(&e->cancel, 1);
}

static void walk_to_cancel(worker *w, void *context) {
  for (int stage = 0; stage < 50; stage++) team_for(w, 100, 1, cancel_at_unit, context);
}

static void walk_until_cancelled(worker *w, void *context) {
  ending *e = context;
  while (!atomic_load(&e->cancel)) team_for(w, 100, 1, cancel_at_unit, context);
}

static int count_polls(void *context) {
  return atomic_fetch_add((atomic_int *)context, 1) == 2;
}

static void test_cancel(void) {
  team *t = new_team(3, 2);
  for (int at = 1; at < 2000; at += 97) {
    ending e = {.cancel_at = at};
    team_run(t, walk_to_cancel, &e, &e.cancel, NULL, NULL);
    CHECK_THAT(atomic_load(&e.units) >= at && atomic_load(&e.units) < at + 3, "%d", atomic_load(&e.units));
    check_steps(t, 1, 2, 50, 4);
  }
  free_team(t);

  t = new_team(1, -1);
  atomic_int polls = 0;
  ending e = {.cancel_at = INT32_MAX};
  team_run(t, walk_until_cancelled, &e, &e.cancel, count_polls, &polls);
  CHECK(atomic_load(&polls) >= 3 && atomic_load(&e.cancel) == 1);
  free_team(t);
}

static void count_in_loop(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  for (int64_t i = begin; i < end; i++) atomic_fetch_add((atomic_int *)context + i, 1);
}

static void check_loops(team *t) {
  static atomic_int done[1000];
  for (int64_t units = 0; units <= 1000; units += 333) {
    memset(done, 0, sizeof done);
    team_loop(t, units, 7, count_in_loop, done, NULL, NULL, NULL);
    for (int64_t i = 0; i < 1000; i++) CHECK(atomic_load(&done[i]) == (i < units));
  }
}

/* One unit that would never end, were it not told to. */
static void wait_to_be_stopped(worker *w, void *context, int64_t begin, int64_t end) {
  (void)begin;
  (void)end;
  while (!team_stopped(w)) atomic_fetch_add((atomic_int *)context, 1);
}

static void test_stopped(void) {
  team *t = new_team(1, -1);
  atomic_int looks = 0, cancel = 0, polls = 0;
  team_loop(t, 1, 1, wait_to_be_stopped, &looks, &cancel, count_polls, &polls);
  CHECK(atomic_load(&cancel) == 1 && atomic_load(&polls) == 3);
  free_team(t);
}

static void test_fork(void) {
  if (emulated()) return; /* qemu cannot make a thread in the child of a process that had several */
  team *t = new_team(3, 2);
  check_steps(t, 20, 3, 50, 2);
  check_loops(t);
  fflush(NULL);
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      check_steps(t, 20, 3, 50, 2);
      check_loops(t);
      team *own = new_team(2, 1);
      check_steps(own, 5, 2, 9, 1);
      free_team(own);
      team_close(t);
      _exit(7);
    }
    int status = 0;
    check_steps(t, 20, 3, 50, 2);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_THAT(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child's status is 0x%x", status);
  }
  check_loops(t);
  free_team(t);
}

/* The register that says how this thread rounds, and the bits of it that flush subnormals to zero. */
#if defined(__x86_64__)
typedef unsigned int fp_control;
#define FLUSH 0x8040u
static fp_control fp_get(void) {
  return _mm_getcsr();
}
static void fp_set(fp_control control) {
  _mm_setcsr(control);
}
#elif defined(__aarch64__)
typedef uint64_t fp_control;
#define FLUSH ((uint64_t)1 << 24)
static fp_control fp_get(void) {
  fp_control control;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
  return control;
}
static void fp_set(fp_control control) {
  __asm__ __volatile__("msr fpcr, %0" : : "r"(control));
}
#endif

#ifdef FLUSH
static void count_subnormals(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  volatile float small = 0x1p-126f;
  for (int64_t i = begin; i < end; i++)
    if (small / 2 > 0) atomic_fetch_add((atomic_int *)context, 1);
}

static void walk_subnormals(worker *w, void *context) {
  for (int stage = 0; stage < 20; stage++) team_for(w, 50, 1, count_subnormals, context);
}

/* A library in the process that has subnormals flushed to zero changes nothing, and finds its setting again. */
static void test_floating_point(void) {
  fp_control before = fp_get();
  team *t = new_team(3, 2);
  atomic_int kept = 0, lost = 0;
  fp_set(before | FLUSH);
  count_subnormals(NULL, &lost, 0, 1);
  fp_control flushing = fp_get(); /* with the flags that this raised */
  team_run(t, walk_subnormals, &kept, NULL, NULL, NULL);
  fp_control after = fp_get();
  fp_set(before);
  CHECK(atomic_load(&lost) == 0 && atomic_load(&kept) == 20 * 50 && after == flushing);
  free_team(t);
}
#else
static void test_floating_point(void) {}
#endif

int main(void) {
  alarm(300); /* a unit that is lost would be waited for without end */
  test_half();
  test_sizes();
  test_arena();
  test_errors();
  test_files();
  CHECK(threads_available() >= 1 && threads_available() <= THREADS_MAX);
  test_units();
  test_many_steps();
  test_cancel();
  test_stopped();
  test_fork();
  test_floating_point();
  return checks_end("test_base");
}
