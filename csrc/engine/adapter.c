#include "engine/adapter.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/digest.h"
#include "base/memory.h"

#define ROOT_BIT (UINT64_C(1) << 63) /* serials of pages do not come so far */

static atomic_uint_least64_t last_serial;

llama2_status adapter_load(const llama2_model *model, const char *path, const llama2_source *source,
                           llama2_adapter **adapter) {
  const backend *b = model->backend;
  adapter_file file;
  RETURN_IF_FAILED(adapter_open(&file, &model->config, model->info.architecture, path, source));
  llama2_adapter *a = mem_new(1, sizeof *a);
  llama2_status status = LLAMA2_OK;
  if (!a)
    status =
        status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *a, mem_available(), "%s: no memory for its description", path);
  if (status == LLAMA2_OK) {
    a->model = model;
    a->backend = b;
    a->serial = atomic_fetch_add(&last_serial, 1) + 1;
    a->info.rank = file.rank;
    a->info.ranks = (int32_t)round_up(file.rank, ADAPTER_RANKS);
    a->info.matrices = file.n;
    a->info.parameters = file.parameters;
    status = b->prepare_adapter(model->weights, &file, &a->packed, &a->info.bytes);
  }
  if (status == LLAMA2_OK)
    *adapter = a;
  else
    mem_free(a);
  adapter_close(&file);
  return status;
}

void adapter_free(llama2_adapter *adapter) {
  if (adapter) adapter->backend->release_adapter(adapter->packed);
  mem_free(adapter);
}

llama2_status adapter_set_of(const llama2_model *model, const limits *l, const llama2_adapted *adapters, int32_t n,
                             adapter_set *set) {
  if (n < 0 || n > LLAMA2_ADAPTERS_MOST)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%d adapters, expected 0 to %d", n, LLAMA2_ADAPTERS_MOST);
  adapter_set made = {.n = n};
  int64_t ranks = 0;
  for (int32_t i = 0; i < n; i++) {
    const llama2_adapter *a = adapters[i].adapter;
    if (a->model != model)
      return status_fail(LLAMA2_ERR_ARGUMENT, "adapter %d was loaded for another model; load it for this one", i);
    if (!isfinite(adapters[i].scale))
      return status_fail(LLAMA2_ERR_ARGUMENT, "the scale of adapter %d is %g, expected a finite number", i,
                         (double)adapters[i].scale);
    ranks += a->info.ranks;
    made.of[i].packed = a->packed;
    made.of[i].ranks = a->info.ranks;
    made.of[i].scale = adapters[i].scale;
  }
  if (ranks > l->ranks)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "the adapters have %lld ranks together (each rounded up to a multiple of %d), but there is room "
                       "for %d; ask for as many ranks when the model is made ready",
                       (long long)ranks, ADAPTER_RANKS, l->ranks);
  made.ranks = (int32_t)ranks;
  *set = made;
  return LLAMA2_OK;
}

static bool is_of(const struct adapter_root *r, const llama2_adapted *adapters, int32_t n) {
  if (r->n != n) return false;
  for (int32_t i = 0; i < n; i++)
    if (r->of[i].serial != adapters[i].adapter->serial ||
        memcmp(&r->of[i].scale, &adapters[i].scale, sizeof adapters[i].scale) != 0)
      return false;
  return true;
}

uint64_t adapter_root(adapter_roots *roots, const llama2_adapted *adapters, int32_t n) {
  struct adapter_root *oldest = &roots->roots[0];
  if (n == 0) return 0;
  roots->uses++;
  for (int32_t i = 0; i < ROOTS; i++) {
    struct adapter_root *r = &roots->roots[i];
    if (is_of(r, adapters, n)) {
      r->used = roots->uses;
      return r->root;
    }
    if (r->used < oldest->used) oldest = r;
  }
  *oldest = (struct adapter_root){.n = n, .root = ROOT_BIT | ++roots->last_root, .used = roots->uses};
  for (int32_t i = 0; i < n; i++) {
    oldest->of[i].serial = adapters[i].adapter->serial;
    oldest->of[i].scale = adapters[i].scale;
  }
  return oldest->root;
}

uint64_t adapter_hash(const llama2_adapted *adapters, int32_t n) {
  uint64_t hash = DIGEST_START;
  if (n == 0) return 0;
  for (int32_t i = 0; i < n; i++) {
    const llama2_adapter *a = adapters[i].adapter;
    hash = digest_bytes(hash, &adapters[i].scale, sizeof adapters[i].scale);
    hash = a->backend->adapter_fingerprint(a->packed, hash);
  }
  return hash ? hash : 1;
}
