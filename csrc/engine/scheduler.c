#define _GNU_SOURCE
#include "engine/scheduler.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "engine/request.h"

#define DEFAULT_CHUNK 128
#define LONG_STEP 32 /* rows: a step in which a request has more is not waited for when it is cancelled */

/* Engines. */

static llama2_status resolve(const llama2_model *model, const llama2_engine_options *options,
                             llama2_engine_options *resolved) {
  *resolved = *options;
  RETURN_IF_FAILED(session_options_resolve(&model->config, &options->session, &resolved->session));
  limits l = session_limits(&resolved->session);
  if (options->sequences < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "sequences is %d, expected 0 (%d) or more", options->sequences, l.logits);
  if (options->chunk < 0)
    return status_fail(LLAMA2_ERR_ARGUMENT, "chunk is %d, expected 0 (%d) or more", options->chunk, DEFAULT_CHUNK);
  if (options->draft && options->draft->config.vocab_size != model->config.vocab_size)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "the draft model has a vocabulary of %d, expected the model's %d; take one of the same family",
                       options->draft->config.vocab_size, model->config.vocab_size);
  if (!resolved->sequences || resolved->sequences > l.logits) resolved->sequences = l.logits;
  if (!resolved->chunk) resolved->chunk = DEFAULT_CHUNK;
  return LLAMA2_OK;
}

static limits draft_limits(const llama2_engine_options *resolved) {
  limits l = session_limits(&resolved->session);
  l.logits = resolved->sequences;
  l.ranks = 0;
  return l;
}

/* Has other threads see how things are. */
static void show(llama2_engine *e) {
  llama2_engine_state *s = &e->state;
  s->waiting = 0;
  for (const request *r = e->waiting; r; r = r->next) s->waiting++;
  s->running = e->n_running;
  s->pages = e->x.pool.n_pages;
  s->free = e->x.pool.n_free;
  s->idle = e->x.pool.n_idle;
  pthread_mutex_lock(&e->lock);
  e->stepping = e->interrupted = false;
  e->shown = *s;
  pthread_mutex_unlock(&e->lock);
}

llama2_status engine_new(const llama2_model *model, const llama2_engine_options *options, llama2_engine **engine) {
  llama2_engine_options resolved;
  RETURN_IF_FAILED(resolve(model, options, &resolved));
  llama2_engine *e = mem_new(1, sizeof *e);
  if (!e) return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *e, 0, "no memory for an engine's description");
  limits l = session_limits(&resolved.session);
  void *none;
  llama2_status status = executor_open(&e->x, model, &l, 0, &none);
  if (status == LLAMA2_OK && options->draft) {
    l = draft_limits(&resolved);
    status = executor_open(&e->draft, options->draft, &l, 0, &none);
  }
  if (status != LLAMA2_OK) {
    executor_close(&e->x);
    mem_free(e);
    return status;
  }
  int64_t pool = (int64_t)e->x.limits.pages * KV_PAGE;
  e->options = resolved;
  e->longest = pool < resolved.session.context ? (int32_t)pool : resolved.session.context;
  e->inbox_end = &e->inbox;
  pthread_mutex_init(&e->lock, NULL);
  show(e);
  *engine = e;
  return LLAMA2_OK;
}

void engine_free(llama2_engine *e) {
  if (!e) return;
  while (e->all) {
    request *r = e->all;
    e->all = r->peer;
    request_free(r);
  }
  executor_close(&e->draft);
  executor_close(&e->x);
  pthread_mutex_destroy(&e->lock);
  mem_free(e->events);
  mem_free(e->tops);
  mem_free(e);
}

/* Coming in, from any thread. */

static request *find(llama2_engine *e, int64_t id) {
  request *r = e->all;
  while (r && r->id != id) r = r->peer;
  return r;
}

/* Under the lock. */
static void take_in(llama2_engine *e, request *r) {
  r->id = ++e->last_id;
  r->peer = e->all;
  r->link = &e->all;
  if (e->all) e->all->link = &r->peer;
  e->all = r;
  e->n_all++;
  *e->inbox_end = r;
  e->inbox_end = &r->next;
}

