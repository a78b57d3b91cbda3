#include "format/llama2c.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"

#define MAGIC 0x616b3432u /* "ak42" */
#define HEADER_V0 28
#define CONTEXT_MAX (1 << 24)
#define LAYERS_MAX (1 << 16)

typedef struct layout {
  llama2c_file *f;
  uint64_t at; /* offset of the next tensor; SIZE_BAD sticks */
  bool whole;  /* every quantised matrix is a whole number of groups */
} layout;

static uint64_t matrix_bytes(layout *l, int32_t dtype, uint64_t values) {
  if (dtype == LLAMA2_F32) return size_mul(values, 4);
  uint64_t group = (uint64_t)l->f->group;
  if (values % group) l->whole = false;
  return size_add(values, size_mul(values / group, 4));
}

static void place(layout *l, llama2c_kind kind, int32_t dtype, int32_t layers, int64_t rows, int64_t cols) {
  llama2c_file *f = l->f;
  uint64_t stride = matrix_bytes(l, dtype, size_mul((uint64_t)rows, (uint64_t)cols));
  f->kinds[kind].rows = rows;
  f->kinds[kind].cols = cols;
  f->kinds[kind].offset = l->at;
  f->kinds[kind].stride = stride;
  f->kinds[kind].dtype = dtype;
  l->at = size_add(l->at, size_mul(stride, (uint64_t)layers));
}

static llama2_status read_header(llama2c_file *f, const char *path) {
  const unsigned char *p = f->file.data;
  uint64_t size = f->file.size;
  if (size < HEADER_V0)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: %" PRIu64 " bytes are too few for a checkpoint header, expected at least %d", path, size,
                       HEADER_V0);
  if (memcmp(p, "PK\3\4", 4) == 0)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: a zip or PyTorch file; expected a llama2.c checkpoint (.bin) or GGUF",
                       path);
  if (load_u32(p) == MAGIC) {
    f->version = load_i32(p + 4);
    if (f->version != 1 && f->version != 2)
      return status_fail(LLAMA2_ERR_FORMAT, "%s: llama2.c checkpoint version %d, expected 1 or 2", path, f->version);
    if (size < LLAMA2C_HEAD)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: %" PRIu64 " bytes are too few for a version %d header, expected at least %d", path, size,
                         f->version, LLAMA2C_HEAD);
    f->shared_classifier = p[36];
    if (p[36] > 1) return status_fail(LLAMA2_ERR_FORMAT, "%s: shared classifier flag %d, expected 0 or 1", path, p[36]);
    f->group = f->version == 2 ? load_i32(p + 37) : 1;
    p += 8;
  }
  int32_t *fields[] = {&f->dim, &f->hidden_dim, &f->n_layers, &f->n_heads, &f->n_kv_heads, &f->vocab_size, &f->context};
  for (int i = 0; i < 7; i++) *fields[i] = load_i32(p + 4 * i);
  if (f->version == 0) { /* a negative vocabulary says that the classifier is separate */
    f->shared_classifier = f->vocab_size > 0;
    if (f->vocab_size < 0 && f->vocab_size != INT32_MIN) f->vocab_size = -f->vocab_size;
  }
  return LLAMA2_OK;
}

static llama2_status check_header(llama2c_file *f, const char *path) {
  const struct {
    const char *name;
    int32_t value, max;
  } fields[] = {
      {"dim",        f->dim,        INT32_MAX  },
      {"hidden_dim", f->hidden_dim, INT32_MAX  },
      {"n_layers",   f->n_layers,   LAYERS_MAX },
      {"n_heads",    f->n_heads,    f->dim     },
      {"n_kv_heads", f->n_kv_heads, f->n_heads },
      {"vocab_size", f->vocab_size, INT32_MAX  },
      {"context",    f->context,    CONTEXT_MAX},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (fields[i].value < 1 || fields[i].value > fields[i].max)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: %s is %d in the header, expected 1 to %d; is this a llama2.c checkpoint?", path,
                         fields[i].name, fields[i].value, fields[i].max);
  if (f->n_heads % f->n_kv_heads)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: n_heads %d is not a multiple of n_kv_heads %d", path, f->n_heads,
                       f->n_kv_heads);
  if (f->group < 1 && f->version == 2)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: quantisation group size is %d in the header, expected at least 1", path,
                       f->group);
  f->head_dim = f->dim / f->n_heads;
  return LLAMA2_OK;
}

