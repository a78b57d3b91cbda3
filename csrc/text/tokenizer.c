/* text/tokenizer: making a tokenizer from a vocabulary, and finding pieces in it. */
#include "text/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/memory.h"
#include "text/normal.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

#define COUNT_MAX (INT32_MAX / 4)

static bool span_is(text_span s, const char *text) {
  return s.length == strlen(text) && memcmp(s.text, text, s.length) == 0;
}

/* As much of a text as a message has room for. */
static int shown(text_span s) {
  return s.length < 40 ? (int)s.length : 40;
}

/* Bytes. */

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int16_t byte_of(text_span s) {
  if (s.length != 6 || memcmp(s.text, "<0x", 3) != 0 || s.text[5] != '>') return -1;
  int high = hex_digit(s.text[3]), low = hex_digit(s.text[4]);
  return high < 0 || low < 0 ? -1 : (int16_t)(16 * high + low);
}

int32_t vocabulary_guess(text_span text) {
  return byte_of(text) < 0 ? PIECE_NORMAL : PIECE_BYTE;
}

/* GPT-2's pieces name bytes by characters that can be printed: those of Latin-1 by themselves, the others by U+0100
 * and what follows, in order. */
#define BYTE_CODES 324

static void fill_byte_codes(int16_t byte_of_code[BYTE_CODES]) {
  for (int i = 0; i < BYTE_CODES; i++) byte_of_code[i] = -1;
  for (int byte = 0, next = 256; byte < 256; byte++) {
    bool printed = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    byte_of_code[printed ? byte : next++] = (int16_t)byte;
  }
}

/* Writes the bytes that a piece names. What names none stands for itself. Returns how many. */
static size_t named_bytes(text_span s, const int16_t byte_of_code[BYTE_CODES], char *out) {
  size_t n = 0;
  for (size_t i = 0; i < s.length;) {
    size_t length = (size_t)utf8_length((unsigned char)s.text[i]);
    bool whole = length && length <= s.length - i && utf8_check(s.text + i, length) == length;
    uint32_t code = whole ? unicode_code(s.text + i) : BYTE_CODES;
    if (!whole) length = 1;
    if (code < BYTE_CODES && byte_of_code[code] >= 0) {
      out[n++] = (char)byte_of_code[code];
    } else {
      memcpy(out + n, s.text + i, length);
      n += length;
    }
    i += length;
  }
  return n;
}

size_t tokenizer_spaced(const char *text, size_t n, char *out) {
  size_t length = 0;
  for (size_t i = 0; i < n; length++) {
    bool space = n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
    out[length] = space ? ' ' : text[i];
    i += space ? 3 : 1;
  }
  return length;
}

/* Finding pieces and joints. */

int32_t tokenizer_piece(const llama2_tokenizer *t, const char *text, size_t n) {
  if (n > (size_t)t->longest) return -1;
  for (uint32_t i = (uint32_t)hash_bytes(t->key, text, n);; i++) {
    uint32_t slot = t->slots[i & (t->n_slots - 1)];
    if (!slot) return -1;
    const piece *p = &t->pieces[slot - 1];
    if ((size_t)p->length == n && memcmp(p->text, text, n) == 0) return (int32_t)slot - 1;
  }
}

static void add_piece(llama2_tokenizer *t, int32_t id) {
  const piece *p = &t->pieces[id];
  if (p->length == 0 || tokenizer_piece(t, p->text, (size_t)p->length) >= 0) return;
  uint32_t i = (uint32_t)hash_bytes(t->key, p->text, (size_t)p->length);
  while (t->slots[i & (t->n_slots - 1)]) i++;
  t->slots[i & (t->n_slots - 1)] = (uint32_t)id + 1;
}

static uint32_t hash_pair(const llama2_tokenizer *t, int32_t left, int32_t right) {
  const int32_t pair[2] = {left, right};
  return (uint32_t)hash_bytes(t->key, pair, sizeof pair);
}

