/* llama2.h: the public interface of llama2py's C core, and the only header a program needs.
 *
 * A model is read once, is immutable from then on, and may be shared by any number of threads. A session is one
 * sequence of tokens with its KV cache; it is mutable and belongs to one caller at a time. A tokenizer is immutable.
 *
 * Every function that can fail returns a llama2_status. On anything but LLAMA2_OK the outputs are untouched unless the
 * function says otherwise, nothing is left half made, and llama2_last_error() holds, for the calling thread, one line
 * that names what was wrong, where, what was found and what was expected. The library never prints, exits or aborts.
 *
 * Files are untrusted input: each offset, size and product in them is checked before it is used. Text is UTF-8 and is
 * checked too. Passing an invalid handle or a NULL that is not allowed is a programmer error and is asserted.
 */
#ifndef LLAMA2_H
#define LLAMA2_H

#include <stddef.h>
#include <stdint.h>

#define LLAMA2_VERSION "0.1.0"

#if defined(__GNUC__)
#define LLAMA2_API __attribute__((visibility("default")))
#else
#define LLAMA2_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The declarations between the two cffi marks are also read by the Python build, so that they are stated once.
 * cffi: begin */

/* Status. */

/* The numbers are pinned: they never change and are never reused. */
typedef enum llama2_status {
  LLAMA2_OK = 0,
  LLAMA2_ERR_ARGUMENT = 1,  /* an argument is out of its range */
  LLAMA2_ERR_IO = 2,        /* a file cannot be opened, read or written */
  LLAMA2_ERR_FORMAT = 3,    /* a checkpoint is damaged, or not of a known format */
  LLAMA2_ERR_TOKENIZER = 4, /* a tokenizer file is damaged, missing, or of another vocabulary */
  LLAMA2_ERR_TEXT = 5,      /* text is not valid UTF-8 */
  LLAMA2_ERR_MEMORY = 6,    /* required / available are bytes */
  LLAMA2_ERR_CONTEXT = 7,   /* more tokens than the context holds; required / available are tokens */
  LLAMA2_ERR_CANCELLED = 8, /* llama2_session_cancel() or a function of the caller's asked for it */
  LLAMA2_ERR_DEVICE = 9,    /* the instruction set that was asked for is not known or not there */
  LLAMA2_ERR_NUMERIC = 10   /* logits or weights that are not finite numbers */
} llama2_status;

/* What went wrong last on the calling thread. */
typedef struct llama2_error {
  llama2_status status;
  uint64_t required;  /* with LLAMA2_ERR_MEMORY bytes, with LLAMA2_ERR_CONTEXT tokens; else 0 */
  uint64_t available; /* likewise */
  int32_t system;     /* the system's errno behind it; else 0 */
  char message[1024]; /* one line, UTF-8, ends in NUL; the empty string when nothing has failed */
} llama2_error;

/* Returns the calling thread's last error. The pointer stays valid while the thread lives; the next failing call on
 * the same thread overwrites what it points to. */
LLAMA2_API const llama2_error *llama2_last_error(void);

/* This machine. */

/* The library's version, "major.minor.patch". */
LLAMA2_API const char *llama2_version(void);

/* How many threads compute unless another number is asked for: the cores that this process may really use (its affinity
 * mask, its cgroup's quota rounded up), or OMP_NUM_THREADS if that is less. At least 1. */
LLAMA2_API int32_t llama2_cpu_count(void);

/* The name of the fastest instruction set this processor and its operating system support: "scalar", "avx2", "avx512"
 * (with VNNI), "amx" (the same and AMX's int8 tiles), "neon" (with the dot products of ARMv8.2). */
LLAMA2_API const char *llama2_isa_best(void);

/* What the machine allows, per second. A multiply and an add count as two operations. */
typedef struct llama2_limits {
  double read_bytes;   /* read of one buffer by all threads together, again and again */
  double f32_ops;      /* float32 */
  double int8_ops;     /* int8, summed in int32, on the vector units */
  double amx_int8_ops; /* the same on the matrix unit (AMX); 0 where there is none */
  int32_t threads;
  const char *isa; /* whose instructions were used; static */
} llama2_limits;

/* Measures them, in about a second, as the best of many windows of a few milliseconds. isa, threads: as in
 * llama2_model_options and llama2_session_options. bytes: the size of the buffer, at least 512 for each thread; a model's
 * size tells what its weights can be read at, from whatever caches it fits into. Asks Linux for the use of AMX.
 * Errors: ARGUMENT, DEVICE, MEMORY. */
LLAMA2_API llama2_status llama2_limits_measure(const char *isa, int32_t threads, uint64_t bytes, llama2_limits *limits);

/* Models. */

typedef struct llama2_model llama2_model;
typedef struct llama2_session llama2_session;
typedef struct llama2_tokenizer llama2_tokenizer;

