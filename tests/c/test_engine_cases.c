/* test_engine_cases: what an engine does with single requests and with a few at a time: what it refuses and where it
 * ends, who is computed, paused and found again, and that pages behind a window come back. */
#include "engine_kit.h"

#include <math.h>

enum { VOCAB = 40, CONTEXT = 256 };

static const shape plain = {16, 2, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};
static llama2_model *model;

static void draw_tokens(int32_t *tokens, int32_t n) {
  for (int32_t i = 0; i < n; i++) tokens[i] = (int32_t)random_below(VOCAB);
}

/* What is refused. */

static void test_options(void) {
  static const shape other_vocabulary = {8, 1, VOCAB + 1, CONTEXT, 0, 0.4f, 1e-5f};
  llama2_model *draft = make_model(&other_vocabulary);
  const llama2_engine_options good = engine_options(4, 8);
  const struct {
    size_t offset;
    int32_t value;
    llama2_status status;
    const char *words;
  } rows[] = {
      {offsetof(llama2_engine_options, session.context), -1,          LLAMA2_ERR_ARGUMENT, "context is -1"    },
      {offsetof(llama2_engine_options, session.context), CONTEXT + 1, LLAMA2_ERR_CONTEXT,  "257 tokens"       },
      {offsetof(llama2_engine_options, session.batch),   -1,          LLAMA2_ERR_ARGUMENT, "batch is -1"      },
      {offsetof(llama2_engine_options, session.threads), 257,         LLAMA2_ERR_ARGUMENT, "threads is 257"   },
      {offsetof(llama2_engine_options, session.kv),      2,           LLAMA2_ERR_ARGUMENT, "kv is 2"          },
      {offsetof(llama2_engine_options, sequences),       -1,          LLAMA2_ERR_ARGUMENT, "sequences is -1"  },
      {offsetof(llama2_engine_options, chunk),           INT32_MIN,   LLAMA2_ERR_ARGUMENT, "chunk is -2147483"},
  };
  llama2_engine *engine = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    llama2_engine_options options = good;
    memcpy((char *)&options + rows[i].offset, &rows[i].value, sizeof rows[i].value);
    check_refused(llama2_engine_new(model, &options, &engine), rows[i].status, rows[i].words);
  }
  const int64_t pools[] = {-2, (INT64_C(1) << 30) + 1, INT64_MIN, INT64_MAX};
  for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
    llama2_engine_options options = good;
    options.session.pool = pools[i];
    check_refused(llama2_engine_new(model, &options, &engine), LLAMA2_ERR_ARGUMENT, "pool is ");
  }
  llama2_engine_options options = good;
  options.draft = draft;
  check_refused(llama2_engine_new(model, &options, &engine), LLAMA2_ERR_ARGUMENT, "vocabulary of 41");
  CHECK(engine == NULL);
  options = engine_options(4, 0);
  options.sequences = INT32_MAX;
  options.chunk = 0;
  engine = open_engine(model, options);
  options = llama2_engine_describe(engine);
  CHECK(options.sequences == 64 && options.chunk == 128 && options.session.batch == 64 && options.session.pool == 64);
  llama2_engine_free(engine);
  llama2_engine_free(NULL);
  llama2_model_free(draft);
}

