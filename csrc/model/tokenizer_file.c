#include "model/tokenizer_file.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "format/gguf.h"
#include "format/llama2c.h"
#include "text/vocabulary.h"

#define OWN "tokenizer.llama2py." /* what begins keys of our own; docs/design.md lists them */

static text_span span_of(gguf_text text) {
  return (text_span){text.data, (size_t)text.n};
}

static text_span span_of_item(const gguf_value *item) {
  return (text_span){(const char *)item->data, (size_t)item->n};
}

/* An id, `usual` where the file has none; some files write VOCABULARY_NONE as -1. */
static llama2_status id_of(const gguf_file *f, const char *key, uint32_t usual, uint32_t *id) {
  int64_t found = usual;
  if (gguf_find(f, key)) RETURN_IF_FAILED(gguf_int(f, key, -1, VOCABULARY_NONE, &found));
  *id = (uint32_t)found;
  return LLAMA2_OK;
}

static llama2_status choice_of(const gguf_file *f, const char *key, vocabulary_choice *choice) {
  bool value;
  *choice = VOCABULARY_USUAL;
  if (!gguf_find(f, key)) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_bool(f, key, &value));
  *choice = value ? VOCABULARY_YES : VOCABULARY_NO;
  return LLAMA2_OK;
}

/* An array that has an item for each token, or NULL where the file has none. */
static llama2_status column(const gguf_file *f, const char *key, gguf_type type, uint64_t n, const gguf_value **array) {
  *array = NULL;
  if (!gguf_find(f, key)) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_array(f, key, type, array));
  if ((*array)->n != n)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: %s has %" PRIu64 " items, expected %" PRIu64 ", one for each token",
                       f->path, key, (*array)->n, n);
  return LLAMA2_OK;
}

static void fill_pieces(vocabulary_piece *pieces, const gguf_value *texts, const gguf_value *scores,
                        const gguf_value *kinds) {
  gguf_value item;
  vocabulary_piece *p = pieces;
  for (gguf_walk w = gguf_items(texts); gguf_next(&w, &item); p++) {
    p->text = span_of_item(&item);
    p->kind = kinds ? 0 : vocabulary_guess(p->text);
  }
  p = pieces;
  if (scores)
    for (gguf_walk w = gguf_items(scores); gguf_next(&w, &item); p++) {
      double score = 0;
      gguf_as_float(&item, &score);
      p->score = (float)score;
    }
  p = pieces;
  if (kinds)
    for (gguf_walk w = gguf_items(kinds); gguf_next(&w, &item); p++) {
      int64_t kind = 0;
      gguf_as_int(&item, &kind);
      p->kind = (int32_t)kind;
    }
}

static llama2_status flag_of(const gguf_file *f, const char *key, bool *flag) {
  return gguf_find(f, key) ? gguf_bool(f, key, flag) : LLAMA2_OK;
}

static bool is_listed(const vocabulary *v, int64_t id) {
  for (int32_t i = 0; i < v->n_eos; i++)
    if (v->eos[i] == (uint32_t)id) return true;
  return false;
}

/* Every token that ends a text, each once. */
static llama2_status fill_eos(const gguf_file *f, bool scored, vocabulary *v) {
  static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                     "tokenizer.ggml.eom_token_id"};
  const gguf_value *more = NULL;
  gguf_value item;
  for (int i = 0; i < 3; i++) {
    uint32_t id;
    RETURN_IF_FAILED(id_of(f, keys[i], scored && i == 0 ? 2 : VOCABULARY_NONE, &id));
    if (id != VOCABULARY_NONE && !is_listed(v, id)) v->eos[v->n_eos++] = id;
  }
  if (!gguf_find(f, OWN "eos_token_ids")) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_array(f, OWN "eos_token_ids", GGUF_I32, &more));
  for (gguf_walk w = gguf_items(more); gguf_next(&w, &item);) {
    int64_t id = 0;
    gguf_as_int(&item, &id);
    if (is_listed(v, id)) continue;
    if (id < 0 || v->n_eos == VOCABULARY_EOS_MAX)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: " OWN "eos_token_ids has %s, expected at most %d ids of tokens",
                         f->path, id < 0 ? "a number below 0" : "more ids", VOCABULARY_EOS_MAX);
    v->eos[v->n_eos++] = (uint32_t)id;
  }
  return LLAMA2_OK;
}

