/* test_engine_threads: requests come, fork and are cancelled, and steps are interrupted, from several threads while one
 * steps: nothing is lost, and what is cancelled before a step ends in it. */
#include "engine_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { VOCAB = 40, CONTEXT = 96, CALLERS = 4, MOST = 1 << 15 };

static const shape plain = {16, 2, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};

static struct {
  llama2_engine *engine;
  int per_caller;
  bool interrupts, drafts;
  atomic_int callers, accepted, n_cancelled;
  _Atomic int64_t cancelled[MOST]; /* ids, once llama2_engine_cancel() has returned */
  atomic_bool over;
} shared;

/* Numbers of a thread's own. */
static int32_t below(uint64_t *rng, int32_t n) {
  return (int32_t)(llama2_random(rng) * (float)n);
}

static void *call(void *context) {
  uint64_t rng = (uint64_t)(uintptr_t)context + 12345;
  int32_t prompt[CONTEXT];
  int64_t ids[8] = {0};
  for (int i = 0; i < shared.per_caller; i++) {
    int32_t n = 1 + below(&rng, 40), which = below(&rng, 8);
    for (int32_t k = 0; k < n; k++) prompt[k] = below(&rng, k < 20 ? 1 : VOCAB);
    llama2_request r = greedy(prompt, n, below(&rng, CONTEXT - n));
    r.sampling = (llama2_sampling){1, 0.9f, rng};
    r.priority = below(&rng, 3);
    r.speculate = below(&rng, 2) * 4;
    r.drafts = shared.drafts && below(&rng, 2);
    int64_t before = ids[which];
    llama2_status status;
    if (before && below(&rng, 4) == 0)
      status = llama2_engine_fork(shared.engine, before, &r, &ids[which]);
    else
      status = llama2_engine_submit(shared.engine, &r, &ids[which]);
    if (status == LLAMA2_OK)
      atomic_fetch_add(&shared.accepted, 1);
    else
      check_refused(status, LLAMA2_ERR_ARGUMENT, "there is no request");
    /* All but a few are cancelled sooner or later. */
    int64_t id = below(&rng, 4) ? before : ids[below(&rng, 8)];
    if (id && below(&rng, 16)) {
      llama2_engine_cancel(shared.engine, id);
      atomic_store(&shared.cancelled[atomic_fetch_add(&shared.n_cancelled, 1)], id);
    }
    llama2_engine_state s = llama2_engine_state_of(shared.engine);
    CHECK(s.free + s.idle <= s.pages && s.running <= s.pages);
    if (shared.interrupts && below(&rng, 8) == 0) llama2_engine_interrupt(shared.engine);
    if (below(&rng, 8) == 0) usleep(100);
  }
  atomic_fetch_sub(&shared.callers, 1);
  return NULL;
}

