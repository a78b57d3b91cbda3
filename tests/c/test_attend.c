/* test_attend: keys and values of each kind, and attention to them, for every instruction set that this machine has. The
 * scalar kernels are compared with float64 arithmetic, all others with the scalar ones, bit for bit. */
#include "isas.h"

static const int32_t kv_kinds[] = {LLAMA2_F32, LLAMA2_F16, LLAMA2_Q8_0};
#define N_KV_KINDS 3

/* Keys and values of one head, in pages that lie in any order and have room between them. */
typedef struct cache {
  kv_form form;
  int64_t n_pages;
  uint64_t page_bytes;
  unsigned char *base;
  int32_t *pages;
} cache;

static unsigned char *cache_block(const cache *c, int64_t position) {
  return c->base + (uint64_t)c->pages[position / KV_PAGE] * c->page_bytes;
}

/* What is stored: dimension i of a position's key, or of its value. */
static double cache_at(const cache *c, int64_t position, bool value, int64_t i) {
  const kv_form *f = &c->form;
  const unsigned char *block = cache_block(c, position), *plane = block + (value ? f->values : 0);
  int64_t slot = position % KV_PAGE, at = value ? slot * f->head_pad + i : i * KV_PAGE + slot;
  const uint16_t *scales = (const uint16_t *)(block + (value ? f->value_scales : f->key_scales));
  if (f->dtype == LLAMA2_F32) return (double)((const float *)plane)[at];
  if (f->dtype == LLAMA2_F16) return (double)half_to_f32(((const uint16_t *)plane)[at]);
  return ((const int8_t *)plane)[at] * (double)half_to_f32(scales[i / QBLOCK * KV_PAGE + slot]);
}

static cache new_cache(int32_t dtype, int64_t head_dim, int64_t n) {
  cache c = {.form = kv_form_of(dtype, head_dim), .n_pages = kv_pages_for(n)};
  c.page_bytes = c.form.bytes + 64 * (uint64_t)random_below(3);
  size_t bytes = (size_t)(c.page_bytes * (uint64_t)c.n_pages);
  c.base = aligned(bytes);
  c.pages = aligned((size_t)c.n_pages * 4);
  memset(c.base, 0xff, bytes); /* what is left over from others need not be numbers */
  for (int64_t i = 0; i < c.n_pages; i++) {
    int64_t j = random_below(i + 1);
    c.pages[i] = c.pages[j];
    c.pages[j] = (int32_t)i;
  }
  return c;
}

static void free_cache(cache *c) {
  free(c->pages);
  free(c->base);
}

/* Of float32 x, what is stored: the nearest float16, or within half a step of the scale of its block. */
static void check_stored(const cache *c, int64_t position, bool value, const float *x) {
  for (int64_t i = 0; i < c->form.head_dim; i++) {
    int64_t first = i / QBLOCK * QBLOCK, end = first + QBLOCK < c->form.head_dim ? first + QBLOCK : c->form.head_dim;
    double found = cache_at(c, position, value, i), most = 0;
    bool finite = true;
    for (int64_t k = first; k < end; k++) {
      most = fmax(most, fabs((double)x[k]));
      finite = finite && isfinite(x[k]);
    }
    if (c->form.dtype != LLAMA2_Q8_0) {
      float same = c->form.dtype == LLAMA2_F16 ? half_to_f32(half_from_f32(x[i])) : x[i];
      CHECK(isnan(same) ? isnan(found) : found == (double)same);
    } else if (!finite || most / 127 >= 65520) {
      CHECK(isnan(found));
    } else {
      double d = most / 127;
      check_close("store", found, (double)x[i], 0.5 * d + 127 * fmax(d * 0x1p-11, 0x1p-25) + 1e-4 * d);
    }
  }
}

