/* A mutator that knows how GGUF files are put together: it takes one apart into keys, descriptions of tensors and data, changes
 * a few of them, and writes it anew, mostly so that the counts and offsets still hold. What is no such file is damaged byte
 * by byte. */
#include "../c/check.h"
#include "format/dtype.h"
#include "format/gguf.h"
#include "fuzz.h"

enum { KEYS = 64, TENSORS = 64, ROOM = 1 << 18 };

typedef struct bytes {
  const uint8_t *data;
  size_t n;
} bytes;

typedef struct description {
  bytes name;
  uint32_t n_dims, type;
  uint64_t dims[8], offset;
} description;

/* A file in pieces, which point into `source` and `fresh`. */
typedef struct pieces {
  uint32_t version;
  uint64_t n_keys_said, n_tensors_said; /* what the header says */
  size_t n_keys, n_tensors;
  struct {
    bytes name, value;
    uint32_t type;
  } keys[KEYS];
  description tensors[TENSORS];
  bytes data;
} pieces;

static uint8_t source[ROOM], fresh[ROOM], result[ROOM];
static size_t n_fresh;

/* New bytes; what no longer fits is cut off. */
static bytes keep(const void *data, size_t n) {
  if (n > ROOM - n_fresh) n = ROOM - n_fresh;
  if (n) memcpy(fresh + n_fresh, data, n);
  n_fresh += n;
  return (bytes){fresh + n_fresh - n, n};
}

static bytes keep_text(const char *text) {
  return keep(text, strlen(text));
}

static uint64_t number_at(const uint8_t *at, size_t n) {
  uint64_t value = 0;
  memcpy(&value, at, n);
  return value;
}

/* Taking a file apart. */

static bool take(bytes *left, size_t n, bytes *taken) {
  if (n > left->n) return false;
  *taken = (bytes){left->data, n};
  left->data += n;
  left->n -= n;
  return true;
}

static bool take_number(bytes *left, size_t n, uint64_t *value) {
  bytes taken;
  if (!take(left, n, &taken)) return false;
  *value = number_at(taken.data, n);
  return true;
}

static bool take_text(bytes *left, bytes *text) {
  uint64_t n;
  return take_number(left, 8, &n) && n <= left->n && take(left, (size_t)n, text);
}

static size_t type_bytes(uint64_t type) {
#define ROW(name, id, text, bytes) [id] = bytes,
  static const uint8_t sizes[] = {GGUF_TYPES(ROW)};
#undef ROW
  return type < GGUF_TYPE_COUNT ? sizes[type] : 0;
}

static bool skip_value(bytes *left, uint64_t type, int depth) {
  bytes text;
  uint64_t items, n;
  if (type_bytes(type)) return take(left, type_bytes(type), &text);
  if (type == GGUF_STRING) return take_text(left, &text);
  if (type != GGUF_ARRAY || depth > 4 || !take_number(left, 4, &items) || !take_number(left, 8, &n)) return false;
  if (type_bytes(items)) return n <= left->n && take(left, (size_t)n * type_bytes(items), &text);
  for (; n; n--)
    if (!skip_value(left, items, depth + 1)) return false;
  return true;
}

static bool take_apart(pieces *p, const uint8_t *data, size_t n) {
  bytes left = {data + 4, n - 4}, pad;
  uint64_t number;
  *p = (pieces){0};
  if (n < 24 || !take_number(&left, 4, &number)) return false;
  p->version = (uint32_t)number;
  if (!take_number(&left, 8, &p->n_tensors_said) || !take_number(&left, 8, &p->n_keys_said)) return false;
  if (p->n_keys_said > KEYS || p->n_tensors_said > TENSORS) return false;
  for (; p->n_keys < p->n_keys_said; p->n_keys++) {
    if (!take_text(&left, &p->keys[p->n_keys].name) || !take_number(&left, 4, &number)) return false;
    bytes value = left;
    if (!skip_value(&left, number, 0)) return false;
    value.n -= left.n;
    p->keys[p->n_keys].value = value;
    p->keys[p->n_keys].type = (uint32_t)number;
  }
  for (; p->n_tensors < p->n_tensors_said; p->n_tensors++) {
    description *t = &p->tensors[p->n_tensors];
    if (!take_text(&left, &t->name) || !take_number(&left, 4, &number) || number > 8) return false;
    t->n_dims = (uint32_t)number;
    for (uint32_t i = 0; i < t->n_dims; i++)
      if (!take_number(&left, 8, &t->dims[i])) return false;
    if (!take_number(&left, 4, &number) || !take_number(&left, 8, &t->offset)) return false;
    t->type = (uint32_t)number;
  }
  size_t at = n - left.n;
  if (take(&left, -at % 32, &pad)) p->data = left;
  return true;
}

