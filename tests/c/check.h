/* check: what the tests in C share: counted checks, random numbers, memory of exactly the size that was asked for. It
 * is included first. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic long checks_passed; /* by any thread */

/* Ends the program, saying where and what, unless `condition` holds. What follows it is printed: a format and values.
 */
#define CHECK_THAT(condition, ...)                                    \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      fprintf(stderr, __VA_ARGS__);                                   \
      fputc('\n', stderr);                                            \
      abort();                                                        \
    }                                                                 \
    checks_passed++;                                                  \
  } while (0)

#define CHECK(condition) CHECK_THAT(condition, "does not hold")

static inline int checks_end(const char *name) {
  printf("%s: %ld checks passed\n", name, checks_passed);
  return EXIT_SUCCESS;
}

/* Whether the tests are for another machine than this one; make says so. */
static inline bool emulated(void) {
  const char *emulator = getenv("EMULATOR");
  return emulator && *emulator;
}

/* The same numbers on each run (Steele, Lea and Flood, 2014: SplitMix). */
static uint64_t random_state = 1;

static inline uint64_t random_bits(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* From 0 to n - 1. */
static inline int64_t random_below(int64_t n) {
  return (int64_t)(random_bits() % (uint64_t)n);
}

/* From -1 to 1. */
static inline float random_float(void) {
  return (float)(random_bits() >> 40) * 0x1p-23f - 1.0f;
}

/* Zeroed, aligned as the library's arenas are, and without a byte to spare, so that sanitizers see the end of it. */
static inline void *aligned(size_t bytes) {
  void *memory = NULL;
  CHECK(posix_memalign(&memory, 64, bytes ? bytes : 1) == 0);
  memset(memory, 0, bytes);
  return memory;
}

/* Writes a file to the temporary folder and puts its path into `path`. */
static inline void write_file(char path[256], const void *data, size_t n) {
  const char *folder = getenv("TMPDIR");
  snprintf(path, 256, "%s/llama2-test-XXXXXX", folder && *folder ? folder : "/tmp");
  int descriptor = mkstemp(path);
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
  CHECK_THAT(file, "cannot write %s", path);
  CHECK(fwrite(data, 1, n, file) == n && fclose(file) == 0);
}

#endif