static void test_store(void) {
  const int64_t head_dims[] = {1, 7, 16, 24, 40, 64, 80, 128};
  for (int t = 0; t < N_KV_KINDS; t++)
    for (int h = 0; h < 8; h++)
      for (flavour f = PLAIN; f < FLAVOURS; f++) {
        cache caches[MAX_ISAS];
        for (int i = 0; i < n_isas; i++) {
          caches[i] = new_cache(kv_kinds[t], head_dims[h], KV_PAGE);
          caches[i].page_bytes = caches[i].form.bytes;
        }
        const kv_form *form = &caches[0].form;
        float *x = aligned((size_t)form->head_pad * 4);
        for (int64_t position = 0; position < KV_PAGE; position++)
          for (int value = 0; value < 2; value++) {
            fill(x, head_dims[h], f);
            for (int i = 0; i < n_isas; i++) {
              unsigned char *block = cache_block(&caches[i], position);
              (value ? isas[i]->store_value : isas[i]->store_key)(form, block, position, x);
              check_stored(&caches[i], position, value, x);
            }
          }
        for (int i = 1; i < n_isas && f != NOT_FINITE; i++)
          check_bits(flavours[f], i, caches[i].base, caches[0].base, (size_t)form->bytes);
        for (int i = 0; i < n_isas; i++) free_cache(&caches[i]);
        free(x);
      }
}

/* Tokens [0, n), random. */
static void fill_cache(cache *c, int64_t n, float scale, flavour f) {
  float *x = aligned((size_t)c->form.head_pad * 4);
  for (int64_t position = 0; position < n; position++)
    for (int value = 0; value < 2; value++) {
      fill(x, c->form.head_dim, f);
      for (int64_t i = 0; i < c->form.head_dim && !value; i++) x[i] *= scale;
      (value ? isas[0]->store_value : isas[0]->store_key)(&c->form, cache_block(c, position), position % KV_PAGE, x);
    }
  free(x);
}

static void check_attention(const cache *c, const attend_job *job, int j) {
  int64_t first = job->first[j], n = job->limit[j];
  double most = -INFINITY, total = 0, *score = aligned((size_t)n * sizeof(double));
  for (int64_t t = first; t < n; t++) {
    for (int64_t i = 0; i < c->form.head_dim; i++) score[t] += (double)job->q[j][i] * cache_at(c, t, false, i);
    score[t] *= job->scale;
    most = fmax(most, score[t]);
  }
  for (int64_t t = first; t < n; t++) total += score[t] = exp(score[t] - most);
  for (int64_t i = 0; i < c->form.head_dim; i++) {
    double sum = 0;
    for (int64_t t = first; t < n; t++) sum += score[t] / total * cache_at(c, t, true, i);
    /* Values are at most 1; scores of some tens are off by some 1e-5, and so are their exponentials. */
    check_close("attend", job->out[j][i], sum, 2e-5);
  }
  free(score);
}

/* The same bits, or no number in both. */
static void check_same_heads(const char *what, int isa, const float *found, const float *expected, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (!isnan(found[i]) || !isnan(expected[i])) check_bits(what, isa, &found[i], &expected[i], 4);
}

typedef struct attention {
  int32_t kind;
  int64_t head_dim;
  int32_t n_queries;
  int64_t longest; /* keys that one of the queries sees, and the others at most */
  int64_t window;  /* that a query sees of them; 0: all */
  float scale;
  flavour flavour;
} attention;

/* A query alone gets what it gets among others, and by runs in any order what it gets at once. */
static void check_alone(const attention *t, const attend_job *job, const float *expected) {
  int64_t part = attend_part(job->form->head_pad), last = (t->longest - 1) / ATTEND_KEYS;
  const kernels *k = isas[n_isas - 1];
  float *parts = aligned((size_t)((last + 1) * part) * 4), *out = aligned((size_t)t->head_dim * 4);
  for (int32_t j = 0; j < t->n_queries; j += 1 + t->n_queries / 5) {
    attend_job alone = *job;
    alone.n = 1;
    alone.q[0] = job->q[j];
    alone.first[0] = job->first[j];
    alone.limit[0] = job->limit[j];
    alone.out[0] = out;
    kernels_attend(k, &alone);
    check_same_heads("attend alone", n_isas - 1, out, expected + j * t->head_dim, t->head_dim);
    for (int64_t run = last; run >= 0; run--) k->attend_run(&alone, run, parts + run * part);
    for (int64_t run = 1; run <= last; run++) k->attend_add(&alone, run, parts, parts + run * part);
    k->attend_end(&alone, parts);
    check_same_heads("attend by runs", n_isas - 1, out, expected + j * t->head_dim, t->head_dim);
  }
  free(parts);
  free(out);
}

