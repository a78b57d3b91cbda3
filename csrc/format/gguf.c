#include "format/gguf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"
#include "format/gguf_file.h"

#define HEADER 24
#define KEY_MAX 65535
#define NESTING_MAX 8
#define ALIGNMENT_MAX (1 << 16)
#define PARTS_MAX 65535 /* what split.count can hold */

/* The least that an entry takes in the file: a key of one letter with a uint8, a tensor of one letter and dimension. */
#define ENTRY_MIN (8 + 1 + 4 + 1)
#define TENSOR_MIN (8 + 1 + 4 + 8 + 4 + 8)

/* Types of tensors. */

typedef struct block {
  uint32_t type;
  const char *name;
  uint16_t values, bytes;
} block;

/* All types that ggml has, so that a file can be checked and described whose tensors cannot be computed with. */
static const block *block_of(uint32_t type) {
  static const block blocks[] = {
      {0,  "F32",     1,   4  },
      {1,  "F16",     1,   2  },
      {2,  "Q4_0",    32,  18 },
      {3,  "Q4_1",    32,  20 },
      {6,  "Q5_0",    32,  22 },
      {7,  "Q5_1",    32,  24 },
      {8,  "Q8_0",    32,  34 },
      {9,  "Q8_1",    32,  40 },
      {10, "Q2_K",    256, 84 },
      {11, "Q3_K",    256, 110},
      {12, "Q4_K",    256, 144},
      {13, "Q5_K",    256, 176},
      {14, "Q6_K",    256, 210},
      {15, "Q8_K",    256, 292},
      {16, "IQ2_XXS", 256, 66 },
      {17, "IQ2_XS",  256, 74 },
      {18, "IQ3_XXS", 256, 98 },
      {19, "IQ1_S",   256, 50 },
      {20, "IQ4_NL",  32,  18 },
      {21, "IQ3_S",   256, 110},
      {22, "IQ2_S",   256, 82 },
      {23, "IQ4_XS",  256, 136},
      {24, "I8",      1,   1  },
      {25, "I16",     1,   2  },
      {26, "I32",     1,   4  },
      {27, "I64",     1,   8  },
      {28, "F64",     1,   8  },
      {29, "IQ1_M",   256, 56 },
      {30, "BF16",    1,   2  },
      {34, "TQ1_0",   256, 54 },
      {35, "TQ2_0",   256, 66 },
      {39, "MXFP4",   32,  17 },
      {40, "NVFP4",   64,  36 },
      {41, "Q1_0",    128, 18 },
  };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if (blocks[i].type == type) return &blocks[i];
  return NULL;
}

const char *gguf_dtype_name(int32_t dtype) {
  const block *b = block_of((uint32_t)dtype);
  return b ? b->name : "of a type that is not known";
}

/* Reading. */

