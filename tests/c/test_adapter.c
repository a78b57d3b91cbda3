/* test_adapter: sequences with adapters of their own, side by side, forked, paused and saved: each is what a session makes of
 * it, and finds no pages of others; what does not belong together is refused; and memory is as it was planned. */
#include "engine_kit.h"

#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/adapter.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

enum { DIM = 16, LAYERS = 2, VOCAB = 40, CONTEXT = 96, HIDDEN = 24, SETS = 6, TEXT = 40, DRAWN = 20 };

static const shape plain = {DIM, LAYERS, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};

/* Of the matrices of engine_kit's models. */
static const struct {
  const char *name;
  int64_t rows, cols;
} matrices[] = {
    {"attn_q",      DIM,     DIM   },
    {"attn_k",      DIM / 2, DIM   },
    {"attn_v",      DIM / 2, DIM   },
    {"attn_output", DIM,     DIM   },
    {"ffn_gate",    HIDDEN,  DIM   },
    {"ffn_up",      HIDDEN,  DIM   },
    {"ffn_down",    DIM,     HIDDEN},
};

static llama2_source *new_source(void) {
  llama2_source *source;
  check_status(llama2_source_new("an adapter", &source));
  llama2_source_put_text(source, "general.type", "adapter", 7);
  llama2_source_put_text(source, "general.architecture", "llama", 5);
  llama2_source_put_text(source, "adapter.type", "lora", 4);
  return source;
}

/* name: of the matrix. The numbers at *numbers, which grows. */
static void put_pair(llama2_source *source, const char *name, int64_t rows, int64_t cols, int64_t rank,
                     float **numbers) {
  char half[80];
  const int64_t dims[2][2] = {
      {cols, rank},
      {rank, rows}
  };
  for (int i = 0; i < 2; i++) {
    int64_t n = dims[i][0] * dims[i][1];
    for (int64_t k = 0; k < n; k++) (*numbers)[k] = random_float();
    snprintf(half, sizeof half, "%s.weight.lora_%c", name, "ab"[i]);
    check_status(
        llama2_source_put_tensor(source, half, LLAMA2_F32, 2, dims[i], *numbers, (uint64_t)n * sizeof(float), 0));
    *numbers += n;
  }
}

/* Random numbers for all matrices, the classifier among them, in the order of the seed. */
static llama2_adapter *make_adapter(const llama2_model *model, uint64_t seed, int64_t rank) {
  llama2_source *source = new_source();
  float *numbers = aligned(1 << 20), *at = numbers;
  char name[64];
  llama2_adapter *adapter;
  random_state = seed;
  llama2_source_put_float(source, "adapter.lora.alpha", 6);
  for (int layer = 0; layer < LAYERS; layer++)
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
      snprintf(name, sizeof name, "blk.%d.%s", layer, matrices[i].name);
      put_pair(source, name, matrices[i].rows, matrices[i].cols, rank, &at);
    }
  put_pair(source, "output", VOCAB, DIM, rank, &at);
  check_status(llama2_source_adapter(source, model, &adapter));
  llama2_adapter_info info = llama2_adapter_describe(adapter);
  CHECK(info.rank == rank && info.ranks == (rank + 15) / 16 * 16 && info.matrices == 15);
  CHECK(info.parameters == (uint64_t)(at - numbers) && info.bytes >= info.parameters * sizeof(float));
  llama2_source_free(source);
  free(numbers);
  return adapter;
}

typedef struct set {
  llama2_adapted of[2];
  int32_t n;
} set;

static llama2_model *model;
static llama2_adapter *one, *two;
static set sets[SETS];
static int32_t text[CONTEXT], expected[SETS][TEXT + 1][DRAWN];

/* What a session draws after text[0..n) with a set: the likeliest. */
static void draw_with(const set *s, int32_t n, int32_t threads, int32_t batch, int32_t *tokens) {
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  llama2_sampling sampling = {0, 1, 1};
  llama2_finish finish;
  int32_t drawn;
  options.threads = threads;
  options.batch = batch;
  check_status(llama2_session_new(model, &options, &session));
  check_status(llama2_session_set_adapters(session, s->of, s->n));
  check_status(llama2_session_eval(session, text, n, NULL));
  check_status(llama2_session_generate(session, &sampling, NULL, 0, tokens, DRAWN, &drawn, &finish));
  CHECK(drawn == DRAWN);
  llama2_session_free(session);
}

