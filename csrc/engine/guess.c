/* engine/guess: what may follow, cheaply. Guesses are only ever checked, so none of them can change a token. */
#include "engine/request.h"

#define NGRAM_MOST 4
#define NGRAM_LEAST 2

/* Prompt lookup (Saxena, 2023): what followed the last tokens where they stood before, the longest and latest such. */
static int32_t look_up(int32_t *tokens, int32_t n, int32_t wanted) {
  int32_t best = 0, found = -1;
  for (int32_t end = n - 1; end >= NGRAM_LEAST && best < NGRAM_MOST; end--) { /* tokens[0..end) ends in a match */
    int32_t match = 0;
    while (match < NGRAM_MOST && match < end && tokens[end - 1 - match] == tokens[n - 1 - match]) match++;
    if (match > best) best = match, found = end;
  }
  if (best < NGRAM_LEAST) return 0;
  for (int32_t i = 0; i < wanted; i++) tokens[n + i] = tokens[found + i]; /* may go on into what was guessed */
  return wanted;
}

static bool drafting(const llama2_engine *e, const request *r) {
  return e->draft.model && r->drafts && r->n_guessed > 0;
}

void guess_forget(llama2_engine *e, request *r, int32_t length) {
  if (r->draft.length > length) kv_truncate(&e->draft.pool, &r->draft, length);
}

/* One step of the draft model over all that draft: first what it has not read yet, then a guess each. n: guesses that are
 * there already. */
static bool draft_step(llama2_engine *e, int32_t n) {
  executor *d = &e->draft;
  const backend *b = d->model->backend;
  int32_t n_rows = 0, n_slots = 0;
  for (request *r = e->running; r; r = r->next) {
    r->first_row = -1;
    if (!drafting(e, r) || r->n_guessed <= n) continue;
    int32_t known = r->n_tokens + n, from = r->draft.length, rows = known - from;
    if (rows > d->limits.rows - n_rows) rows = d->limits.rows - n_rows;
    if (rows == 0 || n_slots == d->limits.logits || !executor_reserve(d, &r->draft, from + rows)) {
      r->n_guessed = n;
      continue;
    }
    bool draws = from + rows == known;
    if (!draws) r->n_guessed = 0;
    for (int32_t i = 0; i < rows; i++)
      d->rows[n_rows + i] =
          (row){r->tokens[from + i], from + i, draws && i == rows - 1 ? n_slots : -1, &r->draft, NULL};
    r->first_row = n_rows;
    r->n_rows = rows;
    n_rows += rows;
    n_slots += draws;
  }
  if (n_rows == 0) return true;
  bool whole = executor_run(d, n_rows, n_slots);
  for (request *r = e->running; r; r = r->next) {
    if (r->first_row < 0) continue;
    if (whole) r->draft.length += r->n_rows;
    kv_truncate(&d->pool, &r->draft, r->draft.length);
    int32_t slot = d->rows[r->first_row + r->n_rows - 1].logits;
    if (!whole || slot < 0) continue;
    /* With the random numbers that the model will draw with, so that the two agree more often. */
    llama2_sampling sampling = r->sampling;
    if (sampling.temperature > 0)
      for (int32_t i = 0; i < n; i++) llama2_random(&sampling.rng);
    if (b->sample(d->state, slot, &sampling, &r->tokens[r->n_tokens + n]) != LLAMA2_OK) r->n_guessed = n;
  }
  return whole;
}

bool guess(llama2_engine *e) {
  /* Each that runs may want logits of its own, and each that decodes a row. */
  int32_t slots = e->x.limits.logits - e->n_running, rows = e->x.limits.rows - e->n_running, most = 0;
  for (request *r = e->running; r; r = r->next) {
    int32_t n = r->n_most - r->n_tokens - 1;
    r->n_guessed = 0;
    if (r->n_tokens - r->sequence.length != 1 || r->n_tokens == r->n_prompt) continue;
    if (n > r->guess) n = r->guess;
    if (n > slots) n = slots;
    if (n > rows) n = rows;
    if (n <= 0) continue;
    if (!r->drafts)
      r->n_guessed = look_up(r->tokens, r->n_tokens, n);
    else if (e->draft.model && r->n_tokens + n <= e->draft.model->config.context)
      r->n_guessed = n;
    slots -= r->n_guessed;
    rows -= r->n_guessed;
    if (drafting(e, r) && r->n_guessed > most) most = r->n_guessed;
  }
  for (int32_t n = 0; n < most; n++)
    if (!draft_step(e, n)) return false;
  return true;
}