static void test_requests(void) {
  enum { PAGES = 4 };
  static int32_t prompt[CONTEXT + 1];
  const int32_t bad[3][2] = {
      {0,     -1       },
      {VOCAB, 0        },
      {0,     INT32_MAX}
  };
  llama2_engine *engine = open_engine(model, engine_options(PAGES, 8));
  int64_t id = 77, parent = submit(engine, greedy(prompt, 3, 4));
  const struct {
    size_t offset;
    int32_t value;
    const char *words;
  } rows[] = {
      {offsetof(llama2_request, max_tokens), -1,                        "max_tokens is -1"               },
      {offsetof(llama2_request, n_stops),    LLAMA2_STOPS_MOST + 1,     "the number of stop tokens is 17"},
      {offsetof(llama2_request, n_stops),    -1,                        "the number of stop tokens is -1"},
      {offsetof(llama2_request, top),        LLAMA2_TOP_MOST + 1,       "top is 65"                      },
      {offsetof(llama2_request, top),        -1,                        "top is -1"                      },
      {offsetof(llama2_request, speculate),  LLAMA2_SPECULATE_MOST + 1, "speculate is 64"                },
      {offsetof(llama2_request, speculate),  INT32_MIN,                 "speculate is -2147483648"       },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    llama2_request r = greedy(prompt, 3, 4);
    r.stops = prompt;
    memcpy((char *)&r + rows[i].offset, &rows[i].value, sizeof rows[i].value);
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, rows[i].words);
    check_refused(llama2_engine_fork(engine, parent, &r, &id), LLAMA2_ERR_ARGUMENT, rows[i].words);
  }
  const llama2_sampling samplings[] = {
      {-1,       1,     1},
      {NAN,      1,     1},
      {INFINITY, 1,     1},
      {1,        -0.5f, 1},
      {1,        1.5f,  1},
      {1,        NAN,   1},
      {1,        1,     0}
  };
  for (size_t i = 0; i < sizeof samplings / sizeof *samplings; i++) {
    llama2_request r = greedy(prompt, 3, 4);
    r.sampling = samplings[i];
    const char *words = i < 3 ? "temperature is" : i < 6 ? "top_p is" : "random state is 0";
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, words);
    check_refused(llama2_engine_fork(engine, parent, &r, &id), LLAMA2_ERR_ARGUMENT, words);
  }
  llama2_request r = greedy(prompt, 3, 4);
  r.speculate = r.drafts = 1;
  check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, "without one");
  for (int i = 0; i < 3; i++) {
    r = greedy(bad[i], 2, 1);
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, "of the prompt has id");
  }
  const int32_t lengths[] = {0, -1, INT32_MIN};
  for (int i = 0; i < 3; i++) {
    r = greedy(prompt, lengths[i], 1);
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, "expected at least 1");
  }
  r = greedy(prompt, 3, 1);
  const int64_t strangers[] = {0, -1, parent + 1, INT64_MAX};
  for (int i = 0; i < 4; i++) {
    check_refused(llama2_engine_fork(engine, strangers[i], &r, &id), LLAMA2_ERR_ARGUMENT, "there is no request");
    llama2_engine_cancel(engine, strangers[i]);
  }
  /* Too long for the context, or for the pool. */
  const struct {
    int32_t n_prompt, max_tokens;
    uint64_t required, available;
  } sizes[] = {
      {CONTEXT + 1, 0,         CONTEXT + 1, CONTEXT},
      {65,          0,         65,          64     },
      {10,          56,        65,          64     },
      {64,          2,         65,          64     },
      {1,           INT32_MAX, CONTEXT,     64     },
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    r = greedy(prompt, sizes[i].n_prompt, sizes[i].max_tokens);
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_CONTEXT, "ask for ");
    CHECK(llama2_last_error()->required == sizes[i].required && llama2_last_error()->available == sizes[i].available);
  }
  CHECK(id == 77);
  int32_t tokens[CONTEXT], n;
  CHECK(run_to_end(engine, parent, tokens, &n).end == LLAMA2_END_LENGTH && n == 4);
  check_refused(llama2_engine_fork(engine, parent, &r, &id), LLAMA2_ERR_ARGUMENT, "or it has ended");
  CHECK(run_to_end(engine, submit(engine, greedy(prompt, 64, 1)), tokens, &n).end == LLAMA2_END_LENGTH && n == 1);
  check_whole(engine);
  llama2_engine_free(engine);
}

/* Where requests end. */