static llama2_request request_of(const set *s, int32_t n) {
  llama2_request r = greedy(text, n, DRAWN);
  r.adapters = s->of;
  r.n_adapters = s->n;
  return r;
}

static void check_drawn(int32_t set, int32_t n, const int32_t *tokens) {
  for (int i = 0; i < DRAWN; i++)
    CHECK_THAT(tokens[i] == expected[set][n][i], "set %d, %d tokens: token %d is %d, expected %d", set, n, i, tokens[i],
               expected[set][n][i]);
}

static void expect_all(void) {
  for (int i = 0; i < TEXT; i++) text[i] = (int32_t)random_below(VOCAB);
  for (int s = 0; s < SETS; s++)
    for (int32_t n = 1; n <= TEXT; n++) draw_with(&sets[s], n, 1, 1, expected[s][n]);
  int32_t differ = 0, tokens[DRAWN];
  for (int s = 0; s < SETS; s++)
    for (int k = 0; k < s; k++) differ += memcmp(expected[s][TEXT], expected[k][TEXT], sizeof tokens) != 0;
  CHECK_THAT(differ == SETS * (SETS - 1) / 2, "only %d pairs of sets differ", differ);
  for (int s = 0; s < SETS; s++)
    for (int32_t threads = 1; threads <= 3; threads++) {
      draw_with(&sets[s], TEXT, threads, threads == 1 ? 7 : 64, tokens);
      check_drawn(s, TEXT, tokens);
    }
}

/* Many at once, in pools of any size, with and without pages that are kept. */
static void test_side_by_side(void) {
  enum { N = 24 };
  int64_t paused = 0;
  for (int course = 0; course < 12; course++) {
    llama2_engine_options options = engine_options(course % 3 ? 7 : 8 * N, 1 + 16 * (course % 4));
    options.session.threads = 1 + course % 2;
    options.keep = course % 5 != 0;
    llama2_engine *engine = open_engine(model, options);
    int64_t ids[N];
    int32_t which[N], lengths[N], tokens[N][DRAWN], n[N] = {0};
    for (int i = 0; i < N; i++) {
      which[i] = (int32_t)random_below(SETS);
      lengths[i] = 1 + (int32_t)random_below(TEXT);
      llama2_request r = request_of(&sets[which[i]], lengths[i]);
      r.speculate = (int32_t)random_below(3);
      r.priority = (int32_t)random_below(2);
      ids[i] = submit(engine, r);
    }
    for (int32_t busy = 1; busy;) {
      const llama2_event *events;
      int32_t told = step_once(engine, &events, &busy);
      for (int32_t e = 0; e < told; e++)
        for (int i = 0; i < N; i++)
          if (events[e].request == ids[i] && !events[e].end) tokens[i][n[i]++] = events[e].token;
    }
    for (int i = 0; i < N; i++) {
      CHECK(n[i] == DRAWN);
      check_drawn(which[i], lengths[i], tokens[i]);
    }
    paused += llama2_engine_state_of(engine).pauses;
    check_whole(engine);
    llama2_engine_free(engine);
  }
  CHECK_THAT(paused > 10, "%lld pauses", (long long)paused);
}

/* A fork goes on with its parent's adapters, whatever it says, at once or when there is room. */
static void test_forks(void) {
  for (int course = 0; course < 8; course++) {
    llama2_engine_options options = engine_options(12, 64);
    if (course % 2) options.sequences = 1;
    llama2_engine *engine = open_engine(model, options);
    int32_t busy, n, n_fork, tokens[DRAWN], s = 1 + course % (SETS - 1);
    const llama2_event *events;
    int64_t id = submit(engine, request_of(&sets[s], TEXT)), fork;
    llama2_request r = request_of(&sets[0], TEXT);
    step_once(engine, &events, &busy);
    r.max_tokens = DRAWN - 1;
    check_status(llama2_engine_fork(engine, id, &r, &fork));
    n = 1, n_fork = 0;
    int32_t forked[DRAWN] = {expected[s][TEXT][0]};
    tokens[0] = forked[0];
    while (busy) {
      int32_t told = step_once(engine, &events, &busy);
      for (int32_t e = 0; e < told; e++) {
        if (events[e].end) continue;
        if (events[e].request == id) tokens[n++] = events[e].token;
        if (events[e].request == fork) forked[events[e].index - TEXT] = events[e].token, n_fork++;
      }
    }
    CHECK(n == DRAWN && n_fork >= DRAWN - 2);
    check_drawn(s, TEXT, tokens);
    CHECK(memcmp(forked, tokens, (DRAWN - 1) * sizeof *tokens) == 0);
    check_whole(engine);
    llama2_engine_free(engine);
  }
}

