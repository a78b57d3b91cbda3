/* engine/request: what an engine knows of one request, and the lists that it is in. */
#ifndef ENGINE_REQUEST_H
#define ENGINE_REQUEST_H

#include <pthread.h>

#include "engine/adapter.h"
#include "engine/executor.h"

typedef struct request request;

struct request {
  request *next;         /* in the inbox, among those that wait, or among those that run */
  request *peer, **link; /* among all, guarded by the engine's lock */
  request *parent;       /* of a fork that has no tokens yet; guarded by the lock */
  int64_t id;
  int32_t priority;
  atomic_bool cancelled;
  int32_t n_forks; /* in the inbox; guarded by the lock */

  int32_t n_prompt, max_tokens;
  int32_t n_tokens; /* the prompt's, and those that were drawn */
  int32_t n_most;   /* how many it may come to have */
  int32_t *tokens;  /* (room for n_most, and what is guessed behind them) */
  llama2_sampling sampling;
  int32_t stops[LLAMA2_STOPS_MOST], n_stops;
  bool logprobs;
  int32_t top;
  int32_t
      scored; /* prompt tokens before this one need no log-probability, or have theirs; n_prompt where none is wanted */
  float *logits;
  int32_t copied; /* rows of logits that are filled */

  adapter_set adapters;        /* that the model has, and the draft model has not */
  kv_sequence sequence, draft; /* the model's, and the draft model's */
  int32_t speculate, guess;    /* tokens to guess: at most, and now */
  bool drafts;

  int32_t first_row, n_rows, n_guessed; /* of the step; guesses are the last of the rows */

  int32_t cached, drafted, accepted, paused;
  double began;
};

struct llama2_engine {
  llama2_engine_options options; /* resolved */
  executor x, draft;             /* draft.model is NULL where there is none */
  int32_t longest;               /* tokens that a sequence can have computed */

  pthread_mutex_t lock;
  request *all, *inbox, **inbox_end;
  int64_t last_id, known_id; /* known: the last that the step may take in */
  int32_t n_all;
  adapter_roots roots;                   /* guarded by the lock */
  atomic_int n_cancelled;                /* since the lists were gone through */
  bool stepping, interrupted, computing; /* computing: the rows of those that run do not change */

  request *waiting, *running; /* in order: the greater priority first, of equals the older */
  int32_t n_running;

  llama2_event *events;
  llama2_top *tops;
  int32_t n_events, events_room, n_tops, tops_room;
  bool ended; /* whether a request has, in these steps */

  llama2_engine_state state, shown; /* shown: guarded by the lock */
};

/* Whether a comes before b. */
static inline bool request_before(const request *a, const request *b) {
  return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

/* Puts r where it belongs in a list that is in order. */
void request_insert(request **list, request *r);
/* Takes r out of the list that it is in. */
void request_remove(request **list, request *r);

/* A request with room for its tokens and pages, in no list. fork: its tokens are still to come. */
llama2_status request_new(const llama2_engine *e, const llama2_request *asked, bool fork, request **made);
void request_free(request *r);

/* Guesses what follows the tokens of requests that decode, up to r->guess tokens each: r->n_guessed of them behind
 * r->tokens[r->n_tokens). false: it was interrupted. */
bool guess(llama2_engine *e);

/* Gives back what the draft model holds of a request beyond its first `length` tokens. */
void guess_forget(llama2_engine *e, request *r, int32_t length);

#endif