/* One of two words, or what is there without the key. */
static llama2_status word_of(const gguf_file *f, const char *key, const char *first, const char *second, int *found) {
  gguf_text text;
  *found = 0;
  if (!gguf_find(f, key)) return LLAMA2_OK;
  RETURN_IF_FAILED(gguf_string(f, key, &text));
  *found = gguf_text_is(text, first) ? 1 : second && gguf_text_is(text, second) ? 2 : 0;
  if (!*found)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: %s is '%s', expected %s%s%s", f->path, key, gguf_quote(text).text,
                       first, second ? " or " : "", second ? second : "");
  return LLAMA2_OK;
}

/* What GGUF has no keys for, and Hugging Face's tokenizers have. */
static llama2_status fill_own(const gguf_file *f, vocabulary *v) {
  int form, space;
  RETURN_IF_FAILED(word_of(f, OWN "normalizer", "nfc", NULL, &form));
  RETURN_IF_FAILED(word_of(f, OWN "space_prefix", "wanting", "first", &space));
  v->normal = form;
  v->space = space == 1 ? SPACE_WANTING : space == 2 ? SPACE_FIRST : SPACE_EACH;
  RETURN_IF_FAILED(choice_of(f, OWN "whole_words", &v->whole_words));
  RETURN_IF_FAILED(flag_of(f, OWN "ranked", &v->ranked));
  RETURN_IF_FAILED(flag_of(f, OWN "split_spaces", &v->split_spaces));
  return flag_of(f, OWN "each_unknown", &v->each_unknown);
}

/* Everything that does not need a table of its own. */
static llama2_status fill_settings(const gguf_file *f, vocabulary *v) {
  gguf_text text;
  RETURN_IF_FAILED(gguf_string(f, "tokenizer.ggml.model", &text));
  v->model = span_of(text);
  bool scored = gguf_text_is(text, "llama");
  if (gguf_find(f, "tokenizer.ggml.pre")) {
    RETURN_IF_FAILED(gguf_string(f, "tokenizer.ggml.pre", &text));
    v->pre = span_of(text);
  }
  RETURN_IF_FAILED(id_of(f, "tokenizer.ggml.bos_token_id", scored ? 1 : VOCABULARY_NONE, &v->bos));
  RETURN_IF_FAILED(fill_eos(f, scored, v));
  RETURN_IF_FAILED(id_of(f, "tokenizer.ggml.unknown_token_id", scored ? 0 : VOCABULARY_NONE, &v->unknown));
  RETURN_IF_FAILED(choice_of(f, "tokenizer.ggml.add_bos_token", &v->add_bos));
  RETURN_IF_FAILED(choice_of(f, "tokenizer.ggml.add_eos_token", &v->add_eos));
  RETURN_IF_FAILED(choice_of(f, "tokenizer.ggml.add_space_prefix", &v->add_space));
  return fill_own(f, v);
}

static void fill_added(int32_t *added, const gguf_value *flags) {
  gguf_value item;
  for (gguf_walk w = gguf_items(flags); gguf_next(&w, &item);) {
    int64_t value = 0;
    gguf_as_int(&item, &value);
    *added++ = (int32_t)value;
  }
}

