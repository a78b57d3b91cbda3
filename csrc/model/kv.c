#include "model/kv.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"

static uint32_t buckets_for(int32_t n_pages) {
  uint32_t n = 16;
  while (n < (uint32_t)n_pages) n *= 2;
  return n;
}

/* Takes a pool's arrays from an arena, which only counts while it is not open. */
static void lay_out(kv_pool *pool, arena *a) {
  pool->pages = arena_take(a, (uint64_t)pool->n_pages * sizeof *pool->pages);
  pool->free = arena_take(a, (uint64_t)pool->n_pages * sizeof *pool->free);
  pool->buckets = arena_take(a, (uint64_t)pool->n_buckets * sizeof *pool->buckets);
}

uint64_t kv_pool_bytes(int32_t n_pages) {
  kv_pool pool = {.n_pages = n_pages, .n_buckets = buckets_for(n_pages)};
  arena counted = {0};
  lay_out(&pool, &counted);
  return counted.used;
}

void kv_pool_init(kv_pool *pool, void *memory, int32_t n_pages) {
  *pool = (kv_pool){.n_pages = n_pages, .n_buckets = buckets_for(n_pages), .oldest = -1, .newest = -1};
  arena a = {.base = memory, .size = kv_pool_bytes(n_pages)};
  lay_out(pool, &a);
  memset(pool->pages, 0, (size_t)n_pages * sizeof *pool->pages);
  for (int32_t i = 0; i < n_pages; i++) pool->free[i] = n_pages - 1 - i; /* low numbers first */
  for (uint32_t i = 0; i < pool->n_buckets; i++) pool->buckets[i] = -1;
  pool->n_free = n_pages;
}

/* Pages that are kept. */

static int32_t *bucket_of(const kv_pool *pool, uint64_t before) {
  uint64_t h = before * UINT64_C(0x9E3779B97F4A7C15);
  return &pool->buckets[(h ^ h >> 32) & (pool->n_buckets - 1)];
}

/* The kept page after `before` that begins with most of tokens[0..n); *same: how many. -1 where none begins with any. */
static int32_t find(const kv_pool *pool, uint64_t before, const int32_t *tokens, int32_t n, int32_t *same) {
  int32_t best = -1;
  *same = 0;
  for (int32_t page = *bucket_of(pool, before); page >= 0 && *same < n; page = pool->pages[page].next) {
    const kv_page *p = &pool->pages[page];
    if (p->before != before) continue;
    int32_t most = p->n < n ? p->n : n, i = 0;
    while (i < most && p->tokens[i] == tokens[i]) i++;
    if (i > *same) *same = i, best = page;
  }
  return best;
}

/* Keeps a page of the sequence's, the next after those that are kept, as one of n tokens. */
static void register_page(kv_pool *pool, const kv_sequence *sequence, int32_t page, const int32_t *tokens, int32_t n) {
  kv_page *p = &pool->pages[page];
  int32_t *bucket = bucket_of(pool, sequence->serial);
  memcpy(p->tokens, tokens, (size_t)n * sizeof *p->tokens);
  p->n = n;
  p->before = sequence->serial;
  p->serial = ++pool->last_serial;
  p->next = *bucket;
  *bucket = page;
}

/* Pages after it are found no more, and go when they are the oldest. */
static void unregister_page(kv_pool *pool, int32_t page) {
  kv_page *p = &pool->pages[page];
  int32_t *link = bucket_of(pool, p->before);
  while (*link != page) link = &pool->pages[*link].next;
  *link = p->next;
  p->serial = 0;
}

static void unlink_idle(kv_pool *pool, int32_t page) {
  kv_page *p = &pool->pages[page];
  *(p->older >= 0 ? &pool->pages[p->older].newer : &pool->oldest) = p->newer;
  *(p->newer >= 0 ? &pool->pages[p->newer].older : &pool->newest) = p->older;
  pool->n_idle--;
}

static void link_idle(kv_pool *pool, int32_t page) {
  kv_page *p = &pool->pages[page];
  p->older = pool->newest;
  p->newer = -1;
  *(pool->newest >= 0 ? &pool->pages[pool->newest].newer : &pool->oldest) = page;
  pool->newest = page;
  pool->n_idle++;
}

/* A free page, for one user; there must be one that could be taken. */
static int32_t take(kv_pool *pool) {
  int32_t page;
  if (pool->n_free > 0) {
    page = pool->free[--pool->n_free];
  } else {
    page = pool->oldest;
    assert(page >= 0);
    unlink_idle(pool, page);
    unregister_page(pool, page);
  }
  pool->pages[page].users = 1;
  return page;
}

static void use(kv_pool *pool, int32_t page) {
  if (pool->pages[page].users++ == 0) unlink_idle(pool, page);
}

static void leave(kv_pool *pool, int32_t page) {
  kv_page *p = &pool->pages[page];
  assert(p->users > 0);
  if (--p->users > 0) return;
  if (p->serial)
    link_idle(pool, page);
  else
    pool->free[pool->n_free++] = page;
}

/* Sequences. */

