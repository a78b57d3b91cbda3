/* text/find: the tokenizer that lies beside a checkpoint. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/tokenizer.h"

#define NAMES_MAX 64 /* candidates of a directory that are looked at */

static bool is_candidate(const char *name) {
  size_t n = strlen(name);
  return n > 4 && strncmp(name, "tok", 3) == 0 && strcmp(name + n - 4, ".bin") == 0;
}

/* "tokenizer.bin" first, then by name. */
static int compare_names(const void *a, const void *b) {
  const char *x = a, *y = b;
  int first_x = strcmp(x, "tokenizer.bin") != 0, first_y = strcmp(y, "tokenizer.bin") != 0;
  return first_x != first_y ? first_x - first_y : strcmp(x, y);
}

/* Looks through one directory. Adds what does not fit to `seen`. */
static bool search(const char *directory, int32_t vocab_size, char *path, size_t capacity, char *seen, size_t n_seen) {
  DIR *dir = opendir(*directory ? directory : ".");
  if (!dir) return false;
  char(*names)[256] = mem_new(NAMES_MAX + 1, sizeof *names);
  size_t n = 0;
  for (struct dirent *entry; names && (entry = readdir(dir));) {
    bool first = strcmp(entry->d_name, "tokenizer.bin") == 0; /* has a place however many others there are */
    if (first || (n < NAMES_MAX && is_candidate(entry->d_name)))
      snprintf(names[n++], sizeof *names, "%s", entry->d_name);
  }
  closedir(dir);
  if (names) qsort(names, n, sizeof *names, compare_names);
  bool found = false;
  for (size_t i = 0; i < n && !found; i++) {
    int32_t count;
    size_t used = strlen(seen);
    int length = snprintf(path, capacity, "%s%s", directory, names[i]);
    if (length < 0 || (size_t)length >= capacity) continue;
    bool whole = tokenizer_count(path, vocab_size, &count) == LLAMA2_OK;
    found = whole && count == vocab_size;
    if (!whole)
      snprintf(seen + used, n_seen - used, "%s%s (damaged)", used ? ", " : "", path);
    else if (!found)
      snprintf(seen + used, n_seen - used, "%s%s (%s%d tokens)", used ? ", " : "", path,
               count > vocab_size ? "at least " : "", count);
  }
  mem_free(names);
  return found;
}

llama2_status tokenizer_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity) {
  char directory[4096], seen[512] = "", candidate[4096 + 256];
  const char *slash = strrchr(checkpoint, '/');
  int n = snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - checkpoint + 1) : 0, checkpoint);
  if (n < 0 || (size_t)n >= sizeof directory)
    return status_fail(LLAMA2_ERR_ARGUMENT, "a checkpoint path of %d bytes, expected less than %zu", n,
                       sizeof directory);
  bool found = search(directory, vocab_size, candidate, sizeof candidate, seen, sizeof seen) ||
               (*directory && search("", vocab_size, candidate, sizeof candidate, seen, sizeof seen));
  if (!found)
    return status_fail(
        LLAMA2_ERR_TOKENIZER,
        "%s: no tokenizer.bin or tok*.bin of %d tokens beside it or in the working directory%s%s; name one", checkpoint,
        vocab_size, *seen ? "; seen: " : "", seen);
  if (strlen(candidate) >= capacity)
    return status_fail(LLAMA2_ERR_ARGUMENT, "room for a path of %zu bytes, but it has %zu", capacity,
                       strlen(candidate) + 1);
  memcpy(path, candidate, strlen(candidate) + 1);
  return LLAMA2_OK;
}
