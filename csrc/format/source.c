#include "format/source.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"

static llama2_status no_memory(const llama2_source *s, uint64_t bytes) {
  return status_fail_sized(LLAMA2_ERR_MEMORY, bytes, mem_available(), "%s: no memory for its table of contents",
                           s->name);
}

llama2_status source_new(const char *name, llama2_source **source) {
  llama2_source *s = mem_new(1, sizeof *s);
  if (s) s->name = mem_new(strlen(name) + 1, 1);
  if (!s || !s->name) {
    source_free(s);
    return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *s + strlen(name), mem_available(), "%s: no memory to read it",
                             name);
  }
  memcpy(s->name, name, strlen(name));
  s->head.alignment = GGUF_ALIGNMENT;
  *source = s;
  return LLAMA2_OK;
}

void source_free(llama2_source *source) {
  if (!source) return;
  gguf_head_free(&source->head);
  mem_free(source->data);
  mem_free(source->name);
  mem_free(source);
}

llama2_status source_put_tensor(llama2_source *s, const char *name, int32_t dtype, int32_t n_dims, const int64_t *dims,
                                const void *data, uint64_t bytes, int64_t split) {
  const dtype_traits *type = dtype_find(dtype);
  gguf_info info = {
      .name = {name, strlen(name)},
      .dims = { 1, 1,              1, 1},
      .n_dims = n_dims,
  };
  gguf_quoted quoted = gguf_quote(info.name);
  uint64_t values = 1;
  if (!type || dtype == LLAMA2_Q8_F)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s is of type %d, expected one of GGUF's", s->name,
                       quoted.text, dtype);
  if (n_dims < 1 || n_dims > GGUF_DIMS)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s has %d dimensions, expected 1 to %d", s->name,
                       quoted.text, n_dims, GGUF_DIMS);
  for (int i = 0; i < n_dims; i++) {
    info.dims[i] = dims[i];
    values = size_mul(values, dims[i] < 1 ? SIZE_BAD : (uint64_t)dims[i]);
  }
  uint64_t expected = values == SIZE_BAD || dims[0] % type->block_values
                          ? SIZE_BAD
                          : size_mul(values / (uint64_t)type->block_values, (uint64_t)type->block_bytes);
  if (expected == SIZE_BAD)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "%s: the tensor %s is %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                       ", expected dimensions of at least 1, of which the first is a multiple of %s's %d",
                       s->name, quoted.text, info.dims[0], info.dims[1], info.dims[2], info.dims[3], type->name,
                       type->block_values);
  if (bytes != expected)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s has %" PRIu64 " bytes, but its shape takes %" PRIu64,
                       s->name, quoted.text, bytes, expected);
  int64_t rows = (int64_t)values / info.dims[0], parts = rows == 1 ? info.dims[0] : rows;
  if (split && (split < 0 || split % 2 || parts % split || (rows == 1 && type->block_values != 1)))
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "%s: the tensor %s has %" PRId64 " rows or values that are split by %" PRId64
                       ", expected an even number that divides them",
                       s->name, quoted.text, parts, split);
  if (s->head.n_tensors == s->capacity) {
    uint64_t capacity = s->capacity ? 2 * s->capacity : 64;
    gguf_data *grown = mem_resize(s->data, (size_t)capacity, sizeof *grown);
    if (!grown) return no_memory(s, capacity * sizeof *grown);
    s->data = grown;
    s->capacity = capacity;
  }
  s->data[s->head.n_tensors] = (gguf_data){data, split};
  gguf_put_tensor(&s->head, &info, dtype, bytes);
  return LLAMA2_OK;
}

llama2_status source_open(const llama2_source *s, gguf_file *f) {
  unsigned char *head;
  uint64_t n, bytes;
  RETURN_IF_FAILED(gguf_head_measure(&s->head, &bytes));
  if (bytes == SIZE_BAD)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: its tensors take more bytes than can be counted", s->name);
  RETURN_IF_FAILED(gguf_head_copy(&s->head, &head, &n));
  return gguf_open_head(f, s->name, head, n, bytes, s->data);
}
