/* model/kv: who has which page of the KV cache. How a page's bytes lie is the backend's business. */
#ifndef MODEL_KV_H
#define MODEL_KV_H

#include <stdbool.h>
#include <stdint.h>

#define KV_PAGE 16 /* tokens of a page; a page holds them for all layers */

/* Pages that sequences take and give back. */
typedef struct kv_pool {
  int32_t n_pages, n_free;
  int32_t *free; /* (n_pages): the first n_free are free, the last of them is taken next */
} kv_pool;

/* One sequence's tokens: position i lies in pages[i / KV_PAGE], slot i % KV_PAGE. Pages that no query will see any more,
 * because they lie before the model's window, may be given back: their number is -1. */
typedef struct kv_sequence {
  int32_t *pages; /* room for all that the context needs */
  int32_t n_pages;
  int32_t length; /* tokens that are computed */
} kv_sequence;

static inline int32_t kv_pages_for(int64_t tokens) {
  return (int32_t)((tokens + KV_PAGE - 1) / KV_PAGE);
}

/* free: room for n_pages numbers. */
void kv_pool_init(kv_pool *pool, int32_t *free, int32_t n_pages);

/* Takes pages until the sequence can hold `tokens`; false, with nothing changed, when there are too few. */
bool kv_reserve(kv_pool *pool, kv_sequence *sequence, int32_t tokens);

/* Forgets all but the first `tokens` and gives back the pages that this empties. */
void kv_truncate(kv_pool *pool, kv_sequence *sequence, int32_t tokens);

#endif