/* Putting it together. */

typedef struct writer {
  size_t n, most;
} writer;

static void write_bytes(writer *w, const void *data, size_t n) {
  if (n > w->most - w->n) n = w->most - w->n;
  if (n) memcpy(result + w->n, data, n);
  w->n += n;
}

static void write_number(writer *w, uint64_t value, size_t n) {
  write_bytes(w, &value, n);
}

static void write_text(writer *w, bytes text) {
  write_number(w, text.n, 8);
  write_bytes(w, text.data, text.n);
}

static size_t put_together(const pieces *p, size_t most) {
  writer w = {0, most};
  write_bytes(&w, "GGUF", 4);
  write_number(&w, p->version, 4);
  write_number(&w, p->n_tensors_said, 8);
  write_number(&w, p->n_keys_said, 8);
  for (size_t i = 0; i < p->n_keys; i++) {
    write_text(&w, p->keys[i].name);
    write_number(&w, p->keys[i].type, 4);
    write_bytes(&w, p->keys[i].value.data, p->keys[i].value.n);
  }
  for (size_t i = 0; i < p->n_tensors; i++) {
    const description *t = &p->tensors[i];
    write_text(&w, t->name);
    write_number(&w, t->n_dims, 4);
    for (uint32_t k = 0; k < t->n_dims && k < 8; k++) write_number(&w, t->dims[k], 8);
    write_number(&w, t->type, 4);
    write_number(&w, t->offset, 8);
  }
  while (w.n % 32 && w.n < w.most) write_number(&w, 0, 1);
  write_bytes(&w, p->data.data, p->data.n);
  return w.n;
}

/* Changes. */

static uint64_t odd_number(void) {
  const uint64_t odd[] = {0,
                          1,
                          2,
                          31,
                          32,
                          33,
                          256,
                          65535,
                          65536,
                          INT32_MAX,
                          1u << 31,
                          UINT32_MAX,
                          (uint64_t)1 << 32,
                          (uint64_t)1 << 61,
                          INT64_MAX,
                          (uint64_t)1 << 63,
                          UINT64_MAX,
                          UINT64_MAX - 31,
                          0x7e007e007e007e00,
                          0x7f8000007f800000,
                          0x7ff8000000000000};
  return random_below(3) ? odd[random_below(sizeof odd / sizeof *odd)] : random_bits() >> random_below(64);
}

/* Mostly a small step away. */
static uint64_t another(uint64_t number) {
  switch (random_below(8)) {
    case 0: return odd_number();
    case 1: return number * 2;
    case 2: return number / 2;
    case 3: return number - 1;
    case 4: return number + 1;
    case 5: return 1 + (uint64_t)random_below(16);
    case 6: return number * 8;
    default: return number ^ (uint64_t)1 << random_below(64);
  }
}

static bytes changed(bytes old) {
  uint8_t copy[4096] = {0};
  size_t n = old.n < sizeof copy / 2 ? old.n : sizeof copy / 2;
  memcpy(copy, old.data, n);
  return keep(copy, LLVMFuzzerMutate(copy, n ? n : 1, n + 32));
}

static bytes value_of(uint32_t type) {
  uint64_t number = odd_number();
  if (type_bytes(type)) return keep(&number, type_bytes(type));
  if (type == GGUF_STRING) return keep("\5\0\0\0\0\0\0\0llama", 13);
  return keep("\4\0\0\0\2\0\0\0\0\0\0\0\10\0\0\0\10\0\0\0", 20);
}

static bytes changed_array(bytes old) {
  uint8_t copy[12];
  if (old.n < 12) return old;
  memcpy(copy, old.data, 12);
  uint64_t n = number_at(copy + 4, 8);
  bytes items = {old.data + 12, old.n - 12};
  switch (random_below(4)) {
    case 0: /* a count that lies */ n = another(n); break;
    case 1: { /* shorter, and its count with it */
      bytes text;
      uint64_t kept = 0, most = n ? (uint64_t)random_below((int64_t)(n < 4096 ? n : 4096)) : 0;
      while (kept < most && skip_value(&items, number_at(copy, 4), 1)) kept++;
      n = kept;
      text = (bytes){old.data + 12, old.n - 12 - items.n};
      items = text;
      break;
    }
    case 2: items = changed(items); break;
    default: /* in another array */
      n = 1;
      items = old;
      memcpy(copy, "\11\0\0\0", 4);
  }
  memcpy(copy + 4, &n, 8);
  bytes head = keep(copy, 12);
  keep(items.data, items.n);
  return (bytes){head.data, (size_t)(fresh + n_fresh - head.data)};
}

