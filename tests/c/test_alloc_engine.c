/* test_alloc_engine: each allocation of an engine fails in turn. What was asked for before is computed all the same once
 * there is memory again. */
#include "fail_each.h"
#include "engine_kit.h"

#include <unistd.h>

static const shape plain = {16, 2, 40, 96, 0, 0.4f, 1e-5f}, small = {8, 1, 40, 96, 0, 0.4f, 1e-5f};
static const int32_t prompt[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static llama2_model *model, *draft;
static llama2_engine *engine; /* what is tried on */
static int64_t parent;
static char path[300];

static llama2_engine_options drafting(void) {
  llama2_engine_options options = engine_options(8, 24);
  options.draft = draft;
  return options;
}

static llama2_status try_new(void) {
  llama2_engine_options options = drafting();
  llama2_engine *made = NULL;
  llama2_status status = llama2_engine_new(model, &options, &made);
  CHECK((made != NULL) == (status == LLAMA2_OK));
  llama2_engine_free(made);
  return status;
}

/* In an engine of its own, whose making is not what fails. */
static llama2_status in_new_engine(llama2_status (*attempt)(void)) {
  long failing = fail_at, before = allocations;
  fail_at = -1;
  engine = open_engine(model, drafting());
  parent = submit(engine, greedy(prompt, 9, 20));
  fail_at = failing;
  allocations = before;
  llama2_status status = attempt();
  failing = fail_at, before = allocations;
  fail_at = -1;
  int32_t tokens[96], n;
  CHECK(run_to_end(engine, parent, tokens, &n).end == LLAMA2_END_LENGTH);
  for (int32_t busy = 1; busy;) {
    const llama2_event *events;
    step_once(engine, &events, &busy);
  }
  check_whole(engine);
  llama2_engine_free(engine);
  fail_at = failing;
  allocations = before;
  return status;
}

/* Of one tensor, and its other half. */
static llama2_status try_adapter(void) {
  static const float a[16] = {1}, b[16] = {1};
  llama2_source *source = NULL;
  llama2_adapter *adapter = NULL;
  llama2_status status = llama2_source_new("an adapter", &source);
  if (status == LLAMA2_OK) {
    llama2_source_put_text(source, "general.type", "adapter", 7);
    llama2_source_put_text(source, "general.architecture", "llama", 5);
    llama2_source_put_text(source, "adapter.type", "lora", 4);
    llama2_source_put_float(source, "adapter.lora.alpha", 1);
    status = llama2_source_put_tensor(source, "blk.0.attn_q.weight.lora_a", LLAMA2_F32, 2, (int64_t[]){16, 1}, a,
                                      sizeof a, 0);
  }
  if (status == LLAMA2_OK)
    status = llama2_source_put_tensor(source, "blk.0.attn_q.weight.lora_b", LLAMA2_F32, 2, (int64_t[]){1, 16}, b,
                                      sizeof b, 0);
  if (status == LLAMA2_OK) status = llama2_source_adapter(source, model, &adapter);
  CHECK((adapter != NULL) == (status == LLAMA2_OK));
  llama2_adapter_free(adapter);
  llama2_source_free(source);
  return status;
}

static llama2_status submit_once(void) {
  llama2_request r = greedy(prompt, 20, 10);
  int64_t id = 0;
  r.speculate = r.drafts = 1;
  llama2_status status = llama2_engine_submit(engine, &r, &id);
  CHECK((id > 0) == (status == LLAMA2_OK));
  return status;
}

static llama2_status fork_once(void) {
  llama2_request r = greedy(NULL, 0, 10);
  int64_t id = 0;
  llama2_status status = llama2_engine_fork(engine, parent, &r, &id);
  CHECK((id > 0) == (status == LLAMA2_OK));
  return status;
}

/* With more requests than there is room for to begin with; the first of them has its tokens told before or after. */
static llama2_status step_some(void) {
  const llama2_event *events = NULL;
  int32_t n = 0, busy = 0;
  llama2_status status = llama2_engine_step(engine, 0, &events, &n, &busy);
  CHECK(busy && (n > 0) == (status == LLAMA2_OK));
  if (status != LLAMA2_OK) CHECK(llama2_engine_state_of(engine).rows == 0);
  return status;
}

static llama2_status try_submit(void) {
  return in_new_engine(submit_once);
}

static llama2_status try_fork(void) {
  return in_new_engine(fork_once);
}

static llama2_status try_step(void) {
  return in_new_engine(step_some);
}

/* Of what the engine keeps. */
static llama2_status try_save(void) {
  int32_t pages = -1;
  llama2_status status = llama2_engine_save(engine, prompt, 20, NULL, 0, path, 1, &pages);
  CHECK(pages == (status == LLAMA2_OK ? 1 : -1));
  return status;
}

static llama2_status try_load(void) {
  int32_t tokens[96], n = -1;
  llama2_status status = llama2_engine_load(engine, path, NULL, 0, tokens, &n);
  CHECK(n == (status == LLAMA2_OK ? 20 : -1));
  return status;
}

int main(void) {
  model = make_model(&plain);
  draft = make_model(&small);
  fail_each("engine", try_new, 8);
  fail_each("adapter", try_adapter, 5);
  fail_each("submit", try_submit, 1);
  fail_each("fork", try_fork, 1);
  fail_each("step", try_step, 2);
  int32_t tokens[96], n;
  engine = open_engine(model, drafting());
  run_to_end(engine, submit(engine, greedy(prompt, 20, 4)), tokens, &n);
  write_file(path, "", 0);
  fail_each("save", try_save, 4);
  fail_each("load", try_load, 1);
  check_whole(engine);
  CHECK(unlink(path) == 0);
  llama2_engine_free(engine);
  llama2_model_free(draft);
  llama2_model_free(model);
  CHECK(alive == 0);
  return checks_end("test_alloc_engine");
}
