/* test_session_file: sessions that were saved go on elsewhere as if nothing had been; what is damaged, of another model or
 * kind, or in the way is refused, and nothing is left of a file that cannot be written. */
#include "engine_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"

enum { VOCAB = 40, CONTEXT = 256, TEXT = 100, HEAD = 48 };

static const shape plain = {16, 2, VOCAB, CONTEXT, 0, 0.4f, 1e-5f}, tiny = {4, 1, 5, 64, 0, 0.4f, 1e-5f};

static char folder[256], path[300], other[300];

typedef struct bytes {
  unsigned char *data;
  size_t n;
} bytes;

static bytes read_whole(const char *name) {
  FILE *file = fopen(name, "rb");
  CHECK_THAT(file, "cannot open %s", name);
  bytes b = {malloc(1 << 20), 0};
  CHECK(b.data);
  b.n = fread(b.data, 1, 1 << 20, file);
  CHECK(b.n > 0 && b.n < 1 << 20 && fclose(file) == 0);
  return b;
}

static void write_whole(const char *name, const void *data, size_t n) {
  unlink(name); /* or some file systems wait for the disk */
  FILE *file = fopen(name, "wb");
  CHECK_THAT(file && fwrite(data, 1, n, file) == n && fclose(file) == 0, "cannot write %s", name);
}