/* Where in a file reading has come to. */
typedef struct reader {
  const char *path;
  const unsigned char *data;
  uint64_t size, at;
  uint64_t whole;   /* bytes of the file: more than `size` where the tensors' data lies elsewhere */
  const char *list; /* "key" or "tensor" */
  uint64_t index, count;
} reader;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static llama2_status
damaged(const reader *r, const char *format, ...) {
  char what[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return status_fail(LLAMA2_ERR_FORMAT, "%s: %s %" PRIu64 " of %" PRIu64 ", byte %" PRIu64 ": %s", r->path, r->list,
                     r->index + 1, r->count, r->at, what);
}

static uint64_t left(const reader *r) {
  return r->size - r->at;
}

static llama2_status need(const reader *r, uint64_t n, const char *what) {
  if (n <= left(r)) return LLAMA2_OK;
  return damaged(r, "%s takes %" PRIu64 " bytes, but %" PRIu64 " are left; the file is cut short or damaged", what, n,
                 left(r));
}

static llama2_status read_text(reader *r, const char *what, gguf_text *text) {
  RETURN_IF_FAILED(need(r, 8, what));
  uint64_t n = load_u64(r->data + r->at);
  r->at += 8;
  RETURN_IF_FAILED(need(r, n, what));
  *text = (gguf_text){(const char *)r->data + r->at, n};
  r->at += n;
  return LLAMA2_OK;
}

static llama2_status read_name(reader *r, gguf_text *name) {
  RETURN_IF_FAILED(read_text(r, "its name", name));
  if (name->n < 1 || name->n > KEY_MAX)
    return damaged(r, "its name has %" PRIu64 " bytes, expected 1 to %d", name->n, KEY_MAX);
  return LLAMA2_OK;
}

static llama2_status check_type(const reader *r, uint32_t type) {
  if (type < GGUF_TYPE_COUNT) return LLAMA2_OK;
  return damaged(r, "a value of type %" PRIu32 ", expected 0 to %d", type, GGUF_TYPE_COUNT - 1);
}

static llama2_status read_numbers(reader *r, int32_t type, uint64_t n) {
  for (uint64_t i = 0; type == GGUF_BOOL && i < n; i++)
    if (r->data[r->at + i] > 1) return damaged(r, "a bool is %d, expected 0 or 1", r->data[r->at + i]);
  r->at += n * gguf_type_bytes(type);
  return LLAMA2_OK;
}

static llama2_status read_value(reader *r, int32_t type, int depth, gguf_value *v) {
  *v = (gguf_value){.type = type, .n = 1};
  if (type == GGUF_STRING) {
    gguf_text text;
    RETURN_IF_FAILED(read_text(r, "a string", &text));
    v->data = (const unsigned char *)text.data;
    v->n = text.n;
    return LLAMA2_OK;
  }
  if (type != GGUF_ARRAY) {
    RETURN_IF_FAILED(need(r, gguf_type_bytes(type), "its value"));
    v->data = r->data + r->at;
    return read_numbers(r, type, 1);
  }
  if (depth == NESTING_MAX) return damaged(r, "arrays in arrays, %d deep, expected fewer", depth + 1);
  RETURN_IF_FAILED(need(r, 12, "an array's type and length"));
  RETURN_IF_FAILED(check_type(r, load_u32(r->data + r->at)));
  v->items = load_i32(r->data + r->at);
  v->n = load_u64(r->data + r->at + 4);
  uint64_t bytes = gguf_type_bytes(v->items), least = bytes ? bytes : v->items == GGUF_STRING ? 8 : 12;
  if (v->n > (left(r) - 12) / least)
    return damaged(r, "an array of %" PRIu64 " %ss, but %" PRIu64 " bytes are left; the file is cut short or damaged",
                   v->n, gguf_type_name(v->items), left(r) - 12);
  r->at += 12;
  v->data = r->data + r->at;
  if (bytes) return read_numbers(r, v->items, v->n);
  gguf_value item;
  for (uint64_t i = 0; i < v->n; i++) RETURN_IF_FAILED(read_value(r, v->items, depth + 1, &item));
  return LLAMA2_OK;
}

static llama2_status no_memory(const gguf_file *f, uint64_t bytes) {
  return status_fail_sized(LLAMA2_ERR_MEMORY, bytes, mem_available(), "%s: no memory for its table of contents",
                           f->path);
}

/* A table of n rows of which each takes at least `least` bytes of what is left of the file. */
static llama2_status new_table(const gguf_file *f, const reader *r, uint64_t least, size_t row, void **table) {
  if (r->count > left(r) / least)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: %" PRIu64 " %ss in the header, but the file has %" PRIu64 " bytes after byte %" PRIu64
                       ", expected at least %" PRIu64 " for each",
                       r->path, r->count, r->list, left(r), r->at, least);
  *table = mem_new((size_t)r->count, row);
  return *table ? LLAMA2_OK : no_memory(f, (r->count ? r->count : 1) * row);
}

static int by_key(const void *a, const void *b) {
  return gguf_compare(((const gguf_entry *)a)->key, ((const gguf_entry *)b)->key);
}

