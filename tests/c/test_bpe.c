/* test_bpe: classes of characters, normal forms, words, vocabularies, merges by rank and by score, marks, and text that
 * comes back. */
#include "check.h"

#include <math.h>

#include "text/normal.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

/* Classes. */

static void test_classes(void) {
  static const struct {
    uint32_t code;
    unicode_class class;
  } rows[] = {
      {0,        UNICODE_OTHER      },
      {0x8,      UNICODE_OTHER      },
      {'\t',     UNICODE_SPACE      },
      {0xd,      UNICODE_SPACE      },
      {0x1c,     UNICODE_OTHER      },
      {' ',      UNICODE_SPACE      },
      {'!',      UNICODE_PUNCTUATION},
      {'$',      UNICODE_OTHER      },
      {'0',      UNICODE_NUMBER     },
      {'A',      UNICODE_LETTER     },
      {'_',      UNICODE_PUNCTUATION},
      {'`',      UNICODE_OTHER      },
      {'z',      UNICODE_LETTER     },
      {0x85,     UNICODE_SPACE      },
      {0xa0,     UNICODE_SPACE      },
      {0xaa,     UNICODE_LETTER     },
      {0xb2,     UNICODE_NUMBER     },
      {0x300,    UNICODE_OTHER      },
      {0x663,    UNICODE_NUMBER     },
      {0x200b,   UNICODE_OTHER      },
      {0x2028,   UNICODE_SPACE      },
      {0x3000,   UNICODE_SPACE      },
      {0x4e00,   UNICODE_LETTER     },
      {0xac00,   UNICODE_LETTER     },
      {0xff01,   UNICODE_PUNCTUATION},
      {0x1f999,  UNICODE_OTHER      },
      {0x2ebf0,  UNICODE_LETTER     },
      {0x10ffff, UNICODE_OTHER      },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK_THAT(unicode_class_of(rows[i].code) == rows[i].class, "U+%04X is %d", rows[i].code,
               unicode_class_of(rows[i].code));
  const size_t n = sizeof unicode_stretches / sizeof *unicode_stretches;
  CHECK(unicode_stretches[0] >> 3 == 0);
  for (size_t i = 1; i < n; i++) {
    CHECK(unicode_stretches[i] >> 3 > unicode_stretches[i - 1] >> 3);
    CHECK((unicode_stretches[i] & 7) != (unicode_stretches[i - 1] & 7) && (unicode_stretches[i] & 7) <= UNICODE_SPACE);
  }
  CHECK(unicode_code("A") == 'A' && unicode_code("\u00e9") == 0xe9 && unicode_code("\u4f60") == 0x4f60);
  CHECK(unicode_code("\U0001f999") == 0x1f999);
}

static void test_word_characters(void) {
  static const uint32_t in[] = {'0',    'A',    '_',    'z',    0xaa,   0x300,  0x660,
                                0x200c, 0x203f, 0x2160, 0x24b6, 0x4e00, 0x1f130};
  static const uint32_t out[] = {0, ' ', '-', '@', '[', '`', 0xb2, 0xd7, 0x2028, 0x200b, 0x1f999, 0x10ffff};
  for (size_t i = 0; i < sizeof in / sizeof *in; i++) CHECK_THAT(unicode_is_word(in[i]), "U+%04X", in[i]);
  for (size_t i = 0; i < sizeof out / sizeof *out; i++) CHECK_THAT(!unicode_is_word(out[i]), "U+%04X", out[i]);
}

/* Normal forms. */

typedef struct text_buffer {
  char text[2000];
  size_t n;
} text_buffer;

/* The normal form of text[0..n), in memory of exactly the promised sizes. */
static text_buffer normal_of(const char *text, size_t n) {
  text_buffer found;
  normal_room room = {aligned(2 * n * sizeof(uint32_t)), aligned(2 * n * sizeof(uint32_t))};
  char *exact = aligned(n), *out = aligned(NORMAL_GROWTH * n);
  if (n) memcpy(exact, text, n);
  found.n = normal_form(exact, n, room, out);
  CHECK(found.n <= NORMAL_GROWTH * n && found.n <= sizeof found.text && utf8_check(out, found.n) == found.n);
  memcpy(found.text, out, found.n);
  free(out);
  free(exact);
  free(room.spare);
  free(room.codes);
  return found;
}

static void test_normal_forms(void) {
  static const char *const rows[][2] = {
      {"",                         ""                              },
      {"abc \u00e9",               "abc \u00e9"                    },
      {"e\u0301",                  "\u00e9"                        },
      {"a\u0307\u0323",            "\u1ea1\u0307"                  },
      {"\u212b",                   "\u00c5"                        },
      {"\u0344",                   "\u0308\u0301"                  },
      {"\u0958",                   "\u0915\u093c"                  },
      {"\U0001d160",               "\U0001d158\U0001d165\U0001d16e"},
      {"\u1f82",                   "\u1f82"                        },
      {"\u03b1\u0313\u0300\u0345", "\u1f82"                        },
      {"\u1112\u1161\u11ab",       "\ud55c"                        },
      {"\uac00\u11a8",             "\uac01"                        },
      {"\uac01\u11a8",             "\uac01\u11a8"                  },
      {"\u0301e\u0301",            "\u0301\u00e9"                  },
      {"\uf900",                   "\u8c48"                        },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    text_buffer found = normal_of(rows[i][0], strlen(rows[i][0]));
    CHECK_THAT(found.n == strlen(rows[i][1]) && memcmp(found.text, rows[i][1], found.n) == 0, "row %zu: '%.*s'", i,
               (int)found.n, found.text);
  }
  static const char *const some[] = {"a",      "e",      "\u0301", "\u0323", "\u0345", "\u0344",
                                     "\u1100", "\u1161", "\u11a8", "\uac00", "\u0958", "\U0001d15e",
                                     "\u1f80", "\u05bc", "\ufb2c", "\u3099", "\u304b"};
  for (int round = 0; round < 20000; round++) {
    char text[160];
    size_t n = 0;
    for (int left = (int)random_below(30); left > 0; left--) {
      const char *c = some[random_below(sizeof some / sizeof *some)];
      memcpy(text + n, c, strlen(c));
      n += strlen(c);
    }
    text_buffer once = normal_of(text, n), twice = normal_of(once.text, once.n);
    CHECK(twice.n == once.n && memcmp(twice.text, once.text, once.n) == 0);
  }
}

/* Words. */

/* The words of `joined`, which are parted by '|' there, without that, in memory of exactly their size. */
static void check_words(const char *rule, const char *joined) {
  size_t n = 0, begin = 0, at = 0;
  char *text = aligned(strlen(joined));
  for (const char *c = joined; *c; c++)
    if (*c != '|') text[n++] = *c;
  char *exact = aligned(n);
  memcpy(exact, text, n);
  words w = {.rule = words_named(rule, strlen(rule)), .text = exact, .end = n};
  CHECK_THAT(w.rule != WORDS_NONE, "%s", rule);
  for (; words_next(&w); begin = w.at, at++) {
    size_t length = strcspn(joined + at, "|");
    CHECK_THAT(w.at - begin == length && memcmp(joined + at, exact + begin, length) == 0,
               "%s: '%s' is cut at %zu, but after '%.*s'", rule, joined, w.at, (int)(w.at - begin), exact + begin);
    at += length;
  }
  CHECK(begin == n && (at == strlen(joined) + 1 || n == 0));
  free(exact);
  free(text);
}

static void test_words(void) {
  static const char *const rows[][2] = {
      {"gpt-2",     "Hello|,| world|!"            },
      {"gpt-2",     "I|'ve| you|'|LL| it|'s"      },
      {"gpt-2",     "a|   | b|\n|c|  "            },
      {"gpt-2",     " 123|abc|456| +-|x"          },
      {"gpt-2",     " |\t|x|  \n"                 },
      {"gpt-2",     ""                            },
      {"gpt-2",     "'s|'s"                       },
      {"llama-bpe", "Hello|,| world|!\n\n|x"      },
      {"llama-bpe", "I|'ve| you|'LL| it|'\u017f|t"},
      {"llama-bpe", "123|456|7| |89|,x"           },
      {"llama3",    "a|  \n\n|  | b"              },
      {"llama-v3",  "\tx|(y|)| (|z"               },
      {"llama-bpe", "x|  "                        },
      {"qwen2",     "1|2|3| |4|'s"                },
      {"smollm",    "a| |1|2|  |3| b"             },
      {"smollm",    "x|\u00b2|y"                  },
      {"default",   "I|'|ve| |$|1"                },
      {"default",   "a|...|b| |123|456|7"         },
      {"default",   "1\u00b2|345|6"               },
      {"default",   "a|  |=|  | b"                },
      {"default",   "x|`|y|^~|z"                  },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_words(rows[i][0], rows[i][1]);
  CHECK(words_named("gpt-3", 5) == WORDS_NONE && words_named("gpt-22", 5) == WORDS_GPT2);
}

/* Characters of each class and each length, so that ends of text meet every rule. */
static size_t random_text(char *text, int characters) {
  static const char *const some[] = {"a", "b", "'", "s",      " ",      " ",      "\n",     "\r",     "1",
                                     "2", "$", "!", "\u017f", "\u00b2", "\u4f60", "\u2581", "\u3000", "\U0001f999"};
  size_t n = 0;
  for (int i = 0; i < characters; i++) {
    const char *c = some[random_below(sizeof some / sizeof *some)];
    memcpy(text + n, c, strlen(c));
    n += strlen(c);
  }
  return n;
}

/* Words cover the text in order, are not empty, and end where characters do. */
static void test_words_cover(void) {
  for (int round = 0; round < 20000; round++) {
    char text[200];
    size_t n = random_text(text, (int)random_below(30)), begin = 0;
    char *exact = aligned(n);
    memcpy(exact, text, n);
    words w = {.rule = (word_rule)(WORDS_GPT2 + random_below(WORDS_DEFAULT)), .text = exact, .end = n};
    for (; words_next(&w); begin = w.at) {
      CHECK(w.at > begin && w.at <= n && w.segment >= w.at);
      CHECK(w.at == n || utf8_length((unsigned char)exact[w.at]) > 0);
    }
    CHECK(begin == n);
    free(exact);
  }
}

/* Tokenizers. */

#define PIECES_MAX 400

/* A vocabulary that grows. Texts live as long as the program. */
typedef struct sketch {
  vocabulary v;
  vocabulary_piece pieces[PIECES_MAX];
  text_span merges[PIECES_MAX];
} sketch;

static text_span span(const char *text) {
  return (text_span){text, strlen(text)};
}

static uint32_t add(sketch *s, text_span text, int32_t kind, float score) {
  s->pieces[s->v.n_pieces] = (vocabulary_piece){text, score, kind};
  s->v.pieces = s->pieces;
  return (uint32_t)s->v.n_pieces++;
}

static void add_merge(sketch *s, const char *merge) {
  s->merges[s->v.n_merges++] = span(merge);
  s->v.merges = s->merges;
}

static void begin_sketch(sketch *s, const char *model, const char *pre) {
  memset(s, 0, sizeof *s);
  s->v = (vocabulary){.path = "test", .model = span(model), .pre = span(pre), .bos = 1, .eos = {2}, .n_eos = 1};
  s->v.add_bos = s->v.add_eos = s->v.add_space = s->v.whole_words = VOCABULARY_USUAL;
  add(s, span("<unk>"), PIECE_UNKNOWN, 0);
  add(s, span("<s>"), PIECE_CONTROL, 0);
  add(s, span("</s>"), PIECE_CONTROL, 0);
}

static llama2_tokenizer *built(const sketch *s) {
  llama2_tokenizer *t = NULL;
  CHECK_THAT(tokenizer_build(&s->v, &t) == LLAMA2_OK, "%s", llama2_last_error()->message);
  return t;
}

typedef struct ids {
  int32_t at[600];
  size_t n;
} ids;

static ids encoded(const llama2_tokenizer *t, const char *text, size_t n, bool special) {
  ids found = {.n = 0};
  char *exact = aligned(n);
  memcpy(exact, text, n);
  CHECK(2 * n + 3 <= 600);
  CHECK_THAT(tokenizer_encode(t, exact, n, false, false, special, found.at, 2 * n + 3, &found.n) == LLAMA2_OK, "%s",
             llama2_last_error()->message);
  free(exact);
  return found;
}

static void check_ids(const llama2_tokenizer *t, const char *text, bool special, const int32_t *expected, size_t n) {
  ids found = encoded(t, text, strlen(text), special);
  CHECK_THAT(found.n == n, "'%s' has %zu tokens, expected %zu", text, found.n, n);
  for (size_t i = 0; i < n; i++)
    CHECK_THAT(found.at[i] == expected[i], "'%s': token %zu is %d, expected %d", text, i, found.at[i], expected[i]);
}

#define CHECK_IDS(t, text, special, ...) \
  check_ids(t, text, special, (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void check_back(const llama2_tokenizer *t, ids found, const char *text, size_t n) {
  llama2_text_stream stream = {0};
  char back[3000], *part = aligned(stream_bound(t));
  size_t length = 0;
  for (size_t i = 0; i < found.n; i++) {
    size_t got = stream_push(&stream, t, found.at[i], part);
    CHECK(got <= stream_bound(t) && utf8_check(part, got) == got && length + got <= sizeof back);
    memcpy(back + length, part, got);
    length += got;
  }
  CHECK(stream_end(&stream, part) == 0);
  CHECK_THAT(length == n && memcmp(back, text, n) == 0, "'%.*s' comes back as '%.*s'", (int)n, text, (int)length, back);
  free(part);
}

/* The 256 bytes in GPT-2's letters. */
static void add_bytes(sketch *s) {
  static char names[256][3];
  for (int byte = 0, next = 256; byte < 256; byte++) {
    bool printed = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    int code = printed ? byte : next++;
    memset(names[byte], 0, 3);
    if (code < 0x80) {
      names[byte][0] = (char)code;
    } else {
      names[byte][0] = (char)(0xc0 | code >> 6);
      names[byte][1] = (char)(0x80 | (code & 0x3f));
    }
    add(s, span(names[byte]), PIECE_NORMAL, 0);
  }
}

#define BYTE_TOKEN(c) (3 + (c))

static void test_merges_by_rank(void) {
  static sketch s;
  begin_sketch(&s, "gpt2", "llama-bpe");
  add_bytes(&s);
  int32_t ab = (int32_t)add(&s, span("ab"), PIECE_NORMAL, 0), bc = (int32_t)add(&s, span("bc"), PIECE_NORMAL, 0);
  int32_t abc = (int32_t)add(&s, span("abc"), PIECE_NORMAL, 0), aa = (int32_t)add(&s, span("aa"), PIECE_NORMAL, 0);
  int32_t whole = (int32_t)add(&s, span("\u0120cab"), PIECE_NORMAL, 0);
  int32_t user = (int32_t)add(&s, span("a b"), PIECE_USER, 0);
  add_merge(&s, "b c");
  add_merge(&s, "a b");
  add_merge(&s, "ab c");
  add_merge(&s, "a a");
  llama2_tokenizer *t = built(&s);
  CHECK(t->add_bos && !t->add_eos && !t->add_space);
  CHECK_IDS(t, "ab", false, ab);
  CHECK_IDS(t, "abc", false, abc); /* is a piece as a whole */
  CHECK_IDS(t, "abcx", false, BYTE_TOKEN('a'), bc, BYTE_TOKEN('x'));
  CHECK_IDS(t, "aaax", false, aa, BYTE_TOKEN('a'), BYTE_TOKEN('x'));
  CHECK_IDS(t, " cab", false, whole); /* that no merges make */
  CHECK_IDS(t, "a ba b", false, user, user);
  CHECK_IDS(t, "ab</s>ab", true, ab, 2, ab);
  CHECK_IDS(t, "\u00e9", false, BYTE_TOKEN(0xc3), BYTE_TOKEN(0xa9));
  for (int round = 0; round < 2000; round++) {
    char text[200];
    size_t n = random_text(text, (int)random_below(30));
    check_back(t, encoded(t, text, n, true), text, n);
  }
  tokenizer_free(t);
  s.v.pre = span("gpt-2");
  t = built(&s);
  CHECK(!t->add_bos);
  CHECK_IDS(t, "abc", false, BYTE_TOKEN('a'), bc);
  tokenizer_free(t);
}

/* Merging as one would on paper: the best pair of the whole text, the first of equals, again and again. */
static ids merged_on_paper(const llama2_tokenizer *t, const char *text, size_t n) {
  ids found = {.n = 0};
  size_t ends[300];
  if (n == 0) return found;
  char spaced[301] = " ";
  memcpy(spaced + 1, text, n++);
  for (size_t i = 0; i < n; i++) ends[found.n++] = i + 1;
  for (;;) {
    size_t best = found.n;
    int32_t best_rank = INT32_MAX;
    for (size_t i = 0; i + 1 < found.n; i++) {
      size_t begin = i ? ends[i - 1] : 0;
      int32_t token = tokenizer_piece(t, spaced + begin, ends[i + 1] - begin);
      if (token >= 0 && (best == found.n || t->pieces[token].rank < best_rank)) {
        best = i;
        best_rank = t->pieces[token].rank;
      }
    }
    if (best == found.n) break;
    memmove(ends + best, ends + best + 1, (--found.n - best) * sizeof *ends);
  }
  for (size_t i = 0; i < found.n; i++) {
    size_t begin = i ? ends[i - 1] : 0;
    found.at[i] = tokenizer_piece(t, spaced + begin, ends[i] - begin);
  }
  return found;
}

/* Vocabularies of random words over "ab ", with and without pieces that reach from word to word. */
static void test_merges_by_score(void) {
  static sketch s;
  static char texts[40][8];
  for (int round = 0; round < 300; round++) {
    begin_sketch(&s, "llama", "");
    s.v.plain = true;
    add(&s, span(" "), PIECE_NORMAL, -50);
    add(&s, span("a"), PIECE_NORMAL, -50);
    add(&s, span("b"), PIECE_NORMAL, -50);
    for (int i = 0; i < 40; i++) {
      int length = 2 + (int)random_below(5);
      for (int k = 0; k < length; k++) texts[i][k] = round % 2 && k ? "ab"[random_below(2)] : "ab "[random_below(3)];
      texts[i][length] = '\0';
      add(&s, span(texts[i]), PIECE_NORMAL, (float)random_below(12) - 6);
    }
    llama2_tokenizer *t = built(&s);
    CHECK(round % 2 == 0 || !t->inner_spaces);
    for (int i = 0; i < 30; i++) {
      char text[100];
      size_t n = (size_t)random_below(sizeof text);
      for (size_t k = 0; k < n; k++) text[k] = "ab "[random_below(3)];
      ids expected = merged_on_paper(t, text, n), found = encoded(t, text, n, false);
      CHECK(found.n == expected.n && memcmp(found.at, expected.at, found.n * sizeof *found.at) == 0);
      check_back(t, found, text, n);
    }
    tokenizer_free(t);
  }
}

/* Scores are compared as numbers, those that are none in some order that stays. */
static void test_scores(void) {
  static const float scores[] = {INFINITY, 3.5f, 1e-45f, 0.0f, -0.0f, -1e-45f, -2, -1e30f, -INFINITY};
  static sketch s;
  begin_sketch(&s, "llama", "");
  for (int i = 0; i < 9; i++) add(&s, span("x"), PIECE_NORMAL, scores[i]);
  add(&s, span("x"), PIECE_NORMAL, NAN);
  llama2_tokenizer *t = built(&s);
  for (int i = 1; i < 9; i++) {
    int32_t before = t->pieces[3 + i - 1].rank, rank = t->pieces[3 + i].rank;
    CHECK_THAT(i == 4 ? before == rank : before < rank, "%g and %g", (double)scores[i - 1], (double)scores[i]);
  }
  tokenizer_free(t);
}

/* Pieces of any bytes, of any kind, some of them equal: ids stay ids, and text stays text. */
static void test_any_vocabulary(void) {
  static sketch s;
  static char texts[100][6];
  for (int round = 0; round < 400; round++) {
    bool llama = round % 2;
    begin_sketch(&s, llama ? "llama" : "gpt2", "");
    add_bytes(&s);
    s.v.add_space = round % 4 < 2;
    for (int i = 0; i < 100; i++) {
      size_t n = (size_t)random_below(6);
      for (size_t k = 0; k < n; k++) texts[i][k] = (char)("ab \xe2\x96\x81\xc4\xa0"[random_below(8)]);
      const piece_kind kinds[] = {PIECE_NORMAL, PIECE_USER, PIECE_CONTROL, PIECE_UNKNOWN, PIECE_UNUSED};
      add(&s, (text_span){texts[i], n}, kinds[random_below(5)], random_float());
    }
    llama2_tokenizer *t = built(&s);
    for (int i = 0; i < 20; i++) {
      char text[200];
      size_t n = random_text(text, (int)random_below(40));
      ids found = encoded(t, text, n, i % 2);
      for (size_t k = 0; k < found.n; k++) CHECK(found.at[k] >= 0 && found.at[k] < t->vocab_size);
      llama2_text_stream stream = {0};
      char *part = aligned(stream_bound(t));
      for (int k = 0; k < 200; k++) {
        size_t got = stream_push(&stream, t, (int32_t)random_below(t->vocab_size), part);
        CHECK(got <= stream_bound(t) && utf8_check(part, got) == got);
      }
      free(part);
    }
    tokenizer_free(t);
  }
}

/* Merges of characters by rank: " ab" is made of " a" before "ab", whatever scores say. */
static void test_ranked_characters(void) {
  static sketch s;
  begin_sketch(&s, "llama", "");
  s.v.ranked = true;
  int32_t space = (int32_t)add(&s, span("\u2581"), PIECE_NORMAL, 0), a = (int32_t)add(&s, span("a"), PIECE_NORMAL, 0);
  int32_t b = (int32_t)add(&s, span("b"), PIECE_NORMAL, 0), ab = (int32_t)add(&s, span("ab"), PIECE_NORMAL, 9);
  int32_t space_a = (int32_t)add(&s, span("\u2581a"), PIECE_NORMAL, 0);
  int32_t bb = (int32_t)add(&s, span("bb"), PIECE_NORMAL, 9); /* which no merge makes */
  add_merge(&s, "\u2581 a");
  add_merge(&s, "a b");
  llama2_tokenizer *t = built(&s);
  CHECK_IDS(t, "ab", false, space_a, b);
  CHECK_IDS(t, "bab", false, space, b, ab);
  CHECK_IDS(t, "bb", false, space, b, b);
  CHECK_IDS(t, " a", false, space, space_a);
  CHECK_IDS(t, "\u2581ba", false, space, space, b, a);
  CHECK_IDS(t, "a</s>a", true, space_a, 2, space_a);
  tokenizer_free(t);
  s.v.space = SPACE_WANTING;
  t = built(&s);
  CHECK_IDS(t, " a</s>a", true, space_a, 2, space_a);
  tokenizer_free(t);
  s.v.space = SPACE_FIRST;
  t = built(&s);
  CHECK_IDS(t, "a</s>a</s> a", true, space_a, 2, a, 2, space_a);
  check_back(t, encoded(t, "a</s>a</s> a", 12, true), "aa a", 4);
  tokenizer_free(t);
  s.v.whole_words = VOCABULARY_YES;
  t = built(&s);
  CHECK_IDS(t, "b</s>bb", true, space, b, 2, bb);
  tokenizer_free(t);
  s.v.split_spaces = true;
  t = built(&s);
  CHECK_IDS(t, "  a a", false, space, space_a, space_a);
  tokenizer_free(t);
}

/* What is read out of a text whole, in each way. */
static void test_added(void) {
  enum { LEFT = 6, RIGHT, WORD, NORMAL, OTHER, N };
  static const int32_t flags[N] = {0,
                                   ADDED,
                                   ADDED,
                                   0,
                                   0,
                                   0,
                                   ADDED | ADDED_LEFT,
                                   ADDED | ADDED_RIGHT,
                                   ADDED | ADDED_WORD | ADDED_ONLY,
                                   ADDED | ADDED_NORMAL | ADDED_ONLY,
                                   ADDED | ADDED_ONLY};
  static const char *const texts[] = {"\u2581", "x", "y", "<l>", "<r>", "w", "e\u0301", "xy"};
  static sketch s;
  begin_sketch(&s, "llama", "");
  for (int i = 3; i < N; i++) add(&s, span(texts[i - 3]), i < LEFT ? PIECE_NORMAL : PIECE_USER, 0);
  s.v.ranked = s.v.normal = true;
  s.v.added = flags;
  s.v.add_space = VOCABULARY_NO;
  enum { SPACE = 3, X, Y };
  llama2_tokenizer *t = built(&s);
  CHECK_IDS(t, "x  <l>  x", false, X, LEFT, SPACE, SPACE, X);
  CHECK_IDS(t, "x \u3000\t<l>", false, X, LEFT);
  CHECK_IDS(t, "x <r> \n<l>x", false, X, SPACE, RIGHT, LEFT, X);
  CHECK_IDS(t, "w xw w,", false, WORD, SPACE, X, 0, SPACE, WORD, 0);
  CHECK_IDS(t, "w\u0301w", false, 0);
  CHECK_IDS(t, "xe\u0301x\u00e9", false, X, NORMAL, X, NORMAL);
  CHECK_IDS(t, "xyx y", false, OTHER, X, SPACE, Y);
  CHECK_IDS(t, "<unk>", true, 0); /* not a mark, but six characters that are unknown */
  tokenizer_free(t);
  static char text[MARK_MAX + 1];
  memset(text, 'x', sizeof text);
  s.pieces[OTHER].text = (text_span){text, MARK_MAX};
  tokenizer_free(built(&s));
  s.pieces[OTHER].text.length++;
  CHECK(tokenizer_build(&s.v, &t) == LLAMA2_ERR_TOKENIZER);
  CHECK(strstr(llama2_last_error()->message, "token 10 has 4097 bytes, expected at most 4096"));
}

static void test_ends(void) {
  static sketch s;
  begin_sketch(&s, "llama", "");
  s.v.eos[1] = 0;
  s.v.n_eos = 2;
  llama2_tokenizer *t = built(&s);
  CHECK(t->n_eos == 2 && t->eos_ids[0] == 2 && t->eos_ids[1] == 0 && t->eos == 2);
  tokenizer_free(t);
  s.v.eos[1] = 3;
  CHECK(tokenizer_build(&s.v, &t) == LLAMA2_ERR_TOKENIZER);
  CHECK(strstr(llama2_last_error()->message, "its EOS token is 3, but it holds 3 tokens"));
}

/* Those of CPython 3.11, whose hash() is the same function, with PYTHONHASHSEED=0. Nobody can choose texts that meet. */
static void test_hashes(void) {
  static const struct {
    const char *text;
    uint64_t hash;
  } rows[] = {
      {"a",                   UINT64_C(0x407448d2b89b1813)},
      {"abcdefg",             UINT64_C(0x6db12aae9070f506)},
      {"abcdefgh",            UINT64_C(0x3f7b849c0b8e35ea)},
      {"the quick brown fox", UINT64_C(0x5a17575ad3449cba)},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK(hash_bytes(
              (hash_key){
                  {0, 0}
    },
              rows[i].text, strlen(rows[i].text)) == rows[i].hash);
  static sketch s;
  begin_sketch(&s, "gpt2", "gpt-2");
  add_bytes(&s);
  llama2_tokenizer *a = built(&s), *b = built(&s);
  CHECK(a->n_slots == b->n_slots && memcmp(a->slots, b->slots, a->n_slots * sizeof *a->slots) != 0);
  tokenizer_free(b);
  tokenizer_free(a);
}

static void test_room(void) {
  static sketch s;
  begin_sketch(&s, "gpt2", "gpt-2");
  add_bytes(&s);
  llama2_tokenizer *t = built(&s);
  int32_t tokens[8] = {-7, -7, -7, -7, -7, -7, -7, -7};
  size_t n = 99;
  CHECK(tokenizer_encode(t, "abc", 3, true, true, false, tokens, 4, &n) == LLAMA2_ERR_ARGUMENT);
  CHECK(strstr(llama2_last_error()->message, "room for 4 tokens, but the text has 5") && n == 99 && tokens[0] == -7);
  CHECK(tokenizer_encode(t, "abc", 3, true, true, false, tokens, 5, &n) == LLAMA2_OK && n == 5 && tokens[5] == -7);
  CHECK(tokens[0] == 1 && tokens[4] == 2);
  CHECK(tokenizer_encode(t, "", 0, false, false, true, tokens, 0, &n) == LLAMA2_OK && n == 0);
  CHECK(tokenizer_encode(t, "a\xff", 2, true, true, false, tokens, 8, &n) == LLAMA2_ERR_TEXT);
  CHECK(strstr(llama2_last_error()->message, "not valid UTF-8 at byte 1 (0xff)"));
  tokenizer_free(t);
  s.v.bos = VOCABULARY_NONE;
  s.v.n_eos = 0;
  t = built(&s);
  CHECK(t->bos == -1 && t->eos == -1);
  CHECK(tokenizer_encode(t, "a", 1, true, true, false, tokens, 8, &n) == LLAMA2_OK && n == 1);
  tokenizer_free(t);
}

int main(void) {
  test_classes();
  test_word_characters();
  test_normal_forms();
  test_words();
  test_words_cover();
  test_merges_by_rank();
  test_merges_by_score();
  test_scores();
  test_any_vocabulary();
  test_room();
  test_ranked_characters();
  test_added();
  test_ends();
  test_hashes();
  return checks_end("test_bpe");
}
