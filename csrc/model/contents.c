#include "model/contents.h"

#include <string.h>

#include "base/memory.h"

llama2_status contents_open(const char *path, llama2_file **file) {
  llama2_file *f = mem_new(1, sizeof *f);
  if (!f)
    return status_fail_sized(LLAMA2_ERR_MEMORY, sizeof *f, mem_available(), "%s: no memory for its description", path);
  llama2_status status = checkpoint_open_file(&f->checkpoint, path);
  if (status == LLAMA2_OK) {
    status = listing_open(&f->listing, &f->checkpoint);
    if (status != LLAMA2_OK) checkpoint_close(&f->checkpoint);
  }
  if (status == LLAMA2_OK)
    *file = f;
  else
    mem_free(f);
  return status;
}

void contents_free(llama2_file *file) {
  if (!file) return;
  listing_close(&file->listing);
  checkpoint_close(&file->checkpoint);
  mem_free(file);
}

llama2_file_info contents_describe(const llama2_file *file) {
  const checkpoint *c = &file->checkpoint;
  return (llama2_file_info){
      .format = c->format,
      .bytes = c->bytes,
      .alignment = c->is_gguf ? c->gguf.alignment : 1,
      .n_keys = c->is_gguf ? c->gguf.n_entries : 0,
      .n_tensors = file->listing.n,
      .parts = c->is_gguf ? c->gguf.n_parts : 1,
  };
}

static int32_t kind_of(int32_t type) {
  switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64: return LLAMA2_VALUE_UINT;
    case GGUF_F32:
    case GGUF_F64: return LLAMA2_VALUE_FLOAT;
    case GGUF_BOOL: return LLAMA2_VALUE_BOOL;
    case GGUF_STRING: return LLAMA2_VALUE_TEXT;
    case GGUF_ARRAY: return LLAMA2_VALUE_ARRAY;
    default: return LLAMA2_VALUE_INT;
  }
}

llama2_key contents_key(const llama2_file *file, uint64_t index) {
  const gguf_entry *e = &file->checkpoint.gguf.entries[index];
  const gguf_value *v = &e->value;
  llama2_key k = {.name = e->key.data, .name_bytes = e->key.n, .kind = kind_of(v->type)};
  switch (k.kind) {
    case LLAMA2_VALUE_FLOAT: gguf_as_float(v, &k.number); break;
    case LLAMA2_VALUE_BOOL: k.integer = v->data[0]; break;
    case LLAMA2_VALUE_TEXT:
      k.text = (const char *)v->data;
      k.n = v->n;
      break;
    case LLAMA2_VALUE_ARRAY:
      k.items = kind_of(v->items);
      k.n = v->n;
      break;
    default:
      if (v->type == GGUF_U64)
        k.integer = (int64_t)load_u64(v->data);
      else
        gguf_as_int(v, &k.integer);
  }
  return k;
}

llama2_tensor contents_tensor(const llama2_file *file, uint64_t index) {
  const gguf_info *i = &file->listing.items[index].info;
  const dtype_traits *type = dtype_find(i->type);
  llama2_tensor t = {
      .name = i->name.data,
      .name_bytes = i->name.n,
      .dtype = i->type,
      .dtype_name = type ? type->name : gguf_dtype_name(i->type),
      .n_dims = i->n_dims,
      .bytes = i->bytes,
  };
  memcpy(t.dims, i->dims, sizeof t.dims);
  return t;
}