static void test_ends(void) {
  int32_t prompt[CONTEXT], expected[CONTEXT], tokens[CONTEXT], n;
  draw_tokens(prompt, CONTEXT);
  llama2_engine *engine = open_engine(model, engine_options(20, 16));
  /* As many as the context has room for, and the one that is not computed. */
  const int32_t prompts[] = {1, 17, CONTEXT - 1, CONTEXT};
  for (int i = 0; i < 4; i++) {
    int32_t drawn = draw_alone(model, LLAMA2_KEEP, prompt, prompts[i], expected, CONTEXT);
    CHECK(drawn == CONTEXT - prompts[i] + 1);
    llama2_event end = run_to_end(engine, submit(engine, greedy(prompt, prompts[i], INT32_MAX)), tokens, &n);
    CHECK(end.end == LLAMA2_END_LENGTH && end.index == CONTEXT + 1 && n == drawn);
    CHECK(memcmp(tokens, expected, (size_t)n * sizeof *tokens) == 0);
  }
  /* At each of many stop tokens, which is not told. */
  draw_alone(model, LLAMA2_KEEP, prompt, 5, expected, 12);
  for (int32_t i = 0; i < 12; i++) {
    int32_t stops[LLAMA2_STOPS_MOST], first = 0;
    for (int k = 0; k < LLAMA2_STOPS_MOST; k++) stops[k] = expected[i];
    while (expected[first] != expected[i]) first++;
    llama2_request r = greedy(prompt, 5, 12);
    r.stops = stops;
    r.n_stops = LLAMA2_STOPS_MOST;
    r.speculate = i % 3 * 4;
    llama2_event end = run_to_end(engine, submit(engine, r), tokens, &n);
    CHECK(end.end == LLAMA2_END_STOP && end.token == -1 && end.index == 5 + first && n == first);
  }
  /* A prompt that is only read. */
  llama2_event end = run_to_end(engine, submit(engine, greedy(prompt, 20, 0)), tokens, &n);
  CHECK(end.end == LLAMA2_END_LENGTH && n == 0 && end.index == 20);
  /* Cancelled before it began, twice. */
  int64_t id = submit(engine, greedy(prompt, 20, 5));
  llama2_engine_cancel(engine, id);
  llama2_engine_cancel(engine, id);
  end = run_to_end(engine, id, tokens, &n);
  CHECK(end.end == LLAMA2_END_CANCELLED && n == 0 && end.began == 0);
  check_whole(engine);
  llama2_engine_free(engine);
}

/* A fork goes on from what its parent has when it comes in, though the parent ends; so does a fork of that. */
static void test_forks(void) {
  int32_t prompt[8], expected[40], drawn[3][40], n_drawn[3] = {0}, busy, n, ends[3] = {0};
  draw_tokens(prompt, 8);
  draw_alone(model, LLAMA2_KEEP, prompt, 8, expected, 40);
  llama2_engine *engine = open_engine(model, engine_options(20, 16));
  const llama2_event *events;
  llama2_request rest = greedy(NULL, 0, 9);
  int64_t ids[3] = {submit(engine, greedy(prompt, 8, 30))};
  for (int i = 0; i < 4; i++) n = step_once(engine, &events, &busy);
  CHECK(n == 1 && events[0].index == 8 + 3 && events[0].token == expected[3]);
  for (int i = 1; i < 3; i++) check_status(llama2_engine_fork(engine, ids[i - 1], &rest, &ids[i]));
  llama2_engine_cancel(engine, ids[0]);
  int64_t rows = llama2_engine_state_of(engine).rows;
  while (busy) {
    n = step_once(engine, &events, &busy);
    for (int32_t i = 0; i < n; i++) {
      int k = (int)(events[i].request - ids[0]);
      if (events[i].end)
        ends[k] = events[i].end;
      else
        drawn[k][n_drawn[k]++] = events[i].token;
    }
  }
  CHECK(n_drawn[0] == 0 && ends[0] == LLAMA2_END_CANCELLED);
  for (int k = 1; k < 3; k++) {
    CHECK(n_drawn[k] == 9 && ends[k] == LLAMA2_END_LENGTH);
    CHECK(memcmp(drawn[k], expected + 4, sizeof *expected * 9) == 0);
  }
  /* The one that shared its parent's pages computed nothing anew; the other's parent had none when it came. */
  rows = llama2_engine_state_of(engine).rows - rows;
  CHECK_THAT(rows >= 2 * 9 && rows <= 2 * 9 + 8 + 3, "%lld rows", (long long)rows);
  check_whole(engine);
  llama2_engine_free(engine);
}

/* A short prompt is read beside a long one that came before, and not after it; one of lesser priority is. */
static void test_short_beside_long(void) {
  int32_t prompt[CONTEXT], busy, n, token_at[3] = {0};
  draw_tokens(prompt, CONTEXT);
  llama2_engine *engine = open_engine(model, engine_options(40, 16));
  const llama2_event *events;
  llama2_request lesser = greedy(prompt + 2, 4, 1), other = greedy(prompt + 1, 4, 1);
  lesser.priority = -1;
  int64_t ids[3] = {submit(engine, greedy(prompt, CONTEXT, 1)), submit(engine, other), submit(engine, lesser)};
  for (int steps = 1, left = 3; left; steps++) {
    n = step_once(engine, &events, &busy);
    for (int32_t i = 0; i < n; i++)
      if (events[i].end)
        left--;
      else
        token_at[events[i].request - ids[0]] = steps;
  }
  CHECK_THAT(token_at[1] == 1 && token_at[0] > 1 && token_at[2] >= token_at[0], "steps %d, %d and %d", token_at[0],
             token_at[1], token_at[2]);
  check_whole(engine);
  llama2_engine_free(engine);
}