int32_t tokenizer_joint(const llama2_tokenizer *t, int32_t left, int32_t right) {
  for (uint32_t i = hash_pair(t, left, right);; i++) {
    uint32_t slot = t->joint_slots[i & (t->n_joint_slots - 1)];
    if (!slot) return -1;
    const joint *j = &t->joints[slot - 1];
    if (j->left == left && j->right == right) return (int32_t)slot - 1;
  }
}

static void add_joint(llama2_tokenizer *t, int32_t index) {
  const joint *j = &t->joints[index];
  if (tokenizer_joint(t, j->left, j->right) >= 0) return;
  uint32_t i = hash_pair(t, j->left, j->right);
  while (t->joint_slots[i & (t->n_joint_slots - 1)]) i++;
  t->joint_slots[i & (t->n_joint_slots - 1)] = (uint32_t)index + 1;
}

/* Making one. */

static llama2_status check_id(const vocabulary *v, const char *name, uint32_t id) {
  if (id == VOCABULARY_NONE || id < v->n_pieces) return LLAMA2_OK;
  return status_fail(LLAMA2_ERR_TOKENIZER, "%s: its %s token is %" PRIu32 ", but it holds %" PRIu64 " tokens", v->path,
                     name, id, v->n_pieces);
}

/* How a token is read out of a text whole, or 0. BOS and EOS are control tokens whatever the file says. */
static int32_t is_added(const vocabulary *v, uint64_t id) {
  int32_t kind = v->pieces[id].kind;
  if (v->added) return v->added[id];
  return kind == PIECE_USER || kind == PIECE_CONTROL || kind == PIECE_UNKNOWN || id == v->bos ||
                 (v->n_eos && id == v->eos[0])
             ? ADDED
             : 0;
}

static llama2_status check_vocabulary(const vocabulary *v) {
  if (!span_is(v->model, "llama") && !span_is(v->model, "gpt2"))
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: its tokenizer is of model '%.*s', expected llama or gpt2", v->path,
                       shown(v->model), v->model.text);
  if (span_is(v->model, "gpt2") && v->pre.length && !words_named(v->pre.text, v->pre.length))
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: its tokenizer cuts words as '%.*s' does, expected one of %s", v->path,
                       shown(v->pre), v->pre.text, WORDS_NAMES);
  if (v->n_pieces == 0) return status_fail(LLAMA2_ERR_TOKENIZER, "%s: holds no tokens", v->path);
  if (v->n_pieces > COUNT_MAX || v->n_merges > COUNT_MAX)
    return status_fail(LLAMA2_ERR_TOKENIZER, "%s: %" PRIu64 " tokens and %" PRIu64 " merges, expected at most %d",
                       v->path, v->n_pieces, v->n_merges, COUNT_MAX);
  RETURN_IF_FAILED(check_id(v, "BOS", v->bos));
  for (int32_t i = 0; i < v->n_eos; i++) RETURN_IF_FAILED(check_id(v, "EOS", v->eos[i]));
  RETURN_IF_FAILED(check_id(v, "unknown", v->unknown));
  for (uint64_t id = 0; id < v->n_pieces; id++) {
    const vocabulary_piece *p = &v->pieces[id];
    if (p->kind < PIECE_NORMAL || p->kind > PIECE_BYTE)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: token %" PRIu64 " is of type %d, expected 1 to 6", v->path, id,
                         p->kind);
    if (p->text.length > COUNT_MAX)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: token %" PRIu64 " has %zu bytes, expected at most %d", v->path, id,
                         p->text.length, COUNT_MAX);
    if (is_added(v, id) && p->text.length > MARK_MAX)
      return status_fail(LLAMA2_ERR_TOKENIZER,
                         "%s: token %" PRIu64
                         " has %zu bytes, expected at most %d of one that is "
                         "read out of a text whole",
                         v->path, id, p->text.length, MARK_MAX);
    if (p->kind == PIECE_BYTE && byte_of(p->text) < 0)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: token %" PRIu64 " is a byte and reads '%.*s', expected <0xHH>",
                         v->path, id, shown(p->text), p->text.text);
  }
  return LLAMA2_OK;
}

