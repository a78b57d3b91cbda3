#include "engine/quantize.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/threads.h"
#include "format/gguf_write.h"
#include "format/quantize.h"
#include "model/listing.h"
#include "model/mixture.h"
#include "model/to_gguf.h"
#include "model/tokenizer_file.h"

/* What one worker takes at a time, and what lies in memory before it is written, in values: whole blocks of any type. */
enum { UNIT = 16 * KBLOCK, STRIP = 128 * UNIT };

typedef struct job {
  const char *path;
  const llama2_quantize_options *options;
  checkpoint checkpoint;
  listing listing;
  llama2_quantized *plans; /* (listing.n) */
  gguf_head head;
  uint64_t total; /* bytes of the new file */
  file_out out;
  team *team;
  unsigned char *strip; /* (STRIP values, at 4 bytes at most) */
  atomic_int cancel;
} job;

/* Some of a tensor's values, all rows one behind another, and where they go. */
typedef struct strip {
  tensor tensor;
  int32_t to;
  int64_t begin, end;
  unsigned char *out;
  atomic_bool infinite; /* or not a number */
} strip;

/* What the file will be. */

static llama2_status refuse_input(const job *j, const char *out) {
  const checkpoint *c = &j->checkpoint;
  bool same = !c->is_gguf && file_is(&c->llama2c.file, out);
  for (int32_t i = 0; c->is_gguf && i < c->gguf.n_parts; i++) same = same || file_is(&c->gguf.parts[i], out);
  if (!same) return LLAMA2_OK;
  return status_fail(LLAMA2_ERR_ARGUMENT, "%s: is read from; expected another name to write to", out);
}

static llama2_status find_tokenizer(const job *j, char *path, size_t capacity) {
  const char *named = j->options->tokenizer;
  const checkpoint *c = &j->checkpoint;
  bool own = c->is_gguf && gguf_find(&c->gguf, "tokenizer.ggml.tokens");
  *path = '\0';
  if (own && named)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: has a tokenizer of its own, but %s was named; expected none", j->path,
                       named);
  const char *chosen = own ? j->path : named ? named : c->is_gguf ? "" : NULL;
  if (chosen && strlen(chosen) >= capacity)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a tokenizer's path of %zu bytes, expected less than %zu", strlen(chosen),
                       capacity);
  if (chosen) {
    snprintf(path, capacity, "%s", chosen);
    return LLAMA2_OK;
  }
  llama2_status status = tokenizer_file_find(j->path, c->config.vocab_size, path, capacity);
  if (status != LLAMA2_ERR_TOKENIZER) return status;
  *path = '\0'; /* a file without one is a model all the same */
  return LLAMA2_OK;
}