static llama2_status read_entries(gguf_file *f, reader *r) {
  void *table = NULL;
  RETURN_IF_FAILED(new_table(f, r, ENTRY_MIN, sizeof(gguf_entry), &table));
  f->entries = table;
  for (r->index = 0; r->index < r->count; r->index++) {
    gguf_entry *e = &f->entries[r->index];
    RETURN_IF_FAILED(read_name(r, &e->key));
    RETURN_IF_FAILED(need(r, 4, "the type of its value"));
    uint32_t type = load_u32(r->data + r->at);
    RETURN_IF_FAILED(check_type(r, type));
    r->at += 4;
    RETURN_IF_FAILED(read_value(r, (int32_t)type, 0, &e->value));
  }
  f->n_entries = r->count;
  qsort(f->entries, (size_t)f->n_entries, sizeof *f->entries, by_key);
  for (uint64_t i = 1; i < f->n_entries; i++)
    if (by_key(&f->entries[i - 1], &f->entries[i]) == 0) {
      uint64_t a = (uint64_t)((const unsigned char *)f->entries[i - 1].key.data - r->data);
      uint64_t b = (uint64_t)((const unsigned char *)f->entries[i].key.data - r->data);
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: the key %s is there twice, at byte %" PRIu64 " and at byte %" PRIu64 ", expected once",
                         r->path, gguf_quote(f->entries[i].key).text, a < b ? a : b, a < b ? b : a);
    }
  return LLAMA2_OK;
}

/* All but where its data is: t->offset begins where the data of all tensors does, which is not known yet. */
static llama2_status read_tensor(reader *r, uint64_t alignment, gguf_info *t) {
  RETURN_IF_FAILED(read_name(r, &t->name));
  gguf_quoted name = gguf_quote(t->name);
  RETURN_IF_FAILED(need(r, 4, "its number of dimensions"));
  uint32_t n = load_u32(r->data + r->at);
  if (n < 1 || n > GGUF_DIMS)
    return damaged(r, "%s has %" PRIu32 " dimensions, expected 1 to %d", name.text, n, GGUF_DIMS);
  r->at += 4;
  RETURN_IF_FAILED(need(r, 8 * (uint64_t)n + 12, "its shape, type and offset"));
  uint64_t values = 1;
  t->n_dims = (int32_t)n;
  for (int i = 0; i < GGUF_DIMS; i++) {
    uint64_t dim = 1;
    if (i < t->n_dims) {
      dim = load_u64(r->data + r->at);
      if (dim < 1 || dim > INT64_MAX)
        return damaged(r, "dimension %d of %s is %" PRIu64 ", expected at least 1 and less than 2^63", i, name.text,
                       dim);
      r->at += 8;
    }
    t->dims[i] = (int64_t)dim;
    values = size_mul(values, dim);
  }
  uint32_t type = load_u32(r->data + r->at);
  const block *b = block_of(type);
  if (!b) return damaged(r, "%s is of type %" PRIu32 ", which is not known", name.text, type);
  if (t->dims[0] % b->values)
    return damaged(r, "%s has rows of %" PRId64 " values, expected a multiple of %s's %d", name.text, t->dims[0],
                   b->name, b->values);
  t->type = (int32_t)type;
  t->bytes = values == SIZE_BAD ? SIZE_BAD : size_mul(values / b->values, b->bytes);
  if (t->bytes == SIZE_BAD)
    return damaged(r,
                   "the shape of %s, %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                   " of %s, overflows; the file is damaged",
                   name.text, t->dims[0], t->dims[1], t->dims[2], t->dims[3], b->name);
  r->at += 4;
  t->offset = load_u64(r->data + r->at);
  if (t->offset % alignment)
    return damaged(r, "the offset of %s is %" PRIu64 ", expected a multiple of the alignment, %" PRIu64, name.text,
                   t->offset, alignment);
  r->at += 8;
  return LLAMA2_OK;
}

static int by_place(const void *a, const void *b) {
  uint64_t left = ((const gguf_info *)a)->offset, right = ((const gguf_info *)b)->offset;
  return (left > right) - (left < right);
}

static int by_name(const void *a, const void *b) {
  return gguf_compare(((const gguf_info *)a)->name, ((const gguf_info *)b)->name);
}

