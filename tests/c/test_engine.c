/* test_engine: requests that come, fork, are cancelled, paused and guessed ahead at random get what each gets alone, to
 * the bit, and no page is lost; for each kind of keys and values, with and without a sliding window. */
#include "engine_kit.h"

#define VOCAB 40
#define CONTEXT 96
#define REQUESTS 48

/* How often what the courses are for came about. */
static long paused, cached, drafted, accepted, forks;

/* What a request is to be told. */
typedef struct expected {
  int64_t id;
  bool done, cancelled;
  int32_t n_prompt, max_tokens, stop, score, top;
  llama2_sampling sampling;
  int32_t prompt[CONTEXT + 1];
  int32_t tokens[CONTEXT + 1], n_tokens; /* told so far */
  double logprobs[CONTEXT + 1];
  double scores[CONTEXT + 1];
  int32_t n_scores;
  float *logits;
} expected;

/* What the request gets alone, from a session. */
static void check_alone(const llama2_model *model, int32_t kv, const expected *e, llama2_end end) {
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  int32_t drawn[CONTEXT + 1], n = 0;
  options.batch = 1 + (int32_t)random_below(20);
  options.threads = 1;
  options.kv = kv;
  check_status(llama2_session_new(model, &options, &session));
  float *logits = aligned((size_t)e->n_prompt * VOCAB * sizeof(float));
  check_status(llama2_session_eval(session, e->prompt, e->n_prompt, logits));
  if (e->logits && e->done && !e->cancelled)
    CHECK(memcmp(logits, e->logits, (size_t)e->n_prompt * VOCAB * sizeof(float)) == 0);
  free(logits);
  llama2_sampling sampling = e->sampling;
  llama2_finish finish = LLAMA2_FINISH_NONE;
  if (e->max_tokens) {
    check_status(
        llama2_session_generate(session, &sampling, &e->stop, e->stop >= 0, drawn, e->max_tokens, &n, &finish));
  }
  if (end == LLAMA2_END_CANCELLED) {
    CHECK(e->n_tokens <= n);
  } else {
    CHECK_THAT(e->n_tokens == n, "%d tokens, expected %d; prompt %d, at most %d, end %d", e->n_tokens, n, e->n_prompt,
               e->max_tokens, end);
    CHECK(end == (finish == LLAMA2_FINISH_STOP ? LLAMA2_END_STOP : LLAMA2_END_LENGTH));
  }
  for (int32_t i = 0; i < e->n_tokens; i++) CHECK(e->tokens[i] == drawn[i]);
  /* The text as a whole, scored. */
  int32_t text[2 * CONTEXT], targets[2 * CONTEXT], length = e->n_prompt + e->n_tokens;
  double scores[2 * CONTEXT];
  memcpy(text, e->prompt, (size_t)e->n_prompt * sizeof *text);
  memcpy(text + e->n_prompt, e->tokens, (size_t)e->n_tokens * sizeof *text);
  for (int32_t i = 0; i + 1 < length; i++) targets[i] = text[i + 1];
  if (length > 1) {
    check_status(llama2_session_truncate(session, 0));
    check_status(llama2_session_score(session, text, targets, length - 1, scores));
  }
  for (int32_t i = 0; i < e->n_tokens; i++) CHECK(e->logprobs[i] == scores[e->n_prompt + i - 1]);
  if (end != LLAMA2_END_CANCELLED) CHECK(e->n_scores == (e->score > 0 ? e->n_prompt - e->score : 0));
  for (int32_t i = 0; i < e->n_scores; i++) CHECK(e->scores[i] == scores[e->score + i - 1]);
  llama2_session_free(session);
}

static llama2_request describe(const expected *e) {
  return (llama2_request){.prompt = e->prompt,
                          .n_prompt = e->n_prompt,
                          .max_tokens = e->max_tokens,
                          .sampling = e->sampling,
                          .stops = &e->stop,
                          .n_stops = e->stop >= 0,
                          .priority = (int32_t)random_below(3),
                          .logprobs = 1,
                          .top = e->top,
                          .score = e->score,
                          .speculate = (int32_t)random_below(3) * 4,
                          .logits = e->logits};
}

static void draw_request(expected *e, const int32_t *common, bool drafts, int32_t longest, llama2_request *asked) {
  memset(e, 0, sizeof *e);
  e->n_prompt = 1 + (int32_t)random_below(longest - 1);
  int32_t shared = (int32_t)random_below(e->n_prompt + 1);
  for (int32_t i = 0; i < e->n_prompt; i++) e->prompt[i] = i < shared ? common[i] : (int32_t)random_below(VOCAB);
  e->max_tokens = (int32_t)random_below(longest - e->n_prompt + 2);
  e->stop = random_below(2) ? (int32_t)random_below(VOCAB) : -1;
  e->score = random_below(3) == 0 && e->n_prompt > 1 ? 1 + (int32_t)random_below(e->n_prompt - 1) : 0;
  e->top = random_below(3) == 0 ? (int32_t)random_below(5) : 0;
  e->sampling = (llama2_sampling){random_below(2) ? 0.0f : 1.0f, random_below(2) ? 0.9f : 1.0f, random_bits() | 1};
  if (random_below(4) == 0) e->logits = aligned((size_t)e->n_prompt * VOCAB * sizeof(float));
  *asked = describe(e);
  asked->drafts = drafts && random_below(2);
}

