/* format/gguf_value: what the keys of an opened file say. The file is checked; nothing here can leave it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/gguf_file.h"

const char *gguf_type_name(int32_t type) {
#define ROW(name, id, text, bytes) [id] = text,
  static const char *const names[] = {GGUF_TYPES(ROW)};
#undef ROW
  return names[type];
}

uint64_t gguf_type_bytes(int32_t type) {
#define ROW(name, id, text, bytes) [id] = bytes,
  static const uint8_t sizes[] = {GGUF_TYPES(ROW)};
#undef ROW
  return sizes[type];
}

int gguf_compare(gguf_text a, gguf_text b) {
  int order = memcmp(a.data, b.data, (size_t)(a.n < b.n ? a.n : b.n));
  return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool gguf_text_is(gguf_text text, const char *other) {
  return text.n == strlen(other) && memcmp(text.data, other, (size_t)text.n) == 0;
}

gguf_quoted gguf_quote(gguf_text text) {
  gguf_quoted q = {{0}};
  size_t room = sizeof q.text - 1, n = text.n < room ? (size_t)text.n : room;
  for (size_t i = 0; i < n; i++) q.text[i] = (char)(text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?');
  if (text.n > room) memcpy(q.text + room - 3, "...", 3);
  return q;
}

/* Arrays. */

gguf_walk gguf_items(const gguf_value *array) {
  return (gguf_walk){array->data, array->n, array->items};
}

bool gguf_next(gguf_walk *walk, gguf_value *item) {
  if (!walk->left) return false;
  walk->left--;
  *item = (gguf_value){.type = walk->type, .n = 1, .data = walk->at};
  if (item->type == GGUF_STRING) {
    item->n = load_u64(walk->at);
    item->data = walk->at + 8;
    walk->at = item->data + item->n;
  } else if (item->type == GGUF_ARRAY) {
    item->items = load_i32(walk->at);
    item->n = load_u64(walk->at + 4);
    item->data = walk->at + 12;
    walk->at = gguf_value_end(item);
  } else {
    walk->at += gguf_type_bytes(item->type);
  }
  return true;
}

const unsigned char *gguf_value_end(const gguf_value *v) {
  if (v->type == GGUF_STRING) return v->data + v->n;
  if (v->type != GGUF_ARRAY) return v->data + gguf_type_bytes(v->type);
  if (gguf_type_bytes(v->items)) return v->data + v->n * gguf_type_bytes(v->items);
  gguf_value skipped;
  gguf_walk walk = gguf_items(v);
  while (gguf_next(&walk, &skipped))
    ;
  return walk.at;
}

/* Numbers. */

bool gguf_as_int(const gguf_value *v, int64_t *value) {
  const unsigned char *p = v->data;
  switch (v->type) {
    case GGUF_U8: *value = p[0]; return true;
    case GGUF_I8: *value = (int8_t)p[0]; return true;
    case GGUF_U16: *value = load_u16(p); return true;
    case GGUF_I16: *value = (int16_t)load_u16(p); return true;
    case GGUF_U32: *value = load_u32(p); return true;
    case GGUF_I32: *value = load_i32(p); return true;
    case GGUF_U64:
      if (load_u64(p) > INT64_MAX) return false;
      *value = (int64_t)load_u64(p);
      return true;
    case GGUF_I64: *value = (int64_t)load_u64(p); return true;
    default: return false;
  }
}

bool gguf_as_float(const gguf_value *v, double *value) {
  union {
    uint64_t u;
    double f;
  } bits;
  switch (v->type) {
    case GGUF_F32: *value = (double)load_f32(v->data); return true;
    case GGUF_F64:
      bits.u = load_u64(v->data);
      *value = bits.f;
      return true;
    default: return false;
  }
}

/* Keys. */

const gguf_value *gguf_find(const gguf_file *f, const char *key) {
  gguf_text wanted = {key, strlen(key)};
  uint64_t low = 0, high = f->n_entries;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    int order = gguf_compare(f->entries[middle].key, wanted);
    if (order == 0) return &f->entries[middle].value;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

static llama2_status wrong(const gguf_file *f, const char *key, const gguf_value *v, const char *expected) {
  if (!v) return status_fail(LLAMA2_ERR_FORMAT, "%s: the key %s is missing, expected %s", f->path, key, expected);
  bool array = v->type == GGUF_ARRAY;
  return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is of type %s%s, expected %s", f->path, key, array ? "array of " : "",
                     gguf_type_name(array ? v->items : v->type), expected);
}

llama2_status gguf_int(const gguf_file *f, const char *key, int64_t least, int64_t most, int64_t *value) {
  const gguf_value *v = gguf_find(f, key);
  int64_t found;
  if (v && v->type == GGUF_U64 && load_u64(v->data) > INT64_MAX)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is %" PRIu64 ", expected %" PRId64 " to %" PRId64, f->path, key,
                       load_u64(v->data), least, most);
  if (!v || !gguf_as_int(v, &found)) return wrong(f, key, v, "a whole number");
  if (found < least || found > most)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is %" PRId64 ", expected %" PRId64 " to %" PRId64, f->path, key,
                       found, least, most);
  *value = found;
  return LLAMA2_OK;
}

llama2_status gguf_float(const gguf_file *f, const char *key, double least, double most, double *value) {
  const gguf_value *v = gguf_find(f, key);
  double found;
  if (!v || !gguf_as_float(v, &found)) return wrong(f, key, v, "float32 or float64");
  if (!(found >= least && found <= most))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %s is %g, expected %g to %g", f->path, key, found, least, most);
  *value = found;
  return LLAMA2_OK;
}

llama2_status gguf_bool(const gguf_file *f, const char *key, bool *value) {
  const gguf_value *v = gguf_find(f, key);
  if (!v || v->type != GGUF_BOOL) return wrong(f, key, v, "bool");
  *value = v->data[0];
  return LLAMA2_OK;
}

llama2_status gguf_string(const gguf_file *f, const char *key, gguf_text *value) {
  const gguf_value *v = gguf_find(f, key);
  if (!v || v->type != GGUF_STRING) return wrong(f, key, v, "a string");
  *value = (gguf_text){(const char *)v->data, v->n};
  return LLAMA2_OK;
}

llama2_status gguf_array(const gguf_file *f, const char *key, gguf_type items, const gguf_value **value) {
  const gguf_value *v = gguf_find(f, key);
  if (!v || v->type != GGUF_ARRAY || v->items != (int32_t)items) {
    char expected[32];
    snprintf(expected, sizeof expected, "an array of %s", gguf_type_name(items));
    return wrong(f, key, v, expected);
  }
  *value = v;
  return LLAMA2_OK;
}