/* A whole number in the order of the scores, the best first; that of -0 is that of 0. */
static int32_t rank_of(float score) {
  int32_t bits = (int32_t)half_f32_bits(score + 0.0f);
  return ~(bits < 0 ? bits ^ INT32_MAX : bits);
}

static void copy_pieces(llama2_tokenizer *t, const vocabulary *v) {
  int16_t byte_of_code[BYTE_CODES];
  char *end = t->blob;
  fill_byte_codes(byte_of_code);
  t->longest = 1;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    const vocabulary_piece *from = &v->pieces[id];
    piece *p = &t->pieces[id];
    p->text = end;
    p->rank = rank_of(from->score);
    p->score = from->score;
    p->kind = (int16_t)(id == t->bos || id == t->eos ? PIECE_CONTROL : from->kind);
    p->byte = p->kind == PIECE_BYTE ? byte_of(from->text) : -1;
    if (t->words == WORDS_NONE && !t->plain) {
      p->length = (int32_t)tokenizer_spaced(from->text.text, from->text.length, end);
    } else if (t->words != WORDS_NONE && p->kind == PIECE_NORMAL) {
      p->length = (int32_t)named_bytes(from->text, byte_of_code, end);
    } else {
      if (from->text.length) memcpy(end, from->text.text, from->text.length);
      p->length = (int32_t)from->text.length;
    }
    for (int32_t i = 1; i < p->length; i++) t->inner_spaces |= end[i] == ' ' && end[i - 1] != ' ';
    end += p->length;
    if (p->length > t->longest) t->longest = p->length;
  }
}

static void index_pieces(llama2_tokenizer *t, const vocabulary *v) {
  for (int b = 0; b < 256; b++) t->bytes[b] = t->unknown;
  for (int32_t id = 0; id < t->vocab_size; id++)
    if (t->pieces[id].kind == PIECE_NORMAL) add_piece(t, id);
  for (int32_t id = 0; id < t->vocab_size; id++)
    if (t->pieces[id].kind == PIECE_USER && !(is_added(v, (uint64_t)id) & ADDED_ONLY)) add_piece(t, id);
  for (int32_t id = t->vocab_size - 1; id >= 0; id--)
    if (t->pieces[id].byte >= 0) t->bytes[t->pieces[id].byte] = id;
  for (int b = 0; b < 256 && t->words != WORDS_NONE; b++) {
    int32_t id = tokenizer_piece(t, &(char){(char)b}, 1);
    if (id >= 0) t->bytes[b] = id;
  }
}

/* Writes what a text must have for a mark to be read out of it. Returns its length: at most NORMAL_GROWTH times the
 * piece's, and 1. */
static size_t mark_text(const llama2_tokenizer *t, const vocabulary *v, int32_t token, normal_room room, char *out) {
  text_span s = v->pieces[token].text;
  size_t n = 0;
  if (v->added && !(v->added[token] & ADDED_NORMAL)) {
    memcpy(out, s.text, s.length);
    return s.length;
  }
  if (t->words != WORDS_NONE || t->plain) {
    if (t->normal && v->added) return normal_form(s.text, s.length, room, out);
    memcpy(out, s.text, s.length);
    return s.length;
  }
  if (v->added && t->add_space && t->space == SPACE_EACH) out[n++] = ' ';
  size_t length = s.length;
  if (t->normal && v->added)
    length = normal_form(s.text, s.length, room, out + n);
  else
    memcpy(out + n, s.text, s.length);
  return n + tokenizer_spaced(out + n, length, out + n);
}

static int compare_marks(const void *a, const void *b) {
  const mark *x = a, *y = b;
  int order = memcmp(x->text, y->text, (size_t)(x->length < y->length ? x->length : y->length));
  if (order == 0) order = (x->length > y->length) - (x->length < y->length);
  return order ? order : (x->token > y->token) - (x->token < y->token);
}