static void run_callers(const llama2_model *model, const llama2_model *draft, int callers, int n, bool interrupts) {
  static bool ended[MOST];
  pthread_t threads[CALLERS];
  llama2_engine_options options = engine_options(24, 24);
  options.chunk = 10;
  options.draft = draft;
  memset(&shared, 0, sizeof shared);
  memset(ended, 0, sizeof ended);
  CHECK(n < MOST);
  shared.engine = open_engine(model, options);
  shared.per_caller = n / callers;
  shared.interrupts = interrupts;
  shared.drafts = draft != NULL;
  atomic_store(&shared.callers, callers);
  for (intptr_t i = 0; i < callers; i++) CHECK(pthread_create(&threads[i], NULL, call, (void *)(i + 1)) == 0);
  int32_t busy = 1, n_ended = 0, seen = 0;
  for (bool over = false; !over || busy;) {
    over = atomic_load(&shared.callers) == 0;
    int32_t n_cancelled = atomic_load(&shared.n_cancelled), n_events;
    const llama2_event *events;
    while (seen < n_cancelled && ended[atomic_load(&shared.cancelled[seen])]) seen++;
    llama2_status status = llama2_engine_step(shared.engine, 0, &events, &n_events, &busy);
    if (status != LLAMA2_OK) check_refused(status, LLAMA2_ERR_CANCELLED, "interrupted");
    CHECK(status == LLAMA2_OK || interrupts);
    for (int32_t i = 0; i < n_events; i++) {
      CHECK(events[i].request > 0 && events[i].request < MOST && !ended[events[i].request]);
      ended[events[i].request] = events[i].end;
      n_ended += events[i].end != 0;
    }
    for (; seen < n_cancelled && atomic_load(&shared.cancelled[seen]); seen++)
      CHECK_THAT(ended[shared.cancelled[seen]], "request %lld was cancelled and goes on",
                 (long long)shared.cancelled[seen]);
  }
  for (int i = 0; i < callers; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK_THAT(n_ended == atomic_load(&shared.accepted), "%d requests ended, expected %d", n_ended,
             atomic_load(&shared.accepted));
  check_whole(shared.engine);
  llama2_engine_free(shared.engine);
}

/* Interrupts. */

static void *interrupt_often(void *context) {
  (void)context;
  for (useconds_t wait = 200; !atomic_load(&shared.over); wait += 200) { /* so that steps of any length get done */
    llama2_engine_interrupt(shared.engine);
    usleep(wait);
  }
  return NULL;
}

/* A step over a long prompt ends before it is done, and nothing is lost. */
static void test_interrupt(void) {
  enum { LONG = 1500 };
  static const shape slow = {64, 2, VOCAB, LONG + 8, 0, 0.3f, 1e-5f};
  static int32_t prompt[LONG];
  llama2_model *model = make_model(&slow);
  int32_t expected[5], tokens[5], n, busy;
  for (int32_t i = 0; i < LONG; i++) prompt[i] = (int32_t)random_below(VOCAB);
  CHECK(draw_alone(model, LLAMA2_KEEP, prompt, LONG, expected, 5) == 5);
  shared.engine = open_engine(model, engine_options((LONG + 8) / KV_PAGE + 1, LONG));
  llama2_engine_interrupt(shared.engine); /* nothing is being computed */
  int64_t id = submit(shared.engine, greedy(prompt, LONG, 5));
  const llama2_event *events;
  pthread_t thread;
  atomic_store(&shared.over, false);
  CHECK(pthread_create(&thread, NULL, interrupt_often, NULL) == 0);
  for (int i = 0; i < 5; i++) {
    check_refused(llama2_engine_step(shared.engine, 1000, &events, &n, &busy), LLAMA2_ERR_CANCELLED, "interrupted");
    CHECK(n == 0 && busy && llama2_engine_state_of(shared.engine).rows == 0);
  }
  atomic_store(&shared.over, true);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(run_to_end(shared.engine, id, tokens, &n).end == LLAMA2_END_LENGTH && n == 5);
  CHECK(memcmp(tokens, expected, sizeof tokens) == 0);
  CHECK(llama2_engine_state_of(shared.engine).rows == LONG + 4);
  llama2_engine_free(shared.engine);
  llama2_model_free(model);
}

/* An engine that drafts goes on after interrupts. */
static void test_interrupted_draft(const llama2_model *model, const llama2_model *draft) {
  int32_t prompt[10] = {1, 2, 3}, expected[80];
  CHECK(draw_alone(model, LLAMA2_KEEP, prompt, 10, expected, 80) == 80);
  llama2_engine_options options = engine_options(12, 24);
  options.draft = draft;
  shared.engine = open_engine(model, options);
  llama2_request r = greedy(prompt, 10, 80);
  r.speculate = 4;
  r.drafts = 1;
  for (int interrupts = 0; interrupts < 8;) {
    int32_t tokens[80], n = 0, busy = 1;
    pthread_t thread;
    submit(shared.engine, r);
    atomic_store(&shared.over, false);
    CHECK(pthread_create(&thread, NULL, interrupt_often, NULL) == 0);
    while (busy) {
      const llama2_event *events;
      int32_t n_events;
      interrupts += llama2_engine_step(shared.engine, 0, &events, &n_events, &busy) == LLAMA2_ERR_CANCELLED;
      for (int32_t i = 0; i < n_events; i++)
        if (!events[i].end) tokens[n++] = events[i].token;
    }
    atomic_store(&shared.over, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(n == 80 && memcmp(tokens, expected, sizeof expected) == 0);
  }
  check_whole(shared.engine);
  llama2_engine_free(shared.engine);
}

int main(void) {
  static const shape small = {8, 1, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};
  llama2_model *model = make_model(&plain), *draft = make_model(&small);
  run_callers(model, NULL, 1, emulated() ? 1000 : 10000, false);
  run_callers(model, draft, CALLERS, emulated() ? 1000 : 4000, true);
  test_interrupted_draft(model, draft);
  test_interrupt();
  llama2_model_free(draft);
  llama2_model_free(model);
  return checks_end("test_engine_threads");
}
