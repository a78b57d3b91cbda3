#include "engine/rewrite.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/half.h"
#include "base/memory.h"
#include "format/quantize.h"

/* What one worker takes at a time, and what lies in memory before it is written, in values: whole blocks of any type. */
enum { UNIT = 16 * KBLOCK, STRIP = 128 * UNIT };

/* Some of a tensor's values, all rows one behind another, and where they go. */
typedef struct strip {
  tensor tensor;
  int32_t to;
  int64_t begin, end;
  unsigned char *out;
  int64_t group;         /* Q8_F */
  unsigned char *scales; /* Q8_F: of the whole tensor */
  atomic_bool infinite;  /* or not a number */
} strip;

llama2_status rewrite_open(rewrite *r, const char *in, const llama2_source *source, const char *out,
                           const llama2_quantize_options *options) {
  checkpoint *c = &r->checkpoint;
  if (options->threads < 0 || options->threads > THREADS_MAX)
    return status_fail(LLAMA2_ERR_ARGUMENT, "threads is %d, expected 0 (all cores) to %d", options->threads,
                       THREADS_MAX);
  RETURN_IF_FAILED(source ? checkpoint_open_source(c, source) : checkpoint_open(c, in));
  r->path = in;
  r->options = options;
  bool same = !c->is_gguf && file_is(&c->llama2c.file, out);
  for (int32_t i = 0; c->is_gguf && i < c->gguf.n_parts; i++) same = same || file_is(&c->gguf.parts[i], out);
  if (!same) return LLAMA2_OK;
  return status_fail(LLAMA2_ERR_ARGUMENT, "%s: is read from; expected another name to write to", out);
}

void rewrite_close(rewrite *r) {
  if (r->path) checkpoint_close(&r->checkpoint);
}

llama2_status rewrite_begin(rewrite *r, const char *out) {
  int threads = r->options->threads ? r->options->threads : threads_default();
  r->memory = mem_new(1, (size_t)team_bytes(threads));
  r->strip = mem_new(STRIP, 4);
  llama2_status status = LLAMA2_OK;
  if (!r->memory || !r->strip)
    status = status_fail_sized(LLAMA2_ERR_MEMORY, 4 * STRIP + team_bytes(threads), mem_available(),
                               "%s: no memory to write it anew", r->path);
  if (status == LLAMA2_OK) status = file_out_open(&r->out, out, r->total, r->options->replace != 0);
  if (status == LLAMA2_OK) {
    r->team = team_init(r->memory, threads);
  } else {
    mem_free(r->strip);
    mem_free(r->memory);
  }
  return status;
}

static int tell_progress(void *context) {
  const rewrite *r = context;
  return r->options->progress(r->options->progress_context, r->out.size, r->total);
}

llama2_status rewrite_end(rewrite *r, llama2_status status) {
  if (status == LLAMA2_OK && r->options->progress && !atomic_load(&r->cancel) && tell_progress(r) != 0)
    atomic_store(&r->cancel, 1);
  if (status == LLAMA2_OK && atomic_load(&r->cancel))
    status = status_fail(LLAMA2_ERR_CANCELLED, "writing it anew was cancelled");
  team_close(r->team);
  mem_free(r->strip);
  mem_free(r->memory);
  if (status == LLAMA2_OK) return file_out_end(&r->out);
  file_out_discard(&r->out);
  return status;
}

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
    unsigned char *out = s->out + (s->group ? unit * UNIT : unit * UNIT / type->block_values * type->block_bytes);
    bool finite;
    tensor_values(&s->tensor, 0, at, n, x);
    if (s->group) {
      finite = quantize_groups(x, n, s->group, (int8_t *)out, s->scales + at / s->group * 4);
    } else if (s->tensor.dtype == s->to) {
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

static llama2_status refuse_value(const rewrite *r, const listed *item, const strip *s) {
  int64_t at = first_not_finite(s);
  return status_fail(LLAMA2_ERR_NUMERIC,
                     "%s: the tensor %s has a value that is not a finite number, in row %" PRId64 ", column %" PRId64
                     "; the file is damaged, or its training failed",
                     r->path, gguf_quote(item->info.name).text, at / item->data.cols, at % item->data.cols);
}

static llama2_status write_values(rewrite *r, const listed *item, strip *s) {
  const llama2_quantize_options *o = r->options;
  const dtype_traits *type = dtype_find(s->to);
  int64_t values = item->data.rows * item->data.cols;
  for (s->begin = 0; s->begin < values; s->begin = s->end) {
    s->end = values - s->begin < STRIP ? values : s->begin + STRIP;
    team_loop(r->team, ceil_div(s->end - s->begin, UNIT), 1, convert, s, &r->cancel, o->progress ? tell_progress : NULL,
              r);
    if (atomic_load(&r->cancel)) return LLAMA2_OK;
    if (atomic_load(&s->infinite)) return refuse_value(r, item, s);
    int64_t n = s->end - s->begin;
    RETURN_IF_FAILED(
        file_out_write(&r->out, r->strip, (uint64_t)(s->group ? n : n / type->block_values * type->block_bytes)));
  }
  return s->group ? file_out_write(&r->out, s->scales, (uint64_t)(values / s->group) * 4) : LLAMA2_OK;
}

llama2_status rewrite_tensor(rewrite *r, const listed *item, int32_t to, int64_t group) {
  strip s = {.tensor = item->data, .to = to, .out = r->strip, .group = to == LLAMA2_Q8_F ? group : 0};
  if (atomic_load(&r->cancel)) return LLAMA2_OK;
  if (s.group) {
    uint64_t n = (uint64_t)(item->data.rows * item->data.cols / group);
    s.scales = mem_new((size_t)n, 4);
    if (!s.scales)
      return status_fail_sized(LLAMA2_ERR_MEMORY, 4 * n, mem_available(), "%s: no memory for the scales of a tensor",
                               r->path);
  }
  llama2_status status = write_values(r, item, &s);
  mem_free(s.scales);
  if (status == LLAMA2_OK) checkpoint_done(&r->checkpoint, &item->data);
  return status;
}

llama2_status rewrite_tell(rewrite *r, const listed *item, llama2_quantized *plan) {
  if (!r->options->tensor || atomic_load(&r->cancel)) return LLAMA2_OK;
  size_t n = (size_t)item->info.name.n;
  char *name = mem_new(n + 1, 1);
  if (!name)
    return status_fail_sized(LLAMA2_ERR_MEMORY, n + 1, mem_available(), "%s: no memory for the name of a tensor",
                             r->path);
  memcpy(name, item->info.name.data, n);
  plan->name = name;
  if (r->options->tensor(r->options->tensor_context, plan) != 0) atomic_store(&r->cancel, 1);
  mem_free(name);
  return LLAMA2_OK;
}