/* Only whole characters are read out of a text, so that what remains of it is whole too. */
static void collect_marks(llama2_tokenizer *t, const vocabulary *v, normal_room room) {
  mark *list = t->mark_list;
  char *end = t->mark_blob;
  for (int normal = 0; normal < 2; normal++) {
    mark_set *set = &t->marks[normal];
    set->list = list;
    for (int32_t id = 0; id < t->vocab_size; id++) {
      int32_t added = is_added(v, (uint64_t)id);
      text_span s = v->pieces[id].text;
      if (!(added & ADDED) || (added & ADDED_NORMAL ? 1 : 0) != normal) continue;
      if (s.length == 0 || utf8_check(s.text, s.length) < s.length) continue;
      size_t n = mark_text(t, v, id, room, end);
      set->list[set->n++] = (mark){end, (int32_t)n, id, added};
      end += n;
    }
    qsort(set->list, (size_t)set->n, sizeof *set->list, compare_marks);
    for (int32_t i = 0; i < set->n; i++) set->begins[(unsigned char)set->list[i].text[0]] = true;
    list += set->n;
  }
}

/* A part of a merge, as pieces have it. */
static size_t merged_text(const llama2_tokenizer *t, text_span s, const int16_t byte_of_code[BYTE_CODES], char *out) {
  return t->words == WORDS_NONE ? tokenizer_spaced(s.text, s.length, out) : named_bytes(s, byte_of_code, out);
}

/* scratch: room for the longest merge. */
static llama2_status read_merges(llama2_tokenizer *t, const vocabulary *v, char *scratch) {
  int16_t byte_of_code[BYTE_CODES];
  fill_byte_codes(byte_of_code);
  for (int32_t i = 0; i < t->n_joints; i++) {
    text_span merge = v->merges[i];
    const char *space = merge.length > 1 ? memchr(merge.text + 1, ' ', merge.length - 1) : NULL;
    size_t cut = space ? (size_t)(space - merge.text) : 0;
    if (!space || cut + 1 == merge.length)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: merge %d is '%.*s', expected two pieces parted by a space", v->path,
                         i, shown(merge), merge.text);
    size_t left = merged_text(t, (text_span){merge.text, cut}, byte_of_code, scratch);
    text_span behind = {space + 1, merge.length - cut - 1};
    size_t both = left + merged_text(t, behind, byte_of_code, scratch + left);
    joint *j = &t->joints[i];
    j->left = tokenizer_piece(t, scratch, left);
    j->right = tokenizer_piece(t, scratch + left, both - left);
    j->whole = tokenizer_piece(t, scratch, both);
    if (j->left < 0 || j->right < 0 || j->whole < 0)
      return status_fail(LLAMA2_ERR_TOKENIZER, "%s: merge %d is '%.*s', but %s is not a token", v->path, i,
                         shown(merge), merge.text,
                         j->left < 0    ? "the first"
                         : j->right < 0 ? "the second"
                                        : "what they make");
    add_joint(t, i);
  }
  return LLAMA2_OK;
}

/* A power of two that leaves a hash table at least half empty. */
static uint32_t slots_for(int32_t n) {
  uint32_t slots = 16;
  while (slots < 2 * (uint32_t)n) slots *= 2;
  return slots;
}

static int32_t id_or_none(uint32_t id) {
  return id == VOCABULARY_NONE ? -1 : (int32_t)id;
}

static bool choose(vocabulary_choice choice, bool usual) {
  return choice == VOCABULARY_USUAL ? usual : choice == VOCABULARY_YES;
}

static void set_rules(llama2_tokenizer *t, const vocabulary *v) {
  bool cut = span_is(v->model, "gpt2");
  if (cut) t->words = v->pre.length ? words_named(v->pre.text, v->pre.length) : WORDS_DEFAULT;
  t->vocab_size = (int32_t)v->n_pieces;
  t->ranked = cut || v->ranked;
  t->n_joints = t->ranked ? (int32_t)v->n_merges : 0;
  t->bos = id_or_none(v->bos);
  t->n_eos = v->n_eos;
  for (int32_t i = 0; i < t->n_eos; i++) t->eos_ids[i] = (int32_t)v->eos[i];
  t->eos = t->n_eos ? t->eos_ids[0] : -1;
  t->unknown = id_or_none(v->unknown);
  t->add_bos = t->bos >= 0 && choose(v->add_bos, !cut || t->words == WORDS_LLAMA3);
  t->add_eos = t->eos >= 0 && choose(v->add_eos, false);
  t->plain = v->plain && !cut;
  t->whole_words = choose(v->whole_words, t->words == WORDS_LLAMA3);
  t->split_spaces = v->split_spaces && !cut;
  t->each_unknown = v->each_unknown || t->plain;
  t->normal = v->normal;
  t->space = v->space;
  t->key = hash_key_new();
  t->n_slots = slots_for(t->vocab_size);
  t->n_joint_slots = slots_for(t->n_joints);
}