static int32_t cached_of(llama2_engine *engine, const set *s) {
  int32_t tokens[DRAWN], n;
  return run_to_end(engine, submit(engine, request_of(s, TEXT)), tokens, &n).cached;
}

/* Sets are told apart by what is in them; of more than there is a list for, those of late are found. */
static void test_pages_are_found_by_their_set(void) {
  enum { MANY = ROOTS + 6 };
  llama2_engine *engine = open_engine(model, engine_options(6 * MANY, 64));
  set many[MANY];
  CHECK(cached_of(engine, &sets[0]) == 0);
  for (int i = 0; i < MANY; i++) {
    many[i] = (set){{{one, 1 + (float)i}}, 1};
    CHECK(cached_of(engine, &many[i]) == 0 && cached_of(engine, &many[i]) == TEXT - 1);
  }
  CHECK(cached_of(engine, &many[MANY - ROOTS]) == TEXT - 1);
  CHECK(cached_of(engine, &many[0]) == 0 && cached_of(engine, &sets[0]) == TEXT - 1);
  llama2_engine_free(engine);
}

/* One that was freed is not found by another that lies where it lay. */
static void test_an_adapter_after_another(void) {
  llama2_engine *engine = open_engine(model, engine_options(40, 64));
  for (int i = 0; i < 4; i++) {
    llama2_adapter *adapter = make_adapter(model, 7, 3);
    set s = {{{adapter, 1}}, 1};
    CHECK(cached_of(engine, &s) == 0 && cached_of(engine, &s) == TEXT - 1);
    llama2_adapter_free(adapter);
  }
  llama2_engine_free(engine);
}

static void test_files(void) {
  char path[256];
  int32_t tokens[CONTEXT], n, pages;
  write_file(path, "", 0);
  for (int s = 0; s < SETS; s++) {
    llama2_engine *engine = open_engine(model, engine_options(40, 64)),
                  *fresh = open_engine(model, engine_options(40, 64));
    cached_of(engine, &sets[s]);
    for (int k = 0; k < SETS; k++) {
      check_status(llama2_engine_save(engine, text, TEXT, sets[k].of, sets[k].n, path, 1, &pages));
      CHECK(pages == (k == s ? TEXT / KV_PAGE : 0));
    }
    check_status(llama2_engine_save(engine, text, TEXT, sets[s].of, sets[s].n, path, 1, &pages));
    for (int k = 0; k < SETS; k++) {
      llama2_status status = llama2_engine_load(fresh, path, sets[k].of, sets[k].n, tokens, &n);
      if (k != s) check_refused(status, LLAMA2_ERR_FORMAT, "adapters, expected");
      if (k == s) check_status(status);
    }
    CHECK(n == TEXT && memcmp(tokens, text, TEXT * sizeof *text) == 0);
    for (int k = 0; k < SETS; k++) CHECK(cached_of(fresh, &sets[k]) == (k == s ? TEXT / KV_PAGE * KV_PAGE : 0));
    llama2_engine_free(engine);
    llama2_engine_free(fresh);
  }
  unlink(path);
}

