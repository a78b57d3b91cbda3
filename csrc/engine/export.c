#include "engine/export.h"

#include <string.h>

#include "base/checked.h"
#include "base/half.h"
#include "base/memory.h"
#include "cpu/rope.h"
#include "engine/rewrite.h"
#include "model/from_gguf.h"
#include "model/to_llama2c.h"

typedef struct job {
  rewrite rewrite;
  llama2c_file file; /* to be */
  int32_t tensors;
} job;

static llama2_status write_tensor(job *j, role role, int32_t layer) {
  rewrite *r = &j->rewrite;
  char name[32];
  from_gguf_name(role, layer, name, sizeof name);
  listed item = {.data = checkpoint_tensor(&r->checkpoint, role, layer)};
  item.info.name = (gguf_text){name, strlen(name)};
  int32_t dtype = j->file.kinds[checkpoint_kind(role)].dtype;
  llama2_quantized plan = {
      .had = item.data.dtype,
      .wanted = dtype,
      .dtype = dtype,
      .values = (uint64_t)(item.data.rows * item.data.cols),
      .bytes = j->file.kinds[checkpoint_kind(role)].stride,
  };
  RETURN_IF_FAILED(rewrite_tensor(r, &item, dtype, j->file.group));
  j->tensors++;
  return rewrite_tell(r, &item, &plan);
}

static void store(unsigned char *p, float value) {
  uint32_t bits = half_f32_bits(value);
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)(bits >> 8 * i);
}

/* Version 0's: all cosines, then all sines, a row for each position. No program reads them any more. */
static llama2_status write_rotary(job *j) {
  const config *c = &j->rewrite.checkpoint.config;
  int32_t pairs = c->head_dim / 2;
  double *frequencies = mem_new((size_t)pairs, sizeof *frequencies);
  float *angles = mem_new((size_t)pairs, 2 * sizeof *angles);
  unsigned char *row = mem_new((size_t)pairs, 4);
  llama2_status status = LLAMA2_OK;
  if (!frequencies || !angles || !row)
    status = status_fail_sized(LLAMA2_ERR_MEMORY, (uint64_t)pairs * 20, mem_available(),
                               "%s: no memory for its rotary tables", j->rewrite.path);
  if (status == LLAMA2_OK) rope_frequencies(frequencies, (double)c->rope_theta, c->head_dim);
  for (int sine = 0; sine < 2; sine++)
    for (int32_t t = 0; status == LLAMA2_OK && t < c->context; t++) {
      rope_angles(angles, frequencies, pairs, t, 1);
      for (int32_t i = 0; i < pairs; i++) store(row + 4 * i, angles[2 * i + sine]);
      status = file_out_write(&j->rewrite.out, row, 4 * (uint64_t)pairs);
    }
  mem_free(row);
  mem_free(angles);
  mem_free(frequencies);
  return status;
}

/* Tensors follow one another as their places in the file do; a shared classifier has been written with the embedding. */
static llama2_status write_tensors(job *j) {
  const llama2c_file *f = &j->file;
  for (uint64_t at = 0;;) {
    role next = ROLES;
    for (role r = 0; r <= ROLE_CLASSIFIER; r++) {
      uint64_t offset = f->kinds[checkpoint_kind(r)].offset;
      if (offset > at && (next == ROLES || offset < f->kinds[checkpoint_kind(next)].offset)) next = r;
    }
    if (next == ROLES) return LLAMA2_OK;
    at = f->kinds[checkpoint_kind(next)].offset;
    for (int32_t i = 0; i < (role_layered(next) ? f->n_layers : 1); i++) RETURN_IF_FAILED(write_tensor(j, next, i));
    if (f->version == 0 && next == ROLE_FINAL_NORM) RETURN_IF_FAILED(write_rotary(j));
  }
}

static llama2_status write_file(job *j, const char *out) {
  unsigned char head[LLAMA2C_HEAD];
  uint64_t n = llama2c_head(&j->file, head);
  RETURN_IF_FAILED(rewrite_begin(&j->rewrite, out));
  llama2_status status = file_out_write(&j->rewrite.out, head, n);
  if (status == LLAMA2_OK) status = write_tensors(j);
  return rewrite_end(&j->rewrite, status);
}

llama2_status export_llama2c(const char *in, const llama2_source *source, const char *out,
                             const llama2_quantize_options *options, llama2_quantize_result *result) {
  job j = {0};
  rewrite *r = &j.rewrite;
  llama2_status status = rewrite_open(r, in, source, out, options);
  if (status == LLAMA2_OK) status = to_llama2c(&r->checkpoint, in, options->llama2c, &j.file, &r->total);
  if (status == LLAMA2_OK) status = write_file(&j, out);
  if (status == LLAMA2_OK)
    *result = (llama2_quantize_result){
        .bytes_in = r->checkpoint.bytes,
        .bytes_out = r->total,
        .tensors = j.tensors,
        .norm_eps = r->checkpoint.config.norm_eps,
    };
  rewrite_close(r);
  return status;
}
