/* engine/session_file: tokens and their pages in a file.
 *
 *   8 bytes   "llama2py"
 *   uint32    version, 1
 *   uint32    llama2_dtype of keys and values
 *   uint64    of the model: its shape and all its weights
 *   uint64    bytes of a page of KV_PAGE tokens
 *   uint32    tokens
 *   uint32    pages, of the first tokens
 *   uint64    of the adapters: all their numbers and scales; 0: there are none
 *   int32     the tokens
 *             the pages, as they lie in memory
 *   uint64    hash of all before it
 *
 * Numbers are little endian. */
#include <string.h>

#include "base/checked.h"
#include "base/digest.h"
#include "base/file.h"
#include "engine/request.h"
#include "engine/scheduler.h"

#define HEAD 48
#define VERSION 1

static const char magic[8] = "llama2py";

typedef struct head {
  uint32_t version, kv;
  uint64_t model, page_bytes;
  uint32_t n_tokens, n_pages;
  uint64_t adapters;
} head;

static uint64_t model_hash(const llama2_model *m) {
  const config *c = &m->config;
  const int32_t shape[] = {c->dim,      c->hidden_dim, c->n_layers, c->n_heads, c->n_kv_heads,
                           c->head_dim, c->vocab_size, c->rope_dim, c->window,  (int32_t)c->rope_halves};
  uint64_t hash = DIGEST_START;
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) hash = digest_u64(hash, (uint64_t)shape[i]);
  if (c->n_experts) hash = digest_u64(digest_u64(hash, (uint64_t)c->n_experts), (uint64_t)c->n_experts_used);
  hash = digest_bytes(hash, &c->norm_eps, sizeof c->norm_eps);
  return m->backend->fingerprint(m->weights, hash);
}

static void put(unsigned char *p, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(value >> (8 * i));
}

/* A file that is being written, and the hash of what is in it. */
typedef struct writer {
  file_out file;
  uint64_t hash;
} writer;

/* n: a multiple of eight. */
static llama2_status add(writer *w, const void *data, uint64_t n) {
  w->hash = digest_bytes(w->hash, data, n);
  return file_out_write(&w->file, data, n);
}

static llama2_status write_all(llama2_engine *e, writer *w, const head *h, const int32_t *tokens,
                               const kv_sequence *found, unsigned char *page) {
  unsigned char bytes[HEAD] = {0};
  memcpy(bytes, magic, sizeof magic);
  put(bytes + 8, h->version, 4);
  put(bytes + 12, h->kv, 4);
  put(bytes + 16, h->model, 8);
  put(bytes + 24, h->page_bytes, 8);
  put(bytes + 32, h->n_tokens, 4);
  put(bytes + 36, h->n_pages, 4);
  put(bytes + 40, h->adapters, 8);
  RETURN_IF_FAILED(add(w, bytes, HEAD));
  for (uint32_t i = 0; i < h->n_tokens; i += 2) {
    put(bytes, (uint32_t)tokens[i], 4);
    put(bytes + 4, i + 1 < h->n_tokens ? (uint32_t)tokens[i + 1] : 0, 4);
    RETURN_IF_FAILED(add(w, bytes, 8));
  }
  for (uint32_t i = 0; i < h->n_pages; i++) {
    e->x.model->backend->page_read(e->x.state, found->pages[i], page);
    RETURN_IF_FAILED(add(w, page, h->page_bytes));
  }
  put(bytes, w->hash, 8);
  return file_out_write(&w->file, bytes, 8);
}

static uint64_t token_bytes(uint64_t n) {
  return size_round_up(size_mul(n, 4), 8);
}

static uint64_t file_bytes(const head *h) {
  return size_add(size_add(HEAD + 8, token_bytes(h->n_tokens)), size_mul(h->n_pages, h->page_bytes));
}

/* Has an empty sequence find the pages of requests with these adapters. */
static llama2_status begin(llama2_engine *e, const llama2_adapted *adapters, int32_t n, kv_sequence *sequence) {
  adapter_set unread;
  RETURN_IF_FAILED(adapter_set_of(e->x.model, &e->x.limits, adapters, n, &unread));
  pthread_mutex_lock(&e->lock);
  kv_begin(sequence, adapter_root(&e->roots, adapters, n));
  pthread_mutex_unlock(&e->lock);
  return LLAMA2_OK;
}

llama2_status engine_save(llama2_engine *e, const int32_t *tokens, int32_t n, const llama2_adapted *adapters,
                          int32_t n_adapters, const char *path, bool replace, int32_t *pages) {
  kv_sequence found = {0};
  RETURN_IF_FAILED(begin(e, adapters, n_adapters, &found));
  head h = {.version = VERSION,
            .kv = (uint32_t)e->x.limits.kv,
            .model = model_hash(e->x.model),
            .page_bytes = e->x.model->backend->page_bytes(e->x.state),
            .n_tokens = (uint32_t)n,
            .adapters = adapter_hash(adapters, n_adapters)};
  found.pages = mem_new((size_t)kv_pages_for(n), sizeof(int32_t));
  unsigned char *page = mem_new(1, h.page_bytes);
  writer w = {.hash = DIGEST_START};
  llama2_status status = LLAMA2_OK;
  if (!found.pages || !page)
    status = status_fail_sized(LLAMA2_ERR_MEMORY, h.page_bytes, 0, "%s: no memory for a page", path);
  if (status == LLAMA2_OK) {
    kv_match(&e->x.pool, &found, tokens, n);
    h.n_pages = (uint32_t)found.n_kept; /* whole ones */
    status = file_out_open(&w.file, path, file_bytes(&h), replace);
  }
  if (status == LLAMA2_OK) {
    status = write_all(e, &w, &h, tokens, &found, page);
    if (status == LLAMA2_OK)
      status = file_out_end(&w.file);
    else
      file_out_discard(&w.file);
  }
  if (found.pages) kv_truncate(&e->x.pool, &found, 0);
  mem_free(found.pages);
  mem_free(page);
  if (status == LLAMA2_OK) *pages = (int32_t)h.n_pages;
  return status;
}

