/* api: the border. Checks what callers pass, and turns handles into what the engine works on. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "base/threads.h"
#include "cpu/kernels.h"
#include "cpu/limits.h"
#include "engine/adapter.h"
#include "engine/model.h"
#include "engine/export.h"
#include "engine/quantize.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/session.h"
#include "format/source.h"
#include "model/contents.h"
#include "model/mixture.h"
#include "model/tokenizer_file.h"
#include "text/tokenizer.h"

const char *llama2_version(void) {
  return LLAMA2_VERSION;
}

int32_t llama2_cpu_count(void) {
  return threads_default();
}

const char *llama2_isa_best(void) {
  return kernels_best();
}

llama2_status llama2_limits_measure(const char *isa, int32_t threads, uint64_t bytes, llama2_limits *limits) {
  assert(limits);
  if (threads < 0 || threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", threads, THREADS_MAX);
  if (threads == 0) threads = threads_default();
  uint64_t least = (uint64_t)threads * LIMITS_LINE;
  if (bytes < least)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%llu bytes to read, expected at least %llu for %d threads",
                       (unsigned long long)bytes, (unsigned long long)least, threads);
  return limits_measure(isa, threads, bytes, limits);
}

/* Models. */

const char *llama2_dtype_name(int32_t dtype) {
  const dtype_traits *traits = dtype_find(dtype);
  return traits ? traits->name : NULL;
}

llama2_model_options llama2_model_defaults(void) {
  return (llama2_model_options){.quantize = LLAMA2_KEEP};
}

llama2_session_options llama2_session_defaults(void) {
  return (llama2_session_options){.kv = LLAMA2_KEEP};
}

llama2_status llama2_plan_file(const char *path, const llama2_model_options *options,
                               const llama2_session_options *session, llama2_model_info *info, llama2_plan *plan) {
  assert(path && options && info && plan);
  return model_plan(path, NULL, options, session, info, plan);
}

llama2_status llama2_model_load(const char *path, const llama2_model_options *options,
                                const llama2_session_options *session, llama2_model **model) {
  assert(path && options && model);
  return model_load(path, NULL, options, session, model);
}

void llama2_model_free(llama2_model *model) {
  model_free(model);
}

llama2_model_info llama2_model_describe(const llama2_model *model) {
  assert(model);
  return model->info;
}

/* Files. */

llama2_status llama2_file_open(const char *path, llama2_file **file) {
  assert(path && file);
  return contents_open(path, file);
}

void llama2_file_free(llama2_file *file) {
  contents_free(file);
}

llama2_file_info llama2_file_describe(const llama2_file *file) {
  assert(file);
  return contents_describe(file);
}

llama2_key llama2_file_key(const llama2_file *file, uint64_t index) {
  assert(file && index < contents_describe(file).n_keys);
  return contents_key(file, index);
}

llama2_tensor llama2_file_tensor(const llama2_file *file, uint64_t index) {
  assert(file && index < file->listing.n);
  return contents_tensor(file, index);
}

const char *llama2_quantize_type(int32_t index) {
  const mixture *m = mixture_at(index);
  return m ? m->name : NULL;
}

llama2_quantize_options llama2_quantize_defaults(void) {
  return (llama2_quantize_options){.type = "q8_0", .llama2c = -1};
}

llama2_status llama2_quantize_file(const char *in, const char *out, const llama2_quantize_options *options,
                                   llama2_quantize_result *result) {
  assert(in && out && options && options->type && result);
  return (options->llama2c < 0 ? quantize_checkpoint : export_llama2c)(in, NULL, out, options, result);
}

/* Sources. */

llama2_status llama2_source_new(const char *name, llama2_source **source) {
  assert(name && source);
  return source_new(name, source);
}

void llama2_source_set_mapped(llama2_source *source) {
  assert(source);
  source->mapped = true;
}

void llama2_source_free(llama2_source *source) {
  source_free(source);
}

void llama2_source_put_uint(llama2_source *source, const char *key, uint32_t value) {
  assert(source && key);
  gguf_put_u32(&source->head, key, value);
}

void llama2_source_put_float(llama2_source *source, const char *key, float value) {
  assert(source && key);
  gguf_put_f32(&source->head, key, value);
}