/* The smallest of everything. */
static void test_smallest(void) {
  int32_t prompt[16], expected[CONTEXT], tokens[CONTEXT], n;
  draw_tokens(prompt, 16);
  llama2_engine_options options = engine_options(1, 1);
  options.sequences = options.chunk = 1;
  llama2_engine *engine = open_engine(model, options);
  int64_t first = submit(engine, greedy(prompt, 9, 8)), second = submit(engine, greedy(prompt, 16, 1));
  draw_alone(model, LLAMA2_KEEP, prompt, 9, expected, 8);
  CHECK(run_to_end(engine, first, tokens, &n).end == LLAMA2_END_LENGTH);
  CHECK(n == 8 && memcmp(tokens, expected, 8 * sizeof *tokens) == 0);
  draw_alone(model, LLAMA2_KEEP, prompt, 16, expected, 1);
  CHECK(run_to_end(engine, second, tokens, &n).end == LLAMA2_END_LENGTH && n == 1 && tokens[0] == expected[0]);
  check_whole(engine);
  llama2_engine_free(engine);

  static const shape single = {4, 1, 1, 32, 0, 0.4f, 1e-5f};
  llama2_model *one = make_model(&single);
  engine = open_engine(one, engine_options(2, 4));
  const int32_t only[] = {0, 0, 0};
  llama2_request r = greedy(only, 3, 20);
  r.top = 64;
  r.score = 1;
  r.speculate = 8;
  r.sampling = (llama2_sampling){1, 0.9f, 5};
  int64_t id = submit(engine, r);
  int32_t busy = 1, told = 0;
  while (busy) {
    const llama2_event *events;
    n = step_once(engine, &events, &busy);
    for (int32_t i = 0; i < n; i++) {
      CHECK(events[i].request == id);
      if (events[i].end) continue;
      CHECK(events[i].token == 0 && events[i].logprob == 0 && events[i].n_top == 1 && events[i].index == 1 + told++);
    }
  }
  CHECK(told == 22);
  check_whole(engine);
  llama2_engine_free(engine);
  llama2_model_free(one);
}

/* Who is computed. */

/* Requests that decode get a token in each step, whatever else is read beside them. */
static void test_decoding_goes_on(void) {
  enum { DECODING = 5, CHUNK = 8 };
  static int32_t prompts[DECODING + 1][CONTEXT];
  llama2_engine_options options = engine_options(64, 32);
  options.chunk = CHUNK;
  llama2_engine *engine = open_engine(model, options);
  int64_t ids[DECODING + 1];
  int32_t busy, n;
  const llama2_event *events;
  for (int i = 0; i < DECODING; i++) {
    draw_tokens(prompts[i], 4);
    ids[i] = submit(engine, greedy(prompts[i], 4, 100));
  }
  n = step_once(engine, &events, &busy);
  CHECK(n == DECODING);
  draw_tokens(prompts[DECODING], 200);
  ids[DECODING] = submit(engine, greedy(prompts[DECODING], 200, 1));
  int64_t rows = llama2_engine_state_of(engine).rows;
  for (int step = 1;; step++) {
    n = step_once(engine, &events, &busy);
    int32_t told[DECODING + 1] = {0};
    for (int32_t i = 0; i < n; i++)
      for (int k = 0; k <= DECODING; k++) told[k] += events[i].request == ids[k];
    for (int k = 0; k < DECODING; k++) CHECK_THAT(told[k] == 1, "step %d tells request %d %d tokens", step, k, told[k]);
    int64_t now = llama2_engine_state_of(engine).rows;
    CHECK_THAT(now - rows <= DECODING + CHUNK, "step %d has %lld rows", step, (long long)(now - rows));
    rows = now;
    if (!told[DECODING]) continue;
    CHECK_THAT(step == 200 / CHUNK, "%d steps", step);
    break;
  }
  llama2_engine_free(engine);
}