/* How a tensor's numbers are stored. The numbers of GGUF's types are GGUF's. */
typedef enum llama2_dtype {
  LLAMA2_KEEP = -1,   /* as an option: as the file has it */
  LLAMA2_F32 = 0,     /* float32 */
  LLAMA2_F16 = 1,     /* float16 */
  LLAMA2_Q4_0 = 2,    /* blocks of 32 and one float16 scale: 4.5 bits a weight */
  LLAMA2_Q4_1 = 3,    /* the same and a float16 offset: 5 bits */
  LLAMA2_Q5_0 = 6,    /* 5.5 bits */
  LLAMA2_Q5_1 = 7,    /* 6 bits */
  LLAMA2_Q8_0 = 8,    /* blocks of 32 int8 and one float16 scale: 8.5 bits a weight */
  LLAMA2_Q2_K = 10,   /* blocks of 256, each with 8 or 16 smaller ones that have scales of their own: 2.625 bits */
  LLAMA2_Q3_K = 11,   /* 3.4375 bits */
  LLAMA2_Q4_K = 12,   /* 4.5 bits */
  LLAMA2_Q5_K = 13,   /* 5.5 bits */
  LLAMA2_Q6_K = 14,   /* 6.5625 bits */
  LLAMA2_IQ4_NL = 20, /* blocks of 32, 16 uneven levels: 4.5 bits */
  LLAMA2_IQ4_XS = 23, /* the same levels in blocks of 256: 4.25 bits */
  LLAMA2_BF16 = 30,   /* the upper half of a float32 */
  LLAMA2_MXFP4 = 39,  /* blocks of 32 e2m1 and a power of two: 4.25 bits */
  LLAMA2_Q8_F = 1000  /* llama2.c's version 2: groups of int8 and one float32 scale */
} llama2_dtype;

/* "f32", "q8_0", ...; NULL for a number that is none of them. Static. */
LLAMA2_API const char *llama2_dtype_name(int32_t dtype);

typedef struct llama2_model_options {
  const char *isa;  /* "scalar", "avx2", ...; NULL: the environment's LLAMA2_ISA, else the best. Never changes a bit */
  int32_t quantize; /* LLAMA2_KEEP, or LLAMA2_Q8_0: quantise float matrices while loading; others stay as they are */
  int32_t threads;  /* threads that load; 0: llama2_cpu_count() */
  /* NULL, or called now and then on the loading thread, and at the end; bytes of the model in memory. Not 0: the load is
   * cancelled. */
  int (*progress)(void *context, uint64_t done, uint64_t total);
  void *progress_context;
} llama2_model_options;

#define LLAMA2_POOL_MANY -1

typedef struct llama2_session_options {
  int32_t context; /* tokens; 0: the model's own. Larger than the model's own is refused */
  int32_t batch;   /* rows that one step takes at most; 0: 256. Never changes a bit of any logit */
  int32_t threads; /* threads that compute, at most 256; 0: llama2_cpu_count(). Never changes a bit of any logit */
  int32_t kv;      /* how keys and values are kept: LLAMA2_F32, LLAMA2_F16 or LLAMA2_Q8_0; LLAMA2_KEEP: float32 for a
                    * checkpoint of llama2.c's, as there, and else float16 */
  int64_t pool;    /* tokens that the sequences of an engine hold together, rounded up to pages of 16; 0: as many as the
                    * context; LLAMA2_POOL_MANY: the same, but at least 4096. A session holds its context */
  int32_t ranks; /* that the adapters of one sequence may have together, each rounded up to a multiple of 16; 0: 256 */
} llama2_session_options;

/* What running a checkpoint takes, in bytes. */
typedef struct llama2_plan {
  uint64_t weights;   /* the model in memory */
  uint64_t load;      /* needed besides while it loads, and given back after */
  uint64_t kv;        /* the KV cache: for the whole pool */
  uint64_t scratch;   /* the session's activations and logits */
  uint64_t total;     /* weights + kv + scratch, or weights + load if that is more */
  uint64_t available; /* what this process may still take: MemAvailable, or less where its cgroup says so */
} llama2_plan;

typedef struct llama2_model_info {
  int32_t dim;        /* width of the residual stream */
  int32_t hidden_dim; /* width of the feed-forward layer, or of one expert in it */
  int32_t n_experts;  /* that each row of a layer chooses from, and how many it chooses; 0: none */
  int32_t n_experts_used;
  int32_t n_layers;
  int32_t n_heads;    /* query heads */
  int32_t n_kv_heads; /* key/value heads; divides n_heads */
  int32_t head_dim;
  int32_t vocab_size;
  int32_t context;           /* tokens the model was trained for */
  int32_t shared_classifier; /* 1: the classifier is the token embedding */
  int32_t dtype;             /* llama2_dtype in memory, of most matrices: one whose groups cut across blocks is F32 */
  uint64_t parameters;       /* in the file, a shared classifier counted once */
  uint64_t file_bytes;
  uint64_t weight_bytes;    /* in memory */
  const char *format;       /* "llama2.c v0" to "llama2.c v2", "GGUF v2", "GGUF v3", "source"; static */
  const char *isa;          /* the instruction set in use; static */
  const char *architecture; /* "llama", "mistral", "qwen2", "qwen3"; static */
  const char
      *rope_scaling; /* how its rotary embeddings are stretched: "none", "linear", "yarn", "llama3", or "factors" that
                             * the file lists; static */
} llama2_model_info;

/* Options that ask for nothing: all defaults. Of a session `kv` is LLAMA2_KEEP. */
LLAMA2_API llama2_model_options llama2_model_defaults(void);
LLAMA2_API llama2_session_options llama2_session_defaults(void);

/* Says what `path` holds, and what using it would take, from its header only. session: NULL, or a session to count as
 * well. Safe on untrusted files. Errors: IO, FORMAT, ARGUMENT, CONTEXT, DEVICE. That it does not fit is none of them.
 */
