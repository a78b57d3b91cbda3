#include "format/gguf_write.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/half.h"
#include "base/memory.h"

#define HEADER 24
#define ROOM_FIRST 4096

static void put(gguf_head *h, gguf_bytes *b, const void *data, uint64_t n) {
  uint64_t needed = size_add(b->n, n), room = b->capacity ? b->capacity : ROOM_FIRST;
  if (h->wanted) return;
  if (needed > b->capacity) {
    while (room < needed) room = size_mul(room, 2);
    unsigned char *grown = room <= SIZE_MAX / 2 ? mem_resize(b->data, 1, (size_t)room) : NULL;
    if (!grown) {
      h->wanted = room;
      return;
    }
    b->data = grown;
    b->capacity = room;
  }
  if (n) memcpy(b->data + b->n, data, (size_t)n);
  b->n = needed;
}

static void store(unsigned char *p, uint64_t value, int n) {
  for (int i = 0; i < n; i++) p[i] = (unsigned char)(value >> 8 * i);
}

static void put_u32(gguf_head *h, gguf_bytes *b, uint32_t value) {
  unsigned char bytes[4];
  store(bytes, value, 4);
  put(h, b, bytes, 4);
}

static void put_u64(gguf_head *h, gguf_bytes *b, uint64_t value) {
  unsigned char bytes[8];
  store(bytes, value, 8);
  put(h, b, bytes, 8);
}

static void put_text(gguf_head *h, gguf_bytes *b, gguf_text text) {
  put_u64(h, b, text.n);
  put(h, b, text.data, text.n);
}

static void put_key(gguf_head *h, const char *key, gguf_type type) {
  put_text(h, &h->keys, (gguf_text){key, strlen(key)});
  put_u32(h, &h->keys, type);
  h->n_keys++;
}

void gguf_head_free(gguf_head *h) {
  mem_free(h->keys.data);
  mem_free(h->tensors.data);
  memset(h, 0, sizeof *h);
}

void gguf_put_u32(gguf_head *h, const char *key, uint32_t value) {
  put_key(h, key, GGUF_U32);
  put_u32(h, &h->keys, value);
}

void gguf_put_f32(gguf_head *h, const char *key, float value) {
  put_key(h, key, GGUF_F32);
  gguf_put_item_f32(h, value);
}

void gguf_put_bool(gguf_head *h, const char *key, bool value) {
  put_key(h, key, GGUF_BOOL);
  put(h, &h->keys, &(unsigned char){value}, 1);
}

void gguf_put_text(gguf_head *h, const char *key, gguf_text value) {
  put_key(h, key, GGUF_STRING);
  gguf_put_item_text(h, value);
}

void gguf_put_array(gguf_head *h, const char *key, gguf_type items, uint64_t n) {
  put_key(h, key, GGUF_ARRAY);
  put_u32(h, &h->keys, items);
  put_u64(h, &h->keys, n);
}

void gguf_put_item_text(gguf_head *h, gguf_text value) {
  put_text(h, &h->keys, value);
}

void gguf_put_item_f32(gguf_head *h, float value) {
  put_u32(h, &h->keys, half_f32_bits(value));
}

void gguf_put_item_i32(gguf_head *h, int32_t value) {
  put_u32(h, &h->keys, (uint32_t)value);
}

void gguf_put_entry(gguf_head *h, const gguf_entry *e) {
  put_u64(h, &h->keys, e->key.n);
  put(h, &h->keys, e->key.data, (uint64_t)(gguf_value_end(&e->value) - (const unsigned char *)e->key.data));
  h->n_keys++;
}

void gguf_put_tensor(gguf_head *h, const gguf_info *like, int32_t type, uint64_t bytes) {
  put_text(h, &h->tensors, like->name);
  put_u32(h, &h->tensors, (uint32_t)like->n_dims);
  for (int i = 0; i < like->n_dims; i++) put_u64(h, &h->tensors, (uint64_t)like->dims[i]);
  put_u32(h, &h->tensors, (uint32_t)type);
  put_u64(h, &h->tensors, h->data);
  h->data = size_add(h->data, size_round_up(bytes, h->alignment));
  h->n_tensors++;
}

static llama2_status no_memory(uint64_t bytes) {
  return status_fail_sized(LLAMA2_ERR_MEMORY, bytes, mem_available(), "no memory for the head of a GGUF file");
}

llama2_status gguf_head_measure(const gguf_head *h, uint64_t *bytes) {
  if (h->wanted) return no_memory(h->wanted);
  *bytes = size_add(size_round_up(HEADER + h->keys.n + h->tensors.n, h->alignment), h->data);
  return LLAMA2_OK;
}

static void store_header(const gguf_head *h, unsigned char header[HEADER]) {
  memcpy(header, "GGUF", 4);
  store(header + 4, 3, 4);
  store(header + 8, h->n_tensors, 8);
  store(header + 16, h->n_keys, 8);
}

llama2_status gguf_head_copy(const gguf_head *h, unsigned char **head, uint64_t *n) {
  uint64_t bytes = HEADER + h->keys.n + h->tensors.n;
  unsigned char *copy = h->wanted ? NULL : mem_new((size_t)bytes, 1);
  if (!copy) return no_memory(h->wanted ? h->wanted : bytes);
  store_header(h, copy);
  if (h->keys.n) memcpy(copy + HEADER, h->keys.data, (size_t)h->keys.n);
  if (h->tensors.n) memcpy(copy + HEADER + h->keys.n, h->tensors.data, (size_t)h->tensors.n);
  *head = copy;
  *n = bytes;
  return LLAMA2_OK;
}

llama2_status gguf_write_head(const gguf_head *h, file_out *out) {
  unsigned char header[HEADER];
  assert(!h->wanted && out->size == 0);
  store_header(h, header);
  RETURN_IF_FAILED(file_out_write(out, header, HEADER));
  RETURN_IF_FAILED(file_out_write(out, h->keys.data, h->keys.n));
  RETURN_IF_FAILED(file_out_write(out, h->tensors.data, h->tensors.n));
  return gguf_write_gap(h, out);
}

llama2_status gguf_write_gap(const gguf_head *h, file_out *out) {
  static const unsigned char zeros[4096];
  uint64_t gap = size_round_up(out->size, h->alignment) - out->size;
  while (gap > 0) {
    uint64_t n = gap < sizeof zeros ? gap : sizeof zeros;
    RETURN_IF_FAILED(file_out_write(out, zeros, n));
    gap -= n;
  }
  return LLAMA2_OK;
}