llama2_status engine_submit(llama2_engine *e, const llama2_request *asked, int64_t *id) {
  int32_t context = e->options.session.context, pool = e->x.limits.pages * KV_PAGE;
  int64_t all = (int64_t)asked->n_prompt + (asked->max_tokens > 0 ? asked->max_tokens - 1 : 0);
  if (asked->n_prompt > context)
    return status_fail_sized(
        LLAMA2_ERR_CONTEXT, (uint64_t)asked->n_prompt, (uint64_t)context,
        "a prompt of %d tokens does not fit into the context of %d; shorten it or ask for a larger "
        "context",
        asked->n_prompt, context);
  if (all > context) all = context;
  if (all > pool)
    return status_fail_sized(
        LLAMA2_ERR_CONTEXT, (uint64_t)all, (uint64_t)pool,
        "a request of %lld tokens (%d of prompt) is more than the pool holds, which is %d; ask for "
        "fewer or for a larger pool",
        (long long)all, asked->n_prompt, pool);
  request *r;
  RETURN_IF_FAILED(request_new(e, asked, false, &r));
  pthread_mutex_lock(&e->lock);
  kv_begin(&r->sequence, adapter_root(&e->roots, asked->adapters, asked->n_adapters));
  take_in(e, r);
  *id = r->id;
  pthread_mutex_unlock(&e->lock);
  return LLAMA2_OK;
}

llama2_status engine_fork(llama2_engine *e, int64_t id, const llama2_request *asked, int64_t *fork_id) {
  request *r;
  RETURN_IF_FAILED(request_new(e, asked, true, &r));
  pthread_mutex_lock(&e->lock);
  request *parent = find(e, id);
  if (parent) {
    r->parent = parent;
    parent->n_forks++;
    take_in(e, r);
    *fork_id = r->id;
  }
  pthread_mutex_unlock(&e->lock);
  if (parent) return LLAMA2_OK;
  request_free(r);
  return status_fail(LLAMA2_ERR_ARGUMENT, "there is no request %lld, or it has ended; fork one that goes on",
                     (long long)id);
}

void engine_cancel(llama2_engine *e, int64_t id) {
  pthread_mutex_lock(&e->lock);
  request *r = find(e, id);
  if (r && !atomic_exchange(&r->cancelled, true)) {
    atomic_fetch_add(&e->n_cancelled, 1);
    if (e->computing && r->n_rows > LONG_STEP) atomic_store(&e->x.cancel, 1);
  }
  pthread_mutex_unlock(&e->lock);
}

void engine_interrupt(llama2_engine *e) {
  pthread_mutex_lock(&e->lock);
  if (e->stepping) {
    e->interrupted = true;
    atomic_store(&e->x.cancel, 1);
    atomic_store(&e->draft.cancel, 1);
  }
  pthread_mutex_unlock(&e->lock);
}

/* Events. */

/* Has an array of `room` items hold `wanted`, and as many again. */
static llama2_status grow(void **array, int32_t *room, int64_t wanted, size_t size, const char *what) {
  if (wanted <= *room) return LLAMA2_OK;
  int64_t n = 2 * wanted;
  void *grown = n <= INT32_MAX ? mem_resize(*array, (size_t)n, size) : NULL;
  if (!grown)
    return status_fail_sized(LLAMA2_ERR_MEMORY, (uint64_t)n * size, mem_available(),
                             "no memory for %lld %s of a step; submit fewer requests at a time", (long long)n, what);
  *array = grown;
  *room = (int32_t)n;
  return LLAMA2_OK;
}

/* Room for all that a step can bring about: what comes in from now on waits for the next one. */
static llama2_status make_room(llama2_engine *e) {
  pthread_mutex_lock(&e->lock);
  e->known_id = e->last_id;
  int64_t events = e->n_events + 2 * (int64_t)e->x.limits.rows + e->n_all;
  pthread_mutex_unlock(&e->lock);
  int64_t tops = e->n_tops + (int64_t)e->x.limits.logits * LLAMA2_TOP_MOST;
  RETURN_IF_FAILED(grow((void **)&e->events, &e->events_room, events, sizeof *e->events, "events"));
  return grow((void **)&e->tops, &e->tops_room, tops, sizeof *e->tops, "likeliest tokens");
}

static llama2_event *tell(llama2_engine *e, const request *r, int32_t token, int32_t index, llama2_end end) {
  assert(e->n_events < e->events_room);
  llama2_event *event = &e->events[e->n_events++];
  *event = (llama2_event){
      .request = r->id,
      .token = token,
      .index = index,
      .end = end,
      .top = e->n_tops,
      .cached = r->cached,
      .drafted = r->drafted,
      .accepted = r->accepted,
      .paused = r->paused,
      .began = r->began,
      .seconds = clock_seconds(),
  };
  return event;
}

