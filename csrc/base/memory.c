#define _GNU_SOURCE
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/checked.h"

#define HUGE_PAGE ((uint64_t)2 << 20)

static _Thread_local bool forbidden;

void mem_forbid(void) {
  forbidden = true;
}
void mem_allow(void) {
  forbidden = false;
}

void *mem_new(size_t n, size_t size) {
  assert(!forbidden);
  return calloc(n ? n : 1, size ? size : 1);
}

void *mem_resize(void *old, size_t n, size_t size) {
  assert(!forbidden);
  return reallocarray(old, n ? n : 1, size ? size : 1);
}

void mem_free(void *pointer) {
  free(pointer);
}

llama2_status arena_open(arena *a, uint64_t size, const char *what) {
  assert(!forbidden);
  memset(a, 0, sizeof *a);
  uint64_t whole = size_round_up(size ? size : 1, HUGE_PAGE);
  void *base = MAP_FAILED;
  if (whole <= SIZE_MAX)
    base = mmap(NULL, (size_t)whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return status_fail_sized(LLAMA2_ERR_MEMORY, size, mem_available(),
                             "%s: the system refused %" PRIu64
                             " bytes (%s); a limit such as ulimit -v may be the cause",
                             what, whole, strerror(errno));
  madvise(base, (size_t)whole, MADV_HUGEPAGE); /* a hint: without it only speed is lost */
  a->base = base;
  a->size = whole;
  return LLAMA2_OK;
}

void arena_close(arena *a) {
  if (a->base) munmap(a->base, (size_t)a->size);
  memset(a, 0, sizeof *a);
}

void *arena_take(arena *a, uint64_t bytes) {
  uint64_t start = a->used;
  a->used = size_add(start, size_round_up(bytes, MEM_ALIGN));
  if (!a->base) return NULL;
  assert(a->used <= a->size);
  return a->base + start;
}

/* What a limit on the address space (ulimit -v) leaves. */
static uint64_t address_space_left(void) {
  struct rlimit limit;
  uint64_t pages = SIZE_BAD;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_BAD;
  FILE *file = fopen("/proc/self/statm", "re");
  if (file && fscanf(file, "%" SCNu64, &pages) != 1) pages = SIZE_BAD;
  if (file) fclose(file);
  uint64_t used = size_mul(pages, (uint64_t)sysconf(_SC_PAGESIZE)), most = limit.rlim_cur;
  return used == SIZE_BAD ? SIZE_BAD : most > used ? most - used : 0;
}

uint64_t mem_available(void) {
  uint64_t kib = SIZE_BAD, group = cgroup_memory_left();
  char line[256];
  FILE *file = fopen("/proc/meminfo", "re");
  while (file && kib == SIZE_BAD && fgets(line, sizeof line, file)) sscanf(line, "MemAvailable: %" SCNu64, &kib);
  if (file) fclose(file);
  uint64_t least = size_mul(kib, 1024), space = address_space_left();
  if (group < least) least = group;
  return space < least ? space : least;
}
