/* replay TIMES FILE…: runs a fuzz target on each file, and on TIMES damaged forms of it, without libFuzzer. */
#include "../c/check.h"
#include "fuzz.h"

enum { ROOM = 1 << 18 };

/* What the mutators fall back on: a byte changed, a stretch doubled or left out. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most) {
  size_t at = n ? (size_t)random_below((int64_t)n) : 0, length = n ? 1 + (size_t)random_below((int64_t)(n - at)) : 0;
  if (length > 16) length = 16;
  switch (random_below(3)) {
    case 0:
      if (n < 2) return n;
      memmove(data + at, data + at + length, n - at - length);
      return n - length;
    case 1:
      if (length > most - n) return n;
      memmove(data + at + length, data + at, n - at);
      return n + length;
    default:
      if (n) data[at] = (uint8_t)random_bits();
      return n;
  }
}

int main(int argc, char **argv) {
  static uint8_t whole[ROOM], damaged[ROOM];
  CHECK_THAT(argc > 2, "expected TIMES FILE...");
  for (int i = 2; i < argc; i++) {
    FILE *file = fopen(argv[i], "rb");
    CHECK_THAT(file, "cannot open %s", argv[i]);
    size_t n = fread(whole, 1, ROOM, file);
    fclose(file);
    CHECK_THAT(n && n < ROOM, "%s has %zu bytes", argv[i], n);
    LLVMFuzzerTestOneInput(whole, n);
    for (int k = 0; k < atoi(argv[1]); k++) {
      memcpy(damaged, whole, n);
      LLVMFuzzerTestOneInput(damaged, LLVMFuzzerCustomMutator(damaged, n, ROOM, (unsigned)(i * 1000 + k)));
      checks_passed++;
    }
  }
  return checks_end(strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0]);
}