/* The greater priority first, of equals the older; and of those that run, the youngest of the least priority is paused. */
static void test_order(void) {
  enum { N = 4 };
  static int32_t prompts[N][32];
  llama2_engine_options options = engine_options(40, 8);
  options.sequences = 1;
  llama2_engine *engine = open_engine(model, options);
  const int32_t priorities[N] = {0, -1, 5, 0}, order[N] = {2, 0, 3, 1};
  int64_t ids[N];
  for (int i = 0; i < N; i++) {
    draw_tokens(prompts[i], 20);
    llama2_request r = greedy(prompts[i], 20, 3);
    r.priority = priorities[i];
    ids[i] = submit(engine, r);
  }
  int32_t busy = 1, ended = 0;
  while (busy) {
    const llama2_event *events;
    int32_t n = step_once(engine, &events, &busy);
    for (int32_t i = 0; i < n; i++)
      if (events[i].end) CHECK(events[i].request == ids[order[ended++]]);
  }
  CHECK(ended == N);
  llama2_engine_free(engine);

  /* Four of them grow until the pool is too small for all. */
  options = engine_options(4 * 2 + 1, 64);
  engine = open_engine(model, options);
  const int32_t again[N] = {1, 0, 0, 1}, expected[N] = {2, 1, 3, 0};
  for (int i = 0; i < N; i++) {
    llama2_request r = greedy(prompts[i], 10, 100);
    r.priority = again[i];
    ids[i] = submit(engine, r);
  }
  int32_t paused = 0, silent[N] = {0};
  for (busy = 1; busy && paused < 3;) {
    const llama2_event *events;
    int32_t n = step_once(engine, &events, &busy);
    bool told[N] = {false};
    for (int32_t i = 0; i < n; i++)
      for (int k = 0; k < N; k++) told[k] = told[k] || events[i].request == ids[k];
    for (int k = 0; k < N; k++) {
      if (told[k] || silent[k]) continue;
      CHECK_THAT(expected[paused] == k, "request %d is paused, expected %d", k, expected[paused]);
      silent[k] = 1;
      paused++;
    }
  }
  CHECK(paused == 3);
  /* One of a greater priority has those of a lesser paused for it, and the oldest of them last. */
  draw_tokens(prompts[3], 32);
  llama2_request urgent = greedy(prompts[3], 32, 110);
  urgent.priority = 9;
  int64_t id = submit(engine, urgent);
  int32_t tokens[CONTEXT], n;
  llama2_event end = run_to_end(engine, id, tokens, &n);
  CHECK(end.end == LLAMA2_END_LENGTH && end.paused == 0 && n == 110);
  llama2_engine_free(engine);
}

/* Two prompts that are more than the pool together are read one after the other, each once. */
static void test_no_thrashing(void) {
  static int32_t prompts[2][160];
  llama2_engine *engine = open_engine(model, engine_options(12, 128));
  int32_t tokens[CONTEXT], n;
  int64_t ids[2];
  for (int i = 0; i < 2; i++) {
    draw_tokens(prompts[i], 160);
    llama2_request r = greedy(prompts[i], 160, 1);
    r.score = i == 0; /* whose rows a step takes fewer of, so that there is room for the other's */
    ids[i] = submit(engine, r);
  }
  CHECK(run_to_end(engine, ids[0], tokens, &n).end == LLAMA2_END_LENGTH);
  CHECK(run_to_end(engine, ids[1], tokens, &n).end == LLAMA2_END_LENGTH);
  llama2_engine_state s = llama2_engine_state_of(engine);
  CHECK_THAT(s.rows == 320 && s.pauses == 0, "%lld rows, %lld pauses", (long long)s.rows, (long long)s.pauses);
  llama2_engine_free(engine);
}

/* Found again. */