LLAMA2_API llama2_status llama2_plan_file(const char *path, const llama2_model_options *options,
                                          const llama2_session_options *session, llama2_model_info *info,
                                          llama2_plan *plan);

/* Reads the checkpoint at `path` and packs it for this machine. session: NULL, or a session that is to fit besides: it
 * is not made, but the load is refused if there is no room for it. Safe on untrusted files. The file is not kept open;
 * while it is read it must not be made shorter, which would end the process (SIGBUS).
 * The caller owns *model and gives it back with llama2_model_free().
 * Errors: those of llama2_plan_file(), CANCELLED, and MEMORY, which is decided before anything large is taken. */
LLAMA2_API llama2_status llama2_model_load(const char *path, const llama2_model_options *options,
                                           const llama2_session_options *session, llama2_model **model);

/* Frees a model; every session on it must be freed before. NULL is allowed. */
LLAMA2_API void llama2_model_free(llama2_model *model);

LLAMA2_API llama2_model_info llama2_model_describe(const llama2_model *model);

/* Files. */

/* What is in a checkpoint, whether or not it can be run: an open file. Immutable. */
typedef struct llama2_file llama2_file;

typedef struct llama2_file_info {
  const char *format; /* as in llama2_model_info */
  uint64_t bytes;     /* of all parts */
  uint64_t alignment; /* of the tensors' data */
  uint64_t n_keys;    /* of GGUF's metadata; 0 in llama2.c's checkpoints */
  uint64_t n_tensors;
  int32_t parts; /* files */
} llama2_file_info;

typedef enum llama2_value {
  LLAMA2_VALUE_INT = 0,
  LLAMA2_VALUE_UINT = 1,
  LLAMA2_VALUE_FLOAT = 2,
  LLAMA2_VALUE_BOOL = 3,
  LLAMA2_VALUE_TEXT = 4,
  LLAMA2_VALUE_ARRAY = 5
} llama2_value;

/* One of a GGUF file's keys, and what it says. Texts are of any bytes, without a NUL, and live as long as the file. */
typedef struct llama2_key {
  const char *name;
  uint64_t name_bytes;
  int32_t kind;     /* llama2_value */
  int32_t items;    /* llama2_value of an array's items */
  uint64_t n;       /* bytes of a text, items of an array */
  int64_t integer;  /* INT and BOOL; UINT as a uint64_t of the same bits */
  double number;    /* FLOAT */
  const char *text; /* TEXT */
} llama2_key;

typedef struct llama2_tensor {
  const char *name; /* GGUF's, in llama2.c's checkpoints too */
  uint64_t name_bytes;
  int32_t dtype;          /* llama2_dtype, or another that GGUF has */
  const char *dtype_name; /* static */
  int32_t n_dims;
  int64_t dims[4]; /* the one that varies fastest first; 1 beyond n_dims */
  uint64_t bytes;
} llama2_tensor;

/* Reads the header of a checkpoint of any format, or of a GGUF file that is none, such as a vocabulary. Safe on untrusted
 * files. The caller owns *file and gives it back with llama2_file_free(). Errors: IO, FORMAT, MEMORY. */
LLAMA2_API llama2_status llama2_file_open(const char *path, llama2_file **file);

/* NULL is allowed. */
LLAMA2_API void llama2_file_free(llama2_file *file);

LLAMA2_API llama2_file_info llama2_file_describe(const llama2_file *file);

/* By index: keys by name, tensors as they follow one another in the file. */
LLAMA2_API llama2_key llama2_file_key(const llama2_file *file, uint64_t index);
LLAMA2_API llama2_tensor llama2_file_tensor(const llama2_file *file, uint64_t index);

/* What llama2_quantize_file() can quantise to, by index from 0: "f32", "q8_0", "q4_k_m", ...; NULL beyond the last.
 * Static. A name of a type makes all matrices of it, but the classifier (or the embedding where that is shared) Q6_K, if
 * the type is integer and smaller than Q8_0; those that end in _s and _m, and q2_k, make some layers' matrices
 * better, as llama.cpp does. */
LLAMA2_API const char *llama2_quantize_type(int32_t index);

/* One tensor, written. */
typedef struct llama2_quantized {
  const char *name; /* valid during the call that tells it */
  int32_t had;      /* llama2_dtype in the checkpoint */
  int32_t wanted;   /* llama2_dtype that it was to have */
  int32_t dtype;    /* the one it has: not what was wanted where rows are not made of whole blocks of that */
  uint64_t values;
  uint64_t bytes; /* as written */
} llama2_quantized;

typedef struct llama2_quantize_options {
  const char *type; /* one of llama2_quantize_type() */
  int32_t llama2c;  /* -1: a GGUF file. 0, 1, 2: a llama2.c checkpoint of that version, whose matrices are float32, or
                            in version 2 int8 in groups of at most 64; then type and tokenizer are not looked at */
  const char *tokenizer; /* NULL, or a tokenizer.bin or GGUF file whose tokenizer is put into the file, if it has none.
                            NULL: a llama2.c checkpoint's is looked for as llama2_tokenizer_find() does */
  int32_t threads;       /* 0: llama2_cpu_count(). Never changes a bit of the file */
  int32_t replace;       /* 1: a file of that name is replaced, once the new one is whole */
  /* NULL, or called now and then on the calling thread, and at the end; bytes of the new file. Not 0: it is cancelled. */
  int (*progress)(void *context, uint64_t done, uint64_t total);
  void *progress_context;
  /* NULL, or called for each tensor once it is written. Not 0: it is cancelled. */
  int (*tensor)(void *context, const llama2_quantized *tensor);
  void *tensor_context;
} llama2_quantize_options;