/* Adds what was wanted of a token's log-probability to its event, the last one, which is taken back where there is none. */
static llama2_status tell_chance(llama2_engine *e, const request *r, int32_t slot, llama2_event *event) {
  const backend *b = e->x.model->backend;
  llama2_status status =
      b->logprobs(e->x.state, slot, event->token, &event->logprob, r->top, e->tops + event->top, &event->n_top);
  if (status == LLAMA2_OK)
    e->n_tops += event->n_top;
  else
    e->n_events--;
  return status;
}

/* Leaving. */

static void leave_pages(llama2_engine *e, request *r) {
  if (e->options.keep) kv_keep_last(&e->x.pool, &r->sequence, r->tokens);
  kv_truncate(&e->x.pool, &r->sequence, 0);
  guess_forget(e, r, 0);
}

/* Gives a fork what its parent has by now; under the lock. */
static void be_born(request *r) {
  const request *parent = r->parent;
  int64_t n_most = (int64_t)parent->n_tokens + r->max_tokens;
  r->n_prompt = r->n_tokens = r->scored = parent->n_tokens;
  if (n_most < r->n_most) r->n_most = (int32_t)n_most;
  memcpy(r->tokens, parent->tokens, (size_t)r->n_tokens * sizeof *r->tokens);
  r->adapters = parent->adapters;
  kv_begin(&r->sequence, parent->sequence.root);
  r->parent->n_forks--;
  r->parent = NULL;
}

/* Ends a request that is in no list but `all`; its last event is told. Forks of it that wait to come in get its tokens
 * first. */
static void end(llama2_engine *e, request *r) {
  leave_pages(e, r);
  pthread_mutex_lock(&e->lock);
  for (request *fork = e->inbox; fork && r->n_forks; fork = fork->next)
    if (fork->parent == r) be_born(fork);
  *r->link = r->peer;
  if (r->peer) r->peer->link = r->link;
  e->n_all--;
  pthread_mutex_unlock(&e->lock);
  request_free(r);
  e->ended = true;
}

static void end_running(llama2_engine *e, request *r) {
  request_remove(&e->running, r);
  e->n_running--;
  end(e, r);
}

/* Gives all pages of a running request back; it will be computed anew. */
static void pause(llama2_engine *e, request *r) {
  request_remove(&e->running, r);
  e->n_running--;
  leave_pages(e, r);
  r->n_rows = 0;
  r->paused++;
  e->state.pauses++;
  request_insert(&e->waiting, r);
}

static request *last_running(const llama2_engine *e) {
  request *r = e->running;
  while (r && r->next) r = r->next;
  return r;
}

/* Coming in, on the computing thread. */

static void begin(llama2_engine *e, request *r) {
  request_insert(&e->running, r);
  e->n_running++;
  if (r->began == 0) r->began = clock_seconds();
}

static void drop_cancelled(llama2_engine *e) {
  if (atomic_exchange(&e->n_cancelled, 0) == 0) return;
  request *const lists[] = {e->waiting, e->running};
  for (int i = 0; i < 2; i++)
    for (request *r = lists[i], *next; r; r = next) {
      next = r->next;
      if (!atomic_load(&r->cancelled)) continue;
      tell(e, r, -1, r->n_tokens, LLAMA2_END_CANCELLED);
      if (i == 1) {
        end_running(e, r);
      } else {
        request_remove(&e->waiting, r);
        end(e, r);
      }
    }
}

/* A fork of a request that runs goes on at once, with its pages, if there is a place; all others wait. */
static void take_inbox(llama2_engine *e) {
  request *full = NULL; /* forks of what filled the context */

  pthread_mutex_lock(&e->lock);
  while (e->inbox && e->inbox->id <= e->known_id) {
    request *r = e->inbox;
    const kv_sequence *shared = r->parent ? &r->parent->sequence : NULL;
    e->inbox = r->next;
    if (atomic_load(&r->cancelled)) atomic_fetch_add(&e->n_cancelled, 1);
    if (r->parent) be_born(r);
    if (r->n_tokens > e->longest) {
      r->next = full;
      full = r;
    } else if (shared && shared->length > 0 && e->n_running < e->options.sequences) {
      kv_fork(&e->x.pool, shared, &r->sequence);
      r->cached = shared->length;
      begin(e, r);
    } else {
      request_insert(&e->waiting, r);
    }
  }
  if (!e->inbox) e->inbox_end = &e->inbox;
  pthread_mutex_unlock(&e->lock);
  for (request *r = full, *next; r; r = next) {
    next = r->next;
    tell(e, r, -1, r->n_tokens, LLAMA2_END_LENGTH);
    end(e, r);
  }
}

