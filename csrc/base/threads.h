/* base/threads: the only place that knows OpenMP.
 *
 * A team's helpers are the members of one OpenMP region that lives as long as the team; between steps they look out for
 * work, then sleep. In a step every worker walks the same stages; a stage is a number of units, each of which is done
 * once by somebody. A worker first takes from its own share, a bite at a time, then from the others', and goes on once
 * all units are done. So a stage waits for work, never for a thread: a helper that the system has put aside, or that
 * comes late or not at all, holds nobody up. A team of more threads than there are cores has as many shares as threads,
 * but no more helpers than cores. Which worker did what never shows in the result.
 *
 * The floating-point environment is the default (round to nearest, subnormals kept) while workers compute, whatever
 * other libraries in the process have made of it. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX 256

typedef struct team team;

/* One thread's view of a running step. */
typedef struct worker {
  team *team;
  int id;         /* 0 is the thread that runs the step */
  int n;          /* shares */
  uint32_t stage; /* stages begun */
  uint64_t due;   /* units of all of them */
  uint32_t ticks; /* bites since the clock was last looked at */
} worker;

typedef void worker_fn(worker *w, void *context);
typedef void unit_fn(worker *w, void *context, int64_t begin, int64_t end);

/* Bytes of a team of `n` threads, the caller's among them. Helpers start with the first run. */
uint64_t team_bytes(int n);
team *team_init(void *memory, int n);
void team_close(team *t);

/* Sets how many helpers there will be, whatever the cores; before the first run. */
void team_set_helpers(team *t, int helpers);

/* One step: fn on the calling thread as worker 0, and on the helpers that are about. Returns when all have left it.
 * `cancel`, if not NULL, is read between bites; so is `poll`, on worker 0, at most every few hundredths of a second,
 * and *cancel is set when it returns other than 0. */
void team_run(team *t, worker_fn *fn, void *context, atomic_int *cancel, int (*poll)(void *), void *poll_context);

/* One stage, called by all workers with the same arguments: fn for all of [0, units), in bites of at most `bite`.
 * Returns when every unit is done. After a cancel units are passed over. */
void team_for(worker *w, int64_t units, int64_t bite, unit_fn *fn, void *context);

/* Whether the next stage, of so many units, is over already: its input may be changing, and need not be looked at. */
bool team_over(const worker *w, int64_t units);

/* Whether the step is to end early: for units that take long to look at now and then, and be left. Polls. */
bool team_stopped(worker *w);

/* A step of one stage. */
void team_loop(team *t, int64_t units, int64_t bite, unit_fn *fn, void *context, atomic_int *cancel,
               int (*poll)(void *), void *poll_context);

/* Cores this process may really use: its affinity mask, and its cgroup's quota rounded up. */
int threads_available(void);

/* The same, or what OMP_NUM_THREADS says if that is less. */
int threads_default(void);

#endif