typedef struct llama2_quantize_result {
  uint64_t bytes_in, bytes_out; /* of the files */
  int32_t tensors;
  char tokenizer[4352]; /* path of the file that the new one's tokenizer is from; empty: it has none */
  float norm_eps;       /* the model's; llama2.c's programs take 1e-5, whatever it is */
} llama2_quantize_result;

/* Options that ask for a GGUF file of q8_0, and else for nothing: all defaults. */
LLAMA2_API llama2_quantize_options llama2_quantize_defaults(void);

/* Writes the checkpoint `in` as a GGUF file `out`, its matrices quantised; vectors stay float32. Takes any checkpoint that
 * can be loaded, quantised ones too: tensors that have the wanted type are copied as they lie, others are quantised from
 * what they stand for. One tensor of the checkpoint and a few megabytes are in memory at a time. The file is written
 * under another name and takes its own when it is whole; after a failure nothing is left of it. Safe on untrusted files.
 * A llama2.c checkpoint has no place for other rotary bases, biases and the like: such a model is refused as FORMAT.
 * Errors: ARGUMENT (also that `out` is `in`), IO (with EEXIST where `out` is there and is not to be replaced, with
 * ENOSPC where there is no room), FORMAT, TOKENIZER, MEMORY, CANCELLED, NUMERIC (a value that is not finite). */
LLAMA2_API llama2_status llama2_quantize_file(const char *in, const char *out, const llama2_quantize_options *options,
                                              llama2_quantize_result *result);

/* Sources. */

/* A checkpoint that its caller puts together in GGUF's terms, from files of any format: keys with values, and tensors whose
 * data lies in the caller's memory, such as a mapped file. Nothing is copied but keys and names. What is put may come
 * from untrusted files: it is checked as a GGUF file is, when the source is used. Once all is put it is immutable, and
 * may be shared by threads. */
typedef struct llama2_source llama2_source;

/* name: of what it is read from, for messages. The caller owns *source and gives it back with llama2_source_free().
 * Errors: MEMORY. */
LLAMA2_API llama2_status llama2_source_new(const char *name, llama2_source **source);

/* NULL is allowed. Models and tokenizers that were made of it need it no longer. */
LLAMA2_API void llama2_source_free(llama2_source *source);

/* Says that all data of a page or more that tensors are put with lies in maps of files that are only read. What has been
 * read of them is then given back to the system, so that it does not count as this process's memory. */
LLAMA2_API void llama2_source_set_mapped(llama2_source *source);

/* Put a key, each once, with a value of GGUF's type uint32, float32, bool, string, or array of int32, float32 or string.
 * `texts` holds the strings one behind another, lengths[0..n) their bytes. Keys and values are copied. Where there is
 * no memory for that, whatever uses the source fails with MEMORY. */
LLAMA2_API void llama2_source_put_uint(llama2_source *source, const char *key, uint32_t value);
LLAMA2_API void llama2_source_put_float(llama2_source *source, const char *key, float value);
LLAMA2_API void llama2_source_put_bool(llama2_source *source, const char *key, int value);
LLAMA2_API void llama2_source_put_text(llama2_source *source, const char *key, const char *text, uint64_t n);
LLAMA2_API void llama2_source_put_ints(llama2_source *source, const char *key, const int32_t *values, uint64_t n);
LLAMA2_API void llama2_source_put_floats(llama2_source *source, const char *key, const float *values, uint64_t n);
LLAMA2_API void llama2_source_put_texts(llama2_source *source, const char *key, const char *texts,
                                        const uint64_t *lengths, uint64_t n);

/* Puts a tensor, under GGUF's name. dims[0..n_dims): the one that varies fastest first. data: `bytes` bytes at any
 * alignment, little endian, which must stay as they are until the source is freed.
 * split: 0, or an even number that divides the rows (the values, where there is one row): each so many of them lie with
 * the even ones first and the odd ones behind, and are read in turn. With the head's width as `split`, queries and keys
 * whose halves are rotated together, as in Hugging Face's files, become pairs of neighbours, as GGUF's llama has them.
 * Errors: ARGUMENT (a type, shape, size or split that does not fit), MEMORY. */
LLAMA2_API llama2_status llama2_source_put_tensor(llama2_source *source, const char *name, int32_t dtype,
                                                  int32_t n_dims, const int64_t *dims, const void *data, uint64_t bytes,
                                                  int64_t split);

/* The same of a tensor that lies in pieces, as the shards of a model do that was cut for several processors: pieces[0..n)
 * of `bytes` bytes each. dims are those of the whole; side_by_side: 0, and each piece has the next rows, or 1, and each has
 * the next columns of all rows. The list of pieces is copied. Errors: ARGUMENT (also a number of rows or columns, in
 * blocks of the type, that the pieces cannot share evenly), MEMORY. */
LLAMA2_API llama2_status llama2_source_join_tensor(llama2_source *source, const char *name, int32_t dtype,
                                                   int32_t n_dims, const int64_t *dims, const void *const *pieces,
                                                   int32_t n_pieces, uint64_t bytes, int side_by_side);