static void check_attend(attention t) {
  cache c = new_cache(t.kind, t.head_dim, t.longest);
  int64_t pad = c.form.head_pad, n_out = t.n_queries * t.head_dim;
  fill_cache(&c, t.longest, t.scale, t.flavour);
  float *q = aligned((size_t)(t.n_queries * pad) * 4), *expected = aligned((size_t)(n_out + 1) * 4),
        *out = aligned((size_t)(n_out + 1) * 4);
  attend_job job = {.form = &c.form,
                    .scale = 1.0f / sqrtf((float)t.head_dim),
                    .n = t.n_queries,
                    .base = c.base,
                    .page_bytes = c.page_bytes,
                    .pages = c.pages,
                    .scratch = aligned((size_t)attend_scratch(pad) * 4)};
  bool alike = random_below(2); /* neighbours see nearly the same, as in a prompt; or anything */
  int64_t seen = t.longest;
  for (int32_t j = 0; j < t.n_queries; j++) {
    float *query = q + j * pad;
    for (int64_t i = 0; i < t.head_dim; i++) query[i] = t.scale * random_float();
    job.q[j] = query;
    int64_t limit = j == t.n_queries / 2 ? t.longest : alike ? seen : 1 + random_below(t.longest);
    job.limit[j] = (int32_t)limit;
    job.first[j] = t.window && limit > t.window ? (int32_t)(limit - t.window) : 0;
    if (seen > 1 && random_below(2)) seen--;
  }
  int64_t first = t.longest;
  for (int32_t j = 0; j < t.n_queries; j++) first = job.first[j] < first ? job.first[j] : first;
  for (int64_t page = 0; page < first / KV_PAGE; page++) c.pages[page] = -1; /* given back */
  for (int i = 0; i < n_isas; i++) {
    float *to = i == 0 ? expected : out;
    to[n_out] = MARK;
    for (int32_t j = 0; j < t.n_queries; j++) job.out[j] = to + j * t.head_dim;
    fill(job.scratch, attend_scratch(pad), NOT_FINITE);
    kernels_attend(isas[i], &job);
    CHECK(to[n_out] == MARK);
    check_same_heads("attend", i, to, expected, n_out);
  }
  for (int32_t j = 0; j < t.n_queries && t.flavour == PLAIN; j += 1 + t.n_queries / 9)
    job.out[j] = expected + j * t.head_dim, check_attention(&c, &job, j);
  check_alone(&t, &job, expected);
  free(job.scratch);
  free(out);
  free(expected);
  free(q);
  free_cache(&c);
}

static void test_attend(void) {
  const int64_t head_dims[] = {1, 7, 16, 24, 64, 80, 128}, run = ATTEND_KEYS;
  const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 100, run - 1, run, run + 1, run + 17, 2 * run, 2 * run + 1};
  const int64_t windows[] = {1, 2, 15, 16, 17, 40, run - 1, run, run + 1};
  const int32_t few[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 17, 31, ATTEND_QUERIES};
  for (int k = 0; k < N_KV_KINDS; k++)
    for (int d = 0; d < 7; d++) {
      int32_t kind = kv_kinds[k];
      int64_t head_dim = head_dims[d];
      for (int n = 0; n < 12; n++)
        for (int l = 0; l < 8; l += 1 + (int)random_below(2))
          check_attend((attention){kind, head_dim, few[n], lengths[l], 0, 2, PLAIN});
      for (int l = 8; l < 14; l++)
        check_attend((attention){kind, head_dim, few[random_below(12)], lengths[l], 0, 2, PLAIN});
      for (int w = 0; w < 9; w++)
        for (int i = 0; i < 2; i++)
          check_attend((attention){kind, head_dim, few[random_below(12)], i ? 2 * run + 30 : 1 + random_below(200),
                                   windows[w], 2, PLAIN});
      check_attend((attention){kind, head_dim, 3, 3 * run + 40, 0, 0, PLAIN});
      check_attend((attention){kind, head_dim, 11, run + 40, 0, 6, PLAIN});
      for (flavour f = SPARSE; f < FLAVOURS; f++)
        for (int w = 0; w < 2; w++)
          check_attend((attention){kind, head_dim, few[random_below(12)], run + 60, w ? 50 : 0, 1, f});
    }
}

int main(void) {
  find_isas();
  test_store();
  test_attend();
  return checks_end("test_attend");
}