static void change_key(pieces *p) {
  static const char *const known[] = {
      "general.alignment",
      "general.architecture",
      "llama.block_count",
      "llama.attention.head_count",
      "llama.attention.head_count_kv",
      "llama.attention.key_length",
      "llama.attention.value_length",
      "llama.attention.sliding_window",
      "llama.attention.layer_norm_rms_epsilon",
      "llama.context_length",
      "llama.embedding_length",
      "llama.expert_count",
      "llama.expert_used_count",
      "llama.feed_forward_length",
      "llama.rope.dimension_count",
      "llama.rope.freq_base",
      "llama.rope.scaling.type",
      "llama.rope.scaling.factor",
      "llama.rope.scaling.original_context_length",
      "split.count",
      "split.no",
      "split.tensors.count",
      "tokenizer.ggml.model",
      "tokenizer.ggml.pre",
      "tokenizer.ggml.tokens",
      "tokenizer.ggml.scores",
      "tokenizer.ggml.token_type",
      "tokenizer.ggml.merges",
      "tokenizer.ggml.eot_token_id",
      "tokenizer.llama2py.added",
      "tokenizer.llama2py.eos_token_ids",
      "tokenizer.llama2py.normalizer",
      "tokenizer.llama2py.ranked",
      "tokenizer.llama2py.space_prefix",
      "tokenizer.llama2py.whole_words",
      "tokenizer.ggml.bos_token_id",
      "tokenizer.ggml.eos_token_id",
      "tokenizer.ggml.unknown_token_id",
      "tokenizer.ggml.add_bos_token",
      "tokenizer.ggml.add_space_prefix",
  };
  if (!p->n_keys) return;
  size_t i = (size_t)random_below((int64_t)p->n_keys), j = (size_t)random_below((int64_t)p->n_keys);
  uint32_t type = p->keys[i].type;
  switch (random_below(9)) {
    case 0: p->keys[i].name = changed(p->keys[i].name); break;
    case 1: p->keys[i].name = keep_text(known[random_below(sizeof known / sizeof *known)]); break;
    case 2: p->keys[i] = p->keys[--p->n_keys]; break;
    case 3:
      if (p->n_keys < KEYS) p->keys[p->n_keys++] = p->keys[i];
      break;
    case 4:
      p->keys[i].type = (uint32_t)random_below(GGUF_TYPE_COUNT + 1);
      p->keys[i].value = value_of(p->keys[i].type);
      break;
    case 5: p->keys[i].value = p->keys[j].value, p->keys[i].type = p->keys[j].type; break;
    default:
      if (type == GGUF_ARRAY) {
        p->keys[i].value = changed_array(p->keys[i].value);
      } else if (type == GGUF_STRING && p->keys[i].value.n > 8) {
        bytes text = {p->keys[i].value.data + 8, p->keys[i].value.n - 8};
        bytes head = keep(&text.n, 8), fresh_text = changed(text);
        memcpy((uint8_t *)head.data, &fresh_text.n, 8);
        p->keys[i].value = (bytes){head.data, 8 + fresh_text.n};
      } else {
        uint64_t number = another(number_at(p->keys[i].value.data, type_bytes(type)));
        p->keys[i].value = keep(&number, type_bytes(type));
      }
  }
  p->n_keys_said = p->n_keys;
}