void llama2_source_put_bool(llama2_source *source, const char *key, int value) {
  assert(source && key);
  gguf_put_bool(&source->head, key, value != 0);
}

void llama2_source_put_text(llama2_source *source, const char *key, const char *text, uint64_t n) {
  assert(source && key && (text || n == 0));
  gguf_put_text(&source->head, key, (gguf_text){text, n});
}

void llama2_source_put_ints(llama2_source *source, const char *key, const int32_t *values, uint64_t n) {
  assert(source && key && (values || n == 0));
  gguf_put_array(&source->head, key, GGUF_I32, n);
  for (uint64_t i = 0; i < n; i++) gguf_put_item_i32(&source->head, values[i]);
}

void llama2_source_put_floats(llama2_source *source, const char *key, const float *values, uint64_t n) {
  assert(source && key && (values || n == 0));
  gguf_put_array(&source->head, key, GGUF_F32, n);
  for (uint64_t i = 0; i < n; i++) gguf_put_item_f32(&source->head, values[i]);
}

void llama2_source_put_texts(llama2_source *source, const char *key, const char *texts, const uint64_t *lengths,
                             uint64_t n) {
  assert(source && key && ((texts && lengths) || n == 0));
  gguf_put_array(&source->head, key, GGUF_STRING, n);
  for (uint64_t i = 0; i < n; texts += lengths[i++]) gguf_put_item_text(&source->head, (gguf_text){texts, lengths[i]});
}

llama2_status llama2_source_put_tensor(llama2_source *source, const char *name, int32_t dtype, int32_t n_dims,
                                       const int64_t *dims, const void *data, uint64_t bytes, int64_t split) {
  assert(source && name && dims && data);
  return source_put_tensor(source, name, dtype, n_dims, dims, data, bytes, split);
}

llama2_status llama2_source_join_tensor(llama2_source *source, const char *name, int32_t dtype, int32_t n_dims,
                                        const int64_t *dims, const void *const *pieces, int32_t n_pieces,
                                        uint64_t bytes, int side_by_side) {
  assert(source && name && dims && pieces);
  return source_join_tensor(source, name, dtype, n_dims, dims, pieces, n_pieces, bytes, side_by_side != 0);
}

llama2_status llama2_source_quantize(const llama2_source *source, const char *out,
                                     const llama2_quantize_options *options, llama2_quantize_result *result) {
  assert(source && out && options && options->type && result);
  return (options->llama2c < 0 ? quantize_checkpoint : export_llama2c)(source->name, source, out, options, result);
}

llama2_status llama2_source_plan(const llama2_source *source, const llama2_model_options *options,
                                 const llama2_session_options *session, llama2_model_info *info, llama2_plan *plan) {
  assert(source && options && info && plan);
  return model_plan(source->name, source, options, session, info, plan);
}

llama2_status llama2_source_load(const llama2_source *source, const llama2_model_options *options,
                                 const llama2_session_options *session, llama2_model **model) {
  assert(source && options && model);
  return model_load(source->name, source, options, session, model);
}

llama2_status llama2_source_tokenizer(const llama2_source *source, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  assert(source && tokenizer);
  if (vocab_size < 0) return status_fail(LLAMA2_ERR_ARGUMENT, "vocab_size is %d, expected 0 (any) or more", vocab_size);
  return tokenizer_file_of(source, vocab_size, tokenizer);
}

/* Adapters. */

llama2_status llama2_adapter_load(const llama2_model *model, const char *path, llama2_adapter **adapter) {
  assert(model && path && adapter);
  return adapter_load(model, path, NULL, adapter);
}

llama2_status llama2_source_adapter(const llama2_source *source, const llama2_model *model, llama2_adapter **adapter) {
  assert(source && model && adapter);
  return adapter_load(model, source->name, source, adapter);
}

void llama2_adapter_free(llama2_adapter *adapter) {
  adapter_free(adapter);
}

llama2_adapter_info llama2_adapter_describe(const llama2_adapter *adapter) {
  assert(adapter);
  return adapter->info;
}

/* Sessions. */

llama2_status llama2_session_new(const llama2_model *model, const llama2_session_options *options,
                                 llama2_session **session) {
  assert(model && options && session);
  return session_new(model, options, session);
}

void llama2_session_free(llama2_session *session) {
  session_free(session);
}

