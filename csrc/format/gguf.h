/* format/gguf: GGUF files, versions 2 and 3, little endian (docs/gguf.md of ggml is the format's document): keys with
 * values, then descriptions of tensors, then the tensors' data. The file stays mapped, and texts, arrays and tensors
 * are read where they lie. A model in several files (-00001-of-00003.gguf) is opened by the first. What comes before the
 * data is the head; one that was made in memory is opened likewise, with data that lies elsewhere.
 *
 * Refused: other versions and big-endian files; texts, arrays and counts that run past the end; types that are not
 * known; keys or tensors that are there twice; tensors that are not aligned, overlap or leave the file. What is
 * allocated is a small multiple of what the file holds. */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include <stdbool.h>

#include "base/file.h"
#include "format/dtype.h"

#define GGUF_DIMS 4
#define GGUF_ALIGNMENT 32 /* where general.alignment does not say another */

/* Types of values, numbered as in files.
 *
 *   name  id  in messages  bytes; 0 where that differs from value to value */
#define GGUF_TYPES(X)       \
  X(U8, 0, "uint8", 1)      \
  X(I8, 1, "int8", 1)       \
  X(U16, 2, "uint16", 2)    \
  X(I16, 3, "int16", 2)     \
  X(U32, 4, "uint32", 4)    \
  X(I32, 5, "int32", 4)     \
  X(F32, 6, "float32", 4)   \
  X(BOOL, 7, "bool", 1)     \
  X(STRING, 8, "string", 0) \
  X(ARRAY, 9, "array", 0)   \
  X(U64, 10, "uint64", 8)   \
  X(I64, 11, "int64", 8)    \
  X(F64, 12, "float64", 8)

typedef enum gguf_type {
#define ROW(name, id, text, bytes) GGUF_##name = id,
  GGUF_TYPES(ROW)
#undef ROW
      GGUF_TYPE_COUNT
} gguf_type;

/* Bytes inside the map: of any kind, and without a NUL at their end. */
typedef struct gguf_text {
  const char *data;
  uint64_t n;
} gguf_text;

typedef struct gguf_value {
  int32_t type;
  int32_t items;             /* type of an array's items */
  uint64_t n;                /* items of an array, bytes of a string; else 1 */
  const unsigned char *data; /* the first item, the first byte, or the number, at any alignment */
} gguf_value;

typedef struct gguf_entry {
  gguf_text key;
  gguf_value value;
} gguf_entry;

typedef struct gguf_info {
  gguf_text name;
  int64_t dims[GGUF_DIMS]; /* the one that varies fastest first; 1 beyond n_dims */
  int32_t n_dims;
  int32_t type;    /* ggml's number of it */
  int32_t part;    /* of the file, from 0 */
  uint64_t offset; /* of its data in the file that has it */
  uint64_t bytes;
  const unsigned char *data;
  int64_t split;        /* as in tensor */
  tensor_pieces pieces; /* as in tensor */
} gguf_info;

typedef struct gguf_file {
  char *path;
  int32_t version;
  int32_t n_parts;
  uint64_t bytes;      /* of all parts */
  uint64_t alignment;  /* of tensors' data, in the first part */
  file_map *parts;     /* (n_parts) */
  unsigned char *head; /* NULL, or a head in memory, and then there are no parts */
  bool mapped;         /* then: what data lies in are maps of files that are only read */
  gguf_entry *entries; /* (n_entries) by key; of the first part */
  uint64_t n_entries;
  gguf_info *tensors; /* (n_tensors) by name; of all parts */
  uint64_t n_tensors;
} gguf_file;

/* Whether the file at `path` begins as GGUF files do. */
bool gguf_recognise(const char *path);

/* Opens and checks `path`, and the files beside it that belong to it. On success close with gguf_close().
 * Errors: IO, FORMAT, MEMORY. */
llama2_status gguf_open(gguf_file *f, const char *path);
void gguf_close(gguf_file *f);

/* Where a tensor lies that is in no file. */
typedef struct gguf_data {
  const unsigned char *data;
  int64_t split;
  tensor_pieces pieces; /* their list stays the caller's, and as it is while the file is open */
} gguf_data;

/* Opens a head of n bytes that lies in memory, as the beginning of a file of `bytes` bytes; data[i] is that of the i-th
 * tensor. f takes `head` over, and mem_free() ends it, even after a failure. path: for messages.
 * Errors: FORMAT, MEMORY. */
llama2_status gguf_open_head(gguf_file *f, const char *path, unsigned char *head, uint64_t n, uint64_t bytes,
                             const gguf_data *data);

/* Values. */

/* NULL where there is no such key. */
const gguf_value *gguf_find(const gguf_file *f, const char *key);

/* The value of a key that must be there, of that type and in that range. Errors: FORMAT. Any type of integer is a whole
 * number, and float32 and float64 are numbers. */
llama2_status gguf_int(const gguf_file *f, const char *key, int64_t least, int64_t most, int64_t *value);
llama2_status gguf_float(const gguf_file *f, const char *key, double least, double most, double *value);
llama2_status gguf_bool(const gguf_file *f, const char *key, bool *value);
llama2_status gguf_string(const gguf_file *f, const char *key, gguf_text *value);
llama2_status gguf_array(const gguf_file *f, const char *key, gguf_type items, const gguf_value **value);

bool gguf_text_is(gguf_text text, const char *other);

/* False: not of such a type, or a whole number that int64 does not hold. */
bool gguf_as_int(const gguf_value *v, int64_t *value);
bool gguf_as_float(const gguf_value *v, double *value);

/* Walks an array:  for (gguf_walk w = gguf_items(array); gguf_next(&w, &item);) … */
typedef struct gguf_walk {
  const unsigned char *at;
  uint64_t left;
  int32_t type;
} gguf_walk;

gguf_walk gguf_items(const gguf_value *array);
bool gguf_next(gguf_walk *walk, gguf_value *item);

/* The first byte after a value. */
const unsigned char *gguf_value_end(const gguf_value *v);

/* A name for a message: at most 63 bytes, what is not printable ASCII replaced. */
typedef struct gguf_quoted {
  char text[64];
} gguf_quoted;

gguf_quoted gguf_quote(gguf_text text);

/* Tensors. */

/* False where there is no such tensor. All dimensions but the first make the rows. t->dtype is ggml's number of the
 * type, which dtype_find() need not know. */
bool gguf_tensor(const gguf_file *f, const char *name, tensor *t);
tensor gguf_info_tensor(const gguf_info *info);

/* The same with all of its dimensions; NULL where there is no such tensor. */
const gguf_info *gguf_find_tensor(const gguf_file *f, const char *name);

/* ggml's name for the type of a tensor. */
const char *gguf_dtype_name(int32_t dtype);

/* Says that a tensor will not be read again. */
void gguf_done(const gguf_file *f, const tensor *t);

#endif