/* As llama2_quantize_file(), llama2_plan_file(), llama2_model_load() and llama2_tokenizer_load() do with a GGUF file that
 * holds the same. The data is read by these calls alone. */
LLAMA2_API llama2_status llama2_source_quantize(const llama2_source *source, const char *out,
                                                const llama2_quantize_options *options, llama2_quantize_result *result);
LLAMA2_API llama2_status llama2_source_plan(const llama2_source *source, const llama2_model_options *options,
                                            const llama2_session_options *session, llama2_model_info *info,
                                            llama2_plan *plan);
LLAMA2_API llama2_status llama2_source_load(const llama2_source *source, const llama2_model_options *options,
                                            const llama2_session_options *session, llama2_model **model);
LLAMA2_API llama2_status llama2_source_tokenizer(const llama2_source *source, int32_t vocab_size,
                                                 llama2_tokenizer **tokenizer);

/* Adapters. */

/* What a LoRA (Hu et al., 2021) adds to some of a model's matrices: to W x it adds scale * B (A x), with A (rank, columns) and
 * B (rows, rank). It is made for one model, is immutable, and may be shared by sessions, engines and threads. The model
 * stays as it is: each sequence says which adapters it has, and all are computed together. */
typedef struct llama2_adapter llama2_adapter;

#define LLAMA2_ADAPTERS_MOST 8 /* that a sequence may have at once */

typedef struct llama2_adapter_info {
  int32_t rank;     /* the greatest of its matrices' */
  int32_t ranks;    /* the same, rounded up to a multiple of 16, as llama2_session_options counts it */
  int32_t matrices; /* of the model that it adds to */
  uint64_t parameters;
  uint64_t bytes; /* in memory */
} llama2_adapter_info;

/* One of a sequence's adapters. What it adds is multiplied with `scale`, a finite number, besides its own factor. */
typedef struct llama2_adapted {
  const llama2_adapter *adapter;
  float scale;
} llama2_adapted;

/* Reads an adapter from a GGUF file as llama.cpp has them (general.type "adapter", adapter.type "lora", tensors
 * NAME.lora_a and NAME.lora_b for a tensor NAME, the factor adapter.lora.alpha / rank) or from a source that says the
 * same. It may say in llama2py.lora.scale.NAME another factor, and in llama2py.lora.halves that queries and keys are split
 * as Hugging Face's files have them. The matrices of attention and of the feed-forward layer and the classifier may be
 * adapted; what else is there, and what does not fit the model, is refused. The model must outlive it. Safe on untrusted
 * files. The caller owns *adapter and gives it back with llama2_adapter_free(). Errors: IO, FORMAT, ARGUMENT, MEMORY, which is
 * decided before anything large is taken. */
LLAMA2_API llama2_status llama2_adapter_load(const llama2_model *model, const char *path, llama2_adapter **adapter);
LLAMA2_API llama2_status llama2_source_adapter(const llama2_source *source, const llama2_model *model,
                                               llama2_adapter **adapter);

/* NULL is allowed. Whatever has it must be freed, or have ended, before. */
LLAMA2_API void llama2_adapter_free(llama2_adapter *adapter);

LLAMA2_API llama2_adapter_info llama2_adapter_describe(const llama2_adapter *adapter);

/* Sessions. */

/* Makes an empty sequence. All its memory is reserved here; nothing is allocated while it computes. The model must
 * outlive it. The caller owns *session. Errors: ARGUMENT, CONTEXT, MEMORY. */
LLAMA2_API llama2_status llama2_session_new(const llama2_model *model, const llama2_session_options *options,
                                            llama2_session **session);

/* NULL is allowed. */
LLAMA2_API void llama2_session_free(llama2_session *session);

/* The options in force, with each default replaced by its value. */
LLAMA2_API llama2_session_options llama2_session_describe(const llama2_session *session);

/* Tokens in the sequence. A token that llama2_session_generate() drew last is counted once it has been computed. */
LLAMA2_API int32_t llama2_session_length(const llama2_session *session);

/* Forgets all but the first `length` tokens (0: start anew). Errors: ARGUMENT, if there are fewer. */
LLAMA2_API llama2_status llama2_session_truncate(llama2_session *session, int32_t length);

/* Has a sequence that is empty computed with adapters[0..n), in that order, or with none. They are copied, and what they name
 * must outlive the session or be replaced. Errors: ARGUMENT (also that there are tokens, that one is of another model, or
 * that they have more ranks than the session has room for). */
LLAMA2_API llama2_status llama2_session_set_adapters(llama2_session *session, const llama2_adapted *adapters,
                                                     int32_t n);

/* Appends tokens[0..n) and computes them, as many rows at once as the batch takes. n > 0.
 * logits: NULL, or room for n * vocab_size floats, row-major: row i is what the model expects after tokens[i]. The last
 * row stays readable through llama2_session_logits() either way. A token that llama2_session_generate() drew and that
 * is not computed yet is forgotten: pass it in `tokens` to keep it. Errors: ARGUMENT (a token id outside the
 * vocabulary), CONTEXT, CANCELLED. After an error the sequence is as before the call; after CANCELLED what
 * `logits` holds is unspecified, and llama2_session_logits() is NULL. */
LLAMA2_API llama2_status llama2_session_eval(llama2_session *session, const int32_t *tokens, int32_t n, float *logits);

