#include "engine/quantize.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"
#include "engine/rewrite.h"
#include "format/gguf_write.h"
#include "model/mixture.h"
#include "model/to_gguf.h"
#include "model/tokenizer_file.h"

typedef struct job {
  rewrite rewrite;
  listing listing;
  llama2_quantized *plans; /* (listing.n) */
  gguf_head head;
} job;

static llama2_status find_tokenizer(const job *j, char *path, size_t capacity) {
  const char *named = j->rewrite.options->tokenizer;
  const checkpoint *c = &j->rewrite.checkpoint;
  bool own = c->is_gguf && gguf_find(&c->gguf, "tokenizer.ggml.tokens");
  *path = '\0';
  if (own && named)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: has a tokenizer of its own, but %s was named; expected none",
                       j->rewrite.path, named);
  const char *chosen = own ? j->rewrite.path : named ? named : c->is_gguf ? "" : NULL;
  if (chosen && strlen(chosen) >= capacity)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a tokenizer's path of %zu bytes, expected less than %zu", strlen(chosen),
                       capacity);
  if (chosen) {
    snprintf(path, capacity, "%s", chosen);
    return LLAMA2_OK;
  }
  llama2_status status = tokenizer_file_find(j->rewrite.path, c->config.vocab_size, path, capacity);
  if (status != LLAMA2_ERR_TOKENIZER) return status;
  *path = '\0'; /* a file without one is a model all the same */
  return LLAMA2_OK;
}

static llama2_status plan_tensors(job *j, const mixture *m) {
  const checkpoint *c = &j->rewrite.checkpoint;
  const config *g = &c->config;
  mixture_target target = {m, g->n_layers, g->n_heads, g->n_kv_heads, g->shared_classifier};
  j->plans = mem_new((size_t)j->listing.n, sizeof *j->plans);
  if (!j->plans)
    return status_fail_sized(LLAMA2_ERR_MEMORY, j->listing.n * sizeof *j->plans, mem_available(),
                             "%s: no memory for a list of its tensors", j->rewrite.path);
  for (uint64_t i = 0; i < j->listing.n; i++) {
    const listed *item = &j->listing.items[i];
    llama2_quantized *p = &j->plans[i];
    if (!dtype_find(item->info.type))
      return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s is %s, which cannot be read", j->rewrite.path,
                         gguf_quote(item->info.name).text, gguf_dtype_name(item->info.type));
    p->had = item->info.type;
    p->wanted = mixture_wanted(&target, &item->info);
    p->dtype = mixture_fitting(p->wanted, item->data.cols);
    p->values = (uint64_t)(item->data.rows * item->data.cols);
    const dtype_traits *type = dtype_find(p->dtype);
    p->bytes = size_mul(p->values / (uint64_t)type->block_values, (uint64_t)type->block_bytes);
    gguf_put_tensor(&j->head, &item->info, p->dtype, p->bytes);
  }
  return LLAMA2_OK;
}

static llama2_status plan_file(job *j, llama2_quantize_result *result) {
  const mixture *m;
  RETURN_IF_FAILED(mixture_find(j->rewrite.options->type, &m));
  RETURN_IF_FAILED(find_tokenizer(j, result->tokenizer, sizeof result->tokenizer));
  bool own = j->rewrite.checkpoint.is_gguf && strcmp(result->tokenizer, j->rewrite.path) == 0;
  const char *tokenizer = *result->tokenizer && !own ? result->tokenizer : NULL;
  RETURN_IF_FAILED(to_gguf_keys(&j->head, &j->rewrite.checkpoint, j->rewrite.path, tokenizer));
  gguf_put_u32(&j->head, "general.quantization_version", 2);
  gguf_put_u32(&j->head, "general.file_type", (uint32_t)m->file_type);
  RETURN_IF_FAILED(plan_tensors(j, m));
  return gguf_head_measure(&j->head, &j->rewrite.total);
}

static llama2_status write_file(job *j, const char *out) {
  rewrite *r = &j->rewrite;
  RETURN_IF_FAILED(rewrite_begin(r, out));
  llama2_status status = gguf_write_head(&j->head, &r->out);
  for (uint64_t i = 0; status == LLAMA2_OK && i < j->listing.n && !atomic_load(&r->cancel); i++) {
    const listed *item = &j->listing.items[i];
    status = rewrite_tensor(r, item, j->plans[i].dtype, 0);
    if (status == LLAMA2_OK) status = gguf_write_gap(&j->head, &r->out);
    if (status == LLAMA2_OK) status = rewrite_tell(r, item, &j->plans[i]);
  }
  return rewrite_end(r, status);
}

llama2_status quantize_checkpoint(const char *in, const llama2_source *source, const char *out,
                                  const llama2_quantize_options *options, llama2_quantize_result *result) {
  job j = {0};
  llama2_quantize_result made = {0};
  llama2_status status = rewrite_open(&j.rewrite, in, source, out, options);
  if (status == LLAMA2_OK) status = listing_open(&j.listing, &j.rewrite.checkpoint);
  if (status == LLAMA2_OK) status = plan_file(&j, &made);
  if (status == LLAMA2_OK) status = write_file(&j, out);
  if (status == LLAMA2_OK) {
    made.bytes_in = j.rewrite.checkpoint.bytes;
    made.bytes_out = j.rewrite.total;
    made.tensors = (int32_t)j.listing.n;
    made.norm_eps = j.rewrite.checkpoint.config.norm_eps;
    *result = made;
  }
  mem_free(j.plans);
  gguf_head_free(&j.head);
  listing_close(&j.listing);
  rewrite_close(&j.rewrite);
  return status;
}