static void change_tensor(pieces *p) {
  static const uint32_t types[] = {0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39, 9, 15, 16, 24, 28, 31};
  if (!p->n_tensors) return;
  size_t i = (size_t)random_below((int64_t)p->n_tensors), j = (size_t)random_below((int64_t)p->n_tensors);
  description *t = &p->tensors[i], *other = &p->tensors[j];
  uint64_t *dim = &t->dims[random_below(4)];
  switch (random_below(10)) {
    case 0: t->name = random_below(2) ? other->name : changed(t->name); break;
    case 1: *t = p->tensors[--p->n_tensors]; break;
    case 2:
      if (p->n_tensors < TENSORS) p->tensors[p->n_tensors++] = *t;
      break;
    case 3: t->n_dims = random_below(4) ? (uint32_t)random_below(6) : (uint32_t)odd_number(); break;
    case 4: t->dims[0] = other->dims[0], t->dims[1] = other->dims[1]; break;
    case 5: *dim = another(*dim); break;
    case 6: t->type = types[random_below(sizeof types / sizeof *types)]; break;
    case 7: t->type = (uint32_t)another(t->type); break;
    case 8: t->offset = random_below(2) ? other->offset : t->offset + 32 * (uint64_t)(random_below(9) - 4); break;
    default: t->offset = another(t->offset);
  }
  for (uint32_t k = 0; k < 4; k++)
    if (!t->dims[k]) t->dims[k] = t->n_dims > k ? 0 : 1;
  p->n_tensors_said = p->n_tensors;
}

static void change_data(pieces *p) {
  static const uint16_t halves[] = {0x7e00, 0x7c00, 0xfc00, 0x7bff, 0xfbff, 0x0001, 0x8000, 0x7f80, 0x7fc0};
  if (p->data.n < 2) return;
  bytes copy = keep(p->data.data, p->data.n);
  for (int64_t k = random_below(8); k >= 0 && copy.n >= 2; k--)
    memcpy((uint8_t *)copy.data + random_below((int64_t)copy.n - 1), &halves[random_below(9)], 2);
  if (copy.n == p->data.n) p->data = copy;
}

/* Tensors one behind another, as long as their shapes and types say, in data that holds just these. */
static void lay_out(pieces *p) {
  uint64_t end = 0;
  for (size_t i = 0; i < p->n_tensors; i++) {
    description *t = &p->tensors[i];
    const dtype_traits *type = dtype_find((int32_t)t->type);
    uint64_t values = 1;
    for (uint32_t k = 0; k < t->n_dims && k < 4; k++) values *= t->dims[k] < ROOM ? t->dims[k] : 1;
    t->offset = end;
    end += (type ? values / (uint64_t)type->block_values * (uint64_t)type->block_bytes : values) + 31;
    end -= end % 32;
    if (end > ROOM / 2) return;
  }
  if (end < p->data.n) {
    p->data.n = (size_t)end;
  } else {
    bytes old = p->data;
    p->data = keep(old.data, old.n);
    while (p->data.n < end && n_fresh < ROOM) p->data.n += keep(&(uint8_t){(uint8_t)random_below(64)}, 1).n;
  }
}

static size_t mutate_part(uint8_t *data, size_t n, size_t most) {
  pieces p;
  if (n > ROOM || random_below(16) == 0) return LLVMFuzzerMutate(data, n, most);
  if (most > ROOM) most = ROOM;
  memcpy(source, data, n);
  n_fresh = 0;
  if (!take_apart(&p, source, n)) return LLVMFuzzerMutate(data, n, most);
  for (int64_t k = random_below(4); k >= 0; k--) {
    switch (random_below(8)) {
      case 0:
      case 1:
      case 2: change_key(&p); break;
      case 3:
      case 4:
      case 5: change_tensor(&p); break;
      case 6: change_data(&p); break;
      default:
        if (random_below(4) == 0) p.version = (uint32_t)another(p.version);
        if (random_below(4) == 0) p.n_keys_said = another(p.n_keys_said);
        if (random_below(4) == 0) p.n_tensors_said = another(p.n_tensors_said);
    }
  }
  if (random_below(2)) lay_out(&p);
  n = put_together(&p, most);
  if (random_below(8) == 0) n -= (size_t)random_below((int64_t)n);
  memcpy(data, result, n);
  return n;
}

size_t fuzz_mutate_gguf(uint8_t *data, size_t n, size_t most, unsigned int seed) {
  static uint8_t behind[ROOM];
  size_t offsets[4];
  random_state = seed;
  int n_parts = fuzz_parts(data, n, offsets), part = (int)random_below(n_parts);
  size_t end = part + 1 < n_parts ? offsets[part + 1] : n, rest = n - end, begin = offsets[part];
  if (rest > ROOM) return LLVMFuzzerMutate(data, n, most);
  memcpy(behind, data + end, rest);
  end = begin + mutate_part(data + begin, end - begin, most - begin - rest);
  memcpy(data + end, behind, rest);
  return end + rest;
}