/* What is needed while a tokenizer is made. */
typedef struct making {
  char *merge;      /* room for the longest merge */
  normal_room room; /* for the longest mark */
} making;

/* Sizes from what was checked: none can overflow. */
static bool take_memory(llama2_tokenizer *t, const vocabulary *v, making *m) {
  size_t text = 0, merge = 0, marks = 0, mark_text = 0, mark_most = 0;
  for (uint64_t id = 0; id < v->n_pieces; id++) {
    size_t length = v->pieces[id].text.length;
    text += length;
    if (!(is_added(v, id) & ADDED)) continue;
    marks++;
    mark_text += NORMAL_GROWTH * length + 1;
    if (length > mark_most) mark_most = length;
  }
  for (uint64_t i = 0; i < v->n_merges; i++)
    if (v->merges[i].length > merge) merge = v->merges[i].length;
  t->eos_ids = mem_new((size_t)v->n_eos, sizeof *t->eos_ids);
  if (!t->eos_ids) return false;
  set_rules(t, v);
  t->pieces = mem_new((size_t)t->vocab_size, sizeof *t->pieces);
  t->blob = mem_new(text, 1);
  t->slots = mem_new(t->n_slots, sizeof *t->slots);
  t->joints = mem_new((size_t)t->n_joints, sizeof *t->joints);
  t->joint_slots = mem_new(t->n_joint_slots, sizeof *t->joint_slots);
  t->mark_list = mem_new(marks, sizeof *t->mark_list);
  t->mark_blob = mem_new(mark_text, 1);
  m->merge = mem_new(merge, 1);
  m->room.codes = mem_new(2 * mark_most, sizeof *m->room.codes);
  m->room.spare = mem_new(2 * mark_most, sizeof *m->room.spare);
  return t->pieces && t->blob && t->slots && t->joints && t->joint_slots && t->mark_list && t->mark_blob && m->merge &&
         m->room.codes && m->room.spare;
}

llama2_status tokenizer_build(const vocabulary *v, llama2_tokenizer **tokenizer) {
  RETURN_IF_FAILED(check_vocabulary(v));
  making m = {
      NULL, {NULL, NULL}
  };
  llama2_tokenizer *t = mem_new(1, sizeof *t);
  llama2_status status = LLAMA2_OK;
  if (t && take_memory(t, v, &m)) {
    copy_pieces(t, v);
    index_pieces(t, v);
    t->add_space = t->words == WORDS_NONE && choose(v->add_space, true) && tokenizer_piece(t, " ", 1) >= 0;
    collect_marks(t, v, m.room);
    status = read_merges(t, v, m.merge);
  } else {
    status = status_fail_sized(LLAMA2_ERR_MEMORY, v->n_pieces * sizeof(piece) + v->n_merges * sizeof(joint),
                               mem_available(), "%s: no memory for its %" PRIu64 " tokens", v->path, v->n_pieces);
  }
  mem_free(m.room.spare);
  mem_free(m.room.codes);
  mem_free(m.merge);
  if (status == LLAMA2_OK)
    *tokenizer = t;
  else
    tokenizer_free(t);
  return status;
}

void tokenizer_free(llama2_tokenizer *t) {
  if (!t) return;
  mem_free(t->mark_blob);
  mem_free(t->mark_list);
  mem_free(t->joint_slots);
  mem_free(t->joints);
  mem_free(t->slots);
  mem_free(t->blob);
  mem_free(t->pieces);
  mem_free(t->eos_ids);
  mem_free(t);
}
