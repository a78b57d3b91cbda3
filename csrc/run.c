/* run: tells a story from a checkpoint. A drop-in for llama2.c's run: the same options, defaults, sampler and random
 * numbers, hence the same text for the same seed. Unlike there, </s> ends a text as <s> does, bytes above 127 are
 * printed, what is out of range is refused instead of replaced, and without a checkpoint it takes a model of ours. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "llama2.h"

#define EXIT_INTERRUPTED 130
#define PATH_CAPACITY 4352
#define BOX "models/stories.gguf" /* the model in the box, from where the program lies */

static const char usage[] =
    "Usage:   run [CHECKPOINT] [options]\n"
    "Example: run stories15M.bin -t 0.8 -n 256 -i \"Once upon a time\"\n"
    "Without a checkpoint it is the model in the box, models/stories.gguf beside this program.\n"
    "Options:\n"
    "  -t, --temperature FLOAT  0: the likeliest token each time; default 1.0\n"
    "  -p, --top-p FLOAT        nucleus sampling, 0 to 1; 0 and 1: off; default 0.9\n"
    "  -s, --seed INT           random seed; default: the time\n"
    "  -n, --steps INT          tokens in all, the prompt's among them; 0: the whole context; default 256,\n"
    "                           and without a checkpoint the whole context\n"
    "  -i, --prompt TEXT        what the text begins with\n"
    "  -z, --tokenizer FILE     default: the checkpoint's own, or the tokenizer.bin or tok*.bin beside it\n"
    "  -m, --mode MODE          generate or chat; default generate\n"
    "  -y, --system TEXT        system prompt in chat mode\n"
    "      --threads INT        default: the cores that may be used\n"
    "      --quant q8_0         quantise a float checkpoint while loading\n"
    "      --kv TYPE            keys and values as f32, f16 or q8_0; default: f32 for llama2.c's files, else f16\n"
    "      --isa NAME           scalar, avx2, avx512, amx or neon; default: LLAMA2_ISA, else the best\n"
    "  -h, --help               this text\n"
    "      --version            the version\n";

typedef struct arguments {
  const char *checkpoint, *tokenizer, *prompt, *system, *mode, *isa;
  float temperature, top_p;
  uint64_t seed;
  int32_t steps, threads, quantize, kv; /* steps: -1 until it is known what is usual */
} arguments;

typedef struct program {
  arguments arguments;
  llama2_model *model;
  llama2_tokenizer *tokenizer;
  llama2_session *session;
  llama2_model_info info;
  llama2_sampling sampling;
  llama2_text_stream stream;
  char *text; /* (text_capacity) */
  size_t text_capacity;
  char box[PATH_CAPACITY]; /* where the model in the box is, if it is used */
  double started, first;   /* seconds; first: when the first token was drawn, or 0 */
  double prompt_seconds, decode_seconds;
  int32_t prompt_tokens, draws; /* draws: tokens drawn after each prompt's first, the one that ends a text included */
} program;

/* Lines on stderr. */

static void say(const char *format, va_list list) {
  char line[2 * PATH_CAPACITY];
  vsnprintf(line, sizeof line, format, list);
  for (char *c = line; *c; c++)
    if ((unsigned char)*c < 0x20) *c = '?'; /* one line, whatever an argument holds */
  fprintf(stderr, "run: %s\n", line);
}

static void note(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list);
  va_end(list);
}

static bool fail(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list);
  va_end(list);
  return false;
}

static bool succeeded(llama2_status status) {
  return status == LLAMA2_OK || fail("%s", llama2_last_error()->message);
}

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
  (void)signal;
  interrupted = 1;
}

static int poll_interrupt(void *unused) {
  (void)unused;
  return interrupted;
}

/* An interrupt is no failure: the figures are printed all the same. */
static bool finished(llama2_status status) {
  return status == LLAMA2_ERR_CANCELLED && interrupted ? false : succeeded(status);
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Arguments. */

static bool parse_float(const char *name, const char *text, double most, float *value) {
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end || !(number >= 0 && number <= most))
    return fail("%s: '%s' is not a number from 0 to %g; see run --help", name, text, most);
  *value = (float)number;
  return true;
}