static llama2_status from_gguf_file(const gguf_file *f, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  const gguf_value *texts, *scores, *kinds, *flags, *merges = NULL;
  vocabulary v = {.path = f->path};
  RETURN_IF_FAILED(fill_settings(f, &v));
  RETURN_IF_FAILED(gguf_array(f, "tokenizer.ggml.tokens", GGUF_STRING, &texts));
  RETURN_IF_FAILED(column(f, "tokenizer.ggml.scores", GGUF_F32, texts->n, &scores));
  RETURN_IF_FAILED(column(f, "tokenizer.ggml.token_type", GGUF_I32, texts->n, &kinds));
  RETURN_IF_FAILED(column(f, OWN "added", GGUF_I32, texts->n, &flags));
  if (gguf_find(f, "tokenizer.ggml.merges"))
    RETURN_IF_FAILED(gguf_array(f, "tokenizer.ggml.merges", GGUF_STRING, &merges));
  if (vocab_size && texts->n != (uint64_t)vocab_size)
    return status_fail(LLAMA2_ERR_TOKENIZER,
                       "%s: holds %" PRIu64 " tokens, but the model has %d; it belongs to another model", f->path,
                       texts->n, vocab_size);
  v.n_pieces = texts->n;
  v.n_merges = merges ? merges->n : 0;
  vocabulary_piece *pieces = mem_new((size_t)v.n_pieces, sizeof *pieces);
  text_span *joints = mem_new((size_t)v.n_merges, sizeof *joints);
  int32_t *added = mem_new(flags ? (size_t)v.n_pieces : 0, sizeof *added);
  llama2_status status = LLAMA2_OK;
  if (pieces && joints && added) {
    gguf_value item;
    text_span *joint = joints;
    fill_pieces(pieces, texts, scores, kinds);
    if (merges)
      for (gguf_walk w = gguf_items(merges); gguf_next(&w, &item);) *joint++ = span_of_item(&item);
    v.pieces = pieces;
    v.merges = joints;
    if (flags) fill_added(added, flags);
    if (flags) v.added = added;
    status = tokenizer_build(&v, tokenizer);
  } else {
    status = status_fail_sized(LLAMA2_ERR_MEMORY, v.n_pieces * sizeof *pieces, mem_available(),
                               "%s: no memory for its %" PRIu64 " tokens", f->path, v.n_pieces);
  }
  mem_free(added);
  mem_free(joints);
  mem_free(pieces);
  return status;
}

llama2_status tokenizer_file_check(const char *path) {
  llama2c_file f;
  if (llama2c_open(&f, path) != LLAMA2_OK) return LLAMA2_OK;
  llama2c_close(&f);
  return status_fail(LLAMA2_ERR_TOKENIZER,
                     "%s: a llama2.c checkpoint, which holds no tokenizer; expected a tokenizer.bin or a GGUF file",
                     path);
}

llama2_status tokenizer_file_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  gguf_file f;
  if (!gguf_recognise(path)) {
    RETURN_IF_FAILED(tokenizer_file_check(path));
    return tokenizer_load(path, vocab_size, tokenizer);
  }
  RETURN_IF_FAILED(gguf_open(&f, path));
  llama2_status status = from_gguf_file(&f, vocab_size, tokenizer);
  gguf_close(&f);
  return status;
}

llama2_status tokenizer_file_of(const llama2_source *source, int32_t vocab_size, llama2_tokenizer **tokenizer) {
  gguf_file f;
  RETURN_IF_FAILED(source_open(source, &f));
  llama2_status status = from_gguf_file(&f, vocab_size, tokenizer);
  gguf_close(&f);
  return status;
}

llama2_status tokenizer_file_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity) {
  gguf_file f;
  bool inside = false;
  if (gguf_recognise(checkpoint)) {
    RETURN_IF_FAILED(gguf_open(&f, checkpoint));
    inside = gguf_find(&f, "tokenizer.ggml.tokens") != NULL;
    gguf_close(&f);
  }
  if (!inside) return tokenizer_find(checkpoint, vocab_size, path, capacity);
  if (strlen(checkpoint) >= capacity)
    return status_fail(LLAMA2_ERR_ARGUMENT, "room for a path of %zu bytes, but it has %zu", capacity,
                       strlen(checkpoint) + 1);
  memcpy(path, checkpoint, strlen(checkpoint) + 1);
  return LLAMA2_OK;
}