static llama2_status read_alignment(gguf_file *f) {
  int64_t found = GGUF_ALIGNMENT;
  if (gguf_find(f, "general.alignment")) RETURN_IF_FAILED(gguf_int(f, "general.alignment", 1, ALIGNMENT_MAX, &found));
  f->alignment = (uint64_t)found;
  if (found & (found - 1))
    return status_fail(LLAMA2_ERR_FORMAT, "%s: general.alignment is %" PRId64 ", expected a power of two", f->path,
                       found);
  return LLAMA2_OK;
}

static llama2_status read_tensors(gguf_file *f, reader *r) {
  void *table = NULL;
  RETURN_IF_FAILED(read_alignment(f));
  RETURN_IF_FAILED(new_table(f, r, TENSOR_MIN, sizeof(gguf_info), &table));
  f->tensors = table;
  for (r->index = 0; r->index < r->count; r->index++)
    RETURN_IF_FAILED(read_tensor(r, f->alignment, &f->tensors[r->index]));
  f->n_tensors = r->count;
  qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, by_place);
  uint64_t data = size_round_up(r->at, f->alignment);
  const gguf_info *before = NULL;
  for (gguf_info *t = f->tensors; t < f->tensors + f->n_tensors; before = t++) {
    uint64_t offset = t->offset;
    t->offset = size_add(data, offset);
    if (size_add(t->offset, t->bytes) > r->whole)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: the tensor %s has %" PRIu64 " bytes at offset %" PRIu64
                         " of the data, which begins at byte %" PRIu64 ", but the file ends at byte %" PRIu64
                         "; it is cut short or damaged",
                         r->path, gguf_quote(t->name).text, t->bytes, offset, data, r->whole);
    if (before && before->offset + before->bytes > t->offset)
      return status_fail(
          LLAMA2_ERR_FORMAT,
          "%s: the tensors %s, which ends at byte %" PRIu64 ", and %s, which begins at byte %" PRIu64 ", overlap",
          r->path, gguf_quote(before->name).text, before->offset + before->bytes, gguf_quote(t->name).text, t->offset);
  }
  return LLAMA2_OK;
}

static llama2_status name_file(gguf_file *f, const char *path) {
  memset(f, 0, sizeof *f);
  f->path = mem_new(strlen(path) + 1, 1);
  if (!f->path)
    return status_fail_sized(LLAMA2_ERR_MEMORY, strlen(path), mem_available(), "%s: no memory for its name", path);
  memcpy(f->path, path, strlen(path));
  return LLAMA2_OK;
}

/* What the first n of the file's f->bytes bytes say. Tensors come out in the order of their data. */
static llama2_status read_head(gguf_file *f, const unsigned char *p, uint64_t n) {
  const char *path = f->path;
  if (n < HEADER)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: %" PRIu64 " bytes are too few for a GGUF header, expected at least %d",
                       path, n, HEADER);
  if (memcmp(p, "GGUF", 4) != 0)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: not a GGUF file; it does not begin so", path);
  uint32_t version = load_u32(p + 4);
  if (version && !(version & 0xffff))
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: a big-endian GGUF file (its version is 0x%08" PRIx32
                       "), expected a little-endian one; convert it",
                       path, version);
  if (version != 2 && version != 3)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: GGUF version %" PRIu32 ", expected 2 or 3", path, version);
  f->version = (int32_t)version;
  reader r = {.path = path, .data = p, .size = n, .at = HEADER, .whole = f->bytes, .list = "key"};
  r.count = load_u64(p + 16);
  RETURN_IF_FAILED(read_entries(f, &r));
  r.list = "tensor";
  r.count = load_u64(p + 8);
  return read_tensors(f, &r);
}

static llama2_status read_part(gguf_file *f, const char *path) {
  RETURN_IF_FAILED(name_file(f, path));
  f->parts = mem_new(1, sizeof *f->parts);
  if (!f->parts)
    return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *f->parts, mem_available(), "%s: no memory to open it", path);
  RETURN_IF_FAILED(file_open(f->parts, path));
  f->n_parts = 1;
  f->bytes = f->parts->size;
  RETURN_IF_FAILED(read_head(f, f->parts->data, f->bytes));
  for (uint64_t i = 0; i < f->n_tensors; i++) f->tensors[i].data = f->parts->data + f->tensors[i].offset;
  return LLAMA2_OK;
}