static bool parse_int(const char *name, const char *text, int32_t *value) {
  char *end;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (end == text || *end || errno || number < 0 || number > INT32_MAX)
    return fail("%s: '%s' is not a whole number from 0 to %d; see run --help", name, text, INT32_MAX);
  *value = (int32_t)number;
  return true;
}

static bool parse_seed(const char *name, const char *text, uint64_t *value) {
  char *end;
  errno = 0;
  *value = strtoull(text, &end, 10); /* a negative number wraps, as it does in llama2.c */
  if (end == text || *end || errno)
    return fail("%s: '%s' is not a whole number of 64 bits; see run --help", name, text);
  return true;
}

static bool parse_kv(const char *name, const char *text, int32_t *value) {
  *value = strcmp(text, "f32") == 0    ? LLAMA2_F32
           : strcmp(text, "f16") == 0  ? LLAMA2_F16
           : strcmp(text, "q8_0") == 0 ? LLAMA2_Q8_0
                                       : LLAMA2_KEEP;
  return *value != LLAMA2_KEEP || fail("%s: unknown type '%s', expected f32, f16 or q8_0", name, text);
}

static bool is(const char *argument, const char *letter, const char *name) {
  return strcmp(argument, letter) == 0 || strcmp(argument, name) == 0;
}

/* False: the program ends, with *status. */
static bool parse_arguments(int argc, char **argv, arguments *a, int *status) {
  *a = (arguments){.prompt = "",
                   .mode = "generate",
                   .temperature = 1.0f,
                   .top_p = 0.9f,
                   .steps = -1,
                   .quantize = LLAMA2_KEEP,
                   .kv = LLAMA2_KEEP};
  *status = EXIT_FAILURE;
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (is(name, "-h", "--help") || is(name, "--version", "--version")) {
      fputs(is(name, "-h", "--help") ? usage : "run " LLAMA2_VERSION "\n", stdout);
      if (fflush(stdout) != 0) return fail("cannot write to the standard output: %s", strerror(errno));
      *status = EXIT_SUCCESS;
      return false;
    }
    if (name[0] != '-') {
      if (a->checkpoint)
        return fail("'%s': one checkpoint is enough, '%s' was named before; see run --help", name, a->checkpoint);
      a->checkpoint = name;
      continue;
    }
    static const char *const known[][2] = {
        {"-t",        "--temperature"},
        {"-p",        "--top-p"      },
        {"-s",        "--seed"       },
        {"-n",        "--steps"      },
        {"-i",        "--prompt"     },
        {"-z",        "--tokenizer"  },
        {"-m",        "--mode"       },
        {"-y",        "--system"     },
        {"--threads", "--threads"    },
        {"--quant",   "--quant"      },
        {"--kv",      "--kv"         },
        {"--isa",     "--isa"        },
    };
    size_t k = 0, n_known = sizeof known / sizeof *known;
    while (k < n_known && !is(name, known[k][0], known[k][1])) k++;
    if (k == n_known) return fail("unknown option '%s'; see run --help", name);
    if (!value) return fail("%s: a value is missing; see run --help", name);
    i++;
    bool good = true;
    switch (k) {
      case 0: good = parse_float(name, value, 3e38, &a->temperature); break;
      case 1: good = parse_float(name, value, 1, &a->top_p); break;
      case 2: good = parse_seed(name, value, &a->seed); break;
      case 3: good = parse_int(name, value, &a->steps); break;
      case 4: a->prompt = value; break;
      case 5: a->tokenizer = value; break;
      case 6:
        a->mode = value;
        if (strcmp(value, "generate") != 0 && strcmp(value, "chat") != 0)
          good = fail("%s: unknown mode '%s', expected generate or chat", name, value);
        break;
      case 7: a->system = value; break;
      case 8: good = parse_int(name, value, &a->threads); break;
      case 9:
        a->quantize = LLAMA2_Q8_0;
        if (strcmp(value, "q8_0") != 0) good = fail("%s: unknown type '%s', expected q8_0", name, value);
        break;
      case 10: good = parse_kv(name, value, &a->kv); break;
      default: a->isa = value; break;
    }
    if (!good) return false;
  }
  return true;
}