static llama2_status plan_tensors(job *j, const mixture *m) {
  const checkpoint *c = &j->checkpoint;
  const config *g = &c->config;
  mixture_target target = {m, g->n_layers, g->n_heads, g->n_kv_heads, g->n_experts, g->shared_classifier};
  j->plans = mem_new((size_t)j->listing.n, sizeof *j->plans);
  if (!j->plans)
    return status_fail_sized(LLAMA2_ERR_MEMORY, j->listing.n * sizeof *j->plans, mem_available(),
                             "%s: no memory for a list of its tensors", j->path);
  for (uint64_t i = 0; i < j->listing.n; i++) {
    const listed *item = &j->listing.items[i];
    llama2_quantized *p = &j->plans[i];
    if (!dtype_find(item->info.type))
      return status_fail(LLAMA2_ERR_FORMAT, "%s: the tensor %s is %s, which cannot be read", j->path,
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
  RETURN_IF_FAILED(mixture_find(j->options->type, &m));
  RETURN_IF_FAILED(find_tokenizer(j, result->tokenizer, sizeof result->tokenizer));
  bool own = j->checkpoint.is_gguf && strcmp(result->tokenizer, j->path) == 0;
  const char *tokenizer = *result->tokenizer && !own ? result->tokenizer : NULL;
  RETURN_IF_FAILED(to_gguf_keys(&j->head, &j->checkpoint, j->path, tokenizer));
  gguf_put_u32(&j->head, "general.quantization_version", 2);
  gguf_put_u32(&j->head, "general.file_type", (uint32_t)m->file_type);
  RETURN_IF_FAILED(plan_tensors(j, m));
  return gguf_head_measure(&j->head, &j->total);
}

/* Writing it. */

static bool all_finite(const float *x, int64_t n) {
  uint32_t most = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t magnitude = half_f32_bits(x[i]) & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  return most < 0x7f800000;
}

static void convert(worker *w, void *context, int64_t begin, int64_t end) {
  (void)w;
  strip *s = context;
  const dtype_traits *type = dtype_find(s->to);
  for (int64_t unit = begin; unit < end; unit++) {
    float x[UNIT];
    int64_t at = s->begin + unit * UNIT, n = s->end - at < UNIT ? s->end - at : UNIT;
    unsigned char *out = s->out + unit * UNIT / type->block_values * type->block_bytes;
    bool finite;
    tensor_values(&s->tensor, 0, at, n, x);
    if (s->tensor.dtype == s->to) {
      finite = all_finite(x, n);
      tensor_blocks(&s->tensor, at, n, out);
    } else {
      finite = quantize_row(s->to, x, n, out);
    }
    if (!finite) atomic_store(&s->infinite, true);
  }
}

/* Of a strip that has one. */
static int64_t first_not_finite(const strip *s) {
  for (int64_t at = s->begin; at < s->end; at += UNIT) {
    float x[UNIT];
    int64_t n = s->end - at < UNIT ? s->end - at : UNIT;
    tensor_values(&s->tensor, 0, at, n, x);
    for (int64_t i = 0; i < n; i++)
      if (!all_finite(x + i, 1)) return at + i;
  }
  return s->begin;
}

static llama2_status refuse_value(const job *j, const listed *item, const strip *s) {
  int64_t at = first_not_finite(s);
  return status_fail(LLAMA2_ERR_NUMERIC,
                     "%s: the tensor %s has a value that is not a finite number, in row %" PRId64 ", column %" PRId64
                     "; the file is damaged, or its training failed",
                     j->path, gguf_quote(item->info.name).text, at / item->data.cols, at % item->data.cols);
}

static int tell_progress(void *context) {
  const job *j = context;
  return j->options->progress(j->options->progress_context, j->out.size, j->total);
}

static llama2_status write_tensor(job *j, const listed *item, const llama2_quantized *plan) {
  const llama2_quantize_options *o = j->options;
  const dtype_traits *type = dtype_find(plan->dtype);
  strip s = {.tensor = item->data, .to = plan->dtype, .out = j->strip};
  int64_t values = item->data.rows * item->data.cols;
  for (s.begin = 0; s.begin < values; s.begin = s.end) {
    s.end = values - s.begin < STRIP ? values : s.begin + STRIP;
    team_loop(j->team, ceil_div(s.end - s.begin, UNIT), 1, convert, &s, &j->cancel, o->progress ? tell_progress : NULL,
              j);
    if (atomic_load(&j->cancel)) return LLAMA2_OK;
    if (atomic_load(&s.infinite)) return refuse_value(j, item, &s);
    RETURN_IF_FAILED(
        file_out_write(&j->out, j->strip, (uint64_t)((s.end - s.begin) / type->block_values * type->block_bytes)));
  }
  checkpoint_done(&j->checkpoint, &item->data);
  return gguf_write_gap(&j->head, &j->out);
}

static llama2_status tell_tensor(job *j, const listed *item, llama2_quantized *plan) {
  if (!j->options->tensor) return LLAMA2_OK;
  size_t n = (size_t)item->info.name.n;
  char *name = mem_new(n + 1, 1);
  if (!name)
    return status_fail_sized(LLAMA2_ERR_MEMORY, n + 1, mem_available(), "%s: no memory for the name of a tensor",
                             j->path);
  memcpy(name, item->info.name.data, n);
  plan->name = name;
  if (j->options->tensor(j->options->tensor_context, plan) != 0) atomic_store(&j->cancel, 1);
  mem_free(name);
  return LLAMA2_OK;
}

static llama2_status write_tensors(job *j) {
  llama2_status status = gguf_write_head(&j->head, &j->out);
  for (uint64_t i = 0; status == LLAMA2_OK && i < j->listing.n && !atomic_load(&j->cancel); i++) {
    status = write_tensor(j, &j->listing.items[i], &j->plans[i]);
    if (status == LLAMA2_OK && !atomic_load(&j->cancel)) status = tell_tensor(j, &j->listing.items[i], &j->plans[i]);
  }
  if (status != LLAMA2_OK) return status;
  if (j->options->progress && !atomic_load(&j->cancel) && tell_progress(j) != 0) atomic_store(&j->cancel, 1);
  return atomic_load(&j->cancel) ? status_fail(LLAMA2_ERR_CANCELLED, "quantising was cancelled") : LLAMA2_OK;
}

static llama2_status write_file(job *j, const char *out) {
  int threads = j->options->threads ? j->options->threads : threads_default();
  void *memory = mem_new(1, (size_t)team_bytes(threads));
  j->strip = mem_new(STRIP, 4);
  if (!memory || !j->strip) {
    mem_free(memory);
    return status_fail_sized(LLAMA2_ERR_MEMORY, 4 * STRIP + team_bytes(threads), mem_available(),
                             "%s: no memory to quantise it", j->path);
  }
  llama2_status status = file_out_open(&j->out, out, j->total, j->options->replace != 0);
  if (status == LLAMA2_OK) {
    j->team = team_init(memory, threads);
    status = write_tensors(j);
    team_close(j->team);
    if (status == LLAMA2_OK)
      status = file_out_end(&j->out);
    else
      file_out_discard(&j->out);
  }
  mem_free(memory);
  return status;
}

llama2_status quantize_checkpoint(const char *in, const llama2_source *source, const char *out,
                                  const llama2_quantize_options *options, llama2_quantize_result *result) {
  job j = {.path = in, .options = options};
  llama2_quantize_result made = {0};
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads,
                       THREADS_MAX);
  RETURN_IF_FAILED(source ? checkpoint_open_source(&j.checkpoint, source) : checkpoint_open(&j.checkpoint, in));
  llama2_status status = refuse_input(&j, out);
  if (status == LLAMA2_OK) status = listing_open(&j.listing, &j.checkpoint);
  if (status == LLAMA2_OK) status = plan_file(&j, &made);
  if (status == LLAMA2_OK) status = write_file(&j, out);
  if (status == LLAMA2_OK) {
    made.bytes_in = j.checkpoint.bytes;
    made.bytes_out = j.total;
    made.tensors = (int32_t)j.listing.n;
    *result = made;
  }
  mem_free(j.strip);
  mem_free(j.plans);
  gguf_head_free(&j.head);
  listing_close(&j.listing);
  checkpoint_close(&j.checkpoint);
  return status;
}
