/* test_kv: pages of KV pools under random courses, against sequences that are written out in full: no page is lost, what
 * others have is never handed out to be written, what is found holds just these tokens, and the page that was left
 * longest ago goes first. */
#include "check.h"

#include "model/kv.h"

enum { PAGES = 12, SEQUENCES = 5, LONGEST = 9 * KV_PAGE, STEPS = 3000 };

/* What a page holds, as if it were computed: all tokens up to its end. -1 where nothing is yet. */
typedef struct content {
  uint64_t root;
  int32_t n; /* tokens before and in it */
  int32_t tokens[LONGEST];
} content;

typedef struct reference {
  kv_pool pool;
  void *memory;
  kv_sequence sequences[SEQUENCES];
  int32_t tokens[SEQUENCES][LONGEST];
  bool keeps[SEQUENCES]; /* whether all that is full is kept */
  content contents[PAGES];
  int32_t left[PAGES]; /* idle pages, the one left longest ago first; as the pool has it */
} reference;

static long left_whole, evicted, matched, parts, collided, copied, refused;

static void open_reference(reference *r, int32_t n_pages) {
  memset(r, 0, sizeof *r);
  r->memory = aligned((size_t)kv_pool_bytes(n_pages));
  kv_pool_init(&r->pool, r->memory, n_pages);
  for (int i = 0; i < SEQUENCES; i++) r->sequences[i].pages = aligned(LONGEST / KV_PAGE * sizeof(int32_t));
}

static void close_reference(reference *r) {
  for (int i = 0; i < SEQUENCES; i++) free(r->sequences[i].pages);
  free(r->memory);
}

/* Pages by what is said of them. */
static void check_pool(const reference *r) {
  const kv_pool *p = &r->pool;
  int32_t users[PAGES] = {0}, seen[PAGES] = {0}, n_idle = 0;
  for (int i = 0; i < SEQUENCES; i++) {
    const kv_sequence *s = &r->sequences[i];
    CHECK(s->n_pages >= kv_pages_for(s->length) && s->n_kept * KV_PAGE <= s->length);
    for (int32_t k = 0; k < s->n_pages; k++) {
      CHECK((s->pages[k] < 0) == (k < s->n_gone));
      if (k < s->n_gone) continue;
      users[s->pages[k]]++;
      int32_t n = (k + 1) * KV_PAGE < s->length ? (k + 1) * KV_PAGE : s->length;
      if (n <= k * KV_PAGE) continue; /* nothing in it yet */
      const content *c = &r->contents[s->pages[k]];
      CHECK_THAT(c->root == s->root && c->n >= n && memcmp(c->tokens, r->tokens[i], (size_t)n * sizeof(int32_t)) == 0,
                 "page %d of sequence %d holds something else", k, i);
    }
  }
  for (int32_t i = 0; i < p->n_free; i++) seen[p->free[i]]++;
  for (int32_t at = p->oldest, before = -1; at >= 0; before = at, at = p->pages[at].newer) {
    CHECK(p->pages[at].older == before && p->pages[at].serial);
    CHECK_THAT(r->left[n_idle] == at, "page %d is the %dth to go, expected %d", at, n_idle, r->left[n_idle]);
    seen[at]++, n_idle++;
  }
  CHECK(n_idle == p->n_idle);
  for (int32_t i = 0; i < p->n_pages; i++) {
    CHECK_THAT(p->pages[i].users == users[i], "page %d has %d users, expected %d", i, p->pages[i].users, users[i]);
    CHECK_THAT(seen[i] == (users[i] == 0), "page %d is lost", i);
  }
  int32_t n_kept = 0, found = 0;
  for (int32_t i = 0; i < p->n_pages; i++) n_kept += p->pages[i].serial != 0;
  for (uint32_t b = 0; b < p->n_buckets; b++) {
    for (int32_t at = p->buckets[b]; at >= 0; at = p->pages[at].next) found++;
    collided += p->buckets[b] >= 0 && p->pages[p->buckets[b]].next >= 0;
  }
  CHECK_THAT(found == n_kept, "%d kept pages are in buckets, expected %d", found, n_kept);
}

/* Follows which pages were left, and in which order: those that are idle now and were not before come last. leaving: pages
 * in the order in which they were left. */