/* Tokens that need not be computed if they are found: what comes before the first row whose logits are wanted. */
static int32_t skippable(const request *r) {
  int32_t n = r->n_tokens - 1;
  if (r->scored < r->n_prompt && r->scored - 1 < n) n = r->scored - 1;
  if (r->logits && r->copied < n) n = r->copied;
  return n;
}

/* Whether one that runs is about to compute pages that r could have found. */
static bool awaits(const llama2_engine *e, const request *r, int32_t found) {
  int32_t most = skippable(r);
  for (const request *q = e->running; q; q = q->next) {
    int32_t length = q->sequence.length, common = 0;
    if (q->n_tokens - length <= 1 || q->sequence.root != r->sequence.root) continue;
    while (common < most && common < q->n_tokens && q->tokens[common] == r->tokens[common]) common++;
    common = common / KV_PAGE * KV_PAGE;
    if (common > found && common > length) return true;
  }
  return false;
}

/* Pages that those that run will want before long: for the rest of their texts, and one more each. */
static int32_t promised(const llama2_engine *e) {
  int32_t pages = e->n_running;
  for (const request *q = e->running; q; q = q->next) pages += kv_wanted(&e->x.pool, &q->sequence, q->n_tokens);
  return pages;
}

typedef enum admission { ADMITTED, AWAITS, NO_ROOM } admission;

static admission admit(llama2_engine *e, request *r) {
  kv_pool *pool = &e->x.pool;
  int32_t found = e->options.keep ? kv_match(pool, &r->sequence, r->tokens, skippable(r)) : 0;
  if (e->options.keep && awaits(e, r, found)) {
    kv_truncate(pool, &r->sequence, 0);
    return AWAITS;
  }
  for (;;) {
    bool pages = kv_wanted(pool, &r->sequence, r->n_tokens) + promised(e) <= kv_available(pool);
    if ((pages && e->n_running < e->options.sequences) || e->n_running == 0) break;
    request *last = last_running(e);
    if (last->priority >= r->priority) {
      kv_truncate(pool, &r->sequence, 0);
      return NO_ROOM;
    }
    pause(e, last);
  }
  request_remove(&e->waiting, r);
  r->cached = found;
  e->state.prompt_tokens += r->n_tokens;
  e->state.cached_tokens += found;
  begin(e, r);
  return ADMITTED;
}

static void admit_waiting(llama2_engine *e) {
  for (request *r = e->waiting, *next; r; r = next) {
    next = r->next;
    if (admit(e, r) == NO_ROOM) break;
  }
}

/* A step. */

/* Whether the logits after token t are wanted. */
static bool wants(const request *r, int32_t t) {
  if (t >= r->n_tokens - 1 && r->n_tokens < r->n_most) return true;
  return t < r->n_prompt && ((t + 1 < r->n_prompt && t + 1 >= r->scored) || (r->logits && t >= r->copied));
}

/* How many of the next `n` rows can be computed if `spare` of them may have logits besides one; *used: of these. */
static int32_t rows_within(const request *r, int32_t n, int32_t spare, int32_t *used) {
  int32_t first = r->sequence.length, wanted = 0, i = 0;
  for (; i < n; i++) {
    if (wants(r, first + i) && wanted++ > spare) {
      wanted--;
      break;
    }
  }
  *used = wanted > 1 ? wanted - 1 : 0;
  return i;
}

static int32_t left_to_read(const request *r) {
  int32_t n = r->n_tokens - r->sequence.length;
  return n > 1 ? n : 0;
}

/* How rows of prompts are shared out in a step: of those that are read with the greatest priority each has the same, so
 * that a short one need not wait for a long one; the rest goes to whoever comes first. */
typedef struct shares {
  int32_t priority, each, rest;
} shares;

static int32_t share_of(const shares *s, const request *r) {
  int32_t left = left_to_read(r);
  return r->priority != s->priority ? 0 : left < s->each ? left : s->each;
}

static shares share_out(const llama2_engine *e, int32_t rows) {
  const request *first = e->running;
  while (first && !left_to_read(first)) first = first->next;
  shares s = {.priority = first ? first->priority : 0, .rest = rows};
  int32_t n = 0;
  for (const request *r = first; r; r = r->next) n += r->priority == s.priority && left_to_read(r);
  if (n) s.each = rows / n;
  for (const request *r = first; r; r = r->next) s.rest -= share_of(&s, r);
  return s;
}