/* adapters: adapter_hash() of those that it is to be of. */
static llama2_status check(const llama2_engine *e, const char *path, const file_map *file, uint64_t adapters, head *h) {
  const unsigned char *p = file->data;
  if (file->size < HEAD + 8 || memcmp(p, magic, sizeof magic) != 0)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: no saved session; expected a file that save() wrote", path);
  *h = (head){load_u32(p + 8),  load_u32(p + 12), load_u64(p + 16), load_u64(p + 24),
              load_u32(p + 32), load_u32(p + 36), load_u64(p + 40)};
  if (h->version != VERSION)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: a session of version %u, expected %d; save it anew", path, h->version,
                       VERSION);
  if (file_bytes(h) != file->size)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %llu bytes, expected %llu for %u tokens and %u pages; it is damaged",
                       path, (unsigned long long)file->size, (unsigned long long)file_bytes(h), h->n_tokens,
                       h->n_pages);
  if (digest_bytes(DIGEST_START, p, file->size - 8) != load_u64(p + file->size - 8))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: its bytes are not those that were written; it is damaged", path);
  if (h->kv != (uint32_t)e->x.limits.kv) {
    const char *kind = llama2_dtype_name((int32_t)h->kv);
    return status_fail(LLAMA2_ERR_FORMAT, "%s: its keys and values are %s, expected %s; load the model with that kind",
                       path, kind ? kind : "of an unknown kind", llama2_dtype_name(e->x.limits.kv));
  }
  if (h->model != model_hash(e->x.model))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: saved from another model; load that one, or begin anew", path);
  if (h->adapters != adapters)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: saved %s adapters, expected %s; load it with those that it had", path,
                       !h->adapters ? "without"
                       : adapters   ? "with other"
                                    : "with",
                       adapters ? "those that are asked for, with their scales and in their order" : "none");
  uint64_t page_bytes = e->x.model->backend->page_bytes(e->x.state);
  if (h->page_bytes != page_bytes)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: pages of %llu bytes, expected %llu; it is damaged", path,
                       (unsigned long long)h->page_bytes, (unsigned long long)page_bytes);
  uint32_t context = (uint32_t)e->options.session.context, vocab = (uint32_t)e->x.model->config.vocab_size;
  if (h->n_tokens > context)
    return status_fail_sized(LLAMA2_ERR_CONTEXT, h->n_tokens, context,
                             "%s: a session of %u tokens does not fit into the context of %u", path, h->n_tokens,
                             context);
  if ((uint64_t)h->n_pages * KV_PAGE > h->n_tokens)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %u pages for %u tokens; it is damaged", path, h->n_pages, h->n_tokens);
  for (uint32_t i = 0; i < h->n_tokens; i++)
    if (load_u32(p + HEAD + 4 * (size_t)i) >= vocab)
      return status_fail(LLAMA2_ERR_FORMAT, "%s: token %u has id %d, expected 0 to %u", path, i,
                         load_i32(p + HEAD + 4 * (size_t)i), vocab - 1);
  return LLAMA2_OK;
}

/* Has the pool keep the file's pages, as far as there is room. */
static void keep_pages(llama2_engine *e, const head *h, const unsigned char *pages, const int32_t *tokens,
                       kv_sequence *sequence) {
  kv_pool *pool = &e->x.pool;
  kv_match(pool, sequence, tokens, (int32_t)h->n_pages * KV_PAGE);
  kv_truncate(pool, sequence, sequence->n_kept * KV_PAGE);
  while (sequence->n_pages < (int32_t)h->n_pages && executor_reserve(&e->x, sequence, sequence->length + KV_PAGE)) {
    int32_t i = sequence->n_pages - 1;
    e->x.model->backend->page_write(e->x.state, sequence->pages[i], pages + (uint64_t)i * h->page_bytes);
    sequence->length += KV_PAGE;
    kv_keep(pool, sequence, tokens);
  }
  kv_truncate(pool, sequence, 0);
}

llama2_status engine_load(llama2_engine *e, const char *path, const llama2_adapted *adapters, int32_t n_adapters,
                          int32_t *tokens, int32_t *n) {
  file_map file;
  head h = {0};
  kv_sequence sequence = {0};
  RETURN_IF_FAILED(begin(e, adapters, n_adapters, &sequence));
  RETURN_IF_FAILED(file_open(&file, path));
  llama2_status status = check(e, path, &file, adapter_hash(adapters, n_adapters), &h);
  if (status == LLAMA2_OK) {
    sequence.pages = mem_new(h.n_pages + 1, sizeof(int32_t));
    if (!sequence.pages)
      status = status_fail_sized(LLAMA2_ERR_MEMORY, (h.n_pages + 1) * sizeof(int32_t), 0, "%s: no memory for its pages",
                                 path);
  }
  if (status == LLAMA2_OK) {
    for (uint32_t i = 0; i < h.n_tokens; i++) tokens[i] = load_i32(file.data + HEAD + 4 * (size_t)i);
    *n = (int32_t)h.n_tokens;
    if (e->options.keep) keep_pages(e, &h, file.data + HEAD + token_bytes(h.n_tokens), tokens, &sequence);
  }
  mem_free(sequence.pages);
  file_close(&file);
  return status;
}