static void follow_left(reference *r, const int32_t *leaving, int32_t n_leaving) {
  int32_t n = 0, list[2 * PAGES];
  for (int32_t i = 0; i < PAGES && r->left[i] >= 0; i++) {
    const kv_page *p = &r->pool.pages[r->left[i]];
    bool again = false;
    for (int32_t k = 0; k < n_leaving; k++) again = again || leaving[k] == r->left[i];
    if (p->serial && p->users == 0 && !again) list[n++] = r->left[i];
  }
  for (int32_t k = 0; k < n_leaving; k++) {
    const kv_page *p = &r->pool.pages[leaving[k]];
    bool later = false;
    for (int32_t j = k + 1; j < n_leaving; j++) later = later || leaving[j] == leaving[k];
    if (p->serial && p->users == 0 && !later) list[n++] = leaving[k];
  }
  CHECK(n <= PAGES);
  for (int32_t i = 0; i < PAGES; i++) r->left[i] = i < n ? list[i] : -1;
}

/* An empty sequence may become one of another root. */
static void begin(kv_sequence *s) {
  if (s->n_pages == 0) kv_begin(s, (uint64_t)random_below(2) << 63);
}

/* Room for some more tokens, and the tokens computed. */
static void grow(reference *r, int i, bool few) {
  kv_pool *p = &r->pool;
  kv_sequence *s = &r->sequences[i];
  begin(s);
  int32_t room = LONGEST - s->length, kinds = few ? 1 : 3;
  if (room == 0) return;
  int32_t more = 1 + (int32_t)random_below(room < 40 ? room : 40), tokens = s->length + more;
  int32_t before[LONGEST / KV_PAGE], n_before = s->n_pages, n_free = p->n_free, wanted = kv_wanted(p, s, tokens);
  bool kept[PAGES], used[PAGES];
  int32_t oldest[PAGES];
  memcpy(before, s->pages, (size_t)n_before * sizeof *before);
  memcpy(oldest, r->left, sizeof oldest);
  for (int32_t k = 0; k < p->n_pages; k++) kept[k] = p->pages[k].serial, used[k] = p->pages[k].users > 0;
  kv_copy copy;
  bool sole = s->length % KV_PAGE && p->pages[s->pages[s->length / KV_PAGE]].users == 1;
  if (!kv_reserve(p, s, tokens, &copy)) {
    CHECK(wanted > kv_available(p) && s->n_pages == n_before &&
          memcmp(before, s->pages, (size_t)n_before * sizeof *before) == 0);
    refused++;
    check_pool(r);
    return;
  }
  int32_t n_taken = 0, n_evicted = 0;
  for (int32_t k = s->length / KV_PAGE; k < s->n_pages; k++) {
    int32_t page = s->pages[k];
    CHECK_THAT(p->pages[page].users == 1 && !p->pages[page].serial, "page %d is to be written, but is not its own", k);
    if (k < n_before && before[k] == page) continue;
    n_taken++;
    CHECK(!used[page]);
    if (kept[page]) { /* in the order of age, and only once none is free */
      CHECK_THAT(page == oldest[n_evicted], "page %d goes, expected %d", page, oldest[n_evicted]);
      n_evicted++;
    }
    r->contents[page].n = 0;
  }
  /* A copy for a page that nobody else has is made only where there is a page for it. */
  bool spared = copy.from >= 0 && sole;
  CHECK_THAT(n_taken == wanted + spared, "%d pages are taken, expected %d", n_taken, wanted + spared);
  CHECK(n_evicted == (n_taken > n_free ? n_taken - n_free : 0));
  evicted += n_evicted;
  follow_left(r, &copy.from, copy.from >= 0);
  if (copy.from >= 0) {
    CHECK(s->length % KV_PAGE && copy.to == s->pages[s->length / KV_PAGE] && copy.from == before[s->length / KV_PAGE]);
    r->contents[copy.to] = r->contents[copy.from];
    copied++;
  }
  for (int32_t t = s->length; t < tokens; t++) {
    r->tokens[i][t] = (int32_t)random_below(kinds);
    content *c = &r->contents[s->pages[t / KV_PAGE]];
    c->root = s->root;
    c->n = t + 1;
    memcpy(c->tokens, r->tokens[i], (size_t)(t + 1) * sizeof(int32_t));
  }
  /* Not all that was reserved need be computed. */
  s->length = tokens - (int32_t)random_below(more + 1);
  for (int32_t k = s->length / KV_PAGE; k < s->n_pages; k++) r->contents[s->pages[k]].n = s->length;
  for (int32_t k = kv_pages_for(s->length); k < s->n_pages; k++) r->contents[s->pages[k]].n = 0;
}

