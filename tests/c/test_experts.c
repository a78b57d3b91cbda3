/* test_experts: layers in which each row is computed by a few experts: one that is chosen counts as the same layer
 * without a choice, ties, scores that are no numbers, and the same bits for any rows, threads and instruction set; and
 * what is refused. */
#include "engine_kit.h"
#include "isas.h"

#include "format/quantize.h"

enum { DIM = 64, HIDDEN = 52, LAYERS = 2, VOCAB = 50, CONTEXT = 320, TENSORS = 64 };

/* A model whose feed-forward layers are experts, but for what a test has otherwise. */
typedef struct kind {
  int32_t experts, used; /* 0: a model without */
  float router;          /* the scale of its weights */
  int32_t router_type;
  bool flat;            /* experts are rows of one matrix */
  const char *left_out; /* NULL, or the name of a tensor that is not there */
  const char *besides;  /* NULL, or of one more */
} kind;

typedef struct parts {
  llama2_source *source;
  unsigned char *kept[TENSORS]; /* where tensors lie */
  int n;
} parts;

/* rows 0: a vector. Value i of tensor t is the same in all models, so that the first expert of any is the feed-forward
 * layer of one without. */
static void put_tensor(parts *p, const kind *k, const char *name, int t, int32_t type, int64_t cols, int64_t rows,
                       int64_t stack, float scale) {
  const dtype_traits *traits = dtype_find(type);
  int64_t n = cols * (rows ? rows : 1) * stack, dims[3] = {cols, k->flat ? rows * stack : rows, stack};
  float *values = aligned((size_t)n * sizeof *values);
  size_t bytes = (size_t)(n / traits->block_values * traits->block_bytes);
  if (k->left_out && strcmp(name, k->left_out) == 0) name = "spare";
  for (int64_t i = 0; i < n; i++) {
    random_state = (uint64_t)t << 40 | (uint64_t)i << 8;
    values[i] = scale * random_float();
  }
  unsigned char *blocks = p->kept[p->n++] = aligned(bytes);
  CHECK(quantize_row(type, values, n, blocks));
  check_status(llama2_source_put_tensor(p->source, name, type,
                                        !rows                   ? 1
                                        : stack == 1 || k->flat ? 2
                                                                : 3,
                                        dims, blocks, bytes, 0));
  free(values);
}