/* A random course of events in an engine. */
static void run_course(const llama2_model *model, const llama2_model *draft, int32_t kv) {
  llama2_engine_options options = llama2_engine_defaults();
  options.session.kv = kv;
  options.session.threads = 1 + (int32_t)random_below(3);
  options.session.batch = 1 + (int32_t)random_below(40);
  int32_t pages = 2 + (int32_t)random_below(12);
  options.session.pool = pages * KV_PAGE;
  options.sequences = (int32_t)random_below(9);
  options.chunk = (int32_t)random_below(20);
  options.keep = random_below(4) != 0;
  options.draft = draft;
  llama2_engine *engine;
  check_status(llama2_engine_new(model, &options, &engine));
  options = llama2_engine_describe(engine);
  int32_t longest = pages * KV_PAGE < CONTEXT ? pages * KV_PAGE : CONTEXT, common[CONTEXT + 1];
  for (int32_t i = 0; i <= CONTEXT; i++) common[i] = (int32_t)random_below(VOCAB);
  static expected all[REQUESTS];
  int32_t n = 0, ended = 0, busy = 1;
  while (busy || n < REQUESTS) {
    while (n < REQUESTS && random_below(3)) {
      expected *e = &all[n];
      llama2_request asked;
      if (n && random_below(6) == 0) {
        const expected *parent = &all[random_below(n)];
        draw_request(e, common, draft != NULL, longest, &asked);
        free(e->logits);
        e->logits = NULL;
        e->score = 0;
        llama2_status status = llama2_engine_fork(engine, parent->id, &asked, &e->id);
        CHECK(status == (parent->done ? LLAMA2_ERR_ARGUMENT : LLAMA2_OK));
        if (status != LLAMA2_OK) continue;
        forks++;
        /* Steps are on this thread, so that the parent's tokens are those that it was told. */
        e->n_prompt = parent->n_prompt + parent->n_tokens;
        memcpy(e->prompt, parent->prompt, (size_t)parent->n_prompt * sizeof *e->prompt);
        memcpy(e->prompt + parent->n_prompt, parent->tokens, (size_t)parent->n_tokens * sizeof *e->prompt);
        if (e->max_tokens > longest + 1 - e->n_prompt) e->max_tokens = longest + 1 - e->n_prompt;
      } else {
        draw_request(e, common, draft != NULL, longest, &asked);
        check_status(llama2_engine_submit(engine, &asked, &e->id));
      }
      n++;
    }
    if (n && random_below(8) == 0) llama2_engine_cancel(engine, all[random_below(n)].id);
    const llama2_event *events;
    int32_t n_events;
    check_status(llama2_engine_step(engine, random_below(4) ? 0 : 0.001, &events, &n_events, &busy));
    for (int32_t i = 0; i < n_events; i++) {
      const llama2_event *event = &events[i];
      expected *e = all;
      while (e->id != event->request) CHECK(++e < all + n);
      CHECK(!e->done);
      const llama2_top *top = llama2_engine_tops(engine) + event->top;
      for (int32_t k = 0; k < event->n_top; k++) {
        CHECK(top[k].token >= 0 && top[k].token < VOCAB && (k == 0 || top[k].logprob <= top[k - 1].logprob));
        CHECK(top[k].token != event->token || top[k].logprob == event->logprob);
      }
      if (event->end) {
        e->done = true;
        e->cancelled = event->end == LLAMA2_END_CANCELLED;
        ended++;
        check_alone(model, kv, e, (llama2_end)event->end);
        CHECK(event->accepted <= event->drafted);
        paused += event->paused, cached += event->cached, drafted += event->drafted, accepted += event->accepted;
      } else if (event->index < e->n_prompt) {
        CHECK(event->token == e->prompt[event->index] && event->index == e->score + e->n_scores);
        CHECK(event->n_top == e->top);
        e->scores[e->n_scores++] = event->logprob;
      } else {
        CHECK(event->index == e->n_prompt + e->n_tokens && event->n_top == e->top);
        e->logprobs[e->n_tokens] = event->logprob;
        e->tokens[e->n_tokens++] = event->token;
      }
    }
    llama2_engine_state state = llama2_engine_state_of(engine);
    CHECK(state.pages == pages && state.running <= options.sequences);
    CHECK(busy == (state.running + state.waiting > 0));
    if (!busy) CHECK_THAT(state.free + state.idle == pages, "%d pages are lost", pages - state.free - state.idle);
  }
  CHECK(ended == n);
  for (int32_t i = 0; i < n; i++) free(all[i].logits);
  llama2_engine_free(engine);
}

static void test_courses(int32_t kv, int32_t window, int n) {
  const shape large = {16, 2, VOCAB, CONTEXT, window, 0.4f, 1e-5f}, small = {8, 1, VOCAB, CONTEXT, 0, 0.4f, 1e-5f};
  llama2_model *model = make_model(&large), *draft = make_model(&small);
  for (int i = 0; i < n; i++) run_course(model, i % 3 ? NULL : i % 2 ? model : draft, kv);
  llama2_model_free(draft);
  llama2_model_free(model);
}

int main(void) {
  test_courses(LLAMA2_F32, 0, 18);
  test_courses(LLAMA2_F16, 0, 6);
  test_courses(LLAMA2_Q8_0, 0, 6);
  test_courses(LLAMA2_F32, 7, 6);
  test_courses(LLAMA2_F16, 16, 6);
  test_courses(LLAMA2_Q8_0, 33, 6);
  CHECK_THAT(paused > 100 && cached > 1000 && forks > 100 && accepted > 1000 && drafted > accepted,
             "%ld pauses, %ld tokens found, %ld forks, %ld of %ld guesses right", paused, cached, forks, accepted,
             drafted);
  return checks_end("test_engine");
}