static void test_refusals(void) {
  llama2_model *other = make_model(&plain);
  llama2_adapter *strange = make_adapter(other, 1, 2);
  llama2_engine *engine = open_engine(model, engine_options(20, 16));
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  options.threads = 1;
  options.ranks = 17;
  check_status(llama2_session_new(model, &options, &session));
  CHECK(llama2_session_describe(session).ranks == 32);
  const llama2_adapted nine[9] = {
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1},
      {one, 1}
  };
  const llama2_adapted of_other = {strange, 1}, endless = {one, INFINITY}, nothing = {one, NAN};
  const struct {
    const llama2_adapted *of;
    int32_t n;
    const char *words;
  } cases[] = {
      {nine,      9,  "9 adapters, expected 0 to 8"                                                           },
      {nine,      -1, "-1 adapters"                                                                           },
      {&of_other, 1,  "adapter 0 was loaded for another"                                                      },
      {&endless,  1,  "the scale of adapter 0 is inf"                                                         },
      {&nothing,  1,  "the scale of adapter 0 is"                                                             },
      {nine,      3,  "have 48 ranks together (each rounded up to a multiple of 16), but there is room for 32"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_refused(llama2_session_set_adapters(session, cases[i].of, cases[i].n), LLAMA2_ERR_ARGUMENT, cases[i].words);
    if (i == 5) break; /* there is more room in the engine */
    llama2_request r = greedy(text, 3, 1);
    int64_t id;
    r.adapters = cases[i].of;
    r.n_adapters = cases[i].n;
    check_refused(llama2_engine_submit(engine, &r, &id), LLAMA2_ERR_ARGUMENT, cases[i].words);
    int32_t pages, tokens[CONTEXT], n;
    check_refused(llama2_engine_save(engine, text, 3, r.adapters, r.n_adapters, "x", 0, &pages), LLAMA2_ERR_ARGUMENT,
                  cases[i].words);
    check_refused(llama2_engine_load(engine, "x", r.adapters, r.n_adapters, tokens, &n), LLAMA2_ERR_ARGUMENT,
                  cases[i].words);
  }
  check_status(llama2_session_set_adapters(session, nine, 2));
  check_status(llama2_session_eval(session, text, 3, NULL));
  check_refused(llama2_session_set_adapters(session, NULL, 0), LLAMA2_ERR_ARGUMENT, "3 tokens are computed already");
  check_status(llama2_session_truncate(session, 0));
  check_status(llama2_session_set_adapters(session, NULL, 0));
  llama2_session_free(session);
  options.ranks = RANKS_MOST + 1;
  check_refused(llama2_session_new(model, &options, &session), LLAMA2_ERR_ARGUMENT, "ranks is 1048577, expected 0");
  check_whole(engine);
  llama2_engine_free(engine);
  llama2_adapter_free(strange);
  llama2_model_free(other);
}

/* What is wrong with tensors and factors. */
static void test_bad_sources(void) {
  static const float numbers[64 * 64] = {0};
  const struct {
    const char *name;
    int64_t cols, rows;
    const char *words;
  } cases[] = {
      {"blk.0.attn_q.weight.lora_a",  DIM, 2,   "has no blk.0.attn_q.weight.lora_b"       },
      {"blk.0.attn_q.weight.lora_b",  2,   DIM, "is not half of a pair"                   },
      {"blk.2.attn_q.weight.lora_a",  DIM, 2,   "cannot be adapted in a model of 2 layers"},
      {"blk.-1.attn_q.weight.lora_a", DIM, 2,   "cannot be adapted"                       },
      {"blk.0.attn_q.bias.lora_a",    DIM, 2,   "cannot be adapted"                       },
      {"token_embd.weight.lora_a",    DIM, 2,   "cannot be adapted"                       },
      {"blk.0.attn_q.weight",         DIM, 2,   "is not half of a pair"                   },
      {NULL,                          0,   0,   "holds no tensors"                        },
  };
  llama2_adapter *adapter;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    llama2_source *source = new_source();
    llama2_source_put_float(source, "adapter.lora.alpha", 1);
    if (cases[i].name)
      check_status(llama2_source_put_tensor(source, cases[i].name, LLAMA2_F32, 2,
                                            (int64_t[]){cases[i].cols, cases[i].rows}, numbers,
                                            (uint64_t)(cases[i].cols * cases[i].rows) * sizeof(float), 0));
    check_refused(llama2_source_adapter(source, model, &adapter), LLAMA2_ERR_FORMAT, cases[i].words);
    check_refused(llama2_source_adapter(source, model, &adapter), LLAMA2_ERR_FORMAT, "an adapter: ");
    llama2_source_free(source);
  }
}