llama2_session_options llama2_session_describe(const llama2_session *session) {
  assert(session);
  return session->options;
}

int32_t llama2_session_length(const llama2_session *session) {
  assert(session);
  return session->sequence.length;
}

llama2_status llama2_session_truncate(llama2_session *session, int32_t length) {
  assert(session);
  if (length < 0 || length > session->sequence.length)
    return status_fail(LLAMA2_ERR_ARGUMENT, "cannot truncate to %d tokens, expected 0 to %d", length,
                       session->sequence.length);
  session_truncate(session, length);
  return LLAMA2_OK;
}

llama2_status llama2_session_set_adapters(llama2_session *session, const llama2_adapted *adapters, int32_t n) {
  assert(session && (adapters || n == 0));
  if (session->sequence.length > 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%d tokens are computed already, expected none; truncate to 0 before",
                       session->sequence.length);
  return adapter_set_of(session->x.model, &session->x.limits, adapters, n, &session->adapters);
}

static llama2_status check_sampling(const llama2_sampling *sampling) {
  if (!(sampling->temperature >= 0) || isinf(sampling->temperature))
    return status_fail(LLAMA2_ERR_ARGUMENT, "temperature is %g, expected a finite number of at least 0",
                       (double)sampling->temperature);
  if (!(sampling->top_p >= 0 && sampling->top_p <= 1))
    return status_fail(LLAMA2_ERR_ARGUMENT, "top_p is %g, expected 0 to 1", (double)sampling->top_p);
  if (sampling->rng == 0) return status_fail(LLAMA2_ERR_ARGUMENT, "the random state is 0, expected any other number");
  return LLAMA2_OK;
}

/* Whether tokens[0..n) are of the model's. what: they are, for the message. */
static llama2_status check_ids(const llama2_model *model, const char *what, const int32_t *tokens, int32_t n) {
  int32_t vocab = model->config.vocab_size;
  for (int32_t i = 0; i < n; i++)
    if (tokens[i] < 0 || tokens[i] >= vocab)
      return status_fail(LLAMA2_ERR_ARGUMENT, "token %d of the %s has id %d, expected 0 to %d", i, what, tokens[i],
                         vocab - 1);
  return LLAMA2_OK;
}

/* Whether n tokens may be appended. */
static llama2_status check_tokens(const llama2_session *session, const int32_t *tokens, int32_t n) {
  int32_t length = session->sequence.length, context = session->options.context;
  if (n < 1) return status_fail(LLAMA2_ERR_ARGUMENT, "%d tokens to compute, expected at least 1", n);
  RETURN_IF_FAILED(check_ids(session->x.model, "input", tokens, n));
  if (n > context - length)
    return status_fail_sized(
        LLAMA2_ERR_CONTEXT, (uint64_t)length + (uint64_t)n, (uint64_t)context,
        "%d tokens after %d do not fit into the context of %d; shorten the prompt or ask for a larger context", n,
        length, context);
  return LLAMA2_OK;
}

llama2_status llama2_session_eval(llama2_session *session, const int32_t *tokens, int32_t n, float *logits) {
  assert(session && tokens);
  RETURN_IF_FAILED(check_tokens(session, tokens, n));
  return session_eval(session, tokens, n, logits);
}

llama2_status llama2_session_score(llama2_session *session, const int32_t *tokens, const int32_t *targets, int32_t n,
                                   double *logprobs) {
  assert(session && tokens && targets && logprobs);
  RETURN_IF_FAILED(check_tokens(session, tokens, n));
  int32_t vocab = session->x.model->config.vocab_size;
  for (int32_t i = 0; i < n; i++)
    if (targets[i] >= vocab)
      return status_fail(LLAMA2_ERR_ARGUMENT, "target %d has id %d, expected 0 to %d, or less where none is wanted", i,
                         targets[i], vocab - 1);
  return session_score(session, tokens, targets, n, logprobs);
}

const float *llama2_session_logits(const llama2_session *session) {
  assert(session);
  return session->last_slot < 0 ? NULL : session->x.model->backend->logits(session->x.state, session->last_slot);
}

