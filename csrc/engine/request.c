#include "engine/request.h"

#include <string.h>

void request_insert(request **list, request *r) {
  while (*list && request_before(*list, r)) list = &(*list)->next;
  r->next = *list;
  *list = r;
}

void request_remove(request **list, request *r) {
  while (*list != r) list = &(*list)->next;
  *list = r->next;
}

/* Takes a request's arrays from an arena, which only counts while it is not open. */
static void lay_out(request *r, arena *a, int64_t n_most, int32_t speculate, bool drafts) {
  uint64_t pages = (uint64_t)kv_pages_for(n_most + speculate) * sizeof(int32_t);
  r->tokens = arena_take(a, (uint64_t)(n_most + speculate) * sizeof(int32_t));
  r->sequence.pages = arena_take(a, pages);
  r->draft.pages = arena_take(a, drafts ? pages : 0);
}

llama2_status request_new(const llama2_engine *e, const llama2_request *asked, bool fork, request **made) {
  int64_t longest = (int64_t)e->longest + 1; /* the last token drawn is not computed */
  int64_t n_most = fork ? longest : (int64_t)asked->n_prompt + asked->max_tokens;
  if (n_most > longest) n_most = longest;
  bool drafts = asked->speculate > 0 && asked->drafts;
  adapter_set adapters = {0};
  if (!fork) RETURN_IF_FAILED(adapter_set_of(e->x.model, &e->x.limits, asked->adapters, asked->n_adapters, &adapters));
  request counted;
  arena memory = {0};
  lay_out(&counted, &memory, n_most, asked->speculate, drafts);
  size_t head = (sizeof(request) + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
  request *r = mem_new(1, head + memory.used);
  if (!r)
    return status_fail_sized(LLAMA2_ERR_MEMORY, head + memory.used, 0, "no memory for a request of %lld tokens",
                             (long long)n_most);
  memory = (arena){(unsigned char *)r + head, memory.used, 0};
  lay_out(r, &memory, n_most, asked->speculate, drafts);
  r->priority = asked->priority;
  r->max_tokens = asked->max_tokens;
  r->n_most = (int32_t)n_most;
  r->sampling = asked->sampling;
  r->n_stops = asked->n_stops;
  if (asked->n_stops) memcpy(r->stops, asked->stops, (size_t)asked->n_stops * sizeof *r->stops);
  r->top = asked->top;
  r->logprobs = asked->logprobs || asked->top;
  r->speculate = r->guess = asked->speculate;
  r->drafts = drafts;
  r->adapters = adapters;
  if (!fork) {
    r->n_prompt = r->n_tokens = asked->n_prompt;
    memcpy(r->tokens, asked->prompt, (size_t)asked->n_prompt * sizeof *r->tokens);
    r->scored = asked->score > 0 ? asked->score : asked->n_prompt;
    r->logits = asked->logits;
  }
  *made = r;
  return LLAMA2_OK;
}

void request_free(request *r) {
  mem_free(r);
}