/* Lays out the rows of a step: a row and its guesses for each that decodes, and pieces of prompts. Where pages run out, the
 * last of those that run are paused. Returns the number of rows. */
static int32_t lay_rows(llama2_engine *e, int32_t *n_slots) {
  executor *x = &e->x;
  int32_t decoding = 0, guessed = 0, n_rows = 0, used;
  for (request *r = e->running; r; r = r->next) {
    if (r->n_tokens - r->sequence.length == 1) decoding++, guessed += r->n_guessed;
  }
  int32_t prompts = x->limits.rows - decoding - guessed, spare = x->limits.logits - e->n_running - guessed;
  if (decoding && prompts > e->options.chunk) prompts = e->options.chunk;
  shares shares = share_out(e, prompts);
  *n_slots = 0;
  for (request *r = e->running, *next; r; r = next) {
    int32_t first = r->sequence.length, n = r->n_tokens - first;
    bool paused = false;
    if (n == 1) {
      if (kv_wanted(&x->pool, &r->sequence, first + 1 + r->n_guessed) > kv_available(&x->pool)) r->n_guessed = 0;
      n += r->n_guessed;
    } else {
      int32_t own = share_of(&shares, r), more = n - own < shares.rest ? n - own : shares.rest;
      n = rows_within(r, own + more, spare, &used);
      shares.rest -= more;
      spare -= used;
    }
    while (n > 0 && !executor_reserve(x, &r->sequence, first + n)) {
      request *last = last_running(e);
      pause(e, last);
      paused = last == r;
      if (paused) n = 0;
    }
    const adapter_set *adapters = r->adapters.n ? &r->adapters : NULL;
    r->first_row = n_rows;
    r->n_rows = n;
    for (int32_t i = 0; i < n; i++)
      x->rows[n_rows++] =
          (row){r->tokens[first + i], first + i, wants(r, first + i) ? (*n_slots)++ : -1, &r->sequence, adapters};
    next = paused ? NULL : r->next; /* it was the last */
  }
  return n_rows;
}

/* Keeps what is computed, and gives back what is not needed any more. */
static void settle_pages(llama2_engine *e, request *r) {
  int32_t window = e->x.model->config.window;
  kv_truncate(&e->x.pool, &r->sequence, r->sequence.length);
  if (e->options.keep) kv_keep(&e->x.pool, &r->sequence, r->tokens);
  if (window && r->sequence.length >= window)
    kv_forget_before(&e->x.pool, &r->sequence, r->sequence.length - window + 1);
}

/* What rows of the prompt were to tell. */
static llama2_status settle_prompt(llama2_engine *e, request *r, int32_t n) {
  const backend *b = e->x.model->backend;
  size_t vocab = (size_t)e->x.model->config.vocab_size;
  for (int32_t i = 0; i < n; i++) {
    int32_t t = r->sequence.length + i, slot = e->x.rows[r->first_row + i].logits;
    if (slot < 0 || t >= r->n_prompt) continue;
    if (r->logits && t >= r->copied) {
      memcpy(r->logits + (size_t)t * vocab, b->logits(e->x.state, slot), vocab * sizeof *r->logits);
      r->copied = t + 1;
    }
    if (t + 1 < r->n_prompt && t + 1 >= r->scored) {
      RETURN_IF_FAILED(tell_chance(e, r, slot, tell(e, r, r->tokens[t + 1], t + 1, LLAMA2_END_NONE)));
      r->scored = t + 2;
    }
  }
  return LLAMA2_OK;
}

/* Draws from the rows of a request whose tokens are all computed, as long as what was guessed is what is drawn. */
static llama2_status draw(llama2_engine *e, request *r, llama2_end *end) {
  const backend *b = e->x.model->backend;
  int32_t at = r->first_row + r->n_rows - 1 - r->n_guessed;
  for (int32_t right = 0;; right++) {
    int32_t token, slot = e->x.rows[at + right].logits, guessed = r->tokens[r->n_tokens];
    RETURN_IF_FAILED(b->sample(e->x.state, slot, &r->sampling, &token));
    for (int32_t i = 0; i < r->n_stops; i++)
      if (token == r->stops[i]) *end = LLAMA2_END_STOP;
    if (*end) return LLAMA2_OK;
    r->tokens[r->n_tokens++] = token;
    if (r->n_tokens == r->n_most) *end = LLAMA2_END_LENGTH;
    llama2_event *event = tell(e, r, token, r->n_tokens - 1, LLAMA2_END_NONE);
    if (r->logprobs) RETURN_IF_FAILED(tell_chance(e, r, slot, event));
    if (*end || right == r->n_guessed || guessed != token) return LLAMA2_OK;
    r->accepted++;
    r->sequence.length++; /* the guess was computed */
  }
}

