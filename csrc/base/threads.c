#define _GNU_SOURCE
#include "base/threads.h"

#include <assert.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define cpu_pause() _mm_pause()
#elif defined(__aarch64__)
#define cpu_pause() __asm__ __volatile__("yield")
#else
#define cpu_pause() ((void)0)
#endif

#define POLL_SECONDS 0.03
#define POLL_TICKS 16      /* bites, or looks at others' work, that may pass before the clock is looked at */
#define SPINS 400          /* looks before the processor is offered to others: tens of microseconds */
#define WAKE_SECONDS 0.002 /* how long a helper looks out for the next step before it sleeps */

/* Where a worker's share stands: the stage in the high half, units taken in the low half. Its own cache line. */
typedef struct share {
  _Alignas(128) _Atomic uint64_t taken;
} share;

/* The gate of a step: its number, whether helpers may still enter, and how many are inside. What a step consists of
 * changes only while the gate is shut and nobody is inside. */
#define GATE_OPEN ((uint64_t)1 << 31)
#define GATE_INSIDE (GATE_OPEN - 1)
#define GATE_STEP ((uint64_t)1 << 32)

struct team {
  int n;       /* shares */
  int helpers; /* threads besides the caller's */
  worker_fn *fn;
  void *context;
  atomic_int *cancel;
  int (*poll)(void *);
  void *poll_context;
  double polled; /* when; worker 0's */

  bool started;
  unsigned forks; /* of the process, when the helpers were started */
  pthread_t host; /* the thread that opened their region */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_int sleepers;
  atomic_bool quit;

  _Alignas(128) _Atomic uint64_t gate;
  _Alignas(128) _Atomic uint64_t done; /* units of this step that are done */
  share shares[];
};

/* Floating point. */

#if defined(__x86_64__)
typedef unsigned int fp_state;
static fp_state fp_enter(void) {
  fp_state saved = _mm_getcsr();
  _mm_setcsr(0x1f80); /* all exceptions masked, round to nearest, subnormals kept */
  return saved;
}
static void fp_leave(fp_state saved) {
  _mm_setcsr(saved);
}
#elif defined(__aarch64__)
typedef uint64_t fp_state;
static fp_state fp_enter(void) {
  fp_state saved;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved));
  __asm__ __volatile__("msr fpcr, %0" : : "r"((fp_state)0));
  return saved;
}
static void fp_leave(fp_state saved) {
  __asm__ __volatile__("msr fpcr, %0" : : "r"(saved));
}
#else
typedef int fp_state;
static fp_state fp_enter(void) {
  return 0;
}
static void fp_leave(fp_state saved) {
  (void)saved;
}
#endif

/* Forks. */

/* After fork() threads are gone, but the OpenMP runtime's books and a team's still list them. */
static atomic_uint forks;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void note_fork(void) {
  atomic_fetch_add(&forks, 1);
}
static void watch_forks(void) {
  pthread_atfork(NULL, NULL, note_fork);
}

static unsigned forks_seen(void) {
  pthread_once(&fork_once, watch_forks);
  return atomic_load_explicit(&forks, memory_order_relaxed);
}

/* Helpers. */

static void step_member(team *t, int id) {
  worker w = {.team = t, .id = id, .n = t->n};
  mem_forbid();
  t->fn(&w, t->context);
  mem_allow();
}

/* Enters the step that is open, unless it is number `last`. Returns the number of the step that was left, or `last`. */
static uint64_t try_step(team *t, int id, uint64_t last) {
  uint64_t gate = atomic_load(&t->gate);
  if (!(gate & GATE_OPEN) || gate / GATE_STEP == last) return last;
  if (!atomic_compare_exchange_weak(&t->gate, &gate, gate + 1)) return last;
  step_member(t, id);
  atomic_fetch_sub(&t->gate, 1);
  return gate / GATE_STEP;
}

static void helper_sleep(team *t, uint64_t last) {
  pthread_mutex_lock(&t->mutex);
  atomic_fetch_add(&t->sleepers, 1);
  for (uint64_t gate = atomic_load(&t->gate);
       !atomic_load(&t->quit) && (!(gate & GATE_OPEN) || gate / GATE_STEP == last); gate = atomic_load(&t->gate))
    pthread_cond_wait(&t->wake, &t->mutex);
  atomic_fetch_sub(&t->sleepers, 1);
  pthread_mutex_unlock(&t->mutex);
}

