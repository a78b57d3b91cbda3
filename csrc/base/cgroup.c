#include "base/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROOT "/sys/fs/cgroup"
#define PATH_MAX_BYTES 1024

/* Whether a list such as "cpu,cpuacct" has a name. */
static int lists(const char *names, const char *name) {
  for (size_t n; *names; names += n + (names[n] == ',')) {
    n = strcspn(names, ",");
    if (n == strlen(name) && memcmp(names, name, n) == 0) return 1;
  }
  return 0;
}

/* The folder of this process's group under one hierarchy: `controller` is "" for version 2. Empty where there is none. */
static void group_folder(const char *controller, char folder[PATH_MAX_BYTES]) {
  FILE *file = fopen("/proc/self/cgroup", "re");
  char line[PATH_MAX_BYTES];
  folder[0] = '\0';
  if (!file) return;
  while (!folder[0] && fgets(line, sizeof line, file)) { /* "id:controllers:path" */
    line[strcspn(line, "\n")] = '\0';
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) continue;
    *names++ = *path++ = '\0';
    if (*controller ? !lists(names, controller) : *names) continue;
    int n = snprintf(folder, PATH_MAX_BYTES, ROOT "%s%s%s", *controller ? "/" : "", controller, path);
    if (n < 0 || n >= PATH_MAX_BYTES) folder[0] = '\0';
  }
  fclose(file);
}

/* Goes one group up; false at the root of the hierarchy, which is `root` bytes long. */
static int go_up(char *folder, size_t root) {
  size_t n = strlen(folder);
  if (n <= root) return 0;
  char *slash = strrchr(folder, '/');
  *(slash < folder + root ? folder + root : slash) = '\0';
  return 1;
}

/* The first number in a file, or in its line that begins with `key`; UINT64_MAX where there is none, or "max". */
static uint64_t read_number(const char *folder, const char *name, const char *key, uint64_t *second) {
  char path[PATH_MAX_BYTES + 64], line[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "re");
  uint64_t value = UINT64_MAX, other = UINT64_MAX;
  size_t n = strlen(key);
  while (file && value == UINT64_MAX && fgets(line, sizeof line, file))
    if (strncmp(line, key, n) == 0) sscanf(line + n, " %" SCNu64 " %" SCNu64, &value, &other);
  if (file) fclose(file);
  if (second) *second = other;
  return value;
}

static uint64_t memory_left(const char *controller, const char *limit_name, const char *usage_name) {
  char folder[PATH_MAX_BYTES];
  uint64_t least = UINT64_MAX;
  size_t root = strlen(ROOT) + (*controller ? 1 + strlen(controller) : 0);
  group_folder(controller, folder);
  if (!folder[0]) return least;
  do {
    uint64_t limit = read_number(folder, limit_name, "", NULL), usage = read_number(folder, usage_name, "", NULL);
    uint64_t cache = read_number(folder, "memory.stat", "inactive_file ", NULL);
    if (limit == UINT64_MAX || usage == UINT64_MAX) continue;
    if (cache != UINT64_MAX) usage = usage > cache ? usage - cache : 0;
    uint64_t left = limit > usage ? limit - usage : 0;
    if (left < least) least = left;
  } while (go_up(folder, root));
  return least;
}

uint64_t cgroup_memory_left(void) {
  uint64_t v2 = memory_left("", "memory.max", "memory.current");
  uint64_t v1 = memory_left("memory", "memory.limit_in_bytes", "memory.usage_in_bytes");
  return v1 < v2 ? v1 : v2;
}

static uint64_t cores(const char *controller, const char *quota_name, const char *period_name) {
  char folder[PATH_MAX_BYTES];
  uint64_t least = UINT64_MAX;
  size_t root = strlen(ROOT) + (*controller ? 1 + strlen(controller) : 0);
  group_folder(controller, folder);
  if (!folder[0]) return least;
  do {
    uint64_t period, quota = read_number(folder, quota_name, "", &period);
    if (period_name) period = read_number(folder, period_name, "", NULL);
    if (quota == UINT64_MAX || period == UINT64_MAX || period == 0) continue; /* "max", or -1, is no limit */
    uint64_t n = quota / period + (quota % period != 0);
    if (n < least) least = n;
  } while (go_up(folder, root));
  return least;
}

int32_t cgroup_cores(void) {
  uint64_t v2 = cores("", "cpu.max", NULL), v1 = cores("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us");
  uint64_t least = v1 < v2 ? v1 : v2;
  return least == 0 ? 1 : least > INT32_MAX ? INT32_MAX : (int32_t)least;
}
