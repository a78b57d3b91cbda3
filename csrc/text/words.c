#include "text/words.h"

#include <string.h>

#include "text/unicode.h"

word_rule words_named(const char *name, size_t n) {
  static const struct {
    const char *name;
    word_rule rule;
  } rules[] = {
      {"llama-bpe", WORDS_LLAMA3 },
      {"llama3",    WORDS_LLAMA3 },
      {"llama-v3",  WORDS_LLAMA3 },
      {"qwen2",     WORDS_QWEN2  },
      {"gpt-2",     WORDS_GPT2   },
      {"smollm",    WORDS_SMOLLM },
      {"default",   WORDS_DEFAULT},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (strlen(rules[i].name) == n && memcmp(rules[i].name, name, n) == 0) return rules[i].rule;
  return WORDS_NONE;
}

/* What the expressions tell apart, as sets. */
enum {
  END = 0, /* of the segment: of no class */
  LETTER = 1,
  NUMBER = 2,
  SPACE = 4,
  OTHER = 8, /* none of these */
  PUNCTUATION = 16 | OTHER
};

static int class_at(const words *w, size_t at) {
  static const int sets[] = {OTHER, LETTER, NUMBER, PUNCTUATION, SPACE};
  return at < w->segment ? sets[unicode_class_of(unicode_code(w->text + at))] : END;
}

/* The offset behind the character at `at`. */
static size_t after(const words *w, size_t at) {
  return at + (size_t)utf8_length((unsigned char)w->text[at]);
}

/* The offset behind the characters of `set` that begin at `at`, at most `limit` of them. */
static size_t run(const words *w, size_t at, int set, size_t limit) {
  for (; limit && class_at(w, at) & set; limit--) at = after(w, at);
  return at;
}

static bool is_newline(char c) {
  return c == '\r' || c == '\n';
}

/* The offset behind 's, 't, 're, 've, 'm, 'll or 'd at `at`, or `at`. */
static size_t contraction(const words *w, size_t at, bool any_case) {
  static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
  if (w->text[at] != '\'') return at;
  const char *text = w->text + at + 1;
  size_t left = w->segment - at - 1;
  if (any_case && left >= 2 && memcmp(text, "\xc5\xbf", 2) == 0) return at + 3; /* U+017F is a form of s */
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t n = strlen(endings[i]), same = 0;
    while (same < n && same < left && (text[same] | (any_case ? 0x20 : 0)) == endings[i][same]) same++;
    if (same == n) return at + 1 + n;
  }
  return at;
}

/* \s+(?!\S)|\s+: a space before a word is left to the word, if there is another before it. */
static size_t spaces(const words *w) {
  size_t last = w->at, end = w->at;
  for (; class_at(w, end) & SPACE; end = after(w, end)) last = end;
  return end == w->segment || last == w->at ? end : last;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2_word(const words *w) {
  size_t at = contraction(w, w->at, false);
  if (at > w->at) return at;
  if (w->text[at] == ' ' && class_at(w, at + 1) & ~SPACE) at++;
  int set = class_at(w, at) & (LETTER | NUMBER | SPACE | OTHER);
  return set == SPACE ? spaces(w) : run(w, at, set, SIZE_MAX);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * and the same with another number of digits. */
static size_t llama3_word(const words *w, size_t digits) {
  size_t at = contraction(w, w->at, true), end;
  if (at > w->at) return at;
  int set = class_at(w, at);
  if (set & LETTER) return run(w, at, LETTER, SIZE_MAX);
  if (set & NUMBER) return run(w, at, NUMBER, digits);
  end = after(w, at);
  if (!is_newline(w->text[at]) && class_at(w, end) & LETTER) return run(w, end, LETTER, SIZE_MAX);
  end = run(w, w->text[at] == ' ' ? end : at, OTHER, SIZE_MAX);
  if (end > after(w, at) || set & OTHER) {
    while (end < w->segment && is_newline(w->text[end])) end++;
    return end;
  }
  size_t behind_newline = 0;
  for (end = at; class_at(w, end) & SPACE; end = after(w, end))
    if (is_newline(w->text[end])) behind_newline = end + 1;
  return behind_newline ? behind_newline : spaces(w);
}

/* Each of [\p{P}\$\+<=>\^~\|]+ is a segment, and so is what lies between. */
static bool is_mark(const words *w, size_t at) {
  return class_at(w, at) == PUNCTUATION || (w->text[at] && strchr("$+<=>^~|", w->text[at]));
}

/* Within what gpt2_word() finds: \p{N}+, and of these [0-9][0-9][0-9]. */
static size_t default_word(const words *w) {
  size_t at = w->at, digits = 0;
  if (w->text[at] == ' ' && class_at(w, at + 1) & NUMBER) return at + 1;
  for (; class_at(w, at) & NUMBER; at = after(w, at)) {
    digits = w->text[at] >= '0' && w->text[at] <= '9' ? digits + 1 : 0;
    if (digits == 3) return at == w->at + 2 ? at + 1 : at - 2;
  }
  return at > w->at ? at : gpt2_word(w);
}

/* The segment that begins at `at`. */
static size_t segment_end(const words *w) {
  words whole = *w;
  whole.segment = w->end;
  size_t at = w->at;
  if (w->rule == WORDS_SMOLLM) { /* each \p{N} is a segment */
    if (class_at(&whole, at) & NUMBER) return after(w, at);
    return run(&whole, at, LETTER | SPACE | OTHER, SIZE_MAX);
  }
  if (w->rule == WORDS_DEFAULT) {
    bool marks = is_mark(&whole, at);
    while (at < w->end && is_mark(&whole, at) == marks) at = after(w, at);
    return at;
  }
  return w->end;
}

bool words_next(words *w) {
  if (w->at == w->end) return false;
  if (w->at == w->segment) w->segment = segment_end(w);
  switch (w->rule) {
    case WORDS_NONE: w->at = w->end; break;
    case WORDS_GPT2:
    case WORDS_SMOLLM: w->at = gpt2_word(w); break;
    case WORDS_LLAMA3: w->at = llama3_word(w, 3); break;
    case WORDS_QWEN2: w->at = llama3_word(w, 1); break;
    case WORDS_DEFAULT: w->at = default_word(w); break;
  }
  return true;
}
