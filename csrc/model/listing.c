#include "model/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/from_gguf.h"

enum { NAME = 32 };

static llama2_status make_room(listing *l, uint64_t n, size_t name) {
  l->items = mem_new((size_t)n, sizeof *l->items);
  l->names = mem_new((size_t)n, name);
  if (l->items && l->names) return LLAMA2_OK;
  listing_close(l);
  return status_fail_sized(LLAMA2_ERR_MEMORY, n * (sizeof *l->items + name), mem_available(),
                           "no memory for a list of tensors");
}

/* Names follow one another in a file. */
static int by_place(const void *a, const void *b) {
  const listed *left = a, *right = b;
  if (left->info.part != right->info.part) return left->info.part < right->info.part ? -1 : 1;
  return left->info.name.data < right->info.name.data ? -1 : 1;
}

static llama2_status list_gguf(listing *l, const gguf_file *f) {
  RETURN_IF_FAILED(make_room(l, f->n_tensors, 0));
  for (l->n = 0; l->n < f->n_tensors; l->n++)
    l->items[l->n] = (listed){f->tensors[l->n], gguf_info_tensor(&f->tensors[l->n])};
  qsort(l->items, (size_t)l->n, sizeof *l->items, by_place);
  return LLAMA2_OK;
}

static void add(listing *l, const checkpoint *c, role role, int32_t layer) {
  tensor t = checkpoint_tensor(c, role, layer);
  char *name = l->names + l->n * NAME;
  from_gguf_name(role, layer, name, NAME);
  bool vector = role == ROLE_ATTENTION_NORM || role == ROLE_FFN_NORM || role == ROLE_FINAL_NORM;
  gguf_info info = {
      .name = {name, strlen(name)},
      .dims = { t.cols, t.rows,              1, 1},
      .n_dims = vector ? 1 : 2,
      .type = t.dtype,
      .bytes = t.bytes,
      .data = t.data,
  };
  l->items[l->n++] = (listed){info, t};
}

static llama2_status list_llama2c(listing *l, const checkpoint *c) {
  static const role layer[] = {ROLE_ATTENTION_NORM, ROLE_WQ, ROLE_WK, ROLE_WV, ROLE_WO,
                               ROLE_FFN_NORM,       ROLE_W1, ROLE_W2, ROLE_W3};
  enum { PER_LAYER = sizeof layer / sizeof *layer };
  const llama2c_file *f = &c->llama2c;
  RETURN_IF_FAILED(make_room(l, 3 + PER_LAYER * (uint64_t)f->n_layers, NAME));
  add(l, c, ROLE_EMBEDDING, 0);
  for (int32_t i = 0; i < f->n_layers; i++)
    for (int k = 0; k < PER_LAYER; k++) add(l, c, layer[k], i);
  add(l, c, ROLE_FINAL_NORM, 0);
  if (!f->shared_classifier) add(l, c, ROLE_CLASSIFIER, 0);
  return LLAMA2_OK;
}

llama2_status listing_open(listing *l, const checkpoint *c) {
  memset(l, 0, sizeof *l);
  return c->is_gguf ? list_gguf(l, &c->gguf) : list_llama2c(l, c);
}

void listing_close(listing *l) {
  mem_free(l->items);
  mem_free(l->names);
  memset(l, 0, sizeof *l);
}