llama2_status llama2_session_generate(llama2_session *session, llama2_sampling *sampling, const int32_t *stops,
                                      int32_t n_stops, int32_t *tokens, int32_t capacity, int32_t *n_tokens,
                                      llama2_finish *finish) {
  assert(session && sampling && (stops || n_stops == 0) && tokens && n_tokens && finish);
  RETURN_IF_FAILED(check_sampling(sampling));
  if (session->last_slot < 0 && session->pending < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "nothing to go on from: compute at least one token first");
  return session_generate(session, sampling, stops, n_stops, tokens, capacity, n_tokens, finish);
}

float llama2_random(uint64_t *rng) {
  assert(rng && *rng);
  return random_unit(rng);
}

void llama2_session_cancel(llama2_session *session) {
  atomic_store(&session->x.cancel, 1);
}

void llama2_session_set_poll(llama2_session *session, int (*poll)(void *context), void *context) {
  assert(session);
  session->x.poll = poll;
  session->x.poll_context = context;
}

/* Engines. */

llama2_engine_options llama2_engine_defaults(void) {
  return (llama2_engine_options){
      .session = {.kv = LLAMA2_KEEP, .pool = LLAMA2_POOL_MANY},
        .keep = 1
  };
}

llama2_status llama2_engine_new(const llama2_model *model, const llama2_engine_options *options,
                                llama2_engine **engine) {
  assert(model && options && engine);
  return engine_new(model, options, engine);
}

void llama2_engine_free(llama2_engine *engine) {
  engine_free(engine);
}

llama2_engine_options llama2_engine_describe(const llama2_engine *engine) {
  assert(engine);
  return engine->options;
}

/* What does not depend on whether it is a fork. */
static llama2_status check_request(const llama2_engine *engine, const llama2_request *r) {
  const struct {
    const char *name;
    int32_t value, most;
  } numbers[] = {
      {"max_tokens",                r->max_tokens, INT32_MAX            },
      {"the number of stop tokens", r->n_stops,    LLAMA2_STOPS_MOST    },
      {"top",                       r->top,        LLAMA2_TOP_MOST      },
      {"speculate",                 r->speculate,  LLAMA2_SPECULATE_MOST}
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (numbers[i].value < 0 || numbers[i].value > numbers[i].most)
      return status_fail(LLAMA2_ERR_ARGUMENT, "%s is %d, expected 0 to %d", numbers[i].name, numbers[i].value,
                         numbers[i].most);
  if (r->speculate && r->drafts && !engine->options.draft)
    return status_fail(LLAMA2_ERR_ARGUMENT, "drafts are wanted of a draft model, but the engine was made without one");
  return check_sampling(&r->sampling);
}

llama2_status llama2_engine_submit(llama2_engine *engine, const llama2_request *request, int64_t *id) {
  assert(engine && request && id && (request->stops || request->n_stops == 0));
  assert(request->adapters || request->n_adapters == 0);
  RETURN_IF_FAILED(check_request(engine, request));
  if (request->n_prompt < 1)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a prompt of %d tokens, expected at least 1", request->n_prompt);
  RETURN_IF_FAILED(check_ids(engine->x.model, "prompt", request->prompt, request->n_prompt));
  return engine_submit(engine, request, id);
}

llama2_status llama2_engine_fork(llama2_engine *engine, int64_t id, const llama2_request *fork, int64_t *fork_id) {
  assert(engine && fork && fork_id && (fork->stops || fork->n_stops == 0));
  RETURN_IF_FAILED(check_request(engine, fork));
  return engine_fork(engine, id, fork, fork_id);
}

void llama2_engine_cancel(llama2_engine *engine, int64_t id) {
  assert(engine);
  engine_cancel(engine, id);
}

void llama2_engine_interrupt(llama2_engine *engine) {
  assert(engine);
  engine_interrupt(engine);
}

llama2_status llama2_engine_step(llama2_engine *engine, double seconds, const llama2_event **events, int32_t *n,
                                 int32_t *busy) {
  assert(engine && events && n && busy);
  return engine_step(engine, seconds, events, n, busy);
}

const llama2_top *llama2_engine_tops(const llama2_engine *engine) {
  assert(engine);
  return engine->tops;
}

llama2_engine_state llama2_engine_state_of(llama2_engine *engine) {
  assert(engine);
  return engine_state(engine);
}

llama2_status llama2_engine_save(llama2_engine *engine, const int32_t *tokens, int32_t n,
                                 const llama2_adapted *adapters, int32_t n_adapters, const char *path, int32_t replace,
                                 int32_t *pages) {
  assert(engine && (tokens || n == 0) && (adapters || n_adapters == 0) && path && pages);
  if (n < 0 || n > engine->options.session.context)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%d tokens to save, expected 0 to %d, the context", n,
                       engine->options.session.context);
  RETURN_IF_FAILED(check_ids(engine->x.model, "session", tokens, n));
  return engine_save(engine, tokens, n, adapters, n_adapters, path, replace != 0, pages);
}