/* Text out. */

static bool put(const char *text, size_t n) {
  if (fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0) return true;
  return interrupted ? false : fail("cannot write to the standard output: %s", strerror(errno));
}

/* Control characters would play with the terminal. */
static bool is_control(unsigned char c) {
  return c < 0x20 ? !(c >= '\t' && c <= '\r') : c == 0x7f;
}

static bool put_token(program *p, int32_t token, bool visible) {
  size_t n;
  if (!succeeded(llama2_text_stream_push(&p->stream, p->tokenizer, token, p->text, p->text_capacity, &n))) return false;
  if (!visible || (n == 1 && is_control((unsigned char)p->text[0]))) return true;
  return put(p->text, n);
}

static bool put_end(program *p) {
  size_t n;
  return succeeded(llama2_text_stream_end(&p->stream, p->text, p->text_capacity, &n)) && put(p->text, n) &&
         put("\n", 1);
}

/* The model at work. */

static bool encode(const program *p, const char *text, int32_t **tokens, int32_t *n) {
  size_t length = strlen(text), count;
  *tokens = malloc((3 * length + 4) * sizeof **tokens); /* one more than can be: callers put a token before them */
  if (!*tokens) return fail("no memory for a prompt of %zu bytes", length);
  if (!succeeded(llama2_tokenizer_encode(p->tokenizer, text, length, -1, -1, 0, *tokens + 1, 3 * length + 3, &count)))
    return false;
  *n = (int32_t)count;
  if (*n > p->info.context)
    return fail("the prompt has %d tokens, but the context of %s holds %d; shorten it", *n, p->arguments.checkpoint,
                p->info.context);
  return true;
}

static bool read_prompt(program *p, const int32_t *tokens, int32_t n) {
  double start = now();
  bool done = finished(llama2_session_eval(p->session, tokens, n, NULL));
  p->prompt_seconds += now() - start;
  p->prompt_tokens += n;
  return done;
}

/* Draws up to `most` tokens and prints each. *stopped: whether a stop token ended them. */
static bool tell(program *p, const int32_t *stops, int32_t n_stops, int32_t most, bool *stopped) {
  double start = 0;
  *stopped = false;
  for (int32_t i = 0; i < most && !*stopped; i++) {
    int32_t token, n;
    llama2_finish finish;
    if (interrupted) return false;
    if (!finished(llama2_session_generate(p->session, &p->sampling, stops, n_stops, &token, 1, &n, &finish)))
      return false;
    if (finish == LLAMA2_FINISH_LENGTH) return true;
    *stopped = finish == LLAMA2_FINISH_STOP;
    if (n && !put_token(p, token, true)) return false;
    double time = now();
    if (!p->first) p->first = time;
    if (i == 0) {
      start = time;
    } else {
      p->decode_seconds += time - start;
      start = time;
      p->draws++;
    }
  }
  return true;
}

/* The tokens that end a text, and behind them the one that begins one. The caller frees *stops. */
static bool find_stops(const program *p, int32_t **stops, int32_t *n) {
  const int32_t *ends = llama2_tokenizer_eos_ids(p->tokenizer, n);
  *stops = malloc(((size_t)*n + 1) * sizeof **stops);
  if (!*stops) return fail("no memory for a list of %d tokens", *n);
  memcpy(*stops, ends, (size_t)*n * sizeof **stops);
  (*stops)[(*n)++] = llama2_tokenizer_bos(p->tokenizer);
  return true;
}

