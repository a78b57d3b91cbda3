#include "../c/failing_memory.h"

#include <unistd.h>

#include "base/utf8.h"
#include "fuzz.h"

/* Files. */

static char folder[256], paths[4][300];
static int n_paths;

static void remove_folder(void) {
  rmdir(folder);
}

int fuzz_parts(const uint8_t *data, size_t n, size_t offsets[4]) {
  int parts = 1;
  offsets[0] = 0;
  for (size_t at = 4; parts < 4 && at < n;) {
    const uint8_t *next = memmem(data + at, n - at, "GGUF\3\0\0\0", 8);
    if (!next) break;
    offsets[parts++] = (size_t)(next - data);
    at = offsets[parts - 1] + 8;
  }
  return parts;
}

const char *fuzz_write(const uint8_t *data, size_t n) {
  size_t offsets[4];
  n_paths = fuzz_parts(data, n, offsets);
  if (!*folder) {
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.200s/llama2-fuzz-XXXXXX", parent && *parent ? parent : "/tmp");
    CHECK_THAT(mkdtemp(folder), "%s: %s", folder, strerror(errno));
    atexit(remove_folder);
  }
  for (int i = 0; i < n_paths; i++) {
    size_t end = i + 1 < n_paths ? offsets[i + 1] : n;
    snprintf(paths[i], sizeof paths[i], "%s/model-%05d-of-%05d.gguf", folder, i + 1, n_paths);
    FILE *file = fopen(paths[i], "wb");
    CHECK_THAT(file && fwrite(data + offsets[i], 1, end - offsets[i], file) == end - offsets[i] && fclose(file) == 0,
               "%s: %s", paths[i], strerror(errno));
  }
  return paths[0];
}

void fuzz_remove(void) {
  for (int i = 0; i < n_paths; i++) unlink(paths[i]);
}

/* Failures. */

void fuzz_check_error(llama2_status status, const char *path) {
  if (status == LLAMA2_OK) return;
  const llama2_error *error = llama2_last_error();
  const char *said = error->message;
  size_t n = strlen(said);
  CHECK_THAT(error->status == status, "status %d, but the error has %d", status, error->status);
  CHECK_THAT(n > 0 && utf8_check(said, n) == n, "'%s' is no UTF-8", said);
  for (size_t i = 0; i < n; i++) CHECK_THAT((unsigned char)said[i] >= ' ', "'%s' is no line", said);
  CHECK_THAT(!path || strncmp(said, folder, strlen(folder)) == 0, "'%s' does not name the file", said);
}

/* Memory. */

void fuzz_within(size_t most, void (*function)(void *context), void *context) {
  CHECK(alive == 0);
  most_bytes = 0;
  function(context);
  CHECK_THAT(alive == 0, "%ld blocks of %zu bytes are left", alive, alive_bytes);
  CHECK_THAT(most_bytes <= most, "%zu bytes were allocated, expected at most %zu", most_bytes, most);
}