llama2_status llama2_engine_load(llama2_engine *engine, const char *path, const llama2_adapted *adapters,
                                 int32_t n_adapters, int32_t *tokens, int32_t *n) {
  assert(engine && path && (adapters || n_adapters == 0) && tokens && n);
  return engine_load(engine, path, adapters, n_adapters, tokens, n);
}

/* Tokenizers. */

llama2_status llama2_tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  assert(path && tokenizer);
  if (vocab_size < 0) return status_fail(LLAMA2_ERR_ARGUMENT, "vocab_size is %d, expected 0 (any) or more", vocab_size);
  return tokenizer_file_load(path, vocab_size, tokenizer);
}

llama2_status llama2_tokenizer_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity) {
  assert(checkpoint && path);
  return tokenizer_file_find(checkpoint, vocab_size, path, capacity);
}

llama2_status llama2_tokenizer_write(const llama2_tokenizer *tokenizer, const char *path, int replace) {
  assert(tokenizer && path);
  return tokenizer_write(tokenizer, path, replace != 0);
}

void llama2_tokenizer_free(llama2_tokenizer *tokenizer) {
  tokenizer_free(tokenizer);
}

int32_t llama2_tokenizer_vocab_size(const llama2_tokenizer *tokenizer) {
  assert(tokenizer);
  return tokenizer->vocab_size;
}

int32_t llama2_tokenizer_bos(const llama2_tokenizer *tokenizer) {
  assert(tokenizer);
  return tokenizer->bos;
}

int32_t llama2_tokenizer_eos(const llama2_tokenizer *tokenizer) {
  assert(tokenizer);
  return tokenizer->eos;
}

const int32_t *llama2_tokenizer_eos_ids(const llama2_tokenizer *tokenizer, int32_t *n) {
  assert(tokenizer && n);
  *n = tokenizer->n_eos;
  return tokenizer->eos_ids;
}

llama2_status llama2_tokenizer_encode(const llama2_tokenizer *tokenizer, const char *text, size_t n, int bos, int eos,
                                      int special, int32_t *tokens, size_t capacity, size_t *n_tokens) {
  assert(tokenizer && (text || n == 0) && (tokens || capacity == 0) && n_tokens);
  bool begins = bos < 0 ? tokenizer->add_bos : bos != 0, ends = eos < 0 ? tokenizer->add_eos : eos != 0;
  return tokenizer_encode(tokenizer, text, n, begins, ends, special != 0, tokens, capacity, n_tokens);
}

size_t llama2_text_stream_bound(const llama2_tokenizer *tokenizer) {
  assert(tokenizer);
  return stream_bound(tokenizer);
}

llama2_status llama2_text_stream_push(llama2_text_stream *stream, const llama2_tokenizer *tokenizer, int32_t token,
                                      char *text, size_t capacity, size_t *n) {
  assert(stream && tokenizer && text && n);
  if (token < 0 || token >= tokenizer->vocab_size)
    return status_fail(LLAMA2_ERR_ARGUMENT, "token id %d, expected 0 to %d", token, tokenizer->vocab_size - 1);
  if (capacity < stream_bound(tokenizer))
    return status_fail(LLAMA2_ERR_ARGUMENT, "room for %zu bytes of text, expected at least %zu", capacity,
                       stream_bound(tokenizer));
  *n = stream_push(stream, tokenizer, token, text);
  return LLAMA2_OK;
}

llama2_status llama2_text_stream_end(llama2_text_stream *stream, char *text, size_t capacity, size_t *n) {
  assert(stream && text && n);
  if (capacity < 3)
    return status_fail(LLAMA2_ERR_ARGUMENT, "room for %zu bytes of text, expected at least 3", capacity);
  *n = stream_end(stream, text);
  return LLAMA2_OK;
}