static bool generate(program *p) {
  int32_t *tokens = NULL, n, steps = p->arguments.steps;
  int32_t *stops, n_stops;
  if (!find_stops(p, &stops, &n_stops)) return false;
  bool good = encode(p, p->arguments.prompt, &tokens, &n), stopped;
  /* The steps count what is printed: the prompt after <s>, then what is drawn. */
  int32_t shown = n - 1 < steps ? n : steps + 1;
  for (int32_t i = 0; good && i < shown; i++) good = put_token(p, tokens[1 + i], true);
  if (good && n <= steps) good = read_prompt(p, tokens + 1, n) && tell(p, stops, n_stops, steps - n + 1, &stopped);
  free(tokens);
  free(stops);
  return good;
}

/* A line from the standard input without its end; NULL at the end of the input and, with *good false, if there is none
 * to be had. The caller frees it. */
static char *ask(const char *question, bool *good) {
  char *line = NULL;
  size_t capacity = 0;
  *good = put(question, strlen(question));
  ssize_t n = *good ? getline(&line, &capacity, stdin) : -1;
  if (n < 0 && *good && ferror(stdin) && !interrupted)
    *good = fail("cannot read from the standard input: %s", strerror(errno));
  if (n > 0 && line[n - 1] == '\n') line[--n] = '\0';
  if (n >= 0 && strlen(line) != (size_t)n) *good = fail("the line that was typed holds a NUL byte; leave it out");
  if (n >= 0 && *good) return line;
  free(line);
  return NULL;
}

/* Llama 2's chat format. The caller frees it. */
static char *render(const char *system, const char *user) {
  char *text = NULL;
  int n = *system ? asprintf(&text, "[INST] <<SYS>>\n%s\n<</SYS>>\n\n%s [/INST]", system, user)
                  : asprintf(&text, "[INST] %s [/INST]", user);
  return n < 0 ? NULL : text;
}

/* One turn of a chat. *left: steps that are left. */
static bool answer(program *p, const char *system, const char *user, bool first, int32_t *left) {
  int32_t *tokens = NULL, n, n_ends;
  const int32_t *ends = llama2_tokenizer_eos_ids(p->tokenizer, &n_ends);
  char *text = render(system, user);
  bool good = text ? encode(p, text, &tokens, &n) : fail("no memory for a prompt"), stopped;
  if (good) {
    const int32_t *input = tokens + 1;
    if (!first) {
      tokens[0] = llama2_tokenizer_eos(p->tokenizer); /* the token that ended the last answer was not computed */
      input--;
      n++;
    }
    if (n > *left) {
      good = fail("the prompt has %d tokens, but -n leaves %d; shorten it or raise -n", n, *left);
    } else {
      /* llama2.c draws a number for each token of a prompt as well. */
      for (int32_t i = 1; i < n && p->sampling.temperature > 0; i++) llama2_random(&p->sampling.rng);
      good = put("Assistant: ", strlen("Assistant: "));
      for (int32_t i = 0; good && i < n; i++) good = put_token(p, input[i], false);
      good = good && read_prompt(p, input, n);
      int32_t before = llama2_session_length(p->session);
      good = good && tell(p, ends, n_ends, *left - n + 1, &stopped) && put_end(p);
      *left -= n + llama2_session_length(p->session) - before;
      if (good && !stopped) *left = 0;
    }
  }
  free(tokens);
  free(text);
  return good;
}

static bool chat(program *p) {
  int32_t left = p->arguments.steps;
  bool good = true;
  char *asked = p->arguments.system ? NULL : ask("Enter system prompt (optional): ", &good);
  const char *system = p->arguments.system ? p->arguments.system : asked ? asked : "";
  for (bool first = true; good && left > 0; first = false) {
    char *line = first && *p->arguments.prompt ? strdup(p->arguments.prompt) : ask("User: ", &good);
    if (!line) {
      good = good && put("\n", 1);
      break;
    }
    good = answer(p, first ? system : "", line, first, &left);
    free(line);
  }
  free(asked);
  return good;
}