static void helper_serve(team *t, int id) {
  uint64_t last = 0;
  double since = clock_seconds();
  for (int spin = 0; !atomic_load_explicit(&t->quit, memory_order_relaxed); spin++) {
    uint64_t step = try_step(t, id, last);
    if (step != last) {
      last = step;
      spin = 0;
      since = clock_seconds();
    } else if (spin < SPINS) {
      cpu_pause();
    } else if (spin % 16 || clock_seconds() - since < WAKE_SECONDS) {
      sched_yield();
    } else {
      helper_sleep(t, last);
    }
  }
}

/* OpenMP ends the process when the system refuses it a thread, so it is asked for no more than could be made just now. */
static void *probe_wait(void *mutex) {
  pthread_mutex_lock(mutex);
  pthread_mutex_unlock(mutex);
  return NULL;
}

static int threads_possible(int wanted) {
  pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
  pthread_t probes[THREADS_MAX];
  int n = 0;
  pthread_mutex_lock(&hold);
  while (n < wanted && pthread_create(&probes[n], NULL, probe_wait, &hold) == 0) n++;
  pthread_mutex_unlock(&hold);
  for (int i = 0; i < n; i++) pthread_join(probes[i], NULL);
  return n;
}

static void *helpers_host(void *argument) {
  team *t = argument;
  t->helpers = 1 + threads_possible(t->helpers - 1); /* this thread is the first */
#pragma omp parallel num_threads(t->helpers) default(none) shared(t)
  {
    fp_state saved = fp_enter();
    helper_serve(t, 1 + omp_get_thread_num());
    fp_leave(saved);
  }
  return NULL;
}

static void helpers_start(team *t) {
  pthread_mutex_init(&t->mutex, NULL);
  pthread_cond_init(&t->wake, NULL);
  atomic_store(&t->sleepers, 0);
  atomic_store(&t->gate, atomic_load(&t->gate) & ~GATE_INSIDE);
  t->forks = forks_seen();
  sigset_t all, old; /* signals are for the program's own threads */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  t->started = pthread_create(&t->host, NULL, helpers_host, t) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (!t->started) t->helpers = 0; /* the caller does all the work */
}

/* A step. */

uint64_t team_bytes(int n) {
  return sizeof(team) + (uint64_t)n * sizeof(share);
}

team *team_init(void *memory, int n) {
  team *t = memory;
  int cores = threads_available();
  memset(t, 0, (size_t)team_bytes(n));
  t->n = n;
  t->helpers = (n < cores ? n : cores) - 1;
  return t;
}

void team_set_helpers(team *t, int helpers) {
  assert(!t->started);
  t->helpers = helpers;
}

void team_close(team *t) {
  if (!t || !t->started || t->forks != forks_seen()) return;
  atomic_store(&t->quit, true);
  pthread_mutex_lock(&t->mutex);
  pthread_cond_broadcast(&t->wake);
  pthread_mutex_unlock(&t->mutex);
  pthread_join(t->host, NULL);
  pthread_cond_destroy(&t->wake);
  pthread_mutex_destroy(&t->mutex);
  t->started = false;
}

bool team_stopped(worker *w) {
  team *t = w->team;
  if (t->poll && w->id == 0) {
    double time = clock_seconds();
    w->ticks = 0;
    if (time - t->polled >= POLL_SECONDS) {
      t->polled = time;
      mem_allow(); /* it is the caller's code */
      if (t->poll(t->poll_context) != 0) atomic_store(t->cancel, 1);
      mem_forbid();
    }
  }
  return t->cancel && atomic_load_explicit(t->cancel, memory_order_relaxed);
}