/* Appends tokens[0..n) and computes them likewise, and says how likely some tokens were to follow: where targets[i] >= 0,
 * logprobs[i] becomes the natural logarithm of that token's probability after tokens[i]; where it is less, nothing is
 * written. So targets[i] = tokens[i + 1] scores a text. Only rows with a target cost their logits, and few of those are
 * in memory at once. The bits depend on the sequence alone. llama2_session_logits() is NULL after it unless the last
 * token had a target. Errors: those of llama2_session_eval(), and NUMERIC, after which the sequence is as before the
 * call and what `logprobs` holds is unspecified. */
LLAMA2_API llama2_status llama2_session_score(llama2_session *session, const int32_t *tokens, const int32_t *targets,
                                              int32_t n, double *logprobs);

/* The logits after the last computed token: vocab_size floats, owned by the session and valid until its next call.
 * NULL when the sequence is empty or was truncated since. */
LLAMA2_API const float *llama2_session_logits(const llama2_session *session);

/* How tokens are drawn. */
typedef struct llama2_sampling {
  float temperature; /* finite, >= 0; 0: the likeliest token, of equals the one with the lower id */
  float top_p;       /* in [0, 1]; 0 and 1: the whole distribution; else the smallest set of tokens that exceeds it */
  uint64_t rng; /* state of xorshift64* (Vigna, 2016); advanced by one draw a token unless temperature is 0. Not 0 */
} llama2_sampling;

typedef enum llama2_finish {
  LLAMA2_FINISH_NONE = 0,  /* capacity reached; call again to go on */
  LLAMA2_FINISH_STOP = 1,  /* a stop token was drawn; it is not among `tokens` */
  LLAMA2_FINISH_LENGTH = 2 /* the context is full */
} llama2_finish;

/* Draws up to `capacity` tokens after the sequence so far, which must not be empty, computing each as needed. The last
 * token drawn is computed only when more is asked for.
 * stops[0..n_stops): tokens that end the text. tokens: room for `capacity` ids. *n_tokens: how many were drawn.
 * Errors: ARGUMENT, CANCELLED, NUMERIC. After an error tokens[0..*n_tokens) are valid and the call may be repeated. */
LLAMA2_API llama2_status llama2_session_generate(llama2_session *session, llama2_sampling *sampling,
                                                 const int32_t *stops, int32_t n_stops, int32_t *tokens,
                                                 int32_t capacity, int32_t *n_tokens, llama2_finish *finish);

/* Advances the random state as drawing one token does, and returns the number drawn, in [0, 1). */
LLAMA2_API float llama2_random(uint64_t *rng);

/* Asks the call that is computing on this session, if any, to end with LLAMA2_ERR_CANCELLED soon (well under 0.1 s).
 * May be called from any thread and from a signal handler. */
LLAMA2_API void llama2_session_cancel(llama2_session *session);

/* Has `poll(context)` called from the computing thread every few hundredths of a second while a call computes; a result
 * other than 0 cancels the call. NULL: none. */
LLAMA2_API void llama2_session_set_poll(llama2_session *session, int (*poll)(void *context), void *context);

/* Engines. */

/* Many sequences that are computed together, over one pool of KV pages. Each step mixes tokens that are decoded with pieces
 * of prompts; what was read before is found again by its tokens. A request's tokens and log-probabilities are those that
 * it gets alone, to the last bit, whatever else is computed, and however often it is paused. Requests come, fork and are
 * cancelled from any thread; steps, and the calls that say so, belong to one thread at a time. */
typedef struct llama2_engine llama2_engine;

typedef struct llama2_engine_options {
  llama2_session_options session; /* context: of one sequence. batch: rows of a step */
  int32_t sequences;              /* that are computed at once, at most; 0: 64. No more than batch */
  int32_t chunk;                  /* rows of prompts in a step in which others decode; 0: 128 */
  int32_t keep;              /* 1: pages are kept as long as there is room, and found again by their tokens; 0: not */
  const llama2_model *draft; /* NULL, or a smaller model of the same vocabulary that drafts what this one checks */
} llama2_engine_options;

/* keep is 1, the pool LLAMA2_POOL_MANY; no draft, and all else by default. */
LLAMA2_API llama2_engine_options llama2_engine_defaults(void);

/* Makes an engine without requests. The models must outlive it. The caller owns *engine. Errors: ARGUMENT, CONTEXT,
 * MEMORY. */
LLAMA2_API llama2_status llama2_engine_new(const llama2_model *model, const llama2_engine_options *options,
                                           llama2_engine **engine);

/* NULL is allowed. What is not finished is forgotten without an event. Not during a step. */
LLAMA2_API void llama2_engine_free(llama2_engine *engine);

/* The options in force, with each default replaced by its value. */
LLAMA2_API llama2_engine_options llama2_engine_describe(const llama2_engine *engine);

#define LLAMA2_PAGE 16       /* tokens of a page of the pool */
#define LLAMA2_STOPS_MOST 16 /* tokens that end a request's text */
#define LLAMA2_TOP_MOST 64   /* likeliest tokens that an event tells */
#define LLAMA2_SPECULATE_MOST 63

