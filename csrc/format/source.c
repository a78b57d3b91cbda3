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
  for (uint64_t i = 0; i < source->n; i++) mem_free((void *)source->data[i].pieces.data);
  gguf_head_free(&source->head);
  mem_free(source->data);
  mem_free(source->name);
  mem_free(source);
}

/* Fills what stands in the head of a tensor of n_pieces pieces of `bytes` bytes each, and what all of them take. */
static llama2_status check_tensor(const llama2_source *s, gguf_info *info, int32_t dtype, const int64_t *dims,
                                  int64_t n_pieces, uint64_t bytes, uint64_t *whole) {
  const dtype_traits *type = dtype_find(dtype);
  gguf_quoted name = gguf_quote(info->name);
  uint64_t values = 1;
  if (!type || dtype == LLAMA2_Q8_F)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s is of type %d, expected one of GGUF's", s->name,
                       name.text, dtype);
  if (info->n_dims < 1 || info->n_dims > GGUF_DIMS)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s has %d dimensions, expected 1 to %d", s->name, name.text,
                       info->n_dims, GGUF_DIMS);
  for (int i = 0; i < GGUF_DIMS; i++) {
    info->dims[i] = i < info->n_dims ? dims[i] : 1;
    values = size_mul(values, info->dims[i] < 1 ? SIZE_BAD : (uint64_t)info->dims[i]);
  }
  *whole = values == SIZE_BAD || dims[0] % type->block_values
               ? SIZE_BAD
               : size_mul(values / (uint64_t)type->block_values, (uint64_t)type->block_bytes);
  if (*whole == SIZE_BAD)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "%s: the tensor %s is %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                       ", expected dimensions of at least 1, of which the first is a multiple of %s's %d",
                       s->name, name.text, info->dims[0], info->dims[1], info->dims[2], info->dims[3], type->name,
                       type->block_values);
  uint64_t found = size_mul(bytes, (uint64_t)n_pieces);
  if (found != *whole)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s has %" PRIu64 " bytes, but its shape takes %" PRIu64,
                       s->name, name.text, found, *whole);
  return LLAMA2_OK;
}

/* Takes pieces.data over, and mem_free() ends it, even after a failure. */
static llama2_status add_tensor(llama2_source *s, const gguf_info *info, int32_t dtype, uint64_t bytes,
                                gguf_data data) {
  if (s->n == s->capacity) {
    uint64_t capacity = s->capacity ? 2 * s->capacity : 64;
    gguf_data *grown = mem_resize(s->data, (size_t)capacity, sizeof *grown);
    if (!grown) {
      mem_free((void *)data.pieces.data);
      return no_memory(s, capacity * sizeof *grown);
    }
    s->data = grown;
    s->capacity = capacity;
  }
  s->data[s->n++] = data;
  gguf_put_tensor(&s->head, info, dtype, bytes);
  return LLAMA2_OK;
}

llama2_status source_put_tensor(llama2_source *s, const char *name, int32_t dtype, int32_t n_dims, const int64_t *dims,
                                const void *data, uint64_t bytes, int64_t split) {
  gguf_info info = {
      .name = {name, strlen(name)},
      .n_dims = n_dims,
  };
  uint64_t whole;
  RETURN_IF_FAILED(check_tensor(s, &info, dtype, dims, 1, bytes, &whole));
  int64_t rows = info.dims[1] * info.dims[2] * info.dims[3], parts = rows == 1 ? info.dims[0] : rows;
  if (split && (split < 0 || split % 2 || parts % split || (rows == 1 && dtype_find(dtype)->block_values != 1)))
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "%s: the tensor %s has %" PRId64 " rows or values that are split by %" PRId64
                       ", expected an even number that divides them",
                       s->name, gguf_quote(info.name).text, parts, split);
  return add_tensor(s, &info, dtype, whole, (gguf_data){.data = data, .split = split});
}

llama2_status source_join_tensor(llama2_source *s, const char *name, int32_t dtype, int32_t n_dims, const int64_t *dims,
                                 const void *const *pieces, int32_t n_pieces, uint64_t bytes, bool side_by_side) {
  gguf_info info = {
      .name = {name, strlen(name)},
      .n_dims = n_dims,
  };
  uint64_t whole;
  gguf_quoted quoted = gguf_quote(info.name);
  if (n_pieces < 1)
    return status_fail(LLAMA2_ERR_ARGUMENT, "%s: the tensor %s is in %d pieces, expected at least 1", s->name,
                       quoted.text, n_pieces);
  RETURN_IF_FAILED(check_tensor(s, &info, dtype, dims, n_pieces, bytes, &whole));
  int64_t rows = info.dims[1] * info.dims[2] * info.dims[3], joined = side_by_side ? info.dims[0] : rows;
  int64_t unit = side_by_side ? dtype_find(dtype)->block_values : 1;
  if (joined % unit || joined / unit % n_pieces)
    return status_fail(LLAMA2_ERR_ARGUMENT,
                       "%s: the tensor %s has %" PRId64 " %s, expected a multiple of %" PRId64 " for its %d pieces",
                       s->name, quoted.text, joined, side_by_side ? "columns" : "rows", unit * n_pieces, n_pieces);
  const unsigned char **list = mem_new((size_t)n_pieces, sizeof *list);
  if (!list) return no_memory(s, (uint64_t)n_pieces * sizeof *list);
  for (int32_t i = 0; i < n_pieces; i++) list[i] = pieces[i];
  return add_tensor(s, &info, dtype, whole,
                    (gguf_data){
                        list[0], 0, {list, n_pieces, side_by_side}
  });
}

llama2_status source_open(const llama2_source *s, gguf_file *f) {
  unsigned char *head;
  uint64_t n, bytes;
  RETURN_IF_FAILED(gguf_head_measure(&s->head, &bytes));
  if (bytes == SIZE_BAD)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: its tensors take more bytes than can be counted", s->name);
  RETURN_IF_FAILED(gguf_head_copy(&s->head, &head, &n));
  RETURN_IF_FAILED(gguf_open_head(f, s->name, head, n, bytes, s->data));
  f->mapped = s->mapped;
  return LLAMA2_OK;
}
