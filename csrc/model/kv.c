#include "model/kv.h"

#include <assert.h>

void kv_pool_init(kv_pool *pool, int32_t *free, int32_t n_pages) {
  *pool = (kv_pool){n_pages, n_pages, free};
  for (int32_t i = 0; i < n_pages; i++) free[i] = n_pages - 1 - i; /* low numbers first */
}

bool kv_reserve(kv_pool *pool, kv_sequence *sequence, int32_t tokens) {
  int32_t wanted = kv_pages_for(tokens);
  if (wanted - sequence->n_pages > pool->n_free) return false;
  while (sequence->n_pages < wanted) sequence->pages[sequence->n_pages++] = pool->free[--pool->n_free];
  return true;
}

void kv_truncate(kv_pool *pool, kv_sequence *sequence, int32_t tokens) {
  assert(tokens >= 0 && tokens <= sequence->length);
  int32_t kept = kv_pages_for(tokens);
  while (sequence->n_pages > kept) pool->free[pool->n_free++] = sequence->pages[--sequence->n_pages];
  sequence->length = tokens;
}