typedef struct llama2_request {
  const int32_t *prompt; /* (n_prompt) at least one token; copied */
  int32_t n_prompt;
  int32_t max_tokens; /* the most to draw; what the context has room for, if that is less. 0: the prompt is only read */
  llama2_sampling sampling;
  const int32_t *stops; /* (n_stops) tokens that end the text; copied */
  int32_t n_stops;
  int32_t priority;  /* the greater is computed first, and paused last */
  int32_t logprobs;  /* 1: events tell the log-probability of their tokens */
  int32_t top;       /* and of so many of the likeliest tokens besides */
  int32_t score;     /* the prompt's tokens from this index on have events with their log-probabilities too, but the
                      * first, which has none; 0 or less: none of them */
  int32_t speculate; /* tokens that are guessed ahead, at most; 0: none. Never changes a token or a bit */
  int32_t drafts;    /* 1: the draft model guesses; 0: what followed the same tokens in the text so far */
  float *logits;     /* NULL, or room for n_prompt * vocab_size floats: what is expected after each token of the prompt.
                      * Must stay until the request is finished; then complete unless it was cancelled or failed */
  const llama2_adapted *adapters; /* (n_adapters) that it is computed with, in that order; copied. What they name must
                                   * stay until the request is finished. A draft model guesses without them */
  int32_t n_adapters;
} llama2_request;

/* Takes a request in, and says by which number events will name it. Safe to call from any thread, also during a step.
 * Errors: ARGUMENT, MEMORY, and CONTEXT where the prompt is longer than the context, or with what is to be drawn, than
 * the pool, which has nothing computed. */
LLAMA2_API llama2_status llama2_engine_submit(llama2_engine *engine, const llama2_request *request, int64_t *id);

/* Goes on from where a request is by now, as another: its tokens so far become the prompt, and share its pages. It has the
 * same adapters; what the fork says of these, and of prompt, score and logits, is not looked at. Safe to call from any thread. Errors: ARGUMENT (also that there is no
 * such request any more), MEMORY, CONTEXT. */
LLAMA2_API llama2_status llama2_engine_fork(llama2_engine *engine, int64_t id, const llama2_request *fork,
                                            int64_t *fork_id);

/* Ends a request with the next step, with an event. One that is not there any more is none. Safe to call from any
 * thread; a long step that is being computed is begun again without it. */
LLAMA2_API void llama2_engine_cancel(llama2_engine *engine, int64_t id);

/* Has the step that is being computed, if any, end soon, with nothing of it done. From any thread. */
LLAMA2_API void llama2_engine_interrupt(llama2_engine *engine);

typedef enum llama2_end {
  LLAMA2_END_NONE = 0,   /* it goes on */
  LLAMA2_END_STOP = 1,   /* a stop token was drawn, which is not told */
  LLAMA2_END_LENGTH = 2, /* max_tokens were drawn, or the context is full */
  LLAMA2_END_CANCELLED = 3,
  LLAMA2_END_NUMERIC = 4 /* the logits are not finite numbers */
} llama2_end;

/* What has become of a request: a token, or its end; a request's events come in order, and the one with its end is the
 * last. */
typedef struct llama2_event {
  int64_t request;
  int32_t token;   /* drawn, or of the prompt; -1: none, as at a stop token */
  int32_t index;   /* of the token, counted from the prompt's first */
  int32_t end;     /* llama2_end */
  int32_t n_top;   /* likeliest tokens that are told, the likeliest first */
  int32_t top;     /* where they begin in llama2_engine_tops() */
  int32_t cached;  /* tokens of the prompt that were found and not computed, when it began last */
  int32_t drafted; /* tokens guessed so far, and how many of them were right */
  int32_t accepted;
  int32_t paused; /* times that it was paused for want of pages */
  double logprob; /* of the token, where it is wanted */
  double began;   /* seconds on the clock of the machine (CLOCK_MONOTONIC): when it was first computed, */
  double seconds; /* and when this came about */
} llama2_event;

typedef struct llama2_top {
  int32_t token;
  double logprob;
} llama2_top;

/* Computes steps until `seconds` have passed, but at least one, if there is anything to do; ends early once a request has
 * ended. *events: what came about, valid until the next step; *n: how many.
 * *busy: 0 where there is nothing left to do. Errors: MEMORY; CANCELLED after llama2_engine_interrupt(), and then the
 * events are those of the steps that were whole. */
LLAMA2_API llama2_status llama2_engine_step(llama2_engine *engine, double seconds, const llama2_event **events,
                                            int32_t *n, int32_t *busy);

/* What the last step's events refer to. */
LLAMA2_API const llama2_top *llama2_engine_tops(const llama2_engine *engine);

/* How an engine is. */
typedef struct llama2_engine_state {
  int32_t waiting, running;  /* requests */
  int32_t pages, free, idle; /* of the pool; idle: kept, and in no request */
  int64_t steps, rows;       /* computed so far */
  int64_t prompt_tokens;     /* of requests that began, again after each pause */
  int64_t cached_tokens;     /* of these found and not computed */
  int64_t pauses;
} llama2_engine_state;

/* As of the end of the last step. From any thread. */
LLAMA2_API llama2_engine_state llama2_engine_state_of(llama2_engine *engine);

/* Writes tokens[0..n) and their pages, as far as they are kept of requests with these adapters, to a file. It can be read by an
 * engine with the same model, of the same kind of keys and values, and with adapters that hold the same, on any machine.
 * replace: 1, or a file of that name is refused. *pages: how many were written. Not during a step. Errors: ARGUMENT, IO,
 * MEMORY. */