static llama2_status load(const kind *k, const char *isa, int32_t quantize, llama2_model **model) {
  static const struct {
    const char *name;
    int64_t rows, cols;
    int of; /* 0: any model. 1: one without experts. 2: the router. 3: experts */
  } tensors[] = {
      {"attn_norm",     0,       DIM,    0},
      {"attn_q",        DIM,     DIM,    0},
      {"attn_k",        DIM / 2, DIM,    0},
      {"attn_v",        DIM / 2, DIM,    0},
      {"attn_output",   DIM,     DIM,    0},
      {"ffn_norm",      0,       DIM,    0},
      {"ffn_gate",      HIDDEN,  DIM,    1},
      {"ffn_up",        HIDDEN,  DIM,    1},
      {"ffn_down",      DIM,     HIDDEN, 1},
      {"ffn_gate_exps", HIDDEN,  DIM,    3},
      {"ffn_up_exps",   HIDDEN,  DIM,    3},
      {"ffn_down_exps", DIM,     HIDDEN, 3},
      {"ffn_gate_inp",  0,       DIM,    2},
  };
  enum { N = sizeof tensors / sizeof *tensors };
  parts p = {0};
  check_status(llama2_source_new("experts", &p.source));
  llama2_source_put_text(p.source, "general.architecture", "llama", 5);
  llama2_source_put_uint(p.source, "llama.block_count", LAYERS);
  llama2_source_put_uint(p.source, "llama.embedding_length", DIM);
  llama2_source_put_uint(p.source, "llama.feed_forward_length", HIDDEN);
  llama2_source_put_uint(p.source, "llama.context_length", CONTEXT);
  llama2_source_put_uint(p.source, "llama.attention.head_count", 2);
  llama2_source_put_uint(p.source, "llama.attention.head_count_kv", 1);
  llama2_source_put_float(p.source, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
  if (k->experts) llama2_source_put_uint(p.source, "llama.expert_count", (uint32_t)k->experts);
  if (k->used) llama2_source_put_uint(p.source, "llama.expert_used_count", (uint32_t)k->used);
  put_tensor(&p, k, "token_embd.weight", 0, LLAMA2_F32, DIM, VOCAB, 1, 1);
  put_tensor(&p, k, "output_norm.weight", 1, LLAMA2_F32, DIM, 0, 1, 1);
  if (k->besides) put_tensor(&p, k, k->besides, 2, LLAMA2_F32, DIM, HIDDEN, 1, 1);
  for (int i = 0; i < LAYERS * N; i++) {
    int at = i % N, of = tensors[at].of;
    char name[64];
    snprintf(name, sizeof name, "blk.%d.%s.weight", i / N, tensors[at].name);
    if (of && (of == 1) != (k->experts == 0)) continue;
    put_tensor(&p, k, name, of == 3 ? i : i + 3, of == 2 ? k->router_type : LLAMA2_F32, tensors[at].cols,
               of == 2 ? k->experts : tensors[at].rows, of == 3 ? k->experts : 1, of == 2 ? k->router : 0.25f);
  }
  llama2_model_options options = llama2_model_defaults();
  options.threads = 1;
  options.isa = isa;
  options.quantize = quantize;
  llama2_status status = llama2_source_load(p.source, &options, NULL, model);
  llama2_source_free(p.source);
  while (p.n) free(p.kept[--p.n]);
  return status;
}

static int32_t token(int32_t i) {
  return (i * i / 3 + 7 * i) % VOCAB;
}

/* Logits after each of n tokens, computed so many at a time. */
static float *logits_of(const llama2_model *model, int32_t n, int32_t chunk, int32_t batch, int32_t threads) {
  llama2_session_options options = llama2_session_defaults();
  llama2_session *session;
  float *logits = aligned((size_t)n * VOCAB * sizeof *logits);
  options.threads = threads;
  options.batch = batch;
  options.kv = LLAMA2_F32;
  check_status(llama2_session_new(model, &options, &session));
  for (int32_t i = 0; i < n; i += chunk) {
    int32_t tokens[CONTEXT], left = n - i < chunk ? n - i : chunk;
    for (int32_t j = 0; j < left; j++) tokens[j] = token(i + j);
    check_status(llama2_session_eval(session, tokens, left, logits + (int64_t)i * VOCAB));
  }
  llama2_session_free(session);
  return logits;
}

static void check_same(const kind *k, const char *isa, int32_t quantize, const kind *other, bool same) {
  enum { N = 40 };
  llama2_model *model, *another;
  check_status(load(k, isa, quantize, &model));
  check_status(load(other, isa, quantize, &another));
  float *found = logits_of(model, N, 7, 64, 2), *expected = logits_of(another, N, N, 64, 1);
  CHECK_THAT((memcmp(found, expected, (size_t)N * VOCAB * sizeof *found) == 0) == same, "%d of %d experts: %s", k->used,
             k->experts, same ? "other logits" : "the same logits");
  free(found), free(expected);
  llama2_model_free(model), llama2_model_free(another);
}

/* Of one expert all is its own; where all scores are equal the first is chosen. */
static void test_a_choice_that_is_none(void) {
  const kind without = {0}, single = {.experts = 1, .used = 1, .router = 1}, level = {.experts = 5, .used = 1},
             real = {.experts = 5, .used = 1, .router = 1};
  for (int i = 0; i < n_isas; i++)
    for (int q = 0; q < 2; q++) {
      int32_t quantize = q ? LLAMA2_Q8_0 : LLAMA2_KEEP;
      check_same(&single, isas[i]->isa, quantize, &without, true);
      check_same(&level, isas[i]->isa, quantize, &without, true);
      check_same(&real, isas[i]->isa, quantize, &without, false);
    }
}

/* Steps of one row and of hundreds, experts with many rows and with one, more experts than choices and all of them. */
static void test_the_law(const kind *k, int32_t quantize) {
  static const int32_t ways[][3] = {
      {1,       1,       1},
      {1,       16,      3},
      {2,       16,      2},
      {5,       5,       1},
      {17,      64,      2},
      {33,      64,      5},
      {CONTEXT, CONTEXT, 2},
      {CONTEXT, 48,      3}
  };
  int32_t n = emulated() ? 40 : CONTEXT;
  float *expected = NULL;
  for (int i = 0; i < n_isas; i++) {
    llama2_model *model;
    check_status(load(k, isas[i]->isa, quantize, &model));
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
      float *found = logits_of(model, n, ways[w][0], ways[w][1], ways[w][2]);
      if (expected)
        check_bits("logits", i, found, expected, (size_t)n * VOCAB * sizeof *found);
      else
        expected = found;
      if (found != expected) free(found);
    }
    llama2_model_free(model);
  }
  free(expected);
}

