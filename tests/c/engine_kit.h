/* engine_kit: what the tests of engines share: small models of random weights, and an engine that is stepped to the end of
 * a request. */
#ifndef ENGINE_KIT_H
#define ENGINE_KIT_H

#include "check.h"

#include "llama2.h"
#include "model/kv.h"

/* A model's shape; two heads to one of keys and values. */
typedef struct shape {
  int32_t dim, layers, vocab, context;
  int32_t window; /* 0: none */
  float scale;    /* of the weights */
  float eps;      /* of norms */
} shape;

static inline void check_status(llama2_status status) {
  CHECK_THAT(status == LLAMA2_OK, "%s", llama2_last_error()->message);
}

/* Whether a call was refused for this reason, in one line with these words. */
static inline void check_refused(llama2_status found, llama2_status expected, const char *words) {
  const llama2_error *error = llama2_last_error();
  CHECK_THAT(found == expected && error->status == expected && strstr(error->message, words), "status %d: %s", found,
             error->message);
}

static inline llama2_model *make_model(const shape *s) {
  enum { HIDDEN = 24, HEADS = 2, TENSORS = 9 };
  const int64_t dim = s->dim, head = dim / HEADS;
  const struct {
    const char *name;
    int64_t rows, cols; /* rows 0: a vector */
  } tensors[TENSORS] = {
      {"attn_norm",   0,      dim   },
      {"attn_q",      dim,    dim   },
      {"attn_k",      head,   dim   },
      {"attn_v",      head,   dim   },
      {"attn_output", dim,    dim   },
      {"ffn_norm",    0,      dim   },
      {"ffn_gate",    HIDDEN, dim   },
      {"ffn_up",      HIDDEN, dim   },
      {"ffn_down",    dim,    HIDDEN},
  };
  llama2_source *source;
  check_status(llama2_source_new("random weights", &source));
  llama2_source_put_text(source, "general.architecture", "llama", 5);
  llama2_source_put_uint(source, "llama.block_count", (uint32_t)s->layers);
  llama2_source_put_uint(source, "llama.embedding_length", (uint32_t)dim);
  llama2_source_put_uint(source, "llama.feed_forward_length", HIDDEN);
  llama2_source_put_uint(source, "llama.context_length", (uint32_t)s->context);
  llama2_source_put_uint(source, "llama.attention.head_count", HEADS);
  llama2_source_put_uint(source, "llama.attention.head_count_kv", 1);
  llama2_source_put_float(source, "llama.attention.layer_norm_rms_epsilon", s->eps);
  if (s->window) llama2_source_put_uint(source, "llama.attention.sliding_window", (uint32_t)s->window);
  int64_t most = (s->vocab > HIDDEN ? s->vocab : HIDDEN) * dim, n_tensors = 2 + s->layers * TENSORS;
  if (most < dim * dim) most = dim * dim;
  float *weights = aligned((size_t)(n_tensors * most) * sizeof(float));
  for (int64_t i = 0; i < n_tensors * most; i++) weights[i] = random_float() * s->scale;
  for (int64_t i = 0; i < n_tensors; i++) {
    char name[64];
    int64_t at = (i - 2) % TENSORS, rows = i == 0 ? s->vocab : i == 1 ? 0 : tensors[at].rows;
    int64_t dims[2] = {i < 2 ? dim : tensors[at].cols, rows};
    if (i < 2)
      snprintf(name, sizeof name, "%s.weight", i ? "output_norm" : "token_embd");
    else
      snprintf(name, sizeof name, "blk.%d.%s.weight", (int)((i - 2) / TENSORS), tensors[at].name);
    check_status(llama2_source_put_tensor(source, name, LLAMA2_F32, rows ? 2 : 1, dims, weights + i * most,
                                          (uint64_t)(dims[0] * (rows ? rows : 1)) * sizeof(float), 0));
  }
  llama2_model_options options = llama2_model_defaults();
  options.threads = 1;
  llama2_model *model;
  check_status(llama2_source_load(source, &options, NULL, &model));
  llama2_source_free(source);
  free(weights);
  return model;
}

/* One thread, a pool of so many pages. */
static inline llama2_engine_options engine_options(int32_t pages, int32_t batch) {
  llama2_engine_options options = llama2_engine_defaults();
  options.session.threads = 1;
  options.session.batch = batch;
  options.session.pool = pages * KV_PAGE;
  return options;
}

static inline llama2_engine *open_engine(const llama2_model *model, llama2_engine_options options) {
  llama2_engine *engine;
  check_status(llama2_engine_new(model, &options, &engine));
  return engine;
}

/* The likeliest tokens after a prompt. */
static inline llama2_request greedy(const int32_t *prompt, int32_t n_prompt, int32_t max_tokens) {
  return (llama2_request){
      .prompt = prompt, .n_prompt = n_prompt, .max_tokens = max_tokens, .sampling = {0, 1, 1}
  };
}

static inline int64_t submit(llama2_engine *engine, llama2_request request) {
  int64_t id;
  check_status(llama2_engine_submit(engine, &request, &id));
  return id;
}

/* One step. */
static inline int32_t step_once(llama2_engine *engine, const llama2_event **events, int32_t *busy) {
  int32_t n;
  check_status(llama2_engine_step(engine, 0, events, &n, busy));
  return n;
}

/* Steps until the request ends: how, and with which tokens; what others are told is passed over. */
static inline llama2_event run_to_end(llama2_engine *engine, int64_t id, int32_t *tokens, int32_t *n_tokens) {
  int32_t busy = 1;
  *n_tokens = 0;
  while (busy) {
    const llama2_event *events;
    int32_t n = step_once(engine, &events, &busy);
    for (int32_t i = 0; i < n; i++) {
      if (events[i].request != id) continue;
      if (events[i].end) return events[i];
      tokens[(*n_tokens)++] = events[i].token;
    }
  }
  CHECK_THAT(false, "request %lld never ends", (long long)id);
  return (llama2_event){0};
}

static inline void check_whole(llama2_engine *engine) {
  llama2_engine_state s = llama2_engine_state_of(engine);
  CHECK_THAT(s.running == 0 && s.waiting == 0 && s.free + s.idle == s.pages, "%d run, %d wait, %d of %d pages are lost",
             s.running, s.waiting, s.pages - s.free - s.idle, s.pages);
}

/* What a session draws, the likeliest: n tokens, or less where the context ends. */
static inline int32_t draw_alone(const llama2_model *model, int32_t kv, const int32_t *prompt, int32_t n_prompt,
                                 int32_t *tokens, int32_t n) {
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  llama2_sampling sampling = {0, 1, 1};
  llama2_finish finish;
  int32_t drawn = 0;
  options.threads = 1;
  options.kv = kv;
  check_status(llama2_session_new(model, &options, &session));
  check_status(llama2_session_eval(session, prompt, n_prompt, NULL));
  check_status(llama2_session_generate(session, &sampling, NULL, 0, tokens, n, &drawn, &finish));
  llama2_session_free(session);
  return drawn;
}

#endif