/* Takes the model in the box, and says so. */
static bool take_the_box(program *p) {
  ssize_t n = readlink("/proc/self/exe", p->box, sizeof p->box - sizeof BOX);
  while (n > 0 && p->box[n - 1] != '/') n--;
  memcpy(p->box + (n > 0 ? n : 0), BOX, sizeof BOX);
  if (n <= 0 || access(p->box, F_OK) != 0)
    return fail(
        "no checkpoint was named, and %s is not there either; name one, as in: run stories15M.bin; "
        "see run --help",
        p->box);
  note("no checkpoint was named, so this is the model in the box, %s; for another: run FILE", p->box);
  p->arguments.checkpoint = p->box;
  return true;
}

static bool set_up(program *p) {
  arguments *a = &p->arguments;
  llama2_model_options model_options = llama2_model_defaults();
  llama2_session_options session_options = llama2_session_defaults();
  char found[PATH_CAPACITY];
  if (a->steps < 0) a->steps = a->checkpoint ? 256 : 0;
  if (!a->checkpoint && !take_the_box(p)) return false;
  model_options.isa = a->isa;
  model_options.quantize = a->quantize;
  model_options.threads = session_options.threads = a->threads;
  llama2_plan plan;
  if (!succeeded(llama2_plan_file(a->checkpoint, &model_options, NULL, &p->info, &plan))) return false;
  if (a->steps == 0 || a->steps > p->info.context) a->steps = p->info.context;
  session_options.context = a->steps;
  session_options.kv = a->kv;
  if (!a->tokenizer) {
    if (!succeeded(llama2_tokenizer_find(a->checkpoint, p->info.vocab_size, found, sizeof found))) return false;
    a->tokenizer = found;
  }
  if (!succeeded(llama2_tokenizer_load(a->tokenizer, p->info.vocab_size, &p->tokenizer))) return false;
  p->text_capacity = llama2_text_stream_bound(p->tokenizer);
  p->text = malloc(p->text_capacity);
  if (!p->text) return fail("no memory for %zu bytes of text", p->text_capacity);
  if (!succeeded(llama2_model_load(a->checkpoint, &model_options, &session_options, &p->model))) return false;
  if (!succeeded(llama2_session_new(p->model, &session_options, &p->session))) return false;
  uint64_t seed = a->seed ? a->seed : (uint64_t)time(NULL);
  p->sampling = (llama2_sampling){a->temperature, a->top_p, seed};
  llama2_session_set_poll(p->session, poll_interrupt, NULL);
  struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  return true;
}

static void report(const program *p) {
  struct rusage usage_now;
  getrusage(RUSAGE_SELF, &usage_now);
  double prompt = p->prompt_seconds > 0 ? p->prompt_tokens / p->prompt_seconds : 0;
  double decode = p->decode_seconds > 0 ? p->draws / p->decode_seconds : 0;
  fprintf(
      stderr,
      "prompt: %d tokens, %.1f tok/s | decode: %d tokens, %.1f tok/s | first token: %.3f s | peak memory: %.1f MiB\n",
      p->prompt_tokens, prompt, p->draws, decode, p->first ? p->first - p->started : 0.0,
      (double)usage_now.ru_maxrss / 1024);
  fprintf(stderr, "achieved tok/s: %f\n", p->draws ? decode : prompt);
}

static void tear_down(program *p) {
  signal(SIGINT, SIG_DFL);
  llama2_session_free(p->session);
  llama2_tokenizer_free(p->tokenizer);
  llama2_model_free(p->model);
  free(p->text);
}

int main(int argc, char **argv) {
  program p = {.started = now()};
  int status;
  if (!parse_arguments(argc, argv, &p.arguments, &status)) return status;
  signal(SIGPIPE, SIG_IGN); /* a closed pipe is reported like any output that cannot be written */
  bool good = set_up(&p);
  if (good) {
    bool chatting = strcmp(p.arguments.mode, "chat") == 0;
    good = chatting ? chat(&p) : generate(&p);
    if ((good && !chatting) || (interrupted && !ferror(stdout))) good = put_end(&p) && good;
    if (good || interrupted) report(&p);
  }
  tear_down(&p);
  return interrupted ? EXIT_INTERRUPTED : good ? EXIT_SUCCESS : EXIT_FAILURE;
}