/* A factor of its own is that of all pairs, said otherwise; an alpha of 0 is a factor of 1. */
static void test_factors(void) {
  enum { RANK = 4, N = DIM * RANK };
  static float a[N], b[N];
  float logits[3][VOCAB];
  for (int i = 0; i < N; i++) a[i] = random_float(), b[i] = random_float();
  for (int i = 0; i < 3; i++) {
    llama2_source *source = new_source();
    llama2_adapter *adapter;
    llama2_session_options options = llama2_session_defaults();
    llama2_session *session;
    options.threads = 1;
    if (i == 0) llama2_source_put_float(source, "adapter.lora.alpha", RANK);
    if (i == 1) llama2_source_put_float(source, "adapter.lora.alpha", 0);
    if (i == 2) llama2_source_put_float(source, "llama2py.lora.scale.blk.1.attn_output.weight", 1);
    check_status(llama2_source_put_tensor(source, "blk.1.attn_output.weight.lora_a", LLAMA2_F32, 2,
                                          (int64_t[]){DIM, RANK}, a, sizeof a, 0));
    check_status(llama2_source_put_tensor(source, "blk.1.attn_output.weight.lora_b", LLAMA2_F32, 2,
                                          (int64_t[]){RANK, DIM}, b, sizeof b, 0));
    check_status(llama2_source_adapter(source, model, &adapter));
    check_status(llama2_session_new(model, &options, &session));
    check_status(llama2_session_set_adapters(session, &(llama2_adapted){adapter, 1}, 1));
    check_status(llama2_session_eval(session, text, 1, logits[i]));
    CHECK(memcmp(logits[i], logits[0], sizeof logits[0]) == 0);
    llama2_session_free(session);
    llama2_adapter_free(adapter);
    llama2_source_free(source);
  }
}

/* Room for ranks is part of the plan. */
static void test_plan(void) {
  uint64_t kv[2], scratch[2];
  for (int i = 0; i < 2; i++) {
    limits l = {.rows = 32, .logits = 4, .pages = 8, .threads = 1, .kv = LLAMA2_F32, .ranks = i ? 512 : 256};
    model->backend->plan_state(&model->config, &l, &kv[i], &scratch[i]);
  }
  CHECK(kv[1] == kv[0] && scratch[1] - scratch[0] == 32 * 3 * 256 * sizeof(float));
}

#ifndef SANITIZED /* a sanitizer cannot do with less address space than it takes */
/* An adapter that does not fit is refused before it is taken. */
static void test_memory(void) {
  llama2_source *source = new_source();
  enum { RANK = 60000 };
  float *numbers = aligned(2 * DIM * RANK * sizeof(float)), *at = numbers;
  llama2_adapter *adapter;
  struct rlimit before, less;
  llama2_source_put_float(source, "adapter.lora.alpha", 1);
  put_pair(source, "blk.0.attn_q", DIM, DIM, RANK, &at);
  CHECK(getrlimit(RLIMIT_AS, &before) == 0);
  less = before;
  less.rlim_cur = 1 << 20;
  CHECK(setrlimit(RLIMIT_AS, &less) == 0);
  llama2_status status = llama2_source_adapter(source, model, &adapter);
  CHECK(setrlimit(RLIMIT_AS, &before) == 0);
  check_refused(status, LLAMA2_ERR_MEMORY, "an adapter: it takes 11.");
  CHECK(llama2_last_error()->required > 2 * DIM * RANK * sizeof(float));
  CHECK(llama2_last_error()->available < llama2_last_error()->required);
  check_status(llama2_source_adapter(source, model, &adapter));
  llama2_adapter_free(adapter);
  llama2_source_free(source);
  free(numbers);
}
#endif

int main(void) {
  model = make_model(&plain);
  one = make_adapter(model, 11, 5);
  two = make_adapter(model, 12, 19);
  const set all[SETS] = {
      {{{NULL, 0}},             0},
      {{{one, 1}},              1},
      {{{one, -0.75f}},         1},
      {{{two, 1}},              1},
      {{{one, 1}, {two, 0.5f}}, 2},
      {{{two, 0.5f}, {two, 1}}, 2},
  };
  memcpy(sets, all, sizeof all);
  expect_all();
  test_side_by_side();
  test_forks();
  test_pages_are_found_by_their_set();
  test_an_adapter_after_another();
  test_files();
  test_refusals();
  test_bad_sources();
  test_factors();
  test_plan();
#ifndef SANITIZED
  if (!emulated()) test_memory();
#endif
  llama2_adapter_free(one);
  llama2_adapter_free(two);
  llama2_adapter_free(NULL);
  llama2_model_free(model);
  return checks_end("test_adapter");
}