/* Files in several parts. */

/* What the names of part `number` of `count` end in; the same length whatever the number. */
typedef struct ending {
  char text[32];
} ending;

static ending ending_of(int64_t number, int64_t count) {
  ending e;
  snprintf(e.text, sizeof e.text, "-%05d-of-%05d.gguf", (int)number, (int)count);
  return e;
}

/* Which part a file is, from 0; count 1: it is all there is. */
static llama2_status read_split(const gguf_file *f, int64_t *number, int64_t *count) {
  *number = 0;
  *count = 1;
  if (gguf_find(f, "split.count")) RETURN_IF_FAILED(gguf_int(f, "split.count", 0, PARTS_MAX, count));
  if (*count < 2) return LLAMA2_OK;
  return gguf_int(f, "split.no", 0, *count - 1, number);
}

/* Moves a part's map and tensors to f. */
static llama2_status join(gguf_file *f, gguf_file *part) {
  uint64_t n = f->n_tensors + part->n_tensors;
  file_map *parts = mem_resize(f->parts, (size_t)f->n_parts + 1, sizeof *parts);
  if (parts) f->parts = parts;
  gguf_info *tensors = mem_resize(f->tensors, (size_t)n, sizeof *tensors);
  if (tensors) f->tensors = tensors;
  if (!parts || !tensors) return no_memory(f, n * sizeof *tensors);
  memcpy(tensors + f->n_tensors, part->tensors, (size_t)part->n_tensors * sizeof *tensors);
  for (uint64_t i = f->n_tensors; i < n; i++) tensors[i].part = f->n_parts;
  f->n_tensors = n;
  f->bytes += part->bytes;
  parts[f->n_parts++] = *part->parts;
  memset(part->parts, 0, sizeof *part->parts);
  return LLAMA2_OK;
}

static llama2_status join_part(gguf_file *f, const char *path, int64_t number, int64_t count) {
  gguf_file part;
  int64_t found, of;
  llama2_status status = read_part(&part, path);
  if (status == LLAMA2_OK) status = read_split(&part, &found, &of);
  if (status == LLAMA2_OK && (found != number || of != count))
    status = status_fail(LLAMA2_ERR_FORMAT,
                         "%s: it says that it is part %" PRId64 " of %" PRId64 ", expected %" PRId64 " of %" PRId64,
                         path, found + 1, of, number + 1, count);
  if (status == LLAMA2_OK) status = join(f, &part);
  gguf_close(&part);
  return status;
}

static llama2_status join_parts(gguf_file *f) {
  int64_t number, count, tensors;
  RETURN_IF_FAILED(read_split(f, &number, &count));
  if (count < 2) return LLAMA2_OK;
  size_t n = strlen(f->path), tail = strlen(ending_of(1, count).text);
  size_t stem = n > tail ? n - tail : 0;
  bool named = stem && strcmp(f->path + stem, ending_of(number + 1, count).text) == 0;
  if (number != 0)
    return status_fail(LLAMA2_ERR_FORMAT, "%s: part %" PRId64 " of %" PRId64 "; open the first one, %.*s%s", f->path,
                       number + 1, count, named ? (int)stem : 1, named ? f->path : "*", ending_of(1, count).text);
  if (!named)
    return status_fail(LLAMA2_ERR_FORMAT,
                       "%s: part 1 of %" PRId64 ", but its name does not end in %s, so that the others cannot be found",
                       f->path, count, ending_of(1, count).text);
  RETURN_IF_FAILED(gguf_int(f, "split.tensors.count", 0, INT64_MAX, &tensors));
  char *path = mem_new(n + 1, 1);
  if (!path) return no_memory(f, n + 1);
  llama2_status status = LLAMA2_OK;
  for (int64_t i = 1; status == LLAMA2_OK && i < count; i++) {
    snprintf(path, n + 1, "%.*s%s", (int)stem, f->path, ending_of(i + 1, count).text);
    status = join_part(f, path, i, count);
  }
  mem_free(path);
  if (status == LLAMA2_OK && f->n_tensors != (uint64_t)tensors)
    status = status_fail(LLAMA2_ERR_FORMAT,
                         "%s: its %" PRId64 " parts have %" PRIu64 " tensors, expected the %" PRId64
                         " that split.tensors.count says",
                         f->path, count, f->n_tensors, tensors);
  return status;
}