static void cut(reference *r, int i) {
  kv_sequence *s = &r->sequences[i];
  int32_t least = s->n_gone * KV_PAGE, to = random_below(3) ? least + (int32_t)random_below(s->length - least + 1) : 0;
  int32_t leaving[LONGEST / KV_PAGE], n = 0;
  for (int32_t k = s->n_pages; k-- > kv_pages_for(to);)
    if (s->pages[k] >= 0) leaving[n++] = s->pages[k];
  kv_truncate(&r->pool, s, to);
  CHECK(s->length == to && s->n_pages == kv_pages_for(to) && (to || s->n_gone == 0));
  follow_left(r, leaving, n);
}

static void keep(reference *r, int i) {
  kv_sequence *s = &r->sequences[i];
  int32_t before[LONGEST / KV_PAGE], leaving[LONGEST / KV_PAGE], n = 0, from = s->n_kept;
  memcpy(before, s->pages, (size_t)s->n_pages * sizeof *before);
  kv_keep(&r->pool, s, r->tokens[i]);
  CHECK(s->n_kept == s->length / KV_PAGE);
  for (int32_t k = from; k < s->n_kept; k++) {
    CHECK(r->pool.pages[s->pages[k]].serial);
    if (s->pages[k] != before[k]) leaving[n++] = before[k];
  }
  follow_left(r, leaving, n);
}

static void forget(reference *r, int i) {
  kv_sequence *s = &r->sequences[i];
  if (s->n_kept < s->length / KV_PAGE) keep(r, i);
  int32_t position = (int32_t)random_below(s->length + 1), leaving[LONGEST / KV_PAGE], n = 0;
  for (int32_t k = s->n_gone; (k + 1) * KV_PAGE <= position; k++) leaving[n++] = s->pages[k];
  kv_forget_before(&r->pool, s, position);
  CHECK(n == 0 || s->n_gone == position / KV_PAGE);
  follow_left(r, leaving, n);
}

static void fork(reference *r, int i, int k) {
  const kv_sequence *from = &r->sequences[i];
  kv_sequence *to = &r->sequences[k];
  if (to->n_pages || i == k) return;
  kv_fork(&r->pool, from, to);
  memcpy(r->tokens[k], r->tokens[i], sizeof r->tokens[k]);
  CHECK(to->length == from->length && to->n_kept == from->n_kept && to->serial == from->serial &&
        to->root == from->root);
}

/* How many of the tokens can be found: kept pages of the root that hold just these, one after the other, and the most of one
 * more. */
static int32_t match_naively(const reference *r, uint64_t root, const int32_t *tokens, int32_t n) {
  uint64_t before = root;
  for (int32_t found = 0;;) {
    int32_t most = 0, whole = -1;
    for (int32_t i = 0; i < r->pool.n_pages; i++) {
      const kv_page *p = &r->pool.pages[i];
      if (!p->serial || p->before != before) continue;
      int32_t end = found + p->n < n ? found + p->n : n, same = 0;
      CHECK(r->contents[i].root == root && r->contents[i].n >= found + p->n);
      while (same < end && r->contents[i].tokens[same] == tokens[same]) same++;
      if (same - found > most) most = same - found;
      if (same - found < KV_PAGE) continue;
      CHECK_THAT(whole < 0, "pages %d and %d are kept for the same tokens", whole, i);
      whole = i;
    }
    if (whole < 0) return found + most;
    found += KV_PAGE;
    before = r->pool.pages[whole].serial;
  }
}

/* Leaves a sequence, and keeps its last page. */
static void leave_whole(reference *r, int i) {
  kv_sequence *s = &r->sequences[i];
  keep(r, i);
  kv_keep_last(&r->pool, s, r->tokens[i]);
  int32_t length = s->length, leaving[LONGEST / KV_PAGE] = {0}, n = 0, tokens[LONGEST];
  /* What others write into, or have, is not kept in part, and may be kept after a page that is gone. */
  const kv_page *last = length % KV_PAGE ? &r->pool.pages[s->pages[length / KV_PAGE]] : NULL;
  bool kept = s->n_gone == 0 && (!last || (last->serial && last->before == s->serial));
  memcpy(tokens, r->tokens[i], sizeof tokens);
  for (int32_t k = s->n_pages; k-- > 0;)
    if (s->pages[k] >= 0) leaving[n++] = s->pages[k];
  kv_truncate(&r->pool, s, 0);
  follow_left(r, leaving, n);
  CHECK(!kept || match_naively(r, s->root, tokens, length) == length);
  left_whole += kept;
}