void team_run(team *t, worker_fn *fn, void *context, atomic_int *cancel, int (*poll)(void *), void *poll_context) {
  assert(!poll || cancel);
  if (t->helpers && (!t->started || t->forks != forks_seen())) helpers_start(t);
  t->fn = fn;
  t->context = context;
  t->cancel = cancel;
  t->poll = poll;
  t->poll_context = poll_context;
  atomic_store_explicit(&t->done, 0, memory_order_relaxed);
  for (int i = 0; i < t->n; i++) atomic_store_explicit(&t->shares[i].taken, 0, memory_order_relaxed);
  uint64_t step = atomic_load(&t->gate) / GATE_STEP + 1;
  atomic_store(&t->gate, step * GATE_STEP | GATE_OPEN);
  if (atomic_load(&t->sleepers) > 0) {
    pthread_mutex_lock(&t->mutex);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mutex);
  }
  fp_state saved = fp_enter();
  step_member(t, 0);
  fp_leave(saved);
  atomic_fetch_and(&t->gate, ~GATE_OPEN);
  for (int spin = 0; atomic_load(&t->gate) & GATE_INSIDE; spin++) {
    if (spin < SPINS)
      cpu_pause();
    else
      sched_yield();
  }
}

/* Takes the next bite of a share of `units`. Returns false when none is left, or when the stage is over already. */
static bool share_take(share *s, uint32_t stage, uint32_t units, uint32_t bite, uint32_t *begin, uint32_t *end) {
  uint64_t seen = atomic_load_explicit(&s->taken, memory_order_relaxed);
  for (;;) {
    uint32_t at = (uint32_t)(seen >> 32), taken = at == stage ? (uint32_t)seen : 0;
    if (at > stage || taken >= units) return false;
    uint32_t next = units - taken < bite ? units : taken + bite;
    if (atomic_compare_exchange_weak_explicit(&s->taken, &seen, (uint64_t)stage << 32 | next, memory_order_relaxed,
                                              memory_order_relaxed)) {
      *begin = taken;
      *end = next;
      return true;
    }
  }
}

void team_for(worker *w, int64_t units, int64_t bite, unit_fn *fn, void *context) {
  team *t = w->team;
  assert(units >= 0 && units < INT32_MAX && bite > 0);
  w->stage++;
  w->due += (uint64_t)units;
  uint64_t mine = 0;
  for (int k = 0; k < w->n; k++) {
    int owner = w->id + k < w->n ? w->id + k : w->id + k - w->n;
    int64_t first = units * owner / w->n, last = units * (owner + 1) / w->n;
    uint32_t begin, end;
    while (share_take(&t->shares[owner], w->stage, (uint32_t)(last - first), (uint32_t)bite, &begin, &end)) {
      if (!t->cancel || !atomic_load_explicit(t->cancel, memory_order_relaxed))
        fn(w, context, first + begin, first + end);
      mine += end - begin;
      if (++w->ticks >= POLL_TICKS) team_stopped(w);
    }
  }
  if (mine) atomic_fetch_add_explicit(&t->done, mine, memory_order_acq_rel);
  for (int spin = 0; atomic_load_explicit(&t->done, memory_order_acquire) < w->due;) {
    if (++spin < SPINS) {
      cpu_pause();
    } else {
      sched_yield();
      if (++w->ticks >= POLL_TICKS) team_stopped(w);
    }
  }
}

bool team_over(const worker *w, int64_t units) {
  return atomic_load_explicit(&w->team->done, memory_order_relaxed) >= w->due + (uint64_t)units;
}

typedef struct loop {
  int64_t units, bite;
  unit_fn *fn;
  void *context;
} loop;

static void loop_member(worker *w, void *context) {
  const loop *l = context;
  team_for(w, l->units, l->bite, l->fn, l->context);
}

void team_loop(team *t, int64_t units, int64_t bite, unit_fn *fn, void *context, atomic_int *cancel,
               int (*poll)(void *), void *poll_context) {
  loop l = {units, bite, fn, context};
  team_run(t, loop_member, &l, cancel, poll, poll_context);
}

int threads_available(void) {
  int cores = 0;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  if (cores < 1) cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
  int quota = cgroup_cores();
  if (quota < cores) cores = quota;
  if (cores < 1) cores = 1;
  return cores < THREADS_MAX ? cores : THREADS_MAX;
}

int threads_default(void) {
  int cores = threads_available(), wanted = omp_get_max_threads();
  return wanted < cores ? wanted : cores;
}
