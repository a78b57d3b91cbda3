#include "model/to_gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "model/tokenizer_file.h"
#include "text/vocabulary.h"

#define TOKENS "tokenizer.ggml.tokens"

/* Keys of a file. */

static int by_place(const void *a, const void *b) {
  const gguf_entry *left = *(const gguf_entry *const *)a, *right = *(const gguf_entry *const *)b;
  return left->key.data < right->key.data ? -1 : 1;
}

static bool begins(gguf_text text, const char *beginning) {
  size_t n = strlen(beginning);
  return text.n >= n && memcmp(text.data, beginning, n) == 0;
}

/* How the file was split and quantised is not taken over. */
static bool is_of_model(gguf_text key) {
  return !begins(key, "split.") && !gguf_text_is(key, "general.file_type") &&
         !gguf_text_is(key, "general.quantization_version");
}

static bool is_of_tokenizer(gguf_text key) {
  return begins(key, "tokenizer.");
}

/* In the order of the file. */
static llama2_status copy_keys(gguf_head *h, const gguf_file *f, bool (*wanted)(gguf_text key)) {
  const gguf_entry **entries = mem_new((size_t)f->n_entries, sizeof *entries);
  if (!entries)
    return status_fail_sized(LLAMA2_ERR_MEMORY, f->n_entries * sizeof *entries, mem_available(),
                             "%s: no memory for a list of its keys", f->path);
  for (uint64_t i = 0; i < f->n_entries; i++) entries[i] = &f->entries[i];
  qsort(entries, (size_t)f->n_entries, sizeof *entries, by_place);
  for (uint64_t i = 0; i < f->n_entries; i++)
    if (wanted(entries[i]->key)) gguf_put_entry(h, entries[i]);
  mem_free(entries);
  return LLAMA2_OK;
}

/* Keys of a llama2.c checkpoint. */

/* The file's name without folder and ending, where that is text. */
static gguf_text name_of(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
  size_t n = dot && dot > name ? (size_t)(dot - name) : strlen(name);
  return (gguf_text){name, utf8_check(name, n) == n ? n : 0};
}

static void put_model(gguf_head *h, const config *c, const char *path) {
  gguf_text name = name_of(path);
  gguf_put_text(h, "general.architecture", (gguf_text){"llama", 5});
  if (name.n) gguf_put_text(h, "general.name", name);
  gguf_put_u32(h, "general.alignment", GGUF_ALIGNMENT);
  gguf_put_u32(h, "llama.context_length", (uint32_t)c->context);
  gguf_put_u32(h, "llama.embedding_length", (uint32_t)c->dim);
  gguf_put_u32(h, "llama.block_count", (uint32_t)c->n_layers);
  gguf_put_u32(h, "llama.feed_forward_length", (uint32_t)c->hidden_dim);
  gguf_put_u32(h, "llama.attention.head_count", (uint32_t)c->n_heads);
  gguf_put_u32(h, "llama.attention.head_count_kv", (uint32_t)c->n_kv_heads);
  gguf_put_f32(h, "llama.attention.layer_norm_rms_epsilon", c->norm_eps);
  if (c->dim != c->n_heads * c->head_dim) {
    gguf_put_u32(h, "llama.attention.key_length", (uint32_t)c->head_dim);
    gguf_put_u32(h, "llama.attention.value_length", (uint32_t)c->head_dim);
  }
  gguf_put_u32(h, "llama.rope.dimension_count", (uint32_t)c->rope_dim);
  gguf_put_f32(h, "llama.rope.freq_base", c->rope_theta);
  gguf_put_u32(h, "llama.vocab_size", (uint32_t)c->vocab_size);
}

/* Tokenizers. */

/* SentencePiece's mark in place of spaces. room: 3 bytes for each of the piece. */
static gguf_text with_marks(text_span piece, char *room) {
  uint64_t n = 0;
  for (size_t i = 0; i < piece.length; i++) {
    if (piece.text[i] == ' ') {
      memcpy(room + n, "\xe2\x96\x81", 3);
      n += 3;
    } else {
      room[n++] = piece.text[i];
    }
  }
  return (gguf_text){room, n};
}

static llama2_status put_vocabulary(gguf_head *h, const vocabulary *v) {
  size_t longest = 0;
  for (uint64_t i = 0; i < v->n_pieces; i++)
    if (v->pieces[i].text.length > longest) longest = v->pieces[i].text.length;
  char *room = mem_new(longest, 3);
  if (!room)
    return status_fail_sized(LLAMA2_ERR_MEMORY, 3 * longest, mem_available(), "%s: no memory for its longest token",
                             v->path);
  gguf_put_text(h, "tokenizer.ggml.model", (gguf_text){v->model.text, v->model.length});
  gguf_put_array(h, TOKENS, GGUF_STRING, v->n_pieces);
  for (uint64_t i = 0; i < v->n_pieces; i++) gguf_put_item_text(h, with_marks(v->pieces[i].text, room));
  gguf_put_array(h, "tokenizer.ggml.scores", GGUF_F32, v->n_pieces);
  for (uint64_t i = 0; i < v->n_pieces; i++) gguf_put_item_f32(h, v->pieces[i].score);
  gguf_put_array(h, "tokenizer.ggml.token_type", GGUF_I32, v->n_pieces);
  for (uint64_t i = 0; i < v->n_pieces; i++) gguf_put_item_i32(h, v->pieces[i].kind);
  if (v->bos != VOCABULARY_NONE) gguf_put_u32(h, "tokenizer.ggml.bos_token_id", v->bos);
  if (v->n_eos) gguf_put_u32(h, "tokenizer.ggml.eos_token_id", v->eos[0]);
  gguf_put_u32(h, "tokenizer.ggml.unknown_token_id", v->unknown);
  mem_free(room);
  return LLAMA2_OK;
}

static llama2_status copy_tokenizer(gguf_head *h, const gguf_file *f, int32_t vocab_size) {
  const gguf_value *tokens;
  RETURN_IF_FAILED(gguf_array(f, TOKENS, GGUF_STRING, &tokens));
  if (tokens->n != (uint64_t)vocab_size)
    return status_fail(LLAMA2_ERR_TOKENIZER,
                       "%s: holds %" PRIu64 " tokens, but the model has %d; it belongs to another model", f->path,
                       tokens->n, vocab_size);
  return copy_keys(h, f, is_of_tokenizer);
}

static llama2_status put_tokenizer(gguf_head *h, const char *path, int32_t vocab_size) {
  tokenizer_bin b;
  gguf_file f;
  llama2_status status;
  if (gguf_recognise(path)) {
    RETURN_IF_FAILED(gguf_open(&f, path));
    status = copy_tokenizer(h, &f, vocab_size);
    gguf_close(&f);
  } else {
    RETURN_IF_FAILED(tokenizer_file_check(path));
    RETURN_IF_FAILED(tokenizer_bin_open(&b, path, vocab_size));
    status = put_vocabulary(h, &b.vocabulary);
    tokenizer_bin_close(&b);
  }
  return status;
}

llama2_status to_gguf_keys(gguf_head *h, const checkpoint *c, const char *path, const char *tokenizer) {
  h->alignment = c->is_gguf ? c->gguf.alignment : GGUF_ALIGNMENT;
  if (c->is_gguf)
    RETURN_IF_FAILED(copy_keys(h, &c->gguf, is_of_model));
  else
    put_model(h, &c->config, path);
  return tokenizer ? put_tokenizer(h, tokenizer, c->config.vocab_size) : LLAMA2_OK;
}