static void test_scores_that_are_no_numbers(void) {
  const kind k = {.experts = 3, .used = 2, .router = 3e38f};
  llama2_model *model;
  llama2_session *session;
  llama2_session_options options = llama2_session_defaults();
  const int32_t tokens[] = {1, 2, 3}, targets[] = {2, 3, -1};
  double logprobs[3];
  options.threads = 1;
  check_status(load(&k, NULL, LLAMA2_KEEP, &model));
  check_status(llama2_session_new(model, &options, &session));
  CHECK(llama2_session_score(session, tokens, targets, 3, logprobs) == LLAMA2_ERR_NUMERIC);
  llama2_session_free(session);
  llama2_model_free(model);
}

static void test_what_is_refused(void) {
  static const struct {
    kind kind;
    const char *words;
  } rows[] = {
      {{.experts = 2, .used = 3},                                                                                 "llama.expert_used_count is 3, expected 1 to 2"},
      {{.experts = 2},                                                                                            "llama.expert_used_count"                      },
      {{.experts = 1025, .used = 1},                                                                              "expert_count is 1025, expected 0 to 1024"     },
      {{.experts = 2, .used = 1, .left_out = "blk.1.ffn_gate_inp.weight"},                                        "blk.1.ffn_gate_inp.weight is missing"         },
      {{.experts = 2, .used = 1, .left_out = "blk.0.ffn_down_exps.weight"},                                       "blk.0.ffn_down_exps.weight is missing"        },
      {{.experts = 2, .used = 1, .flat = true},                                                                   "expected 2 experts as third"                  },
      {{.experts = 2, .used = 1, .besides = "blk.0.ffn_gate.weight"},                                             "blk.0.ffn_gate.weight (of no use here)"       },
      {{.besides = "blk.0.ffn_gate_exps.weight"},                                                                 "(experts) is not one that a llama"            },
      {{.experts = 2, .used = 1, .left_out = "blk.0.ffn_gate_exps.weight", .besides = "blk.0.ffn_gate.0.weight"},
       "each expert has tensors of its own"                                                                                                                      },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    llama2_model *model = NULL;
    kind k = rows[i].kind;
    k.router = 1;
    check_refused(load(&k, NULL, LLAMA2_KEEP, &model), LLAMA2_ERR_FORMAT, rows[i].words);
    CHECK(!model);
  }
}

int main(void) {
  static const kind kinds[] = {
      {.experts = 8,    .used = 2,                 .router = 1},
      {             .experts = 3,      .used = 3,               .router = 1           },
      { .experts = 37, .used = 19, .router = 0.5f,            .router_type = LLAMA2_F16},
      {  .experts = 5,    .used = 1,   .router = 1,            .router_type = LLAMA2_Q8_0},
  };
  find_isas();
  test_a_choice_that_is_none();
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    test_the_law(&kinds[i], LLAMA2_KEEP);
    test_the_law(&kinds[i], LLAMA2_Q8_0);
  }
  test_scores_that_are_no_numbers();
  test_what_is_refused();
  return checks_end("experts");
}