static int files_there(void) {
  DIR *d = opendir(folder);
  int n = -2;
  CHECK(d);
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

/* The hash over a file anew, so that what was changed is looked at. */
static void seal(bytes b) {
  uint64_t hash = digest_bytes(DIGEST_START, b.data, b.n - 8);
  for (int i = 0; i < 8; i++) b.data[b.n - 8 + (size_t)i] = (unsigned char)(hash >> (8 * i));
}

static int32_t save(llama2_engine *engine, const int32_t *tokens, int32_t n, int32_t replace) {
  int32_t pages = -1;
  check_status(llama2_engine_save(engine, tokens, n, NULL, 0, path, replace, &pages));
  return pages;
}

/* An engine that has read a text, the likeliest that follows `prompt`: the first of them are kept. */
static llama2_engine *read_text(const llama2_model *model, llama2_engine_options options, int32_t *text, int32_t n) {
  llama2_engine *engine = open_engine(model, options);
  int32_t drawn;
  text[0] = 1;
  CHECK(run_to_end(engine, submit(engine, greedy(text, 1, n - 1)), text + 1, &drawn).end == LLAMA2_END_LENGTH);
  CHECK(drawn == n - 1);
  return engine;
}

/* Going on. */

static void test_going_on(int32_t kv, int32_t window) {
  shape s = plain;
  s.window = window;
  llama2_model *model = make_model(&s);
  llama2_engine_options options = engine_options(20, 16);
  options.session.kv = kv;
  int32_t text[CONTEXT], read[CONTEXT], expected[CONTEXT], tokens[CONTEXT], n, n_read;
  llama2_engine *engine = read_text(model, options, text, TEXT);
  int32_t pages = save(engine, text, TEXT, 0);
  CHECK(pages == (TEXT - 1) / KV_PAGE);
  int32_t drawn = draw_alone(model, kv, text, TEXT, expected, CONTEXT);
  run_to_end(engine, submit(engine, greedy(text, TEXT, INT32_MAX)), tokens, &n);
  CHECK(n == drawn && memcmp(tokens, expected, (size_t)n * sizeof *tokens) == 0);
  llama2_engine_free(engine);
  /* In pools of every size: what fits is found. */
  for (int32_t room = pages - 3; room <= pages + 3; room += 3) {
    options.session.pool = room * KV_PAGE;
    engine = open_engine(model, options);
    check_status(llama2_engine_load(engine, path, NULL, 0, read, &n_read));
    CHECK(n_read == TEXT && memcmp(read, text, TEXT * sizeof *text) == 0);
    int32_t kept = room < pages ? room : pages, most = room * KV_PAGE - TEXT + 1;
    llama2_engine_state state = llama2_engine_state_of(engine);
    CHECK(state.pages == room && state.running == 0);
    if (most > 0) {
      llama2_event end = run_to_end(engine, submit(engine, greedy(read, TEXT, most)), tokens, &n);
      CHECK_THAT(end.cached == kept * KV_PAGE, "%d tokens are found, expected %d", end.cached, kept * KV_PAGE);
      CHECK(n == (most < drawn ? most : drawn) && memcmp(tokens, expected, (size_t)n * sizeof *tokens) == 0);
    } else {
      int32_t whole = room * KV_PAGE;
      llama2_event end = run_to_end(engine, submit(engine, greedy(read, whole, 1)), tokens, &n);
      CHECK(end.cached == whole - 1 && tokens[0] == text[whole]);
    }
    check_whole(engine);
    /* Again, over what is there: no page is lost, and no other one taken. */
    check_status(llama2_engine_load(engine, path, NULL, 0, read, &n_read));
    check_status(llama2_engine_load(engine, path, NULL, 0, read, &n_read));
    int32_t busy;
    const llama2_event *events;
    CHECK(step_once(engine, &events, &busy) == 0 && !busy);
    check_whole(engine);
    llama2_engine_free(engine);
  }
  /* Nothing is kept where nothing is to be. */
  options.session.pool = 20 * KV_PAGE;
  options.keep = 0;
  engine = open_engine(model, options);
  check_status(llama2_engine_load(engine, path, NULL, 0, read, &n_read));
  CHECK(run_to_end(engine, submit(engine, greedy(read, n_read, 1)), tokens, &n).cached == 0 &&
        tokens[0] == expected[0]);
  CHECK(save(engine, read, n_read, 1) == 0);
  llama2_engine_free(engine);
  CHECK(unlink(path) == 0 && files_there() == 0);
  llama2_model_free(model);
}

/* What is refused. */

/* Refused as of no use, in a line that names the file; the outputs are as before, and no page is lost. */
static void check_damaged(llama2_engine *engine, const char *what, size_t at) {
  int32_t tokens[64], n = -7;
  llama2_status status = llama2_engine_load(engine, other, NULL, 0, tokens, &n);
  CHECK_THAT(status == LLAMA2_ERR_FORMAT, "%s %zu: status %d", what, at, status);
  CHECK(n == -7 && strstr(llama2_last_error()->message, other));
}

static void test_damage(void) {
  uint64_t before = random_state;
  llama2_model *model = make_model(&tiny);
  int32_t text[40];
  llama2_engine *engine = read_text(model, engine_options(4, 8), text, 40), *fresh;
  CHECK(save(engine, text, 40, 0) == 2);
  bytes good = read_whole(path), b = {malloc(good.n + 9), good.n};
  fresh = open_engine(model, engine_options(4, 8));
  CHECK(b.data);
  for (size_t n = 0; n < good.n; n++) {
    write_whole(other, good.data, n);
    check_damaged(fresh, "cut after", n);
  }
  memcpy(b.data, good.data, good.n);
  for (size_t more = 1; more <= 9; more++) {
    b.data[good.n + more - 1] = 0;
    write_whole(other, b.data, good.n + more);
    check_damaged(fresh, "more by", more);
  }
  for (size_t at = 0; at < good.n; at++) {
    b.data[at] ^= (unsigned char)(1 << random_below(8));
    write_whole(other, b.data, good.n);
    check_damaged(fresh, "a bit of byte", at);
    b.data[at] = good.data[at];
  }
  /* Each field at its extremes, as if it were meant. */
  static const struct {
    size_t at;
    int bytes;
    const char *words;
  } fields[] = {
      {0,  8, "no saved session"},
      {8,  4, "of version"      },
      {12, 4, "keys and values" },
      {16, 8, "another model"   },
      {24, 8, "damaged"         },
      {32, 4, "damaged"         },
      {36, 4, "damaged"         },
      {48, 4, "token 0 has id"  },
  };
  static const uint64_t extremes[] = {UINT64_MAX, UINT64_C(1) << 63, INT64_MAX, UINT64_C(0x8000000080000000),
                                      UINT32_MAX, INT32_MAX,         1000,      0};
  for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
      if (fields[f].at == HEAD && (uint32_t)extremes[k] == 0) continue; /* a token */
      for (int i = 0; i < fields[f].bytes; i++)
        b.data[fields[f].at + (size_t)i] = (unsigned char)(extremes[k] >> (8 * i));
      seal(b);
      write_whole(other, b.data, good.n);
      check_damaged(fresh, "a field at", fields[f].at);
      const char *said = llama2_last_error()->message;
      CHECK_THAT(strstr(said, fields[f].words), "%s", said);
      memcpy(b.data, good.data, good.n);
    }
  /* Pages of another size, as long as the file is, are not of this model. */
  uint64_t half = (good.n - HEAD - 8 - 160) / 4;
  b.data[36] = 4;
  for (int i = 0; i < 8; i++) b.data[24 + i] = (unsigned char)(half >> (8 * i));
  seal(b);
  write_whole(other, b.data, good.n);
  check_damaged(fresh, "pages of half a size", 0);
  CHECK(strstr(llama2_last_error()->message, "expected 576"));
  memcpy(b.data, good.data, good.n);
  /* Pages of more tokens than there are, in a file that is long enough. */
  b.data[32] = 31;
  b.n = good.n - 4 * 8;
  memmove(b.data + HEAD + 4 * 32, good.data + HEAD + 4 * 40, good.n - HEAD - 4 * 40);
  seal(b);
  write_whole(other, b.data, b.n);
  check_damaged(fresh, "pages", 0);
  CHECK(strstr(llama2_last_error()->message, "2 pages for 31 tokens"));
  check_whole(fresh);
  CHECK(llama2_engine_state_of(fresh).free == 4);
  llama2_engine_free(fresh);
  free(b.data);
  free(good.data);

  /* Another context, kind, or model. */
  int32_t tokens[64], n = -7;
  llama2_engine_options options = engine_options(4, 8);
  options.session.context = 39;
  fresh = open_engine(model, options);
  check_refused(llama2_engine_load(fresh, path, NULL, 0, tokens, &n), LLAMA2_ERR_CONTEXT, "40 tokens does not fit");
  CHECK(llama2_last_error()->required == 40 && llama2_last_error()->available == 39);
  llama2_engine_free(fresh);
  const int32_t kinds[] = {LLAMA2_F32, LLAMA2_F16, LLAMA2_Q8_0};
  for (int i = 0; i < 3; i++) {
    options = engine_options(4, 8);
    options.session.kv = kinds[i];
    fresh = open_engine(model, options);
    llama2_status status = llama2_engine_load(fresh, path, NULL, 0, tokens, &n);
    if (kinds[i] != llama2_engine_describe(engine).session.kv) {
      check_refused(status, LLAMA2_ERR_FORMAT, "its keys and values are ");
      CHECK(strstr(llama2_last_error()->message, llama2_dtype_name(kinds[i])));
    }
    llama2_engine_free(fresh);
  }
  /* Of other weights, and of the same that are computed with otherwise. */
  for (int i = 0; i < 4; i++) {
    shape s = tiny;
    if (i > 0) random_state = before;
    if (i == 1) s.eps = 2e-5f;
    if (i == 2) s.window = 8;
    if (i == 3) s.dim = 64;
    llama2_model *stranger = make_model(&s);
    fresh = open_engine(stranger, engine_options(4, 8));
    check_refused(llama2_engine_load(fresh, path, NULL, 0, tokens, &n), LLAMA2_ERR_FORMAT, "another model");
    llama2_engine_free(fresh);
    llama2_model_free(stranger);
  }
  CHECK(n == 40); /* as the engine of the same kind left it */
  CHECK(unlink(path) == 0 && unlink(other) == 0);
  llama2_engine_free(engine);
  llama2_model_free(model);
}