/* Files. */

bool gguf_recognise(const char *path) {
  file_map file;
  if (file_open(&file, path) != LLAMA2_OK) return false;
  bool found = file.size >= 4 && memcmp(file.data, "GGUF", 4) == 0;
  file_close(&file);
  return found;
}

static llama2_status sort_tensors(gguf_file *f) {
  qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, by_name);
  for (uint64_t i = 1; i < f->n_tensors; i++)
    if (by_name(&f->tensors[i - 1], &f->tensors[i]) == 0)
      return status_fail(LLAMA2_ERR_FORMAT,
                         "%s: the tensor %s is there twice, with data at byte %" PRIu64 " and at byte %" PRIu64
                         ", expected once",
                         f->path, gguf_quote(f->tensors[i].name).text, f->tensors[i - 1].offset, f->tensors[i].offset);
  return LLAMA2_OK;
}

llama2_status gguf_open(gguf_file *f, const char *path) {
  llama2_status status = read_part(f, path);
  if (status == LLAMA2_OK) status = join_parts(f);
  if (status == LLAMA2_OK) status = sort_tensors(f);
  if (status != LLAMA2_OK) gguf_close(f);
  return status;
}

llama2_status gguf_open_head(gguf_file *f, const char *path, unsigned char *head, uint64_t n, uint64_t bytes,
                             const gguf_data *data) {
  llama2_status status = name_file(f, path);
  f->head = head;
  f->bytes = bytes;
  if (status == LLAMA2_OK) status = read_head(f, head, n);
  for (uint64_t i = 0; status == LLAMA2_OK && i < f->n_tensors; i++) {
    f->tensors[i].data = data[i].data;
    f->tensors[i].split = data[i].split;
    f->tensors[i].pieces = data[i].pieces;
  }
  if (status == LLAMA2_OK) status = sort_tensors(f);
  if (status != LLAMA2_OK) gguf_close(f);
  return status;
}

void gguf_close(gguf_file *f) {
  for (int32_t i = 0; i < f->n_parts; i++) file_close(&f->parts[i]);
  mem_free(f->parts);
  mem_free(f->head);
  mem_free(f->path);
  mem_free(f->entries);
  mem_free(f->tensors);
  memset(f, 0, sizeof *f);
}

const gguf_info *gguf_find_tensor(const gguf_file *f, const char *name) {
  gguf_info wanted = {
      .name = {name, strlen(name)}
  };
  return f->n_tensors ? bsearch(&wanted, f->tensors, (size_t)f->n_tensors, sizeof wanted, by_name) : NULL;
}

bool gguf_tensor(const gguf_file *f, const char *name, tensor *t) {
  const gguf_info *found = gguf_find_tensor(f, name);
  if (found) *t = gguf_info_tensor(found);
  return found != NULL;
}

tensor gguf_info_tensor(const gguf_info *info) {
  return (tensor){.dtype = info->type,
                  .rows = info->dims[1] * info->dims[2] * info->dims[3],
                  .cols = info->dims[0],
                  .data = info->data,
                  .bytes = info->bytes,
                  .split = info->split,
                  .pieces = info->pieces};
}

void gguf_done(const gguf_file *f, const tensor *t) {
  for (int32_t i = 0; i < f->n_parts; i++) {
    const file_map *part = &f->parts[i];
    if ((uintptr_t)t->data - (uintptr_t)part->data < part->size) file_done(t->data, t->bytes);
  }
  if (!f->mapped) return;
  if (!t->pieces.data) file_done(t->data, t->bytes);
  for (int32_t i = 0; i < t->pieces.n; i++) file_done(t->pieces.data[i], t->bytes / (uint64_t)t->pieces.n);
}
