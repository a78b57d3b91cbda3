/* model/kv: who has which page of the KV cache, and which pages are found again by the tokens that they hold. How a page's
 * bytes lie is the backend's business.
 *
 * A page holds KV_PAGE tokens for all layers. Sequences share pages: one that several have, or that is kept, is never
 * written. A page that is kept stays after its last sequence has left it, until its room is needed: those that were left
 * longest ago go first. It is found by the page before it and by its tokens, so that what is found is equal in all
 * tokens up to its end; of a page that begins right and goes on otherwise, or is not full, the right part is found. What
 * else pages depend on, as a sequence's adapters, is said by its root, which its first page comes after. */
#ifndef MODEL_KV_H
#define MODEL_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "../llama2.h"

#define KV_PAGE LLAMA2_PAGE /* a page holds its tokens for all layers */

typedef struct kv_page {
  int32_t users;           /* sequences that have it */
  int32_t n;               /* kept: its tokens, KV_PAGE unless it was a sequence's last */
  int32_t tokens[KV_PAGE]; /* kept: (n) */
  uint64_t serial;         /* kept: which it is, never used again; else 0 */
  uint64_t before;         /* kept: serial of the page before it, or the root */
  int32_t next;            /* kept: the next in its bucket, or -1 */
  int32_t older, newer;    /* kept and without users: its neighbours by age, or -1 */
} kv_page;

/* Pages that sequences take and give back. */
typedef struct kv_pool {
  int32_t n_pages;
  int32_t n_free, n_idle; /* idle: kept, and without users */
  int32_t *free;          /* (n_pages): the first n_free are free, the last of them is taken next */
  kv_page *pages;         /* (n_pages) */
  int32_t *buckets;       /* (n_buckets) by the page before: the first page of each, or -1 */
  uint32_t n_buckets;     /* a power of two */
  int32_t oldest, newest; /* idle pages, or -1 */
  uint64_t last_serial;
} kv_pool;

/* One sequence's tokens: position i lies in pages[i / KV_PAGE], slot i % KV_PAGE. Pages that no query will see any more,
 * because they lie before the model's window, may be given back: their number is -1. */
typedef struct kv_sequence {
  int32_t *pages; /* room for all that the context needs */
  int32_t n_pages;
  int32_t length;  /* tokens that are computed */
  int32_t n_kept;  /* leading pages that are kept, or were */
  int32_t n_gone;  /* leading pages that were given back */
  uint64_t serial; /* of the last of the n_kept pages, or the root */
  uint64_t root;   /* 0, or above all serials: only sequences of the same one find one another's pages */
} kv_sequence;

/* A page whose bytes must be copied before the sequence is written; from is -1 where there is none. */
typedef struct kv_copy {
  int32_t from, to;
} kv_copy;

static inline int32_t kv_pages_for(int64_t tokens) {
  return (int32_t)((tokens + KV_PAGE - 1) / KV_PAGE);
}

/* Gives an empty sequence its root. */
static inline void kv_begin(kv_sequence *sequence, uint64_t root) {
  sequence->root = sequence->serial = root;
}

/* Pages that could be taken. */
static inline int32_t kv_available(const kv_pool *pool) {
  return pool->n_free + pool->n_idle;
}

/* Bytes of a pool's bookkeeping, and the pool in them. */
uint64_t kv_pool_bytes(int32_t n_pages);
void kv_pool_init(kv_pool *pool, void *memory, int32_t n_pages);

/* Pages that kv_reserve() must at least take. */
int32_t kv_wanted(const kv_pool *pool, const kv_sequence *sequence, int32_t tokens);

/* Takes pages until the sequence can hold `tokens`, more than its length, and has its last page for itself, which may
 * need a copy; false, with nothing changed, when there are too few. A page that nobody else has is kept no more where there
 * is none for a copy. */
bool kv_reserve(kv_pool *pool, kv_sequence *sequence, int32_t tokens, kv_copy *copy);

/* Forgets all but the first `tokens` and leaves the pages that this empties. Where some were given back, `tokens` is 0, or
 * no less than what these held. */
void kv_truncate(kv_pool *pool, kv_sequence *sequence, int32_t tokens);

/* Gives back the pages that lie wholly before `position`. */
void kv_forget_before(kv_pool *pool, kv_sequence *sequence, int32_t position);

/* Has the empty sequence `to` share all that `from` holds. */
void kv_fork(kv_pool *pool, const kv_sequence *from, kv_sequence *to);

/* Keeps the pages that are full by now. tokens: (length) of the sequence. A page whose like is kept already is given back
 * for that one. */
void kv_keep(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens);

/* Keeps the last page too, full or not, of a sequence that is about to be left. */
void kv_keep_last(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens);

/* Has an empty sequence share kept pages that hold the first of tokens[0..n), the last of them perhaps in part; returns how
 * many tokens that are. */
int32_t kv_match(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens, int32_t n);

#endif