static void test_prefixes(void) {
  int32_t prompt[CONTEXT], tokens[CONTEXT], n;
  draw_tokens(prompt, CONTEXT);
  llama2_engine *engine = open_engine(model, engine_options(64, 32));
  for (int32_t length = 1; length < 130; length += 3) {
    run_to_end(engine, submit(engine, greedy(prompt, length, 1)), tokens, &n);
    llama2_engine_state before = llama2_engine_state_of(engine);
    int32_t token = tokens[0];
    llama2_event end = run_to_end(engine, submit(engine, greedy(prompt, length, 1)), tokens, &n);
    llama2_engine_state after = llama2_engine_state_of(engine);
    int32_t rows = (int32_t)(after.rows - before.rows);
    CHECK_THAT(rows == length - end.cached && rows == 1, "%d rows of %d", rows, length);
    CHECK(after.cached_tokens - before.cached_tokens == end.cached);
    CHECK(after.prompt_tokens - before.prompt_tokens == length && tokens[0] == token);
  }
  /* Many at once that begin alike: what they share is computed once. */
  int64_t rows = llama2_engine_state_of(engine).rows, ids[10];
  static int32_t alike[10][100];
  draw_tokens(prompt, 96);
  for (int i = 0; i < 10; i++) {
    memcpy(alike[i], prompt, sizeof alike[i]);
    alike[i][98] = i;
    ids[i] = submit(engine, greedy(alike[i], 99, 0));
  }
  for (int32_t busy = 1; busy;) {
    const llama2_event *events;
    step_once(engine, &events, &busy);
  }
  rows = llama2_engine_state_of(engine).rows - rows;
  CHECK_THAT(rows == 96 + 10 * 3 && ids[9] > ids[0], "%lld rows", (long long)rows);
  check_whole(engine);
  llama2_engine_free(engine);
  /* Not where nothing is kept. */
  llama2_engine_options options = engine_options(64, 32);
  options.keep = 0;
  engine = open_engine(model, options);
  for (int i = 0; i < 2; i++) {
    CHECK(run_to_end(engine, submit(engine, greedy(prompt, 90, 1)), tokens, &n).cached == 0);
    CHECK(llama2_engine_state_of(engine).idle == 0);
  }
  llama2_engine_free(engine);
}

/* A sequence has no more pages than its window takes, however long it is. */
static void test_windows(void) {
  const int32_t windows[] = {1, 15, 16, 17, 40};
  int32_t prompt[64], expected[CONTEXT], tokens[CONTEXT];
  for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
    shape s = plain;
    s.window = windows[w];
    llama2_model *windowed = make_model(&s);
    for (int32_t keep = 0; keep < 2; keep++) {
      llama2_engine_options options = engine_options(CONTEXT / KV_PAGE, 16);
      options.keep = keep;
      llama2_engine *engine = open_engine(windowed, options);
      draw_tokens(prompt, 64);
      int32_t drawn = draw_alone(windowed, LLAMA2_KEEP, prompt, 64, expected, CONTEXT), n_tokens = 0, busy = 1;
      int64_t id = submit(engine, greedy(prompt, 64, INT32_MAX));
      while (busy) {
        const llama2_event *events;
        int32_t n = step_once(engine, &events, &busy);
        for (int32_t i = 0; i < n; i++)
          if (!events[i].end) tokens[n_tokens++] = events[i].token;
        llama2_engine_state state = llama2_engine_state_of(engine);
        int32_t used = state.pages - state.free - state.idle, most = (windows[w] - 2) / KV_PAGE + 2;
        CHECK_THAT(used <= most, "%d pages are in use, expected at most %d for a window of %d", used, most, windows[w]);
      }
      CHECK(id > 0 && n_tokens == drawn && memcmp(tokens, expected, (size_t)drawn * sizeof *tokens) == 0);
      check_whole(engine);
      llama2_engine_free(engine);
    }
    llama2_model_free(windowed);
  }
}

/* Weights so great that logits are no numbers end a request, and nothing is told that is none. */
static void test_numeric(void) {
  static const shape wild = {16, 1, VOCAB, 64, 0, 3e38f, 1e-5f};
  llama2_model *broken = make_model(&wild);
  llama2_engine *engine = open_engine(broken, engine_options(8, 8));
  int32_t prompt[30], tokens[CONTEXT], n;
  draw_tokens(prompt, 30);
  for (int32_t score = 0; score < 2; score++) {
    llama2_request r = greedy(prompt, 30, 5);
    r.score = score;
    r.logprobs = 1;
    CHECK(run_to_end(engine, submit(engine, r), tokens, &n).end == LLAMA2_END_NUMERIC && n == 0);
  }
  check_whole(engine);
  llama2_engine_free(engine);
  llama2_model_free(broken);
}

int main(void) {
  model = make_model(&plain);
  test_options();
  test_requests();
  test_ends();
  test_forks();
  test_short_beside_long();
  test_smallest();
  test_decoding_goes_on();
  test_order();
  test_no_thrashing();
  test_prefixes();
  test_windows();
  test_numeric();
  llama2_model_free(model);
  return checks_end("test_engine_cases");
}