LLAMA2_API llama2_status llama2_engine_save(llama2_engine *engine, const int32_t *tokens, int32_t n,
                                            const llama2_adapted *adapters, int32_t n_adapters, const char *path,
                                            int32_t replace, int32_t *pages);

/* Reads such a file: its pages are kept, as many as there is room for, so that requests that begin with its tokens and have
 * these adapters find them. tokens: room for as many ids as the engine's context has; *n: how many there are. Not during a
 * step. Safe on untrusted files, but what is in it is what the model will believe to have read. Errors: IO, FORMAT
 * (damaged, or of another model, kind or other adapters), ARGUMENT, CONTEXT, MEMORY. */
LLAMA2_API llama2_status llama2_engine_load(llama2_engine *engine, const char *path, const llama2_adapted *adapters,
                                            int32_t n_adapters, int32_t *tokens, int32_t *n);

/* Tokenizers. */

/* Reads llama2.c's tokenizer.bin, or the tokenizer in a GGUF file. vocab_size: what the model has, or 0 to take what the file holds. Safe on untrusted
 * files. The caller owns *tokenizer. Errors: IO, TOKENIZER, MEMORY, ARGUMENT. */
LLAMA2_API llama2_status llama2_tokenizer_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer);

/* Finds the tokenizer that belongs to a checkpoint: the checkpoint itself if it holds one, else "tokenizer.bin", else the first "tok*.bin" by name, that holds
 * exactly vocab_size entries, beside the checkpoint and then in the working directory. Writes its path to `path`
 * (capacity bytes, NUL included). Errors: TOKENIZER (none fits; the message lists what was seen), ARGUMENT. */
LLAMA2_API llama2_status llama2_tokenizer_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity);

/* Writes a tokenizer as llama2.c's tokenizer.bin. replace: 1, or a file of that name is refused. Errors: TOKENIZER (one that
 * such a file cannot say, as a byte-level one), IO, MEMORY. */
LLAMA2_API llama2_status llama2_tokenizer_write(const llama2_tokenizer *tokenizer, const char *path, int replace);

/* NULL is allowed. */
LLAMA2_API void llama2_tokenizer_free(llama2_tokenizer *tokenizer);

LLAMA2_API int32_t llama2_tokenizer_vocab_size(const llama2_tokenizer *tokenizer);

/* Ids of the tokens that begin (<s>) and end (</s>) a text; -1 where the vocabulary has none. */
LLAMA2_API int32_t llama2_tokenizer_bos(const llama2_tokenizer *tokenizer);
LLAMA2_API int32_t llama2_tokenizer_eos(const llama2_tokenizer *tokenizer);

/* The ids of all tokens that end a text, of which llama2_tokenizer_eos() is the first: a chat model may have one for the
 * end of a turn and one for the end of a text. *n: how many, 0 where there is none. Lives as long as the tokenizer. */
LLAMA2_API const int32_t *llama2_tokenizer_eos_ids(const llama2_tokenizer *tokenizer, int32_t *n);

/* Turns text[0..n) into ids, as the vocabulary's model does: merges by score after a space that is put before a text that
 * is not empty, or merges of bytes by rank within words; bytes for characters outside the vocabulary. A vocabulary may
 * want its texts in normalisation form C; they get it here.
 * bos, eos: 1, 0, or -1 for what the vocabulary is used to; skipped where it has no such token. special: whether control
 * tokens that are written out in the text, as <s>, become tokens; user-defined ones always do.
 * tokens: room for `capacity` ids; 3 n + 3 always suffices.
 * Errors: TEXT (with the offset of the first bad byte), ARGUMENT (capacity; names what is needed), MEMORY. */
LLAMA2_API llama2_status llama2_tokenizer_encode(const llama2_tokenizer *tokenizer, const char *text, size_t n, int bos,
                                                 int eos, int special, int32_t *tokens, size_t capacity,
                                                 size_t *n_tokens);

/* Turns tokens back into text, a token at a time, and hands out whole UTF-8 characters only. Fill with zeros to start.
 */
typedef struct llama2_text_stream {
  int32_t previous;  /* the token before, as id + 1; 0 at the start */
  int32_t n_pending; /* bytes of an unfinished character */
  unsigned char pending[8];
} llama2_text_stream;

/* The longest text that one llama2_text_stream_push() can give, in bytes. */
LLAMA2_API size_t llama2_text_stream_bound(const llama2_tokenizer *tokenizer);

/* Adds a token and writes the characters that are complete by it to `text` (room for `capacity` bytes, at least
 * llama2_text_stream_bound(); no NUL is added). *n: bytes written. Bytes that can never be part of a character become
 * U+FFFD. <s> and </s> give no text. One leading space is dropped from the first token, and from one that follows <s>:
 * to go on after a prompt push its tokens first. Errors: ARGUMENT (an id outside the vocabulary, capacity). */
LLAMA2_API llama2_status llama2_text_stream_push(llama2_text_stream *stream, const llama2_tokenizer *tokenizer,
                                                 int32_t token, char *text, size_t capacity, size_t *n);

/* Ends the text: an unfinished character becomes U+FFFD. text: room for at least 3 bytes. Resets the stream. */
LLAMA2_API llama2_status llama2_text_stream_end(llama2_text_stream *stream, char *text, size_t capacity, size_t *n);

/* cffi: end */

#ifdef __cplusplus
}
#endif
#endif