/* The page that the next token goes to, if it may not be written: it is somebody else's too, or kept; else NULL. */
static const kv_page *shared_last(const kv_pool *pool, const kv_sequence *s) {
  if (s->length % KV_PAGE == 0) return NULL;
  const kv_page *last = &pool->pages[s->pages[s->length / KV_PAGE]];
  return last->users > 1 || last->serial ? last : NULL;
}

static int32_t new_pages(const kv_sequence *sequence, int32_t tokens) {
  int32_t more = kv_pages_for(tokens) - sequence->n_pages;
  return more > 0 ? more : 0;
}

int32_t kv_wanted(const kv_pool *pool, const kv_sequence *sequence, int32_t tokens) {
  const kv_page *last = shared_last(pool, sequence);
  return new_pages(sequence, tokens) + (last && last->users > 1);
}

bool kv_reserve(kv_pool *pool, kv_sequence *sequence, int32_t tokens, kv_copy *copy) {
  assert(tokens > sequence->length);
  *copy = (kv_copy){-1, -1};
  if (kv_wanted(pool, sequence, tokens) > kv_available(pool)) return false;
  if (shared_last(pool, sequence)) {
    int32_t *last = &sequence->pages[sequence->length / KV_PAGE];
    if (new_pages(sequence, tokens) < kv_available(pool)) {
      *copy = (kv_copy){*last, take(pool)};
      leave(pool, *last);
      *last = copy->to;
    } else {
      unregister_page(pool, *last);
    }
  }
  while (sequence->n_pages < kv_pages_for(tokens)) sequence->pages[sequence->n_pages++] = take(pool);
  return true;
}

void kv_truncate(kv_pool *pool, kv_sequence *sequence, int32_t tokens) {
  assert(tokens >= 0 && tokens <= sequence->length);
  int32_t left = kv_pages_for(tokens), full = tokens / KV_PAGE;
  assert(tokens == 0 || tokens == sequence->length || full >= sequence->n_gone);
  if (sequence->n_kept > full) {
    sequence->n_kept = full;
    sequence->serial =
        full > 0 ? pool->pages[sequence->pages[full]].before : sequence->root; /* the page before it may be gone */
  }
  /* From the last on, so that of pages that are kept those further on go first. */
  while (sequence->n_pages > left) {
    int32_t page = sequence->pages[--sequence->n_pages];
    if (page >= 0) leave(pool, page);
  }
  sequence->length = tokens;
  if (tokens == 0) sequence->n_gone = 0;
}

void kv_forget_before(kv_pool *pool, kv_sequence *sequence, int32_t position) {
  assert(position <= sequence->length);
  for (; (sequence->n_gone + 1) * KV_PAGE <= position; sequence->n_gone++) {
    leave(pool, sequence->pages[sequence->n_gone]);
    sequence->pages[sequence->n_gone] = -1;
  }
}

void kv_fork(kv_pool *pool, const kv_sequence *from, kv_sequence *to) {
  assert(to->n_pages == 0);
  int32_t *pages = to->pages;
  *to = *from;
  to->pages = pages;
  to->n_pages = kv_pages_for(from->length);
  for (int32_t i = 0; i < to->n_pages; i++) {
    pages[i] = from->pages[i];
    if (pages[i] >= 0) use(pool, pages[i]);
  }
}

void kv_keep(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens) {
  for (; (sequence->n_kept + 1) * KV_PAGE <= sequence->length; sequence->n_kept++) {
    int32_t *at = &sequence->pages[sequence->n_kept], same;
    const int32_t *held = tokens + sequence->n_kept * KV_PAGE;
    int32_t like = find(pool, sequence->serial, held, KV_PAGE, &same);
    if (same < KV_PAGE) {
      if (pool->pages[*at].serial) unregister_page(pool, *at); /* kept by another, after a page that is gone */
      register_page(pool, sequence, *at, held, KV_PAGE);
    } else if (like != *at) {
      use(pool, like);
      leave(pool, *at);
      *at = like;
    }
    sequence->serial = pool->pages[*at].serial;
  }
}

void kv_keep_last(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens) {
  kv_keep(pool, sequence, tokens);
  int32_t n = sequence->length % KV_PAGE, same;
  if (n == 0 || shared_last(pool, sequence)) return;
  const int32_t *held = tokens + sequence->n_kept * KV_PAGE;
  find(pool, sequence->serial, held, n, &same);
  if (same < n) register_page(pool, sequence, sequence->pages[sequence->n_kept], held, n);
}

int32_t kv_match(kv_pool *pool, kv_sequence *sequence, const int32_t *tokens, int32_t n) {
  assert(sequence->n_pages == 0 && sequence->n_kept == 0);
  int32_t same = KV_PAGE;
  while (same == KV_PAGE && sequence->length < n) {
    int32_t left = n - sequence->length;
    int32_t page = find(pool, sequence->serial, tokens + sequence->length, left < KV_PAGE ? left : KV_PAGE, &same);
    if (page < 0) break;
    use(pool, page);
    sequence->pages[sequence->n_pages++] = page;
    sequence->length += same;
    if (same < KV_PAGE) break;
    sequence->serial = pool->pages[page].serial;
    sequence->n_kept++;
  }
  return sequence->length;
}