bool llama2c_place(llama2c_file *f, uint64_t *bytes) {
  int32_t matrix = f->version == 2 ? LLAMA2_Q8_F : LLAMA2_F32, n = f->n_layers;
  int64_t dim = f->dim, hidden = f->hidden_dim;
  int64_t q = (int64_t)f->n_heads * f->head_dim, kv = (int64_t)f->n_kv_heads * f->head_dim;
  layout l = {f, f->version == 0 ? HEADER_V0 : LLAMA2C_HEAD, true};
  if (f->version != 0) {
    place(&l, LLAMA2C_ATTENTION_NORM, LLAMA2_F32, n, 1, dim);
    place(&l, LLAMA2C_FFN_NORM, LLAMA2_F32, n, 1, dim);
    place(&l, LLAMA2C_FINAL_NORM, LLAMA2_F32, 1, 1, dim);
  }
  place(&l, LLAMA2C_EMBEDDING, matrix, 1, f->vocab_size, dim);
  if (f->version == 0) place(&l, LLAMA2C_ATTENTION_NORM, LLAMA2_F32, n, 1, dim);
  place(&l, LLAMA2C_WQ, matrix, n, q, dim);
  place(&l, LLAMA2C_WK, matrix, n, kv, dim);
  place(&l, LLAMA2C_WV, matrix, n, kv, dim);
  place(&l, LLAMA2C_WO, matrix, n, dim, q);
  if (f->version == 0) place(&l, LLAMA2C_FFN_NORM, LLAMA2_F32, n, 1, dim);
  place(&l, LLAMA2C_W1, matrix, n, hidden, dim);
  place(&l, LLAMA2C_W2, matrix, n, dim, hidden);
  place(&l, LLAMA2C_W3, matrix, n, hidden, dim);
  if (f->version == 0) {
    place(&l, LLAMA2C_FINAL_NORM, LLAMA2_F32, 1, 1, dim);
    l.at = size_add(l.at, size_mul(size_mul((uint64_t)f->context, (uint64_t)(f->head_dim / 2)), 8)); /* rotary tables */
  }
  if (f->shared_classifier)
    f->kinds[LLAMA2C_CLASSIFIER] = f->kinds[LLAMA2C_EMBEDDING];
  else
    place(&l, LLAMA2C_CLASSIFIER, matrix, 1, f->vocab_size, dim);
  *bytes = l.at;
  return l.whole;
}

static llama2_status check_size(const llama2c_file *f, const char *path, uint64_t bytes) {
  if (bytes == SIZE_BAD)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the header's dimensions (dim %d, hidden %d, %d layers, vocab %d) overflow; the file is "
                       "damaged, or not of this format",
                       path, f->dim, f->hidden_dim, f->n_layers, f->vocab_size);
  if (bytes != f->file.size)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: the file has %" PRIu64
                       " bytes, but its header (dim %d, hidden %d, %d layers, vocab %d) "
                       "requires %" PRIu64 "; it is %s",
                       path, f->file.size, f->dim, f->hidden_dim, f->n_layers, f->vocab_size, bytes,
                       f->file.size < bytes ? "cut short: download it again" : "damaged, or not of this format");
  return LLAMA2_OK;
}

llama2_status llama2c_open(llama2c_file *f, const char *path) {
  uint64_t bytes;
  memset(f, 0, sizeof *f);
  RETURN_IF_FAILED(file_open(&f->file, path));
  llama2_status status = read_header(f, path);
  if (status == LLAMA2_OK) status = check_header(f, path);
  if (status == LLAMA2_OK) {
    bool whole = llama2c_place(f, &bytes);
    status = check_size(f, path, bytes);
    if (status == LLAMA2_OK && !whole)
      status = status_fail(LLAMA2_ERR_FORMAT, "%s: a matrix is no whole number of groups of %d values", path, f->group);
  }
  if (status != LLAMA2_OK) llama2c_close(f);
  return status;
}

static void store_i32(unsigned char *p, int32_t value) {
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)((uint32_t)value >> 8 * i);
}

uint64_t llama2c_head(const llama2c_file *f, unsigned char head[LLAMA2C_HEAD]) {
  unsigned char *p = head;
  memset(head, 0, LLAMA2C_HEAD);
  if (f->version != 0) {
    store_i32(p, MAGIC);
    store_i32(p + 4, f->version);
    p[36] = (unsigned char)f->shared_classifier;
    if (f->version == 2) store_i32(p + 37, f->group);
    p += 8;
  }
  int32_t vocab = f->version == 0 && !f->shared_classifier ? -f->vocab_size : f->vocab_size;
  const int32_t fields[] = {f->dim, f->hidden_dim, f->n_layers, f->n_heads, f->n_kv_heads, vocab, f->context};
  for (int i = 0; i < 7; i++) store_i32(p + 4 * i, fields[i]);
  return f->version == 0 ? HEADER_V0 : LLAMA2C_HEAD;
}

void llama2c_close(llama2c_file *f) {
  file_close(&f->file);
  memset(f, 0, sizeof *f);
}

tensor llama2c_tensor(const llama2c_file *f, llama2c_kind kind, int32_t layer) {
  uint64_t stride = f->kinds[kind].stride;
  tensor t = {.dtype = f->kinds[kind].dtype,
              .rows = f->kinds[kind].rows,
              .cols = f->kinds[kind].cols,
              .data = f->file.data + f->kinds[kind].offset + (uint64_t)layer * stride,
              .bytes = stride,
              .group = f->group};
  if (t.dtype == LLAMA2_Q8_F) t.scales = t.data + t.rows * t.cols;
  return t;
}