/* Writing. */

static void check_same(bytes a, const char *name) {
  bytes b = read_whole(name);
  CHECK(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
  free(b.data);
}

static void test_writing(void) {
  llama2_model *model = make_model(&plain);
  int32_t text[CONTEXT], pages = -7, bad[] = {0, VOCAB};
  llama2_engine *engine = read_text(model, engine_options(20, 16), text, TEXT);
  CHECK(save(engine, text, TEXT, 0) == 6);
  bytes first = read_whole(path);
  /* What is there stays unless it is to be replaced, and then too if that fails. */
  check_refused(llama2_engine_save(engine, text, 50, NULL, 0, path, 0, &pages), LLAMA2_ERR_IO, "is there already");
  check_same(first, path);
  check_refused(llama2_engine_save(engine, text, CONTEXT + 1, NULL, 0, path, 1, &pages), LLAMA2_ERR_ARGUMENT,
                "257 tokens");
  check_refused(llama2_engine_save(engine, text, -1, NULL, 0, path, 1, &pages), LLAMA2_ERR_ARGUMENT, "-1 tokens");
  check_refused(llama2_engine_save(engine, bad, 2, NULL, 0, path, 1, &pages), LLAMA2_ERR_ARGUMENT,
                "token 1 of the session");
  check_refused(llama2_engine_save(engine, text, TEXT, NULL, 0, folder, 1, &pages), LLAMA2_ERR_IO, "a directory");
  check_refused(llama2_engine_save(engine, text, TEXT, NULL, 0, "", 1, &pages), LLAMA2_ERR_IO, "no name");
  snprintf(other, sizeof other, "%s/none/session", folder);
  check_refused(llama2_engine_save(engine, text, TEXT, NULL, 0, other, 1, &pages), LLAMA2_ERR_IO, "cannot create");
  snprintf(other, sizeof other, "%s/other", folder);
  /* A disk that is full after some bytes, wherever that is. */
  struct rlimit before, limit;
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  for (size_t room = 0; room < first.n; room += 1 + first.n / 23) {
    limit = (struct rlimit){room, before.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    llama2_status status = llama2_engine_save(engine, text, TEXT, NULL, 0, path, 1, &pages);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check_refused(status, LLAMA2_ERR_IO, "cannot write on after");
    CHECK(files_there() == 1);
    check_same(first, path);
  }
  CHECK(pages == -7);
  CHECK(save(engine, text, 50, 1) == 3);
  bytes second = read_whole(path);
  CHECK(second.n < first.n);
  /* The same session is the same file; a text of which nothing is kept has tokens alone; so has an empty one. */
  CHECK(save(engine, text, TEXT, 1) == 6);
  check_same(first, path);
  int32_t none[TEXT] = {39, 39}, read[CONTEXT], n;
  CHECK(save(engine, none, TEXT, 1) == 0);
  check_status(llama2_engine_load(engine, path, NULL, 0, read, &n));
  CHECK(n == TEXT && memcmp(read, none, sizeof none) == 0);
  CHECK(save(engine, NULL, 0, 1) == 0);
  check_status(llama2_engine_load(engine, path, NULL, 0, read, &n));
  CHECK(n == 0);
  check_whole(engine);
  CHECK(unlink(path) == 0 && files_there() == 0);
  check_refused(llama2_engine_load(engine, path, NULL, 0, read, &n), LLAMA2_ERR_IO, "cannot open");
  check_refused(llama2_engine_load(engine, folder, NULL, 0, read, &n), LLAMA2_ERR_IO, "a directory");
  free(first.data);
  free(second.data);
  llama2_engine_free(engine);
  llama2_model_free(model);
}

int main(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%.200s/llama2-test-XXXXXX", parent && *parent ? parent : "/tmp");
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/session", folder);
  snprintf(other, sizeof other, "%s/other", folder);
  test_going_on(LLAMA2_F32, 0);
  test_going_on(LLAMA2_F16, 0);
  test_going_on(LLAMA2_Q8_0, 0);
  test_damage();
  test_writing();
  CHECK(rmdir(folder) == 0);
  return checks_end("test_session_file");
}