static void match(reference *r, int i) {
  kv_sequence *s = &r->sequences[i];
  if (s->n_pages) return;
  begin(s);
  const int32_t *other = r->tokens[random_below(SEQUENCES)];
  int32_t tokens[LONGEST] = {0}, n = (int32_t)random_below(LONGEST + 1), same = (int32_t)random_below(LONGEST + 1);
  for (int32_t t = 0; t < n; t++) tokens[t] = t < same ? other[t] : (int32_t)random_below(3);
  memcpy(r->tokens[i], tokens, sizeof tokens);
  int32_t expected = match_naively(r, s->root, tokens, n), found = kv_match(&r->pool, s, tokens, n);
  CHECK_THAT(found == expected && s->length == found && s->n_kept == found / KV_PAGE,
             "%d tokens are found, expected %d", found, expected);
  matched += found;
  parts += found % KV_PAGE > 0;
  follow_left(r, NULL, 0);
}

static void run_course(int32_t n_pages, bool few) {
  static reference r;
  open_reference(&r, n_pages);
  for (int32_t i = 0; i < PAGES; i++) r.left[i] = -1;
  for (int step = 0; step < STEPS; step++) {
    int i = (int)random_below(SEQUENCES);
    switch (random_below(9)) {
      case 8: leave_whole(&r, i); break;
      case 0: cut(&r, i); break;
      case 1: forget(&r, i); break;
      case 2: fork(&r, i, (int)random_below(SEQUENCES)); break;
      case 3: match(&r, i); break;
      case 4:
      case 5: keep(&r, i); break;
      default: grow(&r, i, few); break;
    }
    check_pool(&r);
  }
  for (int i = 0; i < SEQUENCES; i++) kv_truncate(&r.pool, &r.sequences[i], 0);
  CHECK(kv_available(&r.pool) == n_pages);
  close_reference(&r);
}

/* Pages in one bucket are told apart. */
static void test_collisions(void) {
  enum { N = 64 };
  kv_pool pool;
  void *memory = aligned((size_t)kv_pool_bytes(N));
  kv_pool_init(&pool, memory, N);
  CHECK(pool.n_buckets == N);
  int32_t pages[1], others[N], found[1];
  static int32_t texts[N][KV_PAGE];
  /* All that lie in the bucket of the first. */
  kv_sequence s = {.pages = pages}, m = {.pages = found};
  kv_copy copy;
  int32_t n = 0, bucket = -1;
  for (int32_t id = 0; n < N / 2; id++) {
    int32_t tokens[KV_PAGE] = {id};
    CHECK(kv_reserve(&pool, &s, KV_PAGE, &copy));
    s.length = KV_PAGE;
    kv_keep(&pool, &s, tokens);
    int32_t page = s.pages[0], at = 0;
    while (at < N && pool.buckets[at] != page) at++;
    CHECK(at < N);
    if (bucket < 0) bucket = at;
    kv_truncate(&pool, &s, 0);
    if (at == bucket) {
      memcpy(texts[n], tokens, sizeof tokens);
      others[n++] = page;
      CHECK(kv_match(&pool, &m, tokens, KV_PAGE) == KV_PAGE && m.pages[0] == page);
    }
    kv_truncate(&pool, &m, 0);
    for (int32_t k = 0; k < n; k++) { /* those stay: they were left last */
      CHECK(kv_match(&pool, &m, texts[k], KV_PAGE) == KV_PAGE && m.pages[0] == others[k]);
      kv_truncate(&pool, &m, 0);
    }
  }
  /* And are taken out of the chain from anywhere. */
  kv_sequence all[N] = {0};
  int32_t taken[N];
  for (int32_t i = 0; i < N; i++) {
    all[i].pages = &taken[i];
    CHECK(kv_reserve(&pool, &all[i], 1, &copy));
    all[i].length = 1;
  }
  for (uint32_t i = 0; i < pool.n_buckets; i++) CHECK(pool.buckets[i] < 0);
  CHECK(kv_available(&pool) == 0 && kv_match(&pool, &m, texts[0], KV_PAGE) == 0);
  free(memory);
}

int main(void) {
  for (int i = 0; i < 400; i++) run_course(1 + (int32_t)random_below(PAGES), i % 4 == 0);
  CHECK_THAT(left_whole > 1000 && evicted > 1000 && matched > 1000 && parts > 1000 && collided > 1000 &&
                 copied > 1000 && refused > 1000,
             "%ld pages went, %ld tokens found, %ld in part, %ld collisions, %ld copies, %ld refusals", evicted,
             matched, parts, collided, copied, refused);
  test_collisions();
  return checks_end("test_kv");
}
