#define _GNU_SOURCE
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

#define HUGE_PAGE ((uint64_t)2 << 20)

static _Thread_local bool forbidden;

void mem_forbid(void) {
  forbidden = true;
}
void mem_allow(void) {
  forbidden = false;
}

void *mem_new(size_t bytes) {
  assert(!forbidden);
  return calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *old, size_t bytes) {
  assert(!forbidden);
  return realloc(old, bytes ? bytes : 1);
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
                             "%s: the system refused %" PRIu64 " bytes (%s); use a smaller context or model", what,
                             size, strerror(errno));
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

/* The number in a file that holds just one, or in its line that begins with `key`; SIZE_BAD where there is none. */
static uint64_t read_number(const char *path, const char *key) {
  FILE *file = fopen(path, "re");
  if (!file) return SIZE_BAD;
  char line[256];
  uint64_t value = SIZE_BAD;
  size_t n = strlen(key);
  while (value == SIZE_BAD && fgets(line, sizeof line, file))
    if (strncmp(line, key, n) == 0) sscanf(line + n, " %" SCNu64, &value);
  fclose(file);
  return value;
}

/* What is left under a cgroup's limit, its page cache counted as free since it is given up on demand. */
static uint64_t cgroup_left(const char *limit_path, const char *usage_path, const char *stat_path) {
  uint64_t limit = read_number(limit_path, ""), usage = read_number(usage_path, "");
  uint64_t cache = read_number(stat_path, "inactive_file ");
  if (limit == SIZE_BAD || usage == SIZE_BAD) return SIZE_BAD;
  if (cache != SIZE_BAD) usage = usage > cache ? usage - cache : 0;
  return limit > usage ? limit - usage : 0;
}

uint64_t mem_available(void) {
  uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
  uint64_t free_bytes = kib == SIZE_BAD ? SIZE_BAD : kib * 1024;
  uint64_t v2 = cgroup_left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat");
  uint64_t v1 = cgroup_left("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                            "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat");
  if (v2 < free_bytes) free_bytes = v2;
  if (v1 < free_bytes) free_bytes = v1;
  return free_bytes;
}