/* Takes what a step computed for a request. */
static void settle(llama2_engine *e, request *r) {
  llama2_end ended = LLAMA2_END_NONE;
  int32_t accepted = r->accepted, n = r->n_rows - r->n_guessed;
  llama2_status status = settle_prompt(e, r, n);
  r->sequence.length += n;
  if (status == LLAMA2_OK && r->sequence.length == r->n_tokens) {
    if (r->n_tokens == r->n_most)
      ended = LLAMA2_END_LENGTH;
    else
      status = draw(e, r, &ended);
  }
  if (status != LLAMA2_OK) ended = LLAMA2_END_NUMERIC;
  if (r->n_guessed > 0) {
    /* Guesses that turn out right are worth more of them. */
    accepted = r->accepted - accepted;
    r->drafted += r->n_guessed;
    r->guess = accepted == r->n_guessed ? 2 * r->guess : accepted + 1;
    if (r->guess > r->speculate) r->guess = r->speculate;
  }
  guess_forget(e, r, r->n_tokens - 1); /* what it read of guesses that were wrong */
  settle_pages(e, r);
  if (!ended) return;
  tell(e, r, -1, r->n_tokens, ended);
  end_running(e, r);
}

/* false: it was ended early, and nothing of it is done. */
static bool step_once(llama2_engine *e) {
  pthread_mutex_lock(&e->lock);
  atomic_store(&e->draft.cancel, e->interrupted);
  pthread_mutex_unlock(&e->lock);
  take_inbox(e);
  drop_cancelled(e);
  admit_waiting(e);
  if (!e->running) return true;
  bool whole = guess(e);
  int32_t n_slots, n_rows = whole ? lay_rows(e, &n_slots) : 0;
  if (n_rows > 0) {
    pthread_mutex_lock(&e->lock);
    e->computing = true;
    atomic_store(&e->x.cancel, e->interrupted);
    pthread_mutex_unlock(&e->lock);
    whole = executor_run(&e->x, n_rows, n_slots);
    pthread_mutex_lock(&e->lock);
    e->computing = false;
    pthread_mutex_unlock(&e->lock);
  }
  for (request *r = e->running, *next; r; r = next) {
    next = r->next;
    if (!whole)
      guess_forget(e, r, r->n_tokens), settle_pages(e, r);
    else if (r->n_rows > 0)
      settle(e, r);
  }
  e->state.steps += whole;
  e->state.rows += whole ? n_rows : 0;
  return whole;
}

static bool is_busy(llama2_engine *e) {
  pthread_mutex_lock(&e->lock);
  bool busy = e->all != NULL;
  pthread_mutex_unlock(&e->lock);
  return busy;
}

llama2_status engine_step(llama2_engine *e, double seconds, const llama2_event **events, int32_t *n, int32_t *busy) {
  double until = clock_seconds() + seconds;
  bool interrupted = false;
  llama2_status status = LLAMA2_OK;
  pthread_mutex_lock(&e->lock);
  e->stepping = true;
  pthread_mutex_unlock(&e->lock);
  e->n_events = e->n_tops = 0;
  e->ended = false;
  do {
    status = make_room(e);
    if (status != LLAMA2_OK) break;
    mem_forbid();
    bool whole = step_once(e);
    mem_allow();
    pthread_mutex_lock(&e->lock);
    interrupted = !whole && e->interrupted;
    pthread_mutex_unlock(&e->lock);
  } while (!interrupted && !e->ended && is_busy(e) && clock_seconds() < until);
  show(e);
  *events = e->events;
  *n = e->n_events;
  *busy = is_busy(e);
  return interrupted ? status_fail(LLAMA2_ERR_CANCELLED, "the step was interrupted") : status;
}

llama2_engine_state engine_state(llama2_engine *e) {
  pthread_mutex_lock(&e->lock);
  llama2_engine_state state = e->shown;
  pthread_mutex_unlock(&e->lock);
  return state;
}
