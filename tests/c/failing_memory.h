/* failing_memory: allocators that count, and of which each can be made to fail. All allocations of the library are in
 * base/memory, whose source is compiled into the test here; the library's own copy is then not linked. */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

#include "check.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "llama2.h"

static long fail_at = -1; /* the allocation that fails, counted from 0; -1: none */
static long allocations;  /* so far */
static long alive;        /* blocks and mappings that were not given back */
static size_t alive_bytes, most_bytes;

static bool fails(void) {
  return allocations++ == fail_at;
}

static void *count_bytes(void *memory, size_t n) {
  alive++;
  alive_bytes += n;
  if (alive_bytes > most_bytes) most_bytes = alive_bytes;
  return memory;
}

static void *failing_calloc(size_t n, size_t size) {
  void *memory = fails() ? NULL : calloc(n, size);
  return memory ? count_bytes(memory, malloc_usable_size(memory)) : NULL;
}

static void counting_free(void *memory) {
  if (memory) alive--, alive_bytes -= malloc_usable_size(memory);
  free(memory);
}

static void *failing_reallocarray(void *old, size_t n, size_t size) {
  size_t before = old ? malloc_usable_size(old) : 0;
  void *memory = fails() ? NULL : reallocarray(old, n, size);
  if (memory && old) alive--, alive_bytes -= before;
  return memory ? count_bytes(memory, malloc_usable_size(memory)) : NULL;
}

static void *failing_mmap(void *address, size_t n, int protection, int flags, int file, off_t offset) {
  errno = ENOMEM;
  void *memory = fails() ? MAP_FAILED : mmap(address, n, protection, flags, file, offset);
  return memory == MAP_FAILED ? memory : count_bytes(memory, n);
}

static int counting_munmap(void *address, size_t n) {
  alive--;
  alive_bytes -= n;
  return munmap(address, n);
}

#undef _GNU_SOURCE
#define calloc failing_calloc
#define free counting_free
#define reallocarray failing_reallocarray
#define mmap failing_mmap
#define munmap counting_munmap
#define madvise(memory, n, advice) ((void)(memory), (void)(n)) /* huge pages would be zeroed whole */
#include "base/memory.c"
#undef calloc
#undef free
#undef reallocarray
#undef mmap
#undef munmap
#undef madvise

#endif
