/* text/stream: tokens to text, a token at a time, whole characters only. */
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

static const char replacement[3] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */

/* Writes what `byte` completes; what can no longer become a character is replaced. */
static size_t feed(llama2_text_stream *s, unsigned char byte, char *out) {
  size_t n = 0;
  if (s->n_pending && !utf8_continues(s->pending, s->n_pending, byte)) {
    memcpy(out, replacement, 3);
    n = 3;
    s->n_pending = 0;
  }
  if (!s->n_pending && utf8_length(byte) == 0) {
    memcpy(out + n, replacement, 3);
    return n + 3;
  }
  s->pending[s->n_pending++] = byte;
  if (s->n_pending == utf8_length(s->pending[0])) {
    memcpy(out + n, s->pending, (size_t)s->n_pending);
    n += (size_t)s->n_pending;
    s->n_pending = 0;
  }
  return n;
}

/* Every byte may be one that is replaced, after a character that it cuts short. */
size_t stream_bound(const llama2_tokenizer *t) {
  return 3 * (size_t)t->longest + 3;
}

/* Whether encoding puts a space before the text that follows such a token; in some vocabularies, and to llama2.c, of <s>
 * only. */
static bool begins_text(const llama2_tokenizer *t, int32_t token) {
  if (t->plain || t->space == SPACE_FIRST) return token == t->bos;
  return t->pieces[token].kind == PIECE_CONTROL || t->pieces[token].kind == PIECE_USER;
}

size_t stream_push(llama2_text_stream *s, const llama2_tokenizer *t, int32_t token, char *text) {
  const piece *p = &t->pieces[token];
  bool first = s->previous == 0 || begins_text(t, s->previous - 1);
  s->previous = token + 1;
  if (p->kind == PIECE_CONTROL) return 0;
  if (p->byte >= 0) return feed(s, (unsigned char)p->byte, text);
  bool spaced = first && t->add_space && p->kind != PIECE_USER;
  size_t n = 0;
  for (int32_t i = spaced && p->length && p->text[0] == ' '; i < p->length; i++)
    n += feed(s, (unsigned char)p->text[i], text + n);
  return n;
}

size_t stream_end(llama2_text_stream *s, char *text) {
  size_t n = s->n_pending ? 3 : 0;
  if (n) memcpy(text, replacement, 3);
  memset(s, 0, sizeof *s);
  return n;
}
